"""Installing the operator into the test cluster with its Helm chart, as a user does."""

from __future__ import annotations

import json
import os
import subprocess

from e2e.world import REPOSITORY, SYSTEM, TRAINING_NODE, World
from harness import binaries


def install(world: World) -> str:
    """`helm upgrade --install` the chart and wait until the operator is ready; returns what helm says.

    Raises CalledProcessError with helm's words when the chart can't be installed.
    """
    operator, _, tag = world.images["operator"].name.rpartition(":")
    values = {
        "image.repository": operator,
        "image.tag": tag,
        "image.pullPolicy": "Never",
        "trainerImage": world.images["trainer"].name,
        "agentImage": world.images["agent"].name,
        "prometheus.url": world.cluster.prometheus.url,
        "nodeSelector.kubernetes\\.io/hostname": TRAINING_NODE,
    }
    # The agent image is on the edge nodes only; credentials are in the Secret `object-store` of the namespace.
    on_the_edge = json.dumps({"spec": {"nodeSelector": {"modelfleet.dev/app": "line"}}})
    helm = binaries.ensure(["helm"]) / "helm"
    done = subprocess.run(
        [
            str(helm), "upgrade", "--install", "modelfleet", str(REPOSITORY / "charts" / "modelfleet"),
            "--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "3m",
            *(f"--set-string={name}={value}" for name, value in values.items()),
            f"--set-json=verification.template={on_the_edge}",
        ],
        env={**os.environ, "KUBECONFIG": str(world.cluster.kubeconfig)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        pods = world.cluster.kubectl("-n", SYSTEM, "describe", "pods")
        raise RuntimeError(f"helm could not install the chart: {done.stderr.strip()}\n{pods}")
    return done.stdout.split("NOTES:", maxsplit=1)[0].strip()
