"""Reads the labeler's last word, its termination message. Pure.

It came out of a pod and is checked before it is believed: it counts only where all of it is as the status has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelfleet.api import DatasetStatus
from modelfleet.api.foreign import first_error, parsed
from modelfleet.api.reasons import Reason
from modelfleet.workloads.last_words import Failed, camel_case, excerpt, readable

_REQUIRED = ("waiting", "inReview", "reviewed", "latest")
_LISTS = ("perClass", "versions", "notes")
_OPTIONAL = ("pending", "editedShare", "review", *_LISTS)


@dataclass(frozen=True)
class Report:
    """What a sync found. `given` are the fields of `found` that the labeler spoke of; the others did not fit."""

    found: DatasetStatus
    given: frozenset[str]


def parse(text: str) -> Report | Failed | str:
    """The termination message of the container; as text, why it makes no sense."""
    if not text.strip():
        return "the labeler left no termination message"
    try:
        value = parsed(text)
    except ValueError:
        return f"the labeler's termination message is not valid JSON: {excerpt(text)}"
    match value:
        case {"result": "Succeeded"}:
            return _report(value)
        case {"result": "Failed", "reason": str(reason), "message": str(message)}:
            return Failed(camel_case(reason, Reason.SYNC_FAILED), readable(message))
    return f"the labeler's termination message says neither what was found nor what failed: {excerpt(text)}"


def _report(value: Mapping[str, Any]) -> Report | str:
    missing = [name for name in _REQUIRED if name not in value]
    if missing:
        return f"the labeler's termination message lacks {', '.join(missing)}"
    given = {name: value[name] for name in (*_REQUIRED, *_OPTIONAL) if name in value}
    for name in _LISTS:
        if not isinstance(given.get(name) or [], list):
            return f"the labeler's termination message is not as it should be: {name} must be a list"
    if given.get("versions"):
        given["versions"] = [_version(entry) for entry in given["versions"]]
    try:
        found = DatasetStatus.model_validate({name: each for name, each in given.items() if each is not None})
    except ValidationError as error:
        return f"the labeler's termination message is not as it should be: {first_error(error)}"
    if found.waiting is None or found.in_review is None or found.reviewed is None:
        return "the labeler's termination message does not say how many images there are"
    return Report(found, frozenset(given))


def _version(entry: Any) -> Any:
    """A version in short. Its parent and its holdout may be told with more than their number and digest."""
    if not isinstance(entry, Mapping):
        return entry
    parent, holdout = entry.get("parent"), entry.get("holdout")
    short = {
        "parent": parent.get("number") if isinstance(parent, Mapping) else parent,
        "holdout": holdout.get("sha256") if isinstance(holdout, Mapping) else holdout,
    }
    return {**entry, **short}
