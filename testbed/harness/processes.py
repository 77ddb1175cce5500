"""Starting and watching a cluster's processes, from the client's side of the supervisor."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import records
from harness.lifetime import run
from harness.timing import slowness

_PACKAGE_ROOT = Path(__file__).resolve().parents[1]
_MOST_PATIENCE = 5.0


class ProcessDied(Exception):
    """A process of the cluster ended on its own; the message holds the end of its log."""


class NotReady(Exception):
    """Something did not become ready in time; the message says what and why."""


@dataclass(frozen=True)
class Process:
    """A daemon that the supervisor started. ``log`` holds both of its output streams, appended over restarts."""

    name: str
    pid: int
    log: Path
    _supervisor: Supervisor

    @property
    def exit(self) -> int | None:
        """How it ended (minus the signal's number if a signal killed it), None while it runs."""
        status = self._supervisor.processes()[self.name]
        return status.exit if status.pid == self.pid else -signal.SIGKILL

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.exit is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its group."""
        self._supervisor.request(op="signal", name=self.name, signal=int(number))

    def stop(self, patience: float = 10) -> None:
        """End it with SIGTERM, after ``patience`` seconds with SIGKILL; return when it is gone."""
        self.signal(signal.SIGTERM)
        if not wait_until(lambda: not self.alive, patience):
            self.kill9()

    def kill9(self) -> None:
        """End it at once, as a crash or the kernel's out-of-memory killer would; return when it is gone."""
        self.signal(signal.SIGKILL)
        if not wait_until(lambda: not self.alive, 30):
            raise NotReady(f"{self.name} does not die")

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return tail(self.log, lines)

    def wait_ready(self, ready: Callable[[], bool], patience: float) -> None:
        """Poll ``ready`` until it says yes.

        Raises:
            ProcessDied: the process ended before that.
            NotReady: it took longer than ``patience`` seconds.
        """

        def settled() -> bool:
            return ready() or not self.alive

        in_time = wait_until(settled, patience)
        if not self.alive:
            raise ProcessDied(f"{self.name} exited {self.exit} while starting; the end of {self.log}:\n{self.tail()}")
        if not in_time:
            raise NotReady(f"{self.name} was not ready after {patience:.0f} s; the end of {self.log}:\n{self.tail()}")


@dataclass(frozen=True)
class Status:
    """What the supervisor knows of a process. ``pid`` counts in the supervisor's own PID namespace."""

    pid: int
    exit: int | None
    log: Path


class Supervisor:
    """Handle on a running supervisor; see ``harness.supervisor`` for how it works."""

    def __init__(self, record: records.Record, keeper: subprocess.Popen[bytes] | None = None) -> None:
        self.record = record
        self._keeper = keeper  # held by the client that started it: its stdin is the lifeline

    @classmethod
    def start(
        cls, id: str, state: Path, *, isolate: bool = False, detached: bool = False, remove: Sequence[Path] = ()
    ) -> Supervisor:
        """Start a supervisor that lives as long as this process, or, ``detached``, until it is stopped.

        Args:
            id: names the cluster in the record and in its cgroups.
            state: folder for the socket and the keeper's log.
            isolate: give it its own namespaces (needs root).
            detached: do not tie it to this process.
            remove: folders that the keeper removes at the end.
        """
        command = [sys.executable, "-m", "harness.supervisor", "--id", id, "--state", str(state)]
        command += ["--isolate"] if isolate else []
        command += [] if detached else ["--lifeline"]
        for path in remove:
            command += ["--remove", str(path)]
        environment = os.environ | {"PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        with (state / "supervisor.log").open("ab") as log:
            keeper = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
            )
        file = records.folder() / f"{id}.json"
        socket_path = state / "supervisor.sock"
        wait_until(lambda: keeper.poll() is not None or (file.exists() and _answers(socket_path)), 30)
        if keeper.poll() is not None or not file.exists():
            raise ProcessDied(f"the supervisor did not start:\n{tail(state / 'supervisor.log')}")
        return cls(records.read(file), keeper)

    @classmethod
    def attach(cls, record: records.Record) -> Supervisor:
        """A handle on a supervisor that another process started."""
        return cls(record)

    def spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
    ) -> Process:
        """Start a daemon. Its environment is this process's with ``env`` on top; its log is ``<state>/<name>.log``.

        Raises:
            ProcessDied: the supervisor refused, for example since one of that name runs already.
        """
        log = log or self.record.state / f"{name}.log"
        reply = self.request(
            op="spawn",
            name=name,
            argv=[str(part) for part in command],
            env=dict(os.environ) | dict(env or {}),
            cwd=str(cwd or self.record.state),
            log=str(log),
        )
        return Process(name, int(str(reply["pid"])), log, self)

    def find(self, name: str) -> Process:
        """The process that was last started under ``name``. Raises KeyError if there never was one."""
        status = self.processes()[name]
        return Process(name, status.pid, status.log, self)

    def processes(self) -> dict[str, Status]:
        """All processes started so far, by name."""
        listed = self.request(op="list")["processes"]
        assert isinstance(listed, dict)
        return {name: Status(raw["pid"], raw["exit"], Path(raw["log"])) for name, raw in listed.items()}

    def run(self, command: Sequence[str | Path], *, input: str | bytes | None = None, check: bool = True) -> str:
        """Run a command to its end where the daemons run: inside the namespaces of an isolated cluster."""
        return run(self.command(command), input=input, check=check)

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs ``command`` where the daemons run."""
        prefix: list[str] = []
        if self.record.isolated:
            prefix = ["nsenter", "--target", str(self.record.starter.pid), "--mount", "--net", "--ipc", "--pid", "--"]
        return [*prefix, *(str(part) for part in command)]

    def request(self, **message: object) -> dict[str, object]:
        """Send one request to the starter and return its answer.

        Raises:
            ProcessDied: the supervisor is gone, or answered with an error.
        """
        path = self.record.state / "supervisor.sock"
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(30)
                connection.connect(str(path))
                connection.sendall(json.dumps(message).encode() + b"\n")
                reply: dict[str, object] = json.loads(connection.makefile("rb").readline() or b"{}")
        except OSError as error:
            raise ProcessDied(f"the supervisor at {path} does not answer: {error}") from error
        if "error" in reply:
            raise ProcessDied(f"the supervisor refused {message.get('op')} {message.get('name', '')}: {reply['error']}")
        return reply

    @property
    def alive(self) -> bool:
        """Whether the cluster's processes are still being kept."""
        return self.record.starter.alive()

    def stop(self) -> None:
        """Take everything down; return when it is gone."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
        records.stop(self.record)
        if self._keeper is not None:
            self._keeper.wait(30)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        connection.sendall(b'{"op": "list"}\n')
        return bool(connection.recv(1))


def wait_until(condition: Callable[[], bool], patience: float, interval: float = 0.1) -> bool:
    """Poll until the condition holds; say whether it did within ``patience`` seconds, or as many times more as this
    machine is slower at their end, five at most."""

    def within(seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (holds := condition()) and time.monotonic() <= deadline:
            time.sleep(interval)
        return holds

    return within(patience) or within(patience * (min(slowness(), _MOST_PATIENCE) - 1))


def tail(file: Path, lines: int = 40) -> str:
    """The last lines of a text file, empty if there is none."""
    if not file.exists():
        return ""
    with file.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 400 * lines))
        return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
