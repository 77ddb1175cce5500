"""How fast is the agent beside the bare libraries? `python -m inference.run --out docs`, with the machine for itself.

Five processes take turns of a few seconds on the same network, one thread each: onnxruntime alone, OpenVINO alone in
float32 and in the precision that it takes by itself, and two real agents, by onnxruntime and by what `auto` finds,
which decode a video, letterbox, suppress and count as well. Only one runs at a time, in an order that turns round, so
that whatever else changes on the machine meets all. Needs the trainer image, which it builds where it is not there.
"""

import argparse
import json
import os
import platform
import tempfile
from contextlib import ExitStack, closing
from dataclasses import astuple
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from harness import images
from inference.page import page
from inference.sides import Bare, agent, backend_of, peak_memory

HERE = Path(__file__).parent
FRAME = (640, 480)
SECONDS = 10
"""Length of the video: it is opened again at its end, which takes as long as several frames."""
ENOUGH = 1.1
"""Frames that an agent is given, as a share of what it did in a trial turn."""


def export(folder: Path, architectures: list[str], sizes: list[int]) -> None:
    """The models, into `folder`. Raises SystemExit."""
    folder.chmod(0o777)  # the image's user writes into it
    command = ["python", "-P", "/bench/export.py", "/work", ",".join(architectures), *map(str, sizes)]
    environment = {"YOLO_CONFIG_DIR": "/tmp", "YOLO_OFFLINE": "true"}
    code = images.run_in(
        "trainer", command, mounts={folder: "/work", HERE: "/bench:ro"}, environment=environment, workdir="/work"
    )
    if code:
        raise SystemExit(code)


def write_clip(path: Path) -> None:
    """Motion JPEG: soft colours that move."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, FRAME)
    soft = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    picture = cv2.resize(soft, FRAME, interpolation=cv2.INTER_CUBIC)
    for number in range(SECONDS * 30):
        writer.write(np.roll(picture, 8 * number, axis=1))
    writer.release()


def measured(architectures: list[str], sizes: list[int], rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """All figures, with what they were measured on."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = folder / "models"
        models.mkdir()
        folder.chmod(0o755)
        export(models, architectures, sizes)
        write_clip(folder / "clip.avi")
        cells = [
            _cell(folder, architecture, size, rounds, seconds, threads)
            for architecture in architectures
            for size in sizes
        ]
    return {
        "about": {
            "date": datetime.now(UTC).date().isoformat(),
            "processor": _processor(),
            "processors": os.cpu_count(),
            "kernel": platform.release(),
            "load_before": round(load, 2),
            "rounds": rounds,
            "seconds": seconds,
            "threads": threads,
            "frame": FRAME,
            "versions": {name: version(name) for name in ("onnxruntime", "openvino", "opencv-python-headless")},
        },
        "cells": cells,
    }


def _cell(folder: Path, architecture: str, size: int, rounds: int, seconds: float, threads: int) -> dict[str, Any]:
    """One network: turns as [runs, seconds, processor seconds] of each side by round, and peaks of memory in bytes."""
    model, clip = folder / "models" / f"{architecture}-{size}.onnx", folder / "clip.avi"
    with ExitStack() as stack:
        bare = {
            side: stack.enter_context(closing(Bare(backend, model, size, threads)))
            for side, backend in (("onnxruntime", "onnxruntime"), ("openvino", "f32"), ("openvino-own", "own"))
        }
        # More frames than they can do, so that the loop never waits; and not many more, since each of them is decoded.
        agents = {}
        for side, backend, library in (
            ("agent-onnxruntime", "onnxruntime", bare["onnxruntime"].rate),
            ("agent", "auto", max(each.rate for each in bare.values())),
        ):
            with closing(agent(folder, backend, model, size, threads, clip, library)) as trial:
                turn = trial.turn(seconds)
            given = ENOUGH * turn.runs / turn.seconds
            agents[side] = stack.enter_context(closing(agent(folder, backend, model, size, threads, clip, given)))
        sides = {**bare, **agents}
        turns = []
        for number in range(rounds):
            order = list(sides) if number % 2 == 0 else list(reversed(sides))
            turns.append({side: list(astuple(sides[side].turn(seconds))) for side in order})
        memory = {side: peak_memory(each.process) for side, each in sides.items()}
        backend = backend_of(agents["agent"])
    last = {side: f"{turn[0] / turn[1]:.1f}" for side, turn in turns[-1].items()}
    print(f"{architecture}-{size}: auto took {backend}; frames/s of the last turns: {last}", flush=True)
    return {"architecture": architecture, "size": size, "backend": backend, "turns": turns, "memory": memory}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architectures", nargs="+", default=["yolov8n", "yolo11n"], help="of ultralytics")
    parser.add_argument("--sizes", type=int, nargs="+", default=[160, 320, 640], help="pixels")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared", action="store_true", help="say on the page that others used the machine too")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the page and its figures")
    parser.add_argument("--redraw", action="store_true", help="the page again, from the figures of the last run")
    options = parser.parse_args()
    figures = options.out / "agent-benchmark.json"
    if not options.redraw:
        found = measured(options.architectures, options.sizes, options.rounds, options.seconds, options.threads)
        found["about"]["shared"] = options.shared
        options.out.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(figures.read_text(encoding="utf-8")))
    (options.out / "agent-benchmark.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
