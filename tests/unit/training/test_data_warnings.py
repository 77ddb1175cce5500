"""What the trainer says of the data: in the status at once, in an Event once, and as a balance in the lineage."""

import json
from typing import Any

import pytest

from detectiondata import limits
from detectiondata.balance import Balance, LeftOut
from modelfleet.api import ModelVersionSpec, SourceBalance, TrainingJob
from modelfleet.api.reasons import Reason
from modelfleet.decision import Decision
from modelfleet.training import modelversion, trainer_run
from modelfleet.training.decide import decide
from modelfleet.training.termination import Succeeded, parse
from unit.training.builders import (
    DETAIL,
    after,
    epoch_line,
    fine_tune,
    job,
    model_version,
    pod,
    snapshot,
    success,
    training_job,
    versions,
)

LEFT = "s3://data/1.tar: left out: 2 images in no annotation file (a.jpg, b.jpg)"
BALANCE = Balance(
    files=8,
    images={"train": 3, "val": 1},
    images_left_out=(LeftOut("in no annotation file", 2, ("a.jpg", "b.jpg")),),
    label_files=0,
    label_files_left_out=(),
    listed=7,
    annotations=6,
    annotations_left_out=(LeftOut("of crowds (iscrowd)", 1),),
    other={"annotation files": 1, "hidden": 1},
)


def line(event: str = "dataset", warnings: Any = (LEFT,)) -> str:
    return json.dumps({"event": event, "warnings": warnings})


def running(*lines: str, status: Any = None) -> Decision:
    return decide(snapshot(training_job(status=status), job=job(), pods=(pod(),), lines=lines), after(10))


def test_it_is_in_the_status_and_told_once():
    decision = running(line(), line("holdout", ["s3://data/h.tar: almost black"]))
    assert decision.status.warnings == (LEFT, "s3://data/h.tar: almost black")
    told = [each for each in decision.announcements if each.reason == Reason.DATA_WARNINGS]
    assert [(each.type, each.message) for each in told] == [("Warning", f"{LEFT} (1 more in status.warnings)")]
    again = running(line(), line("holdout", ["s3://data/h.tar: almost black"]), status=decision.status.to_dict())
    assert not [each for each in again.announcements if each.reason == Reason.DATA_WARNINGS]


def test_it_stays_when_the_log_has_lost_it_and_goes_when_the_data_has_nothing_left_out():
    before = running(line()).status.to_dict()
    assert running(epoch_line(7), status=before).status.warnings == (LEFT,)
    assert running(line(warnings=[]), status=before).status.warnings is None


@pytest.mark.parametrize("said", [None, "text", {"a": 1}, [1, None, ""]])
def test_what_makes_no_sense_is_passed_over(said: Any):
    assert running(line(warnings=said)).status.warnings is None


def test_it_is_bounded():
    found = running(line(warnings=["x" * 4000] * 100)).status.warnings
    assert (len(found), {len(text) for text in found}) == (16, {512})


def created(balance: Any) -> Any:
    source = DETAIL["dataset"]["sources"][0] | {"balance": balance}
    detail = DETAIL | {"dataset": DETAIL["dataset"] | {"sources": [source]}}
    training = TrainingJob.model_validate(training_job())
    run = trainer_run.Run("v4", None, None, "s3://models/parts/v4/")
    result = parse(success(detail))
    assert isinstance(result, Succeeded)
    create = modelversion.create_version(training, run, result, detail, None)
    return create.manifest["spec"]["lineage"]["dataset"]["sources"][0].get("balance")


def test_the_balance_that_the_trainer_writes_is_in_the_lineage():
    found = created(BALANCE.to_json())
    assert SourceBalance.model_validate(found) == SourceBalance.model_validate(BALANCE.to_json())
    assert found["imagesLeftOut"] == [{"why": "in no annotation file", "count": 2, "first": ["a.jpg", "b.jpg"]}]


@pytest.mark.parametrize("balance", [None, [], {"files": "many"}, BALANCE.to_json() | {"images": 3}])
def test_no_training_is_lost_over_a_balance_that_makes_no_sense(balance: Any):
    assert created(balance) is None


def test_the_trainers_limits_are_those_of_a_modelversion():
    classes = ModelVersionSpec.model_json_schema()["properties"]["classes"]
    assert (classes["maxItems"], classes["items"]["maxLength"]) == (limits.CLASSES, limits.NAME)


def test_what_fits_no_environment_variable_is_refused_before_a_job_is_made():
    [parent] = versions(model_version("v3", classes=[f"{number:04}".ljust(128, "x") for number in range(1024)]))
    decision = decide(snapshot(fine_tune({"version": "v3"}), parent=parent), after(10))
    assert decision.actions == ()
    [failed] = [each for each in decision.status.conditions if each.type == "Failed"]
    assert failed.reason == Reason.RUN_TOO_LONG
    assert (
        "bytes longer than an environment variable can be (128 KiB), for the class names of parts-v3" in failed.message
    )


def test_two_versions_with_names_as_long_as_the_trainer_lets_them_be_fit():
    size = limits.NAMES // 1024 - 4  # quotes and a comma
    limits.check([f"{number:04}".ljust(size, "x") for number in range(1024)], "s3://data/1.tar")
    described = {"classes": [f"{number:04}".ljust(size, "x") for number in range(1024)]}
    assert trainer_run.excess({"parent": described, "evaluation": {"baseline": described}}) == 0
