"""Model quality: what the deployed versions find, how surely, and how the canary does beside control."""

from modelfleet.observability.board import FLEET, RATE, at_most, board, of_nodes, once
from modelfleet.observability.panels import Panel, Query, heatmap, look, row, table, timeseries

OF = 'namespace=~"$namespace",rollout=~"$rollout"'
_BUCKETS = f"modelfleet_detection_confidence_bucket{{{OF}}}{RATE}"
_LOW = f'modelfleet_detection_confidence_bucket{{{OF},le="0.5"}}{RATE}'
_FOUND = f"modelfleet_detection_confidence_count{{{OF}}}{RATE}"
_FRAMES = f"modelfleet_frames_total{{{OF}}}{RATE}"
_BY = "namespace, rollout, version, group"


def _quantile(share: float) -> Query:
    percent = round(share * 100)
    return Query(
        f"histogram_quantile({share}, sum by ({_BY}, le) (rate({_BUCKETS})))",
        f"p{percent} {{{{namespace}}}}/{{{{rollout}}}} {{{{version}}}} {{{{group}}}}",
    )


def _ratio(part: str, whole: str, by: str) -> str:
    return f"sum by ({by}) (rate({part})) / sum by ({by}) (rate({whole}))"


def _gate(endpoint: str, title: str, description: str, most: float) -> Panel:
    """`most`: what is farther from 0 is not drawn; early intervals are very wide."""
    of = f'{OF},endpoint="{endpoint}"'
    name = "{{namespace}}/{{rollout}} {{version}}"
    return timeseries(
        title,
        description,
        [
            Query(f"modelfleet_gate_interval_upper{{{of}}}", f"{name} upper"),
            Query(f"modelfleet_gate_estimate{{{of}}}", f"{name} estimate"),
            Query(f"modelfleet_gate_interval_lower{{{of}}}", f"{name} lower"),
            Query(f"-modelfleet_gate_margin{{{of}}}", f"{name} margin"),
        ],
        unit="percentunit",
        min=-most,
        max=most,
        overrides=[
            look("estimate$", color="blue", width=3),
            look("(upper|lower)$", color="blue", dash=[4, 4]),
            look("margin$", color="red", dash=[10, 6]),
        ],
    )


def _judged(figure: str, title: str, description: str, by: str = "") -> Panel:
    """A figure of the review with the ends of its interval. Datasets know no Rollout: by namespace alone."""
    name, of = f"{{{{namespace}}}}/{{{{dataset}}}} {{{{version}}}}{by}", 'namespace=~"$namespace"'
    series = f"modelfleet_dataset_review_{figure}"
    return timeseries(
        title,
        description,
        [
            Query(once(f"{series}_high", of), f"{name} upper"),
            Query(once(series, of), f"{name} estimate"),
            Query(once(f"{series}_low", of), f"{name} lower"),
        ],
        unit="percentunit",
        min=0,
        max=1,
        overrides=[look("estimate$", color="blue", width=3), look("(upper|lower)$", color="blue", dash=[4, 4])],
    )


