"""Going on from a checkpoint: whether ultralytics can, and what it finds where it looks for its own files."""

from __future__ import annotations

import shutil
from pathlib import Path

from trainer.checkpoint import BEST, LAST, RESULTS, Restored, State
from trainer.failure import Failure
from trainer.weights import load_checkpoint


def problem(state: State, last: Path, best: Path | None) -> str | None:
    """What keeps a fetched checkpoint from being gone on from, in words; None where nothing does."""
    from ultralytics.nn.tasks import load_checkpoint as load

    try:
        load_checkpoint(last, "last.pt")
        if best is not None:
            load_checkpoint(best, "best.pt")
    except Failure as failure:
        return failure.message
    if state.finished:
        return None if best is not None else "training is finished and its best epoch is not there"
    _, content = load(str(last))
    if content.get("optimizer") is None or content.get("ema") is None:
        return "last.pt holds no optimizer state"
    if content.get("epoch") != state.epoch - 1:
        return f"last.pt is of epoch {content.get('epoch', -1) + 1} and its manifest says {state.epoch}"
    return None


def unpack(restored: Restored, place: Path) -> Path:
    """Puts the files where a training in `place` has its own, and returns last.pt's path there.

    The best epoch may lie behind: without best.pt the run would publish the best of what follows.
    """
    weights = place / "weights"
    weights.mkdir(parents=True)
    shutil.move(restored.last, weights / LAST)
    if restored.best is not None:
        shutil.move(restored.best, weights / BEST)
    if restored.results is not None:
        shutil.move(restored.results, place / RESULTS)
    return weights / LAST


def finish(restored: Restored, place: Path) -> Path:
    """What ultralytics does to its files when a training ends, for one that ended before. Returns best.pt's path."""
    from ultralytics.utils.torch_utils import strip_optimizer

    last = unpack(restored, place)
    content = strip_optimizer(last)
    best = last.with_name(BEST)
    strip_optimizer(best, updates={"train_results": content.get("train_results")})
    return best
