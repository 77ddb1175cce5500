"""Ties between processes: who dies with whom, and how a process is told from a later one with the same id.

Only the standard library and Linux are needed here: the supervisor imports this before anything else exists.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however it dies.

    The tie is to the parent's *thread*, so a parent must start such children from its main thread.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def adopt_orphans() -> None:
    """Make descendants whose parent dies children of this process, instead of init's."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` (``os.unshare`` exists only from Python 3.12 on)."""
    _check(_libc.unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int) -> None:
    """The mount(2) system call."""
    _check(_libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), None))


@dataclass(frozen=True)
class ProcessId:
    """A process, named so that no later process with the same number can be taken for it.

    ``started`` is the start time in clock ticks since boot (field 22 of /proc/PID/stat), ``boot`` the kernel's boot id.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The identity of a running process, or None if there is none (a zombie counts as none)."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return ProcessId.of(self.pid) == self

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to exactly this process; nothing happens if it is gone.

        The pidfd is opened before the identity is checked: it stays with the process it was opened for, so the number
        cannot pass to a stranger between the check and the signal.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass  # it ended on its own in between
        finally:
            os.close(handle)


# a program and not a function of ours between fork and exec: this process may have threads
_SETPRIV = shutil.which("setpriv")
DYING_WITH_PARENT = (_SETPRIV, "--pdeathsig", "KILL", "--") if _SETPRIV else ()


class CommandFailed(Exception):
    """A command of the harness failed; the message holds the command and the end of its output."""


def run(
    command: Sequence[str | Path],
    *,
    input: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    timeout: float | None = None,
    stdout_to: Path | None = None,
) -> str:
    """Run a command to its end and return what it printed (stdout alone); it dies with this process.

    Raises:
        CommandFailed: it exited non-zero and ``check`` is set, or it took longer than ``timeout`` seconds.
    """
    sink = stdout_to.open("ab") if stdout_to else None
    try:
        result = subprocess.run(
            [*DYING_WITH_PARENT, *(str(part) for part in command)],
            input=input.encode() if isinstance(input, str) else input,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=sink or subprocess.PIPE,
            stderr=subprocess.STDOUT if sink else subprocess.PIPE,
            env=env,
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{_shown(command)} took longer than {timeout:.0f} s") from error
    finally:
        if sink:
            sink.close()
    output = (result.stdout or b"").decode(errors="replace")
    if check and result.returncode:
        told = (result.stderr or b"").decode(errors="replace") or output
        if stdout_to:
            told = "\n".join(stdout_to.read_text(errors="replace").splitlines()[-40:])
        raise CommandFailed(f"{_shown(command)} exited {result.returncode}:\n{told[-4000:]}")
    return output


def _shown(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command)[:400]
