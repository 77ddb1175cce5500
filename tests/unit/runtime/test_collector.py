"""Python's garbage collector, tuned to a large store."""

import gc

from modelfleet.runtime import collector


def test_the_collector_leaves_a_look_at_a_large_fleet_alone():
    before = gc.get_threshold()
    try:
        collector.calm()
        assert gc.get_threshold()[0] >= 4 * 10_000  # what a look at 10,000 nodes makes
        assert gc.isenabled()
    finally:
        gc.set_threshold(*before)


def test_what_is_there_is_left_alone_for_good():
    try:
        collector.freeze()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
