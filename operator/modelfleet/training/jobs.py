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
from modelfleet.api.names import GROUP, KUEUE_QUEUE
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.training.pods import Attempt
from modelfleet.training.trainer_run import Run, read
from modelfleet.workloads.jobs import final_condition

INTERRUPTED = f"{GROUP}/interrupted-pods"

SUSPENDED = f"{GROUP}/suspended"
"""On a Job that we suspended: one that Kueue or an administrator suspended is theirs to let go on."""

REREADS = f"{GROUP}/rereads-result"
"""On a Job that was made to report again what an earlier one published, since its report was lost."""


@dataclass(frozen=True)
class End:
    """How and when a Job ended: `reason` and `message` as the Job controller gives them."""

    succeeded: bool
    at: datetime
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
    active_at  since when it may have pods: its creation, or when it was last let go on
    run        what it was told, None where it isn't one of ours
    rereads    it was made to report again what an earlier Job published
    """

    name: str
    uid: str
    created: datetime
    active_at: datetime
    owner: str = ""
    deleting: bool = False
    suspended: bool = False
    suspended_by_us: bool = False
    queue: str = ""
    failures: int = 0
    end: End | None = None
    run: Run | None = None
    rereads: bool = False
    interruptions: Interruptions = Interruptions()


def job_facts(job: Mapping[str, Any]) -> JobFacts:
    """A raw Job as facts."""
    metadata, status = job["metadata"], job.get("status") or {}
    annotations = metadata.get("annotations") or {}
    created = parse_time(metadata["creationTimestamp"])
    controller: Mapping[str, Any] = next(
        (entry for entry in metadata.get("ownerReferences") or () if entry.get("controller")), {}
    )
    return JobFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        created=created,
        active_at=_resumed(status) or created,
        owner=controller.get("uid") or "",
        deleting=bool(metadata.get("deletionTimestamp")),
        suspended=bool(job["spec"].get("suspend")),
        suspended_by_us=SUSPENDED in annotations,
        queue=(metadata.get("labels") or {}).get(KUEUE_QUEUE) or "",
        failures=status.get("failed") or 0,
        end=_end(job),
        run=read(job),
        rereads=REREADS in annotations,
        interruptions=_interruptions(annotations.get(INTERRUPTED)),
    )


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
    at = (job["status"].get("completionTime") if succeeded else None) or final["lastTransitionTime"]
    return End(succeeded, parse_time(at), final.get("reason") or "", final.get("message") or "")


def _resumed(status: Mapping[str, Any]) -> datetime | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Suspended" and condition.get("status") == "False":
            return parse_time(condition["lastTransitionTime"])
    return None


def _interruptions(text: str | None) -> Interruptions:
    try:
        value = json.loads(text or "{}")
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
