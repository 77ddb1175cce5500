"""One row of the catalogue of reasons."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from modelfleet.api.reasons import ConditionType, Reason

Kind = Literal["ModelVersion", "TrainingJob", "Rollout", "Dataset"]
Severity = Literal["Normal", "Warning"]
Source = Literal["operator", "agent", "trainer", "labeler"]

EVENT = "Event"
GROUP = "groups[].reason"
RETRAIN = "drift.retrain.reason"
REPLAY = "replay.reason"
READY = (ConditionType.READY,)
WORKING = (ConditionType.READY, ConditionType.RECONCILING)
STUCK = (ConditionType.READY, ConditionType.STALLED)
FAILED = (ConditionType.READY, ConditionType.STALLED, ConditionType.FAILED)
DONE = (ConditionType.READY, ConditionType.COMPLETE)
TERMINATION = ("termination message",)


class Topic(StrEnum):
    """What notifications are about: what receivers ask for, and the end of a CloudEvent's type. API, as reasons are."""

    PROMOTED = "rollout.promoted"
    ROLLED_BACK = "rollout.rolled-back"
    FAILED = "rollout.failed"
    AWAITING_APPROVAL = "rollout.awaiting-approval"
    DRIFT = "rollout.drift"
    RETRAINING = "rollout.retraining"
    RETRAINING_BLOCKED = "rollout.retraining-blocked"
    TRAINING_COMPLETE = "training.complete"
    TRAINING_FAILED = "training.failed"
    DATASET_VERSION = "dataset.version"


@dataclass(frozen=True)
class Entry:
    """A reason as one kind uses it.

    where     condition types, EVENT, GROUP (the reason of a Rollout's group), RETRAIN (why no retraining starts),
              REPLAY (how a replay went), or the container's termination message
    meaning   what has happened, one sentence
    to_do     what the reader should do, one sentence
    source    who says it first
    topic     of the notification that its Event is, too; None: it is none. That a TrainingJob has failed is said with
              many reasons, Kubernetes' own among them, so there the Event itself says so (`Announce.topic`)
    """

    reason: Reason
    where: tuple[str, ...]
    severity: Severity
    meaning: str
    to_do: str = "Nothing."
    source: Source = "operator"
    topic: Topic | None = None

    @property
    def shown_in(self) -> tuple[str, ...]:
        """`where`, and the notification."""
        ends = ConditionType.FAILED in self.where and EVENT in self.where
        topic = self.topic or (Topic.TRAINING_FAILED if ends else None)
        return (*map(str, self.where), *(() if topic is None else (f"notification `{topic}`",)))


NOT_SEEN = Entry(
    Reason.PENDING,
    READY,
    "Normal",
    "The operator has not seen the object yet.",
    "Check that the operator runs if this lasts.",
)
"""The first reason of every kind."""

UNREADABLE = Entry(
    Reason.UNREADABLE,
    STUCK,
    "Warning",
    "The operator can't read the object, or one that it must know, though the API server took it.",
    "Correct the field that the message names; where it is right, the CRDs are of another release than the operator.",
)
"""What may be said of every kind."""

APPLY_REJECTED = Entry(
    Reason.APPLY_REJECTED,
    STUCK,
    "Warning",
    "The API server refused something that the operator applied.",
    "Fix what the server's message names, such as a quota, an admission policy or the pod template.",
)
"""Likewise."""
