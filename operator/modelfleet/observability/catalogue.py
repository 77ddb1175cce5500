"""Every metric of modelfleet. docs/metrics.md has it as a table; dashboards, rules and alerts may name no others.

A new metric: add its row here and run `make observability`. A test compares the rows with what agent, trainer and
operator have in their registries: name, type and labels, in both directions.
"""

from collections.abc import Iterable

from modelfleet.observability.metric import DATASET, DRIFT, GATE, NODE, ROLLOUT, RUN, TRAINING, Metric

_AGENT = (
    Metric("modelfleet_frames_total", "counter", "frames", NODE, "frames taken from the source, failed ones included",
           "agent"),
    Metric("modelfleet_frames_failed_total", "counter", "frames", NODE,
           "frames that could not be decoded, or on which inference failed", "agent"),
    Metric("modelfleet_empty_frames_total", "counter", "frames", NODE, "frames on which the model detected nothing",
           "agent"),
    Metric("modelfleet_frames_dropped_total", "counter", "frames", NODE,
           "frames that were due and never reached the model because it was busy", "agent"),
    Metric("modelfleet_frames_damaged_total", "counter", "frames", NODE,
           "frames that were left out because parts of them were lost on the way", "agent"),
    Metric("modelfleet_frames_frozen_total", "counter", "frames", NODE,
           "frames that were left out because the picture of a live source stood still", "agent"),
    Metric("modelfleet_source_lost_total", "counter", "", NODE,
           "times that the source gave no frames and had to be opened again", "agent"),
    Metric("modelfleet_detections_total", "counter", "detections", (*NODE, "class"), "detections, by class", "agent"),
    Metric("modelfleet_detection_confidence", "histogram", "share", NODE, "confidence of each detection", "agent"),
    Metric("modelfleet_inference_seconds", "histogram", "seconds", NODE, "time from decoded frame to detections",
           "agent"),
    Metric("modelfleet_model_info", "gauge", "", (*NODE, "sha256", "backend"),
           "always 1; the labels say which model file is loaded, and what runs it", "agent"),
    Metric("modelfleet_model_loaded_timestamp_seconds", "gauge", "time", NODE,
           "when the model was loaded; 0 before that", "agent"),
    Metric("modelfleet_captured_frames_total", "counter", "frames", (*NODE, "reason"), "frames kept for labelling",
           "agent"),
    Metric("modelfleet_capture_dropped_total", "counter", "frames", NODE,
           "frames worth labelling that were not kept, for want of room or time", "agent"),
    Metric("modelfleet_capture_evicted_total", "counter", "captures", (*NODE, "reason"),
           "captures removed before they were sent, to make room", "agent"),
    Metric("modelfleet_capture_duplicates_total", "counter", "frames", (*NODE, "reason"),
           "frames that a rule skipped because it had kept their like", "agent"),
    Metric("modelfleet_capture_paused", "gauge", "", (*NODE, "cause"), "1 while nothing is captured, for this cause",
           "agent"),
    Metric("modelfleet_capture_settings_invalid", "gauge", "", NODE,
           "1 while the settings file can't be used and the last good ones stay in force", "agent",
           also=("upload",)),
)  # fmt: skip

_UPLOAD = (
    Metric("modelfleet_capture_spool_bytes", "gauge", "bytes", (*NODE, "reason"),
           "captures that wait to be sent, and (reason _refused) those set aside", "upload"),
    Metric("modelfleet_capture_oldest_seconds", "gauge", "seconds", NODE,
           "age of the oldest capture that waits to be sent; 0 when none does", "upload"),
    Metric("modelfleet_capture_uploaded_total", "counter", "captures", (*NODE, "reason"),
           "captures that the store took", "upload"),
    Metric("modelfleet_capture_upload_failed_total", "counter", "", (*NODE, "cause"),
           "tries to send a capture that failed, by cause", "upload"),
    Metric("modelfleet_capture_refused_total", "counter", "captures", (*NODE, "cause"),
           "captures set aside because they can't be sent, by cause", "upload"),
    Metric("modelfleet_capture_refused_removed_total", "counter", "captures", NODE,
           "captures that had been set aside and were removed for room", "upload"),
)  # fmt: skip

_TRAINER = (
    Metric("modelfleet_training_epoch", "gauge", "", RUN, "epochs that are done", "trainer"),
    Metric("modelfleet_training_epochs", "gauge", "", RUN, "epochs in all, where the run does not stop early",
           "trainer"),
    Metric("modelfleet_training_best_epoch", "gauge", "", RUN, "the best epoch so far", "trainer"),
    Metric("modelfleet_training_images_per_second", "gauge", "images/s", RUN,
           "images trained on in a second, on all GPUs together", "trainer"),
    Metric("modelfleet_training_data_loading_ratio", "gauge", "share", RUN,
           "share of the training's time spent waiting for images", "trainer"),
    Metric("modelfleet_training_gpu_memory_bytes", "gauge", "bytes", RUN,
           "the most memory of the first GPU that torch has reserved", "trainer"),
    Metric("modelfleet_training_figure", "gauge", "", (*RUN, "figure"),
           "a figure of the newest epoch: map50, box_loss and others", "trainer"),
)  # fmt: skip

