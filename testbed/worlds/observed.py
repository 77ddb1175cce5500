"""A day of a fleet as every part of modelfleet shows it: what dashboards are tried on, with a real Prometheus.

Series are made from the catalogue of metrics, so that a name or a label that nobody exports can't be written; that the
catalogue is what is exported is another test. The story, by hours before the end:

    26   v1 became stable on all nodes of Rollout factory/line: n1 and n2 (canary), n3 to n6 (fleet)
    16   the camera of n4 hangs for an hour: the same picture again and again. That of n6 loses packets all day
         and hangs up now and then
    12   the camera of n5 gets dirty: its detections get less and less sure; the watch for drift sees it at last
    10   v2 on the canary nodes; it finds less, fails its gate after three hours, and is rolled back
     6   parts-v3 is trained for two hours; parts-v4 failed an hour ago
     3   v3 on the canary nodes; not decided yet
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelfleet.observability.catalogue import CATALOGUE
from modelfleet.observability.metric import Metric
from worlds.recording import EQUAL, START, TIMID

Array = NDArray[np.float64]

LENGTH = timedelta(hours=28)
END = START + LENGTH
SCRAPE = timedelta(minutes=2)
NODES = {"n1": "canary", "n2": "canary", "n3": "fleet", "n4": "fleet", "n5": "fleet", "n6": "fleet"}
CLASSES = {"bolt": 0.5, "nut": 0.35, "washer": 0.15}
CONFIDENCES = ("0.25", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.85", "0.9", "0.95", "1.0", "+Inf")
SECONDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf")

_BY_NAME = {metric.name: metric for metric in CATALOGUE}
_MIDDLES = np.array([0.2, 0.28, 0.35, 0.45, 0.55, 0.65, 0.75, 0.83, 0.88, 0.93, 0.98, 1.0])
_RATE = 0.2  # frames a second
_ADDED = {"agent": {"namespace", "pod"}, "upload": {"namespace", "pod"}, "trainer": {"namespace", "pod"}}


class Recorder:
    """Collects samples and writes them as OpenMetrics."""

    def __init__(self) -> None:
        self._lines: defaultdict[str, list[str]] = defaultdict(list)
        self.times = np.arange(0, LENGTH.total_seconds(), SCRAPE.total_seconds())

    def hours(self, before_end: float, until: float = 0.0) -> NDArray[np.bool_]:
        """Which samples are between so many hours before the end, and so many."""
        left = (LENGTH.total_seconds() - self.times) / 3600
        return np.asarray((left <= before_end) & (left > until))

    def add(self, name: str, labels: Mapping[str, str], values: Array | float, when: NDArray[np.bool_] | None = None):
        """One series of a counter or gauge. Raises ValueError for labels that its exporter does not set."""
        metric = self._metric(name, labels)
        self._write(metric.name, metric.name, labels, values, when)

    def add_histogram(
        self, name: str, labels: Mapping[str, str], counts: Array, edges: tuple[str, ...], middles: Array,
        when: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        """One histogram: `counts` (time, bucket) of all time."""
        self._metric(name, labels)
        for index, edge in enumerate(edges):
            cumulative = counts[:, : index + 1].sum(axis=1)
            self._write(name, f"{name}_bucket", {**labels, "le": edge}, cumulative, when)
        self._write(name, f"{name}_count", labels, counts.sum(axis=1), when)
        self._write(name, f"{name}_sum", labels, counts @ middles, when)

    def write(self, path: Path) -> None:
        """The recording, for `worlds.recording.serve`."""
        with path.open("w", encoding="utf-8") as out:
            for name, lines in self._lines.items():
                out.write(f"# TYPE {name.removesuffix('_total')} {_BY_NAME[name].type}\n")
                out.writelines(lines)
            out.write("# EOF\n")

    def _metric(self, name: str, labels: Mapping[str, str]) -> Metric:
        metric = _BY_NAME[name]
        expected = {*metric.labels, *_ADDED.get(metric.by, {"job"})}
        if labels.keys() != expected:
            raise ValueError(f"{name} has the labels {sorted(expected)}, not {sorted(labels)}")
        return metric

    def _write(
        self, family: str, series: str, labels: Mapping[str, str], values: Array | float, when: NDArray[np.bool_] | None
    ) -> None:
        text = ",".join(f'{name}="{value}"' for name, value in labels.items())
        all_values = np.broadcast_to(np.asarray(values, dtype=float), self.times.shape)
        chosen = np.ones(self.times.shape, dtype=bool) if when is None else when
        self._lines[family] += [
            f"{series}{{{text}}} {value:.10g} {START.timestamp() + second:.0f}\n"
            for second, value in zip(self.times[chosen], all_values[chosen], strict=True)
        ]


def record(path: Path) -> None:
    """Write the whole story to `path`."""
    recorder = Recorder()
    for number, (node, group) in enumerate(NODES.items()):
        for version, when in _served(recorder, group):
            _node(recorder, node, group, version, when, np.random.default_rng([number, *version.encode()]))
    _rollout(recorder)
    _gates(recorder)
    _drift(recorder)
    _trainings(recorder)
    _operator(recorder)
    _notifications(recorder)
    _datasets(recorder)
    recorder.write(path)


def _served(recorder: Recorder, group: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if group == "fleet":
        yield "v1", recorder.hours(28)
    else:
        yield "v1", recorder.hours(28, 10) | recorder.hours(7, 3)
        yield "v2", recorder.hours(10, 7)
        yield "v3", recorder.hours(3)


def _node(
    recorder: Recorder, node: str, group: str, version: str, when: NDArray[np.bool_], random: np.random.Generator
) -> None:
    of = {
        "namespace": "factory", "pod": f"line-{node}", "rollout": "line", "group": group, "node": node,
        "model": "parts", "version": version,
    }  # fmt: skip
    left = (LENGTH.total_seconds() - recorder.times) / 3600
    arrived = random.poisson(_RATE * SCRAPE.total_seconds(), recorder.times.shape) * when
    frozen = np.where(recorder.hours(16, 15) & (node == "n4"), arrived, 0)
    damaged = random.binomial(arrived - frozen, 0.03 if node == "n6" else 0)
    frames = arrived - frozen - damaged
    light = 1 + 0.4 * np.sin(2 * np.pi * left / 24)
    found = {"v1": 2.0, "v2": 1.3, "v3": 2.1}[version] * light
    dirt = np.clip((12 - left) / 12, 0, 1) if node == "n5" else np.zeros_like(left)
    mix = np.outer(1 - dirt, EQUAL) + np.outer(dirt, TIMID)
    counts = random.poisson(mix * (found * frames)[:, None]) * when[:, None]
    empty = random.binomial(frames, np.exp(-found))

    def total(values: Array) -> Array:
        return np.asarray(np.cumsum(values, axis=0), dtype=float)

    failed = random.binomial(frames, 0.03 if node == "n3" else 0.002)
    for name, values in (
        ("frames", frames), ("frames_failed", failed), ("empty_frames", empty),
        ("frames_damaged", damaged), ("frames_frozen", frozen), ("frames_dropped", random.binomial(frames, 0.01)),
        ("capture_dropped", random.poisson(0.01, frames.shape)),
        ("source_lost", random.poisson(0.002 if node == "n6" else 0, frames.shape) * when),
    ):  # fmt: skip
        recorder.add(f"modelfleet_{name}_total", of, total(values), when)
    for name, share in CLASSES.items():
        recorder.add("modelfleet_detections_total", {**of, "class": name}, total(counts.sum(axis=1) * share), when)
    recorder.add_histogram("modelfleet_detection_confidence", of, total(counts), CONFIDENCES, _MIDDLES, when)
    _histogram(recorder, "modelfleet_inference_seconds", of, total(frames), 0.012 if version == "v1" else 0.018, when)
    recorder.add("modelfleet_model_info", {**of, "sha256": version * 8, "backend": "onnxruntime"}, 1, when)
    loaded = START.timestamp() + float(recorder.times[when][0])
    recorder.add("modelfleet_model_loaded_timestamp_seconds", of, loaded, when)
    _captures(recorder, of, when, random, total)


def _captures(
    recorder: Recorder, of: dict[str, str], when: NDArray[np.bool_], random: np.random.Generator,
    total: Callable[[Array], Array],
) -> None:  # fmt: skip
    offline = recorder.hours(9, 5) if of["node"] == "n4" else recorder.hours(0)
    for reason, rate in (("sample", 0.2), ("unsure", 0.6 if of["node"] == "n5" else 0.3)):
        kept = random.poisson(rate, recorder.times.shape) * when
        sent = np.where(offline, 0, kept)
        by = {**of, "reason": reason}
        recorder.add("modelfleet_captured_frames_total", by, total(kept), when)
        recorder.add("modelfleet_capture_uploaded_total", by, total(sent), when)
        recorder.add("modelfleet_capture_evicted_total", by, total(random.poisson(0.02, kept.shape) * offline), when)
        recorder.add("modelfleet_capture_duplicates_total", by, total(random.poisson(0.1, kept.shape)), when)
        recorder.add("modelfleet_capture_spool_bytes", by, 9e4 * np.cumsum(kept * offline) * offline + 2e5, when)
    for cause, values in (("Unreachable", offline), ("AccessDenied", np.zeros_like(offline))):
        by = {**of, "cause": cause}
        recorder.add("modelfleet_capture_upload_failed_total", by, total(values.astype(float)), when)
        recorder.add("modelfleet_capture_refused_total", by, 0, when)
    recorder.add("modelfleet_capture_paused", {**of, "cause": "FreeSpace"}, 0, when)
    recorder.add("modelfleet_capture_oldest_seconds", of, np.cumsum(offline) * 120.0 * offline + 5, when)
    recorder.add("modelfleet_capture_refused_removed_total", of, 0, when)
    recorder.add("modelfleet_capture_settings_invalid", of, 0, when)


def _rollout(recorder: Recorder) -> None:
    of = {"job": "modelfleet", "namespace": "factory", "rollout": "line"}
    moving = recorder.hours(10, 7) | recorder.hours(3)
    recorder.add("modelfleet_rollout_version_info", {**of, "role": "stable", "version": "v1"}, 1)
    for version, when in (("v2", recorder.hours(10, 7)), ("v3", recorder.hours(3))):
        recorder.add("modelfleet_rollout_version_info", {**of, "role": "candidate", "version": version}, 1, when)
    for reason, when in (
        ("Promoted", ~moving & ~recorder.hours(7, 3)), ("Soaking", moving), ("RolledBack", recorder.hours(7, 3)),
    ):  # fmt: skip
        ready = {**of, "type": "Ready", "reason": reason}
        recorder.add("modelfleet_rollout_condition", ready, float(reason == "Promoted"), when)
    recorder.add("modelfleet_rollout_condition", {**of, "type": "Reconciling", "reason": "Soaking"}, 1, moving)
    stalled = {**of, "type": "Stalled", "reason": "RolledBack"}
    recorder.add("modelfleet_rollout_condition", stalled, 1, recorder.hours(7, 3))
    for group, nodes in (("canary", 2.0), ("fleet", 4.0)):
        at = {**of, "group": group}
        begins = recorder.hours(10, 9.9) | recorder.hours(7, 6.9) | recorder.hours(3, 2.9)
        updated = np.where(begins & (group == "canary"), 1.0, nodes)
        recorder.add("modelfleet_rollout_nodes", at, nodes)
        recorder.add("modelfleet_rollout_nodes_updated", at, updated)
        recorder.add("modelfleet_rollout_nodes_ready", at, updated)
        recorder.add("modelfleet_rollout_nodes_unreachable", at, 0)
        for version, when in _served(recorder, group):
            recorder.add("modelfleet_rollout_group_version_info", {**at, "version": version}, 1, when)
    ended = {**of, "version": "v1", "result": "Promoted"}
    recorder.add("modelfleet_rollout_end_timestamp_seconds", ended, END.timestamp() - 26 * 3600, recorder.hours(26))
    failed = {**of, "version": "v2", "cause": "GateFailed"}
    since = END.timestamp() - 7 * 3600
    recorder.add("modelfleet_rollout_quarantined_timestamp_seconds", failed, since, recorder.hours(7))
    for version, agreement, differing, after in (
        ("v2", 0.71, 83, recorder.hours(10.2, 3.2)), ("v3", 0.93, 21, recorder.hours(3.2)),
    ):  # fmt: skip
        ended = {**of, "version": version, "result": "Replayed"}
        finished = START.timestamp() + float(recorder.times[after][0])
        recorder.add("modelfleet_rollout_replay_end_timestamp_seconds", ended, finished, after)
        pair = {**of, "stable": "v1", "version": version}
        recorder.add("modelfleet_rollout_replay_agreement_ratio", pair, agreement, after)
        recorder.add("modelfleet_rollout_replay_disagreements", pair, differing, after)


def _gates(recorder: Recorder) -> None:
    for version, since, until, losses in (
        ("v2", 10.0, 7.0, {"precision": -0.01, "detections": -0.34}),
        ("v3", 3.0, 0.0, {"precision": 0.004, "detections": 0.03}),
    ):
        of = {"job": "modelfleet", "namespace": "factory", "rollout": "line", "group": "canary", "version": version}
        when = recorder.hours(since, until)
        spent = np.clip(since - (LENGTH.total_seconds() - recorder.times) / 3600, 0.05, None)
        for endpoint, loss in losses.items():
            by, width = {**of, "endpoint": endpoint}, (0.05 if endpoint == "precision" else 0.2) / np.sqrt(spent)
            wobble = width / 3 * np.sin(5 * spent)
            recorder.add("modelfleet_gate_estimate", by, loss + wobble, when)
            recorder.add("modelfleet_gate_interval_lower", by, loss + wobble - width, when)
            recorder.add("modelfleet_gate_interval_upper", by, loss + wobble + width, when)
            recorder.add("modelfleet_gate_margin", by, 0.03 if endpoint == "precision" else 0.1, when)
        for verdict in ("Pass", "Fail", "Inconclusive", "NoData", "ProviderDown"):
            stands = np.where(spent < 0.3, verdict == "NoData", verdict == "Inconclusive").astype(float)
            recorder.add("modelfleet_gate_verdict", {**of, "verdict": verdict}, stands, when)
        for side, used in (("canary", 2.0), ("control", 4.0)):
            recorder.add("modelfleet_gate_nodes", {**of, "side": side}, used, when)
            recorder.add("modelfleet_gate_nodes_set_aside", {**of, "side": side}, 0, when)
        recorder.add("modelfleet_gate_detections", of, spent * 2900, when)
        recorder.add("modelfleet_gate_looks", of, np.floor(spent * 4), when)
        recorder.add("modelfleet_gate_start_timestamp_seconds", of, END.timestamp() - since * 3600, when)


def _drift(recorder: Recorder) -> None:
    of = {"job": "modelfleet", "namespace": "factory", "rollout": "line", "version": "v1"}
    left = (LENGTH.total_seconds() - recorder.times) / 3600
    dirt = np.clip((12 - left) / 12, 0, 1)
    for signal, most, threshold in (
        ("confidence", -0.07, -0.05), ("low-confidence-rate", 0.13, 0.1), ("detection-rate", -0.04, -0.2),
        ("empty-frame-rate", 0.02, 0.1),
    ):  # fmt: skip
        recorder.add("modelfleet_drift_change", {**of, "signal": signal}, most * dirt + 0.003 * np.sin(left))
        recorder.add("modelfleet_drift_threshold", {**of, "signal": signal}, threshold)
    for figure, minimum in (("precision", 0.9), ("recall", 0.8)):
        reviewed = {**of, "signal": f"reviewed-{figure}"}
        recorder.add("modelfleet_drift_change", reviewed, _reviewed(recorder)[figure])
        recorder.add("modelfleet_drift_threshold", reviewed, minimum)
    for state, since, until in (
        ("Learning", 28.0, 24.0), ("Steady", 24.0, 4.0), ("Suspected", 4.0, 1.0), ("Drifting", 1.0, 0.0),
        ("MoreConfident", 0.0, 0.0), ("FewerObjects", 0.0, 0.0), ("Paused", 0.0, 0.0),
    ):  # fmt: skip
        held = recorder.hours(since, until).astype(float)
        recorder.add("modelfleet_drift_state", {**of, "state": state}, held)
    recorder.add("modelfleet_drift_nodes", of, 6.0)
    recorder.add("modelfleet_drift_nodes_down", of, np.round(2 * dirt))
    looked = START.timestamp() + np.floor(recorder.times / 3600) * 3600
    recorder.add("modelfleet_drift_look_timestamp_seconds", of, looked)


def _trainings(recorder: Recorder) -> None:
    when = recorder.hours(6, 4)
    of = {"namespace": "factory", "pod": "parts-v3-0", "training_job": "parts-v3", "model": "parts", "version": "v3"}
    spent = np.clip(6 - (LENGTH.total_seconds() - recorder.times) / 3600, 0.01, 2) / 2
    recorder.add("modelfleet_training_epoch", of, np.floor(100 * spent), when)
    recorder.add("modelfleet_training_epochs", of, 100, when)
    recorder.add("modelfleet_training_best_epoch", of, np.floor(90 * spent), when)
    recorder.add("modelfleet_training_images_per_second", of, 140 + 5 * np.sin(40 * spent), when)
    recorder.add("modelfleet_training_data_loading_ratio", of, 0.08 + 0.02 * np.sin(30 * spent), when)
    recorder.add("modelfleet_training_gpu_memory_bytes", of, 6.2e9, when)
    for figure, values in (
        ("map50", 0.91 * (1 - np.exp(-5 * spent))), ("map50_95", 0.7 * (1 - np.exp(-4 * spent))),
        ("box_loss", 0.6 + 1.2 * np.exp(-4 * spent)), ("cls_loss", 0.4 + 2.5 * np.exp(-6 * spent)),
    ):  # fmt: skip
        recorder.add("modelfleet_training_figure", {**of, "figure": figure}, values, when)
    working = {"job": "modelfleet", "namespace": "factory", "training_job": "parts-v3"}
    reconciling = {**working, "type": "Reconciling", "reason": "Training"}
    recorder.add("modelfleet_trainingjob_condition", reconciling, 1, when)
    for name, result, since in (("parts-v3", "Complete", 4.0), ("parts-v4", "Failed", 1.0)):
        job = {"job": "modelfleet", "namespace": "factory", "training_job": name}
        after = recorder.hours(since)
        reason = "Complete" if result == "Complete" else "OutOfMemory"
        recorder.add("modelfleet_trainingjob_condition", {**job, "type": result, "reason": reason}, 1, after)
        ended = {**job, "model": "parts", "result": result}
        recorder.add("modelfleet_trainingjob_end_timestamp_seconds", ended, END.timestamp() - since * 3600, after)


def _operator(recorder: Recorder) -> None:
    of, minutes = {"job": "modelfleet"}, recorder.times / 60
    recorder.add("modelfleet_operator_ready", of, 1)
    recorder.add("modelfleet_operator_leader", of, 1)
    recorder.add("modelfleet_operator_build_info", {**of, "version": "0.1.0", "python": "3.13.1"}, 1)
    for kind, rate in (("Rollout", 2.0), ("TrainingJob", 0.3), ("ModelVersion", 0.1)):
        by = {**of, "kind": kind}
        recorder.add("modelfleet_operator_reconcile_total", {**by, "result": "done"}, np.floor(rate * minutes))
        recorder.add("modelfleet_operator_reconcile_errors_total", {**by, "error": "Conflict"}, np.floor(minutes / 300))
        _histogram(recorder, "modelfleet_operator_reconcile_seconds", by, np.floor(rate * minutes), 0.03, None)
        _histogram(recorder, "modelfleet_operator_queue_seconds", by, np.floor(rate * minutes), 0.004, None)
        recorder.add("modelfleet_operator_status_writes_total", by, np.floor(minutes / 20))
        recorder.add("modelfleet_operator_actions_total", {**by, "action": "Apply"}, np.floor(minutes / 30))
        recorder.add("modelfleet_operator_queue_depth", by, 0)
        recorder.add("modelfleet_operator_queue_retries_total", by, np.floor(minutes / 300))
        recorder.add("modelfleet_operator_failing_objects", by, 0)
        recorder.add("modelfleet_operator_missed_changes_total", by, 0)
        recorder.add("modelfleet_operator_store_objects", by, {"Rollout": 1, "TrainingJob": 4, "ModelVersion": 9}[kind])
    for verb, rate in (("apply", 0.1), ("patch", 0.2), ("list", 0.02)):
        requests = {**of, "verb": verb, "resource": "rollouts.modelfleet.dev", "code": "200"}
        recorder.add("modelfleet_operator_api_requests_total", requests, np.floor(rate * minutes))
        seconds = {**of, "verb": verb}
        _histogram(recorder, "modelfleet_operator_api_request_seconds", seconds, np.floor(rate * minutes), 0.02, None)
    for result, rate in (("Samples", 1.0), ("NoData", 0.1), ("ProviderDown", 0.01)):
        asked = {**of, "provider": "default", "result": result}
        recorder.add("modelfleet_operator_prometheus_queries_total", asked, np.floor(rate * minutes))
    recorder.add("modelfleet_operator_watch_lists_total", {**of, "resource": "pods"}, np.floor(minutes / 120))
    recorder.add("modelfleet_operator_resyncs_total", {**of, "reason": "period"}, np.floor(minutes / 600))
    for verdict, times in (("Inconclusive", (9.7, 2.7)), ("NoData", (10.0, 3.0)), ("Fail", (7.0,))):
        seen = sum((recorder.hours(time).astype(float) for time in times), start=np.zeros(recorder.times.shape))
        recorder.add("modelfleet_operator_gate_verdicts_total", {**of, "verdict": verdict}, seen)


def _notifications(recorder: Recorder) -> None:
    """One for each turn of the story and endpoint; the chat is away for two hours, while v2 is rolled back."""
    of = {"job": "modelfleet"}
    away = recorder.hours(8, 6)
    told = sum((recorder.hours(time).astype(float) for time in (26, 10, 7, 4, 3, 1)), np.zeros(recorder.times.shape))
    for endpoint, waiting in (("bus", np.zeros_like(told)), ("chat", away * recorder.hours(7).astype(float))):
        at = {**of, "endpoint": endpoint}
        recorder.add("modelfleet_operator_notifications_sent_total", at, told - waiting)
        recorder.add("modelfleet_operator_notifications_waiting", at, waiting)
        for cause in ("refused", "expired", "queue_full"):
            recorder.add("modelfleet_operator_notifications_lost_total", {**at, "cause": cause}, 0)
    tries = np.floor(np.cumsum(away * recorder.hours(7)) * SCRAPE.total_seconds() / 300)
    failed = {**of, "endpoint": "chat", "cause": "unreachable"}
    recorder.add("modelfleet_operator_notification_failures_total", failed, tries)
    recorder.add("modelfleet_operator_notification_outbox_errors_total", of, 0)


def _reviewed(recorder: Recorder) -> dict[str, Array]:
    hours = recorder.times / 3600
    return {"precision": 0.93 + 0.0 * hours, "recall": 0.88 - 0.002 * hours}


def _datasets(recorder: Recorder) -> None:
    of = {"job": "modelfleet", "namespace": "factory", "dataset": "parts", "model": "parts"}
    hours = recorder.times / 3600
    recorder.add("modelfleet_dataset_waiting", of, 40 + 6 * hours - 50 * np.floor(hours / 8))
    recorder.add("modelfleet_dataset_in_review", of, 20 + 10 * np.sin(hours / 3))
    recorder.add("modelfleet_dataset_reviewed", of, 300 + 8 * hours)
    recorder.add("modelfleet_dataset_pending", of, 8 * (hours % 9))
    recorder.add("modelfleet_dataset_edited_ratio", of, 0.12)
    recorder.add("modelfleet_dataset_latest_version", of, 3 + np.floor(hours / 9))
    recorder.add("modelfleet_dataset_latest_images", of, 240 + 72 * np.floor(hours / 9))
    made = START.timestamp() + np.floor(hours / 9) * 9 * 3600
    recorder.add("modelfleet_dataset_latest_timestamp_seconds", of, made)
    synced = np.maximum.accumulate(np.where(recorder.hours(9, 8), 0, np.floor(recorder.times / 600) * 600))
    recorder.add("modelfleet_dataset_sync_timestamp_seconds", of, START.timestamp() + synced)
    recorder.add("modelfleet_dataset_sync_failures", of, recorder.hours(9, 8).astype(float))
    judged = {**of, "version": "v1"}
    recorder.add("modelfleet_dataset_review_frames", judged, 90 + 2 * hours)
    for figure, values in _reviewed(recorder).items():
        for end, by in (("", 0.0), ("_low", -0.04), ("_high", 0.03)):
            recorder.add(f"modelfleet_dataset_review_{figure}{end}", judged, values + by)
            of_class = {**judged, "class": "bolt"}
            recorder.add(f"modelfleet_dataset_review_class_{figure}{end}", of_class, values + 2 * by)


def _histogram(
    recorder: Recorder, name: str, of: Mapping[str, str], total: Array, middle: float, when: NDArray[np.bool_] | None
) -> None:
    """A histogram of durations around `middle` seconds."""
    upper = np.array([float(edge) for edge in SECONDS])
    middles = np.where(np.isinf(upper), 10.0, upper)
    weights = np.exp(-0.5 * (np.log(middles / middle) / 0.6) ** 2)
    recorder.add_histogram(name, of, np.outer(total, weights / weights.sum()), SECONDS, middles, when)
