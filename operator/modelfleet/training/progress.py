"""Reads the trainer's event lines: how far the run is. Pure.

A line that is no event, or an event with figures that make no sense, is passed over: progress is for display, and
nothing depends on it. Unlike the result, it may come from a trainer of another release.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from modelfleet.api import Progress, parse_decimal

_AFTER_TRAINING = frozenset({"evaluating", "uploading", "detail"})
_MAX_REMAINING = timedelta(hours=99_999)
_MAX_METRICS = 64


@dataclass(frozen=True)
class Followed:
    """What the event lines of one pod say.

    progress      of the newest epoch
    resumed_from  the epoch that the pod went on from, where it resumed
    evaluating    training is over: it evaluates or uploads
    warning       the newest warning
    """

    progress: Progress | None = None
    resumed_from: int | None = None
    evaluating: bool = False
    warning: str | None = None


def read(lines: Iterable[str]) -> Followed:
    """What the lines say, oldest first."""
    progress: Progress | None = None
    resumed_from: int | None = None
    evaluating = False
    warning: str | None = None
    for event in _events(lines):
        match event["event"]:
            case "epoch":
                progress = _progress(event) or progress
                evaluating = False
            case "started" | "resumed":
                resumed_from = _epoch(event.get("resumedFromEpoch"), resumed_from)
            case "warning":
                warning = str(event.get("message") or "") or warning
            case name if name in _AFTER_TRAINING:
                evaluating = True
    return Followed(progress, resumed_from, evaluating, warning)


def _events(lines: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
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
            metrics=_metrics(event.get("metrics")),
        )
    except ValidationError:
        return None


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
