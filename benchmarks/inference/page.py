"""The page of the agent's benchmark, from its figures. Pure."""

import math
import statistics
from typing import Any

TARGET = 1.75
TARGET_SIZES = (320, 640)
REFERENCE = "onnxruntime"
SIDES = (REFERENCE, "openvino", "openvino-own", "agent-onnxruntime", "agent")

Cell = dict[str, Any]


def rate(cell: Cell, side: str) -> float:
    """Frames a second over all turns."""
    return float(sum(turn[side][0] for turn in cell["turns"]) / sum(turn[side][1] for turn in cell["turns"]))


def cost(cell: Cell, side: str) -> float:
    """Seconds of processor time a frame, of all threads."""
    return float(sum(turn[side][2] for turn in cell["turns"]) / sum(turn[side][0] for turn in cell["turns"]))


def ratio(cell: Cell, side: str) -> tuple[float, float]:
    """Geometric mean of side / bare onnxruntime over the rounds, and half its 95% interval (NaN for one round)."""
    logs = [
        math.log((turn[side][0] / turn[side][1]) / (turn[REFERENCE][0] / turn[REFERENCE][1])) for turn in cell["turns"]
    ]
    mean = math.exp(statistics.mean(logs))
    return mean, mean * 1.96 * statistics.stdev(logs) / len(logs) ** 0.5 if len(logs) > 1 else math.nan


def verdict(cells: list[Cell]) -> str:
    """Whether the target is met, as far as the intervals say."""
    judged = [(cell, *ratio(cell, "agent")) for cell in cells if cell["size"] in TARGET_SIZES]
    missed = [_name(cell) for cell, mean, half in judged if mean + half < TARGET]
    open_ = [_name(cell) for cell, mean, half in judged if not (mean + half < TARGET or mean - half >= TARGET)]
    said = []
    if missed:
        said.append(f"**The target is missed** by {', '.join(missed)}: the whole interval lies below it.")
    if open_:
        said.append(f"Not decided for {', '.join(open_)}: the interval holds the target; measure for longer.")
    if judged and not said:
        said.append("The target is met: each interval lies above it as a whole.")
    return " ".join(said) or "The target is for sizes that were not measured."


def page(found: dict[str, Any]) -> str:
    """Markdown."""
    about, cells = found["about"], found["cells"]
    width, height = about["frame"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    shared = (
        "\n**The machine was shared with other work during this run**: a first look, and no more.\n"
        if about["shared"]
        else ""
    )
    return f"""# The agent beside the bare libraries

Made by the make target bench-agent; do not edit. Target: the agent runs at {TARGET:g} times the rate of bare
onnxruntime, or more, at {" and ".join(map(str, TARGET_SIZES))} pixels.

Bare is a loop that runs the network on one input that never changes, and does nothing else. The agents
([what runs the model](backends.md)) are real ones: one process that decodes a video of {width} x {height} pixels
(Motion JPEG, on a thread of its own), letterboxes, runs the network, decodes its answer and counts. One is told to use
onnxruntime, one chooses for itself; the table says what it came to. Threads of one inference: {about["threads"]}.
The networks have random weights, so that nothing is detected, and the suppression of overlapping boxes has nothing to
do.

All run in turns of {about["seconds"]:g} s, {about["rounds"]} rounds, only one at a time, in an order that turns round.
{shared}
## Frames a second

| network | onnxruntime | OpenVINO float32 | OpenVINO, own precision | agent, onnxruntime | agent, auto | auto took |
|---|---|---|---|---|---|---|
{_rows(cells, lambda cell, side: f"{rate(cell, side):.1f}")}

## Beside bare onnxruntime (95%)

| network | onnxruntime | OpenVINO float32 | OpenVINO, own precision | agent, onnxruntime | agent, auto | auto took |
|---|---|---|---|---|---|---|
{_rows(cells, _beside)}

{verdict(cells)}

## Processor time a frame, all threads

| network | onnxruntime | OpenVINO float32 | OpenVINO, own precision | agent, onnxruntime | agent, auto | auto took |
|---|---|---|---|---|---|---|
{_rows(cells, lambda cell, side: f"{1000 * cost(cell, side):.1f} ms")}

An agent is given a tenth more frames than it did in a trial turn, so that it never waits for one, and decodes those
that are dropped, too.

## Memory at its peak

| network | onnxruntime | OpenVINO float32 | OpenVINO, own precision | agent, onnxruntime | agent, auto | auto took |
|---|---|---|---|---|---|---|
{_rows(cells, lambda cell, side: f"{cell['memory'][side] / 2**20:.0f} MiB")}

Measured on {about["date"]}: {about["processor"]}, {about["processors"]} processors, Linux {about["kernel"]}, load
before the run {about["load_before"]}. {versions}.
"""


def _rows(cells: list[Cell], figure: Any) -> str:
    return "\n".join(
        f"| {_name(cell)} | {' | '.join(figure(cell, side) for side in SIDES)} | `{cell['backend']}` |"
        for cell in cells
    )


def _beside(cell: Cell, side: str) -> str:
    if side == REFERENCE:
        return "1"
    mean, half = ratio(cell, side)
    return f"{mean:.2f} ± {half:.2f}"


def _name(cell: Cell) -> str:
    return f"{cell['architecture']}, {cell['size']} px"
