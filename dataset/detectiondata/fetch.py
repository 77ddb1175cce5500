"""Brings one source of data to this machine: an archive that is unpacked, a folder of objects, a mounted folder, or a
dataset version (`.../versions/00012/version.json`).

A mounted folder (`file:///data/`) is read where it lies and never written to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote_to_bytes

import artifactstore
from artifactstore import ArtifactError, printable
from detectiondata import inventory
from detectiondata.archive import unpack
from detectiondata.errors import DatasetError
from detectiondata.version_fetch import fetch_version, is_version

Format = Literal["Auto", "YOLO", "COCO"]

_ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")


@dataclass(frozen=True)
class Source:
    """Where data lies: a folder if `uri` ends in /, a dataset version, else an archive.

    `sha256` pins it: of a folder it is its `tree_digest`, of a version that of its version.json.
    """

    uri: str
    sha256: str | None = None
    format: Format = "Auto"


@dataclass(frozen=True)
class Fetched:
    """`root` holds the files; `sha256` is what would pin the source; `notes` is what was seen on the way, `odd` are
    the keys of objects that can't be asked for."""

    uri: str
    root: Path
    sha256: str
    notes: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


def fetch(source: Source, workspace: Path) -> Fetched:
    """Fetches, verifies and unpacks into `workspace`, which must not exist yet.

    Raises DatasetError (not the data that was pinned, not an archive, names that lead out of it) and ArtifactError (it
    is not there, can't be reached or read, or does not fit on the disk).
    """
    try:
        return _fetch(source, workspace)
    except PermissionError as error:  # of a mounted volume: what is fetched is this user's own
        message = (
            f"{source.uri} can't be read: {printable(str(error.filename))} is not for user {os.geteuid()} and group "
            f"{os.getegid()} of this container; give them the right, or say fsGroup or runAsUser in the pod's template"
        )
        raise ArtifactError("AccessDenied", message, retryable=False) from None


def _fetch(source: Source, workspace: Path) -> Fetched:
    if is_version(source.uri):
        return Fetched(source.uri, workspace, fetch_version(source.uri, source.sha256, workspace))
    local = _mounted(source.uri)
    if local is not None and local.is_dir():
        return _folder(source, local, [local / name for name, _ in inventory.walk(local, source.uri)])
    if source.uri.endswith("/") or (local is None and not _is_file(source.uri)):
        odd: list[str] = []
        files = artifactstore.fetch_tree(source.uri, workspace, odd=odd.append)
        return replace(_folder(source, workspace, files), odd=tuple(odd))
    return _archive(source, workspace, local)


def tree_digest(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 over one line "<sha256 of the content>  <path relative to root>" per file, sorted by path.

    `cd root && find -L . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum` says it too.
    """
    lines = {}
    for path in files:
        name = os.fsencode(path.relative_to(root))  # any bytes, not only UTF-8
        lines[name] = f"{artifactstore.file_digest(path).sha256}  ".encode() + name + b"\n"
    whole = hashlib.sha256()
    for name in sorted(lines):
        whole.update(lines[name])
    return whole.hexdigest()


def _mounted(uri: str) -> Path | None:
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://")))) if uri.startswith("file:///") else None


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
        return Fetched(source.uri, workspace, digest.sha256, unpack(local, workspace, source.uri))
    download = workspace.with_name(workspace.name + ".download")
    digest = artifactstore.fetch_file(source.uri, download, sha256=source.sha256)
    try:
        notes = unpack(download, workspace, source.uri)
    finally:
        download.unlink()
    return Fetched(source.uri, workspace, digest.sha256, notes)
