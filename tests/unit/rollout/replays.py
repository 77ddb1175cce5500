"""Replays for the tests: a spec that asks for one, the agent's last word, and Jobs as the API server has them."""

import json
from collections.abc import Mapping
from typing import Any

from unit.rollout.builders import wire
from unit.rollout.positions import NOW

CAPTURE = {"capture": {"destination": "s3://captures/line/", "credentialsSecret": "captures-write"}}
NAME = "replay-line-90a2f1c5ab"

FOUND = {
    "result": "Replayed",
    "frames": 200,
    "nodeDays": 34,
    "oldest": "2026-11-19T06:12:01.000Z",
    "agreement": {"value": "0.91", "low": "0.88", "high": "0.93"},
    "perClass": [{"name": "nut", "both": 210, "onlyStable": 4, "onlyCandidate": 31}],
    "reviewed": {
        "frames": 60,
        "stable": {"precision": "0.9", "recall": "0.82"},
        "candidate": {"precision": "0.89", "recall": "0.996"},
        "inFavour": 17,
        "against": 5,
        "favour": {"value": "0.77", "low": "0.55", "high": "0.9"},
    },
    "disagreements": 29,
    "notes": ["left out: images that are gone: 1"],
}
NO_CAPTURES = json.dumps({"reason": "NoCaptures", "message": "none of 3 captured frames is of the sample"})
ABSENT = object()


def word(**changes: Any) -> str:
    """The agent's last word; what is ABSENT is left out."""
    return json.dumps({name: value for name, value in (FOUND | changes).items() if value is not ABSENT})


def condition(type: str, at: Any = NOW, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": type, "status": "True", "lastTransitionTime": wire(at), "reason": reason, "message": message}


def raw_job(name: str = NAME, *, created: Any = NOW, end: Mapping[str, Any] | None = None, **metadata: Any) -> Any:
    """A raw Job of v1 and v2, as it is after its `end`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "namespace": "factory",
            "creationTimestamp": wire(created),
            "annotations": {"modelfleet.dev/replay-stable": "v1", "modelfleet.dev/replay-candidate": "v2"},
            **metadata,
        },
        "status": {} if end is None else {"conditions": [end]},
    }


def raw_pod(exit_code: int | None = None, said: str = "", why: str = "", *, created: Any = NOW, **status: Any) -> Any:
    """Its raw pod: it runs, or has ended with these last words."""
    state: Any = {"running": {}}
    if exit_code is not None:
        state = {"terminated": {"exitCode": exit_code, "message": said, "reason": why}}
    return {
        "metadata": {"name": "replay-x", "creationTimestamp": wire(created)},
        "status": {"phase": "Running", "containerStatuses": [{"name": "replay", "state": state}], **status},
    }
