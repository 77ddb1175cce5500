"""What the fleet tests of the gate see: several Rollouts side by side, each with how its new version behaves.

Only the nodes are simulated: KWOK's pods, and in them the agent's own metrics of made-up frames (fleet_simulator.py).
Each Rollout is in a namespace of its own; three operators and two Prometheus serve them, so that an operator can be
killed, and a Prometheus stopped, without the others noticing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Condition
from typing import Any

from harness import Cluster, OperatorProcess
from harness.ports import free_port
from harness.processes import wait_until
from harness.prometheus import Prometheus
from modelfleet.measurement.endpoints import EDGES
from worlds.ending import remove_namespaces
from worlds.fleet_simulator import EQUAL, MISSES, PRECISION, Behaviour, FleetSimulator, finding, less_precise
from worlds.kube_watch import Watch
from worlds.rollout import LABEL, Fleet, model_version

Json = dict[str, Any]

PATIENCE = 150.0
MARGIN = 0.03
SCRAPE = timedelta(seconds=2)
SCRAPE_TIMEOUT = timedelta(seconds=1.5)
"""Less than a look waits after its time (2 s): a scrape is there at the look or lost, and no later look sees more."""
PAST = 10
"""So often was every node scraped on the stable version before the new one comes."""

INSTALL: Json = {"soak": "1s", "interval": "1s", "timeout": "1m"}
GATE: Json = {
    "soak": "22s",  # with the interval below, this is when a look is due, and not between two
    "interval": "4s",
    "timeout": "48s",
    # a promise that is kept in 19 of 20 gates would fail a run of this file every few days
    "comparison": {"margin": str(MARGIN), "alpha": "0.01", "minDetections": 30},
}
SLOWER: Json = {"soak": "38s", "timeout": "96s"}
"""Tests every 8 seconds: time for a program to start again in between, on a busy machine too."""
LAST_GROUP: Json = {"soak": "1s", "interval": "2s", "timeout": "1m"}
SMALL = {LABEL: "gate", "small": "yes"}  # 10 canary and 10 other nodes
LARGE = {LABEL: "gate"}  # 20 and 20, the small ones among them
DYING = {LABEL: "gate-dying"}  # 10 and 10 of their own


@dataclass(frozen=True)
class Scenario:
    """How v2 behaves, on which nodes, and what happens meanwhile; `settings` of its gate that differ."""

    behaviour: Behaviour = EQUAL
    nodes: Mapping[str, str] = field(default_factory=lambda: LARGE)
    meanwhile: Callable[[World, Story], None] | None = None
    gate: Json = field(default_factory=dict)


class Statuses:
    """Everything that the status of every Rollout ever said."""

    def __init__(self) -> None:
        self._seen: dict[str, list[Json]] = {}
        self._changed = Condition()

    def on_change(self, change: str, rollout: Json) -> None:
        with self._changed:
            self._seen.setdefault(rollout["metadata"]["namespace"], []).append(rollout.get("status") or {})
            self._changed.notify_all()

    def of(self, namespace: str) -> list[Json]:
        with self._changed:
            return list(self._seen.get(namespace, ()))

    def wait(self, namespace: str, until: Callable[[Json], bool], what: str) -> Json:
        """The first status of which `until` is true, past or to come."""
        found: list[Json] = []

        def there() -> bool:
            found.extend([each for each in self._seen.get(namespace, ()) if until(each)][:1])
            return bool(found)

        with self._changed:
            came = self._changed.wait_for(there, PATIENCE)
        newest = self.of(namespace)[-1:]
        assert came, f"{what} did not come: {json.dumps(newest, indent=1)}"
        return found[0]


@dataclass
class Story:
    """One Rollout, called like its scenario, and how it went."""

    name: str
    scenario: Scenario
    fleet: Fleet
    statuses: Statuses
    port: int  # of the metrics, in its pods
    end: Future[None] | None = None

    def wait(self, until: Callable[[Json], bool], what: str) -> Json:
        return self.statuses.wait(self.fleet.namespace, until, f"{what} of {self.name}")

    def gates(self) -> list[Json]:
        """What the status said of the canary group's gate at each look, oldest first.

        There is no Pass among them: with it the candidate is in the next group already.
        """
        seen = [gate for status in self.statuses.of(self.fleet.namespace) if (gate := judged(status))]
        return [gate for number, gate in enumerate(seen) if gate not in seen[:number]]

    def wait_for_end(self) -> Json:
        """The last that the status said of the canary group's gate, once nothing is under way any more."""
        assert self.end is not None
        self.end.result(2 * PATIENCE)
        return self.gates()[-1]

    def passed(self) -> str:
        """Why v2 might leave the canary group, as the event says."""
        told = [each["note"] for each in self.fleet.list("events.events.k8s.io") if each["reason"] == "GatePassed"]
        (note,) = (note for note in told if note.startswith("v2 on group canary "))
        return str(note)

    def roll_out(self, version: str, gate: Json) -> None:
        labels = self.scenario.nodes
        container = {"name": "agent", "ports": [{"name": "metrics", "containerPort": self.port}]}
        tolerations = [{"operator": "Exists"}]
        self.fleet.rollout(
            version,
            query=None,
            gate=gate,
            groups=[
                {
                    "name": "canary",
                    "nodeSelector": {"matchLabels": {**labels, "group": "canary"}},
                    "maxUnavailable": "100%",
                },
                {
                    "name": "fleet",
                    "nodeSelector": {"matchLabels": dict(labels)},
                    "maxUnavailable": "100%",
                    "gate": LAST_GROUP,
                },
            ],
            template={"spec": {"containers": [container], "tolerations": tolerations}},
        )


