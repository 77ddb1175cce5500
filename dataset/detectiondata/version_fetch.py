"""A dataset version on this machine, as a YOLO folder: images/train, images/val (images/test of a holdout), data.yaml.

Everything is verified on the way: version.json by the digest that pins it, the manifest by version.json, each image by
the manifest. Images come side by side, and no more of them are in memory than are on their way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import yaml

import artifactstore
from detectiondata import version as versions
from detectiondata.errors import DatasetError
from detectiondata.version import Image, Split, Version
from detectiondata.version_read import DOCUMENT_LIMIT, read_manifest

_FOLDERS: Mapping[Split, str] = {"train": "train", "val": "val", "holdout": "test"}  # nobody trains on a "test"


def is_version(uri: str) -> bool:
    return versions.place(uri) is not None


def fetch_version(uri: str, sha256: str | None, workspace: Path) -> str:
    """Lays the version out in `workspace`, which must not exist yet, and returns the digest of its version.json.

    Raises DatasetError (not the version that was pinned, no version at all) and ArtifactError (DigestMismatch of the
    manifest or an image, named; what is not there, can't be read, or does not fit on the disk).
    """
    content = artifactstore.read_bytes(uri, limit=DOCUMENT_LIMIT)
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise DatasetError(
            f"dataset: {uri} is not the version that was pinned: expected sha256 {sha256}, found {found}",
            "DigestMismatch",
        )
    version = versions.parse(content, uri)
    folder = uri.rpartition("/")[0]
    listed = workspace.with_name(workspace.name + ".jsonl")
    pinned = version.manifest
    artifactstore.fetch_file(f"{folder}/{pinned.name}", listed, sha256=pinned.sha256, size=pinned.size)
    try:
        _check(version, listed, uri, workspace)
        _lay_out(version, listed, uri, workspace)
    finally:
        listed.unlink()
    return found


def _check(version: Version, listed: Path, uri: str, workspace: Path) -> None:
    count, size = 0, 0
    for image in read_manifest(version, listed, uri):
        count, size = count + 1, size + image.size
    if count != version.images:
        raise DatasetError(f"{uri} says it has {version.images} images, and {version.manifest.name} lists {count}")
    artifactstore.ensure_room(workspace, size, uri)


def _lay_out(version: Version, listed: Path, uri: str, workspace: Path) -> None:
    for part in _FOLDERS.values():
        for kind in ("images", "labels"):
            (workspace / kind / part).mkdir(parents=True)
    found = versions.place(uri)
    assert found is not None  # fetch asks before
    store = found[0]

    def bring(image: Image) -> str:
        part = _FOLDERS[image.split]
        address = f"{store}/images/{image.sha256}{image.suffix}"
        content = artifactstore.read_bytes(address, limit=image.size, sha256=image.sha256)
        (workspace / "images" / part / f"{image.sha256}{image.suffix}").write_bytes(content)
        rows = [row.line(row.index) + "\n" for row in image.rows(version.classes)]
        (workspace / "labels" / part / f"{image.sha256}.txt").write_text("".join(rows))
        return part

    filled = set(artifactstore.in_parallel(bring, read_manifest(version, listed, uri)))
    parts = {part: f"images/{part}" for part in _FOLDERS.values() if part in filled}
    document = {**parts, "names": dict(enumerate(version.classes))}
    (workspace / "data.yaml").write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
