"""One process of a training on several GPUs; torchrun starts one for each (`trainer.distributed` says why and how)."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer import environment
from trainer.callbacks import Epoch, Speed, watch
from trainer.distributed import EVENTS, START

_PR_SET_PDEATHSIG = 1


def main(make: Callable[..., Any] | None = None) -> None:
    """Trains; `make` builds another trainer than ultralytics' for detection."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # no orphan holds a GPU
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    try:
        _train(folder, rank, make)
    except Exception as error:  # noqa: BLE001  it is told to the process that reports
        traceback.print_exc()
        (folder / f"failure-{rank}").write_text(json.dumps(_described(error)))
        raise SystemExit(1) from None


def _train(folder: Path, rank: int, make: Callable[..., Any] | None) -> None:
    environment.configure_ultralytics()

    import torch
    from ultralytics.engine import trainer as engine
    from ultralytics.models.yolo.detect import DetectionTrainer

    from trainer.training import mixed_precision_works

    engine.check_amp = mixed_precision_works
    # written a moment ago by the process that started this one, in a folder that is its own
    state = torch.load(folder / START, map_location="cpu", weights_only=False)
    trainer = (make or DetectionTrainer)(overrides=state["overrides"])
    if state["model"] is not None:
        trainer.model = state["model"]
        trainer.model.args = trainer.args
    if rank != 0:
        trainer.train()
    else:
        with _Teller(folder / EVENTS) as teller:
            watch(trainer, teller)
            trainer.train()
    torch.distributed.destroy_process_group()


class _Teller:
    """Tells the process that reports, and waits until it has heard."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(address))
        self._stream = self._socket.makefile("rwb")

    def __enter__(self) -> _Teller:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()

    def began(self, train: int, val: int) -> None:
        self._tell({"what": "began", "train": train, "val": val})

    def epoch_done(self, epoch: Epoch) -> None:
        self._tell({"what": "epoch", "epoch": dataclasses.asdict(epoch)})

    def measured(self, speed: Speed) -> None:
        self._tell({"what": "speed", "speed": dataclasses.asdict(speed)})

    def _tell(self, told: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(told).encode() + b"\n")
        self._stream.flush()
        if not self._stream.readline():
            raise ConnectionError("the process that reports is gone")


def _described(error: Exception) -> dict[str, Any]:
    import torch

    return {
        "memory": isinstance(error, torch.cuda.OutOfMemoryError),
        "errno": error.errno if isinstance(error, OSError) else None,
        "text": f"{type(error).__name__}: {' '.join(str(error).split())}",
    }


if __name__ == "__main__":
    main()