def judged(status: Json) -> Json | None:
    """The gate of v2 in the canary group, where there was a look."""
    gate: Json = status.get("gate") or {}
    return gate if gate.get("group") == "canary" and gate.get("version") == "v2" and gate.get("looks") else None


def started(status: Json) -> bool:
    gate = status.get("gate") or {}
    return bool(gate.get("group") == "canary" and gate.get("version") == "v2" and gate.get("startedAt"))


def promoted(status: Json) -> bool:
    return bool(status.get("phase") == "Ready" and status.get("stableVersion") == "v2")


def rolled_back(status: Json) -> bool:
    return bool(status.get("phase") == "RolledBack")


@dataclass
class World:
    """What the stories have in common."""

    cluster: Cluster
    simulator: FleetSimulator
    prometheus: Prometheus
    outage_prometheus: Prometheus
    restarted_operator: OperatorProcess
    restarts: int = 0
    died: str = ""


# --- what happens meanwhile -------------------------------------------------------------------------------------------


def prometheus_stops(world: World, story: Story) -> None:
    story.wait(lambda status: judged(status) is not None, "the first look")
    world.outage_prometheus.stop()
    down = judged(story.wait(lambda status: (judged(status) or {}).get("verdict") == "ProviderDown", "the outage"))
    assert down is not None
    story.wait(lambda status: (judged(status) or {}).get("looks", 0) >= down["looks"] + 2, "two more looks")
    assert story.fleet.templates("fleet") == {"v1"}, "not promoted"
    assert {story.fleet.running[node] for node in story.fleet.canary} == {"v2"}, "not rolled back"
    world.outage_prometheus.start()


def a_canary_dies(world: World, story: Story) -> None:
    story.wait(started, "the gate's start")
    node = story.fleet.canary[3]
    seen = f'modelfleet_frames_total{{namespace="{story.fleet.namespace}",node="{node}",version="v2"}}'
    assert wait_until(lambda: bool(world.prometheus.query(seen)), PATIENCE), "Prometheus knows the node"
    world.died = node
    world.simulator.unplug(node)
    world.cluster.kwok.down(node)


def the_operator_is_killed(world: World, story: Story) -> None:
    """After each look, whatever it was doing just then."""
    looks = 0
    while True:
        status = story.wait(
            lambda status, looks=looks: promoted(status) or (judged(status) or {}).get("looks", 0) > looks,  # type: ignore[misc]
            "the next look",
        )
        gate = judged(status)
        if gate is None:
            return
        looks = gate["looks"]
        world.restarted_operator.kill9()
        world.restarted_operator.start(wait=False)
        world.restarts += 1


SCENARIOS = {
    "equal": Scenario(),
    "less-precise": Scenario(less_precise(2 * MARGIN), SMALL),
    "finds-less": Scenario(finding(0.9**2), SMALL),
    "misses": Scenario(MISSES, SMALL),
    "outage": Scenario(nodes=SMALL, meanwhile=prometheus_stops, gate=SLOWER),
    "dying": Scenario(nodes=DYING, meanwhile=a_canary_dies),
    "restarts": Scenario(nodes=SMALL, meanwhile=the_operator_is_killed, gate=SLOWER),
}
"""Each in a namespace called gate-<name>."""


# --- the world --------------------------------------------------------------------------------------------------------


