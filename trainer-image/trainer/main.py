"""From TRAINER_RUN to an exit code: the steps of a run in order, and every way it can end.

Whatever happens, the termination message says so: a failure that was foreseen, one that was not, a request to stop.
Only a kill leaves none.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artifactstore import ArtifactError
from detectiondata import isolated
from detectiondata.assemble import Assembled, assemble, assemble_holdout
from detectiondata.errors import DatasetError
from detectiondata.fetch import Source, fetch
from detectiondata.source import CheckedSource, check_source
from trainer import arguments, environment, export, measure, publish, resume, training, weights
from trainer.checkpoint import Checkpoints, Restored, Setup, remove_all
from trainer.evaluation import Subject, diagnose, in_words, read_curves, write_report
from trainer.failure import EXIT_DONE, Failure, Interrupted, from_artifact, shorten
from trainer.measure import Measured
from trainer.metrics import Exporter
from trainer.publish import Published
from trainer.report import Reporter, decimal, failed, success, write_termination
from trainer.run import ArtifactFile, Evaluation, Run, Weights, parse
from trainer.saving import Saver
from trainer.signals import StopRequests
from trainer.tracking import Tracking
from trainer.training import Trained
from trainer.weights import Origin

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

TERMINATION_LOG = Path("/dev/termination-log")
_WARNINGS, _WARNING = 8, 400  # of the data, and characters of each
_INTERRUPTED = Failure(
    "Interrupted", "the pod was asked to stop before the run was done; the next one continues from the last checkpoint"
)


def main() -> int:
    """Runs what the environment says and returns the exit code."""
    log = Path(os.environ.get("TRAINER_TERMINATION_LOG", str(TERMINATION_LOG)))
    reporter = Reporter(environment.claim_stdout())
    with StopRequests(lambda: _say(log, failed(_INTERRUPTED))) as stop:
        try:
            message, code = _outcome(os.environ, Path.cwd(), reporter, stop)
            stop.over()
        except Interrupted:  # between two statements that were already saying how it ended
            message, code = failed(_INTERRUPTED), _INTERRUPTED.exit_code
            stop.over()
        _say(log, message)
    return code


def _say(log: Path, message: dict[str, Any]) -> None:
    try:
        write_termination(log, message)
    except OSError as error:
        print(f"could not write the termination message to {log}: {error}", file=sys.stderr)
    if message["result"] == "Failed":
        print(f"{message['reason']}: {message['message']}", file=sys.stderr, flush=True)


def _outcome(
    variables: Mapping[str, str], workspace: Path, reporter: Reporter, stop: StopRequests
) -> tuple[dict[str, Any], int]:
    try:
        published = _run(variables, workspace, reporter, stop)
        reporter.detail(published.detail)
        return success(published.files, published.metrics, published.detail), EXIT_DONE
    except Failure as caught:
        failure = caught
    except DatasetError as error:
        failure = Failure(error.reason, error.message)
    except Interrupted:
        failure = _INTERRUPTED
    except (OSError, MemoryError) as error:
        traceback.print_exc()
        failure = _of_system(error)
    except BaseException as error:  # noqa: BLE001  nothing may end this process without a message
        traceback.print_exc()
        failure = Failure("TrainingFailed", f"{type(error).__name__}: {' '.join(str(error).split())}")
    return failed(failure), failure.exit_code


def _of_system(error: OSError | MemoryError) -> Failure:
    if isinstance(error, MemoryError):
        return Failure("OutOfMemory", "the memory of the pod is used up; raise resources.limits.memory or lower batch")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Failure(
            "DiskFull", f"the disk is full while writing {error.filename or 'to the workspace'}; give /work more space"
        )
    return Failure("TrainingFailed", f"{type(error).__name__}: {error}")


def _run(variables: Mapping[str, str], workspace: Path, reporter: Reporter, stop: StopRequests) -> Published:
    text = variables.get("TRAINER_RUN")
    if not text:
        raise Failure("InvalidRun", "TRAINER_RUN is not set; this image is started by a TrainingJob")
    run = parse(text)
    reporter.event("started", trainingJob=run.training_job, model=run.model, version=run.version, mode=run.mode)
    exporter = _exporter(run, variables, reporter)
    before = publish.already(run)
    if before is not None:
        reporter.warning("this run was published before; it is reported again and not repeated")
        _remove_checkpoints(run, reporter)
        return before
    export.check_formats(run.output.formats)
    resolved = arguments.resolve(run)
    environment.prepare(workspace)
    environment.configure_ultralytics()
    arguments.check(resolved)
    training.check_gpus(run.gpus)
    folder = workspace / "run"
    if folder.exists():  # left by an earlier run in the same working directory
        shutil.rmtree(folder)
    folder.mkdir()
    with Tracking(run, reporter, workspace, variables) as tracking:
        published = _train(run, resolved, folder, reporter, exporter, tracking, stop)
    _remove_checkpoints(run, reporter)
    return published


def _exporter(run: Run, variables: Mapping[str, str], reporter: Reporter) -> Exporter:
    exporter = Exporter(run)
    try:
        exporter.serve(variables)
    except (OSError, ValueError, OverflowError) as error:
        reporter.warning(f"no metrics for Prometheus: {error}")
    return exporter


def _train(
    run: Run,
    resolved: dict[str, arguments.Value],
    folder: Path,
    reporter: Reporter,
    exporter: Exporter,
    tracking: Tracking,
    stop: StopRequests,
) -> Published:
    # everything that can be wrong is found before the first epoch
    seed = int(str(resolved["seed"]))
    dataset = _dataset(run, seed, folder, reporter)
    holdout = _holdout(run.evaluation, dataset, folder, reporter) if run.evaluation else None
    isolated.end()  # nothing more is checked
    baseline = run.evaluation.baseline if run.evaluation else None
    baseline_checkpoint = weights.fetch_checkpoint(baseline, "baseline", folder / "baseline") if baseline else None
    tracking.begin(_parameters(run, resolved, dataset))
    trained, share, origin = _fit(run, resolved, dataset, folder, reporter, exporter, stop)

    judged_on = holdout or dataset
    reporter.event("evaluating", images=judged_on.counts["val"]["images"], uri=judged_on.uri)
    files = export.export(
        trained.best, run.output.formats, trained.image_size, dataset.validation_images, folder / "files"
    )
    candidate = measure.measure(
        files[0].path, judged_on.yaml, dataset.classes, trained.image_size, folder / "candidate", "the trained model"
    )
    compared = None
    if baseline and baseline_checkpoint:
        compared = measure.measure(
            baseline_checkpoint,
            judged_on.yaml,
            dataset.classes,
            baseline.image_size,
            folder / "compared",
            f"baseline {baseline.version}",
        )
    for measured in (candidate, *([compared] if compared else [])):
        training.all_read("holdout" if holdout else "val", len(measured.judged), judged_on.counts["val"]["images"])
    curves = read_curves(trained.curves)
    diagnosis = diagnose(curves)
    subject = Subject(
        run={"trainingJob": run.training_job, "model": run.model, "version": run.version},
        data=_judged_on(judged_on, "holdout" if holdout else "validation"),
        sources={"dataset": _sources(dataset), "holdout": _sources(holdout) if holdout else None},
        classes=dataset.classes,
        image_size=trained.image_size,
        measured=candidate,
        baseline=(baseline.version, compared) if baseline and compared else None,
        curves=curves,
        diagnosis=diagnosis,
    )
    report = write_report(subject, folder / "report", reporter.warning)
    tracking.evaluated(candidate.metrics, report)
    in_effect = resolved | {"batch": weights.batch_of(trained.best)}
    detail = _detail(run, in_effect, dataset, trained.image_size, share, candidate, compared) | {
        "firstEpoch": training.first_epoch(trained.curves),
        "classChanges": _class_changes(run, origin, dataset),
        "checkpoint": _checkpoint(run, origin),
        "diagnosis": diagnosis.to_json(),
        "threshold": in_words(subject.thresholds, dataset.classes),
        "report": publish.report_reference(run, report[-1]),
        "tracking": tracking.urls() or None,
        "holdout": _measured_on(holdout),
    }
    reporter.event("uploading", uri=run.output.uri)
    return publish.publish(run, [(file.path, file.format) for file in files], candidate.metrics, detail, report)


def _fit(
    run: Run,
    resolved: dict[str, arguments.Value],
    dataset: Assembled,
    folder: Path,
    reporter: Reporter,
    exporter: Exporter,
    stop: StopRequests,
) -> tuple[Trained, str | None, Origin | None]:
    """The trained model, from where an earlier attempt left off; the share of its weights that was the parent's, and
    what was in the parent's file."""
    place = folder / "training"
    checkpoints = Checkpoints(run, _setup(run, resolved, dataset))
    search = checkpoints.restore(folder / "restored", resume.problem)
    for note in search.notes:
        reporter.warning(note)
    found = search.restored
    start: DetectionModel | Restored
    if found is not None:
        state = found.state
        start, share, origin = found, state.loaded_share, Origin.from_json(state.origin)
        reporter.event("resumed", resumedFromEpoch=state.epoch, epochs=state.epochs, uri=found.uri)
        if state.finished:
            return training.finished(found, place), share, origin
    else:
        start, share, origin = _start(run, dataset, int(str(resolved["seed"])), folder, reporter)
        if not checkpoints.begin():
            reporter.warning(
                f"this training began before, and no checkpoint can be used ({checkpoints.uri}); starts over"
            )
    at = 0 if found is None else found.state.epoch
    with Saver(checkpoints, run.checkpoint_every_epochs, folder / "staged", reporter, stop.allow_more, at) as saver:
        begun = None if origin is None else origin.to_json()
        all_of_them = {part: counts["images"] for part, counts in dataset.counts.items()}
        images = None if "fraction" in resolved else all_of_them
        progress = training.Progress(place, reporter, saver, exporter, share, stop.check, images, begun)
        trained = training.train(start, dataset.yaml, resolved, place, reporter, progress)
    return trained, share, origin


