"""Real Argo CD beside a cluster: application-controller and repo-server, with the Redis that they want.

Its API server is not there: what its users click is written by kubectl instead (see binaries.py for why).
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness import binaries, debian, definitions
from harness.any_cluster import AnyCluster
from harness.ports import free_port, listens
from harness.processes import Process

_MODULE = "github.com/argoproj/argo-cd/v3"


def install_crds(cluster: AnyCluster) -> None:
    """Install the kinds of Argo CD, from the module that it is built from."""
    folder = binaries.module_source("argocd", _MODULE) / "manifests" / "crds"
    for name in ("application", "appproject"):
        definitions.install(cluster.kubectl, folder / f"{name}-crd.yaml")


@contextmanager
def argocd(cluster: AnyCluster, namespace: str) -> Iterator[None]:
    """Both controllers for the block alone; they see the Applications of ``namespace``, and read argocd-cm there.

    Git is looked at every five seconds, in repositories on this machine (``file://``).

    Raises:
        ProcessDied, NotReady: with the end of the log of the one that does not start.
        PackageMissing: redis-server is missing, and can't be installed.
    """
    debian.ensure("redis-server")
    folder = cluster.supervisor.record.state / f"argocd-{namespace}"
    for name in ("tmp", "plugins", "tls", "ssh"):
        (folder / name).mkdir(parents=True)
    redis, repository, metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
    environment = {
        "KUBECONFIG": str(cluster.kubeconfig),
        "ARGOCD_FAKE_IN_CLUSTER": "true",  # https://kubernetes.default.svc is the cluster of the kubeconfig
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),
        "TMPDIR": str(folder / "tmp"),
        "HOME": str(folder),
    }
    started: list[Process] = []

    def start(name: str, command: list[str | Path], env: Mapping[str, str], ready: Callable[[], bool]) -> None:
        process = cluster.supervisor.spawn(f"{name}-{namespace}", command, env=env)
        started.append(process)
        process.wait_ready(ready, 60)

    try:
        server = debian.program("redis-server") or "redis-server"
        flags = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        start("redis", [server, "--port", _port(redis), *flags], {}, lambda: listens("127.0.0.1", int(_port(redis))))
        own = ["--address=127.0.0.1", f"--port={_port(repository)}", f"--metrics-port={free_port()}", "--disable-tls"]
        own += ["--revision-cache-expiration=2s"]  # of a branch; 3 min by default
        program = binaries.path("argocd")
        start(
            "argocd-repo-server",
            [program, "repo-server", *own, f"--redis={redis}"],
            environment,
            lambda: listens("127.0.0.1", int(_port(repository))),
        )
        own = [f"--namespace={namespace}", f"--repo-server={repository}", "--repo-server-plaintext"]
        own += ["--app-resync=5", "--app-resync-jitter=0", f"--metrics-port={_port(metrics)}"]
        own += ["--persist-resource-health"]  # in the Application, where tests can read it
        start(
            "argocd-controller",
            [program, "application-controller", *own, f"--redis={redis}"],
            environment,
            lambda: _is_healthy(metrics),
        )
        yield
    finally:
        for process in reversed(started):
            process.stop()


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