def start(cluster: Cluster, stack: ExitStack) -> tuple[World, dict[str, Story]]:
    """All of them, with v2 on its way in each; `stack` takes them down."""
    nodes, port = _nodes(cluster, stack), free_port()
    statuses = Statuses()
    stories = {name: _story(cluster, stack, name, nodes, statuses, port) for name in SCENARIOS}
    spaces = {name: story.fleet.namespace for name, story in stories.items()}
    usual = [space for name, space in spaces.items() if name != "outage"]
    prometheus = stack.enter_context(_prometheus(cluster, "prometheus-gate", usual))
    other = stack.enter_context(_prometheus(cluster, "prometheus-outage", [spaces["outage"]]))
    groups = [
        [space for name, space in spaces.items() if name not in ("outage", "restarts")],
        [spaces["outage"]],
        [spaces["restarts"]],
    ]
    operators = [
        OperatorProcess(cluster, {"prometheus": {"url": its.url}}, namespaces=served, name=f"operator-gate-{number}")
        for number, (its, served) in enumerate(zip((prometheus, other, prometheus), groups, strict=True))
    ]
    for operator in operators:
        stack.callback(_stop, operator)
        operator.start(wait=False)
    behaviours = {(spaces[name], "v2"): scenario.behaviour for name, scenario in SCENARIOS.items()}
    simulator = stack.enter_context(FleetSimulator(cluster, port, behaviours))
    stack.enter_context(Watch(cluster, "rollouts", statuses.on_change))
    world = World(cluster, simulator, prometheus, other, operators[2])

    for story in stories.values():
        story.wait(lambda status: status.get("stableVersion") == "v1" and status.get("phase") == "Ready", "v1")
    _wait_for_past(prometheus, stories, "outage")
    _wait_for_past(other, {"outage": stories["outage"]})
    pool = stack.enter_context(ThreadPoolExecutor(len(stories)))
    for story in stories.values():
        story.roll_out("v2", {**GATE, **story.scenario.gate})
    for story in stories.values():
        story.end = pool.submit(_play, world, story)
    return world, stories


def _play(world: World, story: Story) -> None:
    if story.scenario.meanwhile is not None:
        story.scenario.meanwhile(world, story)
    story.wait(lambda status: promoted(status) or rolled_back(status), "the end")


def _nodes(cluster: Cluster, stack: ExitStack) -> dict[str, tuple[list[str], list[str]]]:
    made: list[str] = []
    stack.callback(lambda: cluster.kwok.remove_nodes(made))

    def add(prefix: str, labels: Mapping[str, str]) -> list[str]:
        made.extend(found := cluster.kwok.add_nodes(10, prefix, labels))
        return found

    canary = {"group": "canary"}
    small = add("gate-canary-a", {**SMALL, **canary}), add("gate-edge-a", SMALL)
    more = add("gate-canary-b", {**LARGE, **canary}), add("gate-edge-b", LARGE)
    dying = add("gate-canary-c", {**DYING, **canary}), add("gate-edge-c", DYING)
    large = small[0] + more[0], small[1] + more[1]
    return {str(labels): pair for labels, pair in ((SMALL, small), (LARGE, large), (DYING, dying))}


def _story(
    cluster: Cluster,
    stack: ExitStack,
    name: str,
    nodes: Mapping[str, tuple[list[str], list[str]]],
    statuses: Statuses,
    port: int,
) -> Story:
    """The Rollout is called like the scenario, and not as the others: KWOK gives a pod's address to the next one at
    once, and a scrape that is late must not take another Rollout's pod for its own."""
    namespace, scenario = f"gate-{name}", SCENARIOS[name]
    cluster.kubectl("create", "namespace", namespace)
    stack.callback(remove_namespaces, cluster, namespace)
    story = Story(name, scenario, Fleet(cluster, namespace, *nodes[str(scenario.nodes)], name=name), statuses, port)
    calibration = {"edges": [str(edge) for edge in EDGES], "precision": [str(each) for each in PRECISION]}
    versions = [model_version("v1"), model_version("v2")]
    for version in versions:
        version["spec"]["calibration"] = calibration
    story.fleet.apply(*versions)
    story.roll_out("v1", INSTALL)
    return story


@contextmanager
def _prometheus(cluster: Cluster, name: str, namespaces: list[str]) -> Iterator[Prometheus]:
    server = Prometheus.beside(
        cluster, name, scrape_interval=SCRAPE, scrape_timeout=SCRAPE_TIMEOUT, namespaces=namespaces
    ).start()
    try:
        yield server
    finally:
        server.stop()


def _stop(operator: OperatorProcess) -> None:
    if operator.alive:
        operator.stop()


def _wait_for_past(prometheus: Prometheus, stories: Mapping[str, Story], *without: str) -> None:
    pods = sum(len(s.fleet.canary + s.fleet.rest) for name, s in stories.items() if name not in without)
    old_enough = f'count_over_time(modelfleet_frames_total{{version="v1"}}[1m]) >= {PAST}'
    assert wait_until(lambda: len(prometheus.query(old_enough)) >= pods, PATIENCE, interval=1), "a past"
