"""The DaemonSet of one group with one revision: the user's pod template, with the model delivered into it. Pure.

Everything comes from the revision's data and from the group's place in the spec, so that going back to a revision gives
the pods of that time. What the user's template says stays, with these additions: labels, node affinity for the group,
the `fetch-model` init container (fetching.py), the volume with the models, the environment that tells where the model
is, and what capture and the live page take (capture_pods.py).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modelfleet.api import names
from modelfleet.api.common import ObjectMeta
from modelfleet.api.delivery import Delivery
from modelfleet.api.rollout import Rollout
from modelfleet.kinds import DAEMON_SET, ROLLOUT
from modelfleet.rollout import affinity, capture_pods, fetching, signatures
from modelfleet.rollout.affinity import Conjunction
from modelfleet.rollout.capture_pods import Additions
from modelfleet.rollout.revisions import Revision
from modelfleet.workloads import pod_security
from modelfleet.workloads.containers import named
from modelfleet.workloads.env import variable
from modelfleet.workloads.owners import owner_reference
from modelfleet.workloads.pods import REQUIRED

VOLUME = "modelfleet-models"
NODE_CACHE = "/var/lib/modelfleet/models"

AGENT_SECURITY = pod_security.guest(read_only=False)
"""Of the application where it is the agent and its container says nothing else."""

Json = dict[str, Any]


def daemon_set_name(rollout: str, group: str) -> str:
    """The name of a group's DaemonSet."""
    return f"{rollout}-{group}"


def selectors(rollout: Rollout) -> tuple[Conjunction, ...]:
    """The groups' node selectors, in order."""
    return tuple(
        affinity.requirements(
            group.node_selector.match_labels,
            [entry.to_dict() for entry in group.node_selector.match_expressions],
        )
        for group in rollout.spec.groups
    )


def daemon_set(
    rollout: Rollout,
    index: int,
    revision: Revision,
    max_unavailable: int | str,
    max_surge: int | str = 0,
    *,
    apart: bool = False,
) -> Json:
    """The DaemonSet of the group at `index` of the spec. Raises affinity.TooComplex.

    apart  its pods wait until the pod of another group has left their node, as one that was removed (handover.py)
    """
    group = rollout.spec.groups[index]
    identity = {names.ROLLOUT: rollout.metadata.name, names.NODE_GROUP: group.name}
    labels = {
        names.MANAGED_BY: names.MANAGED_BY_VALUE,
        **identity,
        names.MODEL: str(revision.data["model"]),
        names.VERSION: revision.version,
        names.REVISION: revision.hash,
    }
    return {
        "apiVersion": DAEMON_SET.api_version,
        "kind": DAEMON_SET.kind,
        "metadata": {
            "name": daemon_set_name(rollout.metadata.name, group.name),
            "namespace": rollout.metadata.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(ROLLOUT, rollout.metadata)],
        },
        "spec": {
            "selector": {"matchLabels": identity},
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": max_unavailable, "maxSurge": max_surge},
            },
            "template": _pod(rollout, index, revision, labels, apart=apart),
        },
    }


def others(rollout: str, group: str) -> Json:
    """As a term of pod anti-affinity: the pods of the Rollout's other groups on the same node."""
    return {
        "labelSelector": {
            "matchLabels": {names.ROLLOUT: rollout},
            "matchExpressions": [
                {"key": names.NODE_GROUP, "operator": "Exists"},
                {"key": names.NODE_GROUP, "operator": "NotIn", "values": [group]},
            ],
        },
        "topologyKey": "kubernetes.io/hostname",
    }


def _apart(given: Mapping[str, Any] | None, term: Json) -> Json:
    """A pod's affinity with this term of anti-affinity, too."""
    anti = (given or {}).get("podAntiAffinity") or {}
    return {**(given or {}), "podAntiAffinity": {**anti, REQUIRED: [*(anti.get(REQUIRED) or ()), term]}}


def pod_affinity(rollout: Rollout, index: int, revision: Revision) -> Json | None:
    """The pods' affinity in the group at `index`: the user's own, and the group's nodes. Raises affinity.TooComplex."""
    conjunctions = selectors(rollout)
    terms = affinity.group_terms(conjunctions[index], conjunctions[:index])
    return affinity.node_affinity(terms, (revision.data["template"].get("spec") or {}).get("affinity"))


