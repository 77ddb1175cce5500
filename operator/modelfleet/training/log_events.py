"""Reads the trainer's event lines: how far the run is. Pure.

A line that is no event, or an event with figures that make no sense, is passed over: progress is for display, and
nothing depends on it. Unlike the result, it may come from a trainer of another release.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, get_args

from pydantic import ValidationError

from modelfleet.api import ClassChanges, Progress, TrackedRun, parse_decimal
from modelfleet.api.foreign import parsed
from modelfleet.api.modelversion import MetricName

_AFTER_TRAINING = frozenset({"evaluating", "uploading", "detail"})
_MAX_REMAINING = timedelta(hours=99_999)
_MAX_METRICS = 64


@dataclass(frozen=True)
class Start:
    """What a run began with: the share of its weights that was its parent's, what became of the parent's classes, what
    was found in the checkpoint that stands for a parent (not checked yet), and its figures after one epoch. All of
    it is gone from the log of an attempt that resumed.
    """

    loaded_share: Decimal | None = None
    class_changes: ClassChanges | None = None
    first_epoch: Mapping[str, str] | None = None
    checkpoint: Any = None


@dataclass(frozen=True)
class Followed:
    """What the event lines of one pod say.

    progress      of the newest epoch
    resumed_from  the epoch that the pod went on from, where it resumed
    fresh         it said that it starts from the beginning
    evaluating    training is over: it evaluates or uploads
    warning       the newest warning
    data          what it says of the data (of the holdout too): what was left out and why; None where it did not get
                  so far, or its log no longer has it
    tracking      where experiment trackers show the run
    start         what the run began with
    """

    progress: Progress | None = None
    resumed_from: int | None = None
    fresh: bool = False
    evaluating: bool = False
    warning: str | None = None
    data: tuple[str, ...] | None = None
    tracking: TrackedRun | None = None
    start: Start = Start()


def read(lines: Iterable[str]) -> Followed:
    """What the lines say, oldest first."""
    progress: Progress | None = None
    resumed_from: int | None = None
    fresh = False
    evaluating = False
    warning: str | None = None
    data: dict[str, tuple[str, ...]] = {}
    tracked: dict[str, Any] = {}
    weights: Mapping[str, Any] = {}
    first: Mapping[str, str] | None = None
    for event in _events(lines):
        match event["event"]:
            case "epoch":
                progress = _progress(event) or progress
                if progress is not None and progress.epoch == 1:
                    first = first_metrics(progress.metrics)
                # on every one of them: of a long run the log's end alone is kept
                resumed_from = _epoch(event.get("resumedFromEpoch"), resumed_from)
                evaluating = False
            case "resumed":
                resumed_from = _epoch(event.get("resumedFromEpoch"), resumed_from)
                # a pod that died may have been further; what it did since is done again
                progress = _progress({**event, "epoch": event.get("resumedFromEpoch")}) or progress
            case "weights":
                fresh, weights = True, event
            case "warning":
                warning = str(event.get("message") or "") or warning
            case "dataset" | "holdout" as what:
                data[what] = _texts(event.get("warnings"))
            case "tracking":
                tracked[str(event.get("tracker"))] = event.get("url")
            case name if name in _AFTER_TRAINING:
                evaluating = True
    told = tuple(text for texts in data.values() for text in texts) if data else None
    start = _start(weights, first)
    return Followed(progress, resumed_from, fresh, evaluating, warning, told, _tracking(tracked), start)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str) and text) if isinstance(value, list) else ()


def _events(lines: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    for line in lines:
        try:
            event = parsed(line)
        except ValueError:  # not one of ours, or cut by a log rotation
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            yield event


def _progress(event: Mapping[str, Any]) -> Progress | None:
    epoch, epochs = event.get("epoch"), event.get("epochs")
    if not _count(epoch) or not _count(epochs):
        return None
    percent = event.get("percent")
    if not _count(percent):
        percent = 100 * int(epoch or 0) // max(int(epochs or 0), 1)
    try:
        return Progress(
            epoch=epoch,
            epochs=epochs,
            percent=min(100, int(percent or 0)),
            remaining=_remaining(event.get("remainingSeconds")),
            best_epoch=_epoch(event.get("bestEpoch"), None),
            metrics=_metrics(event.get("metrics")),
        )
    except ValidationError:
        return None


def _start(weights: Mapping[str, Any], first: Mapping[str, str] | None) -> Start:
    try:
        share = parse_decimal(weights.get("loadedShare"))
    except ValueError:
        share = None
    return Start(share, class_changes(weights.get("classChanges")), first, weights.get("checkpoint"))


def class_changes(value: Any) -> ClassChanges | None:
    """The trainer's report of them, where it is as it should be."""
    try:
        return ClassChanges.model_validate(value)
    except ValidationError:
        return None


def first_metrics(value: Any) -> dict[str, str]:
    """The figures that say what a model is worth, without those of its training."""
    return {name: figure for name, figure in _metrics(value).items() if name in get_args(MetricName)}


def _tracking(urls: Mapping[str, Any]) -> TrackedRun | None:
    found = TrackedRun()
    for tracker in TrackedRun.model_fields.keys() & urls.keys():
        try:
            found = found.replace(**{tracker: urls[tracker]})
        except ValidationError:
            continue
    return None if found == TrackedRun() else found


def _count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9 and value == int(value)


def _remaining(value: Any) -> timedelta | None:
    """Whole seconds: fractions would make every status differ from the last."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return min(timedelta(seconds=round(min(value, 1e9))), _MAX_REMAINING)


def _metrics(value: Any) -> dict[str, str]:
    """Figures that are finite numbers; others (a NaN loss) are left out."""
    found: dict[str, str] = {}
    if not isinstance(value, Mapping):
        return found
    for name, figure in value.items():
        try:
            found[str(name)] = f"{parse_decimal(figure):f}"
        except ValueError:
            continue
    return dict(list(found.items())[:_MAX_METRICS])


def _epoch(value: Any, default: int | None) -> int | None:
    return int(value) if _count(value) else default
