"""Checkpoints of a training under way: where they lie, what makes one usable, and how few are kept.

They lie beside the version that the training will become, in a folder that carries the TrainingJob's uid, so that no
other job ever goes on from them:

    <output.uri>/.checkpoint-<uid>/
        begun.json                      training began; tells "none yet" from "lost"
        000010-1f2e3d4c5b6a/last.pt     weights, optimizer, counters; best.pt and results.csv where there are any
        000010-1f2e3d4c5b6a.json        the manifest: digests, counters, and what the training depends on

Every name is written once: it holds the epoch and the beginning of last.pt's digest, and ultralytics writes the time
into that file. A manifest comes last, after every file was read back with the right digest, so whoever dies in between
leaves files that nothing points to. Two checkpoints are kept and share no file: when one is damaged, the other is not.
Whatever else lies in the folder (older ones, damaged ones, halves) goes after the next one is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import artifactstore
from artifactstore import ArtifactError
from trainer.failure import Failure, from_artifact
from trainer.report import canonical
from trainer.run import Run

LAST, BEST, RESULTS = "last.pt", "best.pt", "results.csv"
KEPT = 2

_BEGUN = "begun.json"
_NAME = re.compile(r"\d{6}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Setup:
    """What a training depends on. One that is set up otherwise is another training, and can't go on from this one's
    checkpoints: its result would be of neither."""

    dataset: str  # sha256
    start: str  # mode, architecture and parent
    ultralytics: str
    arguments: Mapping[str, str]

    def differences(self, now: Setup) -> list[str]:
        """What differs in `now`, in words; empty when nothing does."""
        found = []
        for what in ("dataset", "start", "ultralytics"):
            before, after = getattr(self, what), getattr(now, what)
            if before != after:
                found.append(f"{what} was {before[:80]} and is {after[:80]}")
        for name in sorted({*self.arguments, *now.arguments}):
            before, after = self.arguments.get(name, "not set"), now.arguments.get(name, "not set")
            if before != after:
                found.append(f"{name} was {before} and is {after}")
        return found


@dataclass(frozen=True)
class State:
    """Where a training stands. `epoch` epochs of `epochs` are done; `finished` also when it stopped early."""

    epoch: int
    epochs: int
    finished: bool
    image_size: int
    loaded_share: str | None
    origin: Mapping[str, Any] | None = None  # of the file that the training started from, as `weights.Origin.to_json`


@dataclass(frozen=True)
class Restored:
    """A checkpoint on this machine's disk, verified. `best` and `results` are None where it holds none."""

    state: State
    uri: str
    last: Path
    best: Path | None
    results: Path | None


@dataclass(frozen=True)
class Search:
    """What `Checkpoints.restore` found; `notes` say what was passed over, and why."""

    restored: Restored | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    path: str  # of the object, below the checkpoints' folder
    sha256: str
    size: int


Problem = Callable[[State, Path, Path | None], str | None]


class _Unusable(Exception):
    """A checkpoint that can't be gone on from; the text says why."""


