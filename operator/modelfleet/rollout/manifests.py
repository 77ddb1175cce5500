"""The DaemonSet of one group with one revision: the user's pod template, with the model delivered into it. Pure.

Everything comes from the revision's data and from the group's place in the spec, so that going back to a revision gives
the pods of that time. What the user's template says stays, with these additions: labels, node affinity for the group,
the `fetch-model` init container, the volume with the models, and the environment that tells where the model is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modelfleet.api import names
from modelfleet.api.common import ObjectMeta
from modelfleet.api.rollout import Delivery, Rollout
from modelfleet.kinds import DAEMON_SET, ROLLOUT
from modelfleet.rollout import affinity
from modelfleet.rollout.affinity import Conjunction
from modelfleet.rollout.revisions import Revision
from modelfleet.workloads.owners import owner_reference

VOLUME = "modelfleet-models"
NODE_CACHE = "/var/lib/modelfleet/models"

# What the init container takes from the delivery container's resources: with them a pod keeps its QoS class, and passes
# where a quota asks for requests. Devices are not taken: fetching needs none.
_FETCH_RESOURCES = ("cpu", "memory", "ephemeral-storage")

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


def daemon_set(rollout: Rollout, index: int, revision: Revision, max_unavailable: int | str) -> Json:
    """The DaemonSet of the group at `index` of the spec. Raises affinity.TooComplex."""
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
                "rollingUpdate": {"maxUnavailable": max_unavailable, "maxSurge": 0},
            },
            "template": _pod(rollout, index, revision, labels),
        },
    }


def pod_affinity(rollout: Rollout, index: int, revision: Revision) -> Json | None:
    """The pods' affinity in the group at `index`: the user's own, and the group's nodes. Raises affinity.TooComplex."""
    conjunctions = selectors(rollout)
    terms = affinity.group_terms(conjunctions[index], conjunctions[:index])
    return affinity.node_affinity(terms, (revision.data["template"].get("spec") or {}).get("affinity"))


def _pod(rollout: Rollout, index: int, revision: Revision, labels: Mapping[str, str]) -> Json:
    template: Mapping[str, Any] = revision.data["template"]
    group = rollout.spec.groups[index].name
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    spec: Json = dict(template.get("spec") or {})
    delivery = revision.delivery(group)
    env = environment(rollout.metadata, group, revision, delivery)
    original = next((c for c in spec["containers"] if c["name"] == delivery.container), {"name": delivery.container})
    application = _application(original, revision, delivery, env)
    spec["containers"] = [application if entry["name"] == delivery.container else entry for entry in spec["containers"]]
    spec["initContainers"] = [_fetch(original, revision, delivery, env), *(spec.get("initContainers") or [])]
    spec["volumes"] = [*(v for v in spec.get("volumes") or [] if v["name"] != VOLUME), _volume(delivery)]
    spec.setdefault("automountServiceAccountToken", False)
    spec.pop("affinity", None)
    if (required := pod_affinity(rollout, index, revision)) is not None:
        spec["affinity"] = required
    return {"metadata": metadata, "spec": spec}


def environment(rollout: ObjectMeta, group: str, revision: Revision, delivery: Delivery) -> list[Json]:
    """What the pod's containers are told about the model, the same for fetching and for running it."""
    artifact = revision.data["artifact"]
    file = artifact["files"][delivery.format]
    values = {
        "MODEL_NAME": revision.data["model"],
        "MODEL_VERSION": revision.version,
        "MODEL_PATH": f"{delivery.mount_path.rstrip('/')}/{file['sha256']}/{file['name']}",
        "MODEL_URI": f"{artifact['uri'].rstrip('/')}/{file['name']}",
        "MODEL_SHA256": file["sha256"],
        "MODEL_SIZE": str(file["sizeBytes"]),
        "MODEL_CLASSES": json.dumps(revision.data["classes"], ensure_ascii=False),
        "MODEL_IMAGE_SIZE": str(revision.data["imageSize"]),
        "ROLLOUT": rollout.name,
        "ROLLOUT_NAMESPACE": rollout.namespace,
        "GROUP": group,
    }
    # The kubelet expands `$(NAME)`, and reads every `$$` as a plain `$`.
    plain: list[Json] = [{"name": name, "value": str(value).replace("$", "$$")} for name, value in values.items()]
    return [*plain, {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]


def _with_env(container: Mapping[str, Any], env: Sequence[Json]) -> list[Json]:
    """Ours first, so that the user's variables can refer to them; a name of ours is never the user's."""
    ours = {entry["name"] for entry in env}
    return [*env, *(entry for entry in container.get("env") or [] if entry["name"] not in ours)]


def _mounts(container: Mapping[str, Any], delivery: Delivery) -> list[Json]:
    """The user's mounts, but for one that takes the models' place."""
    return [
        mount
        for mount in container.get("volumeMounts") or []
        if mount["name"] != VOLUME and mount["mountPath"].rstrip("/") != delivery.mount_path.rstrip("/")
    ]


def _application(container: Mapping[str, Any], revision: Revision, delivery: Delivery, env: Sequence[Json]) -> Json:
    """The container that runs the model; without an image of its own it is the agent."""
    return {
        "image": revision.data["agentImage"],
        **container,
        "env": _with_env(container, env),
        "volumeMounts": [
            *_mounts(container, delivery),
            {"name": VOLUME, "mountPath": delivery.mount_path, "readOnly": True},
        ],
    }


def _fetch(container: Mapping[str, Any], revision: Revision, delivery: Delivery, env: Sequence[Json]) -> Json:
    """The init container that puts the verified file into the volume.

    It gets the application's environment and mounts, since credentials, certificates and file:// volumes come that way.
    """
    fetch: Json = {
        "name": names.FETCH_CONTAINER,
        "image": revision.data["agentImage"],
        "args": ["fetch"],
        "env": _with_env(container, env),
        "volumeMounts": [
            *({**mount, "readOnly": True} for mount in _mounts(container, delivery)),
            {"name": VOLUME, "mountPath": delivery.mount_path},
        ],
        "securityContext": _fetch_security(delivery),
        "terminationMessagePolicy": "File",
    }
    if container.get("envFrom"):
        fetch["envFrom"] = container["envFrom"]
    if container.get("imagePullPolicy") and "image" not in container:
        fetch["imagePullPolicy"] = container["imagePullPolicy"]
    resources = {
        kind: taken
        for kind in ("requests", "limits")
        if (
            taken := {
                k: v for k, v in ((container.get("resources") or {}).get(kind) or {}).items() if k in _FETCH_RESOURCES
            }
        )
    }
    return fetch | {"resources": resources} if resources else fetch


def _fetch_security(delivery: Delivery) -> Json:
    """As little as can be. The node's cache is made by the kubelet for root, so only root can write there."""
    least: Json = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return least | {"runAsUser": 0, "runAsNonRoot": False} if delivery.cache == "Node" else least


def _volume(delivery: Delivery) -> Json:
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
