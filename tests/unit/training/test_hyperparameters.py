"""Hyperparameters are checked by name, type and range before there is a pod, and the message says what to do."""

from pathlib import Path

import pytest

from modelfleet.api.conditions import find
from modelfleet.api.trainingjob import _NOT_EXTRA
from modelfleet.training import hyperparameters
from modelfleet.training.decide import decide
from modelfleet.versions.resolve import Missing
from trainer import argument_table
from trainer import arguments as trainer_arguments
from unit.training.builders import (
    after,
    ended,
    failed_pod,
    fine_tune,
    job,
    model_version,
    snapshot,
    training_job,
    versions,
)

ROOT = Path(__file__).parents[3]
VERSION = hyperparameters.TABLE.ultralytics


def look(**spec):
    return decide(snapshot(training_job(**spec)), after(10))


def ready(decision):
    return find(decision.status.conditions, "Ready")


# --- what is wrong, and what is said ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        # names
        (
            {"extra": {"lr": "0.1"}},
            f"spec.hyperparameters.extra.lr is not a training argument of ultralytics {VERSION} (did you mean lrf?)",
        ),
        (
            {"augmentation": {"mosiac": "1"}},
            f"spec.hyperparameters.augmentation.mosiac is not a training argument of ultralytics {VERSION} "
            "(did you mean mosaic?)",
        ),
        (
            {"extra": {"qqq": "1"}},
            f"spec.hyperparameters.extra.qqq is not a training argument of ultralytics {VERSION}",
        ),
        (
            {"extra": {"imgsz": "640"}},
            "spec.hyperparameters.extra.imgsz has a field of its own: spec.hyperparameters.imageSize",
        ),
        (
            {"augmentation": {"lr0": "0.1"}},
            "spec.hyperparameters.augmentation.lr0 is not an augmentation; give it under spec.hyperparameters.extra",
        ),
        # what is modelfleet's to set
        *[
            ({group: {name: "1"}}, f"spec.hyperparameters.{group}.{name} can't be given: {why}")
            for group in ("augmentation", "extra")
            for name, why in {
                "project": "where a run writes its files is modelfleet's to say",
                "name": "where a run writes its files is modelfleet's to say",
                "exist_ok": "where a run writes its files is modelfleet's to say",
                "resume": "a run resumes automatically, from its own last checkpoint and never from a guess",
                "device": "the devices follow from spec.resources.gpus",
            }.items()
        ],
        (
            {"extra": {"pose": "12"}},
            "spec.hyperparameters.extra.pose can't be given: training a detection model does not read it",
        ),
        # types
        ({"extra": {"cos_lr": "3"}}, "spec.hyperparameters.extra.cos_lr is 3 and must be true or false"),
        ({"extra": {"cos_lr": "yes"}}, 'spec.hyperparameters.extra.cos_lr is "yes" and must be true or false'),
        ({"extra": {"lr0": "fast"}}, 'spec.hyperparameters.extra.lr0 is "fast" and must be a number from 0 to 1'),
        ({"extra": {"lr0": "true"}}, "spec.hyperparameters.extra.lr0 is true and must be a number from 0 to 1"),
        ({"extra": {"nbs": "6.5"}}, "spec.hyperparameters.extra.nbs is 6.5 and must be a whole number of at least 1"),
        ({"extra": {"box": "nan"}}, "spec.hyperparameters.extra.box is NaN and must be a number of at least 0"),
        (
            {"extra": {"momentum": "none"}},
            "spec.hyperparameters.extra.momentum is null and must be a number from 0 to 1",
        ),
        # ranges
        (
            {"augmentation": {"mosaic": "1.5"}},
            "spec.hyperparameters.augmentation.mosaic is 1.5 and must be a number from 0 to 1",
        ),
        (
            {"extra": {"workers": "-1"}},
            "spec.hyperparameters.extra.workers is -1 and must be a whole number of at least 0",
        ),
        (
            {"extra": {"amp": "fp8"}},
            'spec.hyperparameters.extra.amp is "fp8" and must be true or false or one of fp16, bf16, fp32',
        ),
        (
            {"extra": {"fraction": "0"}},
            "spec.hyperparameters.extra.fraction is 0 and must be a number above 0 up to 1 "
            "or a whole number of at least 2 or a list",
        ),
        (
            {"optimizer": "Adagrad"},
            'spec.hyperparameters.optimizer is "Adagrad" and must be one of auto, SGD, MuSGD, Adam, Adamax, '
            "AdamW, NAdam, RAdam, RMSprop",
        ),
    ],
)
def test_what_is_refused(given, problem):
    assert hyperparameters.problems(given, {}, 1) == (problem,)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"epochs": 3, "imageSize": 320, "batch": -1, "patience": 0, "optimizer": "adamw", "seed": 7, "freeze": 10},
        {"augmentation": {"degrees": "-10", "mosaic": "0", "scale": "0.5", "close_mosaic": "0"}},
        {"extra": {"cos_lr": "true", "lr0": "1e-3", "amp": "BF16", "cache": "disk", "time": "0.5", "workers": "0"}},
        {"extra": {"close_mosaic": "10.0", "fraction": "500", "compile": "max-autotune", "auto_augment": "none"}},
        {"extra": {"mosaic": "1.0", "scale": "[0.5, 2.0]", "copy_paste_mode": "mixup"}},
    ],
)
def test_what_is_taken(given):
    assert hyperparameters.problems(given, {}, 1) == ()


