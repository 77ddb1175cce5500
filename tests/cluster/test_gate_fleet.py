"""The gate on the real stack: forty nodes, real scrapes, a real operator, a version that is equal or not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import Cluster
from harness.paths import REPOSITORY
from modelfleet.api.gatespec import Gate, Verdict
from modelfleet.api.rolloutstatus import GateStatus, RolloutStatus
from modelfleet.gate import Judgement, Plan, judge, resolve
from modelfleet.gate.observe import gather
from modelfleet.prometheus import Client
from modelfleet.rollout import gating
from modelfleet.times import parse_time
from worlds.fleet_simulator import EQUAL, PRECISION, Behaviour
from worlds.gate import GATE, MARGIN, SCENARIOS, Story, World, promoted, start
from worlds.rollout import Fleet

pytestmark = pytest.mark.alone

Stories = tuple[World, dict[str, Story]]

PASSED = "v2 on group canary is no worse than v1 (Permutation, test "


@pytest.fixture(scope="module")
def started_stories(crds: Cluster) -> Iterator[Stories]:
    """All Rollouts, with v2 on its way in each."""
    with ExitStack() as stack:
        yield start(crds, stack)


def test_what_is_scraped_is_what_the_contract_says(started_stories: Stories) -> None:
    world, stories = started_stories
    node = stories["misses"].fleet.rest[0]  # stays as it is
    query = f'{{__name__=~"modelfleet_.+",node="{node}",rollout="misses"}}'
    found = {_series(labels) for labels, _ in world.prometheus.query(query)}
    contract = (REPOSITORY / "agent-image/tests/metrics.txt").read_text()
    families = text_string_to_metric_families(contract)
    expected = {_series({"__name__": each.name, **each.labels}) for family in families for each in family.samples}
    assert found == expected


def _series(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Its name and labels, with the values of those whose values are part of the contract."""
    kept = {"__name__", "class", "reason"}
    shown = {key: value if key in kept else "" for key, value in labels.items()}
    if "le" in labels:
        shown["le"] = str(float(labels["le"]))
    scrape = {"namespace", "pod", "job", "instance"}
    return tuple(sorted((key, value) for key, value in shown.items() if key not in scrape))


@pytest.mark.parametrize(
    ("behaviour", "precision", "found"),
    [
        (EQUAL, 0.0, 1.0),
        (SCENARIOS["less-precise"].behaviour, -2 * MARGIN, 1.0),
        (SCENARIOS["finds-less"].behaviour, 0.0, 0.81),
    ],
)
def test_versions_are_as_bad_as_they_should_be(behaviour: Behaviour, precision: float, found: float) -> None:
    assert (behaviour.precision, behaviour.found) == pytest.approx((precision, found))


def test_an_equal_version_is_promoted(started_stories: Stories) -> None:
    story = started_stories[1]["equal"]
    gate = story.wait_for_end()
    assert (gate["verdict"], gate["method"]) == ("Inconclusive", "Permutation"), "soaking, until it passed"
    assert min(gate["canaryNodes"], gate["controlNodes"]) >= 15, "of 20; a busy machine may miss scrapes"
    assert PASSED in story.passed()
    _assert_promoted(story)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("less-precise", "is less precise than v1 (Permutation, test "),
        ("finds-less", "finds less than v1 (Permutation, test "),
        ("misses", "finds less than v1 (Permutation, test "),
    ],
)
def test_a_worse_version_is_rolled_back_and_quarantined(started_stories: Stories, name: str, said: str) -> None:
    story = started_stories[1][name]
    gate = story.wait_for_end()
    assert (gate["verdict"], gate["method"]) == ("Fail", "Permutation"), gate
    assert said in gate["message"]
    fleet, status = story.fleet, story.fleet.status
    assert fleet.rolled_back(), status
    assert fleet.templates("canary") == {"v1", "v2"}
    assert fleet.templates("fleet") == {"v1"}, "no other node ever ran it"
    assert (status["stableVersion"], status.get("candidateVersion")) == ("v1", None)
    assert status["quarantined"][0]["version"] == "v2"
    assert said in status["quarantined"][0]["reason"]
    assert (status["history"][0]["version"], status["history"][0]["result"]) == ("v2", "RolledBack")
    fleet.hears("GateFailed", "RolledBack")
    assert not {"GatePassed", "Promoted"} & _after_install(fleet)


