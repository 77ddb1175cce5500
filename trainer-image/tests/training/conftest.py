"""Real, tiny trainings that several tests look at.

These tests need torch and ultralytics and so run inside the trainer image (`make test-trainer`), not with the others.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import documents
import pytest
import shapes

sys.path.insert(0, str(Path(__file__).parent))

from trainings import HYPERPARAMETERS, Outcome, train


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes.write(tmp_path_factory.mktemp("shapes"), train=32, val=12)


@pytest.fixture(scope="session")
def scratch(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path, dict[str, Any]]:
    """A Scratch run of three epochs: its outcome, the folder it published into, and its document."""
    models = tmp_path_factory.mktemp("models") / "v1"
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS | {"epochs": 3},
        output={"uri": f"file://{models}/"},
    )
    return train(tmp_path_factory.mktemp("work"), document), models, document
