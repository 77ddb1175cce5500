"""Reads the last word of `agent replay`, its termination message. Pure.

It came out of a pod and is checked before it is believed: it counts only where all of it is as it should be.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelfleet.api.foreign import first_error, parsed
from modelfleet.api.reasons import Reason
from modelfleet.api.replay import ReplayEstimate, ReplayFound
from modelfleet.workloads.last_words import Failed, camel_case, excerpt, readable

_MEMBERS = ("frames", "nodeDays", "oldest", "agreement", "perClass", "reviewed", "disagreements", "notes")
_LISTS = ("perClass", "notes")


def parse(text: str) -> ReplayFound | Failed | str:
    """The termination message of the container; as text, why it makes no sense."""
    if not text.strip():
        return "the agent left no termination message"
    try:
        value = parsed(text)
    except ValueError:
        return f"the agent's termination message is not valid JSON: {excerpt(text)}"
    match value:
        case {"result": "Replayed"}:
            return _found(value)
        case {"reason": str(reason), "message": str(message)}:
            return Failed(camel_case(reason, Reason.REPLAY_FAILED), readable(message))
    return f"the agent's termination message says neither what was found nor what failed: {excerpt(text)}"


def _found(value: Mapping[str, Any]) -> ReplayFound | str:
    missing = [name for name in _MEMBERS if name not in value]
    if missing:
        return f"the agent's termination message lacks {', '.join(missing)}"
    for name in _LISTS:
        if not isinstance(value[name], list):
            return f"the agent's termination message is not as it should be: {name} must be a list"
    try:
        # As JSON and strict: true is no number, and "3" is none.
        found = ReplayFound.model_validate_json(json.dumps({name: value[name] for name in _MEMBERS}), strict=True)
    except ValidationError as error:
        return f"the agent's termination message is not as it should be: {first_error(error)}"
    wrong = _contradiction(found)
    return f"the agent's termination message contradicts itself: {wrong}" if wrong else found


def _contradiction(found: ReplayFound) -> str:
    """What can't be, whatever was replayed; empty where all may be so."""
    reviewed = found.reviewed
    if max(found.disagreements, found.node_days, 0 if reviewed is None else reviewed.frames) > found.frames:
        return "some frames are counted more often than there are frames"
    if not _in_order(found.agreement) or (reviewed is not None and not _in_order(reviewed.favour)):
        return "an interval does not hold its figure"
    return ""


def _in_order(estimate: ReplayEstimate | None) -> bool:
    if estimate is None or (estimate.low is None and estimate.high is None):
        return True
    if estimate.low is None or estimate.high is None:
        return False
    return estimate.low <= estimate.value <= estimate.high
