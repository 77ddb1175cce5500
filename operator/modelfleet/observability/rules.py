"""Recording rules, and the file of all rules.

What is recorded are the figures that alerts compare over time, computed once; dashboards do not need them.

Names are level:what:how, as Prometheus' own rules have them. `node` is a node on one version.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelfleet.observability.alert import Alert

BY_NODE = "namespace, rollout, group, version, node"
BY_ROLLOUT = "namespace, rollout, version"


@dataclass(frozen=True)
class Recording:
    """One recorded series."""

    name: str
    expr: str


def _share(part: str, whole: str, by: str, window: str) -> str:
    return f"sum by ({by}) (rate({part}[{window}])) / sum by ({by}) (rate({whole}[{window}]))"


def _of_frames(part: str, whole: str) -> str:
    """A share of frames, without a sample where there were none: an alert can wait for the next ones then."""
    return f"sum by ({BY_NODE}) (rate({part}[5m])) / ({whole} > 0)"


def _left_out(part: str) -> str:
    """The share of the frames that arrived which were left out for this, and not given to the model."""
    arrived = " + ".join(
        f"sum by ({BY_NODE}) (rate({each}[5m]))"
        for each in (
            "modelfleet_frames_total",
            "modelfleet_frames_damaged_total",
            "modelfleet_frames_frozen_total",
        )
    )
    return _of_frames(part, arrived)


_BUCKET = "modelfleet_detection_confidence_bucket"
_LOW = f'{_BUCKET}{{le="0.5"}}'

RECORDINGS = (
    Recording(
        "modelfleet_node:frames:rate5m",
        f"sum by ({BY_NODE}) (rate(modelfleet_frames_total[5m]))",
    ),
    Recording(
        "modelfleet_node:frames_failed:ratio_rate5m",
        _of_frames("modelfleet_frames_failed_total", f"sum by ({BY_NODE}) (rate(modelfleet_frames_total[5m]))"),
    ),
    Recording("modelfleet_node:frames_damaged:ratio_rate5m", _left_out("modelfleet_frames_damaged_total")),
    Recording("modelfleet_node:frames_frozen:ratio_rate5m", _left_out("modelfleet_frames_frozen_total")),
    Recording(
        "modelfleet_node:confidence:mean_rate5m",
        _share("modelfleet_detection_confidence_sum", "modelfleet_detection_confidence_count", BY_NODE, "5m"),
    ),
    Recording(
        "modelfleet_node:low_confidence:ratio_rate1h",
        _share(_LOW, "modelfleet_detection_confidence_count", BY_NODE, "1h"),
    ),
    Recording(
        "modelfleet_rollout:low_confidence:ratio_rate1h",
        _share(_LOW, "modelfleet_detection_confidence_count", BY_ROLLOUT, "1h"),
    ),
    Recording(
        "modelfleet_rollout:detections:rate1h",
        f"sum by ({BY_ROLLOUT}) (rate(modelfleet_detection_confidence_count[1h]))",
    ),
)


def document(alerts: Iterable[Alert]) -> dict[str, Any]:
    """A rule file of Prometheus, and the spec of a PrometheusRule: the same thing."""
    recorded = [{"record": each.name, "expr": each.expr} for each in RECORDINGS]
    return {
        "groups": [
            {"name": "modelfleet.rules", "rules": recorded},
            {"name": "modelfleet.alerts", "rules": [_rule(each) for each in alerts]},
        ]
    }


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({} if alert.lasts == "0m" else {"for": alert.lasts}),
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.description, "runbook": alert.runbook},
    }
