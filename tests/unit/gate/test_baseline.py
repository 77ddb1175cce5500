"""Which time before the update counts, and for which nodes."""

from datetime import timedelta

import pytest

from modelfleet.gate.baseline import Past, shared
from modelfleet.prometheus import Samples
from unit.gate.builders import START, canary, control, plan, seen

HOURS = timedelta(hours=6)


def moments(*, canaries: list[float], controls: list[float]) -> Samples:
    """Nodes c0, c1... and n0, n1... on the stable version, seen so many minutes before the update."""
    then = [(canary(f"c{i}", labels={"version": "v1"}), ago) for i, ago in enumerate(canaries)]
    then += [(control(f"n{i}"), ago) for i, ago in enumerate(controls)]
    return Samples(tuple(s for node, ago in then for s in seen([node], timedelta(minutes=ago)).series))


def found(first: Samples | None, last: Samples | None = None) -> Past | None:
    return shared(plan(), first, last or moments(canaries=[0] * 9, controls=[0] * 9), HOURS)


def minutes(past: Past | None) -> tuple[float, float]:
    """How long before the update it begins and ends."""
    assert past is not None
    return (START - past.since) / timedelta(minutes=1), (START - past.until) / timedelta(minutes=1)


@pytest.mark.parametrize(
    ("canaries", "controls", "since", "late"),
    [
        ([999] * 3, [999] * 9, 360, set()),  # longer than it is asked for
        ([300] * 3, [120] * 9, 120, set()),  # the fleet got the stable version three hours after the canary nodes
        ([40] * 3, [999] * 9, 40, set()),
        ([999] * 3, [999] * 8 + [10], 360, {"n8"}),  # a node that joined does not shorten everybody's past
        ([999] * 3, [999] * 7 + [50, 10], 50, {"n8"}),  # two of nine are more than a fifth
        ([999, 999, 30], [999] * 9, 30, set()),  # one of three as well
        ([60], [60, 59.5, 60], 59.5, set()),  # scrapes are not all at one moment
    ],
)
def test_it_begins_when_most_nodes_of_either_side_were_there(canaries, controls, since, late):
    past = found(moments(canaries=canaries, controls=controls))
    assert minutes(past) == (since, 0)
    names = {f"c{i}" for i in range(len(canaries))} | {f"n{i}" for i in range(len(controls))}
    assert past.nodes(0) | past.nodes(1) == names - late


@pytest.mark.parametrize(
    ("canaries", "controls", "begin", "end", "gone"),
    [
        ([0.5] * 3, [0.2] * 9, 360, 0, set()),  # the last scrapes before the update
        # canary nodes ran a version that never reached the fleet: the past ends when they got that one
        ([90] * 3, [0] * 9, 450, 90, set()),
        ([0] * 3, [0] * 8 + [200], 360, 0, {"n8"}),  # a control node that was taken away
    ],
)
def test_it_ends_with_the_update_or_when_most_nodes_left_the_stable_version(canaries, controls, begin, end, gone):
    past = found(moments(canaries=[999] * 3, controls=[999] * 9), moments(canaries=canaries, controls=controls))
    assert minutes(past) == (begin, end)
    names = {f"c{i}" for i in range(3)} | {f"n{i}" for i in range(9)}
    assert past.nodes(0) | past.nodes(1) == names - gone


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (None, None),
        (moments(canaries=[], controls=[99]), None),
        (moments(canaries=[99], controls=[]), None),
        (moments(canaries=[0], controls=[99]), None),
        (Samples(seen([canary("c0"), control("n0")]).series), None),  # the canary node on the candidate
        (moments(canaries=[99], controls=[50]), moments(canaries=[60], controls=[0])),  # never at the same time
    ],
)
def test_without_a_past_on_either_side_there_is_none(first, last):
    assert found(first, last) is None


def test_a_node_with_several_pods_was_there_from_the_first_to_the_last():
    pods = [moments(canaries=[5, 5], controls=[50]), moments(canaries=[80, 90], controls=[60])]
    both = Samples((*pods[0].series, *pods[1].series))
    assert minutes(found(both)) == (60, 0)
    assert minutes(shared(plan(), moments(canaries=[99] * 2, controls=[99]), both, HOURS)) == (99, 50)
