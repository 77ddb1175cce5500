"""Operator and labeler understand each other: the real code of either reads what the real code of the other writes."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from detectiondata import version as versions
from detectiondata.ratio import Estimate
from detectiondata.version import Box, Image
from detectiondata.version_store import Stored
from labeler import failure, settings
from labeler import termination as labeler
from labeler.calibration import BUCKETS, EDGES, Calibration
from labeler.failure import Failure
from labeler.review import ClassFigures, Figures
from labeler.run import Outcome
from labeler.settings import FilesSettings, LabelStudioSettings, Run, Split
from modelfleet.api.reasons import Reason
from modelfleet.datasets import labeler_run, manifests, termination
from modelfleet.datasets.decide import MAY_PASS
from modelfleet.datasets.snapshot import Deployed
from modelfleet.datasets.termination import Report
from modelfleet.workloads.last_words import Failed
from unit.datasets.builders import FILES, LABEL_STUDIO, dataset, snapshot

STORE = "s3://data/parts/"
EDITED = {"by": "ann", "at": "2026-11-29T12:00:00Z", "source": "label-studio", "blind": False, "edited": True}


def told(*, deployed: tuple[Deployed, ...] = (), **spec: Any) -> Run:
    """What the labeler makes of its environment, after the kubelet made one `$` of two."""
    seen = snapshot(dataset(**spec), deployed=deployed)
    env = labeler_run.to_env(labeler_run.document(seen.dataset, seen.deployed))
    assert env["name"] == "LABELER_RUN"
    return settings.parse(env["value"].replace("$$", "$"))


def test_the_defaults_are_read() -> None:
    found = told(labelling=LABEL_STUDIO)
    assert found == Run(
        dataset="parts",
        namespace="factory",
        model="parts",
        captures="s3://captures/line/",
        store=STORE,
        classes=("bolt", "nut"),
        min_new_images=50,
        split=Split(Decimal("0.15"), Decimal("0.10")),
        labelling=LabelStudioSettings("http://ls", "parts"),
        per_day=200,
        priority=("disagree", "sample"),
        blind=Decimal("0.10"),
        deployed=(),
    )


def test_all_that_can_be_said_is_read() -> None:
    found = told(
        deployed=(Deployed("v2", "a" * 64), Deployed("v3", "b" * 64)),
        captures={"uri": "s3://captures/$(HOME)/"},
        classes=["Müller, $5", "螺栓", "x" * 128],
        minNewImages=1_000_000,
        labelling=FILES | {"perDay": 100_000, "priority": [], "blind": "100%"},
        split={"validation": "0%", "holdout": "80%"},
    )
    assert found.captures == "s3://captures/$(HOME)/"
    assert found.classes == ("Müller, $5", "螺栓", "x" * 128)
    assert found.labelling == FilesSettings("s3://reviewed/parts/", "Auto")
    assert (found.min_new_images, found.per_day, found.priority, found.blind) == (1_000_000, 100_000, (), 1)
    assert (found.split.validation, found.split.holdout) == (0, Decimal("0.8"))
    assert [(each.version, each.sha256) for each in found.deployed] == [("v2", "a" * 64), ("v3", "b" * 64)]


@pytest.mark.parametrize("format", ["Auto", "YOLO", "COCO"])
def test_each_format_of_labels_is_read(format: str) -> None:
    assert told(labelling={"files": {**FILES["files"], "format": format}}).labelling.format == format  # type: ignore[union-attr]


def test_as_many_as_there_may_be_are_read() -> None:
    deployed = tuple(Deployed(f"v{number}", f"{number:064x}") for number in range(labeler_run.MOST_DEPLOYED))
    found = told(deployed=deployed, classes=[f"class {number}" for number in range(1000)])
    assert (len(found.deployed), len(found.classes)) == (labeler_run.MOST_DEPLOYED, 1000)


def image(number: int, split: versions.Split, **review: Any) -> Image:
    boxes = (Box("bolt", 1, 2, 30, 40), Box("nut", 5, 6, 7, 8))
    return Image(f"{number:064x}", ".jpg", 9, 64, 48, split, boxes, {"key": "k"}, EDITED | review)


IMAGES = tuple(image(number, "train", edited=number < 2) for number in range(8))
HELD = (image(100, "holdout", blind=True),)


def stored(number: int, parent: Stored | None, *, holdout: bool) -> Stored:
    """A version, by the code that makes them."""

    def part(piece: versions.Piece, images: tuple[Image, ...]) -> versions.Version:
        _, made = versions.describe(
            images, {}, ("bolt", "nut"), piece, number=number,
            parent=None if parent is None else (parent.version.number, parent.sha256),
            created_at="2026-11-29T12:00:00Z",
        )  # fmt: skip
        return made

    made = replace(part("dataset", IMAGES), holdout=part("holdout", HELD) if holdout else None)
    return Stored(made, made.sha256)


CREATED = {"createdAt": "2026-11-29T12:00:00Z"}
FIRST = stored(1, None, holdout=False)
SECOND = stored(2, FIRST, holdout=True)
FIGURES = Figures(
    version="v2",
    frames=252,
    node_days=36,
    precision=Estimate(0.91234, 0.9, 0.95),
    recall=Estimate(1.0, 0.9, 1.0),
    worst=(ClassFigures("nut", 0.5, None, 99, Estimate(0.5, 0.4, 0.6)), ClassFigures("bolt", None, 0.75, 12)),
    calibration=Calibration(tuple(number / BUCKETS for number in range(BUCKETS))),
)
OUTCOME = Outcome(
    waiting=12,
    in_review=40,
    images={each.sha256: each for each in (*IMAGES, *HELD)},
    pending=3,
    reserved=0,
    history=(SECOND, FIRST),
    figures=FIGURES,
    problems=(),
    notes=("Label Studio has two projects of this name.",),
)


def heard(outcome: Outcome, store: str = STORE) -> Report:
    """What the operator makes of the labeler's last word, as the kubelet hands it on."""
    found = termination.parse(labeler.render(labeler.success(outcome, store)).decode())
    assert isinstance(found, Report), found
    return found