def _pod(rollout: Rollout, index: int, revision: Revision, labels: Mapping[str, str], *, apart: bool) -> Json:
    template: Mapping[str, Any] = revision.data["template"]
    group = rollout.spec.groups[index].name
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    spec: Json = dict(template.get("spec") or {})
    delivery = revision.delivery(group)
    env = environment(rollout.metadata, group, revision, delivery, delivery.mount_path)
    original = named(spec["containers"], delivery.container) or {"name": delivery.container}
    added = capture_pods.additions(rollout.metadata, revision.data, delivery, env)
    application = _application(original, revision, delivery, env, added)
    spec["containers"] = [
        application if entry["name"] == delivery.container else _reads_models(entry) for entry in spec["containers"]
    ]
    fetch = fetch_container(rollout, group, revision, delivery)
    spec["initContainers"] = _init_containers(fetch, spec, added)
    volumes = [volume(delivery), *added.volumes]
    ours = {each["name"] for each in volumes}
    spec["volumes"] = [*(each for each in spec.get("volumes") or [] if each["name"] not in ours), *volumes]
    if added.groups:
        shared = spec.get("securityContext") or {}
        theirs = [group for group in shared.get("supplementalGroups") or [] if group not in added.groups]
        spec["securityContext"] = {**shared, "supplementalGroups": [*theirs, *added.groups]}
    spec.setdefault("automountServiceAccountToken", False)
    spec.pop("affinity", None)
    required = pod_affinity(rollout, index, revision)
    if apart:
        required = _apart(required, others(rollout.metadata.name, group))
    if required is not None:
        spec["affinity"] = required
    return {"metadata": metadata, "spec": spec}


def _init_containers(fetch: Json, spec: Mapping[str, Any], added: Additions) -> list[Json]:
    """Ours first: what can't get the model needs not start anything else."""
    ours = {fetch["name"], *(entry["name"] for entry in added.init_containers)}
    theirs = (entry for entry in spec.get("initContainers") or () if entry["name"] not in ours)
    return [fetch, *map(_reads_models, (*added.init_containers, *theirs))]


def _reads_models(container: Mapping[str, Any]) -> Json:
    """A container of the user's. The models are the node's, and not this namespace's to change: where it mounts their
    volume, it reads it, as a whole (the kubelet, as root, would make the folder of a subPath)."""
    if all(mount["name"] != VOLUME for mount in container.get("volumeMounts") or ()):
        return dict(container)
    mounts = [
        {"name": VOLUME, "mountPath": mount["mountPath"], "readOnly": True} if mount["name"] == VOLUME else mount
        for mount in container["volumeMounts"]
    ]
    return {**container, "volumeMounts": mounts}