@pytest.mark.parametrize(
    ("given", "inherited", "gpus", "problem"),
    [
        ({"batch": -1}, {}, 1, ""),
        ({"batch": 16}, {}, 4, ""),
        ({}, {}, 4, ""),
        ({"batch": -1}, {}, 4, "spec.resources.gpus is 4; give a batch for all of them, a multiple of 4"),
        ({}, {"batch": "-1"}, 2, "give a batch for all of them, a multiple of 2"),
        ({"batch": 8}, {"batch": "-1"}, 2, ""),
        ({"batch": 3}, {}, 4, "spec.hyperparameters.batch is 3, less than one image for each of spec.resources.gpus 4"),
    ],
)
def test_a_batch_for_several_gpus(given, inherited, gpus, problem):
    found = hyperparameters.problems(given, inherited, gpus)
    assert (problem in "".join(found)) if problem else found == ()


def test_an_image_of_ones_own_may_know_other_arguments_but_not_take_over():
    given = {"extra": {"lr_warp": "9", "lr0": "7", "device": "3"}, "augmentation": {"shiny": "1"}, "optimizer": "Lion"}
    (problem,) = hyperparameters.problems(given, {"lr0": "fast"}, 4, own_image=True)
    assert problem.startswith("spec.hyperparameters.extra.device can't be given")


# --- what becomes of the TrainingJob ----------------------------------------------------------------------------------


def test_a_bad_argument_ends_the_run_before_there_is_a_job():
    decision = look(hyperparameters={"extra": {"lr": "0.1"}}, resources={"gpus": 8})
    assert decision.actions == ()
    assert ready(decision).reason == "UnknownArgument"
    assert ready(decision).message == (
        f"spec.hyperparameters.extra.lr is not a training argument of ultralytics {VERSION} (did you mean lrf?). "
        f"The table of arguments is of ultralytics {VERSION}. "
        "TrainingJobs run once: fix the cause and create a new TrainingJob."
    )
    assert {entry.type for entry in decision.status.conditions} == {"Ready", "Stalled", "Failed"}
    assert decision.status.phase == "Failed"
    assert decision.status.finished_at == after(10)
    assert [(entry.type, entry.reason) for entry in decision.announcements] == [("Warning", "UnknownArgument")]


def test_all_that_is_wrong_is_said_at_once_and_a_lot_is_cut():
    extra = {"lr": "1", "cos_lr": "2"}
    assert ready(look(hyperparameters={"extra": extra})).message.count("spec.hyperparameters.extra") == 2
    many = {f"no{number}": "1" for number in range(9)}
    assert "; and 4 more. The table" in ready(look(hyperparameters={"extra": many})).message