_GATES = (
    Metric("modelfleet_gate_estimate", "gauge", "", (*GATE, "endpoint"),
           "canary beside control: difference of expected precision (`precision`), relative change of expected true "
           "detections per frame (`detections`)", "operator"),
    Metric("modelfleet_gate_interval_lower", "gauge", "", (*GATE, "endpoint"),
           "lower bound of the estimate; none by Threshold", "operator"),
    Metric("modelfleet_gate_interval_upper", "gauge", "", (*GATE, "endpoint"),
           "upper bound of the estimate; none by Threshold", "operator"),
    Metric("modelfleet_gate_margin", "gauge", "", (*GATE, "endpoint"), "the loss that is still no worse", "operator"),
    Metric("modelfleet_gate_verdict", "gauge", "", (*GATE, "verdict"),
           "1 for the verdict that stands, 0 for the others", "operator"),
    Metric("modelfleet_gate_nodes", "gauge", "nodes", (*GATE, "side"), "nodes whose figures are used", "operator"),
    Metric("modelfleet_gate_nodes_set_aside", "gauge", "nodes", (*GATE, "side"),
           "nodes that were seen and are not used", "operator"),
    Metric("modelfleet_gate_detections", "gauge", "detections", GATE,
           "detections of the canary nodes since the gate's start", "operator"),
    Metric("modelfleet_gate_looks", "gauge", "", GATE, "looks at the metrics so far", "operator"),
    Metric("modelfleet_gate_start_timestamp_seconds", "gauge", "time", GATE, "the gate's start", "operator"),
)  # fmt: skip

_DRIFT = (
    Metric("modelfleet_drift_change", "gauge", "", (*DRIFT, "signal"),
           "change of the median node against its own baseline; of reviewed signals: the figure", "operator"),
    Metric("modelfleet_drift_threshold", "gauge", "", (*DRIFT, "signal"),
           "the change from which on a node counts as drifted; of reviewed signals: the minimum", "operator"),
    Metric("modelfleet_drift_state", "gauge", "", (*DRIFT, "state"),
           "1 for the state of the watch, 0 for the others", "operator"),
    Metric("modelfleet_drift_nodes", "gauge", "nodes", DRIFT, "nodes with figures and a baseline", "operator"),
    Metric("modelfleet_drift_nodes_down", "gauge", "nodes", DRIFT, "nodes that have drifted", "operator"),
    Metric("modelfleet_drift_look_timestamp_seconds", "gauge", "time", DRIFT,
           "end of the newest figures that were looked at", "operator"),
)  # fmt: skip

_JUDGED = (*DATASET, "version")  # the version of the model that people have judged
_JUDGED_CLASS = (*_JUDGED, "class")

