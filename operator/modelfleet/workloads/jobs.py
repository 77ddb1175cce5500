"""Raw Jobs, and what ends like one. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from modelfleet.api import conditions

_ENDS = (conditions.COMPLETE, conditions.FAILED)


def final_condition(run: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The condition by which a raw TrainingJob or Job has ended, well (Complete) or badly (Failed)."""
    found: Iterable[Mapping[str, Any]] = (run.get("status") or {}).get("conditions") or ()
    return next((entry for entry in found if entry["type"] in _ENDS and entry["status"] == "True"), None)


def is_over(run: Mapping[str, Any]) -> bool:
    """Whether a raw TrainingJob or Job has ended, well or badly."""
    return final_condition(run) is not None
