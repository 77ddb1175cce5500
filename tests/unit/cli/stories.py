"""Rollouts of every phase with their pods, recorded from the simulation: made by the operator's own code."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kubectl_modelfleet.view import RolloutView, view
from modelfleet import drift
from modelfleet.api import names
from modelfleet.drift.judgement import SignalChange
from modelfleet.gate import EndpointName, Figure, Verdict
from modelfleet.kinds import CONTROLLER_REVISION, MODEL_VERSION, POD, ROLLOUT
from unit.rollout import builders
from unit.rollout.replays import CAPTURE, word
from unit.rollout.simulation import NAMESPACE, World, fleet, installed, said

Json = dict[str, Any]
GATE = {"soak": "5m", "interval": "1m", "timeout": "1h", "comparison": {"margin": "0.05", "minDetections": 100}}


@dataclass(frozen=True)
class Recorded:
    """Raw objects at a moment."""

    rollout: Json
    pods: list[Json]
    revisions: list[Json]
    versions: list[Json]
    now: datetime

    @property
    def view(self) -> RolloutView:
        return view(self.rollout, self.pods)


def recorded(world: World) -> Recorded:
    of = {names.ROLLOUT: "line"}  # what the CLI asks for
    lists = (
        [dict(each) for each in world.store.list(kind, NAMESPACE, labels=of)] for kind in (POD, CONTROLLER_REVISION)
    )
    pods, revisions = lists
    versions = [dict(each) for each in world.store.list(MODEL_VERSION, NAMESPACE)]
    return Recorded(world.get(ROLLOUT, "line"), pods, revisions, versions, world.now)


def undecided(plan, now):
    figure = Figure(EndpointName.PRECISION, -0.0123, 0.05, (-0.0311, 0.0072))
    return said(plan, now, Verdict.INCONCLUSIVE, "not decided yet", endpoints=(figure,))


def fails(plan, now):
    return said(plan, now, Verdict.FAIL, "worse by 0.2")


def until(phase: str, prepare: Callable[[World], None], **spec: Any) -> Recorded:
    world = installed(**spec)
    prepare(world)
    world.run(lambda: world.phase == phase)
    return recorded(world)


def upgraded(world: World) -> None:
    world.choose("v2")


def judged(judge) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.judge = judge
        world.spec(gate=GATE)
        world.choose("v2")

    return prepare


def manual(world: World) -> None:
    world.spec(groups=[builders.group("canary", approval="Manual"), builders.group("fleet")])
    world.choose("v2")


def closed(world: World) -> None:
    world.spec(windows=[{"cron": "0 3 * * *", "duration": "1h", "timeZone": "UTC"}])
    world.choose("v2")


def paused(world: World) -> None:
    world.spec(paused=True)
    world.choose("v2")


def dark(world: World) -> None:
    for name in ("fleet-0", "fleet-1"):
        world.reach(name, False)


def kept(world: World) -> None:
    world.spec(rollback={"onFailure": False})
    judged(fails)(world)


def unseen() -> Recorded:
    world = fleet()
    return recorded(world)


def restored() -> Recorded:
    """A template of v1 failed, and the spec has the one before again."""
    world = installed()
    world.judge = fails
    world.spec(gate=GATE, template=builders.template("app:2"))
    world.run(lambda: world.phase == "RolledBack")
    world.spec(template=builders.template("app:1"))
    world.run(lambda: world.phase == "Ready")
    return recorded(world)


def drifting() -> Recorded:
    world = installed(drift={"retrain": {"template": {"spec": RETRAIN}, "suspend": True}})
    world.watch = lambda plan, now: drift.Judgement(
        drift.State.DRIFTING,
        "v1 has drifted on 3 of 4 nodes",
        since=builders.START + timedelta(hours=1),
        declared=True,
        nodes=4,
        nodes_down=3,
        signals=(SignalChange("confidence", -0.081, -0.05), SignalChange("reviewed-recall", 0.78, 0.85)),
    )
    world.rest(3)
    return recorded(world)


def promoted() -> Recorded:
    world = installed()
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    return recorded(world)


def replaying(until: Callable[[World], bool]) -> Recorded:
    world = installed(**REPLAYS)
    world.replays = lambda job: (0, word())
    world.choose("v2")
    world.run(lambda: until(world))
    return recorded(world)


REPLAYS: Json = {"delivery": CAPTURE, "replay": {}}

RETRAIN = {
    "model": "parts",
    "mode": "FineTune",
    "dataset": {"sources": [{"uri": "s3://data/parts/"}]},
    "output": {"uri": "s3://models/"},
}

STORIES: dict[str, Callable[[], Recorded]] = {
    "Pending": unseen,
    "Progressing": lambda: until("Progressing", upgraded),
    "Soaking": lambda: until("Soaking", judged(undecided)),
    "Holding": lambda: until("Holding", judged(lambda plan, now: said(plan, now, Verdict.PROVIDER_DOWN, "down"))),
    "WaitingForApproval": lambda: until("WaitingForApproval", manual),
    "WaitingForWindow": lambda: until("WaitingForWindow", closed),
    "Paused": lambda: until("Paused", paused),
    "Ready": promoted,
    "Degraded": lambda: until("Degraded", dark),
    "RollingBack": lambda: until("RollingBack", judged(fails)),
    "RolledBack": lambda: until("RolledBack", judged(fails)),
    "Failed": lambda: until("Failed", kept),
    "Stalled": lambda: until("Stalled", lambda world: world.choose("v9")),
    "Replaying": lambda: replaying(lambda world: world.phase == "Replaying"),
    "Replayed": lambda: replaying(lambda world: world.is_at("v2")),
    "Drifting": drifting,
    "Restored": restored,
}


@functools.cache
def story(name: str) -> Recorded:
    """A Rollout as it stands in this phase (Drifting: Ready, and the scene has changed; Replayed: Ready, after a
    replay; Restored: Ready, after a template that failed)."""
    return STORIES[name]()
