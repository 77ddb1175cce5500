"""What a Rollout's pods get where frames are captured (`delivery.capture`), or shown (`delivery.live`). Pure.

The application decides which frames to keep and writes them into the spool, a folder; `upload-captures`, a sidecar,
sends them and deletes them there. Only the sidecar has the credentials, and it has nothing else: neither the models nor
the application's variables and mounts (but for the one that a file:// destination lies in). An init container named
`upload-captures` in the user's template is laid over ours, as a strategic merge patch, for what a site needs beside
that: a certificate, a proxy, other resources.

Who may write the spool: the application, as whatever user it runs, and the sidecar, which reads and deletes what the
application wrote, without being root.

* With cache Node it is a folder of the node, made by the kubelet for root, mode 0755. `prepare-spool` gives it to the
  group 65532 with mode 2770, all that a root without capabilities can do: it is the owner, and of that group. Every
  container of the pod is in that group (`supplementalGroups`), and what is made inside inherits it (the 2). On the node
  nobody else can read the images. fsGroup would not do: the kubelet doesn't apply it to folders of the node.
* With cache Pod it is an emptyDir, which anybody in the pod may write to.
* The sidecar runs as the user that the application's container runs as, where the template says so; else as the agent
  image's (65532), as the application does where it is the agent. A foreign image with a user of its own must leave its
  folders in the spool writable for its group (umask 002).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelfleet.api import names
from modelfleet.api.common import ObjectMeta
from modelfleet.api.delivery import Delivery, Live
from modelfleet.api.rollout import Rollout
from modelfleet.wording import listed
from modelfleet.workloads import mounts, pod_security, pod_template
from modelfleet.workloads.containers import named

SPOOL_VOLUME = "modelfleet-spool"
SPOOL = "/var/lib/modelfleet/spool"
"""Where the containers see it; on the node, <namespace>/<rollout> below it."""
SETTINGS_VOLUME = "modelfleet-capture"
SETTINGS = "/etc/modelfleet/capture"
SETTINGS_KEY = "capture.json"
UPLOAD_PORT = 9091
METRICS_PORT_NAME = "metrics-capture"
GROUP = 65532

_UPLOADER_KNOWS = ("MODEL_NAME", "MODEL_VERSION", "ROLLOUT", "ROLLOUT_NAMESPACE", "GROUP", "NODE_NAME")

# Limits that are the requests, so that a pod with guaranteed resources stays one. The user's template may say others.
_LIMITS = {"cpu": "100m", "memory": "128Mi"}
_RESOURCES = {"requests": _LIMITS, "limits": _LIMITS}

_LEAST = pod_security.guest(read_only=True)

Json = dict[str, Any]


@dataclass(frozen=True)
class Additions:
    """What is added to a pod.

    env, mounts      of the application's container
    init_containers  in this order; one that the user has under the same name is laid over ours already
    groups           supplemental groups of the pod
    """

    env: tuple[Json, ...] = ()
    mounts: tuple[Json, ...] = ()
    volumes: tuple[Json, ...] = ()
    init_containers: tuple[Json, ...] = ()
    groups: tuple[int, ...] = ()


def settings_name(rollout: str) -> str:
    """The name of the ConfigMap with the settings of capture."""
    return f"{rollout}-capture"


def in_revision(delivery: Delivery, template: Mapping[str, Any]) -> Json:
    """What of capture and live is part of a revision, since pods are made from it; empty where both are off.

    Whether frames are captured, with which Secret, and the mount that a file:// destination lies in; all of live, which
    is given as variables. The rest (rules, sample, image, disk, rate, the destination itself) is read by running pods
    from the ConfigMap: a change of it restarts nothing.
    """
    found: Json = {}
    if delivery.capture is not None:
        capture = {
            "credentialsSecret": delivery.capture.credentials_secret,
            "mountPath": _mount_path(delivery.capture.destination, template),
        }
        found["capture"] = {key: value for key, value in capture.items() if value is not None}
    if delivery.live is not None and delivery.live.enabled:
        found["live"] = delivery.live.to_dict()
    return found


def additions(rollout: ObjectMeta, data: Mapping[str, Any], delivery: Delivery, env: Sequence[Json]) -> Additions:
    """What the pods of a revision with this `data` get; `env` is what our containers are told about the model."""
    shown = tuple(_live(Live.model_validate(data["live"]))) if "live" in data else ()
    if "capture" not in data:
        return Additions(env=shown)
    paths = (
        {"name": "CAPTURE_SPOOL", "value": SPOOL},
        {"name": "CAPTURE_SETTINGS", "value": f"{SETTINGS}/{SETTINGS_KEY}"},
    )
    mounts = (
        {"name": SPOOL_VOLUME, "mountPath": SPOOL},
        {"name": SETTINGS_VOLUME, "mountPath": SETTINGS, "readOnly": True},
    )
    told = [*(entry for entry in env if entry["name"] in _UPLOADER_KNOWS), *paths]
    on_node = delivery.cache == "Node"
    spec = data["template"].get("spec") or {}
    application = named(spec.get("containers"), delivery.container)
    sidecar = _upload(data, application, told, mounts) | {
        "securityContext": _LEAST | pod_security.as_application(application, spec)
    }
    theirs = named(spec.get("initContainers"), names.UPLOAD_CONTAINER)
    for key in {"resources", "ports"} & theirs.keys():  # as a whole: a limit of theirs may be below a request of ours
        del sidecar[key]
    return Additions(
        env=(*paths, *shown),
        mounts=mounts,
        volumes=(
            _spool(rollout, on_node),
            {"name": SETTINGS_VOLUME, "configMap": {"name": settings_name(rollout.name), "optional": True}},
        ),
        init_containers=(
            *((_prepare(data, application),) if on_node else ()),
            pod_template.merge(sidecar, theirs),
        ),
        groups=(GROUP,) if on_node else (),
    )


def _live(live: Live) -> Iterator[Json]:
    yield {"name": "LIVE_PORT", "value": str(live.port)}
    yield {"name": "LIVE_RATE", "value": str(live.rate)}
    yield {"name": "LIVE_VIEWERS", "value": str(live.viewers)}
    yield {"name": "LIVE_MASK", "value": "true" if live.mask else "false"}


def _spool(rollout: ObjectMeta, on_node: bool) -> Json:
    """The volume. The emptyDir has no sizeLimit: the kubelet would evict the pod beyond it, model and all, where
    `capture.disk` only drops images."""
    if not on_node:
        return {"name": SPOOL_VOLUME, "emptyDir": {}}
    path = f"{SPOOL}/{rollout.namespace}/{rollout.name}"
    return {"name": SPOOL_VOLUME, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}


def _prepare(data: Mapping[str, Any], application: Mapping[str, Any]) -> Json:
    """The init container that makes the node's folder writable: root, since the kubelet made it for root."""
    return {
        "name": names.SPOOL_CONTAINER,
        "image": data["agentImage"],
        "command": ["/bin/sh", "-c", f"chgrp {GROUP} {SPOOL} && chmod 2770 {SPOOL}"],
        "volumeMounts": [{"name": SPOOL_VOLUME, "mountPath": SPOOL}],
        "securityContext": _LEAST | {"runAsUser": 0, "runAsGroup": GROUP, "runAsNonRoot": False},
        "resources": _RESOURCES,
    } | _pull_policy(application)


