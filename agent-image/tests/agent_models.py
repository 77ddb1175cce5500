"""Synthetic ONNX models with the output layout of real ones: small, deterministic, and no YOLO.

They let the tests know exactly what the model says. Figures from real models are not this file's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
CLASSES = ("bolt", "nut", "washer")


def _model(nodes: list[onnx.NodeProto], constants: dict[str, NDArray], output: Sequence[int | str], side: int) -> bytes:
    graph = helper.make_graph(
        nodes,
        "synthetic",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(output))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()


def yolo11_like(anchors: NDArray[np.float32], side: int = SIDE) -> bytes:
    """Always says `anchors` [4 + classes, n], times the mean brightness of the first pixel's channels.

    A frame whose letterboxed top left pixel is white gets the scores as given, a black one gets zeros; boxes too, which
    don't matter then.
    """
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["brightness"], keepdims=0),
        helper.make_node("Mul", ["anchors", "brightness"], ["output0"]),
    ]
    constants = {
        "starts": np.array([0, 0], np.int64),
        "ends": np.array([1, 1], np.int64),
        "axes": np.array([2, 3], np.int64),
        "anchors": anchors.astype(np.float32)[None],
    }
    return _model(nodes, constants, [1, *anchors.shape], side)


def constant(output: NDArray, side: int = SIDE, declared: Sequence[int | str] | None = None) -> bytes:
    """Always says `output`, whatever the frame. `declared` is the output shape written in the file."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["output0"]),
    ]
    constants = {"zero": np.array(0, np.float32), "answer": output.astype(np.float32)}
    return _model(nodes, constants, declared if declared is not None else output.shape, side)


def echo(shape: Sequence[int | str], number: int = TensorProto.FLOAT, inputs: int = 1) -> bytes:
    """Says what it is given, or the sum of several `inputs`. `number` is one of onnx's types."""
    names = ["images", "more"][:inputs]
    graph = helper.make_graph(
        [helper.make_node("Sum", names, ["output0"])],
        "echo",
        [helper.make_tensor_value_info(name, number, list(shape)) for name in names],
        [helper.make_tensor_value_info("output0", number, list(shape))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model.SerializeToString()


def fails_on_black(side: int = SIDE) -> bytes:
    """A network whose run fails unless the first pixel is white: it then asks for a row that there is not."""
    nodes = [
        helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["brightness"], keepdims=0),
        helper.make_node("Sub", ["one", "brightness"], ["darkness"]),
        helper.make_node("Mul", ["darkness", "far"], ["place"]),
        helper.make_node("Cast", ["place"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["answer", "row"], ["output0"], axis=0),
    ]
    constants = {
        "starts": np.array([0, 0], np.int64),
        "ends": np.array([1, 1], np.int64),
        "axes": np.array([2, 3], np.int64),
        "one": np.array(1, np.float32),
        "far": np.array(1000, np.float32),
        "answer": np.zeros((1, 7, 1), np.float32),
    }
    return _model(nodes, constants, [7, 1], side)


def convolutions(side: int = SIDE, depth: int = 6, classes: int = len(CLASSES)) -> bytes:
    """A network that computes: `depth` convolutions of 64 channels with fixed random weights, a place for each 8 x 8
    pixels of the frame. Scores are spread between 0 and 1, boxes lie within the frame."""
    random = np.random.default_rng(0)
    nodes, constants, last, channels = [], {}, "images", 3
    for number in range(depth):
        stride = 2 if number < 3 else 1
        constants[f"w{number}"] = random.normal(0, (2 / (9 * channels)) ** 0.5, (64, channels, 3, 3)).astype(np.float32)
        nodes.append(helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], pads=[1] * 4, strides=[stride] * 2))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last, channels = f"r{number}", 64
    constants["head"] = random.normal(0, 0.1, (4 + classes, channels, 1, 1)).astype(np.float32)
    constants["scale"] = np.array([[[side]] * 4 + [[1]] * classes], np.float32)
    constants["flat"] = np.array([1, 4 + classes, -1], np.int64)
    nodes += [
        helper.make_node("Conv", [last, "head"], ["answers"]),
        helper.make_node("Sigmoid", ["answers"], ["shares"]),
        helper.make_node("Reshape", ["shares", "flat"], ["places"]),
        helper.make_node("Mul", ["places", "scale"], ["output0"]),
    ]
    return _model(nodes, constants, [1, 4 + classes, (side // 8) ** 2], side)


def anchors(*rows: tuple[float, float, float, float, Sequence[float]]) -> NDArray[np.float32]:
    """[4 + classes, n] from rows of (centre x, centre y, width, height, scores)."""
    return np.array([[*box, *scores] for *box, scores in rows], np.float32).T
