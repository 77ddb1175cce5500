"""How well a deployed model does, by the frames of the random sample that people have reviewed. Pure.

Only the sample counts: its frames were drawn with a probability that is known. Images that were captured because the
model was unsure would make it look worse than it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from detectiondata.captures import Capture
from detectiondata.matching import match
from detectiondata.ratio import Estimate, Floats, estimate
from detectiondata.version import Box
from labeler.calibration import Calibration, calibrate
from labeler.settings import Deployed

LEAST_FRAMES = 20  # below, nothing is said
RECENT = timedelta(days=28)  # before the newest frame: what was found earlier hides what has changed since
ENOUGH = 200  # frames; where those of RECENT are fewer, older ones count as well
WORST = 10  # classes named
_LEAST_OF_CLASS = 10  # frames with an object or a detection of a class, for it to be named


@dataclass(frozen=True)
class Reviewed:
    """A captured frame and what people found on it."""

    capture: Capture
    objects: tuple[Box, ...]

    def of(self, classes: Sequence[str]) -> Reviewed:
        """Of these classes: whether a detection of another is right, nobody was asked."""
        found = tuple(each for each in self.capture.detections if each.label in classes)
        objects = tuple(box for box in self.objects if box.label in classes)
        return Reviewed(replace(self.capture, detections=found), objects)


@dataclass(frozen=True)
class ClassFigures:
    """Of one class; `frames` have an object or a detection of it. None where there is nothing to divide by; no interval
    where too few node-days show it."""

    name: str
    precision: float | None
    recall: float | None
    frames: int
    precision_interval: Estimate | None = None
    recall_interval: Estimate | None = None

    @property
    def lower(self) -> float:
        return min((value for value in (self.precision, self.recall) if value is not None), default=1.0)


@dataclass(frozen=True)
class Figures:
    """`precision`, `recall` and `calibration` are None where the review does not suffice to say them.

    `other_thresholds` are frames of the same time that count for the calibration alone: they were captured with another
    CONFIDENCE, or IOU, and what the model would have found with those of now isn't known of them.
    """

    version: str
    frames: int
    node_days: int
    precision: Estimate | None
    recall: Estimate | None
    worst: tuple[ClassFigures, ...]
    calibration: Calibration | None
    other_thresholds: int = 0


def judge(reviewed: Iterable[Reviewed], deployed: Sequence[Deployed]) -> Figures | None:
    """Of the deployed version that most frames were reviewed of (the first of several), by the newest of them; None for
    no frame at all."""
    by_model: dict[str, list[Reviewed]] = {each.sha256: [] for each in deployed}
    for frame in reviewed:
        if frame.capture.weight is not None and frame.capture.model_sha256 in by_model:
            by_model[frame.capture.model_sha256].append(frame)
    best = max(deployed, key=lambda each: len(by_model[each.sha256]), default=None)
    if best is None or not by_model[best.sha256]:
        return None
    frames = by_model[best.sha256]
    recent, found = _newest(frames), as_now(frames)
    return replace(
        figures(best.version, _newest([frame for frame in found if frame is not None])),
        # each bucket has its own precision: what is missing of others, or was cut, leaves it as it is
        calibration=_Tally(recent, [0] * len(recent)).calibration(),
        other_thresholds=sum(
            now is None and _order(frame) >= _order(recent[0]) for frame, now in zip(frames, found, strict=True)
        ),
    )


def as_now(frames: Sequence[Reviewed]) -> list[Reviewed | None]:
    """What each frame would be with the thresholds of now, those of the newest frame of its Rollout and group;
    None where that is not known. As they are, they would make precision and recall those of a model that nobody runs.

    From what was found with a lower CONFIDENCE it is known; of a frame that was captured with a higher one nobody knows
    what was below, and with another IOU nobody knows what was suppressed: these are left out. By the settings alone,
    which nothing on the frames decides: what stays is a random sample as before.
    """
    newest: dict[tuple[str, str], Capture] = {}
    for each in sorted(frames, key=_order):
        newest[each.capture.key.rollout, each.capture.group] = each.capture
    return [_with(frame, newest[frame.capture.key.rollout, frame.capture.group]) for frame in frames]


def _with(frame: Reviewed, now: Capture) -> Reviewed | None:
    if frame.capture.iou != now.iou or frame.capture.confidence > now.confidence:
        return None
    if frame.capture.confidence == now.confidence:
        return frame
    found = tuple(each for each in frame.capture.detections if each.confidence > now.confidence)
    return replace(frame, capture=replace(frame.capture, confidence=now.confidence, detections=found))


def figures(version: str, frames: Sequence[Reviewed]) -> Figures:
    """Of frames of the sample, at least one."""
    node_days = sorted({frame.capture.node_day for frame in frames})
    numbers = {node_day: number for number, node_day in enumerate(node_days)}
    cluster = [numbers[frame.capture.node_day] for frame in frames]
    tally = _Tally(frames, cluster)
    enough = len(frames) >= LEAST_FRAMES
    right = _column(tally.right)
    return Figures(
        version=version,
        frames=len(frames),
        node_days=len(node_days),
        precision=estimate(right, _column(tally.detected), tally.weight, cluster) if enough else None,
        recall=estimate(right, _column(tally.present), tally.weight, cluster) if enough else None,
        worst=tally.worst() if enough else (),
        calibration=tally.calibration(),
    )


def _newest(frames: Sequence[Reviewed]) -> Sequence[Reviewed]:
    """Those of the last four weeks; as many older ones as ENOUGH takes. By the time alone, which nothing on the frames
    decides: so they are a random sample as all of them are."""
    ordered = sorted(frames, key=_order)
    since = ordered[-1].capture.key.at - RECENT
    recent = sum(frame.capture.key.at > since for frame in ordered)
    return ordered[-max(recent, ENOUGH) :]


def _order(frame: Reviewed) -> tuple[datetime, str]:
    return frame.capture.key.at, frame.capture.key.text


class _Tally:
    """Frame by frame and class by class: objects that are there, detections, and those of them that are right."""

    def __init__(self, frames: Sequence[Reviewed], cluster: Sequence[int]) -> None:
        self._cluster = cluster
        self.right: list[Counter[str]] = []
        self.detected: list[Counter[str]] = []
        self.present: list[Counter[str]] = []
        self._detections: list[tuple[float, float, float]] = []  # confidence, right, weight
        self.weight = np.array([_weight(frame.capture) for frame in frames])
        for frame, weight in zip(frames, self.weight.tolist(), strict=True):
            found = frame.capture.detections
            hits = [taken is not None for taken in match(found, frame.objects)]
            self.right.append(Counter(each.label for each, hit in zip(found, hits, strict=True) if hit))
            self.detected.append(Counter(each.label for each in found))
            self.present.append(Counter(box.label for box in frame.objects))
            self._detections += [(each.confidence, float(hit), weight) for each, hit in zip(found, hits, strict=True)]

    def calibration(self) -> Calibration | None:
        if not self._detections:
            return None
        confidence, right, weight = np.array(self._detections).T
        return calibrate(confidence, right, weight)

    def worst(self) -> tuple[ClassFigures, ...]:
        names = sorted({name for counts in (*self.detected, *self.present) for name in counts})
        of_all = [self._of_class(name) for name in names]
        known = [each for each in of_all if each.frames >= _LEAST_OF_CLASS]
        return tuple(sorted(known, key=lambda each: (each.lower, each.name))[:WORST])

    def _of_class(self, name: str) -> ClassFigures:
        right, detected, present = (
            np.array([counts[name] for counts in column], dtype=float)
            for column in (self.right, self.detected, self.present)
        )
        frames = int(np.count_nonzero(detected + present))
        return ClassFigures(
            name,
            self._share(right, detected),
            self._share(right, present),
            frames,
            estimate(right, detected, self.weight, self._cluster),
            estimate(right, present, self.weight, self._cluster),
        )

    def _share(self, part: Floats, whole: Floats) -> float | None:
        total = float(self.weight @ whole)
        return float(self.weight @ part) / total if total else None


def _weight(capture: Capture) -> float:
    """For how many frames this one stands."""
    assert capture.weight is not None  # of the sample only
    return capture.weight


def _column(counts: Iterable[Counter[str]]) -> Floats:
    return np.array([count.total() for count in counts], dtype=float)
