"""Events, digests of the detail, and termination messages that always fit."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from trainer.failure import Failure
from trainer.report import PublishedFile, Reporter, decimal, failed, success, write_termination

DETAIL = {"classes": ["Schraube", "größe"], "imageSize": 160}


def test_each_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    reporter.event("epoch", epoch=1, metrics={"map50": "0.1"})
    reporter.warning("a\nb")
    lines = stream.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"event": "epoch", "epoch": 1, "metrics": {"map50": "0.1"}},
        {"event": "warning", "message": "a\nb"},
    ]
    assert all(line.startswith("{") for line in lines)


def test_the_message_carries_the_digest_of_the_detail() -> None:
    stream = io.StringIO()
    Reporter(stream).detail(DETAIL)
    line = json.loads(stream.getvalue())
    message = success([PublishedFile("best.pt", "pytorch", "00", 3)], {"map50": "0.9"}, DETAIL)
    expected = hashlib.sha256(json.dumps(line["detail"], sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert line["sha256"] == expected == message["detailSha256"]
    assert line["detail"] == DETAIL
    assert message["files"] == [{"name": "best.pt", "format": "pytorch", "sha256": "00", "sizeBytes": 3}]


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 5000, "\U0001f4a5" * 5000, '"\\' * 3000])
def test_a_long_message_is_cut_to_fit(text: str, tmp_path: Path) -> None:
    failure = Failure("DatasetInvalid", text)
    assert len(failure.message) <= 1024
    write_termination(tmp_path / "log", failed(failure))
    content = (tmp_path / "log").read_bytes()
    assert len(content) <= 4096
    document = json.loads(content)
    assert (document["result"], document["reason"]) == ("Failed", "DatasetInvalid")
    assert document["message"].endswith("…")
    assert text.startswith(document["message"][:-1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.91, "0.91"),
        (0.910000001, "0.91"),
        (1.0, "1"),
        (0.0, "0"),
        (-0.00001, "0"),
        (0.12345, "0.1235"),
        (100.0, "100"),
    ],
)
def test_figures_are_decimal_strings(value: float, text: str) -> None:
    assert decimal(value) == text


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("DatasetInvalid", 64),
        ("DatasetMissing", 64),
        ("DigestMismatch", 64),
        ("UnknownArgument", 64),
        ("UnknownArchitecture", 64),
        ("WeightsNotLoaded", 64),
        ("VersionExists", 64),
        ("AccessDenied", 64),
        ("StorageUnavailable", 1),
        ("DiskFull", 1),
        ("DiskError", 1),
        ("OutOfMemory", 1),
        ("GpuMissing", 1),
        ("TrainingFailed", 1),
        ("Interrupted", 143),
    ],
)
def test_exit_codes(reason: str, code: int) -> None:
    assert Failure(reason, "").exit_code == code


def test_a_name_in_any_bytes_can_be_told(tmp_path: Path) -> None:
    log, stream = tmp_path / "termination", io.StringIO()
    told = "K\udcf6ln.jpg is no picture: \x1b[31m\ud800"
    write_termination(log, failed(Failure("DatasetInvalid", told)))
    assert json.loads(log.read_bytes().decode())["message"] == "K\\xf6ln.jpg is no picture: \\x1b[31m\\ud800"
    write_termination(log, {"message": told})
    assert json.loads(log.read_bytes().decode())["message"] == "K\\xf6ln.jpg is no picture: \\x1b[31m\\ud800"
    Reporter(stream).warning(told)
    assert json.loads(stream.getvalue())["message"] == "K\\xf6ln.jpg is no picture: \\x1b[31m\\ud800"
