"""Puts the finished version into its folder, once, and proves that what lies there is what was measured.

The folder of a version goes through three states, each told by one object that the store itself lets only one writer
create:

- nothing: free;
- `claim.json`: a run is uploading. The same run (by the TrainingJob's uid) may finish its half-done upload, no other;
- `manifest.json`: published. Written last, only after every file was read back with the right digest. Never changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import artifactstore
from artifactstore import ArtifactError
from trainer.failure import Failure, from_artifact
from trainer.report import PublishedFile, canonical
from trainer.run import Run

MANIFEST = "manifest.json"
REPORT = "report"
CLAIM = "claim.json"


@dataclass(frozen=True)
class Published:
    """What a manifest says: enough to report the run again without running it."""

    files: tuple[PublishedFile, ...]
    metrics: Mapping[str, str]
    detail: Mapping[str, Any]


def already(run: Run) -> Published | None:
    """What this very run published before, verified; None where the folder is free or holds its half-done upload.

    Raises Failure VersionExists for a folder that is another's, OutputMissing for a bucket that does not exist.
    """
    try:
        manifest = _read(run, MANIFEST)
        if manifest is None:
            claim = _read(run, CLAIM)
            if claim is not None:
                _refuse_foreign(run, claim, CLAIM)
            return None
        _refuse_foreign(run, manifest, MANIFEST)
        published = _published(manifest)
        for file in published.files:
            _verify(run, file)
    except ArtifactError as error:
        raise _failure(error) from None
    except (KeyError, TypeError) as error:
        where = artifactstore.join(run.output.uri, MANIFEST)
        raise Failure("VersionExists", f"{where} exists and is not a manifest of this trainer ({error})") from None
    return published


def publish(
    run: Run,
    paths: Sequence[tuple[Path, str]],
    metrics: Mapping[str, str],
    detail: Mapping[str, Any],
    report: Sequence[Path] = (),
) -> Published:
    """Uploads (path, format) pairs, and the report's files into a folder of their own, reads each back, and writes the
    manifest. Files of the report are none of the version's: its detail names the one that names the others.

    Raises Failure VersionExists, DigestMismatch, AccessDenied, OutputMissing, StorageUnavailable.
    """
    before = already(run)
    if before is not None:
        return before
    try:
        _claim(run)
        for path in report:
            _upload(run, path, f"{REPORT}/{path.name}", REPORT)
        files = tuple(_upload(run, path, path.name, format) for path, format in paths)
        published = Published(files, metrics, detail)
        _create(run, MANIFEST, _manifest(run, published))
    except ArtifactError as error:
        raise _failure(error) from None
    return published


def report_reference(run: Run, path: Path) -> dict[str, str]:
    """Where `publish` will put this file of the report, and its digest."""
    uri = artifactstore.join(run.output.uri, f"{REPORT}/{path.name}")
    return {"uri": uri, "sha256": artifactstore.file_digest(path).sha256}


def _claim(run: Run) -> None:
    _create(run, CLAIM, {"trainingJob": run.training_job, "uid": run.uid})


def _upload(run: Run, path: Path, name: str, format: str) -> PublishedFile:
    local = artifactstore.file_digest(path)
    uri = artifactstore.join(run.output.uri, name)
    # The claim is ours: what may lie here is our own unfinished try, from which nobody has read.
    artifactstore.put_file(path, uri, overwrite=True)
    file = PublishedFile(name, format, local.sha256, local.size)
    _verify(run, file)
    return file


def _verify(run: Run, file: PublishedFile) -> None:
    uri = artifactstore.join(run.output.uri, file.name)
    there = artifactstore.digest(uri)
    if (there.sha256, there.size) != (file.sha256, file.size_bytes):
        raise Failure(
            "DigestMismatch",
            f"{uri} reads back as sha256 {there.sha256} ({there.size} bytes) and should be {file.sha256} "
            f"({file.size_bytes} bytes); the store or another writer changed it",
        )


def _create(run: Run, name: str, document: Mapping[str, Any]) -> None:
    """Creates the object, or finds it there with the same uid: our own earlier try, or one whose answer got lost."""
    try:
        artifactstore.put_bytes(canonical(document), artifactstore.join(run.output.uri, name))
    except ArtifactError as error:
        if error.reason != "AlreadyExists":
            raise
        there = _read(run, name)
        if there is None:
            raise
        _refuse_foreign(run, there, name)


def _read(run: Run, name: str) -> dict[str, Any] | None:
    uri = artifactstore.join(run.output.uri, name)
    if not artifactstore.exists(uri):
        return None
    try:
        document = json.loads(artifactstore.read_bytes(uri))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Failure(
            "VersionExists", f"{uri} is there and is not of this trainer; choose another version or output.uri"
        )
    return document


def _refuse_foreign(run: Run, document: Mapping[str, Any], name: str) -> None:
    if document.get("uid") == run.uid:
        return
    uri = artifactstore.join(run.output.uri, name)
    owner = f"TrainingJob {document.get('trainingJob', 'unknown')}"
    if name == MANIFEST:
        text = f"{run.model} {run.version} exists: {uri} was published by {owner}; choose another version"
    else:
        text = (
            f"{run.model} {run.version} is being uploaded by {owner} ({uri}); choose another version, or remove "
            "the folder if that job is gone"
        )
    raise Failure("VersionExists", text)


def _manifest(run: Run, published: Published) -> dict[str, Any]:
    return {
        "trainingJob": run.training_job,
        "uid": run.uid,
        "model": run.model,
        "version": run.version,
        "files": [file.to_json() for file in published.files],
        "metrics": dict(published.metrics),
        "detail": dict(published.detail),
    }


def _published(manifest: Mapping[str, Any]) -> Published:
    files = tuple(
        PublishedFile(file["name"], file["format"], file["sha256"], file["sizeBytes"]) for file in manifest["files"]
    )
    return Published(files, manifest["metrics"], manifest["detail"])


def _failure(error: ArtifactError) -> Failure:
    return from_artifact(error, "output", missing="OutputMissing", unsupported="OutputInvalid")
