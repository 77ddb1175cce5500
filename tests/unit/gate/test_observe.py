"""Gathering: what is asked, how often, and that a restart finds the same."""

import asyncio
import re
from datetime import datetime, timedelta

import pytest

from modelfleet.gate import Check, Comparison, ComparisonMethod, Evidence, Verdict, judge
from modelfleet.gate.evidence import Asked
from modelfleet.gate.observe import gather
from modelfleet.measurement.backends import Backends
from modelfleet.prometheus import NoData, ProviderDown, Result, Samples
from unit.gate.builders import FLEET, START, Recorded, canary, control, plan

NOW = START + timedelta(minutes=20)


async def test_asks_three_looks_and_the_past_however_many_nodes():
    for nodes in (FLEET, [canary(f"c{i}") for i in range(500)] + [control(f"n{i}") for i in range(500)]):
        provider = Recorded(nodes)
        found = await gather(provider, plan(comparison=Comparison(method=ComparisonMethod.THRESHOLD)), NOW)
        assert len(provider.asked) == 14
        assert [look.number for look in found.looks] == [17, 18, 19]
        assert {at for _, at in provider.asked} == {START + timedelta(minutes=k) for k in (0, 17, 18, 19)}
        assert len(found.queries) == 14


async def test_the_queries_as_sent():
    provider = Recorded()
    await gather(provider, plan(started_at=START, control_groups=("fleet", "rest")), START + timedelta(seconds=150))
    select = '{namespace="factory",rollout="line",group=~"canary|fleet|rest"}[60000ms]'
    by = "group, version, node, exported_node"
    dedup = "max without (job, endpoint, service, container, prometheus, prometheus_replica, replica)"
    assert [query for query, at in provider.asked if at > START] == [
        f"sum by ({by}, le) ({dedup} (increase(modelfleet_detection_confidence_bucket{select})))",
        f"sum by ({by}) ({dedup} (increase(modelfleet_frames_total{select})))",
        "count_over_time((count by (group, version, node, exported_node) (modelfleet_frames_total{"
        'namespace="factory",rollout="line",group=~"canary|fleet|rest"}))[60000ms:3000ms]) '
        f"or 0 * count by ({by}) (count_over_time(modelfleet_frames_total{select.replace('60000', '120000')}))",
        f"count by (group, version, backend) (max by ({by}, backend) (modelfleet_model_info"
        '{namespace="factory",rollout="line",group=~"canary|fleet|rest"}))',
    ]


async def test_the_past_is_asked_for_up_to_the_update():
    """Not up to the start: meanwhile canary nodes had no figures, or the new version's, and the others had."""
    until = START - timedelta(minutes=20)
    provider = Recorded()
    await gather(provider, plan(comparison=Comparison(method=ComparisonMethod.THRESHOLD), past_until=until), NOW)
    assert {at for _, at in provider.asked if at <= START} == {until}


async def test_what_the_nodes_run_is_a_part_of_what_is_known():
    other = control("x", labels={"group": "other", "backend": "cuda"})
    nodes = [canary(labels={"backend": "openvino"}), control("cam-2"), control("cam-3"), other]
    found = await gather(Recorded(nodes), plan(), NOW)
    assert found.backends == Backends({"openvino": 1}, {"": 2})
    nobody = Recorded(FLEET)
    nobody.backends = NoData()
    assert (await gather(nobody, plan(), NOW)).backends == Backends()
    assert (await gather(Recorded(), plan(control_groups=()), NOW)).backends is None


async def test_label_values_can_not_break_out():
    provider = Recorded()
    hostile = plan(namespace='a"} or vector(1) #', rollout="b\\", group="c.*|d", control_groups=("e\n",))
    await gather(provider, hostile, NOW)
    query = provider.asked[1][0]
    assert r'namespace="a\"} or vector(1) #",rollout="b\\",group=~"c\\.\\*\\|d|e' in query
    # Every quote that is not escaped opens or closes: three matchers, six of them.
    assert len(re.findall(r'(?<!\\)(?:\\\\)*"', query)) == 6


