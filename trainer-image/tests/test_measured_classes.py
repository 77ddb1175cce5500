"""Whose class an output of a measured model is, whatever the order in which its file names them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer import measure


@pytest.mark.parametrize(
    "names", [{2: "disc", 0: "bolt", 1: "nut"}, {0: "bolt", 1: "nut", 2: "disc"}, ["bolt", "nut", "disc"]]
)
def test_an_output_is_of_the_class_of_its_index(names: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ultralytics keeps the order of the data.yaml that somebody trained with: names: {2: disc, 0: bolt, 1: nut}."""
    translated: list[int] = []

    def validator(translation: Sequence[int], *_: object) -> SimpleNamespace:
        translated.extend(translation)
        raise NotImplementedError

    monkeypatch.setattr(measure, "load_checkpoint", lambda path, what: SimpleNamespace(names=names))
    monkeypatch.setattr(measure, "_validator", validator)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)))
    with pytest.raises(NotImplementedError):
        measure.measure(tmp_path / "best.pt", tmp_path / "data.yaml", ("disc", "bolt"), 160, tmp_path, "baseline v1")
    assert translated == [1, -1, 0]
