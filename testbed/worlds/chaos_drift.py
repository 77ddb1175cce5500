"""An episode of drift as a story of chaos: from the figures in Prometheus to the version that was trained for it.

The figures of a namespace's Rollout are recorded beforehand, those of hours; a real Prometheus has them. Its stable
version is said to have been promoted before them, as in a namespace that was moved here. All else happens now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from modelfleet.api import names
from modelfleet.times import wire_time
from worlds.chaos_stories import Json, Places, Seen, Story, all_of, retraining_template, rollout_of, versions
from worlds.recording import START, TIMID, Node, Prometheus, programs, record, serve

BEHIND = timedelta(hours=6, minutes=30)
"""For how long the version has been stable when the story begins: the whole baseline, and what is compared with it."""

_LASTING = timedelta(hours=2)
_AHEAD = timedelta(minutes=50)  # figures go on while the story does
_SCRAPED = timedelta(minutes=1)

_DRIFT: Json = {
    "window": "1h",
    "baseline": "3h",
    "sustain": "30m",
    "retrain": {"template": retraining_template()},
}


def _ended(seen: Seen) -> bool:
    """What was trained for the drift is stable, and has a watch of its own."""
    watched = (seen.status("Rollout", "line").get("drift") or {}).get("version")
    return seen.is_at("line-r1") and watched == "line-r1"


def story(now: datetime) -> Story:
    """It can begin at `now`, for which the figures were recorded, and for some minutes."""
    return Story(
        act=rollout_of(None, drift=_DRIFT),
        ended=_ended,
        begin=all_of(versions("v1", formats=("onnx", "pytorch")), rollout_of(None)),
        begun=lambda seen: seen.is_at("v1"),
        prepare=lambda places, namespaces: _age(places, namespaces, now),
    )


@contextmanager
def recorded(namespaces: Iterable[str], now: datetime, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that has the figures of v1 in each of these namespaces, drifting for the last two hours."""
    begins = (now - BEHIND - START).total_seconds()
    onset = (now - _LASTING - START).total_seconds()
    nodes = [
        Node(
            "edge",
            "fleet",
            "v1",
            every=_SCRAPED.total_seconds(),
            born=begins,
            later=(onset, TIMID),
            rate=1.0,
            per_frame=4.0,
            labels={"namespace": namespace},
        )
        for namespace in namespaces
    ]
    record({"line": nodes}, now + _AHEAD - START, folder / "openmetrics.txt")
    with serve(programs()["cluster"], folder / "openmetrics.txt", folder) as running:
        yield running


def _age(places: Places, namespaces: Sequence[str], now: datetime) -> None:
    """Say that what is stable there was promoted before its figures begin. The status says otherwise, and is wiped."""
    seen = places.look()
    places.apply_all(_older(each, now - BEHIND) for namespace in namespaces for each in _promoted(seen[namespace]))
    places.wipe_status(namespaces)


def _promoted(seen: Seen) -> Iterator[Json]:
    for each in seen.of("ControllerRevision"):
        if names.PROMOTED_AT in (each["metadata"].get("annotations") or {}):
            yield each


def _older(revision: Json, promoted: datetime) -> Json:
    """Applied as a whole: of a patch, the API server would say that the data can't change."""
    metadata = {
        "name": revision["metadata"]["name"],
        "namespace": revision["metadata"]["namespace"],
        "annotations": {names.PROMOTED_AT: wire_time(promoted)},
    }
    kept = {key: revision[key] for key in ("apiVersion", "kind", "revision", "data")}
    return {**kept, "metadata": metadata}


def told(seen: Seen) -> bool:
    """Whether the training is known to more than its TrainingJob: on the ControllerRevision."""
    notes = [each["metadata"].get("annotations") or {} for each in seen.of("ControllerRevision")]
    return bool(seen.get("TrainingJob", "line-r1")) and any(f"{names.GROUP}/retrainings" in each for each in notes)


def held(seen: Seen) -> bool:
    """Whether no other one is made, since the first was deleted."""
    drift = seen.status("Rollout", "line").get("drift") or {}
    return (drift.get("retrain") or {}).get("reason") == "TrainingDeleted"
