"""The gate against a real Prometheus, and a real VictoriaMetrics, that hold recorded series: what a mock would not
have told.

Recorded once for all tests with a scenario for each Rollout: an hour before the gate's start and 80 minutes after it.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from math import inf
from pathlib import Path

import numpy as np
import pytest

from harness.ports import free_port
from modelfleet.gate import Check, Comparison, ComparisonMethod, Judgement, Plan, Policy, Verdict, judge
from modelfleet.gate.observe import gather
from modelfleet.measurement.node_table import Aside
from modelfleet.prometheus import Client, ProviderDown, Samples
from worlds.recording import (
    EQUAL,
    START,
    TIMID,
    Node,
    Prometheus,
    Recording,
    VictoriaMetrics,
    programs,
    serve_recording,
)

pytestmark = pytest.mark.cluster

LENGTH = timedelta(minutes=80)
WEIGHTS = tuple(0.4 + 0.06 * k for k in range(10))
BLIND = (0.0,) * 12


def canary(name: str = "cam-1", **changes) -> tuple[Node, Node]:
    """A node that ran v1 as a control until the start and v2 from then on: its series end, others begin at zero."""
    before = Node(name, "canary", "v1", died=-20)
    return before, Node(name, "canary", "v2", **{"born": -10, **changes})


CONTROLS = (Node("cam-2", "fleet", "v1"), Node("cam-3", "fleet", "v1"))


def outage(start: float, end: float):
    return lambda second: not start <= second < end


def fleet(**changes) -> tuple[Node, ...]:
    """3 canary and 15 control cameras, each with its own traffic; one of either restarts in the middle."""
    nodes = [node for i in range(3) for node in canary(f"c{i}", **changes)]
    nodes = [replace(node, per_frame=(1 + i // 2) * node.per_frame / 2) for i, node in enumerate(nodes)]
    nodes += [Node(f"n{i}", "fleet", "v1", per_frame=1 + i % 4) for i in range(15)]
    nodes = [replace(node, every=30) for node in nodes]
    return tuple(replace(node, new_pods=(700,)) if node.name in {"c1", "n7"} else node for node in nodes)


def dusk(second: float) -> float:
    """For everybody: in the half hour before the start a part of what there was to see goes."""
    return float(np.interp(second, (-1800, 0), (1, 0.4)))


def updated_slowly() -> tuple[Node, ...]:
    """The fleet with an equal version, which its canary nodes got one after the other: 20, 10 and 0 minutes ago."""
    nodes = [replace(node, every=15, light=dusk, restarts=(), new_pods=()) for node in fleet()]
    gone = {name: number * 600.0 - 1200 for number, name in enumerate(("c0", "c1", "c2"))}
    return tuple(
        replace(node, died=gone[node.name] - 20)
        if node.died is not None
        else replace(node, born=gone[node.name] - 10)
        if node.name in gone
        else node
        for node in nodes
    )


def lamp(second: float) -> float:
    """For everybody: 25 minutes before the start a lamp failed."""
    return 1.0 if second < -1500 else 0.5


def installed_later() -> tuple[Node, ...]:
    """The fleet with an equal version, whose control nodes got the one before just when the lamp failed."""
    nodes = (replace(node, light=lamp) for node in fleet())
    return tuple(replace(node, born=-1500) if node.group == "fleet" else node for node in nodes)


def overtaken() -> tuple[Node, ...]:
    """The fleet with an equal version, whose canary nodes ran another one since the lamp failed."""
    nodes = (replace(node, light=lamp) for node in fleet())
    return tuple(
        each
        for node in nodes
        for each in (
            (replace(node, died=-1500), replace(node, version="v1-1", born=-1490)) if node.died is not None else (node,)
        )
    )


def with_broken(name: str, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """One camera of the fleet is covered soon after the start: frames go on, and there is nothing on them."""
    return tuple(replace(node, dark=90) if node.name == name and node.died is None else node for node in nodes)


ROLLOUTS = {
    "equal": (*canary(), *CONTROLS),
    "timid": (*canary(mix=TIMID, per_frame=2.9), *CONTROLS),
    "misses": (*canary(per_frame=1.4), *CONTROLS),
    "confident-misser": (*canary(mix=(*(0.0,) * 7, *EQUAL[7:])), *CONTROLS),
    "blind": (*canary(mix=BLIND), *CONTROLS),
    "empty-frames": (*canary(mix=BLIND), Node("cam-2", "fleet", "v1", mix=BLIND)),
    "container-restarts": (*canary(restarts=(400, 900, 1000)), *CONTROLS),
    "pod-restarts": (*canary(new_pods=(500, 1100)), *CONTROLS),
    "scraped-twice": (*canary(copies=({"job": "a"}, {"job": "b"})), *CONTROLS),
    "two-replicas": (*canary(), *(Node(n, "fleet", "v1", copies=({"replica": "0"}, {"replica": "1"})) for n in "xyz")),
    "not-a-number": (*canary(broken=300), *canary("cam-4"), *CONTROLS),
    "infinite": (*canary(broken=300, value=inf), *canary("cam-4"), *CONTROLS),
    "no-node-label": (*canary(labels={"node": ""}), *CONTROLS),
    "renamed-node": (*canary(labels={"node": "ip-1-2-3-4", "exported_node": "cam-1"}), *CONTROLS),
    "half-scraped": (*canary(scraped=lambda second: second % 1200 < 480), *CONTROLS),
    "prometheus-down": tuple(
        Node(n.name, n.group, n.version, born=n.born, died=n.died, scraped=outage(600, 780))
        for n in (*canary(), *CONTROLS)
    ),
    "other-buckets": (*canary(mix=(0.1, 0.4, 0.5, 0)), *CONTROLS),
    "canary-dies": (*canary(), *canary("cam-4", died=400), *CONTROLS),
    "canary-dies-at-once": (*canary(), *canary("cam-4", died=20), *CONTROLS),
    "control-dies": (*canary(), Node("cam-2", "fleet", "v1"), Node("cam-3", "fleet", "v1", died=200)),
    "template-only": (Node("cam-1", "canary", "v1"), *CONTROLS),
    "not-updated": (Node("cam-1", "canary", "v1"), *CONTROLS),
    "elsewhere": tuple(Node(n.name, n.group, n.version, labels={"namespace": "other"}) for n in (*canary(), *CONTROLS)),
    "other-cameras": (
        Node("cam-1", "canary", "v1", mix=TIMID, per_frame=5, died=-20),
        Node("cam-1", "canary", "v2", mix=TIMID, per_frame=5, born=-10),
        *CONTROLS,
    ),
    "fleet-equal": fleet(),
    "fleet-updated-slowly": updated_slowly(),
    "fleet-installed-later": installed_later(),
    "fleet-overtaken": overtaken(),
    "fleet-timid": fleet(mix=TIMID, per_frame=2.9),
    "fleet-blind": fleet(mix=BLIND),
    "fleet-broken-canary": with_broken("c0", fleet()),
    "fleet-broken-control": with_broken("n3", fleet()),
    "fleet-timid-broken-control": with_broken("n3", fleet(mix=TIMID, per_frame=2.9)),
    "other-backend": (
        *canary(backend="openvino-bf16", copies=({"replica": "0"}, {"replica": "1"})),
        Node("cam-2", "fleet", "v1", backend="onnxruntime"),
        CONTROLS[1],
    ),
    "same-backend": (*canary(backend="cuda"), *(replace(node, backend="cuda") for node in CONTROLS)),
    "late-scrape": (*canary(scraped=lambda second: second > 45), *CONTROLS),
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(ROLLOUTS, LENGTH, Path(__file__), tmp_path_factory.mktemp("recording"))


@pytest.fixture(scope="module", params=["debian", "cluster", "victoria-metrics"])
def prometheus(
    request: pytest.FixtureRequest, recording: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    with serve_recording(request.param, recording, tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def plan(rollout: str, **changes) -> Plan:
    policy = {
        "soak": timedelta(minutes=20),
        "interval": timedelta(minutes=1),
        "timeout": timedelta(hours=1),
        "comparison": Comparison(),
    }
    policy |= {name: changes.pop(name) for name in list(changes) if name in {*policy, "checks"}}
    fields = {
        "namespace": "factory",
        "rollout": rollout,
        "group": "canary",
        "control_groups": ("fleet",),
        "model": "parts",
        "candidate_version": "v2",
        "stable_version": "v1",
        "candidate_weights": WEIGHTS,
        "stable_weights": WEIGHTS,
        "past_until": changes.get("started_at", START),
        "started_at": START,
    }
    return Plan(**fields | changes, policy=Policy(**policy))


async def judged(prometheus: Prometheus, of: Plan, now: datetime = START + timedelta(minutes=30)) -> Judgement:
    async with Client(prometheus.url) as client:
        return judge(of, await gather(client, of, now), now)


async def test_what_the_nodes_run_the_model_by_is_a_part_of_the_verdict(prometheus: Prometheus):
    other = await judged(prometheus, plan("other-backend"))
    assert other.verdict is Verdict.PASS
    assert "backend (canary: openvino-bf16 on 1 node; control: onnxruntime on 1 node)" in other.message
    same = await judged(prometheus, plan("same-backend"))
    assert same.verdict is Verdict.PASS
    assert "backend" not in same.message


async def newest(prometheus: Prometheus, of: Plan, now: datetime = START + timedelta(minutes=30)):
    async with Client(prometheus.url) as client:
        return (await gather(client, of, now)).looks[-1].table


@pytest.mark.parametrize(
    ("rollout", "verdict", "reason"),
    [
        ("equal", Verdict.PASS, "NoWorse"),
        ("timid", Verdict.FAIL, "LessPrecise"),
        ("misses", Verdict.FAIL, "FindsLess"),
        ("confident-misser", Verdict.FAIL, "FindsLess"),
        ("blind", Verdict.FAIL, "FindsLess"),
        ("empty-frames", Verdict.NO_DATA, "NoDetections"),
        ("container-restarts", Verdict.PASS, "NoWorse"),
        ("pod-restarts", Verdict.PASS, "NoWorse"),
        ("scraped-twice", Verdict.PASS, "NoWorse"),
        ("two-replicas", Verdict.PASS, "NoWorse"),
        ("not-a-number", Verdict.PASS, "NoWorse"),
        ("infinite", Verdict.PASS, "NoWorse"),
        ("no-node-label", Verdict.NO_DATA, "NoNodes"),
        ("renamed-node", Verdict.PASS, "NoWorse"),
        ("half-scraped", Verdict.NO_DATA, "NoNodes"),
        ("prometheus-down", Verdict.PASS, "NoWorse"),
        ("other-buckets", Verdict.NO_DATA, "NoNodes"),
        ("canary-dies", Verdict.PASS, "NoWorse"),
        ("canary-dies-at-once", Verdict.PASS, "NoWorse"),
        ("control-dies", Verdict.PASS, "NoWorse"),
        ("not-updated", Verdict.NO_DATA, "NoNodes"),
        ("elsewhere", Verdict.NO_DATA, "NoNodes"),
        ("late-scrape", Verdict.PASS, "NoWorse"),
        ("other-cameras", Verdict.PASS, "NoWorse"),
    ],
)
async def test_verdicts(prometheus, rollout, verdict, reason):
    found = await judged(prometheus, plan(rollout))
    assert (found.verdict, found.reason) == (verdict, reason), found.message


@pytest.mark.parametrize(
    ("rollout", "minutes", "verdict", "reason"),
    [
        ("fleet-equal", 15, Verdict.INCONCLUSIVE, "Soaking"),
        ("fleet-equal", 55, Verdict.PASS, "NoWorse"),
        ("fleet-timid", 15, Verdict.FAIL, "LessPrecise"),
        ("fleet-blind", 15, Verdict.FAIL, "FindsLess"),
        # Of three canaries one can't be told from the version; the other two keep it from being called bad.
        ("fleet-broken-canary", 55, Verdict.INCONCLUSIVE, "Undecided"),
        ("fleet-broken-control", 55, Verdict.PASS, "NoWorse"),
        ("fleet-timid-broken-control", 15, Verdict.FAIL, "LessPrecise"),
    ],
)
async def test_a_large_fleet_is_judged_by_permutation(prometheus, rollout, minutes, verdict, reason):
    of = plan(rollout, interval=timedelta(minutes=10))
    found = await judged(prometheus, of, START + timedelta(minutes=minutes))
    assert (found.verdict, found.reason, found.method) == (verdict, reason, "Permutation"), found.message
    assert (found.canary_nodes, found.control_nodes) == (3, 15)


@pytest.mark.parametrize("past_until", [START - timedelta(minutes=21), START])  # known, and lost with the status
@pytest.mark.parametrize("method", [ComparisonMethod.PERMUTATION, ComparisonMethod.THRESHOLD])
async def test_light_that_changes_during_a_slow_update_is_not_held_against_the_version(prometheus, past_until, method):
    """Up to the start it would be noon on canary nodes and dusk on the others: an equal version was rolled back."""
    comparison = Comparison(method=method)
    of = plan("fleet-updated-slowly", interval=timedelta(minutes=5), comparison=comparison, past_until=past_until)
    found = await judged(prometheus, of, START + timedelta(minutes=55))
    assert (found.verdict, found.method) == (Verdict.PASS, method.value.capitalize()), found.message


@pytest.mark.parametrize("method", [ComparisonMethod.PERMUTATION, ComparisonMethod.THRESHOLD])
@pytest.mark.parametrize("rollout", ["fleet-installed-later", "fleet-overtaken"])
async def test_hours_of_which_one_side_alone_has_figures_do_not_count(prometheus, rollout, method):
    of = plan(rollout, interval=timedelta(minutes=5), comparison=Comparison(method=method))
    found = await judged(prometheus, of, START + timedelta(minutes=55))
    assert (found.verdict, found.control_nodes) == (Verdict.PASS, 15), found.message
    assert abs(found.endpoints[1].estimate) < 0.05


async def test_the_ranges_of_a_permutation_test_add_up_to_the_window(prometheus):
    of = plan("fleet-equal", interval=timedelta(minutes=10))
    async with Client(prometheus.url) as client:
        trial = (await gather(client, of, START + timedelta(minutes=50))).trial
    for number, (after, before) in enumerate(zip(trial.fleet.after.frames, trial.fleet.before.frames, strict=True), 1):
        seconds = 600 * number
        assert after == pytest.approx([5 * seconds] * 18, rel=0.06)
        # Of the canary nodes' past, the last seconds before the start are missing: they were being updated.
        assert before == pytest.approx([5 * seconds] * 18, rel=0.08)


async def test_a_node_is_held_against_its_own_past(prometheus):
    assert "less what the nodes differed by before" in (await judged(prometheus, plan("other-cameras"))).message
    of = plan("other-cameras", started_at=START + timedelta(minutes=1), stable_version="v1", group="canary")
    assert (await judged(prometheus, of)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        ("no-node-label", "There are series without a `node` label"),
        ("renamed-node", "set honorLabels on the scrape"),
        ("half-scraped", "scraped less than 80% of the time (cam-1)"),
        ("other-buckets", "a confidence histogram with other buckets (cam-1)"),
        ("not-updated", "Group canary reports version v1 on 1 node."),
        ("elsewhere", "exist under namespace='other' group="),
    ],
)
async def test_messages_say_what_is_wrong(prometheus, rollout, said):
    assert said in (await judged(prometheus, plan(rollout))).message


async def test_a_template_only_change_is_compared(prometheus):
    found = await judged(prometheus, plan("template-only", candidate_version="v1"))
    assert (found.verdict, found.canary_nodes, found.control_nodes) == (Verdict.PASS, 1, 2)


@pytest.mark.parametrize(
    "rollout", ["equal", "container-restarts", "pod-restarts", "scraped-twice", "two-replicas", "prometheus-down"]
)
async def test_counts_are_those_of_the_window(prometheus, rollout):
    """28 minutes at 5 frames/s with 2 detections each, whatever restarts and however often a series is there twice."""
    table = await newest(prometheus, plan(rollout))
    seconds = 29 * 60 - 60
    for side in (table.canary, table.control):
        for frames, counts in zip(side.frames, side.counts, strict=True):
            # A reset loses at most what was counted since the scrape before it; three of them are 45 s of 1,680.
            assert 0.96 * 5 * seconds < frames < 1.03 * 5 * seconds
            assert counts.sum() / frames == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(
    ("rollout", "node", "reason"),
    [
        ("not-a-number", "cam-1", Aside.NOT_A_NUMBER),
        ("infinite", "cam-1", Aside.NOT_A_NUMBER),
        ("canary-dies", "cam-4", Aside.RARELY_SCRAPED),
        ("canary-dies-at-once", "cam-4", Aside.RARELY_SCRAPED),  # before the first window begins
    ],
)
async def test_a_node_is_set_aside_and_the_other_is_judged(prometheus, rollout, node, reason):
    if rollout == "not-a-number" and isinstance(prometheus, VictoriaMetrics):
        reason = Aside.RARELY_SCRAPED  # it keeps no such sample
    table = await newest(prometheus, plan(rollout))
    assert table.canary.aside == ((node, reason),)
    assert len(table.canary.nodes) == 1


async def test_a_dead_control_node_is_set_aside(prometheus):
    assert (await newest(prometheus, plan("control-dies"))).control.aside == (("cam-3", Aside.RARELY_SCRAPED),)


async def test_the_first_windows_after_a_start_are_not_biased(prometheus):
    """Counters begin at zero on the canary and at thousands on the controls; both see the same share in each bucket."""
    of = plan("equal", interval=timedelta(seconds=30))
    for look in range(4, 10):
        table = await newest(prometheus, of, of.look_time(look) + of.settle)
        rates = [side.counts.sum() / side.frames.sum() for side in (table.canary, table.control)]
        assert rates == pytest.approx([2, 2], rel=0.08)


async def test_a_restart_at_any_look_ends_in_the_same_verdict(prometheus):
    for rollout in ("equal", "timid", "pod-restarts"):
        of, verdicts = plan(rollout), []
        for minute in (2, 4, 5, 19, 20, 40, 61):
            now = START + timedelta(minutes=minute, seconds=31)
            verdicts.append(await judged(prometheus, of, now))
            assert verdicts[-1] == await judged(prometheus, of, now)
        final = {v.verdict for v in verdicts} - {Verdict.INCONCLUSIVE}
        assert final == {Verdict.FAIL if rollout == "timid" else Verdict.PASS}
        assert verdicts[-1].verdict in final


@pytest.mark.parametrize("skew", [-30, 30])
@pytest.mark.parametrize(("rollout", "verdict"), [("equal", Verdict.PASS), ("timid", Verdict.FAIL)])
async def test_clocks_that_differ_by_half_a_minute(prometheus, skew, rollout, verdict):
    """The operator's clock against Prometheus': its start time and its now are both off."""
    off = timedelta(seconds=skew)
    found = await judged(prometheus, plan(rollout, started_at=START + off), START + timedelta(minutes=30) + off)
    assert found.verdict is verdict


NO_FRAMES = 'sum(rate(modelfleet_frames_total{namespace="${namespace}",rollout="${rollout}",version="${version}"}[1m]))'


@pytest.mark.parametrize(
    ("check", "verdict", "reason"),
    [
        (Check("rate", NO_FRAMES, minimum=1), Verdict.PASS, "NotCompared"),
        (Check("rate", NO_FRAMES, maximum=1, failure_limit=3), Verdict.FAIL, "CheckFailed"),
        (Check("rate", "absent_metric > 0", maximum=1), Verdict.NO_DATA, "NoCheckData"),
        (Check("nan", f"0 * {NO_FRAMES} / 0", maximum=1), Verdict.NO_DATA, "NoCheckData"),
        (Check("scalar", "scalar(vector(1))", maximum=2), Verdict.PASS, "NotCompared"),
        (Check("broken", "sum(rate(", maximum=2), Verdict.PROVIDER_DOWN, "BadQuery"),
        (Check("text", '"a string"', maximum=2), Verdict.PROVIDER_DOWN, "BadQuery"),
    ],
)
async def test_checks(prometheus, check, verdict, reason):
    if check.name == "text" and isinstance(prometheus, VictoriaMetrics):
        verdict, reason = Verdict.NO_DATA, "NoCheckData"  # there, texts are queries without an answer
    found = await judged(prometheus, plan("equal", comparison=None, checks=(check,)))
    assert (found.verdict, found.reason) == (verdict, reason), found.message
    if reason == "BadQuery":
        assert f"Check {check.name} can't be evaluated: Prometheus refused the query (HTTP 400)" in found.message


async def test_prometheus_stopped_in_the_middle_holds_and_then_goes_on(prometheus):
    of = plan("equal")
    prometheus.stop()
    try:
        async with Client(prometheus.url, retries=1) as client:
            now = START + timedelta(minutes=30)
            assert judge(of, await gather(client, of, now), now).verdict is Verdict.PROVIDER_DOWN
    finally:
        prometheus.start()
    assert (await judged(prometheus, of)).verdict is Verdict.PASS


async def test_a_range_is_the_same_in_parts(prometheus, monkeypatch):
    query = 'sum(modelfleet_frames_total{rollout="equal"}) by (node)'
    span = (START, START + timedelta(minutes=30), timedelta(seconds=30))
    async with Client(prometheus.url) as client:
        whole = await client.range(query, *span)
        monkeypatch.setattr("modelfleet.prometheus.client._MAX_POINTS", 7)
        parts = await client.range(query, *span)
    assert isinstance(whole, Samples)
    assert {frozenset(k.items()): v for k, v in whole.series} == {frozenset(k.items()): v for k, v in parts.series}


async def test_a_query_that_takes_too_long_is_no_data_and_no_crash(prometheus):
    async with Client(prometheus.url, timedelta(milliseconds=1), retries=0) as client:
        found = await client.instant("sum(count_over_time(modelfleet_frames_total[1h:10ms]))", START)
    assert isinstance(found, ProviderDown)


@pytest.mark.parametrize("program", ["debian", "cluster"])
async def test_a_remote_storage_that_is_away_makes_no_data_of_what_is_left(program: str, tmp_path: Path) -> None:
    remote = f"http://127.0.0.1:{free_port()}/read"  # nobody listens there
    config = json.dumps({"remote_read": [{"url": remote, "read_recent": True}]})
    server = Prometheus(programs()[program], tmp_path / "data", free_port(), config)
    server.start()
    try:
        async with Client(server.url) as client:
            found = await client.instant("up", START)
    finally:
        server.stop()
    assert isinstance(found, ProviderDown)
    assert "the answer may be incomplete" in found.message
    assert "remote_read" in found.message
