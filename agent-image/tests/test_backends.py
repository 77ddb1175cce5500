"""Backends: each gives the same answers on the same model, and what can't be had is said."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from agent_models import CLASSES, SIDE, anchors, constant, convolutions, echo, fails_on_black, yolo11_like
from onnx import TensorProto

from agent.config import BACKENDS
from agent.serve.backends import choice, onnx_runtime, open_vino, probes
from agent.serve.backends.network import BackendUnavailable, InferenceFailed, ModelUnsupported, Port
from agent.serve.detector import Detector

ONE = anchors((32, 32, 16, 8, (0, 0, 0.8)))
WHITE = np.full((SIDE, SIDE, 3), 255, np.uint8)
HERE = ["onnxruntime", *open_vino.names()]


def test_every_backend_that_can_be_configured_can_be_loaded_and_no_other() -> None:
    assert set(BACKENDS) == {"auto", *choice.LOADERS}


@pytest.mark.parametrize("backend", HERE)
def test_a_frame_by_every_backend_of_this_machine(backend: str) -> None:
    detector = Detector(yolo11_like(ONE), CLASSES, SIDE, load=choice.LOADERS[backend])
    found = detector.detect(WHITE)
    np.testing.assert_allclose(found.boxes, [[24, 28, 40, 36]], rtol=0.01)
    assert found.confidences.tolist() == pytest.approx([0.8], abs=0.01)
    assert len(detector.detect(np.zeros_like(WHITE))) == 0


@pytest.mark.parametrize("backend", HERE)
def test_every_backend_of_this_machine_counts_as_equal_on_a_network_that_computes(backend: str) -> None:
    model = convolutions()
    reference = Detector(model, CLASSES, SIDE)
    other = Detector(model, CLASSES, SIDE, load=choice.LOADERS[backend])
    for frame in probes.frames(SIDE):
        found = probes.difference(reference.output(frame), other.output(frame), SIDE, suppressed=False)
        assert found.within, found
        assert found.log_odds > 0 or backend == "onnxruntime"  # else nothing was computed differently


@pytest.mark.parametrize("number", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("shape", [(1, 3, SIDE, SIDE), ("batch", 3, "height", "width")])
@pytest.mark.parametrize("backend", HERE)
def test_a_network_is_given_red_green_and_blue_from_0_to_1(backend: str, shape: tuple[int | str, ...], number: int):
    network = choice.LOADERS[backend](echo(shape, number), SIDE, 1)
    for seed in (0, 1):
        square = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        wanted = square[..., ::-1].transpose(2, 0, 1)[np.newaxis] / 255
        coarse = backend == "openvino-bf16" or number == TensorProto.FLOAT16
        np.testing.assert_allclose(network.run(square), wanted, rtol=2**-8 if coarse else 1e-6)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (echo((1, 3, SIDE, SIDE), TensorProto.DOUBLE), "the model's input is of float64; known are float32, float16"),
        (echo((1, 3, SIDE, SIDE), inputs=2), "the model has 2 inputs; a detector has one"),
        (echo((3, SIDE, SIDE)), rf"the model's input is \[3, {SIDE}, {SIDE}\], but the version's imageSize wants"),
        (echo((1, 1, SIDE, SIDE)), rf"the model's input is \[1, 1, {SIDE}, {SIDE}\], but"),
        (echo((1, 3, SIDE, 32)), rf"the model's input is \[1, 3, {SIDE}, 32\], but"),
    ],
)
@pytest.mark.parametrize("backend", HERE)
def test_a_network_of_another_input_is_refused_in_the_same_words(backend: str, model: bytes, words: str) -> None:
    with pytest.raises(ModelUnsupported, match=words):
        choice.LOADERS[backend](model, SIDE, 1)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_what_a_model_gives_is_read_alike(backend: str) -> None:
    network = choice.LOADERS[backend](constant(ONE[None]), SIDE, 1)
    assert network.outputs == (Port("output0", (1, 7, 1), "float32"),)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("model", [b"", b"no model"])
def test_what_is_no_model_is_refused_by_each(backend: str, model: bytes) -> None:
    with pytest.raises(ModelUnsupported, match="can't load the model: "):
        choice.LOADERS[backend](model, SIDE, 1)


def test_a_run_that_fails_is_a_failed_frame() -> None:
    network = choice.LOADERS["onnxruntime"](fails_on_black(), SIDE, 1)
    network.run(WHITE)
    with pytest.raises(InferenceFailed, match="out of data bounds"):
        network.run(np.zeros_like(WHITE))


@pytest.mark.parametrize("backend", open_vino.names())
def test_a_run_that_fails_in_openvino_is_a_failed_frame(backend: str) -> None:
    """Few networks fail there once they are loaded: it reads nothing, and says 0, where a row is asked for in vain."""
    network = choice.LOADERS[backend](constant(ONE[None]), SIDE, 1)
    with pytest.raises(InferenceFailed, match="incompatible"):
        network.run(np.zeros((SIDE * 2, SIDE, 3), np.uint8))


@pytest.mark.parametrize("backend", ["cuda", "tensorrt"])
def test_a_device_that_the_image_has_no_provider_for_is_named(backend: str) -> None:
    if onnx_runtime.has(backend):
        pytest.skip("this onnxruntime has it")
    with pytest.raises(BackendUnavailable, match=r"ExecutionProvider \(it has .*CPUExecutionProvider\)"):
        choice.LOADERS[backend](constant(ONE[None]), SIDE, 1)


@pytest.mark.parametrize("backend", ["cuda", "tensorrt"])
def test_a_provider_without_its_device_is_no_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build with the provider, on a machine without the device: onnxruntime goes on without it, and so must not we.

    The build is faked: only that it says to have the provider.
    """
    provider = onnx_runtime._DEVICES[backend][0]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider, "CPUExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, options, providers, real=onnxruntime.InferenceSession: real(model, options, providers[1:]),
    )
    with pytest.raises(BackendUnavailable, match="are a device and its driver there"):
        choice.LOADERS[backend](constant(ONE[None]), SIDE, 1)