def _start(
    run: Run, dataset: Assembled, seed: int, folder: Path, reporter: Reporter
) -> tuple[DetectionModel, str | None, Origin | None]:
    parent = None if run.mode == "Scratch" else run.weights or run.parent
    checkpoint = None
    if isinstance(parent, Weights):
        checkpoint = weights.fetch_weights(parent, folder / "parent")
    elif parent is not None:
        checkpoint = weights.fetch_checkpoint(parent, "parent", folder / "parent")
    start = weights.start(run.mode, run.architecture, parent, checkpoint, dataset.classes, seed)
    for note in start.notes:
        reporter.warning(note)
    share = None if start.loaded_share is None else decimal(start.loaded_share)
    taken = _checkpoint(run, start.origin)
    reporter.event(
        "weights",
        loadedShare=share,
        classChanges=_class_changes(run, start.origin, dataset),
        **({"checkpoint": taken} if taken else {}),
    )
    return start.model, share, start.origin


def _class_changes(run: Run, origin: Origin | None, dataset: Assembled) -> dict[str, Any] | None:
    """By the names in the file; as its ModelVersion declares them where a checkpoint of an older release kept none."""
    if run.mode == "Scratch":
        return None
    if origin is None:
        return weights.class_changes(run.parent.classes, dataset.classes).to_json() if run.parent else None
    mismatch = {"mismatch": origin.mismatch} if origin.mismatch else {}
    return weights.class_changes(origin.classes, dataset.classes).to_json() | mismatch


