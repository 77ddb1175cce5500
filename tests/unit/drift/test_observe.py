"""Which queries are sent, and when."""

import asyncio
from datetime import timedelta

import pytest

from modelfleet.drift import observe
from modelfleet.drift.hours import PASSED
from modelfleet.drift.observe import NotAnswered
from modelfleet.drift.policy import Policy
from modelfleet.prometheus.results import NoData, ProviderDown, Samples
from unit.drift.fleets import DAY, HOUR, START, plan

USUAL = {"coverage": 12.0, "frames": 3600.0, "empty": 3000.0}


class Prometheus:
    """A provider that has one node, and of which it is written down what it was asked. `down_at`: no answer for ranges
    that include this moment."""

    def __init__(self, down_at=None, nothing=False, refuses=""):
        self.asked = []
        self.down_at, self.nothing, self.refuses = down_at, nothing, refuses

    async def range(self, query, start, end, step):
        self.asked.append((query, start, end, step))
        if self.down_at is not None and start <= self.down_at <= end:
            return ProviderDown("no answer")
        if self.refuses and self.refuses in query:
            return ProviderDown("refused: parse error", bad_query=True)
        if self.nothing:
            return NoData()
        value = 12.0 if "count_over_time" in query else 3600.0 if "frames_total" in query else 100.0
        moments = [start + number * step for number in range(int((end - start) / step) + 1)]
        return Samples((({"node": "a"}, tuple((moment.timestamp(), value) for moment in moments)),))


def extend(provider, known=None, now=START + 3 * DAY + 10 * timedelta(minutes=1), watch=None):
    return asyncio.run(observe.extend(provider, watch or plan(), known, now))


def test_after_a_restart_a_window_at_a_time():
    provider = Prometheus()
    found = extend(provider)
    assert found.hours == 72
    assert len(provider.asked) == 6 * 3
    assert {(start, end) for _, start, end, _ in provider.asked} == {
        (START + day * DAY + HOUR, START + (day + 1) * DAY) for day in range(3)
    }


def test_each_new_hour_takes_six_queries_and_none_in_between():
    known = extend(Prometheus())
    provider = Prometheus()
    assert extend(provider, known).hours == 72
    assert provider.asked == []
    more = extend(provider, known, START + 3 * DAY + HOUR + timedelta(minutes=6))
    assert more.hours == 73
    assert len(provider.asked) == 6
    assert {(start, end, step) for _, start, end, step in provider.asked} == {
        (START + 73 * HOUR, START + 73 * HOUR, HOUR)
    }


def test_before_the_first_hour_nothing_is_asked():
    provider = Prometheus()
    assert extend(provider, now=START + timedelta(minutes=30)) is None
    assert provider.asked == []


def test_old_hours_are_let_go():
    watch = plan()
    found = extend(Prometheus(), now=START + 40 * DAY + timedelta(minutes=10))
    assert found.hours == watch.policy.parts
    later = extend(Prometheus(), found, START + 41 * DAY + timedelta(minutes=10))
    assert later.hours == watch.policy.parts
    assert later.end == START + 41 * DAY


def test_what_was_answered_before_the_failure_is_kept():
    with pytest.raises(NotAnswered) as failed:
        extend(Prometheus(down_at=START + 2 * DAY))
    assert failed.value.down.message == "no answer"
    assert failed.value.known.hours == 24
    assert extend(Prometheus(), failed.value.known).hours == 72


def test_hours_that_were_asked_for_by_a_clock_that_was_ahead_are_asked_for_again():
    ahead = extend(Prometheus(), now=START + 5 * DAY + timedelta(minutes=10))
    provider = Prometheus()
    found = extend(provider, ahead)
    assert (found.hours, found.end) == (72, START + 3 * DAY)
    assert len(provider.asked) == 6 * 3


def test_a_count_from_elsewhere_that_is_refused_is_named():
    with pytest.raises(NotAnswered) as failed:
        extend(Prometheus(refuses="plc"), watch=plan(Policy(exposure="sum by (node) (plc")))
    assert failed.value.down.message == "drift.exposure.query can't be asked: refused: parse error"
    with pytest.raises(NotAnswered) as failed:
        extend(Prometheus(refuses="frames_total"), watch=plan(Policy(exposure="plc")))
    assert failed.value.down.message == "refused: parse error"


def test_without_a_provider():
    with pytest.raises(NotAnswered) as failed:
        extend(ProviderDown("none configured"))
    assert failed.value.known is None


def test_no_data_is_an_empty_table():
    found = extend(Prometheus(nothing=True))
    assert (found.nodes, found.hours) == ((), 72)


def test_queries_name_the_version_and_quote_it():
    provider = Prometheus()
    extend(provider, watch=plan(version='v"3'))
    assert all('version="v\\"3"' in query for query, *_ in provider.asked)


def test_a_count_from_elsewhere_is_one_query_more():
    provider = Prometheus()
    query = 'sum by (node) (increase(plc{ns="${namespace}",r="${rollout}",v="${version}",x="$other"}[${part}]))'
    found = extend(provider, watch=plan(Policy(exposure=query), version='v"3'))
    assert len(provider.asked) == 7 * 3
    (asked,) = {asked for asked, *_ in provider.asked if "plc" in asked}
    assert asked == ('sum by (node) (increase(plc{ns="factory",r="line",v="v\\"3",x="$other"}[3600000ms]))')
    assert (found.counts[:, :, PASSED] == 100).all()


def test_only_buckets_with_a_weight_are_asked_for():
    provider = Prometheus()
    extend(provider, watch=plan(weights=(0.0,) * 9 + (1.0,)))
    (true,) = {query for query, *_ in provider.asked if " or " in query}
    assert true.count("increase(") == 2
