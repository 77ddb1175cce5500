"""The captured frames that are compared: chosen, read and verified. What can't be used is named and left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import cv2
import numpy as np

import artifactstore
from agent.replay.choose import READ_LIMIT, Turns
from agent.replay.settings import Replay
from agent.serve.detector import Image
from agent.termination import Refused
from artifactstore import ArtifactError
from detectiondata import captures
from detectiondata.captures import Capture
from detectiondata.problems import Problem

_READERS = 4  # images side by side: some may be large
_OF_AN_IMAGE = {"NotFound": "images that are gone", "DigestMismatch": "images that are not what was captured"}


@dataclass(frozen=True)
class Chosen:
    """The newest sampled captures, spread over the nodes."""

    captures: Sequence[Capture]
    problems: list[Problem] = field(default_factory=list)


def choose(replay: Replay, now: datetime) -> Chosen:
    """Raises Refused NoCaptures, and what keeps the store from being read."""
    place = f"{replay.captures}/{replay.rollout}"
    try:
        names = (f"{replay.rollout}/{entry.name}" for entry in artifactstore.scan(place))
        keys, problems = captures.pair(names, now)
        turns = Turns(keys)
        sampled: list[Capture] = []
        for found in captures.read(replay.captures, turns):
            if isinstance(found, Problem):
                problems.append(found)
            elif found.sample is not None:
                turns.found(found.key.node)
                sampled.append(found)
                if len(sampled) >= replay.frames:
                    break
    except ArtifactError as error:
        raise Refused(error.reason, error.message) from error
    if not sampled:
        raise Refused("NoCaptures", _none(place, len(keys), turns.read))
    return Chosen(sampled, problems)


def pictures(replay: Replay, chosen: Chosen) -> Iterator[tuple[Capture, Image]]:
    """Raises Refused where the store can't be read."""

    def one(capture: Capture) -> Image | Problem:
        try:
            uri = f"{replay.captures}/{capture.key.image}"
            content = artifactstore.read_bytes(uri, limit=capture.size, sha256=capture.sha256)
        except ArtifactError as error:
            if error.reason not in (*_OF_AN_IMAGE, "Unsupported"):
                raise
            return Problem(_OF_AN_IMAGE.get(error.reason, "images that are too large"), capture.key.image, "")
        return _decoded(content, capture)

    found = artifactstore.in_parallel(one, chosen.captures, workers=_READERS)
    try:
        for capture, image in zip(chosen.captures, found, strict=True):
            if isinstance(image, Problem):
                chosen.problems.append(image)
            else:
                yield capture, image
    except ArtifactError as error:
        raise Refused(error.reason, error.message) from error


def _decoded(content: bytes, capture: Capture) -> Image | Problem:
    """As it is stored: boxes of the labels are in its pixels, whatever orientation it says it was taken in."""
    unreadable = Problem("images that can't be read", capture.key.image, "")
    try:
        flags = cv2.IMREAD_COLOR_BGR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return unreadable
    if image is None or image.shape[:2] != (capture.height, capture.width):
        return unreadable
    return image.astype(np.uint8, copy=False)


def _none(place: str, captured: int, read: int) -> str:
    if not captured:
        return (
            f"{place} holds no captured frames: set spec.delivery.capture of the Rollout with its `sample`, wait until "
            "its nodes have sent some, and check that the Job reads the same destination"
        )
    most = f"the {read} newest of {captured}" if read >= READ_LIMIT else f"{captured}"
    return (
        f"none of {most} captured frames in {place} was drawn by the random sample: set `sample` in "
        "spec.delivery.capture of the Rollout, and replay once its nodes have sent some"
    )
