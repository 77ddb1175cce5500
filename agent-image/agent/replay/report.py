"""What a replay found, as the termination message: one JSON object of at most LIMIT bytes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent.capture.sidecar import timestamp
from agent.replay.compare import Quality, Reviewed, Share
from agent.replay.run import Outcome

LIMIT = 4000  # bytes; the kubelet takes 4096
CLASSES = 10
NOTES = 5
_NOTE_LIMIT = 400  # characters

# What is cut where the whole is too long, a step at a time: (member, how many of its entries stay).
_CUTS = (("notes", 2), ("perClass", 5), ("notes", 1), ("perClass", 0), ("notes", 0))


def document(outcome: Outcome) -> dict[str, Any]:
    """Shares are decimal strings, as in the API."""
    found = outcome.comparison
    return {
        "result": "Replayed",
        "frames": found.frames,
        "nodeDays": found.node_days,
        "oldest": timestamp(outcome.oldest),
        "agreement": _share(found.agreement),
        "perClass": [
            {
                "name": each.name,
                "both": each.both,
                "onlyStable": each.only_stable,
                "onlyCandidate": each.only_candidate,
            }
            for each in found.per_class[:CLASSES]
        ],
        "reviewed": None if found.reviewed is None else _reviewed(found.reviewed),
        "disagreements": len(found.disagreements),
        "notes": [
            note if len(note) <= _NOTE_LIMIT else note[: _NOTE_LIMIT - 1] + "…" for note in outcome.notes[:NOTES]
        ],
    }


def render(message: Mapping[str, Any]) -> bytes:
    """At most LIMIT bytes: notes and classes are cut, the figures stay."""
    cut = dict(message)
    data = _encoded(cut)
    for member, kept in _CUTS:
        if len(data) > LIMIT:
            cut[member] = cut[member][:kept]
            data = _encoded(cut)
    return data


def _reviewed(found: Reviewed) -> dict[str, Any]:
    return {
        "frames": found.frames,
        "stable": _quality(found.stable),
        "candidate": _quality(found.candidate),
        "inFavour": found.in_favour,
        "against": found.against,
        "favour": _share(found.favour),
    }


def _quality(found: Quality) -> dict[str, str | None]:
    return {"precision": _decimal(found.precision), "recall": _decimal(found.recall)}


def _share(found: Share | None) -> dict[str, str | None] | None:
    if found is None:
        return None
    return {"value": _decimal(found.value), "low": _decimal(found.low), "high": _decimal(found.high)}


def _decimal(value: float | None) -> str | None:
    """ "0.91"; "0" for nothing."""
    if value is None:
        return None
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"


def _encoded(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")
