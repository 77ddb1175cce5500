"""Runs inside the trainer image: `export.py FOLDER ARCHITECTURE,... SIZE...` writes them as ONNX, with random weights.

Trained weights can't be had where this is measured, and what a network takes to run does not depend on them.
"""

import shutil
import sys
from pathlib import Path

import torch
from ultralytics import YOLO


def main() -> None:
    """The command."""
    folder, architectures, *sizes = sys.argv[1:]
    for architecture in architectures.split(","):
        for size in sizes:
            torch.manual_seed(0)
            written = YOLO(f"{architecture}.yaml").export(format="onnx", imgsz=int(size), opset=17, simplify=True)
            shutil.move(written, Path(folder) / f"{architecture}-{size}.onnx")


if __name__ == "__main__":
    main()
