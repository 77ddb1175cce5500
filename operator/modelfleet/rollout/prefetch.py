"""The model of the next group, fetched onto its nodes while the present group soaks. Pure.

One DaemonSet for a Rollout, of pods that run `agent prefetch` on the nodes of the group that comes next: they put the
file into the node's cache and then wait to be removed. When the candidate goes into that group its pods find the file
there, and start without a download.

It is a help and no step of the rollout. Nothing is read of these pods and nothing waits for them: one that fails (no
room on the disk, a store that is away, a quota) is tried again by the kubelet, delays nothing, and is not held against
the version. On the node it takes only what is free: it removes no model of the cache, and the pods ask for next to no
processor or memory.
"""

from collections.abc import Mapping
from typing import Any

from modelfleet.api import names
from modelfleet.api.rollout import Rollout
from modelfleet.decision import Action, Apply, Delete
from modelfleet.kinds import DAEMON_SET, ROLLOUT
from modelfleet.rollout import affinity, manifests
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.position import Moving
from modelfleet.rollout.revisions import Revision
from modelfleet.workloads.owners import controller_of, owner_reference

CONTAINER = "prefetch-model"

# What of the user's pod says where it may run and how it reaches the store; nothing that other pods could refuse.
_TAKEN = (
    "tolerations",
    "nodeSelector",
    "serviceAccountName",
    "imagePullSecrets",
    "runtimeClassName",
    "securityContext",
    "hostNetwork",
    "hostAliases",
    "dnsPolicy",
    "dnsConfig",
)
_RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}}

Json = dict[str, Any]


def name(rollout: str) -> str:
    """The DaemonSet's name. No group's can be the same: groups have no dot in their names."""
    return f"{rollout}.prefetch"


def actions(assessment: Assessment, *, advance: bool) -> list[Action]:
    """What brings the DaemonSet to what it should be. `advance`: the candidate goes into the next group now."""
    snapshot = assessment.position.snapshot
    there = snapshot.prefetch
    if there is not None and controller_of(there) not in (snapshot.rollout.metadata.uid, ""):
        return []  # somebody else's, of this name
    wanted = None if advance else _wanted(assessment)
    if wanted is None:
        return [] if there is None else _remove(there)
    return [] if there is not None and manifests.covers(there, wanted) else [Apply(wanted)]


def _remove(there: Mapping[str, Any]) -> list[Action]:
    metadata = there["metadata"]
    if metadata.get("deletionTimestamp"):
        return []
    return [Delete(DAEMON_SET, metadata["namespace"], metadata["name"], metadata["uid"])]


def _wanted(assessment: Assessment) -> Json | None:
    """The DaemonSet while there is something to fetch: the present group is done, and the next one comes."""
    position, course = assessment.position, assessment.position.course
    rollout = position.snapshot.rollout
    if not rollout.spec.delivery.prefetch or rollout.spec.paused or position.stall is not None:
        return None
    if not isinstance(course, Moving) or course.following is None or not assessment.done:
        return None
    if course.candidate.delivery(course.following.name).cache != "Node":
        return None
    try:
        return daemon_set(rollout, position.reached, course.candidate)
    except affinity.TooComplex:
        return None


def daemon_set(rollout: Rollout, index: int, revision: Revision) -> Json:
    """The DaemonSet that fetches the revision's model onto the nodes of the group at `index`.

    Raises affinity.TooComplex. Only the DaemonSet has the label by which a Rollout's children are found: its pods are
    none of a group's, and are neither counted nor scraped.
    """
    group = rollout.spec.groups[index].name
    pods = {names.PREFETCH: rollout.metadata.name}
    labels = {
        names.MANAGED_BY: names.MANAGED_BY_VALUE,
        **pods,
        names.MODEL: str(revision.data["model"]),
        names.VERSION: revision.version,
    }
    return {
        "apiVersion": DAEMON_SET.api_version,
        "kind": DAEMON_SET.kind,
        "metadata": {
            "name": name(rollout.metadata.name),
            "namespace": rollout.metadata.namespace,
            "labels": {**labels, names.ROLLOUT: rollout.metadata.name},
            "ownerReferences": [owner_reference(ROLLOUT, rollout.metadata)],
        },
        "spec": {
            "selector": {"matchLabels": pods},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(rollout, index, group, revision)},
        },
    }


def _pod(rollout: Rollout, index: int, group: str, revision: Revision) -> Json:
    template: Mapping[str, Any] = revision.data["template"].get("spec") or {}
    delivery = revision.delivery(group)
    fetch = manifests.fetch_container(rollout, group, revision, delivery)
    container = fetch | {"name": CONTAINER, "args": ["prefetch"], "resources": _RESOURCES}
    mounted = {mount["name"] for mount in container["volumeMounts"]} - {manifests.VOLUME}
    required = manifests.pod_affinity(rollout, index, revision) or {}
    return {
        **{key: template[key] for key in _TAKEN if key in template},
        "automountServiceAccountToken": template.get("automountServiceAccountToken", False),
        "terminationGracePeriodSeconds": 5,  # it ends at once, and the next group's pods wait for its lock
        "affinity": {key: value for key, value in required.items() if key == "nodeAffinity"},
        "containers": [container],
        "volumes": [
            *(volume for volume in template.get("volumes") or [] if volume["name"] in mounted),
            manifests.volume(delivery),
        ],
    }
