"""From ranges of increases to the fleet of a permutation test, and the verdicts by it."""

from dataclasses import replace
from datetime import datetime, timedelta
from math import inf, nan

import numpy as np
import pytest

from modelfleet.gate import Comparison, ComparisonMethod, Plan, Verdict, judge
from modelfleet.gate.baseline import Past
from modelfleet.gate.observe import gather
from modelfleet.gate.permutation_look import Increases, assemble, enough, rules, wanted
from modelfleet.prometheus import NoData, Samples
from unit.gate.builders import DAY, EQUAL, START, TIMID, Node, answers, canary, control, plan, running, seen, table

PERMUTATION = Comparison(method=ComparisonMethod.PERMUTATION)
AUTO = Comparison()


def hours(**changes) -> Plan:
    return plan(
        **{"interval": timedelta(minutes=30), "timeout": timedelta(hours=3), "soak": timedelta(hours=1)} | changes
    )


def nodes(canaries=4, controls=12, **changes) -> list[Node]:
    return [canary(f"c{i}", **changes) for i in range(canaries)] + [control(f"n{i}") for i in range(controls)]


class Fleet:
    """A provider that shows the same increases at every step, with a little noise, and the past of the same nodes."""

    def __init__(self, now: list[Node], past: list[Node] | None = None, noise: float = 0.03) -> None:
        self.now = now
        self.past = past if past is not None else [replace(n, version="v1", counts=EQUAL) for n in now]
        self.noise = noise
        self.asked: list[str] = []
        self.ends: list[datetime] = []  # of the ranges

    async def instant(self, query, at):
        self.asked.append(query)
        if at <= START:
            if "timestamp(" not in query:
                return NoData()
            return seen(self.past, DAY if query.startswith("min") else timedelta(0)) or NoData()
        if "model_info" in query:
            return running(self.now)
        found = answers(self.now, at)
        return found[2] if "count_over_time" in query else found[0] if "bucket" in query else found[1]

    async def range(self, query, start, end, step):
        self.asked.append(query)
        self.ends.append(end)
        fleet = self.now if end > START else self.past
        kind = 0 if "bucket" in query else 1
        series: dict[tuple, tuple[dict, list]] = {}
        time = start
        while time <= end:
            noisy = [self._noisy(node, time) for node in fleet]
            for labels, values in answers(noisy, time)[kind].series:
                series.setdefault(tuple(sorted(labels.items())), (labels, []))[1].extend(values)
            time += step
        return Samples(tuple((labels, tuple(values)) for labels, values in series.values()))

    def _noisy(self, node: Node, time) -> Node:
        random = np.random.default_rng([int(time.timestamp()), *node.name.encode()])
        return replace(node, counts=tuple(c * np.exp(random.normal(0, self.noise)) for c in node.counts))


@pytest.mark.parametrize(
    ("interval", "timeout", "spacing", "tests"),
    [(1, 360, 30, 11), (30, 180, 30, 5), (1, 10, 1, 9), (60, 60, 60, 1), (7, 100, 14, 7)],
)
def test_tests_are_fixed_by_time_and_few(interval, timeout, spacing, tests):
    of = hours(interval=timedelta(minutes=interval), timeout=timedelta(minutes=timeout), soak=timedelta(0))
    assert of.test_spacing == timedelta(minutes=spacing)
    assert of.tests == tests
    assert of.newest_test(START) == 0
    assert of.newest_test(of.test_time(1) + of.settle) == 1
    assert of.newest_test(START + timedelta(days=1)) == tests
    assert of.test_time(tests) <= max(START + of.policy.deadline, of.test_time(1))


@pytest.mark.parametrize(
    ("canaries", "controls", "large"),
    [(1, 19, False), (2, 18, False), (3, 17, True), (4, 12, True), (1, 400, True), (0, 5, False), (5, 0, False)],
)
def test_auto_takes_permutation_where_there_are_enough_ways_to_choose_the_canaries(canaries, controls, large):
    of = hours()
    seen = table(*nodes(canaries, controls), of=of)
    assert enough(of, AUTO, seen) is large
    assert wanted(of, AUTO, seen) is large
    assert wanted(of, PERMUTATION, seen)
    assert not wanted(of, replace(AUTO, method=ComparisonMethod.THRESHOLD), seen)


