"""A loaded network as the detector sees it, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

REFERENCE = "onnxruntime"
"""Whose answers count as right: what versions are evaluated, calibrated and replayed with."""

Square = NDArray[np.uint8]
"""A letterboxed picture: uint8 [side, side, 3], channels blue, green, red."""

Array = NDArray[np.floating[Any]]


class ModelUnsupported(Exception):
    """The file is no model that this agent can run; the message says what is wrong with it."""


class BackendUnavailable(Exception):
    """This image, or this device, does not have the backend; the message says what is missing."""


class InferenceFailed(Exception):
    """The model could not be run on this one frame."""


@dataclass(frozen=True)
class Port:
    """An input or output. Dimensions that the file leaves open are text; `dtype` is numpy's name, such as float32."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


class Network(Protocol):
    """For one thread at a time."""

    outputs: tuple[Port, ...]

    def run(self, square: Square) -> Array:
        """The one output for one picture. It may be overwritten by the next run. Raises InferenceFailed."""


Loader = Callable[[bytes, int, int], Network]
"""From a model file's content, the side of its square in pixels, and a number of threads. Raises ModelUnsupported, also
for a model whose input is no such square, and BackendUnavailable."""


def precision(inputs: Sequence[Port], side: int) -> type[np.floating[Any]]:
    """The numbers that the one input of a detector takes: [1, 3, side, side], red, green, blue, from 0 to 1. Raises
    ModelUnsupported."""
    if len(inputs) != 1:
        raise ModelUnsupported(f"the model has {len(inputs)} inputs; a detector has one")
    shape = list(inputs[0].shape)
    wanted = [1, 3, side, side]
    if len(shape) != 4 or any(isinstance(n, int) and n != m for n, m in zip(shape, wanted, strict=True)):
        raise ModelUnsupported(f"the model's input is {shape}, but the version's imageSize wants {wanted}")
    types: dict[str, type[np.floating[Any]]] = {"float32": np.float32, "float16": np.float16}
    if inputs[0].dtype not in types:
        raise ModelUnsupported(f"the model's input is of {inputs[0].dtype}; known are {', '.join(types)}")
    return types[inputs[0].dtype]
