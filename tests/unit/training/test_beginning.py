"""What a run began with: the share of its parent's weights, its classes, its first epoch beside the parent's figures.

In status while it runs, and in the lineage of the version that it makes.
"""

import json

import pytest

from modelfleet.api import TrainingJob
from modelfleet.training import modelversion
from modelfleet.training.decide import decide
from modelfleet.training.snapshot import Snapshot
from modelfleet.training.termination import parse
from modelfleet.training.trainer_run import Run
from unit.training.builders import (
    DETAIL,
    START,
    UID,
    after,
    epoch_line,
    fine_tune,
    job,
    model_version,
    pod,
    snapshot,
    success,
    training_job,
)

PARENT = model_version("v3", metrics={"map50": "0.91", "map50-95": "0.7", "f1": "0.88", "speed": "3"})
TUNED = fine_tune({"version": "v3"})
CHANGES = {"kept": 1, "added": ["washer"], "dropped": ["nut"]}
WEIGHTS = json.dumps({"event": "weights", "loadedShare": "0.9876", "classChanges": CHANGES})
FIRST = epoch_line(1, metrics={"map50": "0.4", "recall": "0.5", "box_loss": "1.5"})
BESIDE = {
    "metrics": {"map50": "0.4", "recall": "0.5"},
    "parentMetrics": {"map50": "0.91", "map50-95": "0.7", "f1": "0.88"},
}


def seen(*lines: str, status: dict | None = None) -> Snapshot:
    training = TUNED if status is None else {**TUNED, "status": status}
    return snapshot(training, job=job(TUNED, parent=PARENT), pods=(pod(),), lines=lines)


def status_of(*lines: str, status: dict | None = None) -> dict:
    return decide(seen(*lines, status=status), after(10)).status.to_dict()


def test_it_is_in_status_from_the_first_epoch_on():
    before = status_of(WEIGHTS)
    assert (before["loadedShare"], before["classChanges"]) == ("0.9876", CHANGES)
    assert "firstEpoch" not in before
    assert status_of(WEIGHTS, FIRST)["firstEpoch"] == BESIDE


def test_it_stays_when_the_log_no_longer_has_it():
    later = status_of(epoch_line(2), status=status_of(WEIGHTS, FIRST))
    assert (later["loadedShare"], later["classChanges"], later["firstEpoch"]) == ("0.9876", CHANGES, BESIDE)


def test_a_run_without_a_parent_compares_nothing():
    scratch = json.dumps({"event": "weights", "loadedShare": None, "classChanges": None})
    found = decide(snapshot(job=job(), pods=(pod(),), lines=(scratch, FIRST)), after(10)).status.to_dict()
    assert not {"loadedShare", "classChanges", "firstEpoch"} & found.keys()


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "weights"}',
        '{"event": "weights", "loadedShare": "much", "classChanges": {"kept": "many"}}',
        '{"event": "weights", "loadedShare": [], "classChanges": []}',
    ],
)
def test_a_report_that_makes_no_sense_is_passed_over(line):
    assert not {"loadedShare", "classChanges"} & status_of(line).keys()


POINT = {"confidence": "0.4", "precision": "0.9", "recall": "0.8", "f1": "0.85"}
OVERALL = {"best": POINT, "present": POINT, "perClass": []}


def test_it_is_in_the_lineage():
    detail = DETAIL | {"classChanges": CHANGES, "firstEpoch": {"map50": "0.4", "recall": "0.5"}}
    create = modelversion.create_version(
        TrainingJob.model_validate(TUNED), told(), parse(success(detail)), detail, None
    )
    lineage = create.manifest["spec"]["lineage"]
    assert lineage["loadedShare"] == "0.99"
    assert lineage["classChanges"] == CHANGES
    assert lineage["firstEpoch"] == BESIDE


@pytest.mark.parametrize(
    ("notes", "found"),
    [
        ({}, None),
        ({"trigger": "Command"}, {"rollout": "line", "trigger": "Command", "cause": ""}),
        (
            {"trigger": "Drift", "cause": "it fell", "since": "2026-11-01T00:00:00Z"},
            {"rollout": "line", "trigger": "Drift", "cause": "it fell", "since": "2026-11-01T00:00:00Z"},
        ),
        ({"trigger": "Whim"}, None),
        ({"trigger": "Drift", "since": "yesterday"}, None),
    ],
)
def test_what_called_for_a_retraining_is_in_the_lineage(notes, found):
    metadata = {
        **TUNED["metadata"],
        "labels": {"modelfleet.dev/rollout": "line"},
        "annotations": {f"modelfleet.dev/retrain-{name}": text for name, text in notes.items()},
    }
    training = TrainingJob.model_validate(TUNED | {"metadata": metadata})
    create = modelversion.create_version(training, told(), parse(success(DETAIL)), DETAIL, None)
    assert create.manifest["spec"]["lineage"].get("retrainedFor") == found


