"""Secrets planted for a test, and all that a cluster says and they must not be in: objects, Events, logs, metrics."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping

from harness import Cluster
from harness.prometheus import Prometheus

Said = tuple[str, str]
"""Where something is said, and what."""

_QUIET = frozenset({"secrets"})
"""Kinds whose objects are made to hold secrets."""


def plant() -> str:
    """A value that is nowhere else. Its length is a multiple of three, and it has nothing that has to be escaped."""
    return f"planted{secrets.token_hex(10)}"


def leaks(planted: Mapping[str, str], said: Iterable[Said]) -> list[str]:
    """ "<name> in <where>: <what stands around it>" for each secret (name -> value) that is somewhere, plain, escaped
    for an address, or in base64 as the end of `user:password` or on its own."""
    found = []
    for where, text in said:
        for name, value in planted.items():
            at = next((text.index(form) for form in _forms(value) if form in text), None)
            if at is not None:
                found.append(f"{name} in {where}: {text[max(0, at - 120) : at + 60]!r}")
    return found


def _forms(value: str) -> set[str]:
    """How it may be written. Base64 goes by three bytes: what stands before shifts it, and spoils the first ones."""
    encoded = {base64.b64encode((" " * shift + value).encode()).decode()[4:-4] for shift in range(3)}
    return {value, urllib.parse.quote(value, safe=""), json.dumps(value)[1:-1], *encoded}


def objects(cluster: Cluster) -> Iterator[Said]:
    """Every object of every kind but Secrets, Events among them."""
    for kind in cluster.kubectl("api-resources", "--verbs=list", "--output=name").split():
        if kind.partition(".")[0] not in _QUIET:
            yield kind, cluster.kubectl("get", kind, "--all-namespaces", "--output=yaml", "--show-managed-fields")


def logs(cluster: Cluster) -> Iterator[Said]:
    """What each container of each pod has said, in its present and its last life."""
    pods = json.loads(cluster.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
    for pod in pods:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        for kind in ("initContainerStatuses", "containerStatuses"):
            for container in pod.get("status", {}).get(kind, ()):
                of = (f"--namespace={namespace}", "logs", name, f"--container={container['name']}")
                for more in ((), ("--previous",))[: 2 if container["restartCount"] else 1]:
                    yield f"log of {namespace}/{name} {container['name']}", cluster.kubectl(*of, *more, check=False)


def metrics(prometheus: Prometheus) -> Iterator[Said]:
    """Every series that was ever scraped, with its labels, and what the targets' errors say."""
    for path in ("series?match[]=%7B__name__!%3D%22%22%7D", "targets", "rules", "alerts", "status/config"):
        with urllib.request.urlopen(f"{prometheus.url}/api/v1/{path}", timeout=30) as answer:
            yield f"Prometheus' {path.partition('?')[0]}", answer.read().decode()
