"""Real Kueue beside a cluster: its controller as a process, its kinds, rights and webhooks from its own manifests.

It runs as its own installation has it, certificates of its own making included. What differs is that it is no pod: its
Deployment is left out, its Service names the address where the process listens, and the certificates that it stores in
a Secret are laid into its folder by this module, where a kubelet would mount them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness import binaries, definitions
from harness.any_cluster import AnyCluster
from harness.health import answers
from harness.ports import free_port
from harness.processes import Process

_NAMESPACE = "kueue-system"
_SERVICE = "kueue-webhook-service"
_SECRET = "kueue-webhook-server-cert"
_CONFIG = "kueue-manager-config"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# the controller's pod; and an API of Kueue's that only the pod could serve: an APIService without its server breaks
# discovery for every client, and keeps namespaces from being deleted
_LEFT_OUT = ("Deployment", "APIService")

Json = dict[str, Any]


def start(cluster: AnyCluster) -> Process:
    """Install Kueue and start its controller; return when Jobs are taken care of.

    It goes with the cluster. For one of your own: its webhooks stay there, and no Job can be made without them.

    Raises:
        ProcessDied, NotReady: with the end of its log.
    """
    webhooks, health = free_port(), free_port()
    folder = cluster.supervisor.record.state / "kueue"
    certificates = folder / "certificates"
    certificates.mkdir(parents=True)
    source = binaries.module_source("kueue", "sigs.k8s.io/kueue") / "config" / "default"
    # the parser in C: there are 27,000 lines
    manifests = list(yaml.load_all(cluster.kubectl("kustomize", source), Loader=yaml.CSafeLoader))
    config = folder / "config.json"
    config.write_text(json.dumps(_configuration(manifests, cluster.address, webhooks, health, certificates)))
    _install(cluster, manifests, webhooks)
    process = cluster.supervisor.spawn(
        "kueue",
        [binaries.path("kueue"), f"--config={config}", "--zap-log-level=2"],
        env={"KUBECONFIG": str(cluster.kubeconfig)},
    )
    process.wait_ready(lambda: _mounted(cluster, certificates), 120)
    process.wait_ready(lambda: answers(f"http://{cluster.address}:{health}/readyz"), 120)
    return process


def _configuration(manifests: list[Json], address: str, webhooks: int, health: int, certificates: Path) -> Json:
    """The configuration that Kueue ships, for a process that is one of several on this machine."""
    [shipped] = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", _CONFIG)]
    configuration: Json = yaml.safe_load(shipped["data"]["controller_manager_config.yaml"])
    return configuration | {
        "health": {"healthProbeBindAddress": f"{address}:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": address, "port": webhooks, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {
            "enable": True,
            "webhookServiceName": _SERVICE,
            "webhookSecretName": _SECRET,
        },
        "featureGates": {"VisibilityOnDemand": False},  # its server listens on a port of its own choice
    }


def _install(cluster: AnyCluster, manifests: list[Json], port: int) -> None:
    kept = [each for each in manifests if each["kind"] not in _LEFT_OUT]
    for each in kept:
        if each["kind"] == "Service" and each["metadata"]["name"] == _SERVICE:
            # under this name the API server looks for it, and for this name Kueue makes its certificate
            each["spec"] = {"type": "ExternalName", "externalName": cluster.address}
        for client in _webhook_clients(each):
            client["service"]["port"] = port
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": kept})
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=text)
    crds = [f"crd/{each['metadata']['name']}" for each in kept if each["kind"] == "CustomResourceDefinition"]
    definitions.await_served(cluster.kubectl, *crds)


def _webhook_clients(manifest: Json) -> Iterator[Json]:
    """Where it says how the API server reaches a webhook."""
    if manifest["kind"] in _WEBHOOKS:
        yield from (webhook["clientConfig"] for webhook in manifest["webhooks"])
    if manifest["kind"] == "CustomResourceDefinition" and "conversion" in manifest["spec"]:
        yield manifest["spec"]["conversion"]["webhook"]["clientConfig"]


def _mounted(cluster: AnyCluster, folder: Path) -> bool:
    """Lay the certificates into their folder; whether they are there."""
    secret = json.loads(cluster.kubectl("get", "secret", _SECRET, f"--namespace={_NAMESPACE}", "--output=json"))
    data = secret.get("data") or {}
    if "tls.crt" not in data:
        return False
    for name in sorted(data, reverse=True):  # tls.crt comes last: Kueue waits for that one
        (folder / name).write_bytes(base64.b64decode(data[name]))
    return True