@pytest.mark.parametrize(
    ("told_of", "found"),
    [
        ({"best": POINT, "present": POINT}, OVERALL),
        ({"best": POINT | {"new": 1}, "present": POINT, "later": {}}, OVERALL),
        (
            {"best": POINT, "present": POINT, "perClass": [{"name": "bolt", "best": POINT, "present": POINT, "x": 1}]},
            {"best": POINT, "present": POINT, "perClass": [{"name": "bolt", "best": POINT, "present": POINT}]},
        ),
        (
            {"best": POINT, "present": POINT, "perClass": [{"name": "bolt"}, "nut", {}]},
            OVERALL,
        ),
        ({"best": POINT, "present": POINT, "perClass": "all"}, OVERALL),
        ({"best": POINT}, None),
        ({"best": "much", "present": POINT}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_threshold_is_recorded_where_it_is_as_it_should_be(told_of, found):
    detail = DETAIL | {"threshold": told_of}
    training = TrainingJob.model_validate(TUNED)
    create = modelversion.create_version(training, told(), parse(success(detail)), detail, None)
    assert create.manifest["spec"].get("threshold") == found


def test_a_wiped_status_finds_it_again_in_the_lineage():
    detail = DETAIL | {"classChanges": CHANGES, "firstEpoch": {"map50": "0.4", "recall": "0.5"}}
    training = TrainingJob.model_validate(TUNED)
    create = modelversion.create_version(training, told(), parse(success(detail)), detail, None)
    made = create.manifest
    made["metadata"] |= {"uid": "u", "creationTimestamp": START.isoformat()}
    assert made["metadata"]["annotations"][modelversion.TRAINING_JOB_UID] == UID
    found = decide(snapshot(TUNED, version=made), after(10)).status.to_dict()
    assert (found["loadedShare"], found["classChanges"], found["firstEpoch"]) == ("0.99", CHANGES, BESIDE)


def told() -> Run:
    run = snapshot(TUNED, job=job(TUNED, parent=PARENT)).own_job.run
    assert run is not None
    return run


def test_the_lineage_of_a_run_without_a_parent_has_none_of_it():
    detail = DETAIL | {"classChanges": None, "firstEpoch": {"map50": "0.4"}, "loadedShare": None}
    run = snapshot(job=job()).own_job.run
    create = modelversion.create_version(
        TrainingJob.model_validate(training_job()), run, parse(success(detail)), detail, None
    )
    assert not {"loadedShare", "classChanges", "firstEpoch"} & create.manifest["spec"]["lineage"].keys()


PUBLIC = {"uri": "s3://models/yolo11n.pt", "sha256": "a" * 64}
FIRST_OF_ALL = fine_tune({"checkpoint": PUBLIC})
FOUND = PUBLIC | {"architecture": "yolo11n", "classes": 80, "classNames": ["person", "car"]}


def status_from_checkpoint(told, before=None):
    line = json.dumps({"event": "weights", "loadedShare": "0.98", "classChanges": CHANGES, "checkpoint": told})
    training = FIRST_OF_ALL if before is None else {**FIRST_OF_ALL, "status": before}
    seen = snapshot(training, job=job(FIRST_OF_ALL), pods=(pod(),), lines=(line,) if told else (epoch_line(2),))
    return decide(seen, after(10)).status.to_dict()


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (FOUND, FOUND),
        (FOUND | {"of_another_release": 1}, FOUND),
        (FOUND | {"uri": "s3://elsewhere", "sha256": "b" * 64}, FOUND),  # what the Job was told is what counts
        (FOUND | {"classes": "many"}, PUBLIC | {"classNames": []}),
        (FOUND | {"classNames": ["x" * 200]}, PUBLIC | {"classNames": []}),
        ("yes", PUBLIC | {"classNames": []}),
        (None, PUBLIC | {"classNames": []}),
    ],
)
def test_what_was_found_in_a_checkpoint_is_shown_as_far_as_it_makes_sense(told, shown):
    found = status_from_checkpoint(told)
    assert found["checkpoint"] == shown
    assert "parent" not in found


def test_what_was_found_in_a_checkpoint_stays_when_the_log_no_longer_has_it():
    assert status_from_checkpoint(None, status_from_checkpoint(FOUND))["checkpoint"] == FOUND


def test_a_checkpoint_is_in_the_lineage_and_no_parent_is():
    run = snapshot(FIRST_OF_ALL, job=job(FIRST_OF_ALL)).own_job.run
    detail = DETAIL | {"checkpoint": FOUND, "classChanges": CHANGES | {"mismatch": "declares others"}}
    created = modelversion.create_version(
        TrainingJob.model_validate(FIRST_OF_ALL), run, parse(success(detail)), detail, None
    )
    lineage = created.manifest["spec"]["lineage"]
    assert lineage["checkpoint"] == FOUND
    assert lineage["classChanges"] == CHANGES | {"mismatch": "declares others"}
    assert "parent" not in lineage
