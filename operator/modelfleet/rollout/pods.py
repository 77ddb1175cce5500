"""Raw pods read as `PodState`: ready or not, since when, and what stands in the way."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from modelfleet.api import names
from modelfleet.api.reasons import Reason
from modelfleet.rollout.snapshot import PodState
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.workloads.pods import (
    Problem,
    backs_off,
    conditions_by_type,
    container_statuses,
    last_terminated,
    stuck,
    terminated,
)

# A container that restarted this often and is backing off is judged from its pod's creation on: its Ready condition
# flips with every start, and the progress deadline would never be reached.
MANY_RESTARTS = 5


def node_of(pod: Mapping[str, Any]) -> str:
    """The node a DaemonSet's pod is meant for, also before it is bound: then it stands in its affinity."""
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in affinity.get("nodeSelectorTerms") or []:
        for entry in term.get("matchFields") or []:
            if entry.get("key") == "metadata.name" and entry.get("values"):
                return str(entry["values"][0])
    return ""


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """What a raw pod says about itself."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = conditions_by_type(status)
    ready = conditions.get("Ready", {}).get("status") == "True"
    problem = None if ready else _problem(status, conditions)
    created = parse_time(metadata["creationTimestamp"])
    changed = conditions.get("Ready", {}).get("lastTransitionTime")
    return PodState(
        name=metadata["name"],
        node=node_of(pod),
        revision=(metadata.get("labels") or {}).get(names.REVISION, ""),
        ready=ready,
        since=parse_time(changed) if changed and not (problem and _keeps_crashing(status)) else created,
        problem=problem,
        ends=parse_optional_time(metadata.get("deletionTimestamp")),
    )


def _keeps_crashing(status: Mapping[str, Any]) -> bool:
    return any(
        container.get("restartCount", 0) >= MANY_RESTARTS and backs_off(container)
        for container in container_statuses(status)
    )


def _problem(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> Problem | None:
    """The first thing that keeps the pod from being ready; None while it is simply starting."""
    return (
        _evicted(status)
        or _first(_container_problem(container) for container in container_statuses(status))
        or _unschedulable(conditions)
        or _first(_not_ready(container) for container in status.get("containerStatuses") or [])
    )


def _first(problems: Iterable[Problem | None]) -> Problem | None:
    return next((problem for problem in problems if problem is not None), None)


def _evicted(status: Mapping[str, Any]) -> Problem | None:
    if status.get("phase") != "Failed":
        return None
    return Problem(status.get("reason") or Reason.POD_FAILED, status.get("message") or "the pod failed")


def _container_problem(container: Mapping[str, Any]) -> Problem | None:
    """A container that ended badly, or waits for something it will not get on its own."""
    name, ended = container["name"], terminated(container)
    if ended is None and backs_off(container):
        ended = last_terminated(container)
    if ended is not None and ended.get("exitCode") != 0:
        return _termination(name, ended)
    found = stuck(container)
    if found is None:
        return _last_failure(container)
    return Problem(found.reason, f"container {name}: {found.message or found.reason}")


def _last_failure(container: Mapping[str, Any]) -> Problem | None:
    """A container that is up again after a failure, and not (yet) ready: how it failed is the best hint there is."""
    last = last_terminated(container)
    if last is None or last.get("exitCode") == 0 or container.get("ready"):
        return None
    return _termination(container["name"], last)


def _termination(name: str, ended: Mapping[str, Any]) -> Problem:
    """What a container said as it ended: our images write {"reason", "message"} as JSON, others may say anything."""
    said = str(ended.get("message") or "").strip()
    try:
        report = json.loads(said)
    except ValueError:
        report = None
    if isinstance(report, dict) and isinstance(report.get("reason"), str) and isinstance(report.get("message"), str):
        return Problem(report["reason"] or Reason.ERROR, f"{name}: {report['message']}")
    how = (
        "was killed for using too much memory"
        if ended.get("reason") == "OOMKilled"
        else (f"ended with exit code {ended.get('exitCode')}")
    )
    return Problem(ended.get("reason") or Reason.ERROR, f"container {name} {how}" + (f": {said}" if said else ""))


def _unschedulable(conditions: Mapping[str, Mapping[str, Any]]) -> Problem | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") != "False":
        return None
    return Problem(scheduled.get("reason") or Reason.UNSCHEDULABLE, scheduled.get("message") or "no node takes the pod")


def _not_ready(container: Mapping[str, Any]) -> Problem | None:
    if container.get("ready") or "running" not in (container.get("state") or {}):
        return None
    return Problem(Reason.NOT_READY, f"container {container['name']} runs, but its readiness probe does not pass")
