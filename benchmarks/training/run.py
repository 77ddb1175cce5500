"""Trains the same model plainly and through the trainer, in pairs: `python -m training.run --out docs`.

Needs the trainer image, which it builds where it is not there. The data are the demo's, drawn again from a seed.
"""

import argparse
import hashlib
import json
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.dataset import SIZE, archive, write_dataset
from harness import images
from training.page import page

HERE = Path(__file__).parent
DATA = "/bench-data"
ARCHITECTURE = "yolo11n"
IMAGES, HOLDOUT, VALIDATION = 120, 40, 0.25
SHARED = {"batch": 4, "optimizer": "AdamW", "seed": 0, "patience": 30, "freeze": 0}
AUGMENTATION = {"mosaic": "0"}  # eight epochs of it would not be enough to find anything
EXTRA = {"lr0": "0.002", "nbs": "4", "warmup_epochs": "1"}


def setup(data: Path, epochs: int, pairs: int) -> dict[str, Any]:
    """What inside.py is told: the arguments of both sides. Writes the archives into `data`."""
    sources = {}
    for name, count, seed in (("dataset", IMAGES, 1), ("holdout", HOLDOUT, 2)):
        with tempfile.TemporaryDirectory() as folder:
            tar = archive(
                write_dataset(Path(folder), images=count, seed=seed, validation=VALIDATION), data / f"{name}.tar"
            )
        sources[name] = {"uri": f"file://{DATA}/{tar.name}", "sha256": hashlib.sha256(tar.read_bytes()).hexdigest()}
    return {
        "epochs": epochs,
        "pairs": pairs,
        "dataset": f"{DATA}/dataset.tar",
        "arguments": SHARED | {"imgsz": SIZE} | AUGMENTATION | EXTRA,
        "only_plain": {"model": f"{ARCHITECTURE}.yaml", "pretrained": False, "plots": False, "device": "cpu"},
        "document": {
            "trainingJob": "benchmark",
            "model": "parts",
            "version": "v1",
            "mode": "Scratch",
            "architecture": ARCHITECTURE,
            "dataset": {"sources": [sources["dataset"]]},
            "hyperparameters": SHARED | {"imageSize": SIZE, "augmentation": AUGMENTATION, "extra": EXTRA},
            "checkpoint": {"everyEpochs": 1},  # the most that can be asked for
            "evaluation": {"dataset": sources["holdout"]},
        },
    }


def measured(epochs: int, pairs: int) -> dict[str, Any]:
    """All figures, with what they were measured on. Raises SystemExit where a training fails."""
    with tempfile.TemporaryDirectory() as folder:
        data, work = Path(folder) / "data", Path(folder) / "work"
        data.mkdir()
        work.mkdir()
        Path(folder).chmod(0o755)
        work.chmod(0o777)  # the emptyDir that a Job's pod has there
        asked = setup(data, epochs, pairs)
        (work / "setup.json").write_text(json.dumps(asked))
        command = ["python", "-P", "/bench/inside.py", "/work/setup.json", "/work/result.json"]
        code = images.run_in("trainer", command, mounts={work: "/work", data: f"{DATA}:ro", HERE: "/bench:ro"})
        if code:
            raise SystemExit(code)
        found = json.loads((work / "result.json").read_text())
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "train_images": IMAGES - round(IMAGES * VALIDATION),
        "validation_images": round(IMAGES * VALIDATION),
        "holdout_images": HOLDOUT,
        "setup": asked,
    }
    return {"about": about, **found}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] != "unknown" else platform.machine()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the page and its figures")
    parser.add_argument("--redraw", action="store_true", help="the page again, from the figures of the last run")
    options = parser.parse_args()
    figures = options.out / "trainer-benchmark.json"
    if not options.redraw:
        options.out.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(measured(options.epochs, options.pairs), indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(figures.read_text(encoding="utf-8")))
    (options.out / "trainer-benchmark.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
