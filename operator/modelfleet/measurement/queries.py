"""The PromQL of a comparison. A constant number of queries however many nodes, and nothing but what every dialect
serves."""

from datetime import timedelta

from modelfleet.measurement.sides import Sides
from modelfleet.prometheus.promql import duration, equals, one_of

FRAMES = "modelfleet_frames_total"
CONFIDENCE = "modelfleet_detection_confidence_bucket"
MODEL = "modelfleet_model_info"

NODE = "node, exported_node"
# `exported_node` is there where the scrape had a `node` label of its own and renamed the application's.
BY = f"group, version, {NODE}"

# What the scraping side adds and may hold two values of for one and the same series (two scrape jobs that select the
# same pod, two Prometheus replicas behind one query front end). The larger of the two is taken, not the sum.
SCRAPERS = "job, endpoint, service, container, prometheus, prometheus_replica, replica"

_COVERAGE_POINTS = 20
_SEEN_POINTS = 120


def selector(sides: Sides) -> str:
    """Matchers of all series of the compared groups."""
    matchers = equals("namespace", sides.namespace), equals("rollout", sides.rollout), one_of("group", sides.groups)
    return ",".join(matchers)


def buckets(sides: Sides, window: timedelta) -> str:
    """Detections of each node in the window, cumulative by confidence (`le`).

    At the end of a window, or over a range with the window as its step: each point has the increase since the last.
    """
    return _increase(CONFIDENCE, sides, window, f"{BY}, le")


def frames(sides: Sides, window: timedelta) -> str:
    """Frames of each node in the window."""
    return _increase(FRAMES, sides, window, BY)


def coverage(sides: Sides, window: timedelta, before: timedelta) -> str:
    """At how many of about 20 moments of the window Prometheus had fresh figures of each node.

    A failed scrape makes a series stale at once, so this is the share of time without scrapes, whatever their interval.
    A node that died in the time `before` the window is in no other answer; here it is, with 0.
    """
    step = window / _COVERAGE_POINTS
    present = f"count by ({BY}) ({FRAMES}{{{selector(sides)}}})"
    members = f"count by ({BY}) (count_over_time({FRAMES}{{{selector(sides)}}}[{duration(window + before)}]))"
    return f"count_over_time(({present})[{duration(window)}:{duration(step)}]) or 0 * {members}"


def coverage_share(count: float) -> float:
    """The result of `coverage` as a share; dialects differ by one in whether the first moment counts."""
    return min(1.0, count / _COVERAGE_POINTS)


def first_seen(sides: Sides, window: timedelta) -> str:
    """Since when there are figures of each node, in Unix seconds; before the window for those known for longer."""
    return _seen("min", sides, window)


def last_seen(sides: Sides, window: timedelta) -> str:
    """Until when there were figures of each node in the window, in Unix seconds."""
    return _seen("max", sides, window)


def seen_resolution(window: timedelta) -> timedelta:
    """How exact `first_seen` and `last_seen` are."""
    return window / _SEEN_POINTS


def backends(sides: Sides) -> str:
    """How many nodes run which backend at a moment; without a label `backend` for those that don't say."""
    nodes = f"max by ({BY}, backend) ({MODEL}{{{selector(sides)}}})"
    return f"count by (group, version, backend) ({nodes})"


def known(sides: Sides) -> str:
    """Where Prometheus has figures of a Rollout of that name at all; for a message when there are none."""
    return f"count by (namespace, group, version) ({FRAMES}{{{equals('rollout', sides.rollout)}}})"


def increase(series: str, window: timedelta) -> str:
    """The increase of each series in the window, once where several scrapers have it."""
    return f"max without ({SCRAPERS}) (increase({series}[{duration(window)}]))"


def _increase(metric: str, sides: Sides, window: timedelta, by: str) -> str:
    return f"sum by ({by}) ({increase(f'{metric}{{{selector(sides)}}}', window)})"


def _seen(which: str, sides: Sides, window: timedelta) -> str:
    resolution = seen_resolution(window)
    moments = f"timestamp({FRAMES}{{{selector(sides)}}})[{duration(window + 2 * resolution)}:{duration(resolution)}]"
    return f"{which} by ({BY}) ({which}_over_time({moments}))"
