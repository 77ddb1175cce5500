"""Where two versions differ on the same frames, and which is right where people have said what is there. Pure.

Boxes are compared as the evaluation compares boxes with labels: same class, IoU of 0.5 or more, the most confident
choosing first. A frame weighs 1 / its probability in the sample; intervals are by node-days as clusters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from detectiondata.captures import Detection
from detectiondata.matching import match
from detectiondata.ratio import Estimate, Floats, estimate
from detectiondata.version import Box


@dataclass(frozen=True)
class Frame:
    """One frame, and what each version found on it. `objects` is what people said; None where nobody was asked."""

    key: str
    node_day: tuple[str, str]
    probability: float
    stable: Sequence[Detection]
    candidate: Sequence[Detection]
    objects: Sequence[Box] | None = None


@dataclass(frozen=True)
class Share:
    """`low` and `high` hold the true one in 95 of 100 replays; None where too little is known to say so."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class OfClass:
    """Boxes that both versions found, and that only one did."""

    name: str
    both: int
    only_stable: int
    only_candidate: int

    @property
    def disagreeing(self) -> int:
        return self.only_stable + self.only_candidate


@dataclass(frozen=True)
class Quality:
    """None where there is nothing to divide by."""

    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Reviewed:
    """`in_favour` of the candidate is a disagreement in which it was right: an object that only it found, or a false
    box that only stable had. `against` is the reverse. `favour` is the share of the former of both."""

    frames: int
    stable: Quality
    candidate: Quality
    in_favour: int
    against: int
    favour: Share | None


@dataclass(frozen=True)
class Comparison:
    """`agreement` is None where neither version found anything. `disagreements` are keys, most disagreeing first."""

    frames: int
    node_days: int
    agreement: Share | None
    per_class: tuple[OfClass, ...]  # most disagreeing first
    reviewed: Reviewed | None
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class _Paired:
    """Which boxes of a frame only one version found; `both` are the others, once."""

    both: tuple[str, ...]
    only_stable: tuple[int, ...]
    only_candidate: tuple[int, ...]

    @property
    def disagreeing(self) -> int:
        return len(self.only_stable) + len(self.only_candidate)


def compare(frames: Sequence[Frame], judged: frozenset[str]) -> Comparison:
    """`frames` hold boxes of classes that both versions know. `judged` are those of them that people label: of others
    nobody can say who is right."""
    paired = [_pair(frame) for frame in frames]
    order = sorted(
        (number for number, each in enumerate(paired) if each.disagreeing),
        key=lambda number: (-paired[number].disagreeing, frames[number].key),
    )
    return Comparison(
        frames=len(frames),
        node_days=len({frame.node_day for frame in frames}),
        agreement=_share(
            frames, [len(each.both) for each in paired], [len(each.both) + each.disagreeing for each in paired]
        ),
        per_class=_per_class(frames, paired),
        reviewed=_reviewed([_only(frame, judged) for frame in frames if frame.objects is not None]),
        disagreements=tuple(frames[number].key for number in order),
    )


def _pair(frame: Frame) -> _Paired:
    taken = match(frame.stable, frame.candidate)
    return _Paired(
        both=tuple(frame.stable[number].label for number, place in enumerate(taken) if place is not None),
        only_stable=tuple(number for number, place in enumerate(taken) if place is None),
        only_candidate=tuple(sorted(set(range(len(frame.candidate))) - set(taken))),
    )


def _per_class(frames: Sequence[Frame], paired: Sequence[_Paired]) -> tuple[OfClass, ...]:
    both: Counter[str] = Counter()
    stable: Counter[str] = Counter()
    candidate: Counter[str] = Counter()
    for frame, each in zip(frames, paired, strict=True):
        both.update(each.both)
        stable.update(frame.stable[number].label for number in each.only_stable)
        candidate.update(frame.candidate[number].label for number in each.only_candidate)
    found = [OfClass(name, both[name], stable[name], candidate[name]) for name in both | stable | candidate]
    return tuple(sorted(found, key=lambda each: (-each.disagreeing, each.name)))


def _only(frame: Frame, judged: frozenset[str]) -> Frame:
    assert frame.objects is not None
    return Frame(
        frame.key,
        frame.node_day,
        frame.probability,
        [found for found in frame.stable if found.label in judged],
        [found for found in frame.candidate if found.label in judged],
        [box for box in frame.objects if box.label in judged],
    )


def _reviewed(frames: Sequence[Frame]) -> Reviewed | None:
    if not frames:
        return None
    in_favour, against = [], []
    for frame in frames:
        paired = _pair(frame)
        stable, candidate = _right(frame, frame.stable), _right(frame, frame.candidate)
        only_stable = [stable[number] for number in paired.only_stable]
        only_candidate = [candidate[number] for number in paired.only_candidate]
        in_favour.append(only_candidate.count(True) + only_stable.count(False))
        against.append(only_candidate.count(False) + only_stable.count(True))
    return Reviewed(
        frames=len(frames),
        stable=_quality(frames, lambda frame: frame.stable),
        candidate=_quality(frames, lambda frame: frame.candidate),
        in_favour=sum(in_favour),
        against=sum(against),
        favour=_share(frames, in_favour, [sum(pair) for pair in zip(in_favour, against, strict=True)]),
    )


def _right(frame: Frame, found: Sequence[Detection]) -> list[bool]:
    assert frame.objects is not None
    return [place is not None for place in match(found, frame.objects)]


def _quality(frames: Sequence[Frame], of: Callable[[Frame], Sequence[Detection]]) -> Quality:
    weight = _weights(frames)
    right = float(weight @ _column(sum(_right(frame, of(frame))) for frame in frames))
    found = float(weight @ _column(len(of(frame)) for frame in frames))
    there = float(weight @ _column(len(frame.objects or ()) for frame in frames))
    return Quality(precision=right / found if found else None, recall=right / there if there else None)


def _share(frames: Sequence[Frame], part: Sequence[int], whole: Sequence[int]) -> Share | None:
    """Of boxes, weighted."""
    weight, numerator, denominator = _weights(frames), _column(part), _column(whole)
    total = float(weight @ denominator)
    if not total:
        return None
    numbers = {node_day: number for number, node_day in enumerate(sorted({frame.node_day for frame in frames}))}
    found: Estimate | None = estimate(numerator, denominator, weight, [numbers[frame.node_day] for frame in frames])
    if found is None:
        return Share(float(weight @ numerator) / total)
    return Share(found.value, found.low, found.high)


def _weights(frames: Sequence[Frame]) -> Floats:
    return np.array([1 / frame.probability for frame in frames])


def _column(counts: Iterable[int]) -> Floats:
    return np.array(list(counts), dtype=float)
