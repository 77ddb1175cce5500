"""OpenVINO on processors.

It computes in float32, or in the processor's own precision: bfloat16 where there are units for it (AMX of x86 servers),
float16 on Arm. Left to itself it takes the latter, which is where its speed is from and what moves confidences a
little. A precision is a backend of its own here (`openvino`, `openvino-bf16`, `openvino-f16`): figures of nodes that
compute differently are told apart.

Imported only where it is wanted: that takes half a second and 30 MB.
"""

from __future__ import annotations

import functools
from typing import Any

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

_DEVICE = "CPU"
_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-f16": "f16"}
_DTYPES = {"f32": "float32", "f16": "float16", "f64": "float64"}


def names() -> tuple[str, ...]:
    """The backends of this processor, fastest first as a rule. Raises BackendUnavailable."""
    own = _own_precision()
    return (*(name for name, precision in _PRECISIONS.items() if precision == own != "f32"), "openvino")


def on_processor(name: str) -> Loader:
    """In the precision that the backend's name says."""
    computes_in = _PRECISIONS[name]

    def load(model: bytes, side: int, threads: int) -> OpenVino:
        if name not in names():
            raise BackendUnavailable(f"this processor does not compute in {computes_in}; it has {', '.join(names())}")
        return OpenVino(model, side, threads, computes_in)

    return load


class OpenVino:
    """A compiled model with one request. Raises ModelUnsupported and BackendUnavailable."""

    def __init__(self, model: bytes, side: int, threads: int, computes_in: str) -> None:
        core = _core()
        settings = {
            "INFERENCE_PRECISION_HINT": computes_in,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            network = core.read_model(model)
            number = precision([_port(each) for each in network.inputs], side)
            compiled = core.compile_model(_of_pictures(network, number), _DEVICE, settings)
        except RuntimeError as error:
            raise ModelUnsupported(f"OpenVINO can't load the model: {_last_line(error)}") from error
        self._request = compiled.create_infer_request()
        self.outputs = tuple(_port(each) for each in compiled.outputs)

    def run(self, square: Square) -> Array:
        try:
            self._request.infer({0: square[np.newaxis]}, share_inputs=True)
        except RuntimeError as error:
            raise InferenceFailed(_last_line(error)) from error
        return np.asarray(self._request.get_output_tensor(0).data)


def _of_pictures(network: Any, number: type[np.floating[Any]]) -> Any:
    """The same network, which makes its numbers from bytes itself, in one pass: on one thread that takes 0.2 ms of
    13.3 from a yolov8n of 320 pixels, and 0.4 of 49.6 from one of 640."""
    from openvino import Layout, Type
    from openvino.preprocess import ColorFormat, PrePostProcessor

    steps = PrePostProcessor(network)
    picture = steps.input()
    picture.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC")).set_color_format(ColorFormat.BGR)
    picture.preprocess().convert_color(ColorFormat.RGB).convert_element_type(Type(number)).scale(255.0)
    picture.model().set_layout(Layout("NCHW"))
    return steps.build()


@functools.cache
def _core() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise BackendUnavailable(f"this image has no OpenVINO ({error}): use another image or backend") from error
    core = openvino.Core()
    if _DEVICE not in core.available_devices:
        raise BackendUnavailable("OpenVINO has no plugin for processors here")
    return core


def _own_precision() -> str:
    """What OpenVINO computes in on this processor where nobody says otherwise."""
    return str(_core().get_property(_DEVICE, "INFERENCE_PRECISION_HINT").get_type_name())


def _port(port: Any) -> Port:
    kind = port.get_element_type().get_type_name()
    shape = tuple(n.get_length() if n.is_static else str(n) for n in port.get_partial_shape())
    return Port(", ".join(sorted(port.get_names())) or "?", shape, _DTYPES.get(kind, kind))


def _last_line(error: RuntimeError) -> str:
    """OpenVINO's errors begin with the places in its source that they came through."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (said or lines or [repr(error)])[-1]
