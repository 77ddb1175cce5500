"""The API on a real API server: the examples are accepted, and every bad manifest is refused with words that help."""

import copy
import json
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Cluster, ExistingCluster
from harness.lifetime import CommandFailed
from modelfleet.api import (
    ClassChanges,
    DatasetStatus,
    DriftStatus,
    Evaluation,
    GateStatus,
    GroupStatus,
    HistoryEntry,
    ModelVersionStatus,
    PinnedData,
    Progress,
    Quarantined,
    RolloutStatus,
    StartCheckpoint,
    TrainingJobStatus,
    TrainingPhase,
    UsedBy,
    Verdict,
    conditions,
)
from modelfleet.api.base import StatusModel
from modelfleet.api.dataset import (
    ClassObjects,
    ClassReview,
    Estimate,
    LastSync,
    LatestVersion,
    Review,
    ReviewCalibration,
    VersionEntry,
    VersionHoldout,
)
from modelfleet.api.rolloutstatus import DriftSignalStatus, DriftStratum, Retraining, RetrainStatus
from worlds.ending import remove_namespaces

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

EXAMPLES = Path(__file__).parents[2] / "examples"
ABSENT = object()
Changes = dict[str, Any]
ControlPlane = Cluster | ExistingCluster


def example(name: str) -> dict[str, Any]:
    """One of the manifests that users copy."""
    return yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())


