"""Whether the dashboards show the demo: each query of each panel, on the demo's own Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from modelfleet.observability.boards import BOARDS
from worlds import board_queries
from worlds.board_queries import ALL_OF, Range

LONGEST, STEP = 3600, 5  # seconds: the whole story, in steps in which even its shortest gate has some
VARIABLES: Mapping[str, str] = {
    **ALL_OF, "__rate_interval": "20s", "__range": "1h",
    "window": "1m", "before": "5m",  # a minute is a day here, as in examples/demo/5-watch-for-drift.yaml
}  # fmt: skip

WITHOUT: Mapping[str, str] = {
    "modelfleet_training_gpu_memory_bytes": "it trains on CPUs",
    "modelfleet_rollout_replay_": "its Rollout has no spec.replay",
    "modelfleet_gate_interval_": "its fleet is too small for a permutation test",
    "modelfleet_operator_notification": "it sets no endpoints",
    "modelfleet_operator_reconcile_errors_total": "no reconcile need fail",
    "modelfleet_capture_refused_total": "no capture need be refused",
    "modelfleet_dataset_review_": "frames of the random sample need not be among those that are reviewed",
    'signal="low-confidence-rate"': "its drift watch has the default signals",
    'signal="empty-frame-rate"': "its drift watch has the default signals",
    'signal=~"reviewed-.*"': "its drift watch has the default signals",
}
"""What the demo may have no data of, and why: parts of queries."""


def story_until(now: float, prometheus: str) -> Range:
    """All of the story, as somebody sees it who looks at the dashboards at its end."""
    return Range(prometheus, now - LONGEST, now, STEP, VARIABLES)


def silent(shown: Range) -> list[str]:
    """The queries that show nothing and should, each with its board and panel."""
    expected = (
        query
        for board in BOARDS
        for query in board_queries.of_board(board)
        if not any(part in query.expr for part in WITHOUT)
    )
    return [
        f"{query.board}: {query.panel}: {shown.filled(query.expr)}"
        for query in expected
        if not shown.finite(query.expr)
    ]
