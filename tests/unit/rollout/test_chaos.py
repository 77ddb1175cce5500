"""Chaos on the pure core: people, nodes, versions, the gate and the operator's death in any order (docs/chaos.md).

`hypothesis` draws the stories, and shortens one that fails. The operator's code is real, the cluster simulated. What
must never be is looked at with every write (watched_world.py); each story ends with all faults over and time passing,
after which the Rollout must stand where it may stay, say the truth about it, and write nothing any more.

MODELFLEET_CHAOS=5000 runs so many stories, others each time, and prints how to repeat one that fails.
"""

import copy
import functools
import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import hypothesis.strategies as some
from hypothesis import HealthCheck, note, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from modelfleet.api import names
from modelfleet.gate import Verdict
from modelfleet.kinds import MODEL_VERSION, NODE, POD, ROLLOUT
from unit.rollout import builders
from unit.rollout.simulation import NAMESPACE
from unit.rollout.watched_world import PROBLEMS, SELECTORS, Killed, WatchedWorld

STORIES = int(os.environ.get("MODELFLEET_CHAOS", "0"))
LONG = STORIES > 0

Json = dict[str, Any]

VERSIONS = some.sampled_from(["v1", "v2", "v3", "v4"])
NODES = some.sampled_from([f"n{index}" for index in range(7)])
LABELS = some.sampled_from(["canary", "site", "fleet", None])
VERDICTS = some.sampled_from([None, *Verdict])
TICKS = some.sampled_from([0, 1, 2, 4, 8, 20])
BUDGETS: list[Json] = [
    *({"maxUnavailable": most} for most in (1, 2, "50%", "100%")),
    *({"maxUnavailable": 0, "maxSurge": most} for most in (1, "50%")),
]


@some.composite
def groups(draw: some.DrawFn) -> list[Json]:
    """Some groups in some order."""
    named = draw(some.lists(some.sampled_from(list(SELECTORS)), min_size=1, max_size=3, unique=True))
    return [draw_group(draw, name) for name in named]


def draw_group(draw: some.DrawFn, name: str) -> Json:
    found: Json = {
        "name": name,
        "nodeSelector": SELECTORS[name],
        **draw(some.sampled_from(BUDGETS)),
    }
    if draw(some.integers(0, 5)) == 0:
        found["approval"] = "Manual"
    return found


