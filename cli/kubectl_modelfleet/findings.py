"""What `check` finds: each line is ok, wrong with what to do, or not known. Pure."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import yaml

from kubectl_modelfleet.failures import Exit
from modelfleet.wording import listed

Json = Mapping[str, Any]

_IN_CLUSTER = re.compile(
    r"(?P<name>[a-z]([-a-z0-9]*[a-z0-9])?)\.(?P<namespace>[a-z0-9]([-a-z0-9]*[a-z0-9])?)(?P<svc>\.svc(\..+)?)?"
)
"""`name.namespace`, `name.namespace.svc`, and that with the cluster's domain, whatever it is."""

LABELS = ("namespace", "rollout", "group", "node", "model", "version")
"""The labels that every series of a node must have (docs/metrics.md)."""


class State(StrEnum):
    """How a line came out."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be found out: neither good nor bad."""


@dataclass(frozen=True)
class Finding:
    """One line. `advice`: what to do; empty where it is ok."""

    state: State
    what: str
    advice: str = ""


def ok(what: str) -> Finding:
    """A line that is as it should be."""
    return Finding(State.OK, what)


def wrong(what: str, advice: str) -> Finding:
    """A line that is not."""
    return Finding(State.WRONG, what, advice)


def unknown(what: str, advice: str) -> Finding:
    """A line of which nothing is known."""
    return Finding(State.UNKNOWN, what, advice)


def exit_of(findings: Iterable[Finding]) -> Exit:
    """1 where something is wrong, 3 where something could not be found out, 0 where all is ok."""
    states = {finding.state for finding in findings}
    if State.WRONG in states:
        return Exit.BAD
    return Exit.UNKNOWN if State.UNKNOWN in states else Exit.DONE


def crd(kind: str, installed: Json, ours: Json) -> Finding:
    """Whether the cluster's CRD has the fields that this CLI knows, and no others."""
    theirs, mine = (set(_paths(_schema(each))) for each in (installed, ours))
    lacks, more = sorted(mine - theirs), sorted(theirs - mine)
    if lacks:
        said = f"{kind}: the CRD is older than this CLI, without {listed(lacks)}"
        return wrong(said, "kubectl apply --server-side -f crds/ of this release, or upgrade the chart")
    if more:
        return wrong(f"{kind}: the CRD is newer than this CLI, with {listed(more)}", "install the CLI of that release")
    return ok(f"{kind}: the CRD is installed and of this version")


