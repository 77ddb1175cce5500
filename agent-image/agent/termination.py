"""The termination message: how a container ended, as one line of JSON that the kubelet hands to the operator."""

from __future__ import annotations

import json
import logging
from pathlib import Path

DEFAULT_PATH = Path("/dev/termination-log")
LIMIT = 4096  # bytes the kubelet takes

_log = logging.getLogger(__name__)


class Refused(Exception):
    """The agent can't do what it is asked. `reason` is CamelCase and stable, `message` says what to do next."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def render(reason: str, message: str) -> bytes:
    """`{"reason": ..., "message": ...}` as UTF-8, cut to what the kubelet takes by shortening the message."""
    while True:
        data = json.dumps({"reason": reason, "message": message}, ensure_ascii=False).encode()
        over = len(data) - LIMIT
        if over <= 0:
            return data
        # A character is at least one byte, so that this never cuts too little in the end; the mark takes three.
        message = message[: max(0, len(message) - over // 4 - 4)] + "…"


def write(path: Path, reason: str, message: str, level: int = logging.ERROR) -> None:
    """Write the message for the kubelet and to the log. Without such a folder: only to the log."""
    _log.log(level, "%s: %s", reason, message)
    put(path, render(reason, message))


def put(path: Path, data: bytes) -> None:
    """Write what the kubelet is to have, at most LIMIT bytes. What goes wrong is logged."""
    if not path.parent.is_dir():
        _log.warning("no termination message written: there is no folder %s", path.parent)
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        _log.warning("no termination message written to %s: %s", path, error)
