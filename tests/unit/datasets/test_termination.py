"""The labeler's last word: believed only where all of it is as it should be."""

import json
from typing import Any

import pytest

from modelfleet.datasets.termination import Report, parse
from modelfleet.workloads.last_words import Failed
from unit.datasets.builders import ABSENT, entry, failure, latest, report


def test_what_was_found():
    result = parse(report(latest=latest(12, holdout="e" * 64), ofALaterRelease=1))
    assert isinstance(result, Report)
    assert (result.found.waiting, result.found.in_review, result.found.reviewed) == (12, 40, 700)
    assert result.found.latest is not None
    assert result.found.latest.holdout is not None
    assert result.found.latest.holdout.sha256 == "e" * 64
    assert [each.parent for each in result.found.versions] == [11, 10]


def test_what_did_not_fit_is_not_taken_for_nothing():
    result = parse(report(perClass=ABSENT, versions=ABSENT, review=ABSENT))
    assert isinstance(result, Report)
    assert not {"perClass", "versions", "review"} & result.given


@pytest.mark.parametrize("holdout", ["e" * 64, {"sha256": "e" * 64, "images": 3}])
@pytest.mark.parametrize("parent", [11, {"number": 11, "sha256": "b" * 64}])
def test_a_version_in_short(holdout: Any, parent: Any):
    result = parse(report(versions=[entry(12, holdout=holdout, parent=parent)]))
    assert isinstance(result, Report)
    assert (result.found.versions[0].parent, result.found.versions[0].holdout) == (11, "e" * 64)


def test_why_it_failed():
    assert parse(failure()) == Failed("LabelStudioRefused", "The token is not valid: replace it.")
    assert parse(failure("no such: reason!", "x" * 5000)) == Failed("nosuchreason", "x" * 900)
    assert parse(failure("...", "x")) == Failed("SyncFailed", "x")


BAD = [
    pytest.param("", "left no termination message", id="nothing"),
    pytest.param(" \n", "left no termination message", id="blanks"),
    pytest.param("Traceback (most recent call last)", "is not valid JSON: Traceback", id="a traceback"),
    pytest.param(report()[:-20], "is not valid JSON", id="cut"),
    pytest.param("[" * 100_000, "is not valid JSON", id="too deep"),
    pytest.param("[]", "says neither", id="a list"),
    pytest.param("3", "says neither", id="a number"),
    pytest.param('{"result": "Succeeded?"}', "says neither", id="another result"),
    pytest.param('{"result": "Failed", "reason": "X"}', "says neither", id="no message"),
    pytest.param('{"result": "Failed", "reason": 3, "message": "x"}', "says neither", id="no reason"),
    pytest.param(report(latest=ABSENT), "lacks latest", id="no latest"),
    pytest.param(report(waiting=ABSENT, reviewed=ABSENT), "lacks waiting, reviewed", id="no figures"),
    pytest.param(report(waiting=None), "does not say how many", id="figures that are null"),
    pytest.param(report(waiting=-1), "waiting: ", id="fewer than none"),
    pytest.param(report(waiting=10**30), "waiting: ", id="more than the API server takes"),
    pytest.param(report(waiting="many"), "waiting: ", id="words"),
    pytest.param(report(latest=latest(0)), "latest.number: ", id="version 0"),
    pytest.param(report(latest=latest(1, sha256="abc")), "latest.sha256: ", id="no digest"),
    pytest.param(report(latest=latest(1, uri="x" * 2000)), "latest.uri: ", id="a long address"),
    pytest.param(report(latest=[]), "latest: ", id="a list of versions"),
    pytest.param(report(versions=[3]), "versions.0: ", id="a version that is a number"),
    pytest.param(report(versions={"12": {}}), "versions must be a list", id="a map of versions"),
    pytest.param(report(notes="3 captures"), "notes must be a list", id="a text for a list"),
    pytest.param(report(editedShare="1.2"), "editedShare: ", id="more than all"),
    pytest.param(report(editedShare="NaN"), "editedShare: ", id="not a number"),
    pytest.param(
        report(review={"version": "v1", "precision": {"value": "0.9"}}), "review.precision.low: ", id="no interval"
    ),
    pytest.param(report(review={"version": "v1", "worstClasses": None}), "review.worstClasses: ", id="a null list"),
    pytest.param(
        report(review={"version": "v1", "worstClasses": 3}), "review.worstClasses: ", id="a number for a list"
    ),
    pytest.param(json.dumps({"result": "Succeeded", "waiting": 1}), "lacks inReview, reviewed, latest", id="half"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_makes_no_sense_is_said(text: str, says: str):
    result = parse(text)
    assert isinstance(result, str)
    assert says in result
    assert len(result) < 400