def test_strata_leave_fewer_ways():
    strata = {f"c{i}": str(i) for i in range(4)} | {f"n{i}": str(i % 4) for i in range(12)}
    assert enough(hours(), AUTO, table(*nodes()))
    assert enough(hours(strata=strata), AUTO, table(*nodes()))  # 4 ** 4 = 256 of 200 needed
    assert not enough(hours(strata={**strata, "n9": "0", "n10": "0", "n11": "0"}), AUTO, table(*nodes()))  # 7 * 3 ** 3


SITES = {f"c{i}": "a" for i in range(4)} | {f"n{i}": "ab"[i > 3] for i in range(22)}


@pytest.mark.parametrize(
    ("strata", "verdict", "by"),
    [
        (SITES, Verdict.PASS, "(Permutation within site, test 4 of 5)"),
        ({}, Verdict.FAIL, "(Permutation (no node has the label site), test 4 of 5)"),
    ],
)
async def test_what_happens_to_a_site_is_not_the_versions_doing(strata, verdict, by):
    """All canary nodes are on site a, where all nodes became unsure, those on the old version as well."""
    foggy = [replace(node, counts=TIMID) if SITES[node.name] == "a" else node for node in nodes(4, 22)]
    past = [replace(node, version="v1", counts=EQUAL) for node in foggy]
    of = hours(comparison=replace(PERMUTATION, stratify_by="site"), strata=strata)
    found = await judged(Fleet(foggy, past), of, 150)
    assert found.verdict is verdict
    assert by in found.message


async def test_nodes_without_the_label_are_compared_among_themselves():
    of = hours(comparison=replace(PERMUTATION, stratify_by="site"), strata={f"c{i}": "a" for i in range(2)})
    found = await judged(Fleet(nodes()), of, 150)
    assert (found.canary_nodes, found.control_nodes) == (2, 12)
    assert "2 canary nodes: no counterpart in its stratum (c0, c1)" in found.message


def test_a_node_that_goes_away_does_not_change_the_method():
    few = [replace(node, coverage=0.2) if node.name in {"c0", "n1", "n2"} else node for node in nodes()]
    assert enough(hours(), AUTO, table(*few))


def test_the_seed_is_the_gates_own():
    assert rules(hours(), AUTO) == rules(hours(), AUTO)
    assert rules(hours(), AUTO).seed != rules(hours(group="other"), AUTO).seed


def test_increases_add_up_forward_from_the_start_and_back_from_it():
    of = hours()
    step = of.test_spacing.total_seconds()
    labels = {"group": "canary", "version": "v2", "node": "c0"}
    past = {**labels, "version": "v1"}
    first, back = of.test_time(1).timestamp(), START.timestamp() - 2 * step
    frames = Samples(((labels, ((first, 5.0), (first + step, 7.0), (first + 2 * step, nan))),))
    before = Samples(((past, ((back, 1.0), (back + step, 2.0), (back + 2 * step, 4.0))),))
    looked, keys = table(canary("c0"), control("n0"), of=of), frozenset({(0, "c0"), (1, "n0")})
    for since, sums in ((3, [4, 6, 7]), (9, [4, 6, 7]), (2.5, [4, 6, 6]), (1, [4, 4, 4]), (0.9, [0, 0, 0])):
        past = Past(START - since * of.test_spacing, START, keys)
        made = assemble(of, 3, looked, Increases(None, frames), past, Increases(None, before))
        assert made.fleet.after.frames[:, 0].tolist() == [5, 12, 12]
        assert made.fleet.before.frames[:, 0].tolist() == sums
        assert made.fleet.after.frames[:, 1].tolist() == [0, 0, 0]
        late = Past(START - since * of.test_spacing, START, frozenset({(1, "n0")}))
        made = assemble(of, 3, looked, Increases(None, frames), late, Increases(None, before))
        assert made.fleet.before.frames[:, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [nan, inf, -inf, -5.0])