def test_a_version_that_misses_objects_is_the_more_confident_one(started_stories: Stories) -> None:
    """What makes it worth a test: by confidence alone it would be promoted."""
    behaviour = started_stories[1]["misses"].scenario.behaviour
    assert behaviour.precision > MARGIN
    gate = started_stories[1]["misses"].wait_for_end()
    assert float(gate["estimate"]) > 0


def test_prometheus_stopped_in_the_middle_holds_and_then_goes_on(started_stories: Stories) -> None:
    story = started_stories[1]["outage"]
    story.wait_for_end()
    verdicts = [each["verdict"] for each in story.gates()]
    down = [number for number, verdict in enumerate(verdicts) if verdict == "ProviderDown"]
    assert down == list(range(down[0], down[-1] + 1)), "one outage"
    assert set(verdicts) == {"Inconclusive", "ProviderDown"}, story.gates()[-1]
    assert verdicts[0] == "Inconclusive", "it had begun"
    story.fleet.hears("GateHeld")
    assert PASSED in story.passed()
    _assert_promoted(story)


def test_a_canary_that_dies_is_set_aside_and_the_rest_decide(started_stories: Stories) -> None:
    world, stories = started_stories
    story = stories["dying"]
    gate = story.wait_for_end()
    assert 5 <= gate["canaryNodes"] <= 9
    assert PASSED in story.passed()
    for message in (gate["message"], story.passed()):
        aside = re.search(r"canary nodes?: scraped less than 80% of the time \(([^)]+)\)", message)
        assert aside is not None, message
        assert world.died in aside[1]  # a busy machine may have missed scrapes of others, too
    _assert_promoted(story, without={world.died})
    assert story.fleet.status["groups"][0]["unreachable"] == 1


async def test_an_operator_killed_at_every_look_judges_as_one_that_never_was(started_stories: Stories) -> None:
    """At each look the same figures are judged once more, by one that knows only when the gate began."""
    world, stories = started_stories
    story = stories["restarts"]
    gate = story.wait_for_end()
    gates = story.gates()
    assert len({each["startedAt"] for each in gates}) == 1
    assert world.restarts == len({each["looks"] for each in gates}) >= 2
    plan = _plan(story, GateStatus.model_validate(gate))
    latched = GateStatus(group="canary", started_at=plan.started_at)
    async with Client(world.prometheus.url) as client:

        async def again(looks: int) -> Judgement:
            now = plan.look_time(plan.first_look + looks - 1) + plan.settle
            return judge(plan, await gather(client, plan, now), now)

        for each in gates:
            status = gating.judged(latched, "v2", await again(each["looks"]), plan.started_at)
            assert status.to_dict() == {**each, "since": each["startedAt"]}
        late = [await again(gate["looks"] + more) for more in range(1, 9)]  # an operator that starts may miss looks
    passes = [each.message for each in late if each.verdict is Verdict.PASS]
    assert story.passed() in passes
    _assert_promoted(story)


def _plan(story: Story, gate: GateStatus) -> Plan:
    canary = RolloutStatus.model_validate(story.fleet.status).groups[0]
    assert gate.started_at is not None
    assert canary.started_at is not None
    assert canary.revision is not None
    revision = story.fleet.get("controllerrevision", canary.revision)
    created = parse_time(revision["metadata"]["creationTimestamp"])
    return Plan(
        namespace=story.fleet.namespace,
        rollout=story.name,
        group="canary",
        control_groups=("fleet",),
        model="parts",
        candidate_version="v2",
        stable_version="v1",
        candidate_weights=PRECISION,
        stable_weights=PRECISION,
        policy=resolve(Gate.model_validate({**GATE, **story.scenario.gate})),
        past_until=max(canary.started_at, created),  # the API server's clock may be in the next second already
        started_at=gate.started_at,
    )


def _assert_promoted(story: Story, without: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    fleet, status = story.fleet, story.fleet.status
    assert promoted(status), status
    assert fleet.running == dict.fromkeys(sorted({*fleet.canary, *fleet.rest} - without), "v2")
    assert fleet.templates("fleet") == {"v1", "v2"}
    assert [(entry["version"], entry["result"]) for entry in status["history"]] == [
        ("v2", "Promoted"),
        ("v1", "Installed"),
    ]
    fleet.hears("RolloutStarted", "GatePassed", "GroupAdvanced", "Promoted")
    assert not status.get("quarantined")


def _after_install(fleet: Fleet) -> set[str]:
    """Reasons of the events that speak of v2."""
    return {
        each["reason"]
        for each in fleet.list("events.events.k8s.io")
        if each["regarding"]["kind"] == "Rollout" and "v2" in each.get("note", "")
    }
