"""Which backend runs the model: the one that was named, or the fastest one whose answers are the reference's.

`auto` loads what this image and processor have beside the reference and lets all of them run the same drawn frames in
turns, for BUDGET seconds at most; loading comes on top. A backend whose answer differs is set aside, and a slower one
of its family takes its place. It is an economy and no more: whatever goes wrong with a backend that nobody asked for
leaves the reference in place, and is said. A backend that was named and can't be had is an error.

Left out of `auto`: `tensorrt`, which builds its engine for minutes; it must be named.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.serve.backends import onnx_runtime, open_vino, probes
from agent.serve.backends.network import (
    REFERENCE,
    BackendUnavailable,
    InferenceFailed,
    Loader,
    ModelUnsupported,
    Square,
)
from agent.serve.backends.probes import Floats
from agent.serve.detector import Detector

AUTO = "auto"
BUDGET = 2.0
"""Seconds for which the trial runs networks; more only where the first frame of each takes longer than that."""
TURNS = 40
"""Turns that are enough, where networks are quick."""
WORTH = 1.2
"""How many times as fast as the reference a backend must be: nodes of one kind are to come to one choice."""

LOADERS: dict[str, Loader] = {
    REFERENCE: onnx_runtime.load,
    **{name: open_vino.on_processor(name) for name in ("openvino", "openvino-bf16", "openvino-f16")},
    **{name: onnx_runtime.on_device(name) for name in ("cuda", "tensorrt")},
}


@dataclass(frozen=True)
class Tried:
    """One backend in a trial. `seconds` of a run, the median; None where it was not timed, and `because` says why."""

    backend: str
    seconds: float | None = None
    because: str = ""

    def __str__(self) -> str:
        figures = [] if self.seconds is None else [f"{1000 * self.seconds:.1f} ms"]
        said = "; ".join([*figures, *filter(None, [self.because])])
        return f"{self.backend} ({said})" if said else self.backend


@dataclass(frozen=True)
class Choice:
    """The detector to use, and how it came to that, in words."""

    backend: str
    detector: Detector
    why: str


Make = Callable[[Loader], Detector]
"""The detector of the model, run by what the loader loads. Raises ModelUnsupported and BackendUnavailable."""

_FAILURES = (ModelUnsupported, BackendUnavailable, InferenceFailed)


def choose(
    wanted: str,
    make: Make,
    *,
    cramped: str = "",
    alive: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """The detector by the backend `wanted`, tried once. `cramped`: why there is no memory for a trial, if so.

    `alive` is called after each step. Raises ModelUnsupported, InferenceFailed, and BackendUnavailable for a named one.
    """
    detector = make(LOADERS[REFERENCE if wanted == AUTO else wanted])
    detector.smoke()
    alive()
    if wanted != AUTO:
        return Choice(wanted, detector, "as it was named")
    if cramped:
        return Choice(REFERENCE, detector, f"others were not tried: {cramped}")
    trial = _Trial(detector, make, alive, clock)
    tried = trial.run()
    backend = fastest(tried)
    return Choice(backend, trial.running[backend], f"tried: {', '.join(map(str, tried))}")


def cramped(limit: int | None, resident: int, model: int) -> str:
    """Why the container has no room for a second backend, all in bytes; empty where it has. Loading a yolov8n of 12 MB
    in OpenVINO beside onnxruntime took 135 MB."""
    needed = (128 << 20) + 6 * model
    if limit is None or limit - resident >= needed:
        return ""
    return (
        f"that may take {needed >> 20} MiB, and the container's memory limit leaves {max(0, limit - resident) >> 20} "
        "MiB; raise it, or name a backend"
    )


def fastest(tried: Sequence[Tried]) -> str:
    """The backend to use, of those that were timed: the reference, unless another one is WORTH it."""
    timed = {each.backend: each.seconds for each in tried if each.seconds is not None}
    reference = timed.pop(REFERENCE, None)
    best = min(timed, key=lambda name: timed[name], default=None)
    return REFERENCE if reference is None or best is None or timed[best] * WORTH > reference else best


class _Trial:
    """The reference and what runs beside it, in turns."""

    def __init__(self, reference: Detector, make: Make, alive: Callable[[], None], clock: Callable[[], float]) -> None:
        self._make, self._alive, self._clock = make, alive, clock
        self._frames = probes.frames(reference.side)
        self._families: dict[str, Iterator[str]] = {}  # of each backend that runs, what would take its place
        self._taken: dict[str, list[float]] = {REFERENCE: []}
        self._notes: dict[str, str] = {}
        self.running = {REFERENCE: reference}

    def run(self) -> list[Tried]:
        """All that was tried, the reference first."""
        for family in self._there():
            self._admit(family)
        turn = 0
        while len(self.running) > 1 and (not all(self._taken.values()) or (turn < TURNS and self._spent() < BUDGET)):
            self._turn(turn)
            turn += 1
        return [
            Tried(
                name,
                statistics.median(self._taken[name]) if name in self.running and self._taken[name] else None,
                self._notes.get(name, ""),
            )
            for name in dict.fromkeys((*self._taken, *self._notes))
        ]

    def _there(self) -> list[Iterator[str]]:
        """What may run beside the reference: of each family the first whose answers are the reference's."""
        families = [iter(("cuda",))] if onnx_runtime.has("cuda") else []
        try:
            families.append(iter(open_vino.names()))
        except BackendUnavailable as error:
            self._notes["openvino"] = str(error)
        return families

    def _admit(self, family: Iterator[str]) -> None:
        """The next of a family that can be loaded runs from now on."""
        for name in family:
            try:
                detector = self._make(LOADERS[name])
                detector.smoke()
            except _FAILURES as error:
                self._notes[name] = str(error)
            else:
                self.running[name], self._taken[name], self._families[name] = detector, [], family
                return
            finally:
                self._alive()

    def _turn(self, number: int) -> None:
        """Each runs one frame; those whose answers differ are set aside."""
        frame = self._frames[number % len(self._frames)]
        order = list(self.running)
        answers = {name: self._run(name, frame) for name in (reversed(order) if number % 2 else order)}
        for name in order[1:]:
            problem = self._problem(answers[REFERENCE], answers[name])
            if problem:
                self._notes[name] = problem
                del self.running[name]
                self._admit(self._families[name])

    def _run(self, name: str, frame: Square) -> Floats | str:
        began = self._clock()
        try:
            answer: Floats | str = self.running[name].output(frame).copy()
        except InferenceFailed as error:
            answer = str(error)
        self._taken[name].append(self._clock() - began)
        self._alive()
        return answer

    def _problem(self, right: Floats | str, answer: Floats | str) -> str:
        if isinstance(right, str):
            return f"{REFERENCE} itself failed on a drawn frame, so that nothing can be compared: {right}"
        if isinstance(answer, str):
            return f"failed on a drawn frame: {answer}"
        reference = self.running[REFERENCE]
        apart = probes.difference(right, answer, reference.side, suppressed=reference.suppressed)
        return "" if apart.within else f"not equal: {apart}"

    def _spent(self) -> float:
        return sum(map(sum, self._taken.values()))
