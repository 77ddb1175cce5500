"""`agent replay`: the stable and the candidate version over the newest sampled frames of all nodes.

It reads captures and models, changes neither, and writes one thing: the list of frames on which the versions disagree,
for people to label. Killed and started again it does the same again.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import artifactstore
from agent.replay import frames, labels
from agent.replay.compare import Comparison, Frame, compare
from agent.replay.labels import Labels
from agent.replay.models import Version
from agent.replay.settings import Replay
from agent.serve.backends.network import InferenceFailed
from agent.termination import Refused
from artifactstore import ArtifactError
from detectiondata import replays
from detectiondata.errors import DatasetError
from detectiondata.problems import Problem, summary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """`oldest` is when the first of the frames was captured. `notes` are sentences, the most important first."""

    comparison: Comparison
    oldest: datetime
    notes: tuple[str, ...]


def run(replay: Replay, now: datetime | None = None) -> Outcome:
    """Raises Refused: NoCaptures where there is nothing to compare, or a reason of artifactstore or of the models."""
    at = now or datetime.now(UTC)
    chosen = frames.choose(replay, at)
    _log.info("%d sampled frames of %s chosen", len(chosen.captures), replay.rollout)
    with tempfile.TemporaryDirectory() as folder:
        stable = Version(replay.stable, replay, Path(folder))
        candidate = Version(replay.candidate, replay, Path(folder))
    said, notes = _labels(replay, {capture.sha256 for capture in chosen.captures})
    compared: list[Frame] = []
    oldest = at
    for capture, image in frames.pictures(replay, chosen):
        assert capture.sample is not None  # frames.choose takes no others
        found = []
        for version in (stable, candidate):
            try:
                found.append(version.detect(image))
            except InferenceFailed as error:
                chosen.problems.append(Problem(f"frames on which {version.name} failed", capture.key.image, str(error)))
        if len(found) == 2:
            compared.append(
                Frame(
                    key=capture.key.image,
                    node_day=capture.node_day,
                    probability=capture.sample.probability,
                    stable=found[0],
                    candidate=found[1],
                    objects=said.of(capture.sha256),
                )
            )
            oldest = min(oldest, capture.key.at)
    if not compared:
        raise Refused("NoCaptures", f"no frame could be compared; left out: {summary(chosen.problems)}")
    comparison = compare(compared, replay.classes & set(said.classes))
    notes = [*_write(replay, comparison, at), *notes, *_unknown_classes(replay)]
    if chosen.problems:
        notes.append(f"left out: {summary(chosen.problems)}")
    return Outcome(comparison, oldest, tuple(notes))


def _labels(replay: Replay, wanted: set[str]) -> tuple[Labels, list[str]]:
    """What people said, and notes. Labels that can't be read cost their part of the result only."""
    if replay.reviewed is None:
        return Labels(), []
    try:
        found = labels.read(replay.reviewed, wanted)
    except (ArtifactError, DatasetError) as error:
        return Labels(), [f"nothing is said by reviewed labels, which can't be read: {error}"]
    if not found.trained_on:
        return found, []
    return found, [f"{found.trained_on} reviewed frames are not in `reviewed`: they are of the part that is trained on"]


def _write(replay: Replay, comparison: Comparison, at: datetime) -> list[str]:
    """The list for the labeler; a note where it could not be written."""
    name = replays.name(replay.rollout, replay.stable.version, replay.candidate.version)
    content = replays.encode(
        replay.rollout,
        replay.namespace,
        replay.stable.version,
        replay.candidate.version,
        at,
        comparison.frames,
        comparison.disagreements,
    )
    try:
        artifactstore.put_bytes(content, f"{replay.captures}/{name}", overwrite=True)
    except ArtifactError as error:
        _log.warning("the list of disagreements was not written: %s", error)
        return [
            "people are not asked about the disagreements, since the list of them could not be written; give the Job "
            f"rights to write below replay/ in the captures: {error}"
        ]
    return []


def _unknown_classes(replay: Replay) -> list[str]:
    sides = ((replay.stable, replay.candidate), (replay.candidate, replay.stable))
    return [
        f"not compared, since only {one.version} knows them: {', '.join(extra)}"
        for one, other in sides
        if (extra := [name for name in one.classes if name not in other.classes])
    ]
