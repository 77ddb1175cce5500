"""The PromQL of a watch for drift: six range queries, however many nodes.

Each point of a range, a part of a window apart, has the increase since the point before. Only series of the watched
version count, whatever group their node is in.
"""

from collections.abc import Sequence
from datetime import timedelta

from modelfleet.measurement.endpoints import EDGES
from modelfleet.measurement.queries import CONFIDENCE, FRAMES, NODE, increase
from modelfleet.prometheus.promql import duration, equals, filled

EMPTY = "modelfleet_empty_frames_total"
LOW_EDGE = 0.5
COVERAGE_POINTS = 12


def selector(namespace: str, rollout: str, version: str) -> str:
    """Matchers of the series of a version in a Rollout."""
    return ",".join((equals("namespace", namespace), equals("rollout", rollout), equals("version", version)))


def detections(series: str, part: timedelta) -> str:
    """All detections."""
    return _increase(f'{CONFIDENCE}{{{series},le="+Inf"}}', part)


def true_detections(series: str, part: timedelta, weights: Sequence[float]) -> str:
    """Expected true detections: each bucket's, times its expected precision, as one sum over the cumulative counts.

    sum_k w_k (c_k+1 - c_k), with c_k the count up to edge k, is sum_k a_k c_k with a_k = w_k-1 - w_k.
    """
    padded = (0.0, *weights, 0.0)
    factors = [padded[edge] - padded[edge + 1] for edge in range(len(EDGES))]
    terms = [
        f"{increase(f'{CONFIDENCE}{{{series},{_le(edge)}}}', part)} * ({factor!r})"
        for edge, factor in zip(EDGES, factors, strict=True)
        if factor
    ]
    return f"sum by ({NODE}) ({' or '.join(terms)})"


def low_confidence(series: str, part: timedelta) -> str:
    """Detections with a confidence of at most 0.5."""
    return _increase(f"{CONFIDENCE}{{{series},{_le(LOW_EDGE)}}}", part)


def frames(series: str, part: timedelta) -> str:
    """Frames."""
    return _increase(f"{FRAMES}{{{series}}}", part)


def empty_frames(series: str, part: timedelta) -> str:
    """Frames without a detection."""
    return _increase(f"{EMPTY}{{{series}}}", part)


def exposure(query: str, namespace: str, rollout: str, version: str, part: timedelta) -> str:
    """Somebody's count of the objects that passed, with ${namespace} ${rollout} ${version} ${part} filled in."""
    return filled(query, {"namespace": namespace, "rollout": rollout, "version": version, "part": duration(part)})


def coverage(series: str, part: timedelta) -> str:
    """At how many of 12 moments of each part there were fresh figures, and the histogram (where there was any) had the
    buckets of the contract: with others, the sum of `true_detections` would be wrong and look right."""
    present = f"count by ({NODE}) ({FRAMES}{{{series}}})"
    edges = "|".join(map(_spelled, EDGES))
    foreign = f'count by ({NODE}) ({CONFIDENCE}{{{series},le=~"{edges}"}}) % {len(EDGES)} != 0'
    return f"count_over_time(({present} unless {foreign})[{duration(part)}:{duration(part / COVERAGE_POINTS)}])"


def _increase(series: str, part: timedelta) -> str:
    return f"sum by ({NODE}) ({increase(series, part)})"


def _le(edge: float) -> str:
    """The matcher of a bucket."""
    return f'le{"=~" if edge == int(edge) else "="}"{_spelled(edge)}"'


def _spelled(edge: float) -> str:
    """An edge as a regular expression, however the exporter writes whole numbers."""
    return f"{edge:g}" + (r"(\\.0)?" if edge == int(edge) else "")
