"""Raw Jobs, and what ends like one. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from modelfleet.api import conditions


def is_over(run: Mapping[str, Any]) -> bool:
    """Whether a raw TrainingJob or Job has ended, well or badly."""
    found: Iterable[Mapping[str, Any]] = (run.get("status") or {}).get("conditions") or ()
    over = (conditions.COMPLETE, conditions.FAILED)
    return any(entry["type"] in over and entry["status"] == "True" for entry in found)