def happens(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule, after which some time passes."""

    def of(change: Callable[..., None]) -> Any:
        @functools.wraps(change)
        def rule_of(self: "Chaos", ticks: int, **values: Any) -> None:
            self.sound = False
            change(self, **values)
            self.let_pass(ticks)
            self.sound = True

        return rule(ticks=TICKS, **drawn)(rule_of)

    return of


class Chaos(RuleBasedStateMachine):
    """One story. `seen` counts over all of them: stories, what happened in them, and how they ended."""

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        Chaos.seen["stories"] += 1
        self.world = copy.deepcopy(begun())
        self.wire_up()
        self.statuses: list[Json] = []
        self.sound = False

    def wire_up(self) -> None:
        self.world.judge, self.world.problem = self.world.judge_now, self.world.fault

    @initialize(installed=some.booleans())
    def begin(self, installed: bool) -> None:
        if installed:
            self.world.run(lambda: self.world.is_at("v1"))
        self.sound = True

    def let_pass(self, ticks: int) -> None:
        Chaos.seen["steps"] += 1
        for left in range(ticks, -1, -1):
            try:
                self.world.operate()
            except Killed:
                self.live_again()
                self.world.operate()
            if left:
                self.world.tick()
        self.statuses = [*self.statuses[-5:], self.world.status]

    def live_again(self) -> None:
        """A new operator process goes on from where the last one died."""
        Chaos.seen["kills"] += 1
        self.world = self.world.killed()
        self.wire_up()

    # --- people -------------------------------------------------------------------------------------------------------

    @happens(version=VERSIONS)
    def choose(self, version: str) -> None:
        self.world.choose(version)

    @happens(
        version=VERSIONS,
        image=some.sampled_from(["app:1", "app:2"]),
        verdict=some.sampled_from([None, Verdict.PASS, Verdict.FAIL, Verdict.NO_DATA]),
        broken=some.booleans(),
        away=NODES,
    )
    def upgrade(self, version: str, image: str, verdict: Verdict | None, broken: bool, away: str) -> None:
        """What makes the stories long: a version, how it does, and a node that is away meanwhile."""
        self.world.broken, self.world.verdict = {version} if broken and verdict is None else set(), verdict
        if self.world.store.get(NODE, "", away) is not None and self.world.is_reachable(away):
            self.set_reach(away, False)
        self.world.choose(version)
        self.world.spec(template=builders.template(image))

    @happens()
    def follow_latest(self) -> None:
        self.world.spec(model={"name": "parts", "tag": "latest"})

    @happens(paused=some.booleans())
    def pause(self, paused: bool) -> None:
        self.world.spec(paused=paused)

    @happens(wanted=groups())
    def regroup(self, wanted: list[Json]) -> None:
        self.world.spec(groups=wanted)

    @happens(image=some.sampled_from(["app:1", "app:2", "app:3"]))
    def change_the_template(self, image: str) -> None:
        self.world.spec(template=builders.template(image))

    @happens(
        verb=some.sampled_from(["approve", "promote", "abort", "retry"]),
        version=VERSIONS,
        again=some.sampled_from(["", "@1", "@2"]),
    )
    def command(self, verb: str, version: str, again: str) -> None:
        self.world.annotate(verb, version + again)

    @happens(verb=some.sampled_from(["approve", "promote", "abort"]), again=some.sampled_from(["", "@1", "@2"]))
    def command_the_candidate(self, verb: str, again: str) -> None:
        self.world.annotate(verb, self.world.status.get("candidateVersion", "v2") + again)

    @happens(minimum=some.sampled_from([0, 2, "50%", "100%"]))
    def set_min_reachable(self, minimum: int | str) -> None:
        self.world.spec(minReachable=minimum)

    @happens(on_failure=some.booleans())
    def set_rollback(self, on_failure: bool) -> None:
        self.world.spec(rollback={"onFailure": on_failure})

    @happens(no_data=some.sampled_from(["Hold", "Rollback"]), timeout=some.sampled_from(["Pause", "Rollback"]))
    def set_gate(self, no_data: str, timeout: str) -> None:
        self.world.spec(gate={**self.world.spec_now["gate"], "onNoData": no_data, "onTimeout": timeout})

    @happens(version=VERSIONS)
    def add_version(self, version: str) -> None:
        if self.world.store.get(MODEL_VERSION, NAMESPACE, f"parts-{version}") is None:
            self.world.put(builders.model_version(version, created=self.world.now))

    @happens(version=VERSIONS, gone=some.booleans())
    def delete_version(self, version: str, gone: bool) -> None:
        name = f"parts-{version}"
        if self.world.store.get(MODEL_VERSION, NAMESPACE, name) is None:
            return
        if gone:
            self.world.delete(MODEL_VERSION, name)
        else:
            stamp = builders.wire(self.world.now)
            self.world.edit(MODEL_VERSION, name, lambda obj: obj["metadata"].update(deletionTimestamp=stamp))

    # --- nodes --------------------------------------------------------------------------------------------------------

    @happens(node=NODES, reachable=some.booleans())
    def reach(self, node: str, reachable: bool) -> None:
        raw = self.world.store.get(NODE, "", node)
        if raw is not None and self.world.is_reachable(node) != reachable:
            self.set_reach(node, reachable)

    def set_reach(self, node: str, reachable: bool) -> None:
        """The kubelet is silent or back; of the pods of a silent one none is ready (the node lifecycle controller)."""
        raw = self.world.get(NODE, node)
        tainted = bool(raw["spec"].get("taints"))
        self.world.put_node(node, raw["metadata"]["labels"].get("group"), reachable=reachable, tainted=tainted)
        for pod in self.world.store.list(POD, NAMESPACE):
            if pod["spec"]["nodeName"] == node and not reachable:
                self.world._set_ready(copy.deepcopy(dict(pod)), False)

    @happens(node=NODES, tainted=some.booleans())
    def taint(self, node: str, tainted: bool) -> None:
        raw = self.world.store.get(NODE, "", node)
        if raw is not None:
            spec = {"taints": [{"key": "reserved", "effect": "NoSchedule"}]} if tainted else {}
            self.world.put({**raw, "spec": spec})

    @happens(node=NODES, label=LABELS)
    def relabel(self, node: str, label: str | None) -> None:
        raw = self.world.store.get(NODE, "", node)
        if raw is not None:
            labels = {} if label is None else {"group": label}
            self.world.put({**raw, "metadata": {**raw["metadata"], "labels": labels}})

    @happens(node=NODES, label=LABELS, tainted=some.booleans())
    def add_node(self, node: str, label: str | None, tainted: bool) -> None:
        if self.world.store.get(NODE, "", node) is None:
            self.world.put_node(node, label, tainted=tainted)

    @happens(node=NODES)
    def delete_node(self, node: str) -> None:
        self.world.delete(NODE, node)
        for pod in list(self.world.store.list(POD, NAMESPACE)):
            if pod["spec"]["nodeName"] == node:  # the pod garbage collector
                self.world.delete(POD, pod["metadata"]["name"])

    @happens(node=NODES, refused=some.booleans())
    def refuse_pods(self, node: str, refused: bool) -> None:
        self.world.no_pods = self.world.no_pods | {node} if refused else self.world.no_pods - {node}

    @happens(node=NODES, stuck=some.booleans())
    def keep_pods(self, node: str, stuck: bool) -> None:
        self.world.stuck = self.world.stuck | {node} if stuck else self.world.stuck - {node}

    # --- versions and the gate ----------------------------------------------------------------------------------------

    @happens(version=VERSIONS, broken=some.booleans(), saying=some.sampled_from(list(PROBLEMS)))
    def break_version(self, version: str, broken: bool, saying: str) -> None:
        self.world.broken = self.world.broken | {version} if broken else self.world.broken - {version}
        self.world.saying = saying

    @happens(verdict=VERDICTS)
    def say(self, verdict: Verdict | None) -> None:
        self.world.verdict = verdict

    # --- the operator, and what it remembers --------------------------------------------------------------------------

    @happens(after=some.integers(1, 8))
    def kill(self, after: int) -> None:
        """It dies right after one of its next writes, and a new one goes on."""
        left = after

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        self.world.after_write = count

    @happens()
    def wipe_status(self) -> None:
        self.world.wipe_status()

    @happens(data=some.data())
    def restore_an_old_status(self, data: some.DataObject) -> None:
        if self.statuses:
            old = data.draw(some.sampled_from(self.statuses))
            self.world.edit(ROLLOUT, "line", lambda obj: obj.update(status=copy.deepcopy(old)))

    @happens(data=some.data())
    def forge_the_status(self, data: some.DataObject) -> None:
        """Each field is of the right form, and says what is not so."""
        self.world.edit(ROLLOUT, "line", lambda obj: forge(obj.setdefault("status", {}), data.draw, self.world))

    @invariant()
    def the_status_says_what_is_stable(self) -> None:
        if self.sound and self.world.status:
            stable = self.world.stable()
            assert self.world.status.get("stableRevision") == (stable and f"line-{stable}")

    def teardown(self) -> None:
        if not self.sound:
            return  # it has failed already
        note(f"in the end: {self.world.phase}, {self.world.reason()}")
        self.world.after_write = lambda: None
        self.world.heal()
        self.world.settle()
        Chaos.seen[f"ended {self.world.reason()}"] += 1
        Chaos.seen["writes"] += self.world.writes
        for notes in self.world.facts().values():
            Chaos.seen["promoted"] += names.PROMOTED_AT in notes
            Chaos.seen["quarantined"] += names.QUARANTINED_AT in notes


def forge(status: Json, draw: Callable[[Any], Any], world: WatchedWorld) -> None:
    """Falsify one thing of a status."""
    revisions = [f"line-{hash}" for hash in world.facts()] + ["line-0000000000"]
    moment = builders.wire(world.now + draw(some.sampled_from([-1, 1])) * timedelta(hours=draw(some.integers(0, 3))))
    what = draw(
        some.sampled_from(["stable", "candidate", "group", "phase", "gate", "groups", "conditions", "quarantined"])
    )
    named, version = draw(some.sampled_from(revisions)), draw(VERSIONS)
    group = draw(some.sampled_from(list(SELECTORS)))
    match what:
        case "stable":
            status.update(stableRevision=named, stableVersion=version)
        case "candidate":
            status.update(candidateRevision=named, candidateVersion=version)
        case "group":
            status.update(currentGroup=group)
        case "phase":
            status.update(phase=draw(some.sampled_from(["Ready", "RolledBack", "Soaking", "Paused", "x"])))
        case "gate":
            verdict = draw(some.sampled_from([verdict.value for verdict in Verdict]))
            known = (status.get("gate") or {}).get("startedAt")  # a forger can read the true one
            started = draw(some.sampled_from([each for each in (moment, known) if each]))
            status.update(
                gate={"group": group, "version": version, "startedAt": started, "verdict": verdict, "looks": 9}
            )
        case "groups":
            fields = {"startedAt": moment, "readyAt": moment, "passed": "v2 passed.", "revision": named}
            status.update(groups=[{"name": group, "nodes": 9, "ready": 9, "updated": 9, **fields}])
        case "conditions":
            kind = draw(some.sampled_from(["Ready", "Stalled", "Reconciling", "PodsMissing"]))
            made = {"type": kind, "status": "True", "reason": "Forged", "message": "", "lastTransitionTime": moment}
            status.update(conditions=[made])
        case "quarantined":
            status.update(quarantined=[{"version": version, "reason": "GateFailed: no", "at": moment}], history=[])


@functools.cache
def begun() -> WatchedWorld:
    """Six nodes in two groups, three versions, v1 chosen and not installed yet."""
    world = WatchedWorld()
    for index, label in enumerate(["canary", "canary", "fleet", "fleet", "fleet", "site"]):
        world.put_node(f"n{index}", label)
    for index, version in enumerate(["v1", "v2", "v3"]):
        world.put(builders.model_version(version, created=builders.START + index * timedelta(hours=1)))
    world.put(
        builders.rollout(
            "v1",
            groups=tuple({"name": n, "nodeSelector": SELECTORS[n], "maxUnavailable": 1} for n in ("canary", "fleet")),
            gate={"soak": "1m", "interval": "20s", "timeout": "5m"},
            progressDeadline="2m",
            rollback={"onFailure": True},
        )
    )
    return world


def test_chaos() -> None:
    run_state_machine_as_test(
        Chaos,
        settings=settings(
            max_examples=STORIES or 25,
            stateful_step_count=50 if LONG else 25,
            derandomize=not LONG,
            deadline=None,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(Chaos.seen.most_common()))
    assert Chaos.seen["promoted"] > Chaos.seen["stories"] / 2, (
        "hardly anything was ever promoted: the stories say nothing"
    )
    assert min(Chaos.seen[what] for what in ("quarantined", "kills")) > 0
