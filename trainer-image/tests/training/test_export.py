"""The ONNX file computes what the checkpoint does, seen by a reader that knows nothing of the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from trainings import Outcome
from ultralytics import YOLO

from trainer.export import difference, letterboxed


def test_onnx_equals_torch(scratch: tuple[Outcome, Path, dict[str, Any]], data: Path) -> None:
    _, models, _ = scratch
    network = YOLO(str(models / "best.pt")).model.float().eval()
    session = onnxruntime.InferenceSession(str(models / "best.onnx"), providers=["CPUExecutionProvider"])
    onnx.checker.check_model(str(models / "best.onnx"))
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("images", [1, 3, 160, 160])]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [("output0", [1, 7, 525])]
    for path in sorted((data / "val" / "images").iterdir())[:5]:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32) / 255  # 160 x 160: no border
        assert np.array_equal(batch, letterboxed(path, 160))
        with torch.no_grad():
            expected = network(torch.from_numpy(batch))[0].numpy()
        [got] = session.run(None, {"images": batch})
        assert np.abs(expected[:, :4] - got[:, :4]).max() < 0.05
        assert np.abs(expected[:, 4:] - got[:, 4:]).max() < 0.001


def test_the_names_travel_in_the_file(scratch: tuple[Outcome, Path, dict[str, Any]]) -> None:
    _, models, _ = scratch
    metadata = {entry.key: entry.value for entry in onnx.load(str(models / "best.onnx")).metadata_props}
    assert metadata["names"] == "{0: 'disc', 1: 'square', 2: 'star'}"
    assert metadata["task"] == "detect"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: out, None),
        (lambda out: out + np.float32(0.001), None),
        (lambda out: out[:, :6], r"its output is \[1, 6, 10\] and should be \[1, 7, 10\]"),
        (lambda out: out * np.float32(1.5), "boxes differ by up to"),
        (lambda out: np.full_like(out, np.nan), "boxes differ by up to nan"),
        (lambda out: np.concatenate([out[:, :4], out[:, 4:] + np.float32(0.02)], axis=1), "scores by 0.02"),
    ],
)
def test_a_difference_is_found(damage: Any, message: str | None) -> None:
    out = np.random.default_rng(0).random((1, 7, 10), dtype=np.float32)
    told = difference(out, damage(out), 3)
    if message is None:
        assert told is None
    else:
        assert told is not None
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(told)
