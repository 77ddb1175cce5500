"""A store of dataset versions: `images/<sha256>.jpg`, each once, and `versions/<number>/`.

Whatever is written can be written again. A version exists once its version.json does, which the store lets one writer
create; what a writer that was killed left before is used by the next one, or harms nobody.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import artifactstore
from artifactstore import ArtifactError
from detectiondata import version as versions
from detectiondata.errors import DatasetError
from detectiondata.version import Image, Version
from detectiondata.version_read import DOCUMENT_LIMIT, read_manifest

_COMMITTED = re.compile(r"^([0-9]{5,})/version\.json$")


@dataclass(frozen=True)
class Stored:
    """A version as it lies in the store; `sha256` is that of its version.json and pins it."""

    version: Version
    sha256: str


class VersionStore:
    """The versions below one folder, for one writer at a time; a second one is refused when it commits."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")

    def address(self, number: int, name: str = "version.json") -> str:
        return f"{self._uri}/versions/{number:05}/{name}"

    def numbers(self) -> list[int]:
        """Of all versions, ascending. Raises ArtifactError."""
        found = (_COMMITTED.match(name) for name in artifactstore.names(f"{self._uri}/versions"))
        return sorted(int(match[1]) for match in found if match)

    def read(self, number: int) -> Stored:
        """Raises ArtifactError, DatasetError (it is no version, or another one)."""
        uri = self.address(number)
        content = artifactstore.read_bytes(uri, limit=DOCUMENT_LIMIT)
        version = versions.parse(content, uri)
        if version.number != number:
            raise DatasetError(f"{uri} says that it is version {version.number}; copy whole folders only")
        return Stored(version, hashlib.sha256(content).hexdigest())

    def images(self, version: Version) -> dict[str, Image]:
        """All images of a version by their digests, with its holdout's and those set aside.

        Raises ArtifactError (DigestMismatch, ...), DatasetError.
        """
        parts = (version, version.holdout, version.aside)
        return {image.sha256: image for part in parts if part is not None for image in self._list(part)}

    def add_image(self, sha256: str, suffix: str, content: bytes) -> None:
        """Raises ArtifactError."""
        self._create(content, f"{self._uri}/images/{sha256}{suffix}")

    def commit(self, version: Version, manifests: Mapping[str, bytes]) -> None:
        """Writes the manifests (by name) and then, if nobody else was first, the version.

        Raises ArtifactError; AlreadyExists where another writer has made a version of this number.
        """
        for name, content in manifests.items():
            self._create(content, self.address(version.number, name))
        artifactstore.put_bytes(version.encoded(), self.address(version.number))
        self.complete(version)

    def complete(self, version: Version) -> None:
        """Writes holdout.json, which follows from version.json, where a writer was killed before it.

        Raises ArtifactError.
        """
        if version.holdout is not None:
            self._create(version.holdout.encoded(), self.address(version.number, "holdout.json"))

    def _create(self, content: bytes, uri: str) -> None:
        """What lies there already has the same content, since the name tells it."""
        try:
            artifactstore.put_bytes(content, uri)
        except ArtifactError as error:
            if error.reason != "AlreadyExists":
                raise

    def _list(self, version: Version) -> list[Image]:
        pinned = version.manifest
        uri = self.address(version.number, pinned.name)
        with tempfile.TemporaryDirectory() as folder:
            listed = Path(folder) / "manifest.jsonl"
            artifactstore.fetch_file(uri, listed, sha256=pinned.sha256, size=pinned.size)
            return list(read_manifest(version, listed, self.address(version.number)))
