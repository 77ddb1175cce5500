"""LABELER_RUN: read whole, and what is wrong with it is named by its path."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from labeler import settings
from labeler.failure import Failure
from labeler.settings import Deployed, FilesSettings, LabelStudioSettings, Split

DOCUMENT: dict[str, Any] = {
    "dataset": "parts",
    "namespace": "default",
    "model": "parts-detector",
    "captures": "s3://captures/line/",
    "store": "s3://data/parts/",
    "classes": ["washer", "bolt"],
    "minNewImages": 50,
    "split": {"validation": "0.15", "holdout": "0.10"},
    "labelling": {
        "labelStudio": {"url": "http://ls:8080", "project": "parts"},
        "perDay": 200,
        "priority": ["disagree", "sample"],
        "blind": "0.10",
    },
    "deployed": [{"version": "v2", "sha256": "ab" * 32}],
}


def test_a_run_is_read() -> None:
    run = settings.parse(json.dumps(DOCUMENT))
    assert run.labelling == LabelStudioSettings("http://ls:8080", "parts")
    assert (run.classes, run.min_new_images, run.per_day) == (("washer", "bolt"), 50, 200)
    assert (run.split, run.blind) == (Split(Decimal("0.15"), Decimal("0.10")), Decimal("0.10"))
    assert run.deployed == (Deployed("v2", "ab" * 32),)
    files = DOCUMENT["labelling"] | {"labelStudio": None, "files": {"uri": "s3://reviewed/parts/"}, "priority": None}
    run = settings.parse(json.dumps(DOCUMENT | {"labelling": files, "deployed": None, "unknown": 1}))
    assert (run.labelling, run.priority, run.deployed) == (FilesSettings("s3://reviewed/parts/", "Auto"), (), ())


def labelling(**changes: Any) -> dict[str, Any]:
    return {"labelling": DOCUMENT["labelling"] | changes}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"captures": None}, "captures is not a text"),
        ({"classes": []}, "classes must be different names, at least one"),
        ({"classes": ["a", "a"]}, "classes must be different names"),
        ({"classes": ["a "]}, "classes must be different names"),
        ({"minNewImages": 0}, "minNewImages is not a whole number from 1"),
        ({"split": {"validation": "0.5", "holdout": "0.5"}}, "split leaves nothing to train on"),
        ({"split": {"validation": 0.15, "holdout": "0.1"}}, "split.validation is not a text"),
        ({"split": {"validation": "15%", "holdout": "0.1"}}, "validation is not a share as a text"),
        ({"split": {"validation": "NaN", "holdout": "0.1"}}, "validation is not a share as a text"),
        ({"split": {"validation": "-0.1", "holdout": "0.1"}}, "validation is not a share as a text"),
        ({"labelling": []}, "labelling is not an object"),
        (labelling(labelStudio=None), "must have one of labelStudio and files"),
        (labelling(files={"uri": "s3://x/"}), "must have one of labelStudio and files"),
        (labelling(labelStudio=None, files={"uri": "s3://x/", "format": "VOC"}), "must be Auto, YOLO or COCO"),
        (labelling(perDay=-1), "labelling.perDay is not a whole number from 0"),
        (labelling(priority="sample"), "labelling.priority is not a list"),
        ({"deployed": [{"version": "v2", "sha256": "x"}]}, "deployed[0].sha256 is not a SHA-256"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Failure) as caught:
        settings.parse(json.dumps(DOCUMENT | changes))
    assert (caught.value.reason, caught.value.exit_code) == ("InvalidConfiguration", 64)
    assert told in caught.value.message
    assert caught.value.message.startswith("LABELER_RUN is wrong: ")


@pytest.mark.parametrize("text", [None, "", "{", "[" * 100_000, "null"])
def test_what_is_no_document_is_named(text: str | None) -> None:
    with pytest.raises(Failure, match="LABELER_RUN is") as caught:
        settings.parse(text)
    assert caught.value.reason == "InvalidConfiguration"
