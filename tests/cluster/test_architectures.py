"""One Rollout over devices of two architectures: amd64 in the canary, and most of the fleet arm64."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness import Behaviour, Cluster, OperatorProcess, Outcome
from harness.prometheus import Prometheus
from worlds.rollout import LABEL, Fleet, model_version

ARCHITECTURE = "kubernetes.io/arch"


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """An amd64 canary, one more of amd64, and two of arm64."""
    mine = {LABEL: namespace}
    canary = kwok_nodes(1, {**mine, "group": "canary", ARCHITECTURE: "amd64"}, "canary")
    rest = kwok_nodes(1, {**mine, ARCHITECTURE: "amd64"}, "intel") + kwok_nodes(
        2, {**mine, ARCHITECTURE: "arm64"}, "arm"
    )
    return Fleet(crds, namespace, canary, rest)


def groups(fleet: Fleet) -> list[dict[str, Any]]:
    def of(name: str, architecture: str) -> dict[str, Any]:
        return {"name": name, "nodeSelector": {"matchLabels": {LABEL: fleet.namespace, ARCHITECTURE: architecture}}}

    return [fleet.group("canary"), of("intel", "amd64"), of("arm", "arm64")]


def test_a_fleet_of_both_takes_part_in_one_rollout(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess, crds: Cluster
) -> None:
    fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
    fleet.rollout("v1", groups=groups(fleet))
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    for name, chooses in {"canary": False, "intel": True, "arm": True}.items():
        template = json.dumps(fleet.get("daemonset", f"line-{name}")["spec"]["template"])
        assert (ARCHITECTURE in template) is chooses, "an architecture is chosen by selectors of groups alone"

    fleet.rollout("v2", groups=groups(fleet))
    says = "All nodes with v2 so far are amd64: nodes of later groups (2 of arm64) may do otherwise."
    fleet.wait(lambda: says in (fleet.status.get("gate") or {}).get("message", ""), "what the canary can't show")
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    assert says not in fleet.status["gate"]["message"], "the last group's gate has seen both"

    # as containerd says it of an image whose manifest list has no build for the node
    missing = 'failed to pull and unpack image "r/app:3": no match for platform in manifest: not found'
    crds.kwok.behave(
        Behaviour({"modelfleet.dev/version": "v3", "modelfleet.dev/group": "arm"}, Outcome.NO_IMAGE, message=missing)
    )
    fleet.rollout("v3", groups=groups(fleet), progressDeadline="10s")
    said: list[str] = []

    def is_named() -> bool:
        said[:] = [fleet.condition("Ready").get("message", "")]
        return "the image has no build for arm64" in said[0]

    fleet.wait(is_named, "what is missing")
    assert "r/app:3" in said[0]
    assert any(node in said[0] for node in fleet.rest[1:]), "one at a time, whichever is first"
    fleet.wait(lambda: fleet.rolled_back("v2"), "the rollback at the deadline")
    assert "no build for arm64" in fleet.condition("Stalled")["message"]
