"""A verify Job and its pods, read as frozen facts: what it said, how it ended, or what it waits for. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api.foreign import parsed
from modelfleet.api.names import VERIFY_CONTAINER
from modelfleet.api.reasons import Reason
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.versions.verification_record import VERIFIED
from modelfleet.workloads.job_run import GRACE
from modelfleet.workloads.jobs import final_condition
from modelfleet.workloads.last_words import camel_case, in_utf8
from modelfleet.workloads.pods import conditions_by_type, container_status, container_statuses, stuck, terminated

FAILED = Reason.VERIFICATION_FAILED

_EXCERPT = 200  # characters of a message that nobody understands


@dataclass(frozen=True)
class Said:
    """The agent's word: Verified, or why not (a reason of the agent's, or FAILED where it left none)."""

    reason: str
    message: str


@dataclass(frozen=True)
class VerifyJob:
    """One verify Job.

    created   when it was made
    has_pod   whether it has made one
    said      what its pod said when it ended; None before, and when the pod is gone
    ended_at  since when the Job is over, whatever its pod said
    why       how the Job ended, in the Job controller's words
    problem   what keeps its pod from starting, "" when nothing does
    refusal   why no pod was created, in the Job controller's words; asked for once one has been missing for a while
    """

    name: str
    uid: str
    created: datetime
    deleting: bool = False
    has_pod: bool = False
    said: Said | None = None
    ended_at: datetime | None = None
    why: str = ""
    problem: str = ""
    refusal: str = ""

    def makes_no_pod(self, now: datetime) -> bool:
        """Whether it has no pod, although it should have one by now."""
        return not (self.has_pod or self.deleting or self.ended_at) and now >= self.created + GRACE


def read(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> VerifyJob:
    """A raw Job and its raw pods as facts."""
    metadata = job["metadata"]
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    final = final_condition(job) or {}
    return VerifyJob(
        name=metadata["name"],
        uid=metadata["uid"],
        created=parse_time(metadata["creationTimestamp"]),
        deleting=bool(metadata.get("deletionTimestamp")),
        has_pod=bool(newest_first),
        said=next((said for pod in newest_first if (said := _said(pod)) is not None), None),
        ended_at=parse_optional_time(final.get("lastTransitionTime")),
        why=": ".join(filter(None, (final.get("reason"), final.get("message")))),
        problem=_problem(newest_first[0]) if newest_first else "",
    )


def _said(pod: Mapping[str, Any]) -> Said | None:
    """What an ended pod said; None while it has not ended, and for one that the cluster ended: another one follows."""
    status = pod.get("status") or {}
    disrupted = conditions_by_type(status).get("DisruptionTarget", {}).get("status") == "True"
    ended = terminated(container_status(status, VERIFY_CONTAINER))
    if ended is None or (disrupted and ended.get("exitCode") != 0):
        return None
    text, code, why = ended.get("message") or "", ended.get("exitCode"), ended.get("reason") or ""
    try:
        value = parsed(text)
        said = Said(camel_case(str(value["reason"]), FAILED), in_utf8(str(value["message"])))
    except (ValueError, KeyError, TypeError):
        said = None
    if said is not None and (said.reason != VERIFIED or code == 0):
        return said
    if why == "OOMKilled":
        return Said(FAILED, "the verify container was killed for using too much memory")
    left = f"left this: {in_utf8(text[:_EXCERPT])}" if text.strip() else "left no word"
    return Said(FAILED, f"the verify container ended with exit code {code} and {left} (pod {pod['metadata']['name']})")


def _problem(pod: Mapping[str, Any]) -> str:
    status = pod.get("status") or {}
    if status.get("phase") not in (None, "Pending"):
        return ""
    scheduled = conditions_by_type(status).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"no node takes its pod: {scheduled.get('message') or scheduled.get('reason')}"
    for container in container_statuses(status):
        if found := stuck(container):
            return f"container {container['name']} can't start ({found.reason}): {found.message or 'no message'}"
    return ""
