"""Custom resource definitions, so that what asks for their objects next is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.lifetime import CommandFailed
from harness.processes import wait_until

_PATIENCE = 60.0  # seconds


class Kubectl(Protocol):
    """Runs kubectl, and returns what it printed."""

    def __call__(self, *arguments: str | Path) -> str: ...


def install(kubectl: Kubectl, *files: Path) -> None:
    """Apply files or folders of custom resource definitions, and wait until the API server serves them.

    Raises:
        CommandFailed: it refuses one, or does not serve all of them within a minute.
    """
    named = [f"--filename={file}" for file in files]
    kubectl("apply", "--server-side", "--force-conflicts", *named)
    await_served(kubectl, *named)


def await_served(kubectl: Kubectl, *which: str) -> None:
    """Wait until the API server serves these custom resource definitions (arguments as `kubectl get` takes them).

    Not by `kubectl wait`: that gives up at a definition without any conditions, as each is for its first moment.

    Raises:
        CommandFailed: it does not serve all of them within a minute.
    """
    if not wait_until(lambda: not _missing(kubectl, which), _PATIENCE):
        raise CommandFailed(f"the API server does not serve {', '.join(_missing(kubectl, which))}")


def _missing(kubectl: Kubectl, which: tuple[str, ...]) -> list[str]:
    found = json.loads(kubectl("get", "--output=json", *which))
    return [each["metadata"]["name"] for each in found.get("items", [found]) if not _is_established(each)]


def _is_established(definition: Mapping[str, Any]) -> bool:
    """Whether the API server serves this kind, by the definition's status."""
    conditions = definition.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
