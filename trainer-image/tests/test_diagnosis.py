"""Curves drawn so that an engineer would name them at a glance, and the name they get."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.evaluation import Curves, diagnose, read_curves

Shape = Callable[[float], float]  # of the share of the training that is over, 0 to 1


def curves(epochs: int, train: Shape, val: Shape, quality: Shape, *, noise: float = 0, scale: float = 1) -> Curves:
    """The losses split into two, as ultralytics does; `noise` is the standard deviation as a share of the value."""
    rng = np.random.default_rng(0)

    def series(shape: Shape, factor: float) -> tuple[float, ...]:
        shares = [number / max(epochs - 1, 1) for number in range(epochs)]
        return tuple(factor * shape(share) * (1 + noise * rng.standard_normal()) for share in shares)

    return Curves(
        tuple(range(1, epochs + 1)),
        {
            "train/box_loss": series(train, 0.6 * scale),
            "train/cls_loss": series(train, 0.4 * scale),
            "val/box_loss": series(val, 0.6 * scale),
            "val/cls_loss": series(val, 0.4 * scale),
            "metrics/mAP50-95(B)": series(quality, 1),
            "lr/pg0": series(lambda _: 0.01, 1),
        },
    )


def decay(start: float, end: float, speed: float) -> Shape:
    """Falls, or rises, from start towards end; the greater the speed, the earlier it is there."""
    return lambda share: end + (start - end) * math.exp(-speed * share)


def valley(start: float, low: float, end: float, at: float) -> Shape:
    """Straight from start to its extreme `low` at a share of the way, and straight on to end."""
    return lambda share: (
        start + (low - start) * share / at if share < at else low + (end - low) * (share - at) / (1 - at)
    )


def flat(value: float) -> Shape:
    return lambda _: value


def step(before: float, after: float, at: float) -> Shape:
    return lambda share: before if share < at else after


FALLING, LEVEL = decay(5, 1, 5), decay(4, 1.5, 8)

CASES = {
    "levels off": (curves(100, FALLING, LEVEL, decay(0, 0.6, 8)), "Converged"),
    "levels off, noisily": (curves(100, FALLING, LEVEL, decay(0, 0.6, 8), noise=0.03), "Converged"),
    "stopped by patience on a plateau": (curves(60, FALLING, LEVEL, decay(0.1, 0.5, 15), noise=0.01), "Converged"),
    "a parent's weights need little": (
        curves(20, decay(1.2, 0.9, 3), decay(1.5, 1.4, 8), decay(0.7, 0.74, 9)),
        "Converged",
    ),
    "mosaic closes: the training loss drops near the end": (
        curves(100, lambda share: FALLING(share) - (0.3 if share > 0.9 else 0), LEVEL, decay(0, 0.6, 8)),
        "Converged",
    ),
    "validation turns in the middle": (
        curves(100, FALLING, valley(4, 1.5, 2.5, 0.4), valley(0, 0.5, 0.42, 0.45)),
        "Overfitting",
    ),
    "validation turns, mAP stays where it was": (
        curves(50, FALLING, valley(4, 2, 2.6, 0.3), lambda share: min(share / 0.4, 1) * 0.5),
        "Overfitting",
    ),
    "learns by heart and never detects": (
        curves(40, decay(5, 0.5, 3), valley(4, 3, 5, 0.3), flat(0.01)),
        "Overfitting",
    ),
    "mAP falls though the validation loss does not rise": (
        curves(50, FALLING, LEVEL, valley(0, 0.5, 0.35, 0.4)),
        "Overfitting",
    ),
    "overfitting in ten epochs": (
        curves(10, decay(4, 0.5, 3), valley(3, 2, 4, 0.35), valley(0, 0.4, 0.2, 0.4)),
        "Overfitting",
    ),
    "one epoch": (curves(1, flat(5), flat(4), flat(0.01)), "Underfitting"),
    "two epochs": (curves(2, decay(5, 4, 1), decay(4, 3.8, 1), flat(0.002)), "Underfitting"),
    "ended in the middle of the climb": (
        curves(20, decay(5, 2, 1), decay(4, 2, 1), lambda share: 0.5 * share),
        "Underfitting",
    ),
    "does not learn at all": (curves(100, decay(5, 4.5, 3), decay(5, 4.6, 3), flat(0.01), noise=0.01), "Underfitting"),
    "diverges": (curves(30, decay(5, 9, 3), decay(5, 9, 3), flat(0)), "Diverged"),
    "the training loss rises first, and then nothing": (
        curves(30, valley(0.7, 4, 3, 0.2), flat(9), flat(0)),
        "Underfitting",
    ),
    "few epochs of a good parent": (curves(3, flat(1), flat(1.4), flat(0.7)), "Unclear"),
    "fits the training data and detects nothing": (curves(50, decay(5, 1, 5), flat(5), flat(0.03)), "Unclear"),
    "both losses part, and mAP still climbs": (
        curves(50, FALLING, valley(4, 2, 2.6, 0.3), lambda share: 0.5 * share),
        "Unclear",
    ),
    "one lucky epoch at the end": (
        curves(50, FALLING, LEVEL, lambda share: 0.9 if share == 1 else 0.5 * min(share * 4, 1)),
        "Converged",
    ),
    "nothing finite": (curves(10, flat(math.nan), flat(1), flat(0.5)), "Unclear"),
    "no epoch": (Curves((), {}), "Unclear"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_name_of_a_curve(name: str) -> None:
    given, finding = CASES[name]
    found = diagnose(given)
    assert found.finding == finding, found.message
    assert found.message[0].islower() or found.message[0].isdigit() or found.message.startswith("mAP")


@pytest.mark.parametrize("scale", [0.001, 1000])
def test_the_scale_of_the_losses_changes_nothing(scale: float) -> None:
    shapes = (FALLING, valley(4, 1.5, 2.5, 0.4), valley(0, 0.5, 0.42, 0.45))
    assert diagnose(curves(100, *shapes, scale=scale)).finding == "Overfitting"
    assert diagnose(curves(100, FALLING, LEVEL, decay(0, 0.6, 8), scale=scale)).finding == "Converged"


def test_the_words_carry_the_figures() -> None:
    over = diagnose(CASES["validation turns in the middle"][0]).message
    assert over.startswith(
        "since epoch 41 the validation loss rose by 63% (1.52 to 2.48) while the training loss fell by"
    )
    assert "mAP50-95 had its best, 0.498, at epoch 46 of 100 and ended at 0.421" in over
    assert "more varied images" in over
    under = diagnose(CASES["ended in the middle of the climb"][0]).message
    assert "mAP50-95 was still climbing when the training ended after 20 epochs: the last 4 brought" in under
    assert "Train longer (hyperparameters.epochs" in under
    assert diagnose(CASES["one epoch"][0]).message.startswith("after 1 epoch mAP50-95 is at most 0.010. Train longer")
    assert "after 2 epochs mAP50-95 is at most 0.002" in diagnose(CASES["two epochs"][0]).message


def test_an_epoch_without_figures_is_left_out() -> None:
    whole, _ = CASES["validation turns in the middle"]
    holed = {name: (*values[:30], math.nan, *values[31:]) for name, values in whole.series.items()}
    assert diagnose(Curves(whole.epochs, holed)).finding == "Overfitting"


HEADER = "epoch,time,train/box_loss,train/cls_loss,metrics/mAP50-95(B),val/box_loss,val/cls_loss,lr/pg0\n"


def test_curves_are_read_as_ultralytics_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text(HEADER + "1,3.1,2.5,4,0.01,2,3,0.001\n2,6.2,2.25,3,0.02,1.5,2.5,0.002\n")
    read = read_curves(file)
    assert read.epochs == (1, 2)
    assert read.total("train") == (6.5, 5.25)
    assert read.total("val") == (5, 4)
    assert read.named("metrics/mAP50-95(B)") == (0.01, 0.02)
    assert read.series["lr/pg0"] == (0.001, 0.002)
    assert "time" not in read.series


def test_a_dozen_images_learned_by_heart_are_overfitting() -> None:
    """overfitting.csv is of a real training, recorded: which seed overfits depends on how the processor rounds.

    yolo11n from scratch at 96 px on 12 images without augmentation, AdamW, batch 2, a constant learning rate of 0.002.
    """
    found = diagnose(read_curves(Path(__file__).parent / "overfitting.csv"))
    assert found.finding == "Overfitting"
    assert found.message.startswith("since epoch 15 the validation loss rose by 13%")


@pytest.mark.parametrize(
    ("rows", "epochs", "losses"),
    [
        ("", (), ()),
        ("1,1,9,0,0,0,0,0\n2,1,8,0,0,0,0,0\n3,1,7,0,0,0,0,0\n2,1,5,0,0,0,0,0\n", (1, 2), (9, 5)),  # went back, resumed
        ("6,1,4,0,0,0,0,0\n7,1,3,0,0,0,0,0\n", (6, 7), (4, 3)),  # what was before is gone with its pod
        ("1,1,9,0,0,0,0,0\n2,1,nan,0,0,0,0,0\n", (1, 2), (9, math.nan)),
        ("1,1,9,0,0,0,0,0\n2,1", (1, 2), (9, math.nan)),  # killed while writing
        ("1,1,9,0,0,0,0,0\n\n", (1,), (9,)),
    ],
)
def test_odd_files_are_read_as_far_as_they_go(
    rows: str, epochs: tuple[int, ...], losses: tuple[float, ...], tmp_path: Path
) -> None:
    file = tmp_path / "results.csv"
    file.write_text(HEADER + rows)
    read = read_curves(file)
    assert read.epochs == epochs
    assert read.named("train/box_loss") == pytest.approx(losses, nan_ok=True)


def test_no_file_is_no_epoch(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "results.csv").epochs == ()
