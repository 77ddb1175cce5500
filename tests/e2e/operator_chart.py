"""Installing the operator into the demo's cluster with its Helm chart, as a user does."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from e2e.borrowed.cluster import BorrowedCluster
from e2e.world import REPOSITORY, TRAINING_NODE, World
from harness import binaries
from worlds import secrecy


def install(world: World) -> str:
    """`helm upgrade --install` the chart and wait until the operator is ready; returns what helm says.

    Raises RuntimeError with helm's words and what its pods say when the chart can't be installed.
    """
    _plant(world)
    operator, _, tag = world.images["operator"].rpartition(":")
    values = {
        "image.repository": operator,
        "image.tag": tag,
        "trainerImage": world.images["trainer"],
        "labelerImage": world.images["labeler"],
        "agentImage": world.images["agent"],
        "prometheus.url": world.cluster.prometheus.url,
        "prometheus.secretName": "prometheus",
        "prometheus.credentials.username": "username",
        "prometheus.credentials.password": "password",
        "notifications.endpoints.bus.secretName": "bus",
        "notifications.endpoints.bus.urlFile": "address",
        "notifications.endpoints.bus.signingKey": "key",
    }
    own, more = _borrowed(world) if isinstance(world.cluster, BorrowedCluster) else _own()
    done = subprocess.run(
        [
            _helm(world), "upgrade", "--install", "modelfleet", str(REPOSITORY / "charts" / "modelfleet"),
            "--namespace", world.system, "--create-namespace", "--wait", "--timeout", "5m",
            *(f"--set-string={name}={value}" for name, value in (values | own).items()), *more,
        ],
        env={**os.environ, "KUBECONFIG": str(world.cluster.kubeconfig)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        pods = world.cluster.kubectl("-n", world.system, "describe", "pods")
        raise RuntimeError(f"helm could not install the chart: {done.stderr.strip()}\n{pods}")
    return done.stdout.split("NOTES:", maxsplit=1)[0].strip()


def _own() -> tuple[Mapping[str, str], Sequence[str]]:
    """The nodes have what they need and can't pull: the agent image is on the edge nodes only, the operator's on none
    of them. Credentials are in the Secret `object-store` of the namespace.
    """
    values = {"image.pullPolicy": "Never", "nodeSelector.kubernetes\\.io/hostname": TRAINING_NODE}
    on_the_edge = json.dumps({"spec": {"nodeSelector": {"modelfleet.dev/app": "line"}}})
    return values, [f"--set-json=verification.template={on_the_edge}"]


def _borrowed(world: World) -> tuple[Mapping[str, str], Sequence[str]]:
    """Only what is the demo's: one namespace, and no CRDs that `helm uninstall` would leave."""
    return {}, [f"--set-json=watchNamespaces={json.dumps([world.namespace])}", "--set=crds.install=false"]


def _helm(world: World) -> str:
    """On a borrowed cluster the user's own, if there is one."""
    found = shutil.which("helm") if isinstance(world.cluster, BorrowedCluster) else None
    return found or str(binaries.path("helm"))


def _plant(world: World) -> None:
    """Secrets that the operator is given, beside those of the stores, and which must not be said anywhere. Prometheus
    asks for no password; as a receiver of notifications it refuses them, so that the operator has a lot to say."""
    password, hook, token, key = (secrecy.plant() for _ in range(4))
    world.planted |= {"password of Prometheus": password, "signing key": key}
    world.planted |= {"password in a receiver's address": hook, "path of a receiver's address": token}
    world.planted |= {
        "object store's key": world.cluster.object_store.secret_key,
        "Label Studio's token": world.cluster.label_studio.token,
    }
    address = world.cluster.prometheus.url.replace("http://", f"http://me:{hook}@") + f"/{token}"
    signing = "whsec_" + base64.b64encode(key.encode()).decode()
    secrets = {"prometheus": {"username": "me", "password": password}, "bus": {"address": address, "key": signing}}
    items: list[Any] = []
    if not isinstance(world.cluster, BorrowedCluster):  # there it is the demo's own, and was made already
        items.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": world.system}})
    for name, content in secrets.items():
        metadata = {"name": name, "namespace": world.system}
        items.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content})
    world.cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
