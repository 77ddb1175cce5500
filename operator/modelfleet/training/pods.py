"""Raw pods of a training Job, read as frozen facts. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api.names import TRAINER_CONTAINER
from modelfleet.api.reasons import Reason
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.training.termination import Garbled, Succeeded, parse
from modelfleet.wording import listed
from modelfleet.workloads.last_words import Failed, excerpt
from modelfleet.workloads.pods import Problem, cannot_start, conditions_by_type, container_status, terminated

STOPPED = 143
"""The exit code of a trainer that was asked to stop (128 + SIGTERM)."""

RETRYING_CANT_HELP = 64
"""The trainer's exit code for what retrying can't fix."""

_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Attempt:
    """One pod of the Job: one attempt at the run.

    started, finished  of the trainer's container
    exit_code          of the trainer's container, None while it has not ended
    why                the container's or the pod's own word for how it ended: OOMKilled, Error, Evicted, ...
    said               the termination message, "" when there is none
    disrupted          preemption, eviction, or the loss of the node: no fault of the training
    problem            what keeps the pod from starting
    others             containers beside the trainer's that have not ended. (Not sidecars of Kubernetes' own kind, init
                       containers that go on running: the kubelet ends those)
    """

    name: str
    uid: str
    created: datetime
    phase: str
    node: str = ""
    deleting: bool = False
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int | None = None
    why: str = ""
    said: str = ""
    disrupted: bool = False
    problem: Problem | None = None
    others: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it ended without success. The trainer's own end counts: what another container of the pod makes of
        the pod's phase is not the training's failure, nor its success."""
        return self.phase == "Failed" if self.exit_code is None else self.exit_code != 0

    @property
    def own_fault(self) -> bool:
        """Whether it failed on its own: nothing from outside ended it."""
        return self.failed and not self.disrupted and self.exit_code != STOPPED

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.phase == "Succeeded" if self.exit_code is None else self.exit_code == 0

    @property
    def lingers(self) -> bool:
        """Whether the trainer has ended and the pod can't, for other containers of it go on."""
        return self.exit_code is not None and bool(self.others) and self.phase not in _OVER

    @property
    def running(self) -> bool:
        """Whether the trainer runs."""
        return self.started is not None and self.finished is None and not (self.failed or self.succeeded)


def attempts(pods: Iterable[Mapping[str, Any]]) -> tuple[Attempt, ...]:
    """The pods as attempts, oldest first."""
    return tuple(sorted((attempt(pod) for pod in pods), key=lambda entry: (entry.created, entry.name)))


def attempt(pod: Mapping[str, Any]) -> Attempt:
    """One raw pod as an attempt."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions, trainer = conditions_by_type(status), container_status(status, TRAINER_CONTAINER)
    ended = terminated(trainer) or {}
    started = ended.get("startedAt") or ((trainer.get("state") or {}).get("running") or {}).get("startedAt")
    return Attempt(
        name=metadata["name"],
        uid=metadata["uid"],
        created=parse_time(metadata["creationTimestamp"]),
        phase=status.get("phase") or "Pending",
        node=(pod.get("spec") or {}).get("nodeName") or "",
        deleting=bool(metadata.get("deletionTimestamp")),
        started=parse_optional_time(started),
        finished=parse_optional_time(ended.get("finishedAt")),
        exit_code=ended.get("exitCode"),
        why=ended.get("reason") or status.get("reason") or "",
        said=ended.get("message") or "",
        disrupted=_disrupted(conditions.get("DisruptionTarget") or {}, ended.get("finishedAt")),
        problem=cannot_start(status, TRAINER_CONTAINER),
        others=_others(status),
    )


def failure(attempt: Attempt) -> Failed:
    """Why a failed attempt failed: what the trainer said, else what Kubernetes knows."""
    if attempt.disrupted:
        return Failed(Reason.PREEMPTED, f"pod {attempt.name} was preempted, evicted, or lost its node")
    if attempt.exit_code == STOPPED:
        return Failed(Reason.STOPPED, f"pod {attempt.name} was asked to stop")
    result = parse(attempt.said)
    if isinstance(result, Failed):
        return result
    if attempt.why == "OOMKilled":
        return Failed(
            Reason.OUT_OF_MEMORY,
            "the trainer was killed for using too much memory: raise spec.resources.limits.memory, or lower "
            "spec.hyperparameters.batch or imageSize",
        )
    logs = _where_to_look(attempt)
    if attempt.exit_code is None:
        why = f" ({attempt.why})" if attempt.why else ""
        return Failed(Reason.POD_FAILED, f"pod {attempt.name} ended before the trainer did{why}")
    if isinstance(result, Succeeded):
        return Failed(
            Reason.TRAINER_CRASHED,
            f"the trainer reported success, then ended with exit code {attempt.exit_code}; {logs}",
        )
    said = f": {excerpt(attempt.said)}" if attempt.said.strip() else ""
    return Failed(Reason.TRAINER_CRASHED, f"the trainer ended with exit code {attempt.exit_code}{said}; {logs}")


def _where_to_look(attempt: Attempt) -> str:
    """For its log, which goes with the pod."""
    if attempt.lingers:
        return f"see kubectl logs {attempt.name} -c {TRAINER_CONTAINER} before the pod is deleted"
    if attempt.others:
        return f"its log went with pod {attempt.name}, which {listed(attempt.others)} kept from ending"
    return f"see kubectl logs {attempt.name}"


def reporter(attempts: Iterable[Attempt], job_ended: bool) -> Attempt | None:
    """The newest attempt whose trainer published a version, unless the end of its Job is all that is waited for.

    Once the Job has ended, badly perhaps (its deadline, another container's failure), a trainer that reported what it
    published counts even where it was killed before it could exit.
    """
    newest_first = tuple(attempts)[::-1]
    if job_ended:
        return next((each for each in newest_first if each.succeeded or isinstance(outcome(each), Succeeded)), None)
    return next((each for each in newest_first if each.succeeded and (each.lingers or each.phase == "Failed")), None)


def outcome(attempt: Attempt) -> Succeeded | Failed | Garbled:
    """What the trainer of an ended attempt says."""
    return parse(attempt.said)


def _others(status: Mapping[str, Any]) -> tuple[str, ...]:
    containers = status.get("containerStatuses") or ()
    return tuple(each["name"] for each in containers if each["name"] != TRAINER_CONTAINER and terminated(each) is None)


def _disrupted(condition: Mapping[str, Any], finished: str | None) -> bool:
    """Whether the condition tells how the pod ended. Draining a node also marks pods that ended there long before."""
    if condition.get("status") != "True":
        return False
    at = condition.get("lastTransitionTime")
    return at is None or finished is None or parse_time(at) <= parse_time(finished)