def _upload(
    data: Mapping[str, Any], application: Mapping[str, Any], env: Sequence[Json], mounts: Sequence[Json]
) -> Json:
    """The sidecar, but for the user that it runs as."""
    capture = data["capture"]
    destination = [
        {key: value for key, value in mount.items() if key not in ("readOnly", "recursiveReadOnly")}
        for mount in application.get("volumeMounts") or ()
        if mount["mountPath"] == capture.get("mountPath")
    ]
    sidecar: Json = {
        "name": names.UPLOAD_CONTAINER,
        "image": data["agentImage"],
        "args": ["upload"],
        "restartPolicy": "Always",
        "env": [*env, {"name": "UPLOAD_PORT", "value": str(UPLOAD_PORT)}],
        "ports": [{"name": METRICS_PORT_NAME, "containerPort": UPLOAD_PORT}],
        "volumeMounts": [*destination, *mounts],
        "resources": _RESOURCES,
        "terminationMessagePolicy": "File",
    } | _pull_policy(application)
    if "credentialsSecret" in capture:
        sidecar["envFrom"] = [{"secretRef": {"name": capture["credentialsSecret"]}}]
    return sidecar


def _pull_policy(application: Mapping[str, Any]) -> Json:
    """Where the application is the agent, too, its image is pulled as the user wants it."""
    if application.get("imagePullPolicy") and "image" not in application:
        return {"imagePullPolicy": application["imagePullPolicy"]}
    return {}


def _mount_path(destination: str, template: Mapping[str, Any]) -> str | None:
    """The mount of some container that a file:// destination lies in, the innermost one."""
    folder = mounts.path_of(destination)
    if folder is None:
        return None
    paths = [
        str(mount["mountPath"])
        for container in (template.get("spec") or {}).get("containers") or ()
        for mount in container.get("volumeMounts") or ()
        if folder.is_relative_to(str(mount["mountPath"]))
    ]
    return max(paths, key=len, default=None)


def unmounted(rollout: Rollout) -> str:
    """A sentence where captures are to go to a volume that some group's pods don't have; empty where all is well."""
    capture = rollout.spec.delivery.capture
    if capture is None:
        return ""
    usual = rollout.spec.delivery.container
    containers = {
        group.name: (group.delivery.container if group.delivery is not None else None) or usual
        for group in rollout.spec.groups
    }
    template = rollout.spec.template
    without = [
        group
        for group, container in containers.items()
        if mounts.unmounted([capture.destination], mounts.mounts_of(template, container, names.UPLOAD_CONTAINER))
    ]
    if not without:
        return ""
    return (
        f"{capture.destination} is on a volume, which the pods of {listed(without)} do not have: captures would be "
        f"lost with the pod. Mount it in container {containers[without[0]]} of spec.template."
    )