def changed(manifest: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """A copy of the manifest with `changes`: dotted path (numbers are list positions) to value or ABSENT."""
    result = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
        place: Any = result
        for part in parents:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    return result


def refusal(control_plane: ControlPlane, manifest: dict[str, Any], *arguments: str) -> str:
    """What `kubectl apply` says when it refuses the manifest."""
    with pytest.raises(CommandFailed) as caught:
        control_plane.kubectl("apply", *arguments, "-f", "-", input=json.dumps(manifest))
    return str(caught.value)


@pytest.mark.parametrize(
    "path",  # those of gitops/ and the queues are of kinds of Flux and Kueue: test_flux.py and test_kueue.py have them
    sorted(
        path
        for path in EXAMPLES.rglob("*.yaml")
        if "gitops" not in path.parts and path != EXAMPLES / "kueue/queues.yaml"
    ),
    ids=lambda path: str(path.relative_to(EXAMPLES)),
)
def test_every_example_is_accepted(control_plane: ControlPlane, namespace: str, path: Path) -> None:
    control_plane.kubectl("apply", "--namespace", namespace, "-f", path)


MODEL_VERSION: list[tuple[str, Changes, str]] = [
    ("name-is-not-model-and-version", {"metadata/name": "detector"}, "metadata.name: .* must be parts-detector-v0"),
    ("unknown-field", {"spec/clases": ["bolt"]}, 'unknown field "spec.clases"'),
    ("upper-case-model", {"spec/model": "Parts"}, "spec.model: .* must be lowercase letters, digits and '-'"),
    ("no-classes", {"spec/classes": ABSENT}, "spec.classes: Required value"),
    ("reserved-tag", {"spec/tags": ["latest"]}, r"spec.tags\[0\]: .*latest is reserved"),
    ("tag-given-twice", {"spec/tags": ["a", "a"]}, r"spec.tags\[1\]: Duplicate value"),
    ("short-digest", {"spec/artifact/files/0/sha256": "2c26b4"}, "sha256: .* 64 lowercase hexadecimal digits"),
    ("no-files", {"spec/artifact/files": []}, "spec.artifact.files: .* at least 1 items"),
    ("file-in-a-folder", {"spec/artifact/files/0/name": "a/b.onnx"}, "must be a plain file name without folders"),
    ("empty-file", {"spec/artifact/files/0/sizeBytes": 0}, "sizeBytes: .* greater than or equal to 1"),
    ("ftp", {"spec/artifact/uri": "ftp://models/"}, "spec.artifact.uri: .* must be an s3://, gs://, az://"),
    (
        "tag",
        {"spec/artifact/uri": "oci://registry/parts:v3"},
        "spec.artifact.uri: .* must end with its manifest's digest",
    ),
    ("other-task", {"spec/task": "segment"}, 'spec.task: Unsupported value: "segment": supported values: "detect"'),
    ("metric-as-number", {"spec/metrics/map50": 0.91}, 'spec.metrics.map50: .* must be of type string: "number"'),
    ("too-few-precisions", {"spec/calibration/precision": ["0.4"]}, "one value per bucket: one less than edges"),
    (
        "edges-not-ascending",
        {"spec/calibration": {"edges": ["0.5", "0.25"], "precision": ["0.4"]}},
        "spec.calibration.edges: .* edges must increase: each must be larger than the one before",
    ),
    (
        "edge-given-twice",
        {"spec/calibration": {"edges": ["0.25", "0.5", "0.50", "1"], "precision": ["0.4", "0.5", "0.9"]}},
        "spec.calibration.edges: .* edges must increase: each must be larger than the one before",
    ),
    (
        "edge-above-one",
        {"spec/calibration": {"edges": ["25", "50"], "precision": ["0.4"]}},
        r"spec.calibration.edges\[0\]: .* must be a decimal string between 0 and 1",
    ),
    (
        "precision-above-one",
        {"spec/calibration": {"edges": ["0.25", "1"], "precision": ["1.4"]}},
        r"spec.calibration.precision\[0\]: .* must be a decimal string between 0 and 1",
    ),
]

CHECKPOINT = {"uri": "s3://models/yolo11n.pt", "sha256": "a" * 64}

FINE_TUNE: list[tuple[str, Changes, str]] = [
    ("unknown-field", {"spec/epochs": 30}, 'unknown field "spec.epochs"'),
    ("same-version", {"spec/from": {"version": "v2"}}, "version must be a new one, other than from.version"),
    ("unknown-mode", {"spec/mode": "Finetune"}, 'spec.mode: Unsupported value: "Finetune".*"FineTune"'),
    (
        "from-version-and-tag",
        {"spec/from": {"version": "v1", "tag": "a"}},
        "exactly one of version, tag, rollout or checkpoint",
    ),
    ("from-nothing", {"spec/from": {}}, "spec.from: .* exactly one of version, tag, rollout or checkpoint"),
    (
        "from-version-and-checkpoint",
        {"spec/from": {"version": "v1", "checkpoint": CHECKPOINT}},
        "exactly one of version, tag, rollout or checkpoint",
    ),
    (
        "checkpoint-without-digest",
        {"spec/from": {"checkpoint": {"uri": CHECKPOINT["uri"]}}},
        "spec.from.checkpoint.sha256: Required value",
    ),
    (
        "checkpoint-digest",
        {"spec/from": {"checkpoint": CHECKPOINT | {"sha256": "yolo"}}},
        "checkpoint.sha256: .* 64 lowercase hexadecimal digits",
    ),
    (
        "checkpoint-by-name",
        {"spec/from": {"checkpoint": CHECKPOINT | {"uri": "yolo11n.pt"}}},
        "checkpoint.uri: .* address of a file, such as s3://models/yolo11n.pt",
    ),
    (
        "checkpoint-folder",
        {"spec/from": {"checkpoint": CHECKPOINT | {"uri": "s3://models/"}}},
        "checkpoint.uri: .* address of a file, such as s3://models/yolo11n.pt",
    ),
    (
        "continue-from-a-checkpoint",
        {"spec/mode": "Continue", "spec/from": {"checkpoint": CHECKPOINT}},
        "which a checkpoint does not have: use mode FineTune or Transfer with from.checkpoint",
    ),
    (
        "scratch-from-a-checkpoint",
        {"spec/mode": "Scratch", "spec/architecture": "yolo11n", "spec/from": {"checkpoint": CHECKPOINT}},
        "from must be left out",
    ),
    (
        "baseline-checkpoint",
        {"spec/evaluation/baseline": {"checkpoint": CHECKPOINT}},
        'unknown field "spec.evaluation.baseline.checkpoint"',
    ),
    ("no-from", {"spec/from": ABSENT}, "from is required by modes Continue, FineTune and Transfer"),
    ("another-architecture", {"spec/architecture": "yolo11s"}, "use mode Transfer to change it"),
    ("transfer-to-nothing", {"spec/mode": "Transfer"}, "architecture is required by modes Scratch and Transfer"),
    ("scratch-from-a-parent", {"spec/mode": "Scratch", "spec/architecture": "yolo11n"}, "from must be left out"),
    ("negative-epochs", {"spec/hyperparameters/epochs": -1}, "epochs: .* greater than or equal to 1"),
    ("no-batch", {"spec/hyperparameters/batch": 0}, "batch: .* at least 1, or -1 to fit memory"),
    ("image-size", {"spec/hyperparameters/imageSize": 650}, "imageSize: .* multiple of 32"),
    ("epochs-as-text", {"spec/hyperparameters/epochs": "30"}, 'epochs: .* must be of type integer: "string"'),
    ("augmentation-word", {"spec/hyperparameters/augmentation": {"mosaic": "yes"}}, "mosaic.*must be a decimal string"),
    ("extra-spelling", {"spec/hyperparameters/extra": {"close-mosaic": "5"}}, "names of ultralytics arguments"),
    ("extra-device", {"spec/hyperparameters/extra": {"device": "3"}}, "what modelfleet sets"),
    ("extra-epochs", {"spec/hyperparameters/extra": {"epochs": "5"}}, "must not repeat what has a field of its own"),
    ("no-sources", {"spec/dataset/sources": []}, "no data to train on: set dataset.sources, dataset.from"),
    ("no-dataset", {"spec/dataset": ABSENT}, "no data to train on: set dataset.sources, dataset.from"),
    (
        "dataset-version",
        {"spec/dataset/from": {"dataset": "parts", "version": 0}},
        "version: .* greater than or equal to 1",
    ),
    ("dataset-version-text", {"spec/dataset/from": {"dataset": "parts", "version": "v1"}}, 'type integer: "string"'),
    ("dataset-without-name", {"spec/dataset/from": {}}, "spec.dataset.from.dataset: Required value"),
    (
        "holdout-twice",
        {"spec/evaluation/dataset/from": {"dataset": "parts"}},
        "exactly one of uri .* or from .the holdout of a Dataset",
    ),
    ("no-holdout", {"spec/evaluation/dataset": {}}, "exactly one of uri .* or from .the holdout of a Dataset"),
    (
        "holdout-with-digest",
        {"spec/evaluation/dataset": {"from": {"dataset": "parts"}, "sha256": "a" * 64}},
        "pinned automatically",
    ),
    (
        "local-path",
        {"spec/dataset/sources/0/uri": "/data/parts"},
        "must be an s3://, gs://, az://, https:// or file://",
    ),
    ("split", {"spec/dataset/validationSplit": "1.5"}, "validationSplit: .* decimal string between 0.01 and 0.9"),
    (
        "split-percent",
        {"spec/dataset/validationSplit": "20%"},
        "validationSplit: .* decimal string between 0.01 and 0.9",
    ),
    ("memory", {"spec/resources/requests/memory": "4 GB"}, "must be a quantity such as 500m, 2 or 4Gi"),
    ("read-only-output", {"spec/output/uri": "https://models/"}, "spec.output.uri: .* that can be written"),
    ("reserved-tag", {"spec/output/tags": ["latest"]}, "latest is reserved"),
    ("gate-without-demand", {"spec/evaluation/gates/0": {"metric": "map50"}}, "set minimum, maxRegression or both"),
    ("gate-minimum", {"spec/evaluation/gates/0/minimum": "80"}, "minimum: .* decimal string between 0 and 1"),
    ("gate-metric", {"spec/evaluation/gates/0/metric": "mAP"}, 'Unsupported value: "mAP": supported values: "map50"'),
    ("regression-from-nothing", {"spec/evaluation/baseline": ABSENT}, "a gate with maxRegression needs a baseline"),
    ("deadline", {"spec/activeDeadline": "1 day"}, "activeDeadline: .* duration between 1s and 99999h, such as 90s"),
    ("deadline-days", {"spec/activeDeadline": "7d"}, "activeDeadline: .* duration between 1s and 99999h, such as 90s"),
    ("ttl-as-number", {"spec/ttlAfterFinished": 3600}, 'ttlAfterFinished: .* must be of type string: "integer"'),
    ("backoff", {"spec/backoffLimit": 1000}, "backoffLimit: .* less than or equal to 100"),
    ("mlflow", {"spec/tracking": {"mlflow": {"uri": "mlflow"}}}, "must be an http:// or https:// address"),
    (
        "mlflow-password",
        {"spec/tracking": {"mlflow": {"uri": "https://me:secret@mlflow"}}},
        "without credentials, which belong in secretRef",
    ),
    ("name-with-dots", {"metadata/name": "parts.v2"}, "metadata.name must be at most 63 characters without dots"),
    ("long-name", {"metadata/name": "x" * 64}, "metadata.name must be at most 63 characters without dots"),
    ("container-without-name", {"spec/template/spec/containers": [{}]}, r"containers\[0\].name: Required value"),
]

GROUP = {"name": "g", "nodeSelector": {}}
SURGE: Changes = {"spec/groups/0/maxUnavailable": 0, "spec/groups/0/maxSurge": 1}
BUDGET = "exactly one of maxUnavailable and maxSurge must be 0, as in a DaemonSet"
HOST_PORT = [{"containerPort": 9090}, {"containerPort": 80, "hostPort": 80}]

ROLLOUT: list[tuple[str, Changes, str]] = [
    ("unknown-field", {"spec/gate/minimumDetections": 3}, 'unknown field "spec.gate.minimumDetections"'),
    ("version-and-tag", {"spec/model/version": "v1"}, r"exactly one of version \(stay on it\) or tag \(follow it"),
    ("neither-version-nor-tag", {"spec/model": {"name": "m"}}, "spec.model: .* exactly one of version"),
    ("no-template", {"spec/template": ABSENT}, "spec.template: Required value"),
    ("container", {"spec/delivery/container": "app"}, "must hold the container that delivery.container names"),
    (
        "group-container",
        {"spec/groups/0/delivery": {"container": "app"}},
        "the container that delivery.container names",
    ),
    ("no-groups", {"spec/groups": []}, "spec.groups: .* at least 1 items"),
    ("17-groups", {"spec/groups": [GROUP | {"name": f"g{i}"} for i in range(17)]}, "groups: Too many: 17: .* 16 items"),
    ("group-twice", {"spec/groups": [GROUP, GROUP]}, r'groups\[1\]: Duplicate value: {"name":"g"}'),
    ("group-name-too-long", {"spec/groups/0/name": "g" * 59}, "group names must be shorter: yard-<group> names the"),
    ("name-too-long", {"metadata/name": "x" * 53}, "metadata.name must be at most 52 characters without dots"),
    ("no-selector", {"spec/groups/0/nodeSelector": ABSENT}, r"groups\[0\].nodeSelector: Required value"),
    ("label-key", {"spec/groups/0/nodeSelector/matchLabels": {"a b": "c"}}, "keys must be label keys such as site"),
    ("label-value", {"spec/groups/0/nodeSelector/matchLabels": {"a": "b c"}}, "must be a label value: letters"),
    (
        "in-nothing",
        {"spec/groups/1/nodeSelector/matchExpressions/0": {"key": "a", "operator": "In"}},
        "values must be given for In and NotIn",
    ),
    (
        "exists-with-values",
        {"spec/groups/1/nodeSelector/matchExpressions/0/operator": "Exists"},
        "and left out for Exists and DoesNotExist",
    ),
    ("none-unavailable", {"spec/groups/0/maxUnavailable": 0}, BUDGET),
    ("none-unavailable-percent", {"spec/groups/0/maxUnavailable": "0%"}, BUDGET),
    ("surge-beside-the-default", {"spec/groups/0/maxSurge": 1}, BUDGET),
    ("surge-and-unavailable", {"spec/groups/0/maxSurge": "10%", "spec/groups/0/maxUnavailable": "10%"}, BUDGET),
    ("surge-percent", {**SURGE, "spec/groups/0/maxSurge": "101%"}, "whole number of nodes or a percentage from 0% to"),
    ("surge-minus", {**SURGE, "spec/groups/0/maxSurge": -1}, "whole number of nodes or a percentage from 0% to 100%"),
    ("surge-host-network", {**SURGE, "spec/template/spec/hostNetwork": True}, "maxSurge can't be set with hostNetwork"),
    (
        "surge-host-port",
        {**SURGE, "spec/template/spec/containers/0/ports": HOST_PORT},
        "maxSurge can't be set with a hostPort",
    ),
    (
        "surge-host-port-of-a-sidecar",
        {**SURGE, "spec/template/spec/initContainers": [{"name": "x", "ports": HOST_PORT}]},
        "can't be set with a hostPort",
    ),
    ("text-as-host-port", {"spec/template/spec/containers/0/ports": [{"hostPort": "80"}]}, "hostPort.*integer"),
    ("percent", {"spec/groups/0/maxUnavailable": "120%"}, "whole number of nodes or a percentage from 0% to 100%"),
    ("minus", {"spec/minReachable": -1}, "whole number of nodes or a percentage from 0% to 100%"),
    ("soak", {"spec/gate/soak": "1 hour"}, "spec.gate.soak: .* duration between 0s and 99999h, such as 90s"),
    ("group-soak", {"spec/groups/0/gate/soak": "2 hours"}, r"groups\[0\].gate.soak: .* duration between 0s and 99999h"),
    (
        "soak-past-timeout",
        {"spec/groups/0/gate/soak": "7h"},
        "gate.timeout must be longer than gate.soak in every group",
    ),
    ("margin-as-number", {"spec/gate/comparison/margin": 0.03}, 'margin: .* must be of type string: "number"'),
    ("margin", {"spec/gate/comparison/margin": "3%"}, "margin: .* decimal string between 0.0001 and 1"),
    ("alpha", {"spec/gate/comparison/alpha": "0.95"}, "alpha: .* decimal string between 0.0001 and 0.5"),
    ("method", {"spec/gate/comparison/method": "ttest"}, "method: Unsupported value"),
    ("stratify-by", {"spec/gate/comparison/stratifyBy": "site=a"}, "stratifyBy: .* must be a label key such as site"),
    ("group-stratify-by", {"spec/groups/0/gate/comparison": {"stratifyBy": "-"}}, "stratifyBy: .* must be a label key"),
    ("provider-url", {"spec/gate/provider": "http://evil.example"}, "provider: .* must be lowercase letters, digits"),
    ("check-without-bound", {"spec/gate/checks/0/max": ABSENT}, r"checks\[0\]: .* set min, max or both"),
    ("check-bound-as-number", {"spec/gate/checks/0/max": 1}, 'max: .* must be of type string: "integer"'),
    (
        "promote-on-no-data",
        {"spec/gate/onNoData": "Promote"},
        'onNoData: Unsupported value: "Promote".*"Hold", "Rollback"',
    ),
    (
        "rollback-without-provider",
        {"spec/gate/onProviderDown": "Rollback"},
        'onProviderDown: .* supported values: "Hold"',
    ),
    ("cron", {"spec/windows/0/cron": "nightly"}, "must be a cron expression of 5 fields"),
    ("cron-hour", {"spec/windows/0/cron": "0 25 * * *"}, "must be a cron expression of 5 fields within their ranges"),
    ("window-for-ever", {"spec/windows/0/duration": "1000h"}, "duration: .* duration between 1m and 168h"),
    ("no-history", {"spec/revisionHistoryLimit": 0}, "revisionHistoryLimit: .* greater than or equal to 1"),
    (
        "drop-and-rise",
        {"spec/drift/signals": [{"name": "confidence", "minDrop": "0.1", "minRise": "0.1"}]},
        "set exactly one of minDrop or minRise",
    ),
    (
        "confidence-rises",
        {"spec/drift/signals": [{"name": "confidence", "minRise": "0.1"}]},
        "confidence and detection-rate take minDrop",
    ),
    (
        "fewer-empty-frames",
        {"spec/drift/signals": [{"name": "empty-frame-rate", "minDrop": "0.1"}]},
        "empty-frame-rate takes minRise",
    ),
    (
        "one-signal-twice",
        {"spec/drift/signals": [{"name": "confidence", "minDrop": "0.1"}, {"name": "confidence", "minDrop": "0.2"}]},
        "signals: .* each signal must be named once",
    ),
    (
        "minimum-of-figures",
        {"spec/drift/signals": [{"name": "confidence", "minDrop": "0.1", "minimum": "0.8"}]},
        "minimum is for reviewed-recall and reviewed-precision",
    ),
    ("no-minimum", {"spec/drift/signals": [{"name": "reviewed-recall"}]}, "take minimum alone"),
    (
        "minimum-and-drop",
        {"spec/drift/signals": [{"name": "reviewed-precision", "minimum": "0.8", "minDrop": "0.1"}]},
        "take minimum alone",
    ),
    ("no-signal", {"spec/drift/signals": []}, "signals: .* at least 1 items"),
    ("unknown-signal", {"spec/drift/signals/0/name": "recall"}, 'name: Unsupported value: "recall"'),
    ("drift-of-nobody", {"spec/drift/nodes": 0}, "drift.nodes: "),
    ("short-baseline", {"spec/drift/baseline": "48h"}, "baseline must be at least three times window"),
    ("drift-typo", {"spec/drift/stratfyBy": "site"}, 'unknown field "spec.drift.stratfyBy"'),
    ("baseline-in-days", {"spec/drift/baseline": "7d"}, r"baseline: .* duration between 3m and 672h, .*a day is 24h"),
    ("drop-without-quotes", {"spec/drift/signals": [{"name": "confidence", "minDrop": 0.05}]}, "minDrop: .* string"),
    ("short-window", {"spec/drift/window": "30s"}, "window: .* duration between 1m and 168h"),
    ("drift-by-no-label", {"spec/drift/stratifyBy": "a/b/c"}, "stratifyBy: .* label key"),
    ("retraining-all-the-time", {"spec/drift/retrain/maxPerWeek": 11}, "maxPerWeek: .* less than or equal to 10"),
    ("retraining-at-no-time", {"spec/drift/retrain/schedule": "monthly"}, "schedule: .* cron expression"),
]

DRIFT = {"signals": [{"name": "confidence", "minDrop": "0.05"}]}
RETRAIN = {
    "model": "parts-detector",
    "mode": "FineTune",
    "dataset": {"sources": [{"uri": "s3://data/parts/"}]},
    "output": {"uri": "s3://models/"},
}
ROLLOUT += [
    (
        "retrain-one-version-again-and-again",
        {"spec/drift": DRIFT | {"retrain": {"template": {"spec": RETRAIN | {"version": "v9"}}}}},
        "every retraining makes a version of its own",
    ),
    (
        "retrain-another-model",
        {"spec/drift": DRIFT | {"retrain": {"template": {"spec": RETRAIN | {"model": "other"}}}}},
        "drift.retrain must train the model that the Rollout runs",
    ),
]

CAPTURE = {"destination": "s3://captures/yard/"}


def capture(**fields: Any) -> Changes:
    return {"spec/delivery": {"container": "detector", "capture": CAPTURE | fields}}


def rule(**fields: Any) -> Changes:
    return capture(rules=[{"name": "mine"} | fields])


ROLLOUT += [
    ("capture-to-nowhere", {"spec/delivery/capture/destination": ABSENT}, "capture.destination: Required value"),
    ("capture-by-https", capture(destination="https://captures/"), "capture.destination: .* that can be written"),
    ("capture-typo", capture(quality=90), 'unknown field "spec.delivery.capture.quality"'),
    ("capture-secret-ref", capture(credentialsSecret={"name": "s"}), "unknown field .*credentialsSecret.name"),
    ("capture-disk", capture(disk="2GB"), "disk: .* must be an amount of disk of at least 10M, such as 512Mi or 2Gi"),
    ("capture-little-disk", capture(disk="9Mi"), "disk: .* at least 10M"),
    ("capture-rate", capture(rate="2MB/s"), "rate: .* a number of bytes a second, such as 500k or 2Mi"),
    ("capture-keep-free", capture(keepFree="5Gi"), "keepFree: .* must be a percentage such as 15%"),
    ("capture-sample", capture(sample={"perHour": -1}), "sample.perHour: .* greater than or equal to 0"),
    ("capture-quality", capture(image={"quality": 10}), "image.quality: .* greater than or equal to 50"),
    ("capture-mask", capture(image={"mask": [[["0", "0"], ["1", "1"]]]}), r"mask\[0\]: .* at least 3 items"),
    ("capture-pixels", capture(image={"mask": [[["0", "0"], ["1", "1"], ["5", "0"]]]}), "decimal string between 0 and"),
    ("capture-rule-without-trigger", rule(perHour=1), "set exactly one of every .a time., below"),
    ("capture-rule-with-two", rule(every="1m", more=3), "set exactly one of every .a time., below"),
    ("capture-rule-typo", rule(bellow="0.5"), r'unknown field "spec.delivery.capture.rules\[0\].bellow"'),
    (
        "capture-rule-not-empty",
        rule(empty=False),
        r"rules\[0\].empty: Unsupported value: .*true",
    ),
    ("capture-rule-name", rule(name="Un sure", more=3), "name: .* must be lowercase letters, digits"),
    ("capture-rule-sample", rule(name="sample", more=3), "sample and disagree are reserved"),
    ("capture-rule-disagree", rule(name="disagree", more=3), "sample and disagree are reserved"),
    ("capture-rule-below", rule(below="50%"), "below: .* decimal string between 0.01 and 1"),
    ("capture-rule-classes", rule(more=3, classes=["bolt"]), "classes goes with below only"),
    ("capture-rule-every", rule(every="1m", cooldown="1m"), "every takes neither cooldown nor perHour"),
    ("capture-rule-window", rule(more=3, before="1m"), "before: .* duration between 0s and 10s"),
    ("capture-rule-per-hour", rule(more=3, perHour=0), "perHour: .* greater than or equal to 1"),
    (
        "capture-rule-twice",
        capture(rules=[{"name": "a", "more": 3}, {"name": "a", "more": 4}]),
        "capture.rules: .* each rule must have a name of its own",
    ),
    (
        "capture-17-rules",
        capture(rules=[{"name": f"r{i}", "more": i} for i in range(17)]),
        "rules: Too many: 17: .* 16 items",
    ),
    (
        "capture-when-drifting-nothing",
        capture(whenDrifting={}) | {"spec/drift": {}},
        "set rules, sample or both: else nothing would change",
    ),
    (
        "capture-when-drifting-unwatched",
        capture(whenDrifting={"sample": {"perHour": 60}}) | {"spec/drift": ABSENT},
        "delivery.capture.whenDrifting needs spec.drift",
    ),
    ("live-typo", {"spec/delivery/live": {"enable": True}}, 'unknown field "spec.delivery.live.enable"'),
    ("live-port", {"spec/delivery/live": {"enabled": True, "port": 80}}, "port: .* greater than or equal to 1024"),
    (
        "live-mask-of-nothing",
        {"spec/delivery/live": {"enabled": True}, "spec/delivery/capture": ABSENT},
        "live.mask hides the areas of delivery.capture.image.mask, and there is no delivery.capture: set live.mask to",
    ),
    (
        "live-on-the-host",
        {"spec/delivery/live": {"enabled": True}, "spec/template/spec/hostNetwork": True},
        "delivery.live can't be enabled with hostNetwork: true: the page listens on 127.0.0.1, .* the node's own",
    ),
]

DATASET: list[tuple[str, Changes, str]] = [
    ("unknown-field", {"spec/minImages": 50}, 'unknown field "spec.minImages"'),
    ("no-classes", {"spec/classes": []}, "spec.classes: .* at least 1 items"),
    ("class-twice", {"spec/classes": ["bolt", "bolt"]}, r"classes\[1\]: Duplicate value"),
    ("schedule", {"spec/schedule": "hourly"}, "spec.schedule: .* must be a cron expression of 5 fields"),
    ("read-only-store", {"spec/store/uri": "https://data/parts/"}, "store.uri: .* that can be written"),
    ("one-folder", {"spec/store/uri": "s3://captures/line/data/"}, "store.uri and captures.uri must be different"),
    (
        "two-ways-to-label",
        {"spec/labelling/files": {"uri": "s3://reviewed/parts/"}},
        "exactly one of labelStudio .* or files",
    ),
    ("no-way-to-label", {"spec/labelling": {}}, "exactly one of labelStudio .* or files"),
    ("label-studio-address", {"spec/labelling/labelStudio/url": "label-studio:8080"}, "http:// or https:// address"),
    ("label-studio-password", {"spec/labelling/labelStudio/url": "http://me:x@ls"}, "which belong in secretRef"),
    (
        "project-title",
        {"spec/labelling/labelStudio/project": "ab"},
        "project: .* must be a title of 3 to 44 characters",
    ),
    ("no-token", {"spec/labelling/labelStudio/secretRef": ABSENT}, "labelStudio.secretRef: Required value"),
    ("nobody-is-asked", {"spec/labelling/perDay": 0}, "perDay: .* greater than or equal to 1"),
    ("blind-as-number", {"spec/labelling/blind": 10}, 'blind: .* must be of type string: "integer"'),
    ("blind", {"spec/labelling/blind": "0.1"}, "blind: .* percentage from 0% to 100%, such as 15%"),
    ("too-much-blind", {"spec/labelling/blind": "110%"}, "blind: .* percentage from 0% to 100%, such as 15%"),
    ("nothing-to-train-on", {"spec/split": {"validation": "50%", "holdout": "40%"}}, "together must be at most 80%"),
    ("split", {"spec/split/validation": "15"}, "validation: .* percentage from 0% to 100%, such as 15%"),
    ("rule-name", {"spec/labelling/priority": ["Unsure!"]}, r"priority\[0\]: .* must be lowercase letters"),
    ("deadline", {"spec/activeDeadline": "1 hour"}, "activeDeadline: .* duration between 1s and 99999h"),
    ("long-name", {"metadata/name": "x" * 49}, "metadata.name must be at most 48 characters without dots"),
    ("name-with-dots", {"metadata/name": "parts.line"}, "metadata.name must be at most 48 characters without dots"),
    ("container-without-name", {"spec/template/spec/containers": [{}]}, r"containers\[0\].name: Required value"),
]

BAD = [
    pytest.param(name, changes, message, id=f"{name}-{row}")
    for name, rows in (
        ("modelversion", MODEL_VERSION),
        ("trainingjob-finetune", FINE_TUNE),
        ("rollout", ROLLOUT),
        ("dataset", DATASET),
    )
    for row, changes, message in rows
]


@pytest.mark.parametrize(("name", "changes", "message"), BAD)
def test_bad_manifest_is_refused_with_a_message_that_helps(
    control_plane: ControlPlane, name: str, changes: Changes, message: str
) -> None:
    manifest = changed(example(name), changes)
    assert re.search(message, refusal(control_plane, manifest, "--namespace=default", "--dry-run=server"), re.DOTALL)


def test_accepted_values_that_look_odd(control_plane: ControlPlane) -> None:
    """The other side of the table: what must not be refused."""
    manifests = [
        changed(example("rollout"), changes)
        for changes in (
            {"spec/groups/0/gate": {"soak": "0s"}},
            {"spec/groups/0/maxUnavailable": "100%"},
            SURGE,
            {"spec/groups/0/maxUnavailable": "0%", "spec/groups/0/maxSurge": "100%"},
            {"spec/groups/0/maxUnavailable": 1, "spec/groups/0/maxSurge": "0%"},
            {**SURGE, "spec/template/spec/containers/0/ports": [{"containerPort": 90, "hostPort": 0, "odd": 1}]},
            {"spec/template/spec/hostNetwork": True, "spec/template/spec/containers/0/ports": HOST_PORT},
            {"spec/groups/0/nodeSelector": {}},
            {"spec/minReachable": 0},
            {"spec/windows/0/cron": "*/5 9-17 1,15 JAN-MAR MON-FRI"},
            {"spec/gate/checks/0/min": "-12.5"},
            {"spec/drift": DRIFT | {"retrain": {"template": {"spec": RETRAIN}}}},
            {"spec/drift": {}},
            {"spec/drift": {"window": "1m", "baseline": "3m", "sustain": "0s"}},
            {"spec/template/spec/containers/0/anythingNew": {"in": ["a", "PodSpec"]}},
            capture(),
            capture(rules=[], sample={"perHour": 0, "emptyPerHour": 0}, suspend=True),
            capture(destination="file:///captures/line", disk="999Ti", rate="999999Mi", keepFree="100%"),
            capture(rules=[{"name": "0", "more": 0, "before": "1500ms"}, {"name": "all", "below": "1"}]),
            capture(rules=[{"name": f"r{i}", "below": "0.5", "classes": ["bolt"]} for i in range(16)]),
            capture(image={"mask": [[["0", "0"], ["1.0", "0"], ["0.5", "1"]]] * 16}),
            {"spec/delivery/live": {"enabled": False}, "spec/template/spec/hostNetwork": True},
            {"spec/delivery/live": {"enabled": True}, "spec/template/spec/hostNetwork": False},
            {"spec/delivery/live": {"enabled": True, "viewers": 16, "rate": 30}},
            {
                "spec/delivery/live": {"enabled": True, "mask": False},
                "spec/delivery/capture": ABSENT,
                "spec/replay": ABSENT,
            },
        )
    ]
    manifests += [
        changed(example("trainingjob-finetune"), changes)
        for changes in (
            {"spec/hyperparameters/batch": -1},
            {"spec/activeDeadline": "1h30m"},
            {"spec/resources/limits": {"cpu": 2, "memory": "1.5Gi", "example.com/npu": "1"}},
            {"spec/hyperparameters": ABSENT},
            {"spec/from": {"tag": "latest"}},
            {"spec/from": {"checkpoint": CHECKPOINT}},
            {"spec/from": {"checkpoint": CHECKPOINT}, "spec/mode": "Transfer", "spec/architecture": "yolo11s"},
        )
    ]
    for number, manifest in enumerate(manifests):
        manifest["metadata"]["name"] += f"-{number}"
    text = "\n---\n".join(json.dumps(manifest) for manifest in manifests)
    control_plane.kubectl("apply", "--namespace=default", "--dry-run=server", "-f", "-", input=text)


@pytest.fixture(scope="module")
def stored(control_plane: ControlPlane, crds: object) -> Iterator[str]:
    """A namespace that holds one object of each kind."""
    name = f"test-api-{secrets.token_hex(3)}"
    control_plane.kubectl("create", "namespace", name)
    for kind in ("modelversion", "trainingjob-finetune", "rollout", "dataset"):
        control_plane.kubectl("apply", "--namespace", name, "-f", EXAMPLES / f"{kind}.yaml")
    yield name
    remove_namespaces(control_plane, name)


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("modelversion", {"spec/artifact/files/0/sha256": "0" * 64}, "artifact"),
        ("modelversion", {"spec/classes": ["bolt", "nut"]}, "classes"),
        ("modelversion", {"spec/metrics/map50": "0.99"}, "metrics"),
        ("modelversion", {"spec/calibration": ABSENT}, "calibration"),
        ("modelversion", {"spec/lineage": {"parent": "v7"}}, "lineage"),
        ("modelversion", {"spec/evaluation": {"result": "Passed"}}, "evaluation"),
        ("modelversion", {"spec/version": "v9"}, "version"),
        ("trainingjob-finetune", {"spec/hyperparameters/epochs": 31}, "hyperparameters"),
        ("trainingjob-finetune", {"spec/from": {"version": "v1"}}, "from"),
        ("trainingjob-finetune", {"spec/evaluation": ABSENT}, "evaluation"),
        ("trainingjob-finetune", {"spec/checkpoint": {"everyEpochs": 1}}, "checkpoint"),
        ("trainingjob-finetune", {"spec/template/spec/nodeSelector": {"accelerator": "none"}}, "template"),
        ("trainingjob-finetune", {"spec/template": ABSENT}, "template"),
        ("trainingjob-finetune", {"spec/backoffLimit": 4}, "backoffLimit"),
    ],
)
def test_what_is_recorded_can_not_be_changed(
    control_plane: ControlPlane, stored: str, name: str, changes: Changes, field: str
) -> None:
    said = refusal(control_plane, changed(example(name), changes), "--namespace", stored)
    assert re.search(rf"spec\.{field}: .*{field} can't be changed: make a new object instead", said)


