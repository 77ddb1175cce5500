"""One row of the catalogue of reasons."""

from dataclasses import dataclass
from typing import Literal

from modelfleet.api.reasons import ConditionType, Reason

Kind = Literal["ModelVersion", "TrainingJob", "Rollout"]
Severity = Literal["Normal", "Warning"]
Source = Literal["operator", "agent", "trainer"]

EVENT = "Event"
GROUP = "groups[].reason"
RETRAIN = "drift.retrain.reason"
READY = (ConditionType.READY,)
WORKING = (ConditionType.READY, ConditionType.RECONCILING)
STUCK = (ConditionType.READY, ConditionType.STALLED)
FAILED = (ConditionType.READY, ConditionType.STALLED, ConditionType.FAILED)
DONE = (ConditionType.READY, ConditionType.COMPLETE)
TERMINATION = ("termination message",)


@dataclass(frozen=True)
class Entry:
    """A reason as one kind uses it.

    where     condition types, EVENT, GROUP (the reason of a Rollout's group), RETRAIN (why no retraining starts), or
              the container's termination message
    meaning   what has happened, one sentence
    to_do     what the reader should do, one sentence
    source    who says it first
    """

    reason: Reason
    where: tuple[str, ...]
    severity: Severity
    meaning: str
    to_do: str = "Nothing."
    source: Source = "operator"


NOT_SEEN = Entry(
    Reason.PENDING,
    READY,
    "Normal",
    "The operator has not seen the object yet.",
    "Check that the operator runs if this lasts.",
)
"""The first reason of every kind."""
