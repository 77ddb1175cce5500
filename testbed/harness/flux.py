"""Real Flux: source-controller and kustomize-controller beside a cluster, for one namespace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import binaries, definitions
from harness.any_cluster import AnyCluster
from harness.health import answers
from harness.ports import free_port
from harness.processes import Process

CONTROLLERS = ("source-controller", "kustomize-controller")


def install_crds(cluster: AnyCluster) -> None:
    """Install the kinds of both controllers, from the modules that they are built from."""
    for name in CONTROLLERS:
        definitions.install(
            cluster.kubectl, binaries.module_source("flux", f"github.com/fluxcd/{name}") / "config/crd/bases"
        )


@contextmanager
def flux(cluster: AnyCluster, namespace: str, feature_gates: Sequence[str] = ()) -> Iterator[None]:
    """Both controllers for the block alone; they see the Buckets and Kustomizations of ``namespace``.

    Args:
        cluster: whose API server they work on. It has their kinds (``install_crds``).
        namespace: the one that they serve.
        feature_gates: of kustomize-controller, besides its defaults ("Name=true").

    Raises:
        ProcessDied, NotReady: with the end of the log of the one that does not start.
    """
    artifacts = f"127.0.0.1:{free_port()}"
    folder = cluster.supervisor.record.state / f"flux-{namespace}"
    folder.mkdir()
    started: list[Process] = []
    own = {
        "source-controller": [
            f"--storage-path={folder}",
            f"--storage-addr={artifacts}",
            f"--storage-adv-addr={artifacts}",
        ],
        "kustomize-controller": [f"--feature-gates={','.join(feature_gates)}"] if feature_gates else [],
    }
    try:
        for name in CONTROLLERS:
            health = f"127.0.0.1:{free_port()}"
            command: list[str | Path] = [
                binaries.path(name),
                *own[name],
                f"--health-addr={health}",
                "--metrics-addr=0",
                "--watch-all-namespaces=false",
                "--max-retry-delay=5s",  # after a failure; 15 min by default
            ]
            environment = {"KUBECONFIG": str(cluster.kubeconfig), "RUNTIME_NAMESPACE": namespace}
            process = cluster.supervisor.spawn(f"{name}-{namespace}", command, env=environment)
            started.append(process)
            process.wait_ready(lambda address=health: answers(f"http://{address}/readyz"), 60)  # type: ignore[misc]
        yield
    finally:
        for process in started:
            process.stop()