def test_what_may_move_can_be_changed(control_plane: ControlPlane, stored: str) -> None:
    for name, changes in (
        ("modelversion", {"spec/tags": ["imported", "golden"]}),
        ("modelversion", {"spec/tags": ABSENT}),
        ("trainingjob-finetune", {"spec/suspend": True}),
        ("trainingjob-finetune", {"spec/ttlAfterFinished": "1h"}),
    ):
        manifest = json.dumps(changed(example(name), changes))
        control_plane.kubectl("apply", "--namespace", stored, "-f", "-", input=manifest)


def test_a_later_apply_takes_the_place_of_a_list_that_came_by_default(control_plane: ControlPlane, stored: str) -> None:
    """What Flux and Argo CD do. No manager owns what a default wrote, so a list merged by name would keep it."""
    one = [{"name": "confidence", "minDrop": "0.10"}]
    capture = {"destination": "s3://captures/yard/"}
    rules = [{"name": "mine", "empty": True}]
    for drift, delivery in (({}, capture), ({"signals": one}, {**capture, "rules": rules})):
        manifest = example("rollout-minimal")
        manifest["spec"] |= {"drift": drift, "delivery": {"capture": delivery}}
        control_plane.kubectl(
            "apply", "--namespace", stored, "--server-side", "--field-manager=kustomize-controller", "-f", "-",
            input=json.dumps(manifest),
        )  # fmt: skip
    found = control_plane.kubectl("get", "rollout", "--namespace", stored, manifest["metadata"]["name"], "-o", "json")
    spec = json.loads(found)["spec"]
    assert [signal["name"] for signal in spec["drift"]["signals"]] == ["confidence"]
    assert [rule["name"] for rule in spec["delivery"]["capture"]["rules"]] == ["mine"]


