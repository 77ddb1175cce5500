"""From Prometheus' answers to rows: sides, and the nodes that are set aside."""

from math import inf, nan

import numpy as np
import pytest

from modelfleet.measurement.node_table import Aside, read
from modelfleet.prometheus import Samples
from unit.gate.builders import EQUAL, FLEET, answers, canary, control, plan, table


def test_sides_are_told_by_group_and_version():
    seen = table(*FLEET, control("cam-9", labels={"version": "v0"}), canary("cam-8", labels={"version": "v1"}))
    assert seen.canary.nodes == ("cam-1",)
    assert seen.control.nodes == ("cam-2", "cam-3")
    assert seen.others == (("canary", "v1", 1), ("fleet", "v0", 1))
    assert seen.canary.aside == seen.control.aside == ()
    np.testing.assert_allclose(seen.control.counts, [EQUAL, EQUAL])
    assert seen.control.frames.tolist() == [500, 500]


def test_a_template_only_change_is_told_by_group_alone():
    of = plan(candidate_version="v1")
    seen = table(canary(labels={"version": "v1"}), control(), of=of)
    assert (seen.canary.nodes, seen.control.nodes) == (("cam-1",), ("cam-2",))


def test_detections_at_or_below_the_lowest_edge_do_not_count():
    assert table(canary(low=500)).canary.detections == sum(EQUAL)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (canary(coverage=0.75), Aside.RARELY_SCRAPED),
        (canary(frames=0), Aside.NO_FRAMES),
        (canary(frames=nan), Aside.NOT_A_NUMBER),
        (canary(frames=inf), Aside.NOT_A_NUMBER),
        (canary(frames=-3), Aside.NO_FRAMES),
        (canary(counts=(*EQUAL[:4], nan, *EQUAL[5:])), Aside.NOT_A_NUMBER),
        (canary(counts=(*EQUAL[:4], inf, *EQUAL[5:])), Aside.NOT_A_NUMBER),
        (canary(counts=(*EQUAL[:4], -7, *EQUAL[5:])), Aside.NEGATIVE),
        (canary(low=-1), Aside.NEGATIVE),
        (canary(above=2), Aside.ABOVE_ONE),
    ],
)
def test_a_bad_node_is_set_aside_and_the_others_stay(bad, reason):
    seen = table(bad, canary("cam-7"), control())
    assert seen.canary.aside == (("cam-1", reason),)
    assert seen.canary.nodes == ("cam-7",)
    assert seen.canary.seen == 2


def test_floating_point_dust_is_not_a_negative_count():
    assert table(canary(counts=(*EQUAL[:4], -1e-9, *EQUAL[5:]))).canary.counts[0, 4] == 0


def test_half_the_scrapes_missing_sets_a_whole_side_aside():
    seen = table(canary(coverage=0.5), canary("cam-7", coverage=0.5), control())
    assert seen.canary.nodes == ()
    assert {reason for _, reason in seen.canary.aside} == {Aside.RARELY_SCRAPED}
    assert seen.canary.counts.shape == (0, 10)
    assert seen.canary.detections == 0


def test_a_node_without_figures_in_the_window_is_counted():
    """It died between the start and the first window: only the coverage knows of it."""
    buckets, frames, _ = answers(FLEET)
    coverage = answers([*FLEET, canary("cam-7", coverage=0)])[2]
    assert read(plan().sides, buckets, frames, coverage).canary.aside == (("cam-7", Aside.RARELY_SCRAPED),)


def test_a_histogram_with_other_buckets():
    buckets, frames, coverage = answers(FLEET)
    for le in ("0.33", "5e-1x", ""):
        other = tuple(
            ({**labels, "le": le if labels["le"] == "0.3" else labels["le"]}, v) for labels, v in buckets.series
        )
        assert table_reasons(Samples(other), frames, coverage) == {Aside.OTHER_BUCKETS}
    fewer = tuple(series for series in buckets.series if series[0]["le"] != "0.7")
    assert table_reasons(Samples(fewer), frames, coverage) == {Aside.OTHER_BUCKETS}


def test_buckets_may_be_written_in_any_way_that_is_the_same_number():
    buckets, frames, coverage = answers(FLEET)
    spelled = {"0.25": "2.5e-01", "0.3": "0.30", "1.0": "1", "+Inf": "Inf"}
    same = tuple(({**labels, "le": spelled.get(labels["le"], labels["le"])}, v) for labels, v in buckets.series)
    assert read(plan().sides, Samples(same), frames, coverage).canary.nodes == ("cam-1",)


def test_no_histogram_and_no_counter():
    buckets, frames, coverage = answers(FLEET)
    assert table_reasons(None, frames, coverage) == {Aside.NO_HISTOGRAM}
    assert table_reasons(buckets, None, None) == {Aside.NO_COUNTER}
    assert table_reasons(buckets, None, coverage) == {Aside.NO_FRAMES}
    assert table_reasons(buckets, frames, None) == {Aside.RARELY_SCRAPED}


def table_reasons(buckets, frames, coverage):
    seen = read(plan().sides, buckets, frames, coverage)
    assert seen.canary.nodes == seen.control.nodes == ()
    return {reason for side in (seen.canary, seen.control) for _, reason in side.aside}


def test_a_node_on_both_sides_is_on_neither():
    seen = table(canary("cam-1"), control("cam-1"), control("cam-2"))
    assert seen.canary.aside == seen.control.aside == (("cam-1", Aside.BOTH_SIDES),)
    assert seen.control.nodes == ("cam-2",)


def test_missing_and_renamed_node_labels():
    unnamed = table(canary(labels={"node": ""}), control())
    assert unnamed.canary.unnamed
    assert not unnamed.control.unnamed
    assert unnamed.canary.seen == 0
    renamed = table(canary(labels={"node": "scrape-target", "exported_node": "cam-1"}))
    assert renamed.renamed
    assert renamed.canary.nodes == ("cam-1",)


def test_nothing_at_all():
    seen = read(plan().sides, None, None, None)
    assert seen.empty
    assert seen.canary.counts.shape == (0, 10)


def test_ten_thousand_nodes():
    nodes = [canary(f"c{i}") for i in range(100)] + [control(f"n{i}") for i in range(9_900)]
    seen = table(*nodes)
    assert (len(seen.canary.nodes), len(seen.control.nodes)) == (100, 9_900)
