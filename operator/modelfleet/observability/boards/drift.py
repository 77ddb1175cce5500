"""Drift: what the watch says, and each node beside its own past."""

from modelfleet.observability.board import FLEET, MOST_NODES, board, of_nodes
from modelfleet.observability.panels import Panel, Query, look, row, stat, states, timeseries

OF = 'namespace=~"$namespace",rollout=~"$rollout"'
_STATES = {
    "Steady": "green",
    "Learning": "blue",
    "Suspected": "yellow",
    "Drifting": "red",
    "MoreConfident": "purple",
    "FewerObjects": "orange",
    "Paused": "text",
}


def _change(part: str, whole: str, title: str, description: str, *, relative: bool = False) -> Panel:
    """A node's figure over the window, beside the same window so long before; of the nodes that changed most until the
    end of the time shown."""
    by = "sum by (namespace, rollout, node)"
    now, before = (
        f"{by} (rate({part}[$window]{offset})) / {by} (rate({whole}[$window]{offset}))"
        for offset in ("", " offset $before")
    )
    expr = f"({now}) / ({before}) - 1" if relative else f"({now}) - ({before})"
    ranked = of_nodes(expr, by="abs({})", window="[$window]", range="[$window]")
    said = f"{description} At most {MOST_NODES} nodes: those that have changed most at the end of the time shown."
    return timeseries(title, said, [Query(ranked, "{{node}} {{namespace}}/{{rollout}}")], unit="percentunit", width=8)


def _signal(name: str, title: str, description: str) -> Panel:
    of = f'{OF},signal="{name}"'
    return timeseries(
        title,
        description,
        [
            Query(f"modelfleet_drift_change{{{of}}}", "{{namespace}}/{{rollout}} {{version}} change"),
            Query(f"modelfleet_drift_threshold{{{of}}}", "{{namespace}}/{{rollout}} {{version}} threshold"),
        ],
        unit="percentunit",
        width=8,
        overrides=[look("threshold$", color="red", dash=[10, 6])],
    )


_REVIEWED = f'{OF},signal=~"reviewed-.*"'
_FOUND = f"modelfleet_detection_confidence_count{{{OF}}}"

BOARD = board(
    "drift",
    "Drift",
    "Whether the stable version behaves as in its baseline, and which nodes do not behave as they did.",
    FLEET,
    [
        stat(
            "Nodes that have drifted",
            "Nodes beyond the threshold and beyond their own noise.",
            Query(f"sum(modelfleet_drift_nodes_down{{{OF}}})"),
            steps=((None, "green"), (1, "orange")),
            width=6,
        ),
        stat(
            "Nodes that are watched",
            "Nodes with figures and a baseline.",
            Query(f"sum(modelfleet_drift_nodes{{{OF}}})"),
            width=6,
        ),
        stat(
            "Share that has drifted",
            "Of the nodes that are watched; spec.drift.nodes says from which share on the fleet has drifted.",
            Query(f"sum(modelfleet_drift_nodes_down{{{OF}}}) / sum(modelfleet_drift_nodes{{{OF}}})"),
            unit="percentunit",
            steps=((None, "green"), (0.1, "orange"), (0.3, "red")),
            width=6,
        ),
        stat(
            "Age of the newest figures",
            "There is a look an hour; older than two: the watch is paused, or Prometheus does not answer.",
            Query(f"time() - min(modelfleet_drift_look_timestamp_seconds{{{OF}}})"),
            unit="s",
            steps=((None, "green"), (7200, "orange")),
            width=6,
        ),
        states(
            "State of the watch",
            "Drifting: declared. Suspected: not for long enough yet. Learning: no baseline yet.",
            f"max by (namespace, rollout, state) (modelfleet_drift_state{{{OF}}} == 1)",
            row=("namespace", "rollout"),
            value="state",
            colors=_STATES,
            height=5,
        ),
        row("The median node beside its baseline (as the operator judges)"),
        _signal(
            "confidence", "Expected precision", "Change of the median node, and the change from which on it counts."
        ),
        _signal(
            "low-confidence-rate",
            "Share of low confidences",
            "Change of the median node, and the change from which on it counts.",
        ),
        _signal(
            "detection-rate",
            "True detections per frame",
            "Relative change of the median node, and the change from which on it counts.",
        ),
        _signal(
            "empty-frame-rate",
            "Share of empty frames",
            "Change of the median node, and the change from which on it counts.",
        ),
        timeseries(
            "Reviewed by people",
            "Of frames of the random sample: the figure itself, and its minimum.",
            [
                Query(f"modelfleet_drift_change{{{_REVIEWED}}}", "{{namespace}}/{{rollout}} {{version}} {{signal}}"),
                Query(
                    f"modelfleet_drift_threshold{{{_REVIEWED}}}",
                    "{{namespace}}/{{rollout}} {{version}} {{signal}} minimum",
                ),
            ],
            unit="percentunit",
            min=0,
            max=1,
            width=8,
            overrides=[look("minimum$", color="red", dash=[10, 6])],
        ),
        timeseries(
            "Share of nodes that have drifted",
            "Of the nodes that are watched; spec.drift.nodes says from which share on the fleet has drifted.",
            [
                Query(
                    f"sum by (namespace, rollout, version) (modelfleet_drift_nodes_down{{{OF}}})"
                    f" / sum by (namespace, rollout, version) (modelfleet_drift_nodes{{{OF}}})",
                    "{{namespace}}/{{rollout}} {{version}}",
                )
            ],
            unit="percentunit",
            min=0,
            max=1,
            width=8,
        ),
        row("Each node beside its own past ($window now, and $before ago)"),
        _change(
            f'modelfleet_detection_confidence_bucket{{{OF},le="0.5"}}',
            _FOUND,
            "Low confidences, change",
            "Share of detections up to 0.5, minus what it was. Above 0: less sure than then.",
        ),
        _change(
            f"modelfleet_detection_confidence_sum{{{OF}}}",
            _FOUND,
            "Mean confidence, change",
            "Mean confidence of the node's detections, minus what it was.",
        ),
        _change(
            _FOUND,
            f"modelfleet_frames_total{{{OF}}}",
            "Found per frame, change",
            "Relative change. It follows traffic: compare with a count from elsewhere.",
            relative=True,
        ),
    ],
    choices={"window": ("1d", "6h", "1h"), "before": ("1w", "1d", "2w")},
    annotated=True,
    hours=24 * 7,
)
