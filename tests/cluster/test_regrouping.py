"""A group gets another name, on a real API server with the real DaemonSet controller and scheduler.

Read from a watch, in which each change of a pod is seen, in the order in which they were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import Behaviour, Cluster, OperatorProcess
from worlds.kube_watch import Watch
from worlds.rollout import Fleet, is_ready, model_version, nodes

Json = dict[str, Any]


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """One canary and four others."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 4)
    return Fleet(crds, namespace, canary, rest)


class Seen:
    """What a watch saw: how few nodes had a ready pod, from the moment on at which all had, and how many pods each."""

    def __init__(self, fleet: Fleet) -> None:
        self._nodes = frozenset([*fleet.canary, *fleet.rest])
        self._pods: dict[str, dict[str, bool]] = defaultdict(dict)  # by node: whether each pod is ready, by name
        self.fewest = 0
        self.most = 0
        """Pods on one node at once, whatever their state."""

    def change(self, type: str, pod: Json) -> None:
        metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
        if node not in self._nodes or "modelfleet.dev/group" not in metadata["labels"]:
            return
        if type == "DELETED":
            self._pods[node].pop(metadata["name"], None)
        else:
            self._pods[node][metadata["name"]] = is_ready(pod)
        self.most = max(self.most, len(self._pods[node]))
        self.fewest = min(self.fewest, self.serving)

    @property
    def serving(self) -> int:
        """Nodes with a ready pod."""
        return sum(1 for pods in self._pods.values() if any(pods.values()))

    def from_now_on(self) -> None:
        self.fewest, self.most = self.serving, 0


@pytest.fixture
def seen(fleet: Fleet) -> Iterator[Seen]:
    """Pods take half a second to be ready; that they have none of it would hide what comes first."""
    fleet.cluster.kwok.behave(Behaviour({"modelfleet.dev/rollout": "line"}, delay=0.5))
    found = Seen(fleet)
    with Watch(fleet.cluster, "pods", found.change, "modelfleet.dev/rollout=line"):
        yield found


def named(fleet: Fleet, name: str) -> list[Json]:
    """The groups, the second one under this name."""
    return [fleet.group("canary"), {**fleet.group("fleet", maxUnavailable=1), "name": name}]


def groups_of_pods(fleet: Fleet) -> dict[str, str]:
    pods = fleet.list("pods", "modelfleet.dev/rollout=line")
    return {pod["spec"].get("nodeName", ""): pod["metadata"]["labels"]["modelfleet.dev/group"] for pod in pods}


def daemon_sets(fleet: Fleet) -> set[str]:
    return {each["metadata"]["name"] for each in fleet.list("daemonsets")}


def test_a_renamed_group_hands_its_nodes_over_one_after_the_other(
    fleet: Fleet, seen: Seen, operator: OperatorProcess
) -> None:
    fleet.apply(model_version("v1"))
    fleet.rollout("v1", query=None, groups=named(fleet, "fleet"))
    fleet.wait(lambda: fleet.is_at("v1") and seen.serving == 5, "v1 on all nodes")

    seen.from_now_on()
    fleet.rollout("v1", query=None, groups=named(fleet, "rest"))
    fleet.wait(lambda: daemon_sets(fleet) == {"line-canary", "line-rest"}, "the end of the old group's DaemonSet", 120)
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    assert groups_of_pods(fleet) == dict.fromkeys(fleet.canary, "canary") | dict.fromkeys(fleet.rest, "rest")
    assert seen.fewest == 4, "maxUnavailable is 1"
    assert seen.most == 1, "no node ever has two pods of the Rollout"


def test_while_paused_a_renamed_group_keeps_its_nodes(fleet: Fleet, seen: Seen, operator: OperatorProcess) -> None:
    fleet.apply(model_version("v1"))
    fleet.rollout("v1", query=None, groups=named(fleet, "fleet"))
    fleet.wait(lambda: fleet.is_at("v1") and seen.serving == 5, "v1 on all nodes")

    seen.from_now_on()
    fleet.rollout("v1", query=None, groups=named(fleet, "rest"), paused=True)
    fleet.wait(lambda: "from fleet to rest" in fleet.condition("Ready").get("message", ""), "what waits, in words")
    assert daemon_sets(fleet) == {"line-canary", "line-fleet"}
    operator.restart()
    fleet.wait(lambda: fleet.status.get("phase") == "Paused", "the pause")
    assert seen.fewest == 5

    fleet.rollout("v1", query=None, groups=named(fleet, "rest"), paused=False)
    fleet.wait(lambda: daemon_sets(fleet) == {"line-canary", "line-rest"}, "the handover", 120)
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    assert (seen.fewest, seen.most) == (4, 1)
