"""Raw pods read as `PodState`: ready or not, since when, and what stands in the way."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from modelfleet.api import names
from modelfleet.api.foreign import parsed
from modelfleet.api.reasons import Reason
from modelfleet.rollout.snapshot import PodState
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.workloads.last_words import camel_case, in_utf8
from modelfleet.workloads.pods import (
    Problem,
    backs_off,
    conditions_by_type,
    container_statuses,
    is_starting,
    last_terminated,
    node_of,
    stuck,
    terminated,
)

# A container that restarted this often and is backing off is judged from its pod's creation on: its Ready condition
# flips with every start, and the progress deadline would never be reached.
MANY_RESTARTS = 5


def pod_state(pod: Mapping[str, Any]) -> PodState:
    """What a raw pod says about itself."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = conditions_by_type(status)
    ready = conditions.get("Ready", {}).get("status") == "True"
    problem = None if ready else _problem(status, conditions)
    created = _given_a_node(conditions) or parse_time(metadata["creationTimestamp"])
    changed = conditions.get("Ready", {}).get("lastTransitionTime")
    return PodState(
        name=metadata["name"],
        node=node_of(pod),
        revision=(metadata.get("labels") or {}).get(names.REVISION, ""),
        ready=ready,
        since=parse_time(changed) if changed and not (problem and _keeps_crashing(status)) else created,
        problem=problem,
        ends=parse_optional_time(metadata.get("deletionTimestamp")),
        unstarted=not ready and _is_unstarted(status, conditions),
    )


def _is_unstarted(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the pod has no sandbox on its node, or its containers wait, and for nothing that one of them has done.

    Normal for a moment, and for as long as an image is pulled or the model is fetched; later the node can't do what
    comes first: the network, volumes. Without a sandbox it says nothing that containers have run: after a reboot all of
    it comes again.
    """
    if status.get("phase") in ("Failed", "Succeeded"):
        return False
    if conditions.get("PodReadyToStartContainers", {}).get("status") == "False":
        return True
    if not container_statuses(status):  # the kubelet has not looked at it
        return conditions.get("PodScheduled", {}).get("status") == "True"
    inits, others = status.get("initContainerStatuses") or (), status.get("containerStatuses") or ()
    return all(_waits(each) or _is_done_or_fetches(each) for each in inits) and all(map(_waits, others))


def _waits(container: Mapping[str, Any]) -> bool:
    return is_starting(container) and last_terminated(container) is None


def _is_done_or_fetches(init: Mapping[str, Any]) -> bool:
    if last_terminated(init) is not None:
        return False
    if (ended := terminated(init)) is not None:
        return bool(ended.get("exitCode") == 0)
    return init["name"] == names.FETCH_CONTAINER and "running" in (init.get("state") or {})


def _given_a_node(conditions: Mapping[str, Mapping[str, Any]]) -> datetime | None:
    """When the scheduler let it on its node: for what was before the pod can't be late. None where it is not known."""
    scheduled = conditions.get("PodScheduled", {})
    return parse_optional_time(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None


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
        report = parsed(said)
    except ValueError:
        report = None
    if isinstance(report, dict) and isinstance(report.get("reason"), str) and isinstance(report.get("message"), str):
        return Problem(camel_case(report["reason"], Reason.ERROR), f"{name}: {in_utf8(report['message'])}")
    how = (
        "was killed for using too much memory"
        if ended.get("reason") == "OOMKilled"
        else (f"ended with exit code {ended.get('exitCode')}")
    )
    return Problem(
        ended.get("reason") or Reason.ERROR, f"container {name} {how}" + (f": {in_utf8(said)}" if said else "")
    )


def _unschedulable(conditions: Mapping[str, Mapping[str, Any]]) -> Problem | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") != "False":
        return None
    return Problem(scheduled.get("reason") or Reason.UNSCHEDULABLE, scheduled.get("message") or "no node takes the pod")


def _not_ready(container: Mapping[str, Any]) -> Problem | None:
    if container.get("ready") or "running" not in (container.get("state") or {}):
        return None
    return Problem(Reason.NOT_READY, f"container {container['name']} runs, but its readiness probe does not pass")
