"""A process that dies names its item, and nothing else is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import pytest
import trees

from detectiondata.isolated import Died, end, isolated


def test_a_decoder_that_dies_names_its_picture(tmp_path: Path) -> None:
    trees.write(tmp_path, ["a.jpg", "b.jpg"])
    # OpenCV's own fault: a name that is no UTF-8 ends its process
    found = list(isolated(cv2.imread, [str(tmp_path / "a.jpg"), "K\udcf6ln.jpg", str(tmp_path / "b.jpg")]))
    assert found[1] == Died("SIGSEGV")
    assert [each.shape for each in (found[0], found[2]) if not isinstance(each, Died)] == [(24, 24, 3), (24, 24, 3)]


def test_errors_come_back() -> None:
    with pytest.raises(FileNotFoundError, match="/no/such"):
        list(isolated(os.stat, ["/no/such"]))


def test_one_that_the_system_killed_is_no_fault_of_the_data() -> None:
    with pytest.raises(MemoryError):
        list(isolated(signal.raise_signal, [signal.SIGKILL]))


def test_processes_stay_until_they_are_ended() -> None:
    end()
    found = [next(isolated(Path.read_text, [Path("/proc/self/stat")])) for _ in range(2)]
    end()
    found += [next(isolated(Path.read_text, [Path("/proc/self/stat")]))]
    [first, second, third] = [int(str(text).split()[0]) for text in found]
    assert os.getpid() != first == second != third
