"""docs/trainer-benchmark.md from the figures of a run. Pure."""

import csv
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Any

SHARED_STEPS = (
    "start Python, import the trainer",
    "import torch and ultralytics",
    "build the model",
    "ultralytics: set up",
    "the epochs",
    "ultralytics: evaluate best.pt again",
)
"""What `yolo train` does as well, in one way or another."""
WITHIN_EPOCHS = "each epoch: "
END, OTHER = "Python ends", "all else"
QUIET = 1.25  # how much slower than the median epoch one may be on a machine that has nothing else to do


@dataclass(frozen=True)
class Side:
    """One training. `epochs` and `processor`: seconds of each epoch from the second to the last."""

    rows: list[dict[str, str]]
    epochs: list[float]
    processor: list[float]
    before: float
    training: float
    after: float
    seconds: float
    memory_bytes: int

    @staticmethod
    def of(run: dict[str, Any]) -> "Side":
        rows = list(csv.DictReader(run["results"]))
        passed, used = zip(*run["stamps"], strict=True)
        before = passed[0] - float(rows[0]["time"])
        return Side(
            rows=[{name: text for name, text in row.items() if name not in ("epoch", "time")} for row in rows],
            epochs=_steps(passed),
            processor=_steps(used),
            before=before,
            training=passed[-1] - before,
            after=run["seconds"] - passed[-1],
            seconds=run["seconds"],
            memory_bytes=run["memory_bytes"],
        )


