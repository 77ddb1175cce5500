"""Progress from the trainer's event lines; what makes no sense is passed over."""

import json
from datetime import timedelta

import pytest

from modelfleet.training.log_events import read
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


def test_the_best_epoch_so_far():
    progress = read([epoch_line(1), epoch_line(7, epochs=9, bestEpoch=4)]).progress
    assert progress is not None
    assert progress.best_epoch == 4


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
            '{"event": "resumed", "resumedFromEpoch": 10, "epochs": 100}',
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


def test_a_resumed_pod_stands_where_it_resumed_before_its_first_epoch():
    followed = read(['{"event": "resumed", "resumedFromEpoch": 10, "epochs": 40}'])
    assert followed.progress is not None
    assert (followed.progress.epoch, followed.progress.epochs, followed.progress.percent) == (10, 40, 25)
    assert (followed.resumed_from, followed.fresh) == (10, False)


def test_that_a_pod_resumed_is_told_by_its_last_line_alone():
    """Of a long run the end of the log is all that is kept."""
    line = json.dumps({"event": "epoch", "epoch": 399, "epochs": 400, "resumedFromEpoch": 10})
    assert read([line]).resumed_from == 10


def test_a_pod_that_starts_from_the_beginning_says_so():
    followed = read(['{"event": "started"}', '{"event": "weights", "loadedShare": null}'])
    assert (followed.fresh, followed.progress, followed.resumed_from) == (True, None, None)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([("mlflow", "http://m/1")], {"mlflow": "http://m/1"}),
        ([("mlflow", "http://m/1"), ("wandb", "https://w/1")], {"mlflow": "http://m/1", "wandb": "https://w/1"}),
        ([("mlflow", "http://m/1"), ("mlflow", "http://m/2")], {"mlflow": "http://m/2"}),
        ([("mlflow", "javascript:alert(1)"), ("wandb", "https://w/1")], {"wandb": "https://w/1"}),
        ([("mlflow", None)], None),
        ([("neptune", "https://n/1")], None),
        ([], None),
    ],
)
def test_where_trackers_show_the_run(lines, found):
    told = [json.dumps({"event": "tracking", "tracker": tracker, "url": url}) for tracker, url in lines]
    tracking = read(told).tracking
    assert (None if tracking is None else tracking.to_dict()) == found
