"""A request to stop is not lost, whatever runs when it comes."""

from __future__ import annotations

import os
import subprocess
import sys

SWALLOWED = """
import signal
from trainer.failure import Interrupted
from trainer.signals import StopRequests

class Swallows:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

with StopRequests(lambda: None) as stop:
    stop.check()
    Swallows()
    print("went on")
    try:
        stop.check()
    except Interrupted:
        print("was asked")
    stop.over()
"""


def test_what_a_destructor_swallows_is_raised_at_the_next_check() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWED], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split("\n") == ["went on", "was asked", ""], done.stderr
    assert "Exception ignored in" in done.stderr
