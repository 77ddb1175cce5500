"""Training on several GPUs of one node: one process for each, started by torchrun, and this one to report.

ultralytics would start such processes itself, and lose on the way what this trainer relies on: its callbacks can't be
pickled, what was set up in this process (no downloads, no terminal output) is not set up in those, and why one of them
died is known to the log alone. So the processes are ours (`trainer.ddp_worker`), and each runs ultralytics' trainer as
a process of such a group. The first tells this one what happens, over a socket, and waits for the answer: files of a
checkpoint can be copied while none of them goes on. The figures of an epoch are those in results.csv.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.callbacks import Epoch, Listener, Speed

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

WORKER = "trainer.ddp_worker"  # the module that each process runs
START, EVENTS = "start.pt", "events"  # in the folder that all of them share
_LOOK = 0.5  # seconds between two looks at whether they still run
_GRACE = 5.0  # seconds to end when told to


def train(model: DetectionModel | None, overrides: Mapping[str, Any], processes: int, listener: Listener) -> None:
    """Runs ultralytics' trainer under `overrides` in so many processes, one for each device that they list.

    `model` is what to train; None where `overrides` resume a checkpoint. Raises what the failing process raised, as
    torch.cuda.OutOfMemoryError, OSError, or RuntimeError with its words.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="ddp") as name:  # short: the path of a socket has 107 characters at most
        folder = Path(name)
        torch.save({"overrides": dict(overrides), "model": model}, folder / START)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(str(folder / EVENTS))
            server.listen(1)
            server.settimeout(_LOOK)
            group = subprocess.Popen(_command(folder, processes), env=_environment(processes))
            try:
                _serve(server, group, listener)
            finally:
                _end(group)
        if group.returncode != 0:
            raise _why(folder, group.returncode)


def _command(folder: Path, processes: int) -> list[str]:
    launch = ["torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={processes}"]
    return [sys.executable, "-m", *launch, "--module", WORKER, str(folder)]


def _environment(processes: int) -> dict[str, str]:
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    return os.environ | {"OMP_NUM_THREADS": str(max(1, threads // processes))}


def _serve(server: socket.socket, group: subprocess.Popen[bytes], listener: Listener) -> None:
    """Passes on what the first process tells, until all have ended."""
    while group.poll() is None:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            continue
        with connection, connection.makefile("rwb") as stream:
            for line in stream:
                _pass_on(json.loads(line), listener)
                try:
                    stream.write(b"\n")
                    stream.flush()
                except ConnectionError:  # it died meanwhile; why is found out when all have ended
                    break
        group.wait()


def _pass_on(told: Mapping[str, Any], listener: Listener) -> None:
    match told["what"]:
        case "began":
            listener.began(told["train"], told["val"])
        case "epoch":
            listener.epoch_done(Epoch(**told["epoch"]))
        case "speed":
            listener.measured(Speed(**told["speed"]))


def _end(group: subprocess.Popen[bytes]) -> None:
    """None of them outlives this: torchrun ends the others when told to, and they end when torchrun does."""
    if group.poll() is not None:
        return
    group.send_signal(signal.SIGTERM)
    try:
        group.wait(_GRACE)
    except subprocess.TimeoutExpired:
        group.kill()
        group.wait()


def _why(folder: Path, code: int) -> Exception:
    """The first failure that a process wrote down; but memory before all: the others fail because of it."""
    import torch

    found = [json.loads(path.read_text()) for path in sorted(folder.glob("failure-*"), key=lambda p: p.stat().st_mtime)]
    memory = [failure for failure in found if failure["memory"]]
    if memory:
        return torch.cuda.OutOfMemoryError(memory[0]["text"])
    full = [failure for failure in found if failure["errno"] in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)]
    if full:
        return OSError(full[0]["errno"], full[0]["text"])
    if found:
        return RuntimeError(found[0]["text"])
    return RuntimeError(
        f"a process of the training on several GPUs ended without a word (torchrun's exit code: {code})"
    )