_OBJECTS = (
    Metric("modelfleet_rollout_condition", "gauge", "", (*ROLLOUT, "type", "reason"),
           "1 while a condition is True, else 0", "operator"),
    Metric("modelfleet_rollout_version_info", "gauge", "", (*ROLLOUT, "role", "version"),
           "always 1: the `stable` and the `candidate` version", "operator"),
    Metric("modelfleet_rollout_group_version_info", "gauge", "", (*ROLLOUT, "group", "version"),
           "always 1: the version that a group's nodes should run", "operator"),
    Metric("modelfleet_rollout_nodes", "gauge", "nodes", (*ROLLOUT, "group"), "nodes that belong to a group",
           "operator"),
    Metric("modelfleet_rollout_nodes_updated", "gauge", "nodes", (*ROLLOUT, "group"),
           "nodes of a group with a pod of the revision that it should run", "operator"),
    Metric("modelfleet_rollout_nodes_ready", "gauge", "nodes", (*ROLLOUT, "group"),
           "nodes of a group with a ready pod of the revision that it should run", "operator"),
    Metric("modelfleet_rollout_nodes_unreachable", "gauge", "nodes", (*ROLLOUT, "group"),
           "nodes of a group that are out of reach", "operator"),
    Metric("modelfleet_rollout_end_timestamp_seconds", "gauge", "time", (*ROLLOUT, "version", "result"),
           "when a version's last rollout ended so (of the newest ten)", "operator"),
    Metric("modelfleet_rollout_quarantined_timestamp_seconds", "gauge", "time", (*ROLLOUT, "version", "cause"),
           "since when a version is in quarantine", "operator"),
    Metric("modelfleet_rollout_replay_end_timestamp_seconds", "gauge", "time", (*ROLLOUT, "version", "result"),
           "when the last replay ended so: `Replayed` or `Failed`", "operator"),
    Metric("modelfleet_rollout_replay_agreement_ratio", "gauge", "share", (*ROLLOUT, "stable", "version"),
           "share of boxes that both versions found in the last replay", "operator"),
    Metric("modelfleet_rollout_replay_disagreements", "gauge", "frames", (*ROLLOUT, "stable", "version"),
           "frames on which the versions differ in the last replay", "operator"),
    Metric("modelfleet_trainingjob_condition", "gauge", "", (*TRAINING, "type", "reason"),
           "1 while a condition is True, else 0", "operator"),
    Metric("modelfleet_trainingjob_end_timestamp_seconds", "gauge", "time", (*TRAINING, "model", "result"),
           "when a TrainingJob ended so: `Complete` or `Failed`", "operator"),
    Metric("modelfleet_dataset_waiting", "gauge", "captures", DATASET, "captures that nobody was asked about yet",
           "operator"),
    Metric("modelfleet_dataset_in_review", "gauge", "captures", DATASET,
           "captures that somebody was asked about, and has not answered", "operator"),
    Metric("modelfleet_dataset_reviewed", "gauge", "images", DATASET, "images with reviewed labels", "operator"),
    Metric("modelfleet_dataset_pending", "gauge", "images", DATASET, "reviewed images that are in no version yet",
           "operator"),
    Metric("modelfleet_dataset_edited_ratio", "gauge", "share", DATASET,
           "share of the reviewed images on which somebody changed something", "operator"),
    Metric("modelfleet_dataset_latest_version", "gauge", "", DATASET, "number of the newest dataset version",
           "operator"),
    Metric("modelfleet_dataset_latest_images", "gauge", "images", DATASET, "images in the newest version", "operator"),
    Metric("modelfleet_dataset_latest_timestamp_seconds", "gauge", "time", DATASET, "when the newest version was made",
           "operator"),
    Metric("modelfleet_dataset_sync_timestamp_seconds", "gauge", "time", DATASET, "when the last sync ended",
           "operator"),
    Metric("modelfleet_dataset_sync_failures", "gauge", "", DATASET,
           "syncs that failed in a row; 0: the last one succeeded", "operator"),
    Metric("modelfleet_dataset_review_frames", "gauge", "frames", _JUDGED, "reviewed frames of the random sample",
           "operator"),
    Metric("modelfleet_dataset_review_precision", "gauge", "share", _JUDGED,
           "share of detections in production that are right", "operator"),
    Metric("modelfleet_dataset_review_precision_low", "gauge", "share", _JUDGED,
           "lower end of its interval of 95%", "operator"),
    Metric("modelfleet_dataset_review_precision_high", "gauge", "share", _JUDGED,
           "upper end of its interval of 95%", "operator"),
    Metric("modelfleet_dataset_review_recall", "gauge", "share", _JUDGED,
           "share of objects in production that are found", "operator"),
    Metric("modelfleet_dataset_review_recall_low", "gauge", "share", _JUDGED, "lower end of its interval of 95%",
           "operator"),
    Metric("modelfleet_dataset_review_recall_high", "gauge", "share", _JUDGED, "upper end of its interval of 95%",
           "operator"),
    Metric("modelfleet_dataset_review_class_precision", "gauge", "share", _JUDGED_CLASS,
           "share of detections of a class in production that are right", "operator"),
    Metric("modelfleet_dataset_review_class_precision_low", "gauge", "share", _JUDGED_CLASS,
           "lower end of its interval of 95%", "operator"),
    Metric("modelfleet_dataset_review_class_precision_high", "gauge", "share", _JUDGED_CLASS,
           "upper end of its interval of 95%", "operator"),
    Metric("modelfleet_dataset_review_class_recall", "gauge", "share", _JUDGED_CLASS,
           "share of objects of a class in production that are found", "operator"),
    Metric("modelfleet_dataset_review_class_recall_low", "gauge", "share", _JUDGED_CLASS,
           "lower end of its interval of 95%", "operator"),
    Metric("modelfleet_dataset_review_class_recall_high", "gauge", "share", _JUDGED_CLASS,
           "upper end of its interval of 95%", "operator"),
)  # fmt: skip

