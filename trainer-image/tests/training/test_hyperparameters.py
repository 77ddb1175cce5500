"""batch -1, patience, freeze and cos_lr in real trainings: each does what it says."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import documents
import pytest
from torch import Tensor
from trainings import HYPERPARAMETERS, Outcome, train

from trainer.weights import load_checkpoint


@dataclass(frozen=True)
class Tuned:
    """A FineTune of `scratch` with all of them but patience: two of its layers' blocks frozen, and a cosine."""

    outcome: Outcome
    parent: Mapping[str, Tensor]
    child: Mapping[str, Tensor]
    rows: list[dict[str, str]]


EPOCHS, LR0, LRF = 4, 0.002, 0.1


@pytest.fixture(scope="module")
def tuned(scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    _, models, _ = scratch
    folder = tmp_path_factory.mktemp("tuned")
    given = {"epochs": EPOCHS, "batch": -1, "freeze": 10, "patience": 0}
    extra = {"lr0": str(LR0), "lrf": str(LRF), "nbs": "16", "warmup_epochs": "0", "cos_lr": "true"}
    document = documents.document(
        version="v2",
        mode="FineTune",
        architecture=None,
        parent=documents.reference(models),
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS | given | {"extra": extra},
        output={"uri": f"file://{folder}/v2/"},
    )
    outcome = train(folder / "work", document)
    assert outcome.code == 0, outcome.stderr[-3000:]
    with (folder / "work/run/training/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    return Tuned(outcome, weights(models / "best.pt"), weights(folder / "v2/best.pt"), rows)


def weights(path: Path) -> Mapping[str, Tensor]:
    return load_checkpoint(path, str(path)).state_dict()


def test_batch_minus_one_without_a_gpu_takes_sixteen_and_says_so(tuned: Tuned) -> None:
    warnings = [event["message"] for event in tuned.outcome.all("warning")]
    assert "batch -1 fits the batch to a GPU's memory; this pod has no GPU, and 16 is taken" in warnings
    assert tuned.outcome.detail["hyperparameters"]["batch"] == "16"


def test_freeze_leaves_the_first_layers_as_the_parent_has_them(tuned: Tuned) -> None:
    def changed(name: str) -> bool:
        return not tuned.parent[name].equal(tuned.child[name])

    learned = [name for name in tuned.child if "running_" not in name and "num_batches" not in name]
    layer = {name: int(name.split(".")[1]) for name in learned}
    assert not [name for name in learned if layer[name] < 10 and changed(name)]
    assert [name for name in learned if layer[name] >= 10 and changed(name)]
    statistics = [name for name in tuned.child if "running_" in name and int(name.split(".")[1]) < 10]
    assert statistics
    assert not [name for name in statistics if changed(name)]


def test_cos_lr_follows_a_cosine(tuned: Tuned) -> None:
    expected = [LR0 * ((1 - math.cos(math.pi * epoch / EPOCHS)) / 2 * (LRF - 1) + 1) for epoch in range(EPOCHS)]
    assert [float(row["lr/pg0"]) for row in tuned.rows] == pytest.approx(expected, rel=1e-4)


def test_patience_ends_a_run_that_no_longer_gets_better(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    """Counted from the first epoch that detects anything: until then ultralytics is patient."""
    _, models, _ = scratch
    document = documents.document(
        version="v2",
        mode="FineTune",
        architecture=None,
        parent=documents.reference(models),
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS
        | {"epochs": 40, "patience": 1, "batch": 4, "extra": {"lr0": "0.002", "warmup_epochs": "0", "nbs": "4"}},
        output={"uri": f"file://{tmp_path}/v2/"},
    )
    outcome = train(tmp_path / "work", document)
    assert outcome.code == 0, outcome.stderr[-3000:]
    epochs = outcome.all("epoch")
    assert 2 <= len(epochs) < 40
    assert epochs[-1]["epoch"] == epochs[-1]["bestEpoch"] + 1
    assert float(epochs[-2]["metrics"]["map50"]) > 0
    assert epochs[-1]["remainingSeconds"] == 0
