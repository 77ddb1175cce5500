"""How the run speaks: JSON lines on stdout while it runs, one termination message at its end.

stdout carries nothing else: `trainer.environment` sends what libraries print to stderr.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from trainer.failure import MESSAGE_LIMIT, Failure, shorten

TERMINATION_LIMIT = 4096  # bytes; the kubelet cuts what is longer, and half a JSON document is none


@dataclass(frozen=True)
class PublishedFile:
    name: str
    format: str
    sha256: str
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "format": self.format, "sha256": self.sha256, "sizeBytes": self.size_bytes}


def decimal(value: float, places: int = 4) -> str:
    """A figure as the API writes it: a decimal string without trailing zeros, "0.91" and not 0.9100000001."""
    text = f"{value:.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes a digest of a document is taken over: sorted keys, no spaces, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(document)).hexdigest()


Listener = Callable[[str, Mapping[str, Any]], None]


class Reporter:
    """Writes events. Each is one line, flushed, so that a reader of the pod's log never waits for a buffer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()  # uploads and trackers speak from threads of their own
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """From now on `listener` hears each event too, in the thread that speaks."""
        self._listeners.append(listener)

    def event(self, name: str, **fields: Any) -> None:
        line = json.dumps({"event": name} | fields, separators=(",", ":"), allow_nan=False) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()
        for listener in self._listeners:
            listener(name, fields)

    def warning(self, message: str) -> None:
        self.event("warning", message=shorten(message, MESSAGE_LIMIT))

    def detail(self, detail: Mapping[str, Any]) -> None:
        """What is too long for the termination message, with the digest that message carries."""
        self.event("detail", sha256=digest(detail), detail=detail)


def success(files: Sequence[PublishedFile], metrics: Mapping[str, str], detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "result": "Succeeded",
        "files": [file.to_json() for file in files],
        "metrics": dict(metrics),
        "detailSha256": digest(detail),
    }


def failed(failure: Failure) -> dict[str, Any]:
    return {"result": "Failed", "reason": failure.reason, "message": failure.message}


def write_termination(path: Path, message: dict[str, Any]) -> None:
    """Writes the termination message, its text cut so that the whole fits. Raises OSError."""
    limit = MESSAGE_LIMIT
    encoded = _encoded(message, limit)
    while len(encoded) > TERMINATION_LIMIT and limit > 16:
        limit //= 2
        encoded = _encoded(message, limit)
    path.write_bytes(encoded)


def _encoded(message: dict[str, Any], limit: int) -> bytes:
    text = {"message": shorten(message["message"], limit)} if "message" in message else {}
    return json.dumps(message | text, ensure_ascii=False).encode()
