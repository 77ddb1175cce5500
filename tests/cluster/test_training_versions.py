"""ModelVersions on a real API server: tags, who uses them, and the finalizer that keeps one while it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness import Cluster, OperatorProcess
from worlds.training import Space, model_version

IN_USE = "modelfleet.dev/in-use"


@pytest.fixture
def space(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], operator: OperatorProcess) -> Space:
    """The test's namespace with one node of its own, and an operator that serves it."""
    (node,) = kwok_nodes(1, labels={"for": namespace}, prefix="edge")
    return Space(crds, namespace, node)


def rollout(space: Space, **model: str) -> dict[str, Any]:
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "line"},
        "spec": {
            "model": {"name": "parts", **model},
            "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"for": space.namespace}}}],
            "gate": {"soak": "1s", "interval": "1s"},
            "template": {"spec": {"containers": [{"name": "agent"}]}},
        },
    }


def uses(space: Space, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = space.status(name, "modelversion").get("usedBy") or []
    return found


def test_tags_move_to_the_newest_ready_version(space: Space):
    space.apply(model_version("v1", tags=["gold"]))
    space.until(lambda: space.status("parts-v1", "modelversion").get("tags") == ["gold", "latest"])
    space.apply(model_version("v2", tags=["gold"], evaluation={"result": "Failed", "message": "recall fell"}))
    space.until(lambda: space.ready("parts-v2", "modelversion")["reason"] == "Rejected")
    assert space.status("parts-v1", "modelversion")["tags"] == ["gold", "latest"]
    space.apply(model_version("v3"))
    space.until(lambda: space.status("parts-v3", "modelversion").get("tags") == ["latest"])
    space.until(lambda: space.status("parts-v1", "modelversion")["tags"] == ["gold"])
    tagged = json.dumps({"spec": {"tags": ["gold"]}})
    space.kubectl("patch", "modelversion", "parts-v3", "--type=merge", f"--patch={tagged}")
    space.until(lambda: space.status("parts-v3", "modelversion")["tags"] == ["gold", "latest"])
    space.until(lambda: not space.status("parts-v1", "modelversion").get("tags"))
    space.delete("modelversion", "parts-v3")
    space.until(lambda: space.status("parts-v1", "modelversion").get("tags") == ["gold", "latest"])


def test_a_version_in_use_is_kept_until_no_rollout_uses_it(space: Space):
    space.apply(model_version("v1"))
    space.apply(rollout(space, version="v1"))
    space.until(lambda: uses(space, "parts-v1") == [{"rollout": "line", "role": "Stable"}])
    version = space.get("modelversion", "parts-v1")
    assert version is not None
    assert version["metadata"]["finalizers"] == [IN_USE]
    space.delete("modelversion", "parts-v1", "--wait=false")
    space.until(lambda: space.ready("parts-v1", "modelversion")["reason"] == "DeletionHeld")
    assert "Rollout line as Stable" in space.ready("parts-v1", "modelversion")["message"]
    space.delete("rollout", "line")
    space.until(lambda: space.get("modelversion", "parts-v1") is None)
