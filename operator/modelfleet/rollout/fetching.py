"""The init container `fetch-model`, which puts the verified file into the volume with the models. Pure.

With `cache: Node` that volume is a folder of the node, which all namespaces share and only root can write to. So this
container is root there, and the Rollout's author must not be able to make it run anything of theirs. It is made from
what is written here, and takes from the author (from `delivery.container`, or from an init container `fetch-model` of
the template, so that credentials need not be where the model runs) no more than it needs to reach the store:

* variables, by name: of the stores and registries, of proxies and certificates, and settings of the agent (`_TAKEN`);
* `envFrom`, since a Secret's keys are not known here. What a variable can do before our first line runs, or to where
  the agent writes, is set here (`_SETTLED`), and `env` takes precedence over `envFrom`; Python is started by its path
  and isolated (-I), and listens to no variable of its own;
* volumes, read-only, where no program and no library looks for its code (`_is_plain`);
* requests and limits of processor, memory and disk, and how the image is pulled.

Everything else of it is ours: image, command, user, capabilities, root file system, where the models are mounted.
"""

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelfleet.api import names
from modelfleet.api.delivery import Delivery
from modelfleet.workloads import pod_security
from modelfleet.workloads.containers import named
from modelfleet.workloads.env import variable

MODELS = "/var/lib/modelfleet/models"
"""Where it has the models mounted, whatever the application's `mountPath`."""

_COMMAND = ("/opt/agent/bin/python", "-I", "-u", "-B", "-m", "agent")
"""-I: no variable of Python's, no module from the working folder; -u, -B: what the image's variables say otherwise."""

_TAKEN = re.compile(
    r"(AWS|AZURE|GOOGLE)_[A-Z0-9_]+|(HTTP|HTTPS|ALL|NO)_PROXY|(http|https|all|no)_proxy|SSL_CERT_(FILE|DIR)"
    r"|DOCKER_(CONFIG|AUTH_CONFIG)|OCI_PLAIN_HTTP|LOG_LEVEL|MODEL_CACHE_KEEP|MODEL_FETCH_SPREAD"
)

_SETTLED = {
    # the dynamic loader: code, and files that it writes. (An empty LD_TRACE_LOADED_OBJECTS would mean yes.)
    "LD_PRELOAD": "",
    "LD_AUDIT": "",
    "LD_LIBRARY_PATH": "",
    "LD_DEBUG": "",
    "LD_DEBUG_OUTPUT": "",
    "LD_PROFILE": "",
    "LD_PROFILE_OUTPUT": "",
    "GLIBC_TUNABLES": "",
    # the C library's character sets are libraries; this one is built in
    "GCONV_PATH": "",
    "LOCPATH": "",
    "LC_ALL": "C.UTF-8",
    # OpenSSL's configuration names libraries
    "OPENSSL_CONF": "/dev/null",
    "OPENSSL_MODULES": "/nonexistent",
    "OPENSSL_ENGINES": "/nonexistent",
    # the agent's last word
    "TERMINATION_LOG": "/dev/termination-log",
}

_SYSTEM = re.compile(r"/(bin|boot|dev|etc|lib(32|64|x32)?|opt/agent|proc|sbin|sys|usr)(/.*)?")
_OF_ETC = re.compile(r"/etc/(ssl|pki|certs|secrets)(/.*)?")

_RESOURCES = ("cpu", "memory", "ephemeral-storage")
"""With them a pod keeps its QoS class, and passes where a quota asks for requests. Fetching needs no devices."""

Json = dict[str, Any]


def container(
    template: Mapping[str, Any], image: str, delivery: Delivery, env: Sequence[Json], models_volume: str
) -> Json:
    """The container, for pods of this template; `env` is what it is told of the model."""
    application = named(template.get("containers"), delivery.container)
    own = named(template.get("initContainers"), names.FETCH_CONTAINER)
    given = {**{key: application[key] for key in _GIVEN if key in application}, **own}
    models = {"name": models_volume, "mountPath": MODELS}
    made: Json = {
        "name": names.FETCH_CONTAINER,
        "image": image,
        "command": list(_COMMAND),
        "args": ["fetch"],
        "env": [*env, *_settled(given), *_variables(given, env)],
        "volumeMounts": [*(_read_only(mount) for mount in _mounts(given, models_volume)), models],
        "securityContext": _security(delivery, application, template),
        "terminationMessagePolicy": "File",
    }
    if given.get("envFrom"):
        made["envFrom"] = given["envFrom"]
    policy = own.get("imagePullPolicy") or ("image" not in application and application.get("imagePullPolicy"))
    if policy:
        made["imagePullPolicy"] = policy
    if resources := _resources(given):
        made["resources"] = resources
    return made


_GIVEN = ("env", "envFrom", "volumeMounts", "resources")


def _settled(given: Mapping[str, Any]) -> list[Json]:
    return [variable(name, value) for name, value in _SETTLED.items()] if given.get("envFrom") else []


def _variables(given: Mapping[str, Any], ours: Sequence[Json]) -> list[Json]:
    known = {entry["name"] for entry in ours}
    return [entry for entry in given.get("env") or () if _TAKEN.fullmatch(entry["name"]) and entry["name"] not in known]


def _mounts(given: Mapping[str, Any], models_volume: str) -> list[Json]:
    return [
        mount
        for mount in given.get("volumeMounts") or ()
        if mount["name"] != models_volume and _is_plain(mount["mountPath"])
    ]


def _is_plain(path: str) -> bool:
    """Whether something mounted here takes the place of no program, library or configuration, and not of the models."""
    path = posixpath.normpath(f"/{path.lstrip('/')}")
    if _OF_ETC.fullmatch(path):
        return True
    above = ("/", "/opt", "/var", "/var/lib", "/var/lib/modelfleet", MODELS)
    return path not in above and not path.startswith(f"{MODELS}/") and not _SYSTEM.fullmatch(path)


def _read_only(mount: Mapping[str, Any]) -> Json:
    return {**{key: value for key, value in mount.items() if key != "mountPropagation"}, "readOnly": True}


def _security(delivery: Delivery, application: Mapping[str, Any], template: Mapping[str, Any]) -> Json:
    """As little as can be. The node's cache is made by the kubelet for root, so only root can write there; a cache of
    the pod's own is written as whoever the application is."""
    least = pod_security.guest(read_only=True)
    if delivery.cache == "Node":
        return least | {"runAsUser": 0, "runAsNonRoot": False}
    return least | pod_security.as_application(application, template)


def _resources(given: Mapping[str, Any]) -> Json:
    resources = given.get("resources") or {}
    found = {
        kind: {name: amount for name, amount in (resources.get(kind) or {}).items() if name in _RESOURCES}
        for kind in ("requests", "limits")
    }
    return {kind: amounts for kind, amounts in found.items() if amounts}