def test_it_is_said_even_while_suspended_or_without_the_parent():
    bad = {"hyperparameters": {"extra": {"lr": "0.1"}}}
    assert ready(look(suspend=True, **bad)).reason == "UnknownArgument"
    seen = snapshot(fine_tune({"version": "v3"}, **bad), parent=Missing("NotFound", "no v3"))
    assert ready(decide(seen, after(10))).reason == "UnknownArgument"


def test_an_image_in_the_template_changes_who_checks():
    def with_container(container):
        return look(hyperparameters={"extra": {"lr_warp": "1"}}, template={"spec": {"containers": [container]}})

    assert ready(with_container({"name": "trainer", "image": "mine:1"})).reason == "Starting"
    assert ready(with_container({"name": "trainer", "env": []})).reason == "UnknownArgument"
    assert ready(with_container({"name": "sidecar", "image": "mine:1"})).reason == "UnknownArgument"


@pytest.mark.parametrize(
    ("mode", "given", "reason"),
    [
        ("Continue", {}, "UnknownArgument"),
        ("Continue", {"extra": {"lr0": "0.01"}}, "Starting"),
        ("FineTune", {}, "Starting"),
    ],
)
def test_what_continue_takes_over_is_checked_too(mode, given, reason):
    lineage = {"hyperparameters": {"lr0": "fast", "device": "3", "of_an_older_release": "1"}}
    (parent,) = versions(model_version("v3", lineage=lineage))
    training = training_job(mode=mode, architecture=None, hyperparameters=given, **{"from": {"version": "v3"}})
    found = ready(decide(snapshot(training, parent=parent), after(10)))
    assert found.reason == reason
    if reason == "UnknownArgument":
        assert found.message.startswith(
            'lr0 of the parent\'s lineage.hyperparameters is "fast" and must be a number from 0'
        )


def test_a_run_that_has_its_job_is_left_to_the_trainer():
    training = training_job(hyperparameters={"extra": {"lr": "0.1"}})
    seen = snapshot(
        training,
        job=job(training, status=ended(False, reason="PodFailurePolicy")),
        pods=(failed_pod(1, "UnknownArgument", "the trainer's own words", 64),),
    )
    assert "the trainer's own words" in ready(decide(seen, after(10))).message


# --- one truth --------------------------------------------------------------------------------------------------------


def test_the_table_says_of_each_argument_what_the_trainer_says():
    """Types, ranges and the version are held to ultralytics inside the trainer image, by test_argument_table.py."""
    rows = hyperparameters.TABLE.rows
    places = {name: row["place"] for name, row in rows.items() if "place" in row}
    assert {name for name, place in places.items() if place == "augmentation"} == trainer_arguments.AUGMENTATION
    assert {name for name, place in places.items() if place == "extra"} == trainer_arguments.TRAINING
    assert {name: rows[name]["place"] for name in trainer_arguments.FIELDS} == trainer_arguments.FIELDS
    assert {name: row["refused"] for name, row in rows.items() if "refused" in row} == trainer_arguments.REFUSED


def test_what_the_api_server_refuses_is_refused_by_the_table_too():
    for name in _NOT_EXTRA:
        assert hyperparameters.problems({"extra": {name: "1"}}, {}, 1), name


def test_the_page_shows_the_table():
    table = {"ultralytics": VERSION, "arguments": list(hyperparameters.TABLE.rows.values())}
    assert (ROOT / "docs/training-arguments.md").read_text() == argument_table.to_markdown(table)


@pytest.mark.parametrize(
    "text", ["10", "1.0", "1e-3", "true", "False", " none ", "AdamW", "[0, 1]", "[0, 1", "1_0", "nan"]
)
def test_values_are_read_as_the_trainer_reads_them(text):
    assert repr(hyperparameters.parse(text)) == repr(trainer_arguments.parse(text))
