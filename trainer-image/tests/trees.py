"""Writes small datasets for tests: real, tiny pictures and label files under any names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

LABEL = "0 0.5 0.5 0.2 0.2\n"


def picture(number: int = 0, suffix: str = ".jpg") -> bytes:
    """A picture that differs for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    done, encoded = cv2.imencode(suffix, pixels)
    assert done
    return encoded.tobytes()


def write(root: Path, names: Iterable[str], *, label: str = LABEL, start: int = 0) -> Path:
    """Writes a picture for each name of an image, `label` for each .txt, and nothing else."""
    for number, name in enumerate(names, start=start):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text(label)
        else:
            path.write_bytes(picture(number, path.suffix))
    return root


def pairs(image: str, label: str, count: int = 2) -> list[str]:
    """Names made from two patterns with a number each, images first."""
    return [image.format(number) for number in range(count)] + [label.format(number) for number in range(count)]