async def test_one_query_without_an_answer_ends_the_others():
    """They would go on after the operator has turned to other things, and open connections that nobody closes."""

    class Slow(Recorded):
        async def instant(self, query: str, at: datetime) -> Result:
            await super().instant(query, at)
            if "confidence_bucket" in query:
                return ProviderDown("refused")
            await asyncio.sleep(60)
            raise AssertionError("nobody waits for it")

    found = await gather(Slow(), plan(), NOW)
    assert found.down == ProviderDown("refused")
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_asks_nothing_before_the_first_look():
    provider = Recorded()
    assert await gather(provider, plan(), START + timedelta(seconds=149)) == Evidence()
    assert provider.asked == []


async def test_asks_nothing_that_nobody_wants():
    provider = Recorded()
    await gather(provider, plan(comparison=None), NOW)
    assert provider.asked == []
    await gather(provider, plan(control_groups=()), NOW)
    assert len(provider.asked) == 3
    assert 'group=~"canary"' in provider.asked[0][0]


async def test_checks_are_asked_over_all_looks_with_their_names_filled_in():
    query = 'sum(rate(errors{namespace="${namespace}",v="${version}"}[1m])) > ${unknown} or x=~"y$"'
    filled = 'sum(rate(errors{namespace="factory",v="v2"}[1m])) > ${unknown} or x=~"y$"'
    provider = Recorded(checks={filled: Samples((({}, ((1.0, 5.0),)),))})
    found = await gather(provider, plan(checks=(Check("errors", query, maximum=1),)), NOW)
    assert provider.ranges == [
        (filled, START + timedelta(minutes=1), START + timedelta(minutes=19), timedelta(minutes=1))
    ]
    assert found.checks[0].failed
    start, end = START + timedelta(minutes=1), START + timedelta(minutes=19)
    assert Asked(filled, start, end, timedelta(minutes=1)) in found.queries


@pytest.mark.parametrize("there", [True, False])
async def test_provider_down(there):
    down, provider = ProviderDown("gone"), Recorded()
    provider.down = down
    of = plan(checks=(Check("c", "q", maximum=1),))
    found = await gather(provider if there else down, of, NOW)
    assert found.down == found.checks[0].down == down
    assert bool(found.queries) is there
    judgement = judge(of, found, NOW)
    assert (judgement.verdict, judgement.reason) == (Verdict.PROVIDER_DOWN, "ProviderDown")
    assert "can't be compared: gone. Nothing is promoted or rolled back." in judgement.message


async def test_without_a_provider_a_gate_that_needs_none_goes_on():
    of = plan(comparison=None)
    assert judge(of, await gather(ProviderDown("gone"), of, NOW), NOW).verdict is Verdict.PASS


async def test_when_nothing_is_there_it_looks_where_it_is_instead():
    provider = Recorded(())
    provider.known = Samples((({"group": "canary", "version": "v2"}, ((1.0, 3.0),)),))
    found = await gather(provider, plan(), NOW)
    assert len(provider.asked) == 4
    assert found.hint == "figures of a rollout 'line' exist under namespace='' group='canary' version='v2'"
    provider.known = NoData()
    assert (await gather(provider, plan(), NOW)).hint == ""


async def test_a_look_is_a_function_of_the_start_and_not_of_now():
    first, second = Recorded(), Recorded()
    await gather(first, plan(), NOW)
    await gather(second, plan(), NOW + timedelta(seconds=29))
    assert first.asked == second.asked


# --- after the last look ----------------------------------------------------------------------------------------------

OVER = START + timedelta(hours=3)
SEEN = plan().look_time(60)
"""The last look."""


