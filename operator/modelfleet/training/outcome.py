"""How a TrainingJob stands, as one value; and the conditions that say so. Pure.

| state    | Ready | Reconciling | Stalled | beside them | kstatus    |
|----------|-------|-------------|---------|-------------|------------|
| WORKING  | False | True        |         |             | InProgress |
| HELD     | False |             |         |             | InProgress |
| STALLED  | False |             | True    |             | Failed     |
| COMPLETE | True  |             |         | Complete    | Current    |
| FAILED   | False |             | True    | Failed      | Failed     |

STALLED waits for somebody and goes on automatically; COMPLETE and FAILED are final.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from modelfleet.api import Condition, Evaluation, TrainingPhase, conditions
from modelfleet.api.conditions import COMPLETE, FAILED, READY
from modelfleet.decision import Action

RUNS_ONCE = " TrainingJobs run once: fix the cause and create a new TrainingJob."
"""The end of a message about a run that failed for good."""

PATIENCE_WITH_OTHERS = timedelta(seconds=30)
"""How long after the trainer's end the other containers of its pod may go on, before they are stopped."""


class State(Enum):
    """See the module's table."""

    WORKING = auto()
    HELD = auto()
    STALLED = auto()
    COMPLETE = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Outcome:
    """What a step of the chain found.

    reason, message  of the conditions, and of the Event when the reason is a new one
    event            another text for the Event; "" makes none
    warning          the Event is a warning; it always is when STALLED or FAILED
    """

    state: State
    phase: TrainingPhase
    reason: str
    message: str
    actions: tuple[Action, ...] = ()
    requeue_after: timedelta | None = None
    event: str | None = None
    warning: bool = False
    finished_at: datetime | None = None
    model_version: str | None = None
    evaluation: Evaluation | None = None


def stalled(reason: str, message: str, *, requeue_after: timedelta | None = None) -> Outcome:
    """Waits for somebody, before there is a run."""
    return Outcome(State.STALLED, TrainingPhase.PENDING, reason, message, requeue_after=requeue_after)


def failed(reason: str, message: str, at: datetime) -> Outcome:
    """The run failed for good."""
    return Outcome(State.FAILED, TrainingPhase.FAILED, reason, message, finished_at=at)


def conditions_of(state: State, reason: str, message: str) -> tuple[Condition, ...]:
    """The conditions of the module's table."""
    match state:
        case State.WORKING:
            return conditions.reconciling(reason, message)
        case State.HELD:
            return (conditions.false(READY, reason, message),)
        case State.STALLED:
            return conditions.stalled(reason, message)
        case State.COMPLETE:
            return (*conditions.ready(reason, message), conditions.true(COMPLETE, reason, message))
        case State.FAILED:
            return (*conditions.stalled(reason, message), conditions.true(FAILED, reason, message))
