"""A loaded network as the detector sees it, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

REFERENCE = "onnxruntime"
"""Whose answers count as right: what versions are evaluated, calibrated and replayed with."""

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

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, pixels: Array) -> Array:
        """The one output for the one input. It may be overwritten by the next run. Raises InferenceFailed."""


Loader = Callable[[bytes, int], Network]
"""From a model file's content and a number of threads. Raises ModelUnsupported and BackendUnavailable."""