class Checkpoints:
    """Those of one TrainingJob. Not for two threads at a time."""

    def __init__(self, run: Run, setup: Setup) -> None:
        self.uri = folder_uri(run)
        self._run = run
        self._setup = setup
        self._whole: list[str] = []  # names of those known to be usable, oldest first

    def restore(self, folder: Path, problem: Problem) -> Search:
        """Fetches the newest usable checkpoint into `folder`.

        `problem(state, last, best)` says what keeps the fetched files from being used, or None. Raises Failure for
        a store that does not answer or refuses; what is missing or damaged is passed over.
        """
        notes: list[str] = []
        try:
            found = artifactstore.names(self.uri)
            for name in sorted({name[:-5] for name in found if _is_manifest(name)}, reverse=True):
                try:
                    restored = self._fetch(name, folder / name, problem)
                except _Unusable as why:
                    notes.append(f"checkpoint {name} can't be used: {why}")
                    continue
                self._whole = [name]
                return Search(restored, tuple(notes))
        except ArtifactError as error:
            raise _failure(error) from None
        return Search(None, tuple(notes))

    def begin(self) -> bool:
        """Notes that training begins; False when it began before. Raises Failure where nothing can be written, which
        is better known now than after the last epoch."""
        try:
            artifactstore.put_bytes(
                canonical({"trainingJob": self._run.training_job, "uid": self._run.uid}),
                artifactstore.join(self.uri, _BEGUN),
            )
        except ArtifactError as error:
            if error.reason == "AlreadyExists":
                return False
            raise _failure(error) from None
        return True

    def save(self, state: State, files: Mapping[str, Path]) -> str:
        """Uploads and verifies a checkpoint and returns its address. `files` must hold LAST. Raises ArtifactError."""
        name = f"{state.epoch:06}-{artifactstore.file_digest(files[LAST]).sha256[:12]}"
        stored: dict[str, _File] = {}
        for what, path in files.items():
            stored[what] = self._upload(path, f"{name}/{what}", stored)
        self._create(f"{name}.json", canonical(self._manifest(state, stored)))
        self._whole = [*self._whole, name][-KEPT:]
        return artifactstore.join(self.uri, f"{name}.json")

    def prune(self) -> None:
        """Removes all but the newest that are known to be whole; manifests first. Raises ArtifactError."""
        names = artifactstore.names(self.uri)
        for name in names:
            if _is_manifest(name) and name[:-5] not in self._whole:
                artifactstore.remove(artifactstore.join(self.uri, name))
        for name in sorted({name.split("/")[0] for name in names if "/" in name}):
            if _NAME.fullmatch(name) and name not in self._whole:
                artifactstore.remove_tree(artifactstore.join(self.uri, name))

    def _fetch(self, name: str, folder: Path, problem: Problem) -> Restored:
        uri = artifactstore.join(self.uri, f"{name}.json")
        state, setup, files = self._read(uri)
        differences = setup.differences(self._setup)
        if differences:
            raise _Unusable("it is of another training: " + "; ".join(differences))
        fetched: dict[str, Path] = {}
        for what, file in files.items():
            try:
                artifactstore.fetch_file(
                    artifactstore.join(self.uri, file.path), folder / what, sha256=file.sha256, size=file.size
                )
            except ArtifactError as error:
                if error.reason not in ("NotFound", "DigestMismatch"):
                    raise
                raise _Unusable(error.message) from None
            fetched[what] = folder / what
        if why := problem(state, fetched[LAST], fetched.get(BEST)):
            raise _Unusable(why)
        return Restored(state, uri, fetched[LAST], fetched.get(BEST), fetched.get(RESULTS))

    def _read(self, uri: str) -> tuple[State, Setup, dict[str, _File]]:
        try:
            document = json.loads(artifactstore.read_bytes(uri))
            if document["uid"] != self._run.uid:
                raise _Unusable(f"it is of uid {document['uid']}")
            files = {what: _File(**file) for what, file in document["files"].items() if what in (LAST, BEST, RESULTS)}
            if LAST not in files:
                raise KeyError(LAST)
            return State(**document["state"]), Setup(**document["setup"]), files
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Unusable(f"its manifest is damaged ({error})") from None
        except ArtifactError as error:
            if error.reason != "NotFound":  # removed since it was listed, by a pod that was thought lost
                raise
            raise _Unusable(error.message) from None

    def _manifest(self, state: State, files: Mapping[str, _File]) -> dict[str, Any]:
        return {
            "trainingJob": self._run.training_job,
            "uid": self._run.uid,
            "state": asdict(state),
            "setup": asdict(self._setup),
            "files": {what: asdict(file) for what, file in files.items()},
        }

    def _upload(self, path: Path, name: str, stored: Mapping[str, _File]) -> _File:
        local = artifactstore.file_digest(path)
        for file in stored.values():  # the newest epoch is often the best one
            if file.sha256 == local.sha256:
                return file
        uri = artifactstore.join(self.uri, name)
        # Large files go in parts, which no store makes conditional; the name has never been another content's.
        artifactstore.put_file(path, uri, overwrite=True)
        if artifactstore.digest(uri) != local:
            raise _changed(uri)
        return _File(name, local.sha256, local.size)

    def _create(self, name: str, content: bytes) -> None:
        uri = artifactstore.join(self.uri, name)
        try:
            artifactstore.put_bytes(content, uri)
        except ArtifactError as error:
            if error.reason != "AlreadyExists":  # our own, whose answer got lost; compared below
                raise
        if artifactstore.read_bytes(uri) != content:
            raise _changed(uri)


def folder_uri(run: Run) -> str:
    """The folder of this run's checkpoints."""
    return artifactstore.join(run.output.uri, f".checkpoint-{run.uid}")


def remove_all(run: Run) -> None:
    """Removes the folder of this run's checkpoints. Raises ArtifactError."""
    artifactstore.remove_tree(folder_uri(run))


def _is_manifest(name: str) -> bool:
    return name.endswith(".json") and _NAME.fullmatch(name[:-5]) is not None


def _changed(uri: str) -> ArtifactError:
    return ArtifactError("DigestMismatch", f"{uri} reads back as something else than was written", retryable=False)


def _failure(error: ArtifactError) -> Failure:
    return from_artifact(error, "checkpoints", missing="OutputMissing", unsupported="OutputInvalid")
