"""Reads what a finished trainer left: its termination message, and the detail line in its log. Pure.

Everything here came out of a pod and is checked before it is believed: a message that is cut, garbled or of another
shape is `Garbled`, and a detail line counts only when its content has the sha256 that the termination message names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelfleet.api import ArtifactFile
from modelfleet.api.foreign import first_error, parsed
from modelfleet.api.reasons import Reason
from modelfleet.workloads.last_words import Failed, camel_case, excerpt, readable


@dataclass(frozen=True)
class Succeeded:
    """The run made files, uploaded them, read them back and found their digests right."""

    files: tuple[ArtifactFile, ...]
    metrics: Mapping[str, str]
    detail_sha256: str


@dataclass(frozen=True)
class Garbled:
    """There is no message, or not one that makes sense; `message` says what was found."""

    message: str


Result = Succeeded | Failed | Garbled


def parse(text: str | None) -> Result:
    """The termination message of the trainer's container."""
    if not text or not text.strip():
        return Garbled("the trainer left no termination message")
    try:
        value = parsed(text)
    except ValueError:
        return Garbled(f"the trainer's termination message is not valid JSON: {excerpt(text)}")
    if not isinstance(value, dict):
        return Garbled(f"the trainer's termination message is not a JSON object: {excerpt(text)}")
    match value.get("result"):
        case "Succeeded":
            return _succeeded(value)
        case "Failed":
            return _failed(value)
    return Garbled(f"the trainer's termination message has no result: {excerpt(text)}")


def _succeeded(value: Mapping[str, Any]) -> Result:
    sha256 = value.get("detailSha256")
    if not isinstance(sha256, str) or len(sha256) != 64:
        return Garbled("the trainer's termination message lacks detailSha256")
    files, metrics = value.get("files"), value.get("metrics") or {}
    if not isinstance(files, list) or not files:
        return Garbled("the trainer's termination message lists no files")
    if not isinstance(metrics, dict):
        return Garbled("metrics in the trainer's termination message is not a JSON object")
    try:
        parsed = tuple(ArtifactFile.model_validate(entry) for entry in files)
    except ValidationError as error:
        return Garbled(f"files in the trainer's termination message are not as they should be: {first_error(error)}")
    return Succeeded(parsed, {str(name): str(figure) for name, figure in metrics.items()}, sha256)


def _failed(value: Mapping[str, Any]) -> Result:
    reason, message = value.get("reason"), value.get("message")
    if not isinstance(reason, str) or not isinstance(message, str):
        return Garbled("the trainer failed and its termination message lacks reason or message")
    return Failed(camel_case(reason, Reason.TRAINING_FAILED), readable(message))


def find_detail(lines: Iterable[str], sha256: str) -> Mapping[str, Any] | None:
    """The content of the detail line that has this digest, or None. The newest is looked at first."""
    for line in reversed(tuple(lines)):
        if not line.startswith("{") or '"detail"' not in line:
            continue
        try:
            value = parsed(line)
        except ValueError:  # a line of somebody else's, or one that was cut: another may do
            continue
        if not isinstance(value, dict) or value.get("event") != "detail":
            continue
        detail = value.get("detail")
        if isinstance(detail, dict) and digest(detail) == sha256:
            return detail
    return None


def digest(detail: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON: sorted keys, no spaces, ASCII."""
    return hashlib.sha256(json.dumps(detail, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
