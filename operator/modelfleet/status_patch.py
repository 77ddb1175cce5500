"""When and how a status is written: only where it differs, and in a way that can also clear fields. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from modelfleet.api import conditions
from modelfleet.api.conditions import Condition
from modelfleet.api.reasons import Reason
from modelfleet.decision import Status


def patch_for(stored: Mapping[str, Any], desired: Status) -> dict[str, Any] | None:
    """The JSON merge patch (RFC 7386) that turns the stored raw status into `desired`; None when they say the same.

    They are compared as the model reads them, so that a spelling of the same time or a field that the model does not
    know is no reason to write.
    """
    wanted = desired.to_dict()
    if stored == wanted:
        return None
    try:
        same = type(desired).model_validate(stored).to_dict() == wanted
    except ValidationError:  # somebody wrote what we can't read: replace it
        same = False
    return None if same else difference(stored, wanted) or None


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from `old` to `new`; `new` must not contain null. Lists are replaced as a
    whole."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif before != value or name not in old:
            patch[name] = value
    return patch


def stuck(owner: Mapping[str, Any], reason: Reason, message: str, now: datetime) -> dict[str, Any] | None:
    """The status patch that tells the user why nothing could be decided or done.

    Ready becomes False and Stalled True, both with this reason; Reconciling goes, all else stays as it is. None when
    the status says so already. The next decision that is applied in full replaces all of it.
    """
    stored = owner.get("status") or {}
    existing = [Condition.model_validate(raw) for raw in stored.get("conditions") or ()]
    replaced = {conditions.READY, conditions.STALLED, conditions.RECONCILING}
    desired = [
        *conditions.stalled(reason, message),
        *(condition for condition in existing if condition.type not in replaced),
    ]
    generation = int(owner["metadata"].get("generation") or 0)
    merged = [condition.to_dict() for condition in conditions.merge(existing, desired, generation, now)]
    before = [condition.to_dict() for condition in existing]
    if sorted(merged, key=_type) == sorted(before, key=_type) and stored.get("observedGeneration") == generation:
        return None
    return {"conditions": merged, "observedGeneration": generation}


def _type(condition: Mapping[str, Any]) -> str:
    return str(condition["type"])
