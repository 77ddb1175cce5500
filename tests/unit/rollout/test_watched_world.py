"""What the chaos test holds against the operator can be broken: each invariant finds an operator that breaks it."""

import copy
from collections.abc import Callable

import pytest

from modelfleet.gate import Verdict
from modelfleet.rollout import decide, groups, surge
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.assessment import Assessment
from unit.rollout import builders
from unit.rollout.test_chaos import begun
from unit.rollout.watched_world import WatchedWorld

Patch = pytest.MonkeyPatch


def installed() -> WatchedWorld:
    world = copy.deepcopy(begun())
    world.judge = world.judge_now
    world.run(lambda: world.is_at("v1"))
    return world


def upgrade(world: WatchedWorld, verdict: Verdict) -> None:
    """To v2, and once that has come to an end to another template of it."""
    world.verdict = verdict
    world.choose("v2")
    world.settle()
    world.spec(template=builders.template("app:2"))
    world.settle()


def takes_all_nodes_down(patch: Patch) -> None:
    patch.setattr(groups, "effective_max_unavailable", lambda group, revision: "100%")


def goes_on_without_a_pass(patch: Patch) -> None:
    patch.setattr(Assessment, "judged_well", property(lambda self: self.done))


def forgets_what_failed(patch: Patch) -> None:
    patch.setattr(revs, "version_quarantine", lambda revisions, model, version: None)


def deletes_what_is_stable(patch: Patch) -> None:
    patch.setattr(revs, "superfluous", lambda revisions, keep, limit: [r for r in revisions if r.promoted_at])


def forgets_to_look_again(patch: Patch) -> None:
    patch.setattr(decide, "_wake", lambda *seen: None)


@pytest.mark.parametrize(
    ("breaks", "verdict", "finding"),
    [
        (takes_all_nodes_down, Verdict.PASS, "are down"),
        (goes_on_without_a_pass, Verdict.NO_DATA, "goes on, and group canary says"),
        (forgets_what_failed, Verdict.FAIL, "which is quarantined"),
        (deletes_what_is_stable, Verdict.PASS, "what is stable changed"),
        (forgets_to_look_again, Verdict.PASS, "this is no end"),
    ],
)
def test_an_operator_that_breaks_it_is_found(
    breaks: Callable[[Patch], None], verdict: Verdict, finding: str, monkeypatch: Patch
) -> None:
    world = installed()
    breaks(monkeypatch)
    with pytest.raises(AssertionError, match=finding):
        upgrade(world, verdict)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_an_operator_as_it_is_passes(verdict: Verdict) -> None:
    upgrade(installed(), verdict)


@pytest.mark.parametrize("forgotten", [True, False])
def test_an_operator_that_takes_a_node_from_a_group_with_a_surge_is_found(forgotten: bool, monkeypatch: Patch) -> None:
    world = installed()
    surging = [{**group, "maxUnavailable": 0, "maxSurge": 1} for group in world.spec_now["groups"]]
    world.spec(groups=surging)
    world.settle()
    if not forgotten:
        upgrade(world, Verdict.FAIL)
        return
    monkeypatch.setattr(surge, "budget", lambda group, target: surge.Budget(1))
    with pytest.raises(AssertionError, match="are down"):
        upgrade(world, Verdict.FAIL)
