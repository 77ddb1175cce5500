"""What is written of a pod that is told its work in one variable, runs once, and leaves a last word. Pure.

How such a pod is read again: `job_run` and `last_words`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modelfleet.workloads.env import variable

_LOG = "/dev/termination-log"
_LONGEST = 128 << 10  # bytes of one variable with its name and end (MAX_ARG_STRLEN); a longer one starts no process

Json = dict[str, Any]


def text(document: Mapping[str, Any]) -> str:
    """What a pod is told, as JSON on one line."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def told(name: str, document: Mapping[str, Any]) -> Json:
    """The variable that tells it."""
    return variable(name, text(document))


def excess(name: str, document: Mapping[str, Any]) -> int:
    """By how many bytes that variable is longer than Linux takes; 0 where it fits."""
    return max(0, len(f"{name}={text(document)}".encode()) + 1 - _LONGEST)


def required(metadata: Json, container: str, env: Json, args: Sequence[str] = ()) -> Json:
    """What the operator relies on, to be laid over a pod template whoever wrote it: that the pod runs once, what its
    container is told, and where that leaves its last word. And that nothing in it may speak to the API server: it reads
    data, models and checkpoints of other people. (A template that names a token itself, in a projected volume, has it.)
    """
    speaking: Json = {"env": [env], "terminationMessagePath": _LOG, "terminationMessagePolicy": "File"}
    if args:
        speaking["args"] = list(args)
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [{"name": container, **speaking}],
    }
    return {"metadata": metadata, "spec": spec}
