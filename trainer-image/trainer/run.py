"""What is to be trained: the document in TRAINER_RUN, read strictly.

A key this release does not know is refused and never ignored: the operator of another release may mean by it
something that changes the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NoReturn, TypeVar, get_args

from detectiondata.fetch import Format, Source
from trainer.failure import Failure

Mode = Literal["Scratch", "Continue", "FineTune", "Transfer"]
T = TypeVar("T")


@dataclass(frozen=True)
class ArtifactFile:
    name: str
    format: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class ModelReference:
    """A trained version this run starts from, or is compared with."""

    version: str
    uri: str
    files: tuple[ArtifactFile, ...]
    classes: tuple[str, ...]
    image_size: int
    hyperparameters: Mapping[str, str]
    metrics: Mapping[str, str]

    def file(self, format: str) -> ArtifactFile | None:
        return next((file for file in self.files if file.format == format), None)


@dataclass(frozen=True)
class Weights:
    """A checkpoint from elsewhere that this run starts from, where that is no version."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class DatasetSpec:
    sources: tuple[Source, ...]
    validation_split: Decimal = Decimal("0.2")


@dataclass(frozen=True)
class Hyperparameters:
    """Only what the user gave; None and missing keys mean "not given"."""

    epochs: int | None = None
    image_size: int | None = None
    batch: int | None = None
    patience: int | None = None
    optimizer: str | None = None
    seed: int | None = None
    freeze: int | None = None
    augmentation: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    uri: str
    formats: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    dataset: Source
    baseline: ModelReference | None


@dataclass(frozen=True)
class MLflow:
    uri: str
    experiment: str | None


@dataclass(frozen=True)
class WandB:
    project: str
    entity: str | None


@dataclass(frozen=True)
class Trackers:
    mlflow: MLflow | None
    wandb: WandB | None


@dataclass(frozen=True)
class Run:
    training_job: str
    uid: str
    model: str
    version: str
    mode: Mode
    architecture: str | None
    parent: ModelReference | None
    dataset: DatasetSpec
    hyperparameters: Hyperparameters
    output: Output
    checkpoint_every_epochs: int
    evaluation: Evaluation | None
    tracking: Trackers | None = None
    weights: Weights | None = None
    gpus: int = 0  # that the container must see


def parse(text: str) -> Run:
    """Raises Failure InvalidRun, naming the path of what is wrong."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise Failure("InvalidRun", f"TRAINER_RUN is not JSON: {error}") from None
    top = _Object(document, "TRAINER_RUN")
    run = Run(
        training_job=top.take("trainingJob", _text),
        uid=top.take("uid", _text),
        model=top.take("model", _text),
        version=top.take("version", _text),
        mode=top.take("mode", _one_of(*get_args(Mode))),
        architecture=top.take("architecture", _text, None),
        parent=top.take("parent", _model, None),
        dataset=top.take("dataset", _dataset),
        hyperparameters=top.take("hyperparameters", _hyperparameters, Hyperparameters()),
        output=top.take("output", _output),
        checkpoint_every_epochs=top.take("checkpoint", _checkpoint, 5),
        evaluation=top.take("evaluation", _evaluation, None),
        tracking=top.take("tracking", _tracking, None),
        weights=top.take("weights", _weights, None),
        gpus=top.take("gpus", _whole, 0),
    )
    top.end()
    if run.mode in ("Scratch", "Transfer") and run.architecture is None:
        raise Failure("InvalidRun", f"architecture is required by mode {run.mode}")
    if run.weights is not None and (run.parent is not None or run.mode in ("Scratch", "Continue")):
        raise Failure("InvalidRun", "weights stand for a parent in modes FineTune and Transfer, and never beside one")
    if run.mode != "Scratch" and run.parent is None and run.weights is None:
        raise Failure("InvalidRun", f"parent is required by mode {run.mode}")
    return run


class _Object:
    """A JSON object whose keys are taken one by one, so that `end` knows the ones nobody asked for."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            _refuse(path, "an object", value)
        self._rest: dict[str, Any] = dict(value)
        self._path = path

    def take(self, key: str, read: Callable[[Any, str], T], *default: T) -> T:
        path = f"{self._path}.{key}"
        value = self._rest.pop(key, None)
        if value is None:
            if default:
                return default[0]
            raise Failure("InvalidRun", f"{path} is missing")
        return read(value, path)

    def end(self) -> None:
        if self._rest:
            names = ", ".join(sorted(self._rest))
            raise Failure(
                "InvalidRun",
                f"{self._path} holds keys this trainer does not know: {names}; operator and trainer image differ",
            )


def _refuse(path: str, expected: str, value: object) -> NoReturn:
    raise Failure("InvalidRun", f"{path} must be {expected} and is {json.dumps(value)[:80]}")


