"""Whose fault it can be that a candidate's pod doesn't run: the revision's (its model, its template), or the cluster's.

A version is quarantined for what it did, or for what its template says, and never for what the cluster refused: no
room, an image pull secret that is missing, a registry or store that is away, a disk that is full or broken, a pod that
the kubelet evicts, preempts, does not admit or can't begin with, an old pod that doesn't end.
None of that says anything about the version, a rollback would meet the same refusal, and the node would be left with
nothing. Where both may be meant ("pull access denied, repository does not exist or may require authorization") it is
not the revision's: to hold is visible, and can be ended by hand; a wrong quarantine is believed. Pure.
"""

from modelfleet.api.names import FETCH_CONTAINER
from modelfleet.api.reasons import Reason
from modelfleet.workloads.pods import Problem

_CLUSTERS = frozenset(
    {
        Reason.UNSCHEDULABLE,  # the scheduler's: no room, or a volume, port or device that the node doesn't have
        Reason.SCHEDULING_GATED,
        "SchedulerError",
        "OutOfcpu",  # the kubelet's, of a pod that it did not admit
        "OutOfmemory",
        "OutOfpods",
        "OutOfephemeral-storage",
        "UnexpectedAdmissionError",  # a device plugin that has nothing to give
        "NodeShutdown",
        "Terminated",  # by a shutdown of the node
        "Preempting",
        "ContainerStatusUnknown",  # of a container that it has lost
        Reason.DISK_ERROR,  # the agent's, whichever of its containers meets it
        Reason.MODEL_MISSING,  # the agent's: it was fetched, and somebody has removed it from the node since
        Reason.BACKEND_UNAVAILABLE,  # the agent's: the node or the image doesn't have what delivery.backend names
        Reason.POD_NOT_STARTED,
        Reason.POD_STUCK,
    }
)
_ENDED_BY_KUBELET = (
    "pod was rejected",  # not admitted, whatever the reason: labels, devices by any name, pressure, a shutdown, ...
    "the node had condition",  # Evicted; not so where the pod "exceeded its local ephemeral storage limit"
    "the node was low on",
    "preempted in order to admit critical pod",
    "pod was terminated in response to imminent node shutdown",
)
"""How messages of pods begin that the kubelet (1.34 and 1.35 were read) ends or does not admit for its node's sake. An
application can't say these: before its words comes the name of its container."""
_CREATING = frozenset(
    {
        "CreateContainerError",
        "CreateContainerConfigError",
        "PreCreateHookError",
        "PreStartHookError",
        "RunContainerError",
        "StartError",  # containerd's, of a container that ended before it began
        "ContainerCannotRun",
    }
)
_NODE_IS_BROKEN = (
    "no space left on device",
    "disk quota exceeded",
    "input/output error",
    "structure needs cleaning",
    "stale file handle",
    "stale nfs file handle",  # the same, in Go's words
    "transport endpoint is not connected",
    "context deadline exceeded",  # the container runtime did not answer
    "failed to reserve container name",  # and what it says of the second try
)
"""What the runtime says of the node it runs on. A read-only file system is not among it: most are of a template that
asks for one and mounts into it."""
_FETCHING = frozenset(
    {
        Reason.DISK_FULL,  # of the node
        Reason.CACHE_NOT_WRITABLE,
        Reason.CACHE_UNUSABLE,
        Reason.UNREACHABLE,  # the store, which the version was verified in
        Reason.ACCESS_DENIED,
    }
)
"""What `fetch-model` says of node and store. A file that is not there, or is another one, is the version's."""
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_NO_SUCH_IMAGE = ("not found", "manifest unknown", "name unknown", "no match for platform", "invalid reference format")


def is_clusters(problem: Problem) -> bool:
    """Whether this can't be the revision's fault."""
    if problem.reason in _FETCHING:  # an application may use these words for something else
        return problem.message.startswith(f"{FETCH_CONTAINER}: ")
    said = problem.message.lower()
    if problem.reason in _PULLING:
        return not any(words in said for words in _NO_SUCH_IMAGE) or _broken(said)
    if problem.reason in _CREATING:
        return _broken(said)
    return problem.reason in _CLUSTERS or said.startswith(_ENDED_BY_KUBELET)


def _broken(said: str) -> bool:
    return any(words in said for words in _NODE_IS_BROKEN)
