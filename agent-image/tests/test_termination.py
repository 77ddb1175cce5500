"""The termination message: JSON within what the kubelet takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent import termination


def test_the_message_is_json(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    termination.write(path, "DigestMismatch", 'expected "a", found "b"')
    assert json.loads(path.read_text()) == {"reason": "DigestMismatch", "message": 'expected "a", found "b"'}


@pytest.mark.parametrize("character", ["x", "é", "\U0001f529", '"', "\n"])
def test_a_long_message_is_cut_to_what_the_kubelet_takes(character: str) -> None:
    data = termination.render("TooLong", "start " + character * 10_000)
    assert 3500 < len(data) <= 4096
    message = json.loads(data)["message"]
    assert message.startswith("start " + character)
    assert message.endswith("…")
    assert message.count("…") == 1


def test_without_a_folder_for_it_only_the_log_has_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    termination.write(tmp_path / "none" / "termination-log", "NotFound", "it is not there")
    assert "NotFound: it is not there" in caplog.text
