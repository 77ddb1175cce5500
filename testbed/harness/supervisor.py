"""The process that owns a cluster: everything that a cluster starts lives and dies below it.

Three processes take part. The *client* (pytest, the demo, ``python -m harness``) starts a *keeper*; the keeper forks a
*starter*, which starts the daemons on request.

    client --(lifeline: a pipe)--> keeper --> starter --> etcd, kube-apiserver, kubelet, containerd --> shims, pods

- The client holds one end of the lifeline and never writes to it. However the client ends, the kernel closes its end;
  the keeper reads end-of-file and takes the cluster down. A detached cluster (``python -m harness up``) has no
  lifeline and lives until it is told to stop.
- An *isolated* cluster's starter is process 1 of a PID namespace and has its own mount, network and IPC namespaces.
  When it dies the kernel kills every process in the namespace, and with them go the mounts, bridges, routes and
  iptables chains that they made. Nothing needs to be found and undone, so nothing can be missed. This needs root.
- Without isolation the keeper is the subreaper of all that was started, and kills what is left until nothing is.
- If the keeper itself is killed, the starter learns of it by a pipe of its own and takes the rest down with it. What
  only the keeper would have removed (folders, empty cgroups) is in the record that it wrote when it started; the next
  start, or ``python -m harness down``, removes it (``records.sweep``).

The starter listens on a unix socket, one JSON object a line, one request a connection:
    {"op": "spawn", "name", "argv", "env", "cwd", "log"} -> {"pid"}        # pid as the starter's namespace counts
    {"op": "signal", "name", "signal", "group": bool}    -> {}
    {"op": "list"}                                       -> {"processes": {name: {"pid", "exit": null | int, "log"}}}
It runs one thread and one loop, because a child's parent-death signal is tied to the thread that forked it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import cgroups, records
from harness.lifetime import ProcessId, adopt_orphans, die_with_parent, mount, unshare

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWPID, _CLONE_NEWNET = 0x20000, 0x08000000, 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE, _MS_SHARED = 2, 4, 8, 0x4000, 1 << 18, 1 << 20


def _signals_as_bytes(numbers: tuple[signal.Signals, ...]) -> int:
    """Make signals readable from a file descriptor, so that one select() waits for them too."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return read


# --- the starter ------------------------------------------------------------------------------------------------------


@dataclass
class _Child:
    pid: int
    log: str
    exit: int | None = None


class Starter:
    """Starts daemons, remembers how they ended, and reaps every orphan that process 1 inherits."""

    def __init__(self, socket_path: Path) -> None:
        self._children: dict[str, _Child] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen(64)

    def serve(self, keeper: int) -> None:
        """Answer requests until killed, or until the pipe ``keeper`` closes, since its other end is the keeper's."""
        child_ended = _signals_as_bytes((signal.SIGCHLD,))
        while True:
            ready, _, _ = select.select([self._listener.fileno(), child_ended, keeper], [], [])
            if keeper in ready:
                return
            if child_ended in ready:
                os.read(child_ended, 4096)
                self._reap()
            if self._listener.fileno() in ready:
                connection, _ = self._listener.accept()
                with connection:
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        # a client that hangs up or sends nonsense must not take the cluster down with it
        with contextlib.suppress(OSError):
            try:
                reply = self._handle(json.loads(connection.makefile("rb").readline()))
            except (ValueError, KeyError, OSError) as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            connection.sendall(json.dumps(reply).encode() + b"\n")

    def _handle(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["op"]:
            case "spawn":
                return {"pid": self._spawn(request)}
            case "signal":
                return self._signal(request)
            case "list":
                self._reap()
                return {"processes": {name: vars(child) for name, child in self._children.items()}}
        raise ValueError(f"unknown op {request['op']!r}")

    def _spawn(self, request: dict[str, Any]) -> int:
        name = request["name"]
        self._reap()
        if name in self._children and self._children[name].exit is None:
            raise ValueError(f"{name} is running already")
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        started, starting = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(request, log)
        os.close(log)
        # the child's end closes when it turns into the program: from then on signals reach that, and its group exists
        os.close(starting)
        os.read(started, 1)
        os.close(started)
        self._children[name] = _Child(pid, request["log"])
        return pid

    def _signal(self, request: dict[str, Any]) -> dict[str, Any]:
        child = self._children[request["name"]]
        # an unreaped child keeps its number, so this can't reach a stranger
        if child.exit is None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if request.get("group", True) else os.kill)(child.pid, request["signal"])
        return {}

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children.values():
                if child.pid == pid and child.exit is None:
                    child.exit = os.waitstatus_to_exitcode(status)