def _checkpoint(run: Run, origin: Origin | None) -> dict[str, Any] | None:
    """What the lineage says of the checkpoint that stood for a parent; names within the API's bounds."""
    if run.weights is None:
        return None
    said: dict[str, Any] = {"uri": run.weights.uri, "sha256": run.weights.sha256}
    if origin is None:
        return said
    names = [name[:128] for name in origin.classes[: weights.NAMED] if name]
    return said | {"architecture": origin.architecture, "classes": len(origin.classes), "classNames": names}


def _setup(run: Run, resolved: dict[str, arguments.Value], dataset: Assembled) -> Setup:
    parent: ArtifactFile | Weights | None = run.weights
    if run.parent and run.mode != "Scratch":
        parent = run.parent.file("pytorch")
    return Setup(
        dataset=dataset.sha256,
        start=f"{run.mode} {run.architecture or ''} {parent.sha256 if parent else ''}".strip(),
        ultralytics=environment.software(os.environ)["ultralytics"],
        arguments=arguments.to_texts(resolved),
    )


def _remove_checkpoints(run: Run, reporter: Reporter) -> None:
    """They have served. What can't be removed costs space and is no reason to fail a run that is published."""
    try:
        remove_all(run)
    except ArtifactError as error:
        reporter.warning(f"checkpoints are left behind: {error.message}")


