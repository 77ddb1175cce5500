"""Writes the next dataset version: images first, then what names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import artifactstore
from artifactstore import ArtifactError
from detectiondata import version as format
from detectiondata.captures import IMAGE_LIMIT
from detectiondata.picture import read_picture
from detectiondata.problems import Problem
from detectiondata.version import Image
from detectiondata.version_store import Stored, VersionStore
from labeler.update import Next

_THUMB = 8  # read_picture tells sizes to an eighth


def bring_images(captures: str, store: VersionStore, before: Mapping[str, Image], found: Next) -> Next:
    """`found` with all its new images in the store, less those that can't be used.

    An image that can't be read would stop every training, so each is decoded once. Raises ArtifactError.
    """

    def bring(image: Image) -> Problem | None:
        key = str(image.capture["key"])
        try:
            content = artifactstore.read_bytes(
                artifactstore.join(captures, key), limit=IMAGE_LIMIT, sha256=image.sha256
            )
        except ArtifactError as error:
            if error.reason not in ("NotFound", "DigestMismatch", "Unsupported"):
                raise
            kinds = {"NotFound": "images that are gone", "DigestMismatch": "images that are not what was captured"}
            return Problem(kinds.get(error.reason, "images that are too large"), key, "")
        if not _is_sound(content, image):
            return Problem("images that can't be read", key, "cut short, no picture, or of another size than captured")
        store.add_image(image.sha256, image.suffix, content)
        return None

    new = [image for digest, image in sorted(found.images.items()) if digest not in before]
    problems = dict(zip((image.sha256 for image in new), artifactstore.in_parallel(bring, new), strict=True))
    left_out = {digest for digest, problem in problems.items() if problem is not None}
    return replace(
        found,
        images={digest: image for digest, image in found.images.items() if digest not in left_out},
        changed={digest: image for digest, image in found.changed.items() if digest not in left_out},
        problems=(*found.problems, *(problem for problem in problems.values() if problem is not None)),
    )


def write(
    store: VersionStore,
    latest: Stored | None,
    before: Mapping[str, Image],
    images: Mapping[str, Image],
    classes: tuple[str, ...],
    now: datetime,
) -> Stored:
    """The version that holds `images`. Raises ArtifactError; AlreadyExists where another labeler was first."""
    manifests: dict[str, bytes] = {}

    def part(piece: format.Piece) -> format.Version:
        content, described = format.describe(
            [image for image in images.values() if image.piece == piece],
            {digest: image for digest, image in before.items() if image.piece == piece},
            classes,
            piece,
            number=1 if latest is None else latest.version.number + 1,
            parent=None if latest is None else (latest.version.number, latest.sha256),
            created_at=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        )
        manifests[described.manifest.name] = content
        return described

    pieces = {image.piece for image in images.values()}
    version = replace(
        part("dataset"),
        holdout=part("holdout") if "holdout" in pieces else None,
        aside=part("aside") if "aside" in pieces else None,
    )
    store.commit(version, manifests)
    return Stored(version, version.sha256)


def _is_sound(content: bytes, image: Image) -> bool:
    if len(content) != image.size:
        return False
    picture = read_picture(content)
    return picture is not None and all(
        abs(thumb * _THUMB - length) < _THUMB
        for thumb, length in zip(picture.thumb, (image.width, image.height), strict=True)
    )