def full_statuses() -> list[Any]:
    """The largest status of each kind that the models let through."""
    now, long, count = datetime(2026, 11, 21, 3, tzinfo=UTC), "é" * 5000, 10**9
    ready = conditions.merge((), [conditions.false("Ready", "Busy", long)], 3, now)
    common = {"conditions": ready, "observed_generation": 3}
    version = ModelVersionStatus(
        tags=tuple(f"t{i}" for i in range(50)),
        used_by=tuple(UsedBy(rollout=f"r{i}", role="Stable") for i in range(500)),
        **common,
    )
    progress = Progress(
        epoch=1, epochs=2, percent=50, remaining=timedelta(minutes=31), metrics={"map50": Decimal("0.9")}
    )
    job = TrainingJobStatus(
        phase=TrainingPhase.RUNNING,
        progress=progress,
        attempts=count,
        preemptions=count,
        resumed_from_epoch=10,
        checkpoint=StartCheckpoint(
            uri="s3://models/" + "é" * 1000,
            sha256="a" * 64,
            architecture="é" * 128,
            classes=80,
            class_names=("é" * 128,) * 100,
        ),
        class_changes=ClassChanges(kept=count, added=("é" * 128,) * 100, dropped=("é" * 128,) * 100, mismatch=long),
        evaluation=Evaluation(result="Failed", message=long),
        started_at=now,
        finished_at=now,
        **dict.fromkeys(("version", "parent", "baseline", "model_version"), long),
        **common,
    )
    pinned = PinnedData(dataset=long, version=count, uri="s3://data/" + "é" * 1000, sha256="a" * 64)
    job = job.replace(dataset=pinned, holdout=pinned)
    bounds = (Decimal("-0.5"), Decimal("0.5"))
    rollout = RolloutStatus(
        groups=tuple(
            GroupStatus(
                name=f"g{i}", phase=long, version=long, revision=long, reason=long, started_at=now, ready_at=now
            )
            for i in range(20)
        ),
        gate=GateStatus(
            group="g", started_at=now, since=now, verdict=Verdict.PASS, message=long, estimate=0.1 / 3, interval=bounds
        ),
        drift=DriftStatus(
            since=now,
            learning_until=now,
            baseline_from=now,
            nodes=count,
            nodes_down=count,
            strata=tuple(DriftStratum(name=long, nodes=count, nodes_down=count) for _ in range(20)),
            signals=tuple(DriftSignalStatus(name=long, change=-0.1 / 3, threshold=0.1 / 3) for _ in range(20)),
            examples=(long,) * 20,
            retrain=RetrainStatus(reason=long, until=now, next=now, message=long),
            retrainings=tuple(
                Retraining(
                    training_job=long,
                    trigger="Drift",
                    stable_version=long,
                    since=now,
                    cause=long,
                    at=now,
                    data=(long,) * 20,
                    result="Failed",
                )
                for _ in range(20)
            ),
            **dict.fromkeys(("state", "version", "revision", "message"), long),
        ),
        quarantined=tuple(Quarantined(version="v", revision=long, reason=long, at=now) for _ in range(20)),
        history=tuple(
            HistoryEntry(version="v", result="RolledBack", started_at=now, finished_at=now, message=long)
            for _ in range(20)
        ),
        **{name: tuple(f"v{i}" for i in range(50)) for name in ("approved", "promoted", "retried")},
        **dict.fromkeys(("phase", "stable_version", "candidate_version", "candidate_revision", "current_group"), long),
        **common,
    )
    figure = Estimate(value=Decimal("0.9"), low=Decimal("0.85"), high=Decimal("0.94"))
    holdout = VersionHoldout(uri="s3://data/" + "é" * 1000, sha256="a" * 64, images=count)
    dataset = DatasetStatus(
        last_sync=LastSync(job=long, due=now, at=now, result="Failed", reason=long, message=long, failures=count),
        next_sync=now,
        edited_share=Decimal("0.123"),
        latest=LatestVersion(
            number=count, uri="s3://data/" + "é" * 1000, sha256="a" * 64, created_at=now, holdout=holdout
        ),
        per_class=tuple(ClassObjects(name=f"{i}{long}", objects=count) for i in range(50)),
        versions=tuple(
            VersionEntry(number=i + 1, sha256="a" * 64, parent=i or None, created_at=now, holdout="b" * 64)
            for i in range(20)
        ),
        review=Review(
            version=long,
            precision=figure,
            recall=figure,
            worst_classes=tuple(ClassReview(name=long, precision=Decimal(0)) for _ in range(5)),
            calibration=ReviewCalibration(edges=(Decimal("0.25"), Decimal(1)), precision=(Decimal("0.5"),)),
        ),
        notes=(long,) * 9,
        synced=tuple(f"now@{i}" for i in range(30)),
        **dict.fromkeys(("waiting", "in_review", "reviewed", "pending"), count),
        **common,
    )
    return [
        pytest.param("mds/parts", dataset, id="dataset"),
        pytest.param("mv/parts-detector-v0", version, id="modelversion"),
        pytest.param("tj/parts-detector-v2", job, id="trainingjob"),
        pytest.param("mro/yard", rollout, id="rollout"),
    ]


