"""Does capturing slow inference down? `python -m capture.run --out docs`. Let it have the machine for itself.

Two real agents run the same model on the same frames, one with every kind of rule and the random sample, one without
capture. Only one runs at a time: they are stopped and continued (SIGSTOP, SIGCONT) in turns of a few seconds, so that
whatever else changes on the machine meets both. Both are given more frames than they can do: the loop never waits.
"""

import argparse
import hashlib
import json
import os
import platform
import tempfile
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents import Agent, Turn
from capture import scene
from capture.page import page

SETTINGS: dict[str, Any] = {
    "destination": "s3://captures/line/",
    "disk": "64Mi",
    "keepFree": "0%",
    "rules": [
        {"name": "broad", "every": "10s"},
        {"name": "unsure", "below": "0.5", "classes": ["bolt"], "before": "2s", "after": "2s", "cooldown": "10s"},
        {"name": "nothing", "empty": True, "cooldown": "10s"},
        {"name": "many", "more": 20, "cooldown": "10s"},
    ],
    "sample": {"perHour": 360, "emptyPerHour": 120},
    "image": {"quality": 90, "maxSide": 1920, "mask": [[[0.8, 0.8], [1, 0.8], [1, 1], [0.8, 1]]]},
}
"""As in docs/capture.md, but for shorter cooldowns and a sample that is sixty times as large."""


def captured(metrics: str) -> dict[str, float]:
    """Frames kept, by reason, and those dropped, of what an agent exports."""
    found = {}
    for line in metrics.splitlines():
        if line.startswith("modelfleet_captured_frames_total{"):
            found[line.partition('reason="')[2].partition('"')[0]] = float(line.rpartition(" ")[2])
        if line.startswith("modelfleet_capture_dropped_total{"):
            found["(dropped)"] = float(line.rpartition(" ")[2])
    return found


def environment(folder: Path, frame_rate: float, blocks: int) -> dict[str, str]:
    """What both agents are given; the model and its frames are written into `folder`."""
    content = scene.model(blocks)
    sha256 = hashlib.sha256(content).hexdigest()
    model = folder / "cache" / sha256 / "best.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(content)
    scene.write_frames(folder / "frames")
    return {
        "ROLLOUT_NAMESPACE": "default",
        "MODEL_NAME": "parts",
        "MODEL_VERSION": "v1",
        "MODEL_PATH": str(model),
        "MODEL_SHA256": sha256,
        "MODEL_SIZE": str(len(content)),
        "MODEL_CLASSES": json.dumps(scene.CLASSES),
        "MODEL_IMAGE_SIZE": str(scene.SIDE),
        "FRAMES": f"directory://{folder}/frames",
        "FRAME_RATE": str(frame_rate),
        "BACKEND": "onnxruntime",  # the same for both
    }


def _figures(turn: Turn) -> tuple[float, float]:
    """(frames a second, seconds of processor time a frame)."""
    return turn.runs / turn.seconds, turn.processor / turn.runs


def measured(pairs: int, seconds: float, frame_rate: float, blocks: int) -> dict[str, Any]:
    """All figures, with what they were measured on."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        plain = environment(folder, frame_rate, blocks)
        (folder / "capture.json").write_text(json.dumps(SETTINGS))
        capturing = plain | {
            "CAPTURE_SPOOL": str(folder / "spool"),
            "CAPTURE_SETTINGS": str(folder / "capture.json"),
        }
        sides = {
            "off": stack.enter_context(closing(Agent(folder, "off", plain, warm=20))),
            "on": stack.enter_context(closing(Agent(folder, "on", capturing, warm=20))),
        }
        load = os.getloadavg()[0]
        turns: list[dict[str, tuple[float, float]]] = []
        for number in range(pairs):
            order = ("off", "on") if number % 2 == 0 else ("on", "off")
            turns.append({side: _figures(sides[side].turn(seconds)) for side in order})
            print(
                f"{number + 1}/{pairs}: off {turns[-1]['off'][0]:.1f}, on {turns[-1]['on'][0]:.1f} frames/s", flush=True
            )
        kept = captured(sides["on"].metrics())
    return {
        "about": {
            "date": datetime.now(UTC).date().isoformat(),
            "processors": os.cpu_count(),
            "machine": platform.machine(),
            "kernel": platform.release(),
            "load_before": round(load, 2),
            "pairs": pairs,
            "seconds": seconds,
            "frame_rate": frame_rate,
            "frame": scene.FRAME,
            "settings": SETTINGS,
        },
        "turns": [{side: list(figures) for side, figures in turn.items()} for turn in turns],
        "captured": kept,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one turn")
    parser.add_argument("--frame-rate", type=float, default=100.0, help="asked for; more than the machine can do")
    parser.add_argument("--blocks", type=int, default=24, help="convolutions: how long one inference takes")
    parser.add_argument("--shared", action="store_true", help="say on the page that others used the machine too")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the page and its figures")
    parser.add_argument("--redraw", action="store_true", help="the page again, from the figures of the last run")
    options = parser.parse_args()
    figures = options.out / "capture-benchmark.json"
    if not options.redraw:
        found = measured(options.pairs, options.seconds, options.frame_rate, options.blocks)
        found["about"]["shared"] = options.shared
        options.out.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(figures.read_text(encoding="utf-8")))
    (options.out / "capture-benchmark.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
