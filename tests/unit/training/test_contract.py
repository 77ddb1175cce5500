"""Operator and trainer understand each other: each side's real code reads what the other's real code writes."""

import io
import json
from types import SimpleNamespace

from modelfleet.api import ClassChanges, TrackedRun, TrainingJob
from modelfleet.training import manifests, modelversion, trainer_run
from modelfleet.training.log_events import class_changes, read
from modelfleet.training.pods import RETRYING_CANT_HELP
from modelfleet.training.termination import Succeeded, find_detail, parse
from modelfleet.workloads.last_words import Failed
from trainer import failure, report, weights
from trainer import main as trainer_main
from trainer import run as trainer_side
from unit.training.builders import DETAIL, fine_tune, model_version, training_job, versions


def test_the_trainer_reads_the_run_that_the_operator_writes():
    parent, baseline = versions(
        model_version("v3", lineage={"hyperparameters": {"epochs": "9", "cfg": ""}}, metrics={"map50": "0.9"}),
        model_version("v2"),
    )
    raw = fine_tune(
        {"tag": "latest"},
        hyperparameters={"epochs": 3, "batch": -1, "augmentation": {"degrees": "10"}, "extra": {"close_mosaic": "10"}},
        evaluation={"dataset": {"uri": "s3://data/h.tar", "sha256": "e" * 64}, "baseline": {"rollout": "line"}},
        dataset={"sources": [{"uri": "s3://data/1.tar", "format": "COCO"}], "validationSplit": "0.3"},
        checkpoint={"everyEpochs": 7},
        tracking={
            "mlflow": {"uri": "http://mlflow", "experiment": "lines", "secretRef": {"name": "ml"}},
            "wandb": {"project": "parts", "secretRef": {"name": "wb"}},
        },
    )
    document = trainer_run.document(TrainingJob.model_validate(raw), "v4", parent, baseline)
    read = trainer_side.parse(json.dumps(document))
    assert (read.training_job, read.uid, read.model, read.version) == ("parts-v4", "uid-parts-v4", "parts", "v4")
    assert (read.mode, read.architecture) == ("FineTune", None)
    assert read.parent is not None
    assert (read.parent.version, read.parent.classes, read.parent.image_size) == ("v3", ("bolt", "nut"), 320)
    assert read.evaluation is not None
    assert read.evaluation.baseline is not None
    assert read.evaluation.baseline.version == "v2"
    assert (read.hyperparameters.epochs, read.hyperparameters.batch, read.hyperparameters.patience) == (3, -1, None)
    assert read.hyperparameters.extra == {"close_mosaic": "10"}
    assert read.output.uri == "s3://models/parts/v4/"
    assert read.checkpoint_every_epochs == 7
    assert read.tracking == trainer_side.Trackers(
        trainer_side.MLflow("http://mlflow", "lines"), trainer_side.WandB("parts", None)
    )


def test_the_trainer_reads_the_checkpoint_that_stands_for_a_parent():
    public = {"uri": "s3://models/yolo11n.pt", "sha256": "a" * 64}
    for spec in ({"mode": "FineTune", "architecture": None}, {"mode": "Transfer", "architecture": "yolo11s"}):
        training = TrainingJob.model_validate(training_job(**{"from": {"checkpoint": public}}, **spec))
        document = trainer_run.document(training, "v1", None, None)
        read = trainer_side.parse(json.dumps(document))
        assert (read.mode, read.parent) == (spec["mode"], None)
        assert read.weights == trainer_side.Weights(**public)
        assert trainer_run.read(manifests.job(training, "image", document)).weights == trainer_run.Weights(**public)


def test_the_operator_reads_what_the_trainer_found_in_a_checkpoint(tmp_path):
    public = {"uri": "s3://models/yolo11n.pt", "sha256": "a" * 64}
    training = TrainingJob.model_validate(fine_tune({"checkpoint": public}))
    read = trainer_side.parse(json.dumps(trainer_run.document(training, "v1", None, None)))
    names = (*(f"class {number}" for number in range(150)), "x" * 300, "")
    origin = weights.Origin("yolo11n", names, "parent v3 declares others")
    told = trainer_main._checkpoint(read, weights.Origin.from_json(json.loads(json.dumps(origin.to_json()))))
    found = modelversion.start_checkpoint(trainer_run.Run("v1", None, None, "", trainer_run.Weights(**public)), told)
    assert found == public | {"architecture": "yolo11n", "classes": 152, "classNames": list(names[:100])}
    changes = trainer_main._class_changes(read, origin, SimpleNamespace(classes=("class 1", "bolt")))
    assert class_changes(changes) == ClassChanges(
        kept=1, added=("bolt",), dropped=tuple(n for n in names if n != "class 1")[:100], mismatch=origin.mismatch
    )


def test_the_least_run_is_understood_too():
    document = trainer_run.document(TrainingJob.model_validate(training_job()), "v4", None, None)
    read = trainer_side.parse(json.dumps(document))
    assert (read.mode, read.architecture, read.parent, read.evaluation) == ("Scratch", "yolo11n", None, None)
    assert read.tracking is None
    assert "gpus" not in document  # a trainer from before it was known reads this


def test_the_trainer_knows_how_many_gpus_it_must_see():
    training = TrainingJob.model_validate(training_job(resources={"gpus": 2}))
    assert trainer_side.parse(json.dumps(trainer_run.document(training, "v4", None, None))).gpus == 2


def test_the_operator_reads_what_the_trainer_reports():
    files = [report.PublishedFile("best.onnx", "onnx", "a" * 64, 1000)]
    result = parse(json.dumps(report.success(files, {"map50": "0.91"}, DETAIL)))
    assert isinstance(result, Succeeded)
    log = io.StringIO()
    reporter = report.Reporter(log)
    reporter.event("epoch", epoch=1, epochs=4, percent=25, remainingSeconds=30, metrics={"map50": "0.5"})
    reporter.warning("3 images are corrupt")
    reporter.event("tracking", tracker="wandb", url="https://wandb/run")
    reporter.detail(DETAIL)
    lines = log.getvalue().splitlines()
    assert find_detail(lines, result.detail_sha256) == DETAIL
    followed = read(lines)
    assert followed.progress is not None
    assert (followed.progress.epoch, followed.warning) == (1, "3 images are corrupt")
    assert followed.tracking == TrackedRun(wandb="https://wandb/run")


def test_the_operator_reads_why_the_trainer_failed():
    told = failure.Failure("DatasetInvalid", "no labels")
    assert parse(json.dumps(report.failed(told))) == Failed("DatasetInvalid", "no labels")


def test_what_can_not_be_mended_has_the_same_exit_code():
    assert failure.EXIT_RETRYING_CANT_HELP == RETRYING_CANT_HELP
    assert failure.Failure("DatasetInvalid", "no labels").exit_code == RETRYING_CANT_HELP
