"""A restored checkpoint lies where ultralytics looks for its own files: the best epoch too, which may be long past."""

from __future__ import annotations

from pathlib import Path

from trainer import resume
from trainer.checkpoint import Restored, State


def test_all_files_are_put_in_place(tmp_path: Path) -> None:
    names = ("last.pt", "best.pt", "results.csv")
    for name in names:
        (tmp_path / name).write_text(name)
    last, best, results = (tmp_path / name for name in names)
    state = State(5, 10, False, 160, None)
    place = tmp_path / "training"
    assert resume.unpack(Restored(state, "file:///c.json", last, best, results), place) == place / "weights/last.pt"
    assert {path.relative_to(place).as_posix(): path.read_text() for path in place.rglob("*") if path.is_file()} == {
        "weights/last.pt": "last.pt",
        "weights/best.pt": "best.pt",
        "results.csv": "results.csv",
    }


def test_a_checkpoint_without_a_best_epoch_yet(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_text("")
    resume.unpack(Restored(State(1, 10, False, 160, None), "", tmp_path / "last.pt", None, None), tmp_path / "training")
    assert [path.name for path in (tmp_path / "training").rglob("*") if path.is_file()] == ["last.pt"]
