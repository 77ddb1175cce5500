"""What is gathered about a Dataset, whom a change wakes, and what Prometheus is shown."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from modelfleet.datasets import WATCHES
from modelfleet.datasets.metrics import DatasetGauges
from modelfleet.datasets.observe import snapshot
from modelfleet.datasets.snapshot import Deployed
from modelfleet.kinds import DATASET, JOB, MODEL_VERSION, POD, ROLLOUT, Key
from unit.datasets.builders import UID, Json, dataset, job, latest, pod, report
from unit.training.builders import NAMESPACE, START, after, file, model_version, rollout, wire
from unit.waking import store_of, woken

KEY = Key(NAMESPACE, "parts")


def owned(obj: Json, uid: str) -> Json:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [{"uid": uid}]}}


def test_its_own_jobs_in_the_order_of_their_moments_and_their_pods():
    first, later = owned(job(START, ended=after(60)), UID), owned(job(after(1800)), UID)
    store = store_of(
        dataset(),
        later,
        first,
        owned(pod(report()), first["metadata"]["uid"]),
        owned(job(after(3600)), "uid-of-another"),
    )
    seen = snapshot(store, KEY, "image")
    assert seen is not None
    assert [each.due for each in seen.jobs] == [START, after(1800)]
    assert [each.last is not None for each in seen.jobs] == [True, False]
    assert snapshot(store, Key(NAMESPACE, "other"), "image") is None


def test_what_is_deployed_is_what_rollouts_of_the_model_run_by_the_files_that_groups_load():
    mixed = rollout("yard", stableVersion="v1")
    mixed["spec"]["groups"] = [
        {"name": "a", "nodeSelector": {}, "delivery": {"format": "engine"}},
        {"name": "b", "nodeSelector": {}},
    ]
    store = store_of(
        dataset(),
        model_version("v1", formats=("onnx", "engine")),
        model_version("v2"),
        model_version("v3"),
        rollout("line", stableVersion="v1", candidateVersion="v2"),
        rollout("press", stableVersion="v9"),
        rollout("other", model="other", stableVersion="v3"),
        rollout("new"),
        rollout("comes", stableModel="other", stableVersion="v3", candidateModel="parts", candidateVersion="v2"),
        mixed,
    )
    seen = snapshot(store, KEY, "image")
    assert seen is not None
    onnx, engine = file("onnx")["sha256"], file("engine")["sha256"]
    classes = tuple(model_version("v1")["spec"]["classes"])
    of_v1 = sorted(Deployed("v1", digest, classes) for digest in (onnx, engine))
    assert seen.deployed == (*of_v1, Deployed("v2", onnx, classes))


def test_who_looks_again():
    store = store_of(dataset())
    labelled = {**pod(), "metadata": {**pod()["metadata"], "labels": {"modelfleet.dev/dataset": "parts"}}}
    assert woken(WATCHES, DATASET, dataset(), store) == ["parts"]
    assert woken(WATCHES, JOB, job(), store) == ["parts"]
    assert woken(WATCHES, POD, labelled, store) == ["parts"]
    assert woken(WATCHES, POD, pod(), store) == []
    assert woken(WATCHES, ROLLOUT, rollout(), store) == []
    assert woken(WATCHES, MODEL_VERSION, model_version(), store) == []


def scraped(*datasets: Json) -> list[str]:
    registry = CollectorRegistry()
    registry.register(DatasetGauges(store_of(*datasets)))
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_what_prometheus_is_shown():
    figure = {"value": "0.93", "low": "0.90", "high": "0.95"}
    nut = {"name": "nut", "frames": 90, "recall": "0.5", "recallInterval": {"low": "0.4", "high": "0.6"}}
    status = {
        "waiting": 12,
        "inReview": 40,
        "reviewed": 700,
        "pending": 0,
        "editedShare": "0.12",
        "latest": latest(12),
        "lastSync": {"job": "x", "due": wire(START), "at": wire(START), "result": "Failed", "failures": 2},
        "review": {"version": "v2", "frames": 320, "precision": figure, "worstClasses": [nut]},
    }
    of = 'dataset="parts",model="parts",namespace="factory"'
    assert scraped(dataset(status=status)) == [
        f"modelfleet_dataset_waiting{{{of}}} 12.0",
        f"modelfleet_dataset_in_review{{{of}}} 40.0",
        f"modelfleet_dataset_reviewed{{{of}}} 700.0",
        f"modelfleet_dataset_pending{{{of}}} 0.0",
        f"modelfleet_dataset_edited_ratio{{{of}}} 0.12",
        f"modelfleet_dataset_latest_version{{{of}}} 12.0",
        f"modelfleet_dataset_latest_images{{{of}}} 640.0",
        f"modelfleet_dataset_latest_timestamp_seconds{{{of}}} 1.7952444e+09",
        f"modelfleet_dataset_sync_timestamp_seconds{{{of}}} 1.795248e+09",
        f"modelfleet_dataset_sync_failures{{{of}}} 2.0",
        f'modelfleet_dataset_review_frames{{{of},version="v2"}} 320.0',
        f'modelfleet_dataset_review_precision{{{of},version="v2"}} 0.93',
        f'modelfleet_dataset_review_precision_low{{{of},version="v2"}} 0.9',
        f'modelfleet_dataset_review_precision_high{{{of},version="v2"}} 0.95',
        f'modelfleet_dataset_review_class_recall{{class="nut",{of},version="v2"}} 0.5',
        f'modelfleet_dataset_review_class_recall_low{{class="nut",{of},version="v2"}} 0.4',
        f'modelfleet_dataset_review_class_recall_high{{class="nut",{of},version="v2"}} 0.6',
    ]


def test_the_page_lists_what_is_shown():
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text().partition("## Datasets")[2]
    listed = set()
    for row in re.findall(r"^\| (`modelfleet_dataset_.*?) \|", page, re.MULTILINE):
        first, *ends = re.findall(r"`(\w+)`", row)
        listed |= {first, *(first + end for end in ends)}
    assert listed == {family.name for family in DatasetGauges(store_of()).collect()}


def test_what_is_not_known_has_no_series():
    assert scraped(dataset()) == []
    assert scraped() == []
