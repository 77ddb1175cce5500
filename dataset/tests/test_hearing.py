"""What is written to stderr while somebody listens is heard, and lost to nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detectiondata.hearing import hear


def test_all_that_was_said_is_written_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    """Other threads write there, too: a traceback is longer than what is looked at."""
    lines = b"".join(b"line %d\n" % number for number in range(30_000))

    def speak() -> int:
        left = lines
        while left:
            left = left[os.write(2, left) :]
        return 7

    result, said = hear(speak)
    assert result == 7
    assert lines.startswith(said)
    assert len(said) >= 1 << 16
    assert capfd.readouterr().err == lines.decode()


def test_what_fails_leaves_stderr_as_it_was_and_no_file_open(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        os.write(2, b"said before\n")
        raise ValueError("no picture")

    def none_left(name: str) -> int:
        raise OSError(24, "Too many open files")

    opened = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(ValueError, match="no picture"):
        hear(fail)
    monkeypatch.setattr(os, "memfd_create", none_left)
    with pytest.raises(OSError, match="Too many open files"):
        hear(fail)
    os.write(2, b"said after\n")
    assert len(sorted(Path("/proc/self/fd").iterdir())) == len(opened)
    assert capfd.readouterr().err == "said before\nsaid after\n"
