"""The gate of the group that the candidate is in: whether there is one, and whom it compares by which rules."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rolloutstatus import GateStatus
from modelfleet.gate import Judgement, Verdict
from modelfleet.gate.judgement import EndpointName, Figure
from modelfleet.measurement.endpoints import EDGES
from modelfleet.rollout import commands, gating
from modelfleet.rollout.position import Moving
from modelfleet.rollout.revisions import GateStart
from unit.rollout import builders
from unit.rollout.builders import START, wire
from unit.rollout.positions import NAMES, NOW, VERSIONS, failed, locate, revision, rollout, snapshot, stable

STARTED = START + timedelta(hours=1)
START_OF = GateStart("canary", STARTED)
V1, V2 = stable(), revision("v2", gate=START_OF)
RISING = tuple(f"{0.4 + 0.06 * bucket:.2f}" for bucket in range(10))
FALLING = tuple(reversed(RISING))


def latched(candidate=V2, **fields):
    """A Rollout's status with a gate that started in the group canary."""
    gate = {"group": "canary", "version": "v2", "startedAt": wire(STARTED), "verdict": "Inconclusive"}
    return {"candidateRevision": candidate.name, "gate": gate | fields}


def in_canary(status=None, revisions=(V1, V2), carry=("v2", "v1", "v1"), empty=(), versions=None, **spec):
    """v2 is in the first group, on top of v1."""
    of = rollout("v2", status=latched() if status is None else status, **spec)
    given = tuple(VERSIONS.values()) if versions is None else versions
    on_their_way = [revision if revision.promoted_at else replace(revision, passed=NAMES[:2]) for revision in revisions]
    return locate(snapshot(carry, of, empty=empty, versions=given), *on_their_way)


def moving(at):
    assert isinstance(at.course, Moving)
    return at.course


def plan(at):
    return gating.plan(at, moving(at), STARTED)


def promoted_by_hand(candidate):
    return replace(candidate, commands={"promote=v2": commands.GATES})


# --- whether there is a gate ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ({}, True),
        ({"revisions": (V1, replace(V2, gate=None))}, False),  # it has not started, whatever the status says
        ({"status": latched(verdict="Pass"), "revisions": (V1, replace(V2, waiting=START_OF))}, True),
        ({"status": latched(verdict="NoData")}, True),
        ({"status": latched(startedAt=wire(STARTED).replace("Z", ".250Z"))}, True),
        ({"carry": ("v2", "v2", "v1")}, False),  # it is in the next group by now
        ({"carry": ("v1", "v1", "v1")}, False),
        ({"revisions": (V1, failed(gate=START_OF))}, False),
        ({"revisions": (V1, stable("v2", gate=START_OF))}, False),
    ],
)
def test_a_gate_counts_for_its_candidate_and_in_its_group(given, there):
    at = in_canary(**given)
    assert gating.started(at) == (at.snapshot.rollout.status.gate if there else None)
    assert (gating.active(at) is not None) is there


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"candidateRevision": V2.name},
        latched(startedAt=None),
        latched(startedAt=wire(STARTED - timedelta(days=1)), verdict="Pass"),
        latched(startedAt=wire(STARTED + timedelta(days=1))),
        latched(group="middle"),
        latched(verdict="Fail"),
    ],
)
def test_when_it_started_is_what_the_revision_says(status):
    found = gating.started(in_canary(status=status))
    assert found is not None
    assert (found.group, found.version, found.started_at, found.verdict) == ("canary", "v2", STARTED, None)


def test_what_a_restored_revision_says_of_before_does_not_count_as_soaking():
    restored = STARTED + timedelta(minutes=30)
    found = gating.started(in_canary(revisions=(V1, replace(V2, created=restored))))
    assert found is not None
    assert found.started_at == restored


@pytest.mark.parametrize(
    "mark", [None, GateStart("middle", STARTED), GateStart("canary", STARTED - timedelta(seconds=1))]
)
def test_a_pass_that_the_revision_does_not_confirm_is_no_verdict(mark):
    found = gating.started(in_canary(status=latched(verdict="Pass"), revisions=(V1, replace(V2, waiting=mark))))
    assert found is not None
    assert (found.group, found.started_at, found.verdict) == ("canary", STARTED, None)


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": {"deletionTimestamp": wire(NOW)}},
        {"revisions": (V1, promoted_by_hand(V2))},
    ],
)
def test_a_gate_that_started_is_not_judged_where_nobody_waits_for_it(given):
    at = in_canary(**given)
    assert gating.started(at) is not None
    assert gating.active(at) is None


