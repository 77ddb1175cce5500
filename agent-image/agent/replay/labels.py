"""What people said of frames that are compared: the boxes of a pinned dataset version."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

import artifactstore
from agent.replay.settings import Pinned
from detectiondata import version as versions
from detectiondata.errors import DatasetError
from detectiondata.version import Box
from detectiondata.version_read import DOCUMENT_LIMIT, read_manifest

_TRAINED_ON = "train"


@dataclass(frozen=True)
class Labels:
    """`boxes` by the images' digests, of validation and holdout. `trained_on` more are of the part that is trained on:
    a version that has seen the answers isn't asked for them."""

    classes: tuple[str, ...] = ()
    boxes: Mapping[str, tuple[Box, ...]] | None = None
    trained_on: int = 0

    def of(self, sha256: str) -> tuple[Box, ...] | None:
        return (self.boxes or {}).get(sha256)


def read(pinned: Pinned, wanted: Container[str]) -> Labels:
    """Of the images `wanted`, by digest. Raises ArtifactError and DatasetError, which name the file."""
    content = artifactstore.read_bytes(pinned.uri, limit=DOCUMENT_LIMIT)
    digest = hashlib.sha256(content).hexdigest()
    if digest != pinned.sha256:
        raise DatasetError(
            f"{pinned.uri} is not the version that was pinned: expected sha256 {pinned.sha256}, found {digest}",
            "DigestMismatch",
        )
    version = versions.parse(content, pinned.uri)
    boxes: dict[str, tuple[Box, ...]] = {}
    trained_on = 0
    for part in (version, version.holdout):
        if part is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder) / "manifest.jsonl"
            uri = f"{pinned.uri.rpartition('/')[0]}/{part.manifest.name}"
            artifactstore.fetch_file(uri, listed, sha256=part.manifest.sha256, size=part.manifest.size)
            for image in read_manifest(part, listed, pinned.uri):
                if image.sha256 not in wanted:
                    continue
                if image.split == _TRAINED_ON:
                    trained_on += 1
                else:
                    boxes[image.sha256] = image.boxes
    return Labels(version.classes, boxes, trained_on)
