"""onnxruntime: on processors everywhere, and by CUDA or TensorRT where the image's build and the device have them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from agent.serve.backends.network import (
    Array,
    BackendUnavailable,
    InferenceFailed,
    Loader,
    ModelUnsupported,
    Port,
    Square,
    precision,
)

# Since 1.29 onnxruntime's Linux builds send usage data to Microsoft, facts about the model among it, unless this is set
# before the import. No fleet's nodes should call out without being asked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _ort

# onnxruntime's errors have no common base below Exception.
_ERRORS = (
    _ort.EPFail,
    _ort.EngineError,
    _ort.Fail,
    _ort.InvalidArgument,
    _ort.InvalidGraph,
    _ort.InvalidProtobuf,
    _ort.NoModel,
    _ort.NotImplemented,
    _ort.RuntimeException,
)

_PROCESSOR = "CPUExecutionProvider"
_DEVICES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    # Tensor cores would round float32 to 19 bits otherwise: another precision than the one that is asked for.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "tensorrt": ("TensorrtExecutionProvider", {}),
}


def load(model: bytes, side: int, threads: int) -> OnnxRuntime:
    """On the processor. Raises ModelUnsupported."""
    return OnnxRuntime(model, side, threads, [_PROCESSOR])


def has(name: str) -> bool:
    """Whether this build of onnxruntime knows the device; whether there is one shows when a model is loaded."""
    return _DEVICES[name][0] in onnxruntime.get_available_providers()


def on_device(name: str) -> Loader:
    """By the execution provider of `cuda` or `tensorrt`; operators that it doesn't know run on the processor."""
    provider, options = _DEVICES[name]

    def load(model: bytes, side: int, threads: int) -> OnnxRuntime:
        if not has(name):
            there = ", ".join(onnxruntime.get_available_providers())
            raise BackendUnavailable(
                f"this image's onnxruntime has no {provider} (it has {there}): "
                "use an image with onnxruntime-gpu, or another backend"
            )
        network = OnnxRuntime(model, side, threads, [(provider, dict(options)), _PROCESSOR])
        if provider not in network.providers:  # onnxruntime goes on without it, and only logs why
            raise BackendUnavailable(f"{provider} can't be used here: are a device and its driver there for this pod?")
        return network

    return load


class OnnxRuntime:
    """A session. Raises ModelUnsupported."""

    def __init__(
        self, model: bytes, side: int, threads: int, providers: Sequence[str | tuple[str, dict[str, str]]]
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that spin between frames would take an edge node's cores from its other work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=list(providers))
        except _ERRORS as error:
            raise ModelUnsupported(f"onnxruntime can't load the model: {error}") from error
        inputs = tuple(_port(each) for each in self._session.get_inputs())
        self._number = precision(inputs, side)
        self._input = inputs[0].name
        # Used again for each picture: memory that is new each time costs more than what is computed into it.
        self._channels = [np.empty((side, side), np.uint8) for _ in range(3)]
        self._pixels = np.empty((1, 3, side, side), self._number)
        self.outputs = tuple(_port(each) for each in self._session.get_outputs())

    @property
    def providers(self) -> Sequence[str]:
        """Those that are in use."""
        return [str(name) for name in self._session.get_providers()]

    def run(self, square: Square) -> Array:
        cv2.split(square, self._channels)
        for channel, plane in zip(self._channels, self._pixels[0, ::-1], strict=True):
            np.divide(channel, self._number(255), out=plane)
        try:
            (output, *_) = self._session.run(None, {self._input: self._pixels})
        except _ERRORS as error:
            raise InferenceFailed(str(error)) from error
        return np.asarray(output)


def _port(argument: Any) -> Port:
    """From what onnxruntime says of an input or output: its types are `tensor(float)`, `tensor(float16)` and so on."""
    kind = str(argument.type).removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32", "double": "float64"}.get(kind, kind)
    return Port(argument.name, tuple(n if isinstance(n, int) else str(n) for n in argument.shape), dtype)