def _steps(values: Sequence[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(values)]


def page(found: dict[str, Any]) -> str:
    """The whole page."""
    about, versions = found["about"], found["versions"]
    plain, ours = ([Side.of(pair[side]) for pair in found["pairs"]] for side in ("plain", "ours"))
    software = ", ".join(f"{name} {number}" for name, number in versions.items())
    document = about["setup"]["document"]
    parts = [
        "# Benchmark of the trainer",
        "Made by the make target bench-trainer; do not edit. `yolo train`, ultralytics' own command and nothing of "
        "ours, against the trainer as a Job starts it, in the trainer image: the same data, architecture, arguments "
        f"and seed. Pairs of trainings: {len(plain)}. Each training is {len(plain[0].rows)} epochs of "
        f"{document['architecture']} from scratch on {about['train_images']} generated images of "
        f"{about['setup']['arguments']['imgsz']} pixels, validated with {about['validation_images']}. The two of a "
        "pair take turns of one epoch, and one is stopped while the other trains: what slows the machine hits both.",
        f"{about['date']}, {about['processors']} processors ({about['processor']}), "
        f"{about['memory_bytes'] / 2**30:.0f} GiB of memory, Linux {about['kernel']}; {software}. Both train on the "
        f"processor with as many threads as `yolo train` takes on its own: {found['threads']}. **Not measured on "
        "a GPU.**",
        "## An epoch",
        _epochs(plain, ours, about["train_images"]),
        "Medians of the epochs from the second to the last, each with its validation and its checkpoint; a ratio is "
        "the median of those of the same epochs. Processor seconds are those of all threads. The trainer saves a "
        "checkpoint of every epoch here, the most that can be asked for; uploading it goes on beside the next epoch."
        + _noise([*plain, *ours]),
        "## The model",
        _model(found, plain, ours),
        "## The whole process",
        _whole(plain, ours),
        "## Where the trainer's time goes",
        _where(found["pairs"], len(plain[0].rows)),
    ]
    return "\n\n".join(parts) + "\n"


def _epochs(plain: Sequence[Side], ours: Sequence[Side], images: int) -> str:
    header = ["pair", "plain: s", "ours: s", "ratio", "plain: processor s", "ours: processor s", "ratio"]
    rows = []
    for number, (p, o) in enumerate(zip(plain, ours, strict=True), 1):
        rows.append([str(number), *_compared(p.epochs, o.epochs), *_compared(p.processor, o.processor)])
    every = [[second for side in sides for second in side.epochs] for sides in (plain, ours)]
    used = [[second for side in sides for second in side.processor] for sides in (plain, ours)]
    rows.append([f"**{cell}**" for cell in ("all", *_compared(*every), *_compared(*used))])
    wall, processor = (_interval([o / p for p, o in zip(*both, strict=True)]) for both in (every, used))
    a, b = (median(seconds) for seconds in every)
    spread = f"The ratio of seconds lies between {wall}, that of processor seconds between {processor} (95%). "
    speed = f"Images a second, validation included: plain {images / a:.1f}, ours {images / b:.1f}."
    return grid(header, rows) + "\n\n" + spread + speed


def _compared(plain: Sequence[float], ours: Sequence[float]) -> tuple[str, str, str]:
    ratio = median(b / a for a, b in zip(plain, ours, strict=True))
    return f"{median(plain):.2f}", f"{median(ours):.2f}", f"{ratio:.3f}"


def _interval(values: Sequence[float]) -> str:
    """Where the median lies with 95% confidence, whatever the distribution: two of the values, by their ranks."""
    ordered, beyond, rank = sorted(values), 0.0, 0
    while beyond + comb(len(ordered), rank) / 2 ** len(ordered) <= 0.025:
        beyond += comb(len(ordered), rank) / 2 ** len(ordered)
        rank += 1
    return f"{ordered[max(rank - 1, 0)]:.3f} and {ordered[len(ordered) - max(rank, 1)]:.3f}"


def _noise(sides: Sequence[Side]) -> str:
    """Says so where the machine had other things to do, which the epochs of one training show: all do the same work."""
    slowest = max(max(side.epochs) / median(side.epochs) for side in sides)
    if slowest <= QUIET:
        return ""
    return (
        f" The machine was not quiet: an epoch took up to {slowest:.1f} times the median of its own training. The "
        "ratios say more than the seconds."
    )


def _model(found: dict[str, Any], plain: Sequence[Side], ours: Sequence[Side]) -> str:
    """The figures of the last epoch, and whether those of all epochs agree."""
    header = ["last epoch", "plain", "ours"]
    names = ("metrics/mAP50(B)", "metrics/mAP50-95(B)", "metrics/precision(B)", "metrics/recall(B)")
    rows = [[name, plain[0].rows[-1][name], ours[0].rows[-1][name]] for name in names]
    wanted = plain[0].rows
    cells = [(epoch, name) for epoch in range(len(wanted)) for name in wanted[epoch]]
    sides = [*plain, *ours]
    odd = {(epoch, name) for side in sides for epoch, name in cells if side.rows[epoch][name] != wanted[epoch][name]}
    if odd:
        columns = ", ".join(sorted({name for _, name in odd}))
        agree = f"{len(odd)} of the {len(cells)} figures in results.csv are not the same in all trainings: {columns}."
    else:
        agree = (
            f"All {len(cells)} figures in results.csv (losses, metrics and learning rates of every epoch) are the same "
            f"to the last digit in all {len(sides)} trainings, plain or ours."
        )
    holdout = found["pairs"][0]["ours"]["holdout"]
    measured = (
        f"What the trainer publishes is measured afterwards, on a holdout of {found['about']['holdout_images']} other "
        f"images: mAP50 {holdout['map50']}, mAP50-95 {holdout['map50-95']}."
    )
    return grid(header, rows) + f"\n\n{agree} {measured}"


def _whole(plain: Sequence[Side], ours: Sequence[Side]) -> str:
    header = ["seconds, median", "plain", "ours", "difference"]
    rows = []
    for what, name in (
        ("before the first epoch", "before"),
        ("the epochs", "training"),
        ("after the last epoch", "after"),
        ("**in all**", "seconds"),
    ):
        a, b = (median(getattr(side, name) for side in sides) for sides in (plain, ours))
        rows.append([what, f"{a:.1f}", f"{b:.1f}", f"{b - a:+.1f}"])
    a, b = (median(side.memory_bytes for side in sides) / 2**20 for sides in (plain, ours))
    rows.append(["memory at its peak, MiB", f"{a:.0f}", f"{b:.0f}", f"{b - a:+.0f}"])
    return grid(header, rows)


def _where(pairs: Sequence[dict[str, Any]], epochs: int) -> str:
    runs = [pair["ours"] for pair in pairs]
    steps = {
        step: median(run["steps"]["seconds"].get(step, 0.0) for run in runs) for step in runs[0]["steps"]["seconds"]
    }
    steps[END] = median(run["ended"] - run["steps"]["ended"] for run in runs)
    steps[OTHER] = steps.pop(OTHER)  # the last row
    shared = (*SHARED_STEPS, END)
    rows = []
    for step, seconds in steps.items():
        name = f"{step} (all {epochs})" if step.startswith(WITHIN_EPOCHS) else step
        rows.append([name, f"{seconds:.3f}", "yes" if step in shared else ""])
    within = sum(seconds for step, seconds in steps.items() if step.startswith(WITHIN_EPOCHS))
    own = sum(seconds for step, seconds in steps.items() if step not in shared) - within
    beside = [
        f"{step}: {median(second for run in runs for second in run['steps']['beside'][step]):.2f} s each"
        for step in runs[0]["steps"]["beside"]
    ]
    return "\n\n".join(
        [
            f"Of what only the trainer does, {own:.1f} s lie outside the epochs and {within:.2f} s within them, "
            f"{1000 * within / epochs:.0f} ms in each. Medians over the trainings above, by a clock around each step. "
            "The data and the output folder lie on the same machine: a store far away adds its transfers.",
            grid(["step", "s", "`yolo train` too"], rows),
            f"Beside the epochs, on a thread of its own: {'; '.join(beside)}.",
        ]
    )


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *rows))
