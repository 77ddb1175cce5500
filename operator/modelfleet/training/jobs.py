"""The raw batch Job of a TrainingJob, read as frozen facts; and the count of interruptions that it carries. Pure.

Kubernetes counts failures in the Job's status, and ignores pods that were preempted or asked to stop, as the
podFailurePolicy says. Nobody counts those, and their pods vanish. So the operator notes each one that it sees in an
annotation of the Job: two counts, and the uids of counted pods that are still there, so that none is counted twice,
whatever is restarted or wiped.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api.conditions import COMPLETE
from modelfleet.api.foreign import parsed
from modelfleet.api.names import DATASET_VERSIONS, GROUP, KUEUE_QUEUE, TRAINER_CONTAINER, TRAINING_JOB
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.training import data, last_end
from modelfleet.training.data import NOTHING, Data
from modelfleet.training.last_end import LAST_END, LastEnd
from modelfleet.training.pods import Attempt
from modelfleet.training.trainer_run import Run, read
from modelfleet.workloads.jobs import final_condition
from modelfleet.workloads.owners import controller_of
from modelfleet.workloads.pods import conditions_by_type

INTERRUPTED = f"{GROUP}/interrupted-pods"

SUSPENDED = f"{GROUP}/suspended"
"""On a Job that we suspended: one that Kueue or an administrator suspended is theirs to let go on."""

REREADS = f"{GROUP}/rereads-result"
"""On a Job that was made to report again what an earlier one published, since its report was lost."""


@dataclass(frozen=True)
class End:
    """How and when a Job ended: `reason` and `message` as the Job controller gives them.

    decided_at  when that was decided: a Job that fails ends once its last pod has
    """

    succeeded: bool
    at: datetime
    decided_at: datetime
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Interruptions:
    """Pods so far that something from outside ended, and the uids of those of them that are still there.

    preempted  preempted or evicted, or lost with their node
    stopped    deleted, or suspended
    latest     when the youngest of them was made
    """

    preempted: int = 0
    stopped: int = 0
    uids: frozenset[str] = frozenset()
    latest: datetime | None = None

    def to_text(self) -> str:
        """The annotation's value."""
        value = {
            "preempted": self.preempted,
            "stopped": self.stopped,
            "pods": sorted(self.uids),
            "latest": self.latest and self.latest.isoformat(),
        }
        return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class JobFacts:
    """A Job.

    owner      the uid of its controller, "" when it has none
    training   the TrainingJob that it says it is of
    active_at  since when it may have pods: its creation, or when it was last let go on
    run        what it was told, None where it isn't one of ours
    data       what its references to Datasets meant
    rereads    it was made to report again what an earlier Job published
    noted      how the trainer of a pod ended that was to be deleted
    beside     the containers of its pods beside the trainer's
    """

    name: str
    uid: str
    created: datetime
    active_at: datetime
    owner: str = ""
    training: str = ""
    deleting: bool = False
    suspended: bool = False
    suspended_by_us: bool = False
    queue: str = ""
    failures: int = 0
    end: End | None = None
    run: Run | None = None
    data: Data = NOTHING
    rereads: bool = False
    interruptions: Interruptions = Interruptions()
    noted: LastEnd | None = None
    beside: tuple[str, ...] = ()

    @property
    def waits_in_queue(self) -> bool:
        """Whether Kueue has to let it go on."""
        return bool(self.queue) and self.suspended and self.end is None and not self.deleting


def job_facts(job: Mapping[str, Any]) -> JobFacts:
    """A raw Job as facts."""
    metadata, status = job["metadata"], job.get("status") or {}
    annotations = metadata.get("annotations") or {}
    created = parse_time(metadata["creationTimestamp"])
    return JobFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        created=created,
        active_at=_resumed(status) or created,
        owner=controller_of(job),
        training=(metadata.get("labels") or {}).get(TRAINING_JOB) or "",
        deleting=bool(metadata.get("deletionTimestamp")),
        suspended=bool(job["spec"].get("suspend")),
        suspended_by_us=SUSPENDED in annotations,
        queue=(metadata.get("labels") or {}).get(KUEUE_QUEUE) or "",
        failures=status.get("failed") or 0,
        end=_end(job),
        run=read(job),
        data=data.read(annotations.get(DATASET_VERSIONS)),
        rereads=REREADS in annotations,
        interruptions=_interruptions(annotations.get(INTERRUPTED)),
        noted=last_end.read(annotations.get(LAST_END)),
        beside=tuple(name for name in _containers(job) if name != TRAINER_CONTAINER),
    )


def _containers(job: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(each["name"] for each in job["spec"]["template"]["spec"]["containers"])


def count_interruptions(known: Interruptions, attempts: Iterable[Attempt]) -> Interruptions:
    """The counts with the pods that are there now taken in. A uid that is gone can't come back and is let go."""
    ended = [attempt for attempt in attempts if attempt.failed and not attempt.own_fault]
    new = [attempt for attempt in ended if attempt.uid not in known.uids]
    if not new:
        return known
    preempted = sum(1 for attempt in new if attempt.disrupted)
    return Interruptions(
        preempted=known.preempted + preempted,
        stopped=known.stopped + len(new) - preempted,
        uids=frozenset(attempt.uid for attempt in ended),
        latest=max(time for time in (known.latest, *(attempt.created for attempt in new)) if time is not None),
    )


def _end(job: Mapping[str, Any]) -> End | None:
    final = final_condition(job)
    if final is None:
        return None
    succeeded = final["type"] == COMPLETE
    at = parse_time((job["status"].get("completionTime") if succeeded else None) or final["lastTransitionTime"])
    target = conditions_by_type(job["status"]).get("FailureTarget") or {}
    decided_at = parse_optional_time(target.get("lastTransitionTime")) or at
    return End(succeeded, at, decided_at, final.get("reason") or "", final.get("message") or "")


def _resumed(status: Mapping[str, Any]) -> datetime | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Suspended" and condition.get("status") == "False":
            return parse_time(condition["lastTransitionTime"])
    return None


def _interruptions(text: str | None) -> Interruptions:
    try:
        value = parsed(text or "{}")
        uids = frozenset(str(uid) for uid in value.get("pods", ()))
        latest = value.get("latest")
        return Interruptions(
            preempted=int(value.get("preempted", 0)),
            stopped=int(value.get("stopped", 0)),
            uids=uids,
            latest=parse_optional_time(latest),
        )
    except (ValueError, TypeError, AttributeError):  # somebody edited it: count again
        return Interruptions()