def test_what_is_no_number_or_fell_counts_nothing(bad):
    of = hours()
    looked = table(*nodes(1, 1), of=of)
    at = of.test_time(1)
    buckets, frames, _ = answers(nodes(1, 1), at)
    broken = Samples(tuple((labels, ((at.timestamp(), bad),)) for labels, _ in frames.series))
    made = assemble(of, 1, looked, Increases(buckets, broken))
    assert made.fleet.after.frames.tolist() == [[0, 0]]
    np.testing.assert_allclose(made.fleet.after.detections[0], [EQUAL, EQUAL])


def test_points_off_the_grid_and_foreign_series_are_left_out():
    of = hours()
    at = of.test_time(1).timestamp()
    ours = {"group": "canary", "version": "v2", "node": "c0"}
    series = (
        (ours, ((at, 3.0), (at + 200, 9.0))),
        ({**ours, "node": "stranger"}, ((at, 9.0),)),
        ({**ours, "version": "v0"}, ((at, 9.0),)),
    )
    made = assemble(of, 1, table(*nodes(1, 1), of=of), Increases(None, Samples(series)))
    assert made.fleet.after.frames.tolist() == [[3, 0]]


async def judged(provider, of, minutes):
    now = START + timedelta(minutes=minutes)
    return judge(of, await gather(provider, of, now), now)


async def test_an_equal_version_passes_by_permutation_and_says_how():
    provider = Fleet(nodes())
    found = await judged(provider, hours(comparison=AUTO), 150)
    assert (found.verdict, found.reason, found.method) == (Verdict.PASS, "NoWorse", "Permutation")
    assert (found.canary_nodes, found.control_nodes) == (4, 12)
    low, high = found.interval
    assert low < found.estimate < high
    assert "(Permutation, test 4 of 5)" in found.message
    assert "relative to each node's own baseline, expected precision changed by" in found.message
    assert "90% interval" in found.message
    assert f"Measured on 4 canary nodes with {found.detections:,} detections, 12 control nodes." in found.message


@pytest.mark.parametrize(
    ("counts", "reason"),
    [(TIMID, "LessPrecise"), (tuple(c * 0.7 for c in EQUAL), "FindsLess"), ((0,) * 10, "FindsLess")],
)
async def test_a_worse_version_fails_at_the_first_test(counts, reason):
    found = await judged(Fleet(nodes(counts=counts)), hours(comparison=AUTO), 35 + 15)
    assert (found.verdict, found.reason, found.method) == (Verdict.FAIL, reason, "Permutation")
    assert "test 1 of 5" in found.message


async def test_before_the_first_test_it_waits_and_says_when():
    of = hours(comparison=AUTO, interval=timedelta(minutes=1), timeout=timedelta(hours=6))
    provider = Fleet(nodes(counts=(0,) * 10))
    found = await judged(provider, of, 20)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "Waiting")
    assert "the first of 11 tests is at 08:31:30 UTC" in found.message
    assert len(provider.asked) == 4
    assert found.next_look == START + timedelta(minutes=31, seconds=30)


async def test_between_two_tests_nothing_is_asked_unless_there_are_checks():
    of = hours(comparison=AUTO, interval=timedelta(minutes=1), timeout=timedelta(hours=6), soak=timedelta(0))
    noisy = Fleet(nodes(), noise=0.4)
    found = await judged(noisy, of, 40)
    assert found.reason == "Undecided"
    assert "the difference is not yet certain (Permutation, test 1 of 11)" in found.message
    assert found.next_look == of.test_time(2) + of.settle
    over = await judged(noisy, of, 340)  # the last test was at 331.5
    assert over.next_look == START + timedelta(minutes=340, seconds=30)


async def test_the_number_of_queries_is_the_same_for_any_fleet_and_test():
    for minutes in (50, 80, 150):
        for fleet in (nodes(), nodes(10, 100)):
            provider = Fleet(fleet)
            await judged(provider, hours(comparison=AUTO), minutes)
            assert len(provider.asked) == 13


