"""Makes archives for tests: good ones of every kind, and what can happen to their bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

TARS = ("tar", "tar.gz", "tar.bz2", "tar.xz", "tar.lzma")
KINDS = (*TARS, "zip")
_COMPRESS = {
    "tar": lambda content: content,
    "tar.gz": lambda content: gzip.compress(content, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
}


def compressed(tar: bytes, kind: str) -> bytes:
    return _COMPRESS[kind](tar)


def tarred(members: Iterable[tuple[str, bytes]], **how: object) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", **how) as opened:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return made.getvalue()


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is, with its backslashes
            opened.writestr(info, content)
    return made.getvalue()


def packed(members: Iterable[tuple[str, bytes]], kind: str) -> bytes:
    return zipped(members) if kind == "zip" else compressed(tarred(members), kind)


def files(root: Path) -> list[tuple[str, bytes]]:
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return [(path.relative_to(root).as_posix(), path.read_bytes()) for path in found]