def test_the_gate_is_judged_from_its_start():
    found = gating.active(in_canary())
    assert found is not None
    assert found.started_at == STARTED


# --- by which rules ---------------------------------------------------------------------------------------------------


def groups(**of_first):
    return [builders.group("canary", **of_first), *(builders.group(name) for name in NAMES[1:])]


@pytest.mark.parametrize(
    ("own", "carry", "soak", "margin"),
    [
        ({}, ("v2", "v1", "v1"), 5, 0.02),
        ({"soak": "7m"}, ("v2", "v1", "v1"), 7, 0.02),
        ({"comparison": {"margin": "0.08"}}, ("v2", "v1", "v1"), 5, 0.08),
        ({"soak": "7m", "comparison": {"margin": "0.08"}}, ("v2", "v2", "v1"), 5, 0.02),  # of another group
    ],
)
def test_rules_are_those_of_the_group_over_those_of_the_rollout(own, carry, soak, margin):
    spec = {"groups": groups(gate=own), "gate": {"soak": "5m", "comparison": {"margin": "0.02"}}}
    at = in_canary(carry=carry, **spec)
    found = gating.policy(at, moving(at))
    assert (found.soak, found.comparison.margin) == (timedelta(minutes=soak), margin)
    assert plan(at).policy == found


# --- who is compared --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("carry", "empty", "stable_too", "group", "control"),
    [
        (("v2", "v1", "v1"), (), True, "canary", ("middle", "fleet")),
        (("v2", "v1", "v1"), ("middle",), True, "canary", ("fleet",)),
        (("v2", "v1", "v1"), ("middle", "fleet"), True, "canary", ()),
        (("v2", "v3", "v1"), (), True, "canary", ("fleet",)),  # left there by an attempt that was superseded
        (("v2", "v1", None), (), True, "canary", ("middle",)),
        (("v2", "v1", "v2"), (), True, "canary", ("middle",)),  # reordered: the candidate is in the last one already
        (("v2", "v2", "v1"), (), True, "middle", ("fleet",)),
        (("v2", "v2", "v2"), (), True, "fleet", ()),
        (("v2", "v1", "v1"), (), False, "canary", ()),
    ],
)
def test_controls_are_the_groups_behind_that_are_on_stable_and_have_nodes(carry, empty, stable_too, group, control):
    revisions = (V1 if stable_too else revision("v1"), V2, revision("v3"))
    found = plan(in_canary(carry=carry, empty=empty, revisions=revisions))
    assert (found.group, found.control_groups) == (group, control)
    assert (found.candidate_version, found.stable_version) == ("v2", "v1" if stable_too else None)
    assert (found.namespace, found.rollout, found.model, found.started_at) == ("factory", "line", "parts", STARTED)


# --- what a detection counts ------------------------------------------------------------------------------------------


def version(name, precision, edges=EDGES):
    calibration = {"edges": [str(edge) for edge in edges], "precision": precision}
    raw = builders.model_version(name, **({"calibration": calibration} if precision else {}))
    return ModelVersion.model_validate(raw)


TEN_OTHERS = (0.1, *EDGES[1:])


@pytest.mark.parametrize(
    ("versions", "candidate", "of_stable"),
    [
        ((version("v1", RISING), version("v2", FALLING)), FALLING, RISING),
        ((version("v2", FALLING), version("v1", RISING)), FALLING, RISING),
        ((version("v1", RISING), version("v2", None)), None, RISING),
        ((version("v1", None), version("v2", FALLING)), FALLING, None),
        ((version("v2", FALLING),), FALLING, None),  # stable's ModelVersion is gone
        ((version("v1", RISING, TEN_OTHERS), version("v2", FALLING)), FALLING, ()),
        ((version("v1", RISING), version("v2", FALLING, TEN_OTHERS)), (), RISING),
        ((version("v1", RISING), version("v2", ("0.4", "0.9"), (0.25, 0.5, 1))), (), RISING),
        ((version("v1", RISING), version("v2", FALLING, ("0.250", *EDGES[1:]))), FALLING, RISING),
    ],
)
def test_each_version_counts_by_its_own_calibration_where_that_has_the_buckets_of_the_metrics(
    versions, candidate, of_stable
):
    found = plan(in_canary(versions=versions))
    expected = [None if weights is None else tuple(map(float, weights)) for weights in (candidate, of_stable)]
    assert [found.candidate_weights, found.stable_weights] == expected