def _schema(found: Json) -> Json:
    schema: Json = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _paths(schema: Json, path: str = "") -> Iterator[str]:
    for name, part in (schema.get("properties") or {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from _paths(part, here)
    items = schema.get("items")
    if isinstance(items, Mapping):
        yield from _paths(items, f"{path}[]")
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        yield from _paths(values, f"{path}.*")


def _watched(deployment: Json) -> list[str]:
    """The namespaces that an operator serves, by its arguments; none means all."""
    pod = (deployment["spec"].get("template") or {}).get("spec") or {}
    given = [str(each) for container in pod.get("containers") or () for each in container.get("args") or ()]
    joined = [each.partition("=")[2] for each in given if each.startswith("--namespace=")]
    return joined + [value for flag, value in pairwise(given) if flag == "--namespace"]


def _serves(deployment: Json, namespace: str) -> bool:
    watched = _watched(deployment)
    return not watched or namespace in watched


def settings_for(namespace: str, deployments: Iterable[Json], settings: Iterable[Json]) -> list[Json]:
    """Of the ConfigMaps with settings those of the operators that serve a namespace; all, where no Deployment is known
    to mount one of them."""
    found = [each for each in settings if "settings.yaml" in (each.get("data") or {})]
    mounted = {key: each for each in deployments for key in _mounted(each)}
    known = [each for each in found if _key(each) in mounted]
    if not known:
        return found
    return [each for each in known if namespace in (_watched(mounted[_key(each)]) or _namespaces(each) or [namespace])]


def _mounted(deployment: Json) -> list[tuple[str, str]]:
    pod = (deployment["spec"].get("template") or {}).get("spec") or {}
    names = [(volume.get("configMap") or {}).get("name") for volume in pod.get("volumes") or ()]
    return [(deployment["metadata"].get("namespace", ""), name) for name in names if name]


def _namespaces(settings: Json) -> list[str]:
    """The namespaces that settings name; none where they name none, or can't be read, which is said where they are."""
    try:
        found = yaml.safe_load(settings["data"]["settings.yaml"])
    except yaml.YAMLError:
        return []
    named = found.get("namespaces") if isinstance(found, Mapping) else None
    return [str(each) for each in named] if isinstance(named, list) else []


def _key(settings: Json) -> tuple[str, str]:
    metadata = settings.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")


def prometheus_urls(settings: Iterable[Json]) -> dict[str, list[str]]:
    """The addresses of Prometheus that ConfigMaps with settings name, with the ConfigMaps that do. Raises
    SettingsError."""
    found: dict[str, list[str]] = {}
    for each in settings:
        if url := prometheus_url(each):
            found.setdefault(url, []).append("/".join(filter(None, _key(each))))
    return found


def operator(deployments: Iterable[Json], version: str, namespace: str) -> Iterator[Finding]:
    """Whether an operator that serves this namespace runs, is ready, and is of this version."""
    found = list(deployments)
    if not found:
        advice = "helm install modelfleet charts/modelfleet (docs/install.md)"
        yield wrong("operator: no Deployment with the label app.kubernetes.io/part-of=modelfleet", advice)
    for each in found:
        metadata, status = each["metadata"], each.get("status") or {}
        name = f"operator {metadata['namespace']}/{metadata['name']}"
        if not _serves(each, namespace):
            yield ok(f"{name}: serves other namespaces ({listed(_watched(each))})")
            continue
        wanted, ready = each["spec"].get("replicas", 1), status.get("readyReplicas", 0)
        if wanted == 0:
            yield wrong(
                f"{name}: scaled to 0",
                f"kubectl -n {metadata['namespace']} scale deployment/{metadata['name']} --replicas=1",
            )
        elif ready < 1:
            logs = f"kubectl -n {metadata['namespace']} logs deployment/{metadata['name']}"
            yield wrong(f"{name}: not ready ({ready} of {wanted})", f"{logs}; its /readyz says why")
        else:
            yield ok(f"{name}: ready ({ready} of {wanted})")
        runs = (metadata.get("labels") or {}).get("app.kubernetes.io/version", "")
        if runs and runs != version:
            yield wrong(f"{name}: version {runs}, and this CLI is {version}", "use the two of one release")
    if found and not any(_serves(each, namespace) for each in found):
        advice = (
            f"add it to watchNamespaces of one of them (chart), or look where one serves: -n {_watched(found[0])[0]}"
        )
        yield wrong(f"operator: none serves namespace {namespace}", advice)


def seen(objects: Iterable[Json]) -> Finding:
    """Whether the operator has seen the newest spec of everything: a proof that one works, wherever it runs."""
    every = list(objects)
    behind = [
        f"{each['kind']} {each['metadata']['name']}"
        for each in every
        if (each.get("status") or {}).get("observedGeneration", -1) < each["metadata"].get("generation", 0)
    ]
    if behind:
        advice = "an operator sees them within seconds: look again; does one run, and serve this namespace?"
        return wrong(f"objects: not seen by an operator: {listed(behind)}", advice)
    if not every:
        return unknown("objects: none in this namespace", "once there is one, this says whether the operator sees it")
    return ok(f"objects: the operator has seen all {len(every)}")


class SettingsError(ValueError):
    """The operator's settings can't be read; the message says what is wrong."""


def prometheus_url(settings: Json) -> str:
    """Where the operator's settings, a ConfigMap, say that Prometheus is; "" where they don't. Raises SettingsError."""
    try:
        found = yaml.safe_load((settings.get("data") or {}).get("settings.yaml") or "")
    except yaml.YAMLError as error:
        raise SettingsError(f"settings.yaml is not valid YAML: {str(error).splitlines()[0]}") from error
    prometheus = _mapping(_mapping(found, "settings.yaml").get("prometheus"), "prometheus")
    providers = _mapping(prometheus.get("providers"), "prometheus.providers")
    name = str(prometheus.get("default") or "default")
    default = _mapping(providers.get(name), f"prometheus.providers.{name}")
    return str(prometheus.get("url") or default.get("url") or "")


def _mapping(value: Any, field: str) -> Json:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"{field} must be a mapping, and is {str(value)[:60]!r}")
    return value


@dataclass(frozen=True)
class Service:
    """A Service and what is asked of it. `sure`: the address can be of nothing else."""

    namespace: str
    name: str
    port: str
    path: str
    sure: bool

    @property
    def proxy(self) -> str:
        """Its path through the API server."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}:{self.port}/proxy{self.path}"


def service_of(url: str) -> Service | None:
    """The Service of an address inside the cluster; None for any other. Raises ValueError where it is no address.

    `prometheus.monitoring` is a Service as well as a host of some network, such as mimir.example: it is not sure.
    """
    parts = urlsplit(url)
    found = _IN_CLUSTER.fullmatch((parts.hostname or "").removesuffix("."))
    if found is None:
        return None
    name = f"https:{found['name']}" if parts.scheme == "https" else found["name"]
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Service(found["namespace"], name, str(port), parts.path.rstrip("/"), sure=found["svc"] is not None)


@dataclass(frozen=True)
class Address:
    """An address as it may be shown, and the header that stands for the name and password that were in it; or ""."""

    url: str
    authorization: str


def address(url: str) -> Address:
    """Take name and password out of an address. Raises ValueError where it is no http or https address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http:// or https:// address")
    user, _, host = parts.netloc.rpartition("@")
    header = f"Basic {base64.b64encode(unquote(user).encode()).decode()}" if user else ""
    return Address(urlunsplit(parts._replace(netloc=host)), header)


def answer(said: Any) -> Json:
    """The answer of Prometheus to an instant query. Raises ValueError for any other JSON, and with its words for an
    error: at the address may be anything."""
    if not isinstance(said, Mapping) or said.get("status") not in ("success", "error"):
        raise ValueError("what it answers is not Prometheus' API: is it the address of Prometheus?")
    if said["status"] == "error":
        raise ValueError(f"it answers {said.get('errorType')}: {said.get('error')}")
    data = said.get("data")
    found = data.get("result") if isinstance(data, Mapping) else None
    if not isinstance(found, list) or not all(
        isinstance(each, Mapping) and isinstance(each.get("metric"), Mapping) for each in found
    ):
        raise ValueError("what it answers is not a list of series: is it the address of Prometheus?")
    return said


def series(answer: Json) -> Iterator[Finding]:
    """Whether series of nodes arrive, with the labels that the gate needs, from the answer to an instant query."""
    found = [each["metric"] for each in (answer.get("data") or {}).get("result") or ()]
    if not found:
        advice = "does Prometheus scrape the port `metrics` of the fleet's pods? (chart: podMonitor.enabled)"
        yield wrong("Prometheus: no series modelfleet_frames_total of this namespace", advice)
        return
    missing = sorted({label for metric in found for label in LABELS if not metric.get(label)})
    renamed = sorted({label for metric in found for label in metric if label.startswith("exported_")})
    if renamed:
        advice = "scrape with honor_labels: true (PodMonitor: honorLabels), so that the application's own labels stay"
        yield wrong(f"Prometheus: labels were renamed: {', '.join(renamed)}", advice)
    if missing:
        yield wrong(f"Prometheus: series without {', '.join(missing)}", "docs/metrics.md: every series carries them")
    if not renamed and not missing:
        nodes = {metric["node"] for metric in found}
        yield ok(f"Prometheus: series of {len(nodes)} {'node' if len(nodes) == 1 else 'nodes'}, with all labels")


@dataclass(frozen=True)
class Right:
    """A verb on a resource, and which commands need it."""

    verb: str
    group: str
    resource: str
    needed_for: str
    subresource: str = ""

    def __str__(self) -> str:
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {name}{'/' + self.subresource if self.subresource else ''}"

    def review(self, namespace: str) -> dict[str, Any]:
        """The SelfSubjectAccessReview that asks for it."""
        attributes = {
            "namespace": namespace,
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }


RIGHTS = (
    Right("list", "modelfleet.dev", "rollouts", "every command"),
    Right("watch", "modelfleet.dev", "rollouts", "get rollout -w"),
    Right("patch", "modelfleet.dev", "rollouts", "approve, promote, abort, retry, pause, resume, undo, retrain"),
    Right("list", "modelfleet.dev", "modelversions", "diff, undo, lineage"),
    Right("list", "modelfleet.dev", "trainingjobs", "lineage"),
    Right("patch", "modelfleet.dev", "datasets", "sync"),
    Right("list", "apps", "controllerrevisions", "approve, promote, abort, retry, retrain"),
    Right("list", "", "pods", "get rollout, lineage --node, live"),
    Right("watch", "", "pods", "get rollout -w"),
    Right("create", "", "pods", "live", "portforward"),
)


def right(asked: Right, namespace: str, answer: Json) -> Finding:
    """Whether the user has it."""
    status = answer.get("status") or {}
    if status.get("allowed"):
        return ok(f"may {asked}")
    if status.get("evaluationError"):
        return unknown(f"may {asked}?", str(status["evaluationError"]))
    role = "view" if asked.verb in ("list", "watch") else "edit"
    advice = f"needed for {asked.needed_for}: ask for the role {role} in namespace {namespace}"
    return wrong(f"may not {asked}", advice)