def _become(request: dict[str, Any], log: int) -> None:
    """In the forked child: turn into the requested program, or exit 127 with the reason in its log."""
    try:
        os.setsid()  # a process group of its own: signals for it reach its children and nobody else
        _be_as_nice()
        die_with_parent()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(request["cwd"])
        os.execvpe(request["argv"][0], request["argv"], request["env"])
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the parent's code
        os.write(2, f"could not start {request['argv'][0]}: {error}\n".encode())
        os._exit(127)


def _be_as_nice() -> None:
    """Have this session give way as its niceness asks. The kernel shares the processors between sessions first, and
    each has its fair share, however nice the processes in it are (sched(7), the autogroup feature)."""
    with contextlib.suppress(OSError):  # a kernel without it, or a container that may not say so
        Path("/proc/self/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))


# --- the keeper -------------------------------------------------------------------------------------------------------


def _isolate() -> None:
    """In the starter: leave the machine's mounts, network and IPC; what is mounted from here on is seen only here."""
    unshare(_CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC)
    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    mount("none", "/", None, _MS_REC | _MS_SHARED)  # kubelet and runc want a shared tree, within this namespace
    mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV)  # no door to the machine's systemd or containerd


def _keep(starter: int, lifeline: int | None, stop_signals: int) -> None:
    """Return when the cluster is to end: the client is gone, a signal came, or the starter died."""
    watched = [os.pidfd_open(starter), stop_signals]
    if lifeline is not None:
        watched.append(lifeline)  # nothing is ever written to it: readable means closed
    select.select(watched, [], [])


def _kill_everything() -> None:
    """Kill whatever is below this process, orphans that it inherits meanwhile included, until nothing is."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            # for process 1 of a PID namespace this returns only when the whole namespace is dead
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)
    print("gave up waiting for processes that do not die", file=sys.stderr, flush=True)


def _start(options: argparse.Namespace, keeper: int) -> None:
    """The life of the starter."""
    if options.isolate:
        die_with_parent()  # and with this process, the first of its namespace, die all
        _isolate()
    else:
        adopt_orphans()
    Starter(options.state / "supervisor.sock").serve(keeper)
    _kill_everything()


def main() -> None:
    """Entry point of the keeper: ``python -m harness.supervisor``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--id", required=True)
    parser.add_argument("--state", type=Path, required=True, help="folder of the cluster; holds the socket")
    parser.add_argument("--isolate", action="store_true", help="own PID, mount, network and IPC namespaces")
    parser.add_argument("--lifeline", action="store_true", help="stdin is the lifeline")
    parser.add_argument("--remove", type=Path, action="append", default=[], help="a folder to remove at the end")
    options = parser.parse_args()

    os.setsid()  # Ctrl-C in the client's terminal is the client's to handle
    adopt_orphans()
    if options.isolate:
        unshare(_CLONE_NEWPID)  # takes effect for the children
    read, write = os.pipe()
    starter = os.fork()
    if starter == 0:
        os.close(write)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # the lifeline is the keeper's alone
        if os.read(read, 1):  # else the keeper died before it had written the record
            _start(options, keeper=read)
        os._exit(0)
    stop_signals = _signals_as_bytes((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    keeper_id, starter_id = ProcessId.of(os.getpid()), ProcessId.of(starter)
    assert keeper_id is not None
    assert starter_id is not None
    record = records.Record(
        options.id,
        keeper_id,
        starter_id,
        options.state,
        options.isolate,
        tuple(options.remove),
        cgroups.name(options.id),
    )
    record.write()
    os.write(write, b"x")
    _keep(starter, 0 if options.lifeline else None, stop_signals)
    _kill_everything()
    records.remove(record)


if __name__ == "__main__":
    main()
