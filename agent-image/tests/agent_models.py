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


def anchors(*rows: tuple[float, float, float, float, Sequence[float]]) -> NDArray[np.float32]:
    """[4 + classes, n] from rows of (centre x, centre y, width, height, scores)."""
    return np.array([[*box, *scores] for *box, scores in rows], np.float32).T
