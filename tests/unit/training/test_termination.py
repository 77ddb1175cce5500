"""What a finished trainer left is believed only when it is whole and of the right digest."""

import json

import pytest

from modelfleet.training.pods import attempt, failure
from modelfleet.training.termination import Garbled, Succeeded, find_detail, parse
from modelfleet.workloads.last_words import Failed, camel_case
from unit.training.builders import DETAIL, detail_line, failed_pod, file, pod, success

SHA = json.loads(success())["detailSha256"]


def test_success_is_read():
    result = parse(success())
    assert isinstance(result, Succeeded)
    assert [entry.name for entry in result.files] == ["best.onnx", "best.pt"]
    assert result.metrics == {"map50": "0.91", "recall": "0.87"}
    assert result.detail_sha256 == SHA


def test_failure_is_read():
    assert parse('{"result": "Failed", "reason": "DatasetInvalid", "message": "no labels"}') == Failed(
        "DatasetInvalid", "no labels"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no termination message"),
        ("", "no termination message"),
        ("  \n", "no termination message"),
        ("Killed", "is not valid JSON: Killed"),
        (success()[:300], "is not valid JSON"),
        ("[1]", "is not a JSON object"),
        ("{}", "has no result"),
        ('{"result": "Maybe"}', "has no result"),
        ('{"result": "Failed"}', "lacks reason or message"),
        ('{"result": "Failed", "reason": 7, "message": "x"}', "lacks reason or message"),
        (success(files=[]), "lists no files"),
        (success(files={"a": 1}), "lists no files"),
        (success(files=[{**file(), "sha256": "abc"}]), "sha256"),
        (success(files=[{**file(), "name": "../../etc/passwd"}]), "name"),
        (success(files=[{**file(), "sizeBytes": 0}]), "sizeBytes"),
        (success(metrics=[1]), "is not a JSON object"),
        (success(detailSha256="abc"), "lacks detailSha256"),
        (success(detailSha256=None), "lacks detailSha256"),
    ],
)
def test_what_is_garbled_says_how(text, says):
    result = parse(text)
    assert isinstance(result, Garbled)
    assert says in result.message


def test_a_long_garbled_message_is_quoted_in_part_and_on_one_line():
    result = parse("Traceback\n" * 500)
    assert isinstance(result, Garbled)
    assert len(result.message) < 300
    assert "\n" not in result.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [("DatasetInvalid", "DatasetInvalid"), ("disk full!", "diskfull"), ("404Found", "Found"), ("§", "TrainingFailed")],
)
def test_a_reason_is_made_fit_for_a_condition(text, reason):
    assert camel_case(text, "TrainingFailed") == reason


@pytest.mark.parametrize(
    "lines",
    [
        [detail_line()],
        ["{}", '{"event": "epoch"}', detail_line()],
        [detail_line(), '{"event": "detail", "detail": {"classes": []}}'],
        ["not json", "{half", detail_line(), '{"event": "detail", "detail"'],
        [json.dumps({"detail": DETAIL, "event": "detail", "sha256": "of no matter"}, indent=None)],
    ],
)
def test_the_detail_is_found_by_its_digest(lines):
    assert find_detail(lines, SHA) == DETAIL


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [detail_line()[:-5]],
        [detail_line({**DETAIL, "classes": ["bolt"]})],
        [detail_line({**DETAIL, "classes": ["bolt"]}).replace(json.loads(detail_line())["sha256"], SHA)],
        ['{"event": "detail", "detail": [1]}'],
        [detail_line().replace('"event": "detail"', '"event": "epoch"')],
    ],
)
def test_another_detail_is_not_taken(lines):
    assert find_detail(lines, SHA) is None


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (failed_pod(reason="DiskFull", message="no space"), "DiskFull", "no space"),
        (pod(phase="Failed", exit_code=137, why="OOMKilled"), "OutOfMemory", "raise spec.resources.limits.memory"),
        (pod(phase="Failed", exit_code=1), "TrainerCrashed", "exit code 1; see kubectl logs parts-v4-1"),
        (pod(phase="Failed", exit_code=139, said="segfault"), "TrainerCrashed", "exit code 139: segfault;"),
        (pod(phase="Failed", exit_code=1, said=success()), "TrainerCrashed", "reported success, then ended"),
        (pod(phase="Failed"), "PodFailed", "pod parts-v4-1 ended before the trainer did"),
        (pod(phase="Failed", exit_code=143, disrupted=True), "Preempted", "lost its node"),
    ],
)
def test_why_an_attempt_failed(raw, reason, says):
    why = failure(attempt(raw))
    assert why.reason == reason
    assert says in why.message