async def test_nobody_left_to_judge_is_no_data():
    gone = [replace(node, coverage=0.1) if node.group == "canary" else node for node in nodes()]
    found = await judged(Fleet(gone), hours(comparison=PERMUTATION), 150)
    assert (found.verdict, found.reason) == (Verdict.NO_DATA, "NoNodes")
    assert "4 canary nodes: scraped less than 80% of the time (c0, c1, c2, …)" in found.message


async def test_nobody_at_all_left_to_judge_is_no_data():
    gone = [replace(node, coverage=0.1) for node in nodes()]
    found = await judged(Fleet(gone), hours(comparison=PERMUTATION), 150)
    assert (found.verdict, found.reason) == (Verdict.NO_DATA, "NoNodes")


def test_series_that_are_no_histogram_count_for_nothing():
    of = hours()
    labels = {**canary("c0").identity(), "stray": "yes"}
    steps = tuple((of.test_time(number).timestamp(), 7.0) for number in (1, 2))
    trial = assemble(of, 2, table(*nodes(), of=of), Increases(Samples(((labels, steps),)), None))
    assert not trial.fleet.after.detections.any()


async def test_nobody_left_to_judge_before_the_first_test_is_no_data_after_three_looks():
    of = hours(comparison=PERMUTATION, interval=timedelta(minutes=1), timeout=timedelta(hours=6))
    gone = [replace(node, coverage=0.1) if node.group == "canary" else node for node in nodes()]
    assert (await judged(Fleet(gone), of, 3)).verdict is Verdict.INCONCLUSIVE
    assert (await judged(Fleet(gone), of, 10)).verdict is Verdict.NO_DATA


async def test_the_past_ends_when_the_first_node_was_updated():
    """For all nodes: up to the start there would be fewer hours of canary nodes than of the others, and other ones."""
    fleet, until = Fleet(nodes()), START - timedelta(minutes=47)
    trial = (await gather(fleet, hours(past_until=until), START + timedelta(minutes=150))).trial
    assert {end for end in fleet.ends if end <= START} == {until}
    assert (trial.fleet.before.frames > 0).all()


async def test_a_fleet_without_a_past_is_not_judged_by_permutation_and_not_by_anything_else():
    found = await judged(Fleet(nodes(), past=nodes()), hours(comparison=AUTO), 150)
    assert (found.verdict, found.reason, found.method) == (Verdict.INCONCLUSIVE, "TooFewNodes", "Permutation")
    assert "4 canary nodes: too few figures from before the update" in found.message


async def test_permutation_asked_for_and_too_few_nodes_for_it():
    found = await judged(Fleet(nodes(1, 3)), hours(comparison=PERMUTATION), 150)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "TooFewAssignments")
    assert "1 canary and 3 control nodes can be chosen in 4 ways, 40 required" in found.message
    assert (await judged(Fleet(nodes(1, 3)), hours(comparison=AUTO), 150)).method == "Threshold"


async def test_nodes_without_enough_to_see_are_set_aside_and_named():
    dull = [replace(node, counts=tuple(c / 100 for c in EQUAL)) if node.name == "n3" else node for node in nodes()]
    past = [replace(node, version="v1") for node in dull]
    found = await judged(Fleet(dull, past), hours(comparison=AUTO), 150)
    assert found.verdict is Verdict.PASS
    assert found.control_nodes == 11
    assert "1 control node: fewer than 300 detections to be expected (n3)" in found.message


async def test_a_restart_at_any_test_ends_in_the_same_verdict():
    of = hours(comparison=AUTO)
    for counts, verdict in ((EQUAL, Verdict.PASS), (TIMID, Verdict.FAIL)):
        found = [await judged(Fleet(nodes(counts=counts)), of, minutes) for minutes in range(20, 300, 30)]
        assert {each.verdict for each in found} <= {verdict, Verdict.INCONCLUSIVE}
        assert found[-1].verdict is verdict


async def test_messages_fit_a_status():
    many = [replace(n, coverage=0.1) if i % 3 else n for i, n in enumerate(nodes(30, 60))]
    found = await judged(Fleet([replace(n, name=n.name * 20) for n in many]), hours(comparison=AUTO), 150)
    assert len(found.message) <= 1000
