"""The Kubernetes kinds that modelfleet reads or writes, as plain values.

They live outside of `modelfleet.kube` (which re-exports them) so that the pure modules (`*/decide.py`,
`*/manifests.py`, `decision.py`) can name a kind without importing a Kubernetes client.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelfleet.api.names import GROUP, MANAGED_BY, MANAGED_BY_VALUE


@dataclass(frozen=True, order=True)
class Kind:
    """One resource type of the Kubernetes API. `group` is "" for the core group; `plural` is its name in URLs."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What stands in `apiVersion` of its objects: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Its name as RBAC and `kubectl get` spell it: "pods", "jobs.batch"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __str__(self) -> str:
        return self.kind


class Key(NamedTuple):
    """Which object of a kind. `namespace` is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


MODEL_VERSION = Kind(GROUP, "v1alpha1", "modelversions", "ModelVersion")
TRAINING_JOB = Kind(GROUP, "v1alpha1", "trainingjobs", "TrainingJob")
ROLLOUT = Kind(GROUP, "v1alpha1", "rollouts", "Rollout")
DATASET = Kind(GROUP, "v1alpha1", "datasets", "Dataset")
JOB = Kind("batch", "v1", "jobs", "Job")
POD = Kind("", "v1", "pods", "Pod")
DAEMON_SET = Kind("apps", "v1", "daemonsets", "DaemonSet")
CONTROLLER_REVISION = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")
CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
NODE = Kind("", "v1", "nodes", "Node", namespaced=False)
EVENT = Kind("", "v1", "events", "Event")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")

OWNERS: tuple[Kind, ...] = (MODEL_VERSION, TRAINING_JOB, ROLLOUT, DATASET)
"""The kinds a user writes: each has a controller."""

CHILDREN: tuple[Kind, ...] = (JOB, POD, DAEMON_SET, CONTROLLER_REVISION, CONFIG_MAP)
"""The kinds the operator makes; watched by the label `app.kubernetes.io/managed-by: modelfleet`."""

WATCHED: tuple[Kind, ...] = (*OWNERS, *CHILDREN, NODE)
"""Everything that is held in the store."""

_OF_A_DAEMON_SET = "controller-revision-hash"

_BY_TYPE = {(kind.api_version, kind.kind): kind for kind in (*WATCHED, LEASE)}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The kind of a raw object, by its `apiVersion` and `kind`.

    Raises ValueError for a type that modelfleet does not handle.
    """
    try:
        return _BY_TYPE[obj.get("apiVersion", ""), obj.get("kind", "")]
    except KeyError:
        raise ValueError(f"modelfleet handles no {obj.get('apiVersion')!r} {obj.get('kind')!r}") from None


def key_of(obj: Mapping[str, Any]) -> Key:
    """Namespace and name of a raw object."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace") or "", metadata["name"])


def selector_of(kind: Kind) -> str:
    """The label selector under which objects of this kind are listed and watched; "" for all of them.

    Kubernetes keeps ControllerRevisions of its own for each DaemonSet, with the labels of its pods, ours among them,
    and this one more: one for each group, which is more than ours are, and of no use here."""
    ours = f"{MANAGED_BY}={MANAGED_BY_VALUE}" if kind in CHILDREN else ""
    return f"{ours},!{_OF_A_DAEMON_SET}" if kind == CONTROLLER_REVISION else ours