def environment(rollout: ObjectMeta, group: str, revision: Revision, delivery: Delivery, mount_path: str) -> list[Json]:
    """What a container is told about the model, which fetches it or runs it and has the models at this path."""
    artifact = revision.data["artifact"]
    file = artifact["files"][delivery.format]
    values = {
        "MODEL_NAME": revision.data["model"],
        "MODEL_VERSION": revision.version,
        "MODEL_PATH": f"{mount_path.rstrip('/')}/{file['sha256']}/{file['name']}",
        "MODEL_URI": f"{artifact['uri'].rstrip('/')}/{file['name']}",
        "MODEL_SHA256": file["sha256"],
        "MODEL_SIZE": str(file["sizeBytes"]),
        "MODEL_CLASSES": json.dumps(revision.data["classes"], ensure_ascii=False),
        "MODEL_IMAGE_SIZE": str(revision.data["imageSize"]),
        "ROLLOUT": rollout.name,
        "ROLLOUT_NAMESPACE": rollout.namespace,
        "GROUP": group,
    }
    plain = [variable(name, str(value)) for name, value in values.items()]
    return [*plain, {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]


def _with_env(container: Mapping[str, Any], env: Sequence[Json]) -> list[Json]:
    """Ours first, so that the user's variables can refer to them; a name of ours is never the user's."""
    ours = {entry["name"] for entry in env}
    return [*env, *(entry for entry in container.get("env") or [] if entry["name"] not in ours)]


def _mounts(container: Mapping[str, Any], ours: Sequence[Json]) -> list[Json]:
    """The user's mounts, but for those that take the place of one of ours."""
    volumes, paths = {mount["name"] for mount in ours}, {mount["mountPath"].rstrip("/") for mount in ours}
    return [
        mount
        for mount in container.get("volumeMounts") or []
        if mount["name"] not in volumes and mount["mountPath"].rstrip("/") not in paths
    ]


def _application(
    container: Mapping[str, Any], revision: Revision, delivery: Delivery, env: Sequence[Json], added: Additions
) -> Json:
    """The container that runs the model; without an image of its own it is the agent."""
    mounts = [{"name": VOLUME, "mountPath": delivery.mount_path, "readOnly": True}, *added.mounts]
    ours = {} if "image" in container else {"image": revision.data["agentImage"], "securityContext": AGENT_SECURITY}
    backend = [variable("BACKEND", delivery.backend)] if delivery.backend is not None else []
    return {
        **ours,
        **container,
        "env": _with_env(container, [*env, *backend, *added.env]),
        "volumeMounts": [*_mounts(container, mounts), *mounts],
    }


def fetch_container(rollout: Rollout, group: str, revision: Revision, delivery: Delivery) -> Json:
    """The container that puts the revision's verified file into the volume, on nodes of this group."""
    env = environment(rollout.metadata, group, revision, delivery, fetching.MODELS)
    env += signatures.environment(revision.data)
    spec = revision.data["template"].get("spec") or {}
    return fetching.container(spec, revision.data["agentImage"], delivery, env, VOLUME)


def volume(delivery: Delivery) -> Json:
    """The volume that holds the models."""
    if delivery.cache == "Pod":
        return {"name": VOLUME, "emptyDir": {}}
    return {"name": VOLUME, "hostPath": {"path": NODE_CACHE, "type": "DirectoryOrCreate"}}


def covers(observed: Any, desired: Any) -> bool:
    """Whether an object as the API server has it already says all that `desired` says.

    The server adds defaults (more keys), leaves out what is empty, and writes quantities its own way ("0.5" -> "500m").
    """
    if isinstance(desired, dict):
        if not isinstance(observed, dict):
            return observed is None and not any(desired.values())
        return all(covers(observed.get(key), value) for key, value in desired.items())
    if isinstance(desired, list | tuple):
        given = observed or ()
        if len(given) != len(desired):
            return False
        named = _by_key(desired), _by_key(given)  # the order of such a list is the server's, after an apply
        if named[0] is not None and named[1] is not None:
            return covers(named[1], named[0])
        return all(covers(had, wanted) for had, wanted in zip(given, desired, strict=True))
    if desired is None or desired == observed:
        return True
    return _empty(desired, observed) or same_quantity(desired, observed)


def _by_key(entries: Sequence[Any]) -> dict[str, Any] | None:
    """A list of containers, variables, volumes or mounts by its key; None for any other list."""
    for key in ("mountPath", "name"):
        if entries and all(isinstance(entry, dict) and key in entry for entry in entries):
            found = {str(entry[key]): entry for entry in entries}
            return found if len(found) == len(entries) else None
    return None


def _empty(desired: Any, observed: Any) -> bool:
    return observed is None and desired in ("", 0, False)


_SUFFIXES = {
    "": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def same_quantity(one: Any, other: Any) -> bool:
    """Whether two values are the same Kubernetes quantity, written in two ways: 0.5 and "500m", "1024Mi" and "1Gi"."""
    first, second = _quantity(one), _quantity(other)
    return first is not None and second is not None and abs(first - second) <= 1e-9 * max(abs(first), abs(second))


def _quantity(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    digits = text.rstrip("".join(_SUFFIXES))
    suffix = text[len(digits) :]
    try:
        return float(digits) * _SUFFIXES[suffix]
    except (ValueError, KeyError):
        return None
