"""When the log of a container is over, and when what was read of it is forgotten."""

from collections.abc import Callable

from modelfleet.kinds import POD, Kind
from modelfleet.kube import LogTails, Object
from modelfleet.workloads.pods import container_status, terminated


def container_ended(pod: Object | None, uid: str, container: str) -> bool:
    """Whether a container will write no more: it has terminated for good, or its pod has, or the pod is gone."""
    if pod is None or pod["metadata"]["uid"] != uid:
        return True
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    if (pod.get("spec") or {}).get("restartPolicy", "Always") != "Never":
        return False
    return terminated(container_status(status, container)) is not None


def forgetting(logs: LogTails) -> Callable[[Kind, Object | None, Object | None], None]:
    """A subscriber of the store that forgets the log of each pod that is gone."""

    def changed(kind: Kind, before: Object | None, now: Object | None) -> None:
        if kind == POD and before is not None and (now is None or now["metadata"]["uid"] != before["metadata"]["uid"]):
            logs.forget(before["metadata"]["uid"])

    return changed