@pytest.mark.parametrize(("name", "status"), full_statuses())
def test_the_fullest_status_is_accepted_and_reads_back_equal(
    control_plane: ControlPlane, stored: str, tmp_path: Path, name: str, status: StatusModel
) -> None:
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps({"status": status.to_dict()}))
    control_plane.kubectl("patch", "-n", stored, name, "--subresource=status", "--type=merge", "--patch-file", patch)
    back = json.loads(control_plane.kubectl("get", "--namespace", stored, name, "-o", "json"))
    assert type(status).model_validate(back["status"]) == status


def test_a_new_object_is_not_ready_before_the_operator_has_seen_it(control_plane: ControlPlane, stored: str) -> None:
    control_plane.kubectl("apply", "--namespace", stored, "-f", EXAMPLES / "rollout-minimal.yaml")
    new = json.loads(
        control_plane.kubectl("get", "--namespace", stored, "rollout.modelfleet.dev", "line", "-o", "json")
    )
    assert [(c["type"], c["status"]) for c in new["status"]["conditions"]] == [("Ready", "Unknown")]


def test_a_watch_for_drift_has_its_defaults_without_being_set(control_plane: ControlPlane, stored: str) -> None:
    manifest = changed(example("rollout-minimal"), {"metadata/name": "watched", "spec/drift": {}})
    control_plane.kubectl("apply", "--namespace", stored, "-f", "-", input=json.dumps(manifest))
    new = json.loads(
        control_plane.kubectl("get", "--namespace", stored, "rollout.modelfleet.dev", "watched", "-o", "json")
    )
    assert new["spec"]["drift"] == {
        "signals": [{"name": "confidence", "minDrop": "0.05"}, {"name": "detection-rate", "minDrop": "0.20"}],
        "nodes": "30%",
        "baseline": "168h",
        "window": "24h",
        "sustain": "24h",
    }