def _text(value: Any, path: str) -> str:
    return value if isinstance(value, str) and value else _refuse(path, "a text", value)


def _whole(value: Any, path: str) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _refuse(path, "a whole number", value)


def _one_of(*allowed: str) -> Callable[[Any, str], Any]:
    return lambda value, path: value if value in allowed else _refuse(path, "one of " + ", ".join(allowed), value)


def _list_of(read: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    def reader(value: Any, path: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            _refuse(path, "a list", value)
        return tuple(read(item, f"{path}[{number}]") for number, item in enumerate(value))

    return reader


def _texts(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, dict):
        _refuse(path, "an object of texts", value)
    return {key: _text(item, f"{path}.{key}") for key, item in value.items()}


def _share(value: Any, path: str) -> Decimal:
    try:
        share = Decimal(_text(value, path))
    except InvalidOperation:
        _refuse(path, "a decimal number as text", value)
    if not 0 < share < 1:
        _refuse(path, "between 0 and 1, both excluded", value)
    return share


def _sha256(value: Any, path: str) -> str:
    text = _text(value, path).lower()
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        _refuse(path, "64 hexadecimal digits", value)
    return text


def _file(value: Any, path: str) -> ArtifactFile:
    top = _Object(value, path)
    file = ArtifactFile(
        name=top.take("name", _text),
        format=top.take("format", _text),
        sha256=top.take("sha256", _sha256),
        size_bytes=top.take("sizeBytes", _whole),
    )
    top.end()
    return file


def _model(value: Any, path: str) -> ModelReference:
    top = _Object(value, path)
    model = ModelReference(
        version=top.take("version", _text),
        uri=top.take("uri", _text),
        files=top.take("files", _list_of(_file)),
        classes=top.take("classes", _list_of(_text)),
        image_size=top.take("imageSize", _whole),
        hyperparameters=top.take("hyperparameters", _texts, {}),
        metrics=top.take("metrics", _texts, {}),
    )
    top.end()
    return model


def _weights(value: Any, path: str) -> Weights:
    top = _Object(value, path)
    weights = Weights(uri=top.take("uri", _text), sha256=top.take("sha256", _sha256))
    top.end()
    return weights


def _source(value: Any, path: str) -> Source:
    top = _Object(value, path)
    source = Source(
        uri=top.take("uri", _text),
        sha256=top.take("sha256", _sha256, None),
        format=top.take("format", _one_of(*get_args(Format)), "Auto"),
    )
    top.end()
    return source


def _dataset(value: Any, path: str) -> DatasetSpec:
    top = _Object(value, path)
    dataset = DatasetSpec(
        sources=top.take("sources", _list_of(_source)),
        validation_split=top.take("validationSplit", _share, Decimal("0.2")),
    )
    top.end()
    if not dataset.sources:
        raise Failure("InvalidRun", f"{path}.sources is empty")
    return dataset


def _hyperparameters(value: Any, path: str) -> Hyperparameters:
    top = _Object(value, path)
    hyperparameters = Hyperparameters(
        epochs=top.take("epochs", _whole, None),
        image_size=top.take("imageSize", _whole, None),
        batch=top.take("batch", _whole, None),
        patience=top.take("patience", _whole, None),
        optimizer=top.take("optimizer", _text, None),
        seed=top.take("seed", _whole, None),
        freeze=top.take("freeze", _whole, None),
        augmentation=top.take("augmentation", _texts, {}),
        extra=top.take("extra", _texts, {}),
    )
    top.end()
    return hyperparameters


def _output(value: Any, path: str) -> Output:
    top = _Object(value, path)
    output = Output(uri=top.take("uri", _text), formats=top.take("formats", _list_of(_text), ("onnx",)))
    top.end()
    return output


def _checkpoint(value: Any, path: str) -> int:
    top = _Object(value, path)
    every = top.take("everyEpochs", _whole, 5)
    top.end()
    return every


def _evaluation(value: Any, path: str) -> Evaluation:
    top = _Object(value, path)
    evaluation = Evaluation(dataset=top.take("dataset", _source), baseline=top.take("baseline", _model, None))
    top.end()
    return evaluation


def _tracking(value: Any, path: str) -> Trackers:
    top = _Object(value, path)
    trackers = Trackers(mlflow=top.take("mlflow", _mlflow, None), wandb=top.take("wandb", _wandb, None))
    top.end()
    return trackers


def _mlflow(value: Any, path: str) -> MLflow:
    top = _Object(value, path)
    tracker = MLflow(uri=top.take("uri", _text), experiment=top.take("experiment", _text, None))
    top.end()
    return tracker


def _wandb(value: Any, path: str) -> WandB:
    top = _Object(value, path)
    tracker = WandB(project=top.take("project", _text), entity=top.take("entity", _text, None))
    top.end()
    return tracker