def test_a_precision_that_the_processor_does_not_have_is_refused() -> None:
    for name in {"openvino-bf16", "openvino-f16"} - set(open_vino.names()):
        with pytest.raises(BackendUnavailable, match="this processor does not compute in"):
            choice.LOADERS[name](constant(ONE[None]), SIDE, 1)


def test_openvino_is_the_last_resort_of_its_family() -> None:
    *own, last = open_vino.names()
    assert last == "openvino"
    assert set(own) <= {"openvino-bf16", "openvino-f16"}


# --- how far apart --------------------------------------------------------------------------------------------------

PLAIN = anchors((20, 20, 10, 10, (0.9, 0.1, 0)), (40, 40, 10, 10, (0.2, 0.5, 0)), (50, 50, 4, 4, (0.01, 0, 0)))
ROWS = np.array([[10, 10, 20, 20, 0.9, 0], [30, 30, 40, 40, 0.6, 1], [31, 30, 40, 40, 0.59, 1]], np.float32)


def changed(output: np.ndarray, *changes: tuple[tuple[int, int], float]) -> np.ndarray:
    made = output.copy()
    for at, value in changes:
        made[at] = value
    return made


@pytest.mark.parametrize(
    ("other", "within"),
    [
        (PLAIN, True),
        (changed(PLAIN, ((5, 1), 0.54)), True),  # .04 at one half
        (changed(PLAIN, ((5, 1), 0.56)), False),
        (changed(PLAIN, ((4, 0), 0.89)), True),
        (changed(PLAIN, ((4, 0), 0.86)), False),  # the odds of .9 are far from those of .86
        (changed(PLAIN, ((4, 2), 0.03)), False),  # nothing is detected there, and it is three times as likely
        (changed(PLAIN, ((6, 1), 0.45)), True),  # another class, which does not win
        (changed(PLAIN, ((0, 0), 20.6)), True),  # .6 pixels of 64
        (changed(PLAIN, ((0, 0), 20.7)), False),
        (changed(PLAIN, ((5, 1), np.nan)), False),
        (PLAIN[:, :2], False),
    ],
)
def test_anchors(other: np.ndarray, within: bool) -> None:
    assert probes.difference(PLAIN, other, 64, suppressed=False).within is within


@pytest.mark.parametrize(
    ("other", "within"),
    [
        (ROWS, True),
        (ROWS[[0, 2, 1]], True),  # neighbours changed places
        (changed(ROWS, ((0, 4), 0.905)), True),
        (changed(ROWS, ((0, 4), 0.95)), False),
        (changed(ROWS, ((0, 5), 2)), False),  # another class
        (changed(ROWS, ((0, 0), 12)), False),
        (changed(ROWS, ((0, 0), np.inf)), False),
    ],
)
def test_rows_of_a_model_that_suppresses_itself(other: np.ndarray, within: bool) -> None:
    assert probes.difference(ROWS, other, 64, suppressed=True).within is within


def test_the_drawn_frames_are_always_the_same_and_not_alike() -> None:
    first, again = probes.frames(96), probes.frames(96)
    assert len(first) == probes.FRAMES
    assert all(frame.shape == (96, 96, 3) and frame.dtype == np.uint8 for frame in first)
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    assert (first[0] != first[1]).mean() > 0.5
