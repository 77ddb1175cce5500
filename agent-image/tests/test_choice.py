"""The choice of a backend: what `auto` takes, what it sets aside, and how long it may look.

Networks with a set answer and a set time stand in for backends, so that there is a right choice; what they are compared
and timed by is real. The last tests run the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from agent_models import CLASSES, SIDE, convolutions

from agent.serve.backends import choice, onnx_runtime, open_vino
from agent.serve.backends.choice import BUDGET, TURNS, Tried, choose, cramped, fastest
from agent.serve.backends.network import (
    Array,
    BackendUnavailable,
    InferenceFailed,
    Loader,
    ModelUnsupported,
    Port,
    Square,
)
from agent.serve.detector import Detector

ANSWER = np.array([[[32], [32], [16], [8], [0.1], [0.5], [0.1]]], np.float32)
OTHER = ANSWER + np.array([[[0], [0], [0], [0], [0], [0.1], [0]]], np.float32)
OFTEN = 10**9


class Clock:
    """Moved by the networks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Fake:
    """A network that takes so many seconds on the clock, and fails from run `fails_at` on (the smoke run is 0)."""

    clock: Clock
    seconds: float
    answer: np.ndarray = field(default_factory=lambda: ANSWER)
    fails_at: int = OFTEN
    runs: int = 0
    outputs = (Port("output0", (1, 7, 1), "float32"),)

    def run(self, square: Square) -> Array:
        self.runs += 1
        if self.runs > self.fails_at:
            raise InferenceFailed("out of order")
        self.clock.now += self.seconds
        return self.answer


