"""The detector: letterbox, decoding and suppression against answers worked out by hand, and models that are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent_models import CLASSES, SIDE, anchors, constant, yolo11_like
from agent_processes import ROOT
from onnx import TensorProto, helper

from agent.serve.backends.network import InferenceFailed, ModelUnsupported
from agent.serve.detector import Detections, Detector, Letterbox, decode, decode_suppressed

WHITE = np.full((SIDE, SIDE, 3), 255, np.uint8)


def rows(found: Detections) -> list[tuple[list[float], float, int]]:
    return [
        (box.tolist(), round(float(confidence), 4), int(index))
        for box, confidence, index in zip(found.boxes, found.confidences, found.classes, strict=True)
    ]


# As ultralytics' LetterBox(new_shape=side, auto=False, scaleup=True, center=True): scaled size, left and top padding.
@pytest.mark.parametrize(
    ("height", "width", "side", "size", "offset"),
    [
        (640, 640, 640, (640, 640), (0, 0)),
        (1080, 1920, 640, (640, 360), (0, 140)),
        (1920, 1080, 640, (360, 640), (140, 0)),
        (100, 50, 64, (32, 64), (16, 0)),
        (50, 99, 64, (64, 32), (0, 16)),
        (33, 64, 64, (64, 33), (0, 15)),  # 31 rows of padding: 15 above, 16 below
        (16, 16, 64, (64, 64), (0, 0)),  # small frames are enlarged
        (1, 3000, 64, (64, 1), (0, 31)),
    ],
)
def test_letterbox(height: int, width: int, side: int, size: tuple[int, int], offset: tuple[int, int]) -> None:
    letterbox = Letterbox(height, width, side)
    assert (letterbox.size, letterbox.offset) == (size, offset)
    square = letterbox.apply(np.full((height, width, 3), 7, np.uint8))
    assert (square.shape, square.dtype) == ((side, side, 3), np.uint8)
    left, top = offset
    inside = np.zeros((side, side), bool)
    inside[top : top + size[1], left : left + size[0]] = True
    assert (square[inside] == 7).all()
    assert (square[~inside] == 114).all()


def test_restore_undoes_the_letterbox_and_clips_to_the_frame() -> None:
    letterbox = Letterbox(1080, 1920, 640)  # scale 1/3, 140 above
    boxes = np.array([[10, 150, 110, 200], [-5, 130, 650, 510]], np.float32)
    expected = [[30, 30, 330, 180], [0, 0, 1920, 1080]]
    np.testing.assert_allclose(letterbox.restore(boxes), expected, rtol=1e-5)


def test_a_thin_frame_is_restored_by_the_scale_of_each_side() -> None:
    letterbox = Letterbox(1, 3000, 64)  # one row stays one row, though 64/3000 of it would be none
    np.testing.assert_allclose(letterbox.restore(np.array([[32, 31, 64, 32]], np.float32)), [[1500, 0, 3000, 1]])


def test_decode_takes_the_best_class_above_the_threshold() -> None:
    output = anchors(
        (20, 20, 10, 20, (0.1, 0.9, 0.3)),
        (50, 50, 10, 10, (0.2, 0.1, 0.25)),  # at the threshold: dropped
        (40, 10, 8, 8, (0.26, 0.0, 0.0)),
    )
    found = decode(output, confidence=0.25, iou=0.7)
    assert rows(found) == [([15, 10, 25, 30], 0.9, 1), ([36, 6, 44, 14], 0.26, 0)]
    assert found.boxes.dtype == found.confidences.dtype == np.float32


def test_decode_suppresses_within_a_class_only() -> None:
    output = anchors(
        (20, 20, 10, 10, (0.8, 0, 0)),
        (21, 20, 10, 10, (0.9, 0, 0)),  # overlaps the first by 9/11 = .82
        (20, 20, 10, 10, (0, 0.7, 0)),  # the same place, another class
        (25, 20, 10, 10, (0.6, 0, 0)),  # overlaps the second by 6/14 = .43
    )
    assert [row[1:] for row in rows(decode(output, 0.25, iou=0.7))] == [(0.9, 0), (0.7, 1), (0.6, 0)]
    assert [row[1:] for row in rows(decode(output, 0.25, iou=0.4))] == [(0.9, 0), (0.7, 1)]
    assert [row[1:] for row in rows(decode(output, 0.25, iou=0.83))] == [(0.9, 0), (0.8, 0), (0.7, 1), (0.6, 0)]


def test_decode_of_nothing() -> None:
    found = decode(anchors((20, 20, 10, 10, (0.1, 0.1, 0.1))), 0.25, 0.7)
    assert len(found) == 0
    assert (found.boxes.shape, found.confidences.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_decode_keeps_the_best_300() -> None:
    scores = np.linspace(0.3, 0.9, 400)
    output = anchors(*((10 * k, 5, 4, 4, (score, 0, 0)) for k, score in enumerate(scores)))
    found = decode(output, 0.25, 0.7)
    np.testing.assert_allclose(found.confidences, scores[:99:-1], rtol=1e-6)


def test_decode_of_a_model_that_suppresses_itself() -> None:
    output = np.array([[1, 2, 3, 4, 0.3, 2], [5, 6, 7, 8, 0.9, 0], [0, 0, 0, 0, 0.25, 1]], np.float32)
    assert rows(decode_suppressed(output, 0.25)) == [([5, 6, 7, 8], 0.9, 0), ([1, 2, 3, 4], 0.3, 2)]


def test_detect_from_frame_to_boxes() -> None:
    model = constant(anchors((32, 32, 16, 8, (0, 0, 0.8)), (32, 20, 4, 4, (0.4, 0, 0)))[None])
    frame = np.zeros((100, 200, 3), np.uint8)  # scale .32, 16 above
    found = Detector(model, CLASSES, SIDE).detect(frame)
    np.testing.assert_allclose(found.boxes, [[75, 37.5, 125, 62.5], [93.75, 6.25, 106.25, 18.75]])
    assert found.confidences.tolist() == pytest.approx([0.8, 0.4])
    assert found.classes.tolist() == [2, 0]


def test_the_thresholds_given_are_used() -> None:
    model = constant(anchors((32, 32, 16, 8, (0, 0, 0.8)), (33, 32, 16, 8, (0, 0, 0.4)))[None])
    assert len(Detector(model, CLASSES, SIDE).detect(WHITE)) == 1
    assert len(Detector(model, CLASSES, SIDE, iou=0.9).detect(WHITE)) == 2
    assert len(Detector(model, CLASSES, SIDE, confidence=0.8).detect(WHITE)) == 0


def test_the_model_sees_rgb_from_0_to_1() -> None:
    """A model that gives back the channels of its top left pixel as scores."""
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["corner"]),
            helper.make_node("Reshape", ["corner", "shape"], ["scores"]),
            helper.make_node("Concat", ["box", "scores"], ["output0"], axis=1),
        ],
        "synthetic",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 7, 1])],
        [
            helper.make_tensor("starts", TensorProto.INT64, [2], [0, 0]),
            helper.make_tensor("ends", TensorProto.INT64, [2], [1, 1]),
            helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("shape", TensorProto.INT64, [3], [1, 3, 1]),
            helper.make_tensor("box", TensorProto.FLOAT, [1, 4, 1], [32, 32, 8, 8]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    detector = Detector(model.SerializeToString(), CLASSES, SIDE, confidence=0.1)
    for blue_green_red, expected in (
        ((51, 0, 255), (1.0, 0)),
        ((0, 153, 51), (0.6, 1)),
        ((204, 0, 102), (0.8, 2)),
    ):
        frame = np.full((SIDE, SIDE, 3), blue_green_red, np.uint8)
        ((_, *found),) = rows(detector.detect(frame))
        assert tuple(found) == expected
    assert len(detector.detect(np.zeros((SIDE, SIDE, 3), np.uint8))) == 0


def test_a_model_of_half_precision() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "answer"], ["output0"]),
        ],
        "synthetic",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT16, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT16, [1, 7, 1])],
        [helper.make_tensor("answer", TensorProto.FLOAT16, [1, 7, 1], [32, 32, 8, 8, 0, 0.5, 0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    found = Detector(model.SerializeToString(), CLASSES, SIDE).detect(WHITE)
    assert rows(found) == [([28, 28, 36, 36], 0.5, 1)]


def test_dimensions_that_the_file_leaves_open_are_found_by_a_run() -> None:
    output = anchors((32, 32, 16, 8, (0, 0, 0.8)))[None]
    assert len(Detector(constant(output, declared=(1, 7, "anchors")), CLASSES, SIDE).detect(WHITE)) == 1
    with pytest.raises(ModelUnsupported, match=r"output is \[1, 7, 1\]; a detector of 2 classes"):
        Detector(constant(output, declared=("batch", "rows", "anchors")), CLASSES[:2], SIDE)


def test_smoke_runs_the_whole_way() -> None:
    assert len(Detector(constant(anchors((32, 32, 16, 8, (0, 0, 0.8)))[None]), CLASSES, SIDE).smoke()) == 1


ONE = anchors((32, 32, 16, 8, (0, 0, 0.8)))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (b"no model", "can't load the model"),
        (b"", "can't load the model"),
        (
            constant(ONE[None], side=32),
            r"input is \[1, 3, 32, 32\], but .* imageSize wants \[1, 3, 64, 64\]",
        ),
        (constant(ONE[None, :6]), r"a detector of 3 classes \(bolt, nut, washer\) has \[1, 7, anchors\]"),
        (constant(ONE), r"output is \[7, 1\]"),
    ],
)
def test_models_that_are_refused(model: bytes, words: str) -> None:
    with pytest.raises(ModelUnsupported, match=words):
        Detector(model, CLASSES, SIDE)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (anchors((32, 32, 16, 8, (0, 0, np.nan))), "not finite"),
        (anchors((32, np.inf, 16, 8, (0, 0, 0.5))), "not finite"),
        (anchors((32, 32, 16, 8, (0, 0, 3.5))), "more than 1"),
        (np.array([[1, 2, 3, 4, 0.9, 3]], np.float32), "class 3, of 3 classes"),
    ],
)
def test_answers_that_make_no_sense_fail_the_frame(output: np.ndarray, words: str) -> None:
    with pytest.raises(InferenceFailed, match=words):
        Detector(constant(output[None]), CLASSES, SIDE).detect(WHITE)


def test_a_frame_without_pixels_fails_the_frame() -> None:
    with pytest.raises(InferenceFailed):
        Detector(constant(ONE[None]), CLASSES, SIDE).detect(np.empty((0, 10, 3), np.uint8))


def test_onnxruntime_keeps_no_telemetry(tmp_path: Path) -> None:
    """It writes a device id and a queue of events to the home folder before it sends any; here it must not."""
    (tmp_path / "model.onnx").write_bytes(constant(ONE[None]))
    program = (
        "from pathlib import Path; from agent.serve.detector import Detector;"
        f"Detector(Path('model.onnx').read_bytes(), {CLASSES}, {SIDE}).smoke()"
    )
    home = tmp_path / "home"
    home.mkdir()
    # no variable of a CI either, which would stop it too
    env = {"HOME": str(home), "PYTHONPATH": str(ROOT / "agent-image")}
    subprocess.run([sys.executable, "-c", program], env=env, cwd=tmp_path, check=True)
    assert list(home.rglob("*")) == []


def test_brightness_model_used_elsewhere() -> None:
    """The synthetic model that other tests steer by painting frames white or black."""
    detector = Detector(yolo11_like(ONE), CLASSES, SIDE)
    assert len(detector.detect(WHITE)) == 1
    assert len(detector.detect(cv2.bitwise_not(WHITE))) == 0