_OPERATOR = (
    Metric("modelfleet_operator_reconcile_total", "counter", "", ("kind", "result"), "reconciles that ended",
           "operator"),
    Metric("modelfleet_operator_reconcile_seconds", "histogram", "seconds", ("kind",), "time one reconcile took",
           "operator"),
    Metric("modelfleet_operator_reconcile_errors_total", "counter", "", ("kind", "error"), "reconciles that failed",
           "operator"),
    Metric("modelfleet_operator_status_writes_total", "counter", "", ("kind",), "statuses written", "operator"),
    Metric("modelfleet_operator_actions_total", "counter", "", ("kind", "action"), "actions carried out", "operator"),
    Metric("modelfleet_operator_queue_depth", "gauge", "", ("kind",), "objects that wait for a worker", "operator"),
    Metric("modelfleet_operator_queue_seconds", "histogram", "seconds", ("kind",), "time objects waited for a worker",
           "operator"),
    Metric("modelfleet_operator_queue_retries_total", "counter", "", ("kind",), "objects put back after a failure",
           "operator"),
    Metric("modelfleet_operator_failing_objects", "gauge", "", ("kind",), "objects whose last reconcile failed",
           "operator"),
    Metric("modelfleet_operator_api_requests_total", "counter", "", ("verb", "resource", "code"), "API requests",
           "operator"),
    Metric("modelfleet_operator_api_request_seconds", "histogram", "seconds", ("verb",), "time API requests took",
           "operator"),
    Metric("modelfleet_operator_prometheus_queries_total", "counter", "", ("provider", "result"),
           "queries to Prometheus: `Samples`, `NoData`, `ProviderDown`, `BadQuery`", "operator"),
    Metric("modelfleet_operator_watch_lists_total", "counter", "", ("resource",), "lists made by the watch streams",
           "operator"),
    Metric("modelfleet_operator_resyncs_total", "counter", "", ("reason",), "full lists compared with the store",
           "operator"),
    Metric("modelfleet_operator_missed_changes_total", "counter", "", ("kind",),
           "changes found only by a resync after start-up", "operator"),
    Metric("modelfleet_operator_store_objects", "gauge", "", ("kind",), "objects in the store", "operator"),
    Metric("modelfleet_operator_gate_verdicts_total", "counter", "", ("verdict",),
           "verdicts that gates came to, each time they change", "operator"),
    Metric("modelfleet_operator_ready", "gauge", "", (),
           "1 while the store is in sync and workers run, or would if this one led", "operator"),
    Metric("modelfleet_operator_leader", "gauge", "", (), "1 while this operator works; 0 while it stands by",
           "operator"),
    Metric("modelfleet_operator_notifications_sent_total", "counter", "", ("endpoint",),
           "notifications that a receiver took", "operator"),
    Metric("modelfleet_operator_notification_failures_total", "counter", "", ("endpoint", "cause"),
           "tries to notify that failed, by cause: `timeout`, `unreachable`, `configuration`, `http_503` and the like",
           "operator"),
    Metric("modelfleet_operator_notifications_lost_total", "counter", "", ("endpoint", "cause"),
           "notifications given up: `refused`, `expired`, `queue_full`", "operator"),
    Metric("modelfleet_operator_notifications_waiting", "gauge", "", ("endpoint",),
           "notifications that are not delivered yet", "operator"),
    Metric("modelfleet_operator_notification_outbox_errors_total", "counter", "", (),
           "writes to the outbox of notifications that failed", "operator"),
    Metric("modelfleet_operator_build_info", "gauge", "", ("version", "python"),
           "always 1; the labels tell the version", "operator"),
)  # fmt: skip

CATALOGUE: tuple[Metric, ...] = (*_AGENT, *_UPLOAD, *_TRAINER, *_OBJECTS, *_GATES, *_DRIFT, *_OPERATOR)
SERIES = {series: metric for metric in CATALOGUE for series in metric.series}
"""By the names that queries have."""

_TITLES = {
    "agent": "A node's application (the reference agent)",
    "upload": "The upload of captures, beside the application",
    "trainer": "The trainer, while it trains",
    "operator": "The operator",
}
BEGIN = "<!-- Generated by `make observability` from operator/modelfleet/observability/catalogue.py. Do not edit. -->\n"
END = "<!-- end -->\n"


def tables(metrics: Iterable[Metric] = CATALOGUE) -> str:
    """What stands between BEGIN and END in docs/metrics.md."""
    found = list(metrics)
    return "\n".join(_table(title, [m for m in found if by in (m.by, *m.also)]) for by, title in _TITLES.items())


def page(now: str) -> str:
    """docs/metrics.md with its tables as they should be. Raises ValueError where the page has no marks."""
    head, begin, rest = now.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/metrics.md must have the lines {BEGIN.strip()!r} and {END.strip()!r}")
    return f"{head}{BEGIN}\n{tables()}\n{END}{tail}"


def _table(title: str, metrics: Iterable[Metric]) -> str:
    rows = "".join(
        f"| `{m.name}` | {m.type} | {m.unit} | {', '.join(f'`{label}`' for label in m.labels)} | {m.meaning} |\n"
        for m in metrics
    )
    return f"### {title}\n\n| metric | type | unit | labels | is |\n|---|---|---|---|---|\n{rows}"
