"""Conditions after kstatus: `Ready` always there, `Reconciling` and `Stalled` only while True.

A decision passes the complete set of conditions that hold now, without times (`true`, `false`, `unknown` make one);
`merge` gives each its generation and its transition time.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from modelfleet.api.base import StatusModel
from modelfleet.api.quantities import Message, Text, Time, clip_list
from modelfleet.api.reasons import ConditionType, Reason

READY: Final = ConditionType.READY
RECONCILING: Final = ConditionType.RECONCILING
STALLED: Final = ConditionType.STALLED
UNSUPPORTED_FIELDS: Final = ConditionType.UNSUPPORTED_FIELDS
COMPLETE: Final = ConditionType.COMPLETE
FAILED: Final = ConditionType.FAILED

NOT_ACTED_ON: Final = Reason.NOT_ACTED_ON
"""The reason of `UnsupportedFields`."""

# The CRDs' default for a new object's status; its time stands for "never" and is replaced by the first real one.
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Present only while True: their absence is what tools like Flux and Argo CD read.
_ONLY_WHILE_TRUE: Final = frozenset({RECONCILING, STALLED, UNSUPPORTED_FIELDS})

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(StatusModel):
    """One aspect of an object's state."""

    type: Annotated[str, Text(64, r"^[A-Za-z][A-Za-z0-9]*$")]
    """What the condition is about, for example Ready."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, Text(64, r"^[A-Za-z][A-Za-z0-9]*$")]
    """A stable CamelCase word for programs."""
    message: Message = ""
    """What is the matter and what to do next, for people."""
    last_transition_time: Time | None = None
    """Since when the status is what it is."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this was found for."""

    @property
    def is_true(self) -> bool:
        """Whether the status is True."""
        return self.status == "True"


Conditions = Annotated[
    tuple[Condition, ...],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    clip_list(16),
]


def true(type: str, reason: str, message: str = "") -> Condition:
    """A condition that holds."""
    return Condition(type=type, status="True", reason=reason, message=message)


def false(type: str, reason: str, message: str = "") -> Condition:
    """A condition that does not hold."""
    return Condition(type=type, status="False", reason=reason, message=message)


def unknown(type: str, reason: str, message: str = "") -> Condition:
    """A condition of which nobody knows yet whether it holds."""
    return Condition(type=type, status="Unknown", reason=reason, message=message)


def ready(reason: str, message: str) -> tuple[Condition, ...]:
    """All is as the spec asks (kstatus: Current)."""
    return (true(READY, reason, message),)


def reconciling(reason: str, message: str) -> tuple[Condition, ...]:
    """Not ready, and under way (kstatus: InProgress)."""
    return (false(READY, reason, message), true(RECONCILING, reason, message))


def stalled(reason: str, message: str) -> tuple[Condition, ...]:
    """Not ready, and somebody has to act (kstatus: Failed)."""
    return (false(READY, reason, message), true(STALLED, reason, message))


def unsupported(paths: Iterable[str]) -> tuple[Condition, ...]:
    """The condition that names the fields this release does not act on; nothing when there are none."""
    listed = ", ".join(paths)
    if not listed:
        return ()
    return (true(UNSUPPORTED_FIELDS, NOT_ACTED_ON, f"This release of modelfleet does not act on: {listed}"),)


def find(conditions: Iterable[Condition], type: str) -> Condition | None:
    """The condition of this type, or None."""
    return next((condition for condition in conditions if condition.type == type), None)


def is_true(conditions: Iterable[Condition], type: str) -> bool:
    """Whether the condition of this type is there and True."""
    condition = find(conditions, type)
    return condition is not None and condition.is_true


def merge(
    existing: Iterable[Condition], desired: Iterable[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Stamp the complete set of `desired` conditions with `generation` and with their transition times.

    A condition whose status did not change keeps its time, but for one that is still to come (the clock was ahead when
    it was written); any other gets `now`. Types that are not desired are gone,
    and Reconciling, Stalled and UnsupportedFields are left out unless True. Raises ValueError when a type comes twice.
    """
    before = {condition.type: condition for condition in existing}
    merged: dict[str, Condition] = {}
    for condition in desired:
        if condition.type in merged:
            raise ValueError(f"condition {condition.type} is given twice")
        if condition.type in _ONLY_WHILE_TRUE and not condition.is_true:
            continue
        old = before.get(condition.type)
        since = old.last_transition_time if old is not None and old.status == condition.status else None
        if since is None or since == NEVER or since > now:
            since = now
        merged[condition.type] = condition.replace(last_transition_time=since, observed_generation=generation)
    return tuple(merged.values())