def test_a_first_install_has_no_weights_of_stable():
    versions = (version("v1", RISING), version("v2", FALLING))
    assert plan(in_canary(revisions=(V2,), versions=versions)).stable_weights is None


# --- where the past ends ----------------------------------------------------------------------------------------------

EARLIER, LATER = STARTED - timedelta(minutes=20), STARTED + timedelta(minutes=20)


def entry(name="canary", revision=V2.name, since=EARLIER):
    return {"name": name, "revision": revision, **({"startedAt": wire(since)} if since else {})}


@pytest.mark.parametrize(
    ("entries", "until"),
    [
        ((entry(),), EARLIER),
        ((entry("fleet", since=START), entry(), entry("middle", since=START)), EARLIER),
        ((entry("middle"),), STARTED),
        ((entry(revision=V1.name),), STARTED),
        ((entry(since=None),), STARTED),
        ((entry(since=LATER),), STARTED),
        ((), STARTED),
    ],
)
def test_the_past_ends_when_the_group_got_the_candidate(entries, until):
    found = gating.active(in_canary(status=latched() | {"groups": list(entries)}))
    assert found is not None
    assert found.past_until == until


# --- what status shows after a look -----------------------------------------------------------------------------------

SINCE = STARTED + timedelta(minutes=5)


def look(verdict):
    figure = Figure(EndpointName.PRECISION, -0.01, 0.03, interval=(-0.02, 0.004))
    counts = {"looks": 7, "canary_nodes": 2, "control_nodes": 30, "detections": 4000}
    return Judgement(
        Verdict(verdict), "Reason", "as told", method="Permutation", next_look=NOW, endpoints=(figure,), **counts
    )


@pytest.mark.parametrize(
    ("before", "found", "stands"),
    [
        (None, "Inconclusive", "Inconclusive"),
        ("Inconclusive", "Inconclusive", "Inconclusive"),
        ("Inconclusive", "Pass", "Pass"),
        ("NoData", "Inconclusive", "Inconclusive"),
        ("Pass", "Inconclusive", "Pass"),
        ("Pass", "Pass", "Pass"),
        ("Pass", "Fail", "Fail"),
        ("Pass", "NoData", "NoData"),
        ("Pass", "ProviderDown", "ProviderDown"),
    ],
)
def test_a_pass_gives_way_to_a_verdict_and_to_not_seeing_but_not_to_doubt(before, found, stands):
    since = {} if before is None else {"verdict": before, "since": wire(SINCE)}
    latched = GateStatus.model_validate({"group": "canary", "startedAt": wire(STARTED)} | since)
    shown = gating.judged(latched, "v2", look(found), NOW)
    assert gating.standing(latched, look(found)).value == stands
    assert (shown.verdict, shown.since) == (stands, SINCE if stands == before else NOW)
    assert (shown is latched) is (found != stands)


def test_a_gate_that_did_not_start_stands_where_its_look_says():
    assert gating.standing(None, look("Inconclusive")) is Verdict.INCONCLUSIVE


def test_status_shows_the_figures_of_the_look():
    latched = GateStatus.model_validate({"group": "canary", "startedAt": wire(STARTED)})
    assert gating.judged(latched, "v2", None, NOW) is latched
    assert gating.judged(latched, "v2", look("Pass"), NOW).to_dict() == {
        "group": "canary",
        "version": "v2",
        "startedAt": wire(STARTED),
        "verdict": "Pass",
        "since": wire(NOW),
        "method": "Permutation",
        "message": "as told",
        "looks": 7,
        "canaryNodes": 2,
        "controlNodes": 30,
        "detections": 4000,
        "estimate": "-0.01",
        "interval": ["-0.02", "0.004"],
    }


def test_a_long_message_leaves_room_for_what_else_must_be_known():
    latched = GateStatus.model_validate({"group": "canary", "startedAt": wire(STARTED)})
    long = replace(look("Inconclusive"), message="word " * 250)
    shown = gating.judged(latched, "v2", long, NOW, "Judged anew (1 of at most 3 times).")
    assert shown.message is not None
    assert len(shown.message) <= 1024
    assert shown.message.endswith("… Judged anew (1 of at most 3 times).")
