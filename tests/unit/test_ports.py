"""Ports of the test cluster's processes: promised once."""

import socket
import subprocess
import sys

from harness import ports

CHOOSE = """
import sys
from harness import ports
ports._RANGE = range(14100, 14120)
print(*(ports.free_port() for _ in range(8)), flush=True)
sys.stdin.read()
"""


def test_two_processes_are_promised_different_ports_and_none_that_is_listened_on():
    """Of twenty, eight each: without a promise hardly ever different ones."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 14103))
        taken.listen()
        command = [sys.executable, "-c", CHOOSE]
        environment = {"PYTHONPATH": ":".join(sys.path)}
        both = [
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        try:
            chosen = [int(port) for each in both if each.stdout for port in each.stdout.readline().split()]
        finally:
            for each in both:
                each.communicate()
    assert len(set(chosen)) == 16
    assert 14103 not in chosen


def test_no_port_is_promised_twice(monkeypatch):
    monkeypatch.setattr(ports, "_RANGE", range(31900, 31910))
    chosen = [ports.free_port() for _ in range(5)]
    assert len(set(chosen)) == 5
