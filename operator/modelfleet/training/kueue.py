"""Whether anybody serves the queue that a suspended Job waits in, and what it waits for. Pure.

A TrainingJob with the label kueue.x-k8s.io/queue-name gets a Job that is suspended until Kueue lets it go on. Without
Kueue, or without that LocalQueue, nobody ever does, and nobody says so. Kueue's kinds are not watched (most clusters
don't have them): they are asked for once a Job has waited for `PATIENCE`, and again from time to time while it waits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from modelfleet.kinds import Kind
from modelfleet.training.jobs import JobFacts
from modelfleet.workloads.last_words import excerpt
from modelfleet.workloads.pods import conditions_by_type

GROUP: Final = "kueue.x-k8s.io"
PATIENCE = timedelta(minutes=1)
"""How long a Job waits before its queue is looked at: Kueue needs seconds, and applied together they come in any
order."""


@dataclass(frozen=True)
class Service:
    """What is known of a queue.

    problem  why nobody serves it, and what to do; "" when nothing speaks against it
    unknown  why that can't be looked up; which says nothing against the queue
    waits    a sentence on what the Job waits for; "" where Kueue has not said
    """

    problem: str = ""
    unknown: str = ""
    waits: str = ""


NOT_INSTALLED = Service("Kueue is not installed in this cluster; install it")


def local_queue(version: str) -> Kind:
    """Kueue's queue of a namespace, in the version of its API that the cluster has."""
    return Kind(GROUP, version, "localqueues", "LocalQueue")


def workload(version: str) -> Kind:
    """What Kueue keeps of a Job, in the version of its API that the cluster has."""
    return Kind(GROUP, version, "workloads", "Workload")


def workload_of(job: JobFacts) -> str:
    """The selector of the Workload of a Job."""
    return f"{GROUP}/job-uid={job.uid}"


def missing(namespace: str, queue: str) -> Service:
    """There is Kueue, and no such queue."""
    return Service(f"namespace {namespace} has no LocalQueue {queue}; create it")


def read(queue: Mapping[str, Any]) -> Service:
    """A raw LocalQueue. Kueue itself says whether it serves one; about one that it has not seen it says nothing."""
    name, active = queue["metadata"]["name"], conditions_by_type(queue.get("status") or {}).get("Active")
    if active is None:
        return Service(f"Kueue has said nothing about LocalQueue {name}; check that Kueue's controller runs")
    if active.get("status") == "True":
        return Service()
    # Kueue's message is the same for the last two, and names no ClusterQueue
    reason, cluster_queue = active.get("reason") or "", (queue.get("spec") or {}).get("clusterQueue") or ""
    if reason == "Stopped":
        return Service(f"LocalQueue {name} is stopped; remove its spec.stopPolicy")
    if reason == "ClusterQueueDoesNotExist":
        return Service(f"ClusterQueue {cluster_queue} of LocalQueue {name} does not exist; create it")
    if reason == "ClusterQueueIsInactive":
        told = f"fix what `kubectl describe clusterqueue {cluster_queue}` says"
        return Service(f"ClusterQueue {cluster_queue} of LocalQueue {name} is not active; {told}")
    said = active.get("message") or reason or "Active is not True"
    return Service(f"LocalQueue {name} is not active ({said.rstrip('.')}); look at its ClusterQueue")


def waits(workloads: Iterable[Mapping[str, Any]]) -> str:
    """What the raw Workloads of a Job say that it waits for: quota first, then Kueue's other checks. And why it had to
    leave a place that it had, which Kueue keeps there until it has one again."""
    for each in workloads:
        found = conditions_by_type(each.get("status") or {})
        evicted = found.get("Evicted") or {}
        left = f"Kueue evicted it ({evicted.get('reason')})" if evicted.get("status") == "True" else ""
        for type in ("QuotaReserved", "Admitted"):
            condition = found.get(type) or {}
            if condition.get("status") == "False" and condition.get("message"):
                return f"{left + ' and' if left else 'Kueue'} says: {excerpt(condition['message'])}"
        if left:
            return f"{left}."
    return ""
