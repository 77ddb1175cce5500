"""Which time before the update counts, and for which nodes."""

from datetime import timedelta

import pytest

from modelfleet.gate.past import shared
from modelfleet.prometheus import Samples
from unit.gate.builders import START, canary, control, first_seen, plan

HOURS = timedelta(hours=6)


def seen(*, canaries: list[float], controls: list[float]) -> Samples:
    """Nodes c0, c1... and n0, n1... that were first seen so many minutes before the update."""
    then = [(canary(f"c{i}", labels={"version": "v1"}), ago) for i, ago in enumerate(canaries)]
    then += [(control(f"n{i}"), ago) for i, ago in enumerate(controls)]
    return Samples(tuple(s for node, ago in then for s in first_seen([node], timedelta(minutes=ago)).series))


@pytest.mark.parametrize(
    ("canaries", "controls", "since", "late"),
    [
        ([999] * 3, [999] * 9, 360, set()),  # longer than it is asked for
        ([300] * 3, [120] * 9, 120, set()),  # the fleet got the stable version three hours after the canary nodes
        ([40] * 3, [999] * 9, 40, set()),
        ([999] * 3, [999] * 8 + [10], 360, {"n8"}),  # a node that joined does not shorten everybody's past
        ([999] * 3, [999] * 7 + [50, 10], 50, {"n8"}),  # two of nine are more than a fifth
        ([999, 999, 30], [999] * 9, 30, set()),  # one of three as well
        ([60], [60, 59.2, 60], 59.2, set()),  # scrapes are not all at one moment
    ],
)
def test_the_past_begins_when_most_nodes_of_either_side_were_there(canaries, controls, since, late):
    found = shared(plan(), seen(canaries=canaries, controls=controls), HOURS)
    assert found.since == START - timedelta(minutes=since)
    names = {f"c{i}" for i in range(len(canaries))} | {f"n{i}" for i in range(len(controls))}
    assert found.nodes(0) | found.nodes(1) == names - late


@pytest.mark.parametrize(
    "answer",
    [
        None,
        seen(canaries=[], controls=[99]),
        seen(canaries=[99], controls=[]),
        seen(canaries=[0], controls=[99]),
        Samples(
            first_seen([canary("c0"), control("n0")]).series
        ),  # the canary node on the candidate, not on the stable
    ],
)
def test_without_a_past_on_either_side_there_is_none(answer):
    assert shared(plan(), answer, HOURS) is None


def test_a_node_with_several_pods_was_there_with_the_first():
    both = (*seen(canaries=[5, 5], controls=[50]).series, *seen(canaries=[80, 90], controls=[60]).series)
    assert shared(plan(), Samples(both), HOURS).since == START - timedelta(minutes=60)


def test_steps_of_a_permutation_test_are_whole():
    of = plan(interval=timedelta(minutes=30), timeout=timedelta(hours=3))
    past = shared(of, seen(canaries=[100], controls=[100]), HOURS)
    assert [past.steps(of, most) for most in (1, 3, 5)] == [1, 3, 3]