def _parameters(run: Run, resolved: dict[str, arguments.Value], dataset: Assembled) -> dict[str, str | None]:
    """What experiment trackers show beside the curves."""
    return {
        **arguments.to_texts(resolved),
        "mode": run.mode,
        "architecture": run.architecture,
        "parent": run.parent.version if run.parent else None,
        "checkpoint": run.weights.uri if run.weights else None,
        "dataset": dataset.uri,
        "dataset_sha256": dataset.sha256,
        "output": run.output.uri,
    }


def _judged_on(judged_on: Assembled, part: str) -> dict[str, Any]:
    counts = judged_on.counts["val"]
    return {
        "part": part,
        "uri": judged_on.uri,
        "sha256": judged_on.sha256,
        "images": counts["images"],
        "labels": counts["labels"],
    }


def _dataset(run: Run, seed: int, folder: Path, reporter: Reporter) -> Assembled:
    fallback = run.parent.classes if run.parent else None
    sources = [
        _checked(source, folder / "sources" / str(number), fallback)
        for number, source in enumerate(run.dataset.sources)
    ]
    dataset = assemble(sources, run.dataset.validation_split, seed, folder / "dataset")
    for note in dataset.notes:
        reporter.warning(note)
    reporter.event(
        "dataset",
        uri=dataset.uri,
        sha256=dataset.sha256,
        classes=list(dataset.classes),
        counts=dataset.counts,
        sources=_sources(dataset),
        warnings=_warnings(dataset),
    )
    return dataset


def _sources(data: Assembled) -> list[dict[str, Any]]:
    return [source.to_json() for source in data.sources]


def _warnings(data: Assembled) -> list[str]:
    """As many, and as much of each, as the status of a TrainingJob holds; the log has them all."""
    more = len(data.warnings) - _WARNINGS
    told = f"{more + 1} more: the pod's log has them all"
    kept = data.warnings if more <= 0 else (*data.warnings[: _WARNINGS - 1], told)
    return [shorten(note, _WARNING) for note in kept]


def _holdout(evaluation: Evaluation, dataset: Assembled, folder: Path, reporter: Reporter) -> Assembled:
    source = _checked(evaluation.dataset, folder / "sources" / "evaluation", dataset.classes)
    holdout = assemble_holdout(source, dataset.classes, dataset.seen, folder / "holdout")
    for note in holdout.notes:
        reporter.warning(note)
    reporter.event(
        "holdout",
        uri=holdout.uri,
        sha256=holdout.sha256,
        counts=holdout.counts,
        sources=_sources(holdout),
        warnings=_warnings(holdout),
    )
    return holdout


def _measured_on(holdout: Assembled | None) -> dict[str, Any] | None:
    """For the lineage: figures of two versions compare only where they were measured on the same."""
    if holdout is None:
        return None
    return {"uri": holdout.uri, "sha256": holdout.sha256, "images": holdout.images, "labels": holdout.labels}


def _checked(source: Source, workspace: Path, fallback: tuple[str, ...] | None) -> CheckedSource:
    workspace.parent.mkdir(parents=True, exist_ok=True)
    try:
        fetched = fetch(source, workspace)
    except ArtifactError as error:
        raise from_artifact(error, "dataset", missing="DatasetMissing", unsupported="DatasetInvalid") from None
    return check_source(fetched, source.format, fallback)


def _detail(
    run: Run,
    resolved: Mapping[str, arguments.Value],
    dataset: Assembled,
    image_size: int,
    share: str | None,
    candidate: Measured,
    compared: Measured | None,
) -> dict[str, Any]:
    evaluation = None
    if run.evaluation:
        evaluation = {"candidate": candidate.to_json(), "baseline": compared.to_json() if compared else None}
    return {
        "classes": list(dataset.classes),
        "imageSize": image_size,
        "calibration": candidate.calibration.to_json() if candidate.calibration else None,
        "perClass": candidate.per_class,
        "dataset": {
            "uri": dataset.uri,
            "sha256": dataset.sha256,
            "images": dataset.images,
            "labels": dataset.labels,
            "sources": _sources(dataset),
        },
        "hyperparameters": arguments.to_texts(resolved),
        "software": environment.software(os.environ),
        "evaluation": evaluation,
        "loadedShare": share,
    }