BOARD = board(
    "quality",
    "Model quality",
    "What the versions detect in the field: how surely, how much, and canary beside control.",
    FLEET,
    [
        row("Confidence"),
        heatmap(
            "Confidence of detections",
            "Detections by confidence over time. Mass that moves down: the model gets less sure.",
            Query(f"sum by (le) (increase({_BUCKETS}))", "{{le}}"),
            unit="short",
        ),
        timeseries(
            "Confidence, p10 and p50",
            "Half of the detections are surer than p50, nine in ten are surer than p10; by version and group.",
            [_quantile(0.5), _quantile(0.1)],
            min=0,
            max=1,
            unit="percentunit",
            height=9,
        ),
        timeseries(
            "Low confidence by node",
            "Share of detections with a confidence of at most 0.5. One node: look at its camera. All: at the model. "
            + at_most("with the most"),
            [Query(of_nodes(_ratio(_LOW, _FOUND, "namespace, rollout, node")), "{{node}} {{namespace}}/{{rollout}}")],
            unit="percentunit",
            min=0,
        ),
        timeseries(
            "Low confidence by version",
            "The same for all nodes of a version.",
            [Query(_ratio(_LOW, _FOUND, _BY), "{{namespace}}/{{rollout}} {{version}} {{group}}")],
            unit="percentunit",
            min=0,
        ),
        row("What is found"),
        timeseries(
            "Found per frame",
            "Detections in each frame, by version and group. Falls with traffic, and where objects are missed.",
            [Query(_ratio(_FOUND, _FRAMES, _BY), "{{namespace}}/{{rollout}} {{version}} {{group}}")],
            min=0,
            width=8,
        ),
        timeseries(
            "Empty frames",
            "Share of frames on which nothing was detected, by node. " + at_most("with the most"),
            [
                Query(
                    of_nodes(
                        _ratio(f"modelfleet_empty_frames_total{{{OF}}}{RATE}", _FRAMES, "namespace, rollout, node")
                    ),
                    "{{node}} {{namespace}}/{{rollout}}",
                )
            ],
            unit="percentunit",
            min=0,
            width=8,
        ),
        timeseries(
            "Mix of classes",
            "Which share of the detections each class has. A class that vanishes may not be recognised any more.",
            [Query(f"sum by (class) (rate(modelfleet_detections_total{{{OF}}}{RATE}))", "{{class}}")],
            unit="suffix:/s",
            stacked="percent",
            width=8,
        ),
        row("What people say of it (reviewed frames of the random sample)"),
        _judged("precision", "Reviewed precision", "Share of detections that are right, by version; interval of 95%."),
        _judged("recall", "Reviewed recall", "Share of objects that are found, by version; interval of 95%."),
        _judged(
            "class_precision",
            "Reviewed precision by class",
            "Of the ten classes that do worst; interval of 95%, where five node-days or more show the class.",
            " {{class}}",
        ),
        _judged(
            "class_recall",
            "Reviewed recall by class",
            "Of the ten classes that do worst; interval of 95%, where five node-days or more show the class.",
            " {{class}}",
        ),
        row("Candidate beside stable on recorded frames (the last replay)"),
        timeseries(
            "Boxes that both versions found",
            "Share of all boxes that either of them found. It says how much changes, not which one is right.",
            [
                Query(
                    once("modelfleet_rollout_replay_agreement_ratio", OF),
                    "{{namespace}}/{{rollout}} {{version}} and {{stable}}",
                )
            ],
            unit="percentunit",
            min=0,
            max=1,
            width=7,
        ),
        timeseries(
            "Frames on which they differ",
            "They are listed for labelling: what people say of them shows which version is right.",
            [
                Query(
                    once("modelfleet_rollout_replay_disagreements", OF),
                    "{{namespace}}/{{rollout}} {{version}} and {{stable}}",
                )
            ],
            min=0,
            width=7,
        ),
        table(
            "Replays",
            "When the last replay of each Rollout ended, and how.",
            Query(f"{once('modelfleet_rollout_replay_end_timestamp_seconds', OF)} * 1000"),
            {
                "namespace": "Namespace",
                "rollout": "Rollout",
                "version": "Version",
                "result": "Result",
                "Value": "Ended",
            },
            unit="dateTimeAsIso",
            width=10,
        ),
        row("Canary beside control (only while a gate is active)"),
        _gate(
            "precision",
            "Expected precision, canary minus control",
            "Estimate with its interval at the newest look, and the loss that still is no worse. "
            "Wholly above the margin: it may go on. Wholly below: it is rolled back.",
            0.1,
        ),
        _gate(
            "detections",
            "Expected true detections per frame, canary beside control",
            "Relative change with its interval, and the loss that still is no worse.",
            0.5,
        ),
        timeseries(
            "Nodes in the gate",
            "Nodes whose figures are used, and those that were seen and set aside (why: status.gate.message).",
            [
                Query(f"modelfleet_gate_nodes{{{OF}}}", "{{namespace}}/{{rollout}} {{version}} {{side}} used"),
                Query(
                    f"modelfleet_gate_nodes_set_aside{{{OF}}}",
                    "{{namespace}}/{{rollout}} {{version}} {{side}} set aside",
                ),
            ],
            min=0,
            width=6,
        ),
        timeseries(
            "Detections of the canary",
            "Since the gate's start: what the judgement rests on.",
            [Query(f"modelfleet_gate_detections{{{OF}}}", "{{namespace}}/{{rollout}} {{version}}")],
            min=0,
            width=5,
        ),
        timeseries(
            "Time since the gate's start",
            "A gate ends with its verdict, or at its timeout.",
            [
                Query(
                    f"time() - modelfleet_gate_start_timestamp_seconds{{{OF}}}",
                    "{{namespace}}/{{rollout}} {{group}} {{version}}",
                )
            ],
            unit="s",
            min=0,
            width=6,
        ),
        table(
            "Looks",
            "How often each active gate has looked at the figures.",
            Query(f"modelfleet_gate_looks{{{OF}}}"),
            {"namespace": "Namespace", "rollout": "Rollout", "group": "Group", "version": "Version", "Value": "Looks"},
            width=7,
        ),
    ],
    annotated=True,
)