class Late(Recorded):
    """Has no figures of the gate's own time, and these nodes now."""

    async def instant(self, query: str, at: datetime) -> Result:
        found = await super().instant(query, at)
        return found if at > SEEN or self.down is not None else NoData()

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Result:
        return NoData()


ERRORS = Check("errors", "errors_total", maximum=0.1)
VALUE = Samples((({}, ((OVER.timestamp(), 0.0),)),))


class Checked(Late):
    """The check has this value now."""

    def __init__(self, value: Result, nodes=FLEET) -> None:
        super().__init__(nodes)
        self.value = value

    async def instant(self, query: str, at: datetime) -> Result:
        return self.value if query == ERRORS.query else await super().instant(query, at)


@pytest.mark.parametrize(
    ("provider", "changes", "expected"),
    [
        pytest.param(Late(), {}, True, id="both sides are there"),
        pytest.param(Late([canary()]), {}, False, id="nobody to compare with"),
        pytest.param(Late([control()]), {}, False, id="no canary"),
        pytest.param(
            Late([canary()]), {"control_groups": ()}, True, id="with nobody to compare with, the group is enough"
        ),
        pytest.param(
            Late([canary()]),
            {"control_groups": (), "comparison": Comparison(min_nodes=2)},
            True,
            id="minNodes is for a comparison, and the last group has but one node",
        ),
        pytest.param(Late([canary(coverage=0.5), control()]), {}, False, id="not for long enough"),
        pytest.param(Late([canary(counts=(0,) * 10), control(counts=(0,) * 10)]), {}, False, id="nothing to be seen"),
        pytest.param(Late([canary(counts=(0,) * 10), control()]), {}, True, id="one side sees something"),
        pytest.param(Late(), {"comparison": Comparison(min_nodes=2)}, False, id="fewer than minNodes"),
        pytest.param(
            Checked(NoData()), {"comparison": None, "checks": (ERRORS,)}, False, id="the check still has no value"
        ),
        pytest.param(Checked(VALUE), {"comparison": None, "checks": (ERRORS,)}, True, id="the check has a value"),
        pytest.param(
            Checked(VALUE, ()), {"checks": (ERRORS,)}, False, id="the check has a value, and there are no nodes"
        ),
    ],
)
async def test_after_the_last_look_it_is_said_whether_there_are_figures_now(provider, changes, expected):
    of = plan(**changes)
    found = await gather(provider, of, OVER)
    assert found.again is expected
    judgement = judge(of, found, OVER)
    assert (judgement.verdict, judgement.again) == (Verdict.NO_DATA, expected)
    assert {asked.end for asked in found.queries if asked.end > SEEN} == {OVER - of.settle}


async def test_nobody_asks_for_figures_of_now_while_looks_are_to_come_or_were_enough():
    before = SEEN - timedelta(minutes=1)
    assert not (await gather(Late(), plan(), before)).again
    provider = Recorded()
    assert not (await gather(provider, plan(), OVER)).again
    assert max(at for _, at in provider.asked) == SEEN


async def test_short_looks_ask_for_figures_of_several_scrapes():
    """Of a window that has but one scrape there is no increase, however well the nodes are."""

    class Scraped(Late):
        async def instant(self, query: str, at: datetime) -> Result:
            window = re.search(r"\)\[([0-9]+)ms", query) or re.search(r"\[([0-9]+)ms", query)
            short = "increase" in query and window is not None and int(window[1]) < 120_000
            return NoData() if short else await super().instant(query, at)

    of = plan(interval=timedelta(seconds=10), soak=timedelta(minutes=1), timeout=timedelta(minutes=5))
    assert (await gather(Scraped(), of, OVER)).again


async def test_no_answer_about_now_is_no_figures():
    class Gone(Late):
        async def instant(self, query: str, at: datetime) -> Result:
            return ProviderDown("refused") if at > SEEN else await super().instant(query, at)

    found = await gather(Gone(), plan(), OVER)
    assert (found.again, found.down) == (False, None)
