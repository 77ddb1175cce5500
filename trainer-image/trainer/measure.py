"""How good a model is on images it was not trained on: ultralytics' metrics, and the calibration the gate needs.

Images are letterboxed into the square that the exported network takes, as the agent does, and not into the narrower
rectangles ultralytics validates with while training; figures may differ from the last epoch's in the third digit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trainer.calibration import EDGES, Calibration, calibrate
from trainer.report import decimal
from trainer.tally import Judged
from trainer.weights import class_names, load_checkpoint

# What the agent does with the network's output by default: the threshold of its histogram, and its NMS.
CONFIDENCE = EDGES[0]
NMS_IOU = 0.7

LEAST = 0.05
"""Detections are looked at from here on, to tell whether the agent should take lower ones than it does."""

RECALLS = tuple(number / 100 for number in range(101))
"""Where precision_by_recall is given."""


@dataclass(frozen=True)
class Measured:
    """Figures as decimal strings: `metrics` overall, `per_class` for the classes the images show.

    precision_by_recall  for the same classes: precision at IoU 0.5 for each of RECALLS
    sighted              each image, with what is on it and all detections of more than LEAST
    """

    metrics: dict[str, str]
    per_class: dict[str, dict[str, str]]
    calibration: Calibration | None
    precision_by_recall: dict[str, tuple[float, ...]]
    sighted: tuple[Judged, ...]

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """Each image, with what the agent would have seen."""
        return as_the_agent_sees(self.sighted)

    def to_json(self) -> dict[str, Any]:
        return {**self.metrics, "perClass": self.per_class}


def as_the_agent_sees(sighted: Iterable[Judged]) -> tuple[Judged, ...]:
    """With detections of more than the agent's least confidence alone."""
    return tuple(one.above(CONFIDENCE) for one in sighted)


def measure(checkpoint: Path, data: Path, classes: Sequence[str], image_size: int, folder: Path, what: str) -> Measured:
    """Runs the checkpoint over the `val` part of `data`, whose class indices are those of `classes`.

    A model with other classes, or the same in another order, is judged by name: what it detects of classes unknown to
    `classes` is left out, what it can't detect counts as missed. Raises Failure WeightsNotLoaded.
    """
    import torch

    model = load_checkpoint(checkpoint, what)
    own = class_names(model, what)
    index = {name: number for number, name in enumerate(classes)}
    translation = [index.get(name, -1) for name in own]
    validator = _validator(
        translation,
        tuple(classes),
        folder,
        {
            "data": str(data),
            "imgsz": image_size,
            "batch": 16,
            "device": "0" if torch.cuda.is_available() else "cpu",
            "workers": 0,
            "rect": False,
            "plots": False,
            "verbose": True,
            "mode": "val",
            "task": "detect",
            "project": str(folder),
            "name": "measuring",
            "exist_ok": True,
        },
    )
    validator(model=model)
    judged = as_the_agent_sees(validator.sighted)
    return Measured(
        metrics=_overall(validator.metrics.box),
        per_class=_per_class(validator.metrics.box, classes),
        calibration=calibrate(
            np.concatenate([*(one.confidences for one in judged), []]),
            np.concatenate([*(one.right for one in judged), []]).astype(bool),
        ),
        precision_by_recall=_precision_by_recall(validator.metrics.box, classes),
        sighted=tuple(validator.sighted),
    )


def _overall(box: Any) -> dict[str, str]:
    precision, recall = float(box.mp), float(box.mr)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {
        "map50": decimal(float(box.map50)),
        "map50-95": decimal(float(box.map)),
        "precision": decimal(precision),
        "recall": decimal(recall),
        "f1": decimal(f1),
    }


def _per_class(box: Any, classes: Sequence[str]) -> dict[str, dict[str, str]]:
    return {
        classes[int(number)]: {
            "map50": decimal(float(box.ap50[row])),
            "map50-95": decimal(float(box.ap[row])),
            "precision": decimal(float(box.p[row])),
            "recall": decimal(float(box.r[row])),
        }
        for row, number in enumerate(box.ap_class_index)
    }


def _precision_by_recall(box: Any, classes: Sequence[str]) -> dict[str, tuple[float, ...]]:
    return {
        classes[int(number)]: tuple(float(value) for value in np.interp(RECALLS, box.px, box.prec_values[row]))
        for row, number in enumerate(box.ap_class_index)
    }


def _validator(translation: Sequence[int], classes: tuple[str, ...], folder: Path, arguments: Mapping[str, Any]) -> Any:
    """ultralytics' validator, which also keeps what the agent's NMS would leave. Defined here to import torch late."""
    import torch
    from ultralytics.models.yolo.detect import DetectionValidator
    from ultralytics.utils import nms

    table = torch.tensor(translation)
    plain = translation == list(range(len(classes)))

    class Validator(DetectionValidator):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(save_dir=folder, args=dict(arguments))
            self.sighted: list[Judged] = []
            self._detected: list[Any] = []

        def init_metrics(self, model: Any) -> None:
            super().init_metrics(model)
            self.names = self.metrics.names = dict(enumerate(classes))
            self.nc = len(classes)
            self.confusion_matrix.names = self.names

        def postprocess(self, preds: Any) -> Any:
            raw = preds[0] if isinstance(preds, (list, tuple)) else preds
            self._detected = [
                self._translated({"bboxes": found[:, :4], "conf": found[:, 4], "cls": found[:, 5]})
                for found in nms.non_max_suppression(raw.clone(), LEAST, NMS_IOU, max_det=300)
            ]
            return [self._translated(found) for found in super().postprocess(preds)]

        def update_metrics(self, preds: Any, batch: Any) -> None:
            super().update_metrics(preds, batch)
            for number, found in enumerate(self._detected):
                truth = self._prepare_batch(number, batch)
                (tall, wide), (left, top) = truth["ratio_pad"]
                border, gain = np.array([left, top] * 2), np.array([wide, tall] * 2)
                self.sighted.append(
                    Judged(
                        image=Path(truth["im_file"]),
                        boxes=(_array(found["bboxes"]) - border) / gain,
                        classes=_array(found["cls"]),
                        confidences=_array(found["conf"]),
                        truth_boxes=(_array(truth["bboxes"]).reshape(-1, 4) - border) / gain,
                        truth_classes=_array(truth["cls"]),
                    )
                )

        def _translated(self, found: dict[str, Any]) -> dict[str, Any]:
            if plain:
                return found
            index = table.to(found["cls"].device)[found["cls"].long()]
            known = index >= 0
            return {name: tensor[known] for name, tensor in (found | {"cls": index.float()}).items()}

    return Validator()


def _array(tensor: Any) -> Any:
    return tensor.float().cpu().numpy()
