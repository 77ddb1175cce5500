"""Capture and labels: what is kept, what reaches the store, and what people have said about it."""

from modelfleet.observability.board import FLEET, MOST_NODES, RATE, at_most, board, of_nodes, once
from modelfleet.observability.panels import Query, row, stat, table, timeseries

OF = 'namespace=~"$namespace",rollout=~"$rollout"'
_DATASET = 'namespace=~"$namespace"'


BOARD = board(
    "capture",
    "Capture and labels",
    "Frames that are kept for labelling, on their way to the store, to people, and into dataset versions.",
    FLEET,
    [
        stat(
            "Kept in the range",
            "Frames that were kept for labelling in the time that is shown.",
            Query(f"sum(increase(modelfleet_captured_frames_total{{{OF}}}[$__range]))"),
            unit="none",
            decimals=0,
        ),
        stat(
            "Sent in the range",
            "Captures that the store took.",
            Query(f"sum(increase(modelfleet_capture_uploaded_total{{{OF}}}[$__range]))"),
            unit="none",
            decimals=0,
        ),
        stat(
            "Lost in the range",
            "Frames worth keeping that were not kept, and captures that were removed before they were sent, those set "
            "aside included.",
            Query(
                f"sum(increase(modelfleet_capture_dropped_total{{{OF}}}[$__range]))"
                f" + (sum(increase(modelfleet_capture_evicted_total{{{OF}}}[$__range])) or vector(0))"
                f" + (sum(increase(modelfleet_capture_refused_removed_total{{{OF}}}[$__range])) or vector(0))"
            ),
            unit="none",
            decimals=0,
            steps=((None, "green"), (1, "orange")),
        ),
        stat(
            "Waiting on the nodes",
            "Bytes in the spools, those set aside left out.",
            Query(f'sum(modelfleet_capture_spool_bytes{{{OF},reason!="_refused"}})'),
            unit="bytes",
        ),
        stat(
            "Oldest capture",
            "How long the oldest one has waited to be sent.",
            Query(f"max(modelfleet_capture_oldest_seconds{{{OF}}})"),
            unit="s",
            steps=((None, "green"), (3600, "orange"), (86400, "red")),
        ),
        stat(
            "Invalid settings",
            "Nodes that don't understand their settings and go by the last good ones.",
            Query(f"sum(max by (namespace, rollout, node) (modelfleet_capture_settings_invalid{{{OF}}}))"),
            steps=((None, "green"), (1, "red")),
        ),
        row("On the nodes"),
        timeseries(
            "Kept by reason",
            "Frames kept per hour; the reason is the rule's name, or sample.",
            [Query(f"sum by (reason) (rate(modelfleet_captured_frames_total{{{OF}}}{RATE})) * 3600", "{{reason}}")],
            unit="suffix:/h",
            stacked="normal",
            width=8,
        ),
        timeseries(
            "Not kept",
            "Dropped: no room, no time, or an error of the disk. Evicted: removed before they were sent. "
            "Alike: the rule had kept their like. Removed: had been set aside, and went for room.",
            [
                Query(f"sum(rate(modelfleet_capture_dropped_total{{{OF}}}{RATE})) * 3600", "dropped"),
                Query(f"sum(rate(modelfleet_capture_evicted_total{{{OF}}}{RATE})) * 3600", "evicted"),
                Query(f"sum(rate(modelfleet_capture_duplicates_total{{{OF}}}{RATE})) * 3600", "alike"),
                Query(f"sum(rate(modelfleet_capture_refused_removed_total{{{OF}}}{RATE})) * 3600", "removed"),
            ],
            unit="suffix:/h",
            min=0,
            width=8,
        ),
        timeseries(
            "Paused",
            "Nodes on which nothing is captured although there are settings, by cause.",
            [Query(f"sum by (cause) (modelfleet_capture_paused{{{OF}}})", "{{cause}}")],
            min=0,
            soft_max=1,
            width=8,
        ),
        row("On the way to the store"),
        timeseries(
            "Spool by node",
            "Bytes that wait, those set aside included. " + at_most("with the most"),
            [
                Query(
                    f"sum by (node) (modelfleet_capture_spool_bytes{{{OF}}}) and topk({MOST_NODES},"
                    f" sum by (node) (max_over_time(modelfleet_capture_spool_bytes{{{OF}}}[$__range] @ end())))",
                    "{{node}}",
                )
            ],
            unit="bytes",
            min=0,
            width=8,
        ),
        timeseries(
            "Sent",
            "Captures that the store took per hour, by node. " + at_most("that sent the most"),
            [
                Query(
                    of_nodes(f"sum by (node) (rate(modelfleet_capture_uploaded_total{{{OF}}}{RATE})) * 3600"),
                    "{{node}}",
                )
            ],
            unit="suffix:/h",
            min=0,
            width=8,
        ),
        timeseries(
            "Failed tries",
            "Tries that failed, and captures that were set aside, per hour, by cause.",
            [
                Query(
                    f"sum by (cause) (rate(modelfleet_capture_upload_failed_total{{{OF}}}{RATE})) * 3600", "{{cause}}"
                ),
                Query(
                    f"sum by (cause) (rate(modelfleet_capture_refused_total{{{OF}}}{RATE})) * 3600",
                    "set aside: {{cause}}",
                ),
            ],
            unit="suffix:/h",
            min=0,
            width=8,
        ),
        row("Labels"),
        timeseries(
            "Captures and people",
            "Captures nobody was asked about yet, those in review, those reviewed, and of these those in no version.",
            [
                Query(once("modelfleet_dataset_waiting", _DATASET), "{{namespace}}/{{dataset}} waiting"),
                Query(once("modelfleet_dataset_in_review", _DATASET), "{{namespace}}/{{dataset}} in review"),
                Query(once("modelfleet_dataset_reviewed", _DATASET), "{{namespace}}/{{dataset}} reviewed"),
                Query(once("modelfleet_dataset_pending", _DATASET), "{{namespace}}/{{dataset}} pending"),
            ],
            min=0,
            width=8,
        ),
        timeseries(
            "Reviewed frames of the random sample",
            "By the version that was judged. Precision and recall on them are on the board Model quality.",
            [Query(once("modelfleet_dataset_review_frames", _DATASET), "{{namespace}}/{{dataset}} {{version}}")],
            min=0,
            width=8,
        ),
        timeseries(
            "Corrected by people",
            "Share of reviewed images on which somebody changed something. Near 0: are they looked at?",
            [Query(once("modelfleet_dataset_edited_ratio", _DATASET), "{{namespace}}/{{dataset}}")],
            unit="percentunit",
            min=0,
            max=1,
            width=8,
        ),
        row("Dataset versions"),
        table(
            "Newest versions",
            "The number of each Dataset's newest version.",
            Query(once("modelfleet_dataset_latest_version", _DATASET)),
            {"namespace": "Namespace", "dataset": "Dataset", "model": "Model", "Value": "Version"},
            width=9,
        ),
        timeseries(
            "Images in the newest version",
            "Images that trainings may use.",
            [Query(once("modelfleet_dataset_latest_images", _DATASET), "{{namespace}}/{{dataset}}")],
            min=0,
            width=5,
        ),
        timeseries(
            "Age of version and sync",
            "Since the newest version was made, and since the last sync ended.",
            [
                Query(
                    f"time() - {once('modelfleet_dataset_latest_timestamp_seconds', _DATASET)}",
                    "{{namespace}}/{{dataset}} version",
                ),
                Query(
                    f"time() - {once('modelfleet_dataset_sync_timestamp_seconds', _DATASET)}",
                    "{{namespace}}/{{dataset}} sync",
                ),
            ],
            unit="s",
            min=0,
            width=5,
        ),
        timeseries(
            "Failed syncs",
            "Syncs of a Dataset that failed in a row; 0: the last one succeeded.",
            [Query(once("modelfleet_dataset_sync_failures", _DATASET), "{{namespace}}/{{dataset}}")],
            min=0,
            soft_max=1,
            width=5,
        ),
    ],
)
