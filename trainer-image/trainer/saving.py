"""Saves checkpoints beside the training, so that it waits for the store no longer than the promise needs.

The promise: whenever the process dies, at most `every` finished epochs have to be trained again. So a checkpoint that
is due is copied aside, which takes a moment, and a thread uploads it while the next epoch trains; only when that epoch
ends before the upload does, the training waits, for at most PATIENCE. A store that fails or is slower than that is a
warning and never ends a training: what is lost is the promise, not the run.

One thread at a time, and the thread never reports: all methods, and the events they write, are the main thread's.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from artifactstore import ArtifactError
from trainer.checkpoint import Checkpoints, State
from trainer.failure import Interrupted
from trainer.report import Reporter

PATIENCE = 60.0  # seconds of training that a slow store may cost for each checkpoint
LAST_WORDS = 14.0  # seconds after a request to stop; within what trainer.signals grants


@dataclass(frozen=True)
class _Epoch:
    """The newest epoch that is done, its files, and how to tell that they are still those."""

    state: State
    files: Mapping[str, Path]
    stamps: tuple[tuple[int, int], ...]


class Saver:
    """Told of every epoch that is done; leaving the `with` block waits for what is under way."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        every: int,
        staging: Path,
        reporter: Reporter,
        allow_more: Callable[[bool], None],
        at: int = 0,
    ) -> None:
        """`allow_more` says whether a request to stop leaves time to save; the training goes on from epoch `at`."""
        self._checkpoints = checkpoints
        self._every = every
        self._staging = staging
        self._reporter = reporter
        self._allow_more = allow_more
        self._stored = at
        self._newest: _Epoch | None = None
        self._upload: _Upload | None = None

    def __enter__(self) -> Saver:
        self._allow_more(True)
        return self

    def __exit__(self, type: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Interrupted):
            self._save_newest(time.monotonic() + LAST_WORDS)
        else:
            self._settle(PATIENCE)
            self._allow_more(False)

    def epoch_done(self, state: State, files: Mapping[str, Path]) -> None:
        """From here on a request to stop saves this epoch. Raises OSError for a file that is not there."""
        self._newest = _Epoch(state, files, _stamps(files))

    def forget(self) -> None:
        """The newest epoch is none to go on from, and its files have taken the place of the one's before."""
        self._newest = None

    def save_if_due(self) -> None:
        """Saves the newest epoch where a checkpoint is due. Its files may be written over as soon as this returns."""
        newest = self._newest
        if newest is None:
            return
        self._settle(PATIENCE)
        epoch = newest.state.epoch
        if not (newest.state.finished or epoch % self._every == 0):
            return
        if self._upload is not None:
            at = self._upload.state.epoch
            self._reporter.warning(f"no checkpoint of epoch {epoch}: the one of epoch {at} is still being uploaded")
            return
        try:
            self._start(newest.state, _staged(newest.files, self._staging))
        except OSError as error:
            self._reporter.warning(f"no checkpoint of epoch {epoch}: {error}")

    def _start(self, state: State, files: Mapping[str, Path]) -> None:
        self._upload = _Upload(self._checkpoints, state, files)
        self._upload.start()

    def _settle(self, patience: float) -> None:
        """Waits for the upload under way, and says what became of it."""
        upload = self._upload
        if upload is None or upload.ident is None:  # stopped between making the thread and starting it
            self._upload = None
            return
        began = time.monotonic()
        upload.join(max(0.0, min(patience, upload.patience)))
        if upload.is_alive():
            upload.patience -= time.monotonic() - began
            return
        self._upload = None
        if upload.uri is not None:
            self._stored = upload.state.epoch
            self._reporter.event("checkpoint", epoch=upload.state.epoch, epochs=upload.state.epochs, uri=upload.uri)
        if upload.problem is not None:
            self._reporter.warning(upload.problem)

    def _save_newest(self, until: float) -> None:
        """The last act of a run that was asked to stop: what was done since the last checkpoint is not lost."""
        self._settle(until - time.monotonic())
        newest = self._newest
        if self._upload is not None or newest is None or newest.state.epoch <= self._stored:
            return
        try:
            if _stamps(newest.files) != newest.stamps:  # stopped while the next epoch's were being written
                return
        except OSError:
            return
        self._start(newest.state, newest.files)
        self._settle(until - time.monotonic())


class _Upload(threading.Thread):
    """One checkpoint on its way. Ends with `uri` set where it is stored, and `problem` where something went wrong."""

    def __init__(self, checkpoints: Checkpoints, state: State, files: Mapping[str, Path]) -> None:
        super().__init__(name="checkpoint", daemon=True)  # a store that hangs must not keep the process
        self.state = state
        self.uri: str | None = None
        self.problem: str | None = None
        self.patience = PATIENCE  # what is left of it
        self._checkpoints = checkpoints
        self._files = files

    def run(self) -> None:
        try:
            self.uri = self._checkpoints.save(self.state, self._files)
        except Exception as error:  # noqa: BLE001  whatever it is, the training goes on
            self.problem = f"no checkpoint of epoch {self.state.epoch}: {error}"
            return
        try:
            self._checkpoints.prune()
        except ArtifactError as error:
            self.problem = f"older checkpoints can't be removed: {error.message}"


def _staged(files: Mapping[str, Path], staging: Path) -> dict[str, Path]:
    shutil.rmtree(staging, ignore_errors=True)  # of the checkpoint before, which is stored
    staging.mkdir(parents=True)
    return {name: Path(shutil.copyfile(path, staging / name)) for name, path in files.items()}


def _stamps(files: Mapping[str, Path]) -> tuple[tuple[int, int], ...]:
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in (path.stat() for path in files.values()))
