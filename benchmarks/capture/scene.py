"""What the agent runs in the benchmark: a model whose convolutions take real time, and frames on which rules fire.

The network computes, and what it says is known beforehand: fixed boxes with fixed scores, times the brightness of the
frame's first pixel. So a frame is empty, unsure or crowded as the benchmark wants it, at the cost of an inference.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("bolt", "nut", "washer")
SIDE = 320
FRAME = 960  # pixels; square, so that the letterbox leaves the first pixel where it is
FRAMES = 60
OBJECTS = 25
BRIGHTNESS = (1.0, 1.0, 0.45, 0.0, 0.8, 1.0)  # of frame k, over and over: certain, unsure, empty


def model(blocks: int) -> bytes:
    """A detector of CLASSES: four halvings, then `blocks` convolutions of 64 channels on 40 x 40 fields."""
    random = np.random.default_rng(0)
    nodes, constants, channels, last = [], {}, 3, "images"
    for number, (wide, stride) in enumerate([(16, 2), (32, 2), (64, 2), *[(64, 1)] * blocks]):
        weights = random.normal(0, (2 / (9 * channels)) ** 0.5, (wide, channels, 3, 3)).astype(np.float32)
        constants[f"w{number}"] = weights
        inputs = [last, f"w{number}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{number}"], pads=[1] * 4, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last, channels = f"r{number}", wide
    boxes = [(20 + 60 * (n % 5), 20 + 60 * (n // 5), 30, 30, 0.95 - 0.01 * n, 0.0, 0.0) for n in range(OBJECTS)]
    constants |= {
        "anchors": np.array(boxes, np.float32).T[None],
        "nothing": np.array(0, np.float32),
        "starts": np.array([0, 0], np.int64),
        "ends": np.array([1, 1], np.int64),
        "axes": np.array([2, 3], np.int64),
    }
    nodes += [
        helper.make_node("ReduceMean", [last], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["brightness"], keepdims=0),
        helper.make_node("Add", ["brightness", "zero"], ["factor"]),
        helper.make_node("Mul", ["anchors", "factor"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "benchmark",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + len(CLASSES), OBJECTS])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    onnx.checker.check_model(made)
    return made.SerializeToString()


def write_frames(folder: Path) -> None:
    """FRAMES JPEGs of soft shapes, each another scene."""
    folder.mkdir()
    for number in range(FRAMES):
        noise = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
        image = np.asarray(cv2.resize(noise, (FRAME, FRAME), interpolation=cv2.INTER_CUBIC))
        image[:32, :32] = round(255 * BRIGHTNESS[number % len(BRIGHTNESS)])
        cv2.imwrite(str(folder / f"{number:03}.jpg"), image)