def test_kubectl_get_shows_what_people_look_for(control_plane: ControlPlane, stored: str) -> None:
    datasets = control_plane.kubectl("get", "--namespace", stored, "datasets.modelfleet.dev").split("\n")
    assert datasets[0].split() == [
        *(
            "NAME",
            "MODEL",
            "VERSION",
            "IMAGES",
            "WAITING",
            "INREVIEW",
            "REVIEWED",
            "PRECISION",
            "RECALL",
            "READY",
            "AGE",
        )
    ]
    versions = control_plane.kubectl("get", "--namespace", stored, "mv", "--field-selector=spec.version=v0").split("\n")
    assert versions[0].split() == ["NAME", "MODEL", "VERSION", "MAP50", "MODE", "PARENT", "TAGS", "READY", "AGE"]
    everything = control_plane.kubectl("get", "--namespace", stored, "modelfleet", "-o", "name").split()
    assert {"modelversion.modelfleet.dev/parts-detector-v0", "rollout.modelfleet.dev/yard"} <= set(everything)
    none = control_plane.kubectl("get", "--namespace", stored, "tj", "--field-selector=spec.mode=Scratch", "-o", "name")
    assert none == ""


def test_every_field_is_explained(control_plane: ControlPlane) -> None:
    for path in (
        "modelversions.spec.artifact.files.sha256",
        "trainingjobs.spec.from.rollout",
        "trainingjobs.spec.from.checkpoint.sha256",
        "rollouts.spec.gate.soak",
        "datasets.spec.labelling.blind",
    ):
        assert re.search(r"DESCRIPTION:\n    \w+", control_plane.kubectl("explain", path)), path