def test_the_operator_reads_all_that_a_run_has_found() -> None:
    report = heard(OUTCOME)
    found = report.found.to_dict()
    assert report.given == set(labeler.success(OUTCOME, STORE)) - {"result"}
    assert {name: value for name, value in found.items() if name in report.given} == {
        "waiting": 12,
        "inReview": 40,
        "reviewed": 9,
        "pending": 3,
        "editedShare": "0.25",
        "latest": {
            "number": 2,
            "uri": "s3://data/parts/versions/00002/version.json",
            "sha256": SECOND.sha256,
            "images": 8,
            "objects": 16,
            "classes": 2,
            "createdAt": "2026-11-29T12:00:00Z",
            "holdout": {
                "uri": "s3://data/parts/versions/00002/holdout.json",
                "sha256": SECOND.version.holdout.sha256 if SECOND.version.holdout else "",
                "images": 1,
            },
        },
        "perClass": [{"name": "bolt", "objects": 8}, {"name": "nut", "objects": 8}],
        "versions": [
            {"number": 2, "sha256": SECOND.sha256, "parent": 1, "images": 8, "added": 8, "changed": 0, **CREATED},
            {"number": 1, "sha256": FIRST.sha256, "images": 8, "added": 8, "changed": 0, **CREATED},
        ],
        "review": {
            "version": "v2",
            "frames": 252,
            "nodeDays": 36,
            "precision": {"value": "0.9123", "low": "0.9", "high": "0.95"},
            "recall": {"value": "1", "low": "0.9", "high": "1"},
            "worstClasses": [
                {
                    "name": "nut",
                    "precision": "0.5",
                    "precisionInterval": {"low": "0.4", "high": "0.6"},
                    "frames": 99,
                },
                {"name": "bolt", "recall": "0.75", "frames": 12},
            ],
            "calibration": {
                "edges": [labeler.decimal(edge) for edge in EDGES],
                "precision": [labeler.decimal(number / BUCKETS) for number in range(BUCKETS)],
            },
        },
        "notes": ["Label Studio has two projects of this name."],
    }


def test_before_the_first_version_all_that_is_null_is_none() -> None:
    report = heard(replace(OUTCOME, images={}, pending=0, history=(), figures=None, notes=()))
    assert {"latest", "review", "editedShare", "versions", "perClass", "notes"} <= report.given
    found = report.found
    assert (found.latest, found.review, found.edited_share) == (None, None, None)
    assert (found.versions, found.per_class, found.notes) == ((), (), ())


def test_a_review_that_does_not_suffice_has_no_figures() -> None:
    figures = replace(FIGURES, precision=None, recall=None, worst=(), calibration=None)
    review = heard(replace(OUTCOME, history=(FIRST,), figures=figures)).found.review
    assert review is not None
    assert (review.frames, review.precision, review.recall, review.calibration) == (252, None, None, None)


def test_as_many_versions_as_are_told_are_read() -> None:
    history = tuple(stored(number, FIRST, holdout=True) for number in range(12, 2, -1))
    assert [each.number for each in heard(replace(OUTCOME, history=history)).found.versions] == list(range(12, 2, -1))


def test_what_does_not_fit_is_not_taken_for_nothing() -> None:
    """Class names may have 128 characters, of up to four bytes."""
    names = tuple("\U0001f529" * 127 + chr(ord("a") + number) for number in range(20))
    latest = replace(SECOND, version=replace(SECOND.version, per_class=dict.fromkeys(names, 3)))
    figures = replace(FIGURES, worst=tuple(ClassFigures(name, 0.5, 0.5, 99) for name in names[:10]))
    report = heard(replace(OUTCOME, history=(latest, FIRST), figures=figures))
    assert report.found.latest is not None
    assert "perClass" not in report.given
    assert report.found.review is not None
    assert len(report.found.review.worst_classes) == 3
    report = heard(replace(OUTCOME, history=(latest,), figures=figures, notes=("x" * 400,)), "s3://data/" + "x" * 800)
    assert report.given == {"waiting", "inReview", "reviewed", "pending", "editedShare", "latest", "versions"}


@pytest.mark.parametrize(
    "caught", [Failure("StoreUnreachable", 's3://data/parts/ said "no"'), Failure("LabelerFailed", "x" * 5000)]
)
def test_why_a_run_failed(caught: Failure) -> None:
    found = termination.parse(labeler.render(labeler.failed(caught)).decode())
    assert found == Failed(caught.reason, caught.message[:900])


def test_what_may_pass_for_the_operator_may_be_tried_again_for_the_labeler() -> None:
    assert {Reason(reason) for reason in failure.RETRYABLE} | {Reason.INTERRUPTED} >= MAY_PASS
    assert manifests.RETRYING_CANT_HELP == failure.EXIT_RETRYING_CANT_HELP


def test_a_message_is_what_the_kubelet_takes() -> None:
    assert len(labeler.render(labeler.success(OUTCOME, STORE))) <= labeler.LIMIT < 4096
    assert json.loads(labeler.render(labeler.success(OUTCOME, STORE)))["result"] == "Succeeded"
