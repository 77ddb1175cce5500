"""Metrics and structured logs."""

import asyncio
import json
import logging

import pytest
from prometheus_client.exposition import generate_latest

from modelfleet import telemetry
from modelfleet.kinds import DAEMON_SET, TRAINING_JOB
from modelfleet.prometheus import NoData, ProviderDown, Samples


def record(message="did %s", *arguments, error=None):
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord("modelfleet.x", logging.INFO, "x.py", 1, message, arguments, info)


def test_json_line_has_the_bound_fields():
    with telemetry.bind(kind="Rollout", name="line"):
        line = json.loads(telemetry.JsonFormatter().format(record("did %s", "it")))
    assert line["message"] == "did it"
    assert (line["level"], line["kind"], line["name"]) == ("info", "Rollout", "line")
    assert line["time"].endswith("Z")
    assert "kind" not in json.loads(telemetry.JsonFormatter().format(record("did %s", "it")))


def test_line_is_one_line_also_with_a_traceback():
    line = telemetry.JsonFormatter().format(record("a\nb", error=ValueError("c\nd")))
    assert "\n" not in line
    assert "ValueError" in json.loads(line)["error"]


def test_a_record_may_have_fields_of_its_own():
    made = record("did %s", "it")
    made.__dict__.update(telemetry.fields(judgement={"looks": 3, "at": [1.5, None]}, object="other"))
    with telemetry.bind(kind="Rollout", object="ns/line"):
        line = json.loads(telemetry.JsonFormatter().format(made))
        assert telemetry.TextFormatter().format(made).endswith("Rollout ns/line: did it")
    assert line["judgement"] == {"looks": 3, "at": [1.5, None]}
    assert (line["kind"], line["object"], line["message"]) == ("Rollout", "other", "did it")


@pytest.mark.parametrize("name", ["time", "level", "logger", "message", "error"])
def test_a_record_can_not_lie_about_itself(name):
    with pytest.raises(ValueError, match=f"has a field {name} of its own"):
        telemetry.fields(**{name: "x"})


def test_text_line_says_what_it_is_about():
    with telemetry.bind(kind="Rollout", object="ns/line"):
        assert telemetry.TextFormatter().format(record("did %s", "it")).endswith("INFO    Rollout ns/line: did it")


async def test_fields_stay_with_their_task():
    async def work(name):
        with telemetry.bind(name=name):
            await asyncio.sleep(0)
            return json.loads(telemetry.JsonFormatter().format(record("x")))["name"]

    assert await asyncio.gather(*(work(name) for name in "abc")) == ["a", "b", "c"]


def test_libraries_are_heard_from_warning_on(capsys):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        telemetry.set_up_logging("json")
        logging.getLogger("kopf.objects").info("chatter")
        logging.getLogger("kopf.objects").warning("trouble")
        logging.getLogger("modelfleet.x").info("did it")
    finally:
        root.handlers[:], root.level = before
        logging.captureWarnings(False)
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["trouble", "did it"]


def test_metrics_are_exposed_with_their_labels():
    metrics = telemetry.Metrics("1.2.3")
    metrics.request("apply", DAEMON_SET, "200", 0.2)
    meter = telemetry.QueueMeter(metrics, TRAINING_JOB)
    meter.depth(3)
    meter.waited(0.5)
    meter.retried()
    text = generate_latest(metrics.registry).decode()
    assert 'modelfleet_operator_api_requests_total{code="200",resource="daemonsets.apps",verb="apply"} 1.0' in text
    assert 'modelfleet_operator_queue_depth{kind="TrainingJob"} 3.0' in text
    assert 'modelfleet_operator_queue_retries_total{kind="TrainingJob"} 1.0' in text
    assert 'modelfleet_operator_queue_seconds_count{kind="TrainingJob"} 1.0' in text
    assert 'version="1.2.3"' in text


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (Samples(()), "Samples"),
        (NoData(), "NoData"),
        (ProviderDown("gone"), "ProviderDown"),
        (ProviderDown("parse error", bad_query=True), "BadQuery"),
    ],
)
def test_queries_are_counted_by_outcome(result, outcome):
    metrics = telemetry.Metrics("1")
    metrics.asked("west", result)
    labels = {"provider": "west", "result": outcome}
    assert metrics.registry.get_sample_value("modelfleet_operator_prometheus_queries_total", labels) == 1


def test_two_sets_of_metrics_do_not_meet():
    first, second = telemetry.Metrics("1"), telemetry.Metrics("2")
    first.reconciles.labels("Rollout", "done").inc()
    assert second.registry.get_sample_value("modelfleet_operator_reconcile_total", {"kind": "Rollout"}) is None
