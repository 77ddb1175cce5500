"""What the trackers are told of a run: its parameters, each epoch's metrics, the evaluation, the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.failure import Interrupted
from trainer.report import Reporter
from trainer.run import MLflow, Run, WandB
from trainer.tracking.feed import CLOSING, Feed, Settings

_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WANDB_API_KEY")


class Tracking:
    """A context around a run: listens to the reporter's epochs, and closes the trackers' runs as it ends.

    Does nothing where the run names no tracker. Nothing here raises, and nothing but the end waits.
    """

    def __init__(self, run: Run, reporter: Reporter, workspace: Path, variables: Mapping[str, str]) -> None:
        self._run, self._reporter = run, reporter
        secrets = tuple(value for name in _SECRETS if (value := variables.get(name)))
        self._feeds = [
            Feed(settings, reporter.warning, lambda url, name=settings.name: self._tell(name, url))
            for settings in _settings(run, workspace / ".tracking", secrets)
        ]
        self._begun = False

    def __enter__(self) -> Tracking:
        self._reporter.listen(self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Interrupted):  # the run goes on in another pod, and so does what the trackers show
            for feed in self._feeds:
                feed.abandon()
            return
        if not self._begun:
            return
        for feed in self._feeds:
            feed.put({"do": "end", "status": "FINISHED" if error is None else "FAILED"})
        deadline = time.monotonic() + CLOSING
        for feed in self._feeds:
            feed.hurry(deadline)
        for feed in self._feeds:
            feed.close()

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Opens the trackers' runs. A run that an earlier attempt of this TrainingJob opened goes on."""
        texts = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
        document = {
            "uid": self._run.uid,
            "name": self._run.training_job,
            "tags": {"model": self._run.model, "version": self._run.version, "trainingJob": self._run.training_job},
            "parameters": texts,
        }
        for feed in self._feeds:
            feed.begin(document)
        self._begun = True

    def evaluated(self, metrics: Mapping[str, str], report: Sequence[Path]) -> None:
        """The figures on the holdout (else the validation part), and the report's files."""
        values = {f"evaluation/{name}": float(text) for name, text in metrics.items()}
        for feed in self._feeds:
            feed.put({"do": "metrics", "epoch": None, "at": _now(), "values": values})
            feed.put({"do": "files", "paths": [str(path.resolve()) for path in report]})

    def urls(self) -> dict[str, str]:
        """Where the trackers show the run, as far as they said so."""
        return {feed.name: feed.url for feed in self._feeds if feed.url is not None}

    def _heard(self, event: str, fields: Mapping[str, Any]) -> None:
        if event == "epoch":
            values = {name: float(text) for name, text in fields["metrics"].items()}
            for feed in self._feeds:
                feed.put({"do": "metrics", "epoch": fields["epoch"], "at": _now(), "values": values})

    def _tell(self, name: str, url: str) -> None:
        self._reporter.event("tracking", tracker=name, url=url)


def _settings(run: Run, folder: Path, secrets: tuple[str, ...]) -> list[Settings]:
    trackers = (run.tracking.mlflow, run.tracking.wandb) if run.tracking else ()
    return [_of(tracker, run, folder, secrets) for tracker in trackers if tracker is not None]


def _of(tracker: MLflow | WandB, run: Run, folder: Path, secrets: tuple[str, ...]) -> Settings:
    if isinstance(tracker, WandB):
        entity = f"{tracker.entity}/" if tracker.entity else ""
        return Settings(
            name="wandb",
            place=f"{entity}{tracker.project}",
            document={"project": tracker.project, "entity": tracker.entity, "folder": str(folder)},
            variables={"WANDB_SILENT": "true", "WANDB_CONSOLE": "off", "WANDB_ERROR_REPORTING": "false"},
            secrets=secrets,
        )
    return Settings(
        name="mlflow",
        place=tracker.uri,
        document={"uri": tracker.uri, "experiment": tracker.experiment or run.model},
        variables={
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        },
        secrets=secrets,
    )


def _now() -> int:
    return round(time.time() * 1000)
