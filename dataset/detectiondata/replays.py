"""The frames on which two versions disagreed in a replay, as a list in the captures' bucket: the agent writes it, the
labeler asks people about them. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from detectiondata.captures import IMAGE_SUFFIX, REPLAY_LIST, parse_key
from detectiondata.fields import Fields, Wrong
from detectiondata.problems import Problem

FORMAT = "modelfleet.dev/replay/v1"
MOST = 500  # keys of a list
LIMIT = 1 << 20  # bytes of a list


def name(rollout: str, stable: str, candidate: str) -> str:
    """Below the captures' address. A later replay of the same two versions replaces the list."""
    return f"replay/{rollout}/{stable}-{candidate}.json"


def rollout_of(name: str) -> str | None:
    """Whose list is called so; None for the name of anything else."""
    found = REPLAY_LIST.match(name)
    return None if found is None else found["rollout"]


def encode(
    rollout: str, namespace: str, stable: str, candidate: str, at: datetime, frames: int, keys: Sequence[str]
) -> bytes:
    """`keys` are those of images, the most disagreeing first; beyond MOST they are left out. `frames` were compared."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "rollout": rollout,
        "namespace": namespace,
        "stable": stable,
        "candidate": candidate,
        "createdAt": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "frames": frames,
        "disagreements": len(keys),
        "keys": list(keys[:MOST]),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def parse(content: bytes, name: str) -> tuple[str, ...] | Problem:
    """The keys of the list that lies under `name`. Anybody may have written it."""
    try:
        fields = Fields(json.loads(content))
        if fields.text("format") != FORMAT:
            return Problem("lists of disagreements of an unknown format", name, fields.text("format")[:80])
        keys = fields.texts("keys", MOST)
        if wrong := next((key for key in keys if not key.endswith(IMAGE_SUFFIX) or parse_key(key) is None), None):
            raise Wrong(f"{wrong[:200]} is not the name of a capture's image")
    except (ValueError, RecursionError) as error:  # Wrong is one
        said = str(error) if isinstance(error, Wrong) else "not valid JSON"
        return Problem("lists of disagreements that make no sense", name, said)
    return keys