class Bench:
    """Backends that are fakes, or an error that loading them raises."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, family: tuple[str, ...] = ("openvino-bf16", "openvino")
    ) -> None:
        self.clock = Clock()
        self.there: dict[str, Fake | Exception] = {"onnxruntime": Fake(self.clock, 0.1)}
        self.alive = 0
        monkeypatch.setattr(choice, "LOADERS", {name: self.loader(name) for name in choice.LOADERS})
        monkeypatch.setattr(open_vino, "names", lambda: family)
        monkeypatch.setattr(onnx_runtime, "has", lambda name: name in self.there)

    def loader(self, name: str) -> Loader:
        def load(model: bytes, side: int, threads: int) -> Fake:
            found = self.there[name]
            if isinstance(found, Exception):
                raise found
            return found

        return load

    def add(self, name: str, seconds: float, **more: object) -> Fake:
        made = self.there[name] = Fake(self.clock, seconds, **more)
        return made

    def choose(self, wanted: str = "auto", **more: str) -> choice.Choice:
        def alive() -> None:
            self.alive += 1

        make = lambda load: Detector(b"", CLASSES, SIDE, load=load)  # noqa: E731
        return choose(wanted, make, alive=alive, clock=self.clock, **more)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    return Bench(monkeypatch)


def test_the_fastest_that_is_equal_is_taken(bench: Bench) -> None:
    bench.add("openvino-bf16", 0.05)
    bench.add("cuda", 0.07)
    found = bench.choose()
    assert found.backend == "openvino-bf16"
    assert found.why == "tried: onnxruntime (100.0 ms), cuda (70.0 ms), openvino-bf16 (50.0 ms)"
    bench.add("cuda", 0.01)
    assert bench.choose().backend == "cuda"


def test_once_a_family_has_an_equal_one_its_slower_ones_are_not_loaded(bench: Bench) -> None:
    bench.add("openvino-bf16", 0.05)
    bench.there["openvino"] = AssertionError("nobody needs it")
    assert bench.choose().backend == "openvino-bf16"


def test_one_whose_answers_differ_is_set_aside_and_the_next_of_its_family_takes_its_place(bench: Bench) -> None:
    bench.add("openvino-bf16", 0.01, answer=OTHER)
    bench.add("openvino", 0.05)
    found = bench.choose()
    assert found.backend == "openvino"
    assert found.why == (
        "tried: onnxruntime (100.0 ms), openvino-bf16 (not equal: confidences differ by up to 0.101, boxes by up to "
        "0.00% of the image), openvino (50.0 ms)"
    )


@pytest.mark.parametrize(
    "problem", [ModelUnsupported("no such operator"), BackendUnavailable("no such library"), InferenceFailed("broken")]
)
def test_what_goes_wrong_with_a_backend_that_nobody_named_is_said_and_no_more(bench: Bench, problem: Exception) -> None:
    bench.there |= {"openvino-bf16": problem, "openvino": problem}
    found = bench.choose()
    assert found.backend == "onnxruntime"
    assert found.why == f"tried: onnxruntime, openvino-bf16 ({problem}), openvino ({problem})"
    with pytest.raises(type(problem)):
        bench.choose("openvino")


def test_one_that_fails_on_a_frame_is_set_aside(bench: Bench) -> None:
    bench.add("openvino-bf16", 0.01, fails_at=2)
    bench.add("openvino", 0.01, fails_at=0)  # in its first run
    assert "openvino-bf16 (failed on a drawn frame: out of order), openvino (out of order)" in bench.choose().why


def test_without_an_answer_of_the_reference_nothing_counts_as_equal(bench: Bench) -> None:
    bench.add("onnxruntime", 0.1, fails_at=1)
    bench.add("openvino-bf16", 0.01)
    bench.add("openvino", 0.01)
    found = bench.choose()
    assert found.backend == "onnxruntime"
    assert "onnxruntime itself failed on a drawn frame, so that nothing can be compared: out of order" in found.why


def test_a_machine_without_openvino(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> tuple[str, ...]:
        raise BackendUnavailable("this image has no OpenVINO")

    monkeypatch.setattr(open_vino, "names", names)
    found = bench.choose()
    assert (found.backend, found.why) == ("onnxruntime", "tried: onnxruntime, openvino (this image has no OpenVINO)")


def test_quick_networks_are_not_run_for_longer_than_it_takes_to_know(bench: Bench) -> None:
    reference = bench.add("onnxruntime", 0.001)
    bench.add("openvino-bf16", 0.0005)
    assert bench.choose().backend == "openvino-bf16"
    assert reference.runs == 1 + TURNS


@pytest.mark.parametrize("seconds", [0.1, 0.45, 5.0])
def test_it_runs_networks_for_two_seconds_and_longer_only_for_the_first_frame(bench: Bench, seconds: float) -> None:
    reference = bench.add("onnxruntime", seconds)
    other = bench.add("openvino-bf16", seconds / 2)
    assert bench.choose().backend == "openvino-bf16"
    assert reference.runs == other.runs > 1
    turn = reference.seconds + other.seconds
    loading = turn  # one smoke run each
    assert bench.clock.now - loading == pytest.approx(max(BUDGET, turn), abs=turn)
    assert bench.alive == 2 * reference.runs


def test_named_ones_are_tried_once_and_not_compared(bench: Bench) -> None:
    other = bench.add("openvino-bf16", 0.5, answer=OTHER)
    found = bench.choose("openvino-bf16")
    assert (found.backend, found.why, other.runs) == ("openvino-bf16", "as it was named", 1)
    assert bench.there["onnxruntime"].runs == 0


def test_without_room_nothing_else_is_loaded(bench: Bench) -> None:
    bench.there["openvino-bf16"] = AssertionError("there is no room for it")
    found = bench.choose(cramped="that may take 200 MiB")
    assert (found.backend, found.why) == ("onnxruntime", "others were not tried: that may take 200 MiB")


MIB = 1 << 20


@pytest.mark.parametrize(
    ("limit", "resident", "model", "why"),
    [
        (None, 100 * MIB, 12 * MIB, ""),
        (512 * MIB, 100 * MIB, 12 * MIB, ""),
        (300 * MIB, 100 * MIB, 12 * MIB, ""),  # to the byte
        (300 * MIB - 1, 100 * MIB, 12 * MIB, "that may take 200 MiB, and the container's memory limit leaves 199 MiB"),
        (1024 * MIB, 100 * MIB, 260 * MIB, "that may take 1688 MiB, and the container's memory limit leaves 924 MiB"),
        (90 * MIB, 100 * MIB, 12 * MIB, "leaves 0 MiB"),
    ],
)
def test_room(limit: int | None, resident: int, model: int, why: str) -> None:
    found = cramped(limit, resident, model)
    assert found == why == "" or (why and why in found)


@pytest.mark.parametrize(
    ("tried", "backend"),
    [
        ([Tried("onnxruntime", 0.12), Tried("openvino", 0.1)], "openvino"),
        ([Tried("onnxruntime", 0.119), Tried("openvino", 0.1)], "onnxruntime"),  # not worth it
        ([Tried("onnxruntime", 0.1), Tried("openvino", 0.2)], "onnxruntime"),
        ([Tried("onnxruntime", 0.1), Tried("openvino", None, "not equal")], "onnxruntime"),
        ([Tried("onnxruntime", 0.1), Tried("cuda", 0.05), Tried("openvino", 0.01)], "openvino"),
        ([Tried("onnxruntime", None), Tried("openvino", 0.01)], "onnxruntime"),  # nothing to hold it against
        ([Tried("onnxruntime", None)], "onnxruntime"),
    ],
)
def test_fastest(tried: list[Tried], backend: str) -> None:
    assert fastest(tried) == backend


def test_the_real_ones() -> None:
    """Which is the fastest is the machine's affair; that it is one whose answers are the reference's is ours."""
    model = convolutions(side=160)
    found = choose("auto", lambda load: Detector(model, CLASSES, 160, load=load))
    assert found.why.startswith("tried: onnxruntime (")
    assert all(name in found.why for name in open_vino.names()[:1])
    assert found.backend in ("onnxruntime", *open_vino.names())
    frame = np.random.default_rng(1).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    right = Detector(model, CLASSES, 160).detect(frame)
    assert len(right) > 3
    assert found.detector.detect(frame).confidences[:3] == pytest.approx(right.confidences[:3], abs=0.05)
