"""A process of its own that talks to one tracker: `python -m trainer.tracking.client mlflow|wandb`.

Reads records on stdin, one JSON object a line, and answers each with one on stdout: {"url": ...}, {} or {"error": ...}.
Ends with its stdin, or when it is killed, at any moment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

_PARAMETERS = 100  # in one request to MLflow
_LENGTH = 500  # of a parameter's value; MLflow refuses more than that, or 6000, by its age


class Sink(Protocol):
    """A tracker's library. Whatever its methods raise becomes the answer."""

    def begin(self, record: Mapping[str, Any]) -> str | None:
        """Opens the run, or goes on with the one of the same uid; returns its address."""

    def metrics(self, epoch: int | None, at: int, values: Mapping[str, float]) -> None: ...

    def files(self, paths: list[str]) -> None: ...

    def end(self, status: str) -> None: ...


class MLflowSink:
    """MLflow numbers its runs itself, so the TrainingJob's uid is a tag to find the run by."""

    _UID = "modelfleet.uid"

    def begin(self, record: Mapping[str, Any]) -> str:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        settings = record["settings"]
        self._client = MlflowClient(tracking_uri=settings["uri"])
        experiment = self._experiment(settings["experiment"])
        found = self._client.search_runs([experiment], f"tags.`{self._UID}` = '{record['uid']}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
        else:
            tags = {f"modelfleet.{name}": text for name, text in record["tags"].items()}
            created = self._client.create_run(
                experiment, tags=tags | {self._UID: record["uid"]}, run_name=record["name"]
            )
            self._run = created.info.run_id
        parameters = [Param(name, text[:_LENGTH]) for name, text in record["parameters"].items()]
        for start in range(0, len(parameters), _PARAMETERS):
            self._client.log_batch(self._run, params=parameters[start : start + _PARAMETERS])
        return f"{settings['uri'].rstrip('/')}/#/experiments/{experiment}/runs/{self._run}"

    def metrics(self, epoch: int | None, at: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        self._client.log_batch(
            self._run, metrics=[Metric(name, value, at, epoch or 0) for name, value in values.items()]
        )

    def files(self, paths: list[str]) -> None:
        for path in paths:
            self._client.log_artifact(self._run, path, "report")

    def end(self, status: str) -> None:
        self._client.set_terminated(self._run, status)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another run made it meanwhile
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)


class WandBSink:
    """W&B takes the run's id from its user: the TrainingJob's uid. WANDB_MODE and WANDB_BASE_URL are honoured."""

    def begin(self, record: Mapping[str, Any]) -> str | None:
        import wandb

        settings = record["settings"]
        offline = os.environ.get("WANDB_MODE") in ("offline", "disabled")
        if not offline and not os.environ.get("WANDB_API_KEY"):
            raise RuntimeError("WANDB_API_KEY is not set: spec.tracking.wandb.secretRef has no such key, or is missing")
        folder = Path(settings["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=settings["project"],
            entity=settings["entity"],
            id=record["uid"],
            name=record["name"],
            resume=None if offline else "allow",
            dir=str(folder),
            config={**record["parameters"], **record["tags"]},
            settings=wandb.Settings(
                init_timeout=60, console="off", disable_git=True, disable_code=True, x_save_requirements=False
            ),
        )
        self._run.define_metric("*", step_metric="epoch")
        return self._run.url or None

    def metrics(self, epoch: int | None, at: int, values: Mapping[str, float]) -> None:
        if epoch is None:
            self._run.summary.update(dict(values))
        else:
            self._run.log({**values, "epoch": epoch})

    def files(self, paths: list[str]) -> None:
        import wandb

        report = wandb.Artifact(f"report-{self._run.id}", type="report")
        for path in paths:
            report.add_file(path)
        self._run.log_artifact(report)

    def end(self, status: str) -> None:
        self._run.finish(exit_code=0 if status == "FINISHED" else 1)


_SINKS: dict[str, Callable[[], Sink]] = {"mlflow": MLflowSink, "wandb": WandBSink}


def answer(sink: Sink, record: Mapping[str, Any]) -> dict[str, Any]:
    """What the tracker says to one record."""
    try:
        match record["do"]:
            case "begin":
                return {"url": sink.begin(record)}
            case "metrics":
                sink.metrics(record["epoch"], record["at"], record["values"])
            case "files":
                sink.files(record["paths"])
            case "end":
                sink.end(record["status"])
    except Exception as error:  # noqa: BLE001  every library has errors of its own, and all of them are the answer
        return {"error": _words(error)}
    return {}


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def main(name: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    sink = _SINKS[name]()
    for line in sys.stdin:
        answers.write(json.dumps(answer(sink, json.loads(line))) + "\n")
        answers.flush()
    os._exit(0)  # exit hooks wait for servers


if __name__ == "__main__":
    main(sys.argv[1])
