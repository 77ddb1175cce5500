"""Progress from the trainer's event lines; what makes no sense is passed over."""

import json
from datetime import timedelta

import pytest

from modelfleet.training.progress import read
from unit.training.builders import epoch_line


def test_the_newest_epoch_counts():
    progress = read([epoch_line(1), epoch_line(2, metrics={"map50": 0.51234567, "recall": "0.4"})]).progress
    assert progress is not None
    assert progress.to_dict() == {
        "epoch": 2,
        "epochs": 3,
        "percent": 66,
        "remaining": "1m",
        "metrics": {"map50": "0.512346", "recall": "0.4"},
    }


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        '{"event": "epoch", "epoch"',
        '["epoch"]',
        '{"event": 7}',
        '{"event": "epoch"}',
        '{"event": "epoch", "epoch": "two", "epochs": 3}',
        '{"event": "epoch", "epoch": -1, "epochs": 3}',
        '{"event": "epoch", "epoch": true, "epochs": 3}',
        '{"event": "epoch", "epoch": NaN, "epochs": 3}',
        '{"event": "epoch", "epoch": 2.5, "epochs": 3}',
        '{"event": "news", "epoch": 3, "epochs": 3}',
    ],
)
def test_a_line_that_makes_no_sense_changes_nothing(line):
    assert read([epoch_line(1), line]) == read([epoch_line(1)])


@pytest.mark.parametrize(
    ("fields", "remaining"),
    [
        ({"remainingSeconds": 90.4}, timedelta(seconds=90)),
        ({"remainingSeconds": None}, None),
        ({"remainingSeconds": -1}, None),
        ({"remainingSeconds": float("inf")}, None),
        ({"remainingSeconds": float("nan")}, None),
        ({"remainingSeconds": 1e30}, timedelta(hours=99_999)),
    ],
)
def test_remaining_time(fields, remaining):
    progress = read([epoch_line(1, **fields)]).progress
    assert progress is not None
    assert progress.remaining == remaining


def test_figures_that_are_no_numbers_are_left_out():
    progress = read([epoch_line(1, metrics={"map50": float("nan"), "recall": "0.5", "loss": None, "x": "y"})]).progress
    assert progress is not None
    assert set(progress.metrics) == {"recall"}


def test_percent_is_computed_where_it_is_missing():
    line = json.dumps({"event": "epoch", "epoch": 1, "epochs": 4})
    progress = read([line]).progress
    assert progress is not None
    assert progress.percent == 25


def test_what_else_is_told():
    followed = read(
        [
            '{"event": "started", "resumedFromEpoch": 10}',
            '{"event": "warning", "message": "3 images are corrupt"}',
            epoch_line(3),
            '{"event": "uploading"}',
        ]
    )
    assert followed.resumed_from == 10
    assert followed.warning == "3 images are corrupt"
    assert followed.evaluating
    assert not read(['{"event": "uploading"}', epoch_line(1)]).evaluating
    assert read([]).progress is None
