"""Reading the files of a dataset version, one image at a time. Needs nothing beyond Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from detectiondata import version as versions
from detectiondata.version import Image, Version

DOCUMENT_LIMIT = 4 << 20  # bytes of a version.json: some names and counts


def read_manifest(version: Version, listed: Path, uri: str) -> Iterator[Image]:
    """The images of a manifest, one at a time. Raises DatasetError that names the line."""
    with listed.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            where = f"{uri}: {version.manifest.name}, line {number},"
            yield versions.parse_line(text, version.classes, version.piece, where)
