"""Brings one source of data to this machine: an archive that is unpacked, a folder of objects, or a mounted folder.

A mounted folder (`file:///data/`) is read where it lies and never written to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import artifactstore
from detectiondata.archive import unpack
from detectiondata.errors import DatasetError

Format = Literal["Auto", "YOLO", "COCO"]

_ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")


@dataclass(frozen=True)
class Source:
    """Where data lies: a folder if `uri` ends in /, else an archive. `sha256` pins it (of a folder: `tree_digest`)."""

    uri: str
    sha256: str | None = None
    format: Format = "Auto"


@dataclass(frozen=True)
class Fetched:
    """`root` holds the files; `sha256` is the archive's digest, or for a folder the digest of `tree_digest`."""

    uri: str
    root: Path
    sha256: str


def fetch(source: Source, workspace: Path) -> Fetched:
    """Fetches, verifies and unpacks into `workspace`, which must not exist yet.

    Raises DatasetError (not the data that was pinned, not an archive, names that lead out of it) and ArtifactError (it
    is not there, can't be reached or read, or does not fit on the disk).
    """
    local = _mounted(source.uri)
    if local is not None and local.is_dir():
        return _folder(source, local, [path for path in sorted(local.rglob("*")) if path.is_file()])
    if source.uri.endswith("/") or (local is None and not _is_file(source.uri)):
        return _folder(source, workspace, artifactstore.fetch_tree(source.uri, workspace))
    return _archive(source, workspace, local)


def tree_digest(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over one line "<sha256 of the content>  <path relative to root>" per file, sorted by path.

    `cd root && find . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum` gives the same.
    """
    lines = {}
    for path in files:
        name = path.relative_to(root).as_posix()
        lines[name.encode()] = f"{artifactstore.file_digest(path).sha256}  {name}\n"
    whole = hashlib.sha256()
    for name_bytes in sorted(lines):
        whole.update(lines[name_bytes].encode())
    return whole.hexdigest()


def _mounted(uri: str) -> Path | None:
    return Path(unquote(uri.removeprefix("file://"))) if uri.startswith("file:///") else None


def _is_file(uri: str) -> bool:
    return uri.startswith("https://") or uri.lower().endswith(_ARCHIVE_SUFFIXES) or artifactstore.exists(uri)


def _folder(source: Source, root: Path, files: list[Path]) -> Fetched:
    digest = tree_digest(root, files)
    if source.sha256 is not None and digest != source.sha256:
        raise DatasetError(
            f"dataset: {source.uri} is not the folder that was pinned: expected sha256 {source.sha256}, found {digest} "
            f"over {len(files)} files",
            "DigestMismatch",
        )
    return Fetched(source.uri, root, digest)


def _archive(source: Source, workspace: Path, local: Path | None) -> Fetched:
    if local is not None and local.is_file():
        digest = artifactstore.file_digest(local)
        if source.sha256 is not None and digest.sha256 != source.sha256:
            raise DatasetError(
                f"dataset: {source.uri} is not the file that was pinned: expected sha256 {source.sha256}, "
                f"found {digest.sha256}",
                "DigestMismatch",
            )
        unpack(local, workspace, source.uri)
        return Fetched(source.uri, workspace, digest.sha256)
    download = workspace.with_name(workspace.name + ".download")
    digest = artifactstore.fetch_file(source.uri, download, sha256=source.sha256)
    try:
        unpack(download, workspace, source.uri)
    finally:
        download.unlink()
    return Fetched(source.uri, workspace, digest.sha256)
