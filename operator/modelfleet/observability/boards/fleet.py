"""Fleet: which node runs what, how far a version is, what the gates said."""

from modelfleet.observability.board import MOST_NODES, OBJECTS, RATE, at_most, board, of_nodes, once
from modelfleet.observability.panels import Query, row, stat, states, table, timeseries

OF = 'namespace=~"$namespace",rollout=~"$rollout"'
_STALLED = f'{OF},type="Stalled"'
_VERDICTS = {
    "Pass": "green",
    "Fail": "red",
    "Inconclusive": "blue",
    "NoData": "orange",
    "ProviderDown": "purple",
}


def _left_out(why: str) -> str:
    """The share of the frames that arrived which were left out for this."""
    damaged, frozen, used = (
        f"sum by (namespace, rollout, node) (rate(modelfleet_frames_{each}total{{{OF}}}{RATE}))"
        for each in ("damaged_", "frozen_", "")
    )
    return f"{damaged if why == 'damaged' else frozen} / ({used} + {damaged} + {frozen})"


BOARD = board(
    "fleet",
    "Fleet",
    "Which node runs which version, how far a rollout is, and whether the nodes work.",
    OBJECTS,
    [
        stat("Nodes", "Nodes that belong to a group.", Query(f"sum({once('modelfleet_rollout_nodes', OF)})")),
        stat(
            "Ready",
            "Share of the nodes with a ready pod of what they should run.",
            Query(f"sum({once('modelfleet_rollout_nodes_ready', OF)}) / sum({once('modelfleet_rollout_nodes', OF)})"),
            unit="percentunit",
            steps=((None, "red"), (0.9, "orange"), (0.99, "green")),
        ),
        stat(
            "Out of reach",
            "Nodes that Kubernetes does not reach; they catch up when they return.",
            Query(f"sum({once('modelfleet_rollout_nodes_unreachable', OF)})"),
            steps=((None, "green"), (1, "orange")),
        ),
        stat(
            "Stalled rollouts",
            "Rollouts that go on only when somebody acts. The table below says why.",
            Query(f"sum({once('modelfleet_rollout_condition', _STALLED)}) or vector(0)"),
            steps=((None, "green"), (1, "red")),
        ),
        stat(
            "Frames a second",
            "Frames that went through a model, on all nodes.",
            Query(f"sum(rate(modelfleet_frames_total{{{OF}}}{RATE}))"),
            unit="suffix:/s",
        ),
        stat(
            "Failed frames",
            "Share of the frames that could not be decoded, or on which inference failed.",
            Query(
                f"sum(rate(modelfleet_frames_failed_total{{{OF}}}{RATE}))"
                f" / sum(rate(modelfleet_frames_total{{{OF}}}{RATE}))"
            ),
            unit="percentunit",
            steps=((None, "green"), (0.01, "orange"), (0.05, "red")),
        ),
        row("Versions on their way"),
        states(
            "Version of each node",
            "What each node says it serves. Gaps: it was not scraped. Colors go by the last character of the version. "
            + at_most("that loaded a model last"),
            f"max by (namespace, rollout, node, version) (modelfleet_model_info{{{OF}}})"
            f" and on (namespace, rollout, node) topk({MOST_NODES}, max by (namespace, rollout, node)"
            f" (max_over_time(modelfleet_model_loaded_timestamp_seconds{{{OF}}}[$__range] @ end())))",
            row=("namespace", "rollout", "node"),
            value="version",
            height=10,
        ),
        timeseries(
            "Updated nodes",
            "Share of each group's nodes that have a pod of what the group should run.",
            [
                Query(
                    f"sum by (namespace, rollout, group) ({once('modelfleet_rollout_nodes_updated', OF)})"
                    f" / sum by (namespace, rollout, group) ({once('modelfleet_rollout_nodes', OF)})",
                    "{{namespace}}/{{rollout}} {{group}}",
                )
            ],
            unit="percentunit",
            min=0,
            max=1,
        ),
        states(
            "Verdicts of the gates",
            "The verdict that stands while a gate is active; gates and versions are on the board Model quality.",
            f"max by (namespace, rollout, verdict) (modelfleet_gate_verdict{{{OF}}} == 1)",
            row=("namespace", "rollout"),
            value="verdict",
            colors=_VERDICTS,
            width=12,
        ),
        table(
            "Versions",
            "The stable version of each Rollout, and the candidate while there is one.",
            Query(once("modelfleet_rollout_version_info", OF)),
            {"namespace": "Namespace", "rollout": "Rollout", "role": "Role", "version": "Version"},
            width=8,
        ),
        table(
            "Groups",
            "What each group's nodes should run, and how many there are.",
            Query(
                f"{once('modelfleet_rollout_group_version_info', OF)}"
                f" * on (namespace, rollout, group) group_left () {once('modelfleet_rollout_nodes', OF)}"
            ),
            {"namespace": "Namespace", "rollout": "Rollout", "group": "Group", "version": "Version", "Value": "Nodes"},
            width=8,
        ),
        table(
            "Conditions",
            "What is True of each Rollout, with its reason; docs/reasons.md says what to do.",
            Query(f"{once('modelfleet_rollout_condition', OF)} == 1"),
            {"namespace": "Namespace", "rollout": "Rollout", "type": "Condition", "reason": "Reason"},
            width=8,
        ),
        table(
            "Node by node",
            "What each node says it serves, and since when.",
            Query(f"modelfleet_model_loaded_timestamp_seconds{{{OF}}} * 1000 > 0"),
            {
                "namespace": "Namespace",
                "rollout": "Rollout",
                "group": "Group",
                "node": "Node",
                "version": "Version",
                "Value": "Loaded",
            },
            unit="dateTimeAsIso",
            width=24,
        ),
        row("Nodes at work"),
        timeseries(
            "Frames a second by node",
            "A node at 0 sees nothing: see the alert ModelfleetFramesStopped. " + at_most("with the fewest"),
            [
                Query(
                    of_nodes(
                        f"sum by (namespace, rollout, node) (rate(modelfleet_frames_total{{{OF}}}{RATE}))", least=True
                    ),
                    "{{node}} {{namespace}}/{{rollout}}",
                )
            ],
            unit="suffix:/s",
            min=0,
            width=8,
        ),
        timeseries(
            "Failed frames by node",
            "Share of the frames that could not be decoded, or on which inference failed. " + at_most("with the most"),
            [
                Query(
                    of_nodes(
                        f"sum by (namespace, rollout, node) (rate(modelfleet_frames_failed_total{{{OF}}}{RATE}))"
                        f" / sum by (namespace, rollout, node) (rate(modelfleet_frames_total{{{OF}}}{RATE}))"
                    ),
                    "{{node}} {{namespace}}/{{rollout}}",
                )
            ],
            unit="percentunit",
            min=0,
            width=8,
        ),
        timeseries(
            "Dropped frames by node",
            "Share of the frames that were due and never reached the model, because it was busy. "
            + at_most("with the most"),
            [
                Query(
                    of_nodes(
                        f"sum by (namespace, rollout, node) (rate(modelfleet_frames_dropped_total{{{OF}}}{RATE}))"
                        f" / (sum by (namespace, rollout, node) (rate(modelfleet_frames_total{{{OF}}}{RATE}))"
                        f" + sum by (namespace, rollout, node) (rate(modelfleet_frames_dropped_total{{{OF}}}{RATE})))"
                    ),
                    "{{node}} {{namespace}}/{{rollout}}",
                )
            ],
            unit="percentunit",
            min=0,
            width=8,
        ),
        timeseries(
            "Damaged frames by node",
            "Share of the frames that arrived which were left out because parts of them were lost on the way. "
            + at_most("with the most"),
            [Query(of_nodes(_left_out("damaged")), "{{node}} {{namespace}}/{{rollout}}")],
            unit="percentunit",
            min=0,
            width=6,
        ),
        timeseries(
            "Frozen frames by node",
            "Share of the frames that arrived which were left out because the picture stood still: the camera hangs. "
            + at_most("with the most"),
            [Query(of_nodes(_left_out("frozen")), "{{node}} {{namespace}}/{{rollout}}")],
            unit="percentunit",
            min=0,
            max=1,
            width=6,
        ),
        timeseries(
            "Lost sources by node",
            "Times that a camera or stream gave no frames and was opened again: unplugged, hung up, silent. "
            + at_most("with the most"),
            [
                Query(
                    of_nodes(
                        f"sum by (namespace, rollout, node) (increase(modelfleet_source_lost_total{{{OF}}}{RATE}))"
                    ),
                    "{{node}} {{namespace}}/{{rollout}}",
                )
            ],
            min=0,
            width=6,
        ),
        timeseries(
            "Inference time",
            "95th percentile by version: is the new one slower?",
            [
                Query(
                    "histogram_quantile(0.95, sum by (namespace, rollout, version, le)"
                    f" (rate(modelfleet_inference_seconds_bucket{{{OF}}}{RATE})))",
                    "{{namespace}}/{{rollout}} {{version}}",
                )
            ],
            unit="s",
            min=0,
            width=6,
        ),
    ],
    annotated=True,
)
