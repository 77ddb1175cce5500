"""TrainingJob: one bounded training run that ends with a ModelVersion.

One kind, one file, long as it is: most of it are the descriptions that `kubectl explain` prints.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api import schemes
from modelfleet.api.base import Constraint, Rule, SpecModel, StatusModel
from modelfleet.api.common import (
    DNSLabel,
    ObjectMeta,
    PodTemplate,
    SecretRef,
    Sha256,
    SourceURI,
    Tags,
    TargetURI,
    VersionRef,
)
from modelfleet.api.conditions import Conditions
from modelfleet.api.modelversion import (
    ClassChanges,
    Diagnosis,
    Evaluation,
    FirstEpoch,
    FreeText,
    MetricName,
    StartCheckpoint,
    Threshold,
    TrackedRun,
    TrainingMode,
)
from modelfleet.api.origin import Origin
from modelfleet.api.quantities import (
    ClippedText,
    DecimalText,
    Duration,
    DurationText,
    Fraction,
    Number,
    Quantity,
    ShortText,
    Text,
    Time,
    clip_list,
)

# Training arguments of ultralytics that have a field of their own, or that the trainer sets.
_NOT_EXTRA = (
    *("epochs", "imgsz", "batch", "patience", "optimizer", "seed", "freeze"),
    *("model", "data", "resume", "project", "name", "exist_ok", "save_dir", "task", "mode", "device"),
)


_ARGUMENT_NAMES = Constraint(
    "self.all(name, name.matches('^[a-z][a-z0-9_]{0,63}$'))",
    "keys must be names of ultralytics arguments such as hsv_h",
)


class DatasetSource(SpecModel):
    """One part of a dataset: a folder or an archive (tar, zip)."""

    uri: SourceURI
    """Where it lies: s3://, gs://, az://, https://, or file:// for a volume mounted by spec.template."""
    sha256: Sha256 | None = None
    """Its digest. Where given, other data is refused."""
    format: Literal["Auto", "YOLO", "COCO"] = "Auto"
    """The layout of images and labels. Auto finds out."""


class DatasetRef(SpecModel):
    """A version of a Dataset."""

    dataset: DNSLabel
    """Name of a Dataset in the same namespace."""
    version: Annotated[int, Field(ge=1)] | None = None
    """Number of the version; left out: the newest one when the run starts. It may be one that is still to come."""

    def __str__(self) -> str:
        return f"Dataset {self.dataset}" + ("" if self.version is None else f" version {self.version}")


class HoldoutRef(SpecModel):
    """The frozen holdout of a Dataset."""

    dataset: DNSLabel
    """Name of a Dataset in the same namespace. Where the run trains on a version of it, that version's holdout is
    meant; else the newest version's."""


class TrainingData(SpecModel):
    """What to train on."""

    sources: Annotated[
        tuple[DatasetSource, ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """The parts, merged in order."""
    from_: Annotated[DatasetRef | None, Field(alias="from")] = None
    """A version of a Dataset, which comes first. It is resolved once, when the run starts, and pinned by its digest: a
    newer version changes nothing of a run."""
    validation_split: Annotated[Decimal, DecimalText("0.01", "0.9")] = Decimal("0.2")
    """The share that is set aside for validation where the data has no validation part; chosen by the seed."""


class Hyperparameters(SpecModel):
    """How to train. What is left out is the parent's (in Continue) or the trainer's default."""

    rules = (
        Rule(
            "!has(self.batch) || self.batch != 0", "batch must be at least 1, or -1 to fit memory", field_path=".batch"
        ),
        Rule(
            "!has(self.imageSize) || self.imageSize % 32 == 0",
            "imageSize must be a multiple of 32, the model's stride",
            field_path=".imageSize",
        ),
        Rule(
            f"!has(self.extra) || self.extra.all(name, !(name in {list(_NOT_EXTRA)}))",
            "extra must not repeat what has a field of its own (epochs, imageSize, batch, patience, optimizer, seed,"
            " freeze) or what modelfleet sets (model, data, resume, project, name, exist_ok, save_dir, task, mode,"
            " device)",
            field_path=".extra",
        ),
    )

    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """How many times the data is gone through, at most."""
    image_size: Annotated[int, Field(ge=32, le=8192)] | None = None
    """Length of the longer side that images are scaled to, in pixels; a multiple of 32."""
    batch: Annotated[int, Field(ge=-1, le=65_536)] | None = None
    """Images per step; -1 takes what fits into the GPU's memory."""
    patience: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Number of epochs without improvement after which training stops; 0 never stops early."""
    optimizer: (
        Annotated[str, Text(32, r"^[A-Za-z]+$", "must be the name of an optimizer such as auto, SGD or AdamW")] | None
    ) = None
    """The optimizer: auto, SGD, Adam, AdamW, NAdam, RAdam, RMSProp, ..."""
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Seed of everything that is random."""
    freeze: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Number of layers that are frozen, counted from the first."""
    augmentation: Annotated[Mapping[str, Number], Field(max_length=64), _ARGUMENT_NAMES] = Field(default_factory=dict)
    """Augmentation arguments of ultralytics: degrees, translate, scale, fliplr, hsv_h, mosaic, ..."""
    extra: Annotated[Mapping[str, FreeText], Field(max_length=64), _ARGUMENT_NAMES] = Field(default_factory=dict)
    """Any other training argument of ultralytics (docs/training-arguments.md). What it would refuse fails the job
    before there is a pod."""


class Resources(SpecModel):
    """What the training pod asks of its node."""

    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """Number of GPUs; 0 trains on the CPU."""
    gpu_resource: Annotated[
        str,
        Text(
            253,
            r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9][-A-Za-z0-9_.]*$",
            "must be a resource name such as nvidia.com/gpu",
        ),
    ] = "nvidia.com/gpu"
    """The extended resource by which the cluster knows its GPUs."""
    requests: Annotated[Mapping[str, Quantity], Field(max_length=32)] = Field(default_factory=dict)
    """Requests of the trainer container: cpu, memory, ..."""
    limits: Annotated[Mapping[str, Quantity], Field(max_length=32)] = Field(default_factory=dict)
    """Limits of the trainer container."""


class Output(SpecModel):
    """Where the trained model goes."""

    uri: TargetURI
    """The folder of all models; the files go to <uri>/<model>/<version>/. A version is never overwritten."""
    formats: Annotated[
        tuple[Literal["onnx", "openvino", "engine", "torchscript", "ncnn", "tflite"], ...],
        Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ("onnx",)
    """The formats to export to, beside the PyTorch weights that are always kept."""
    tags: Tags = ()
    """Tags for the new ModelVersion."""


class Checkpoint(SpecModel):
    """How often the training state is saved."""

    every_epochs: Annotated[int, Field(ge=1, le=10_000)] = 5
    """Number of epochs between two checkpoints; a restarted pod resumes from the last one."""


class EvaluationGate(SpecModel):
    """One demand on the new version's figures on the holdout."""

    rules = (Rule("has(self.minimum) || has(self.maxRegression)", "set minimum, maxRegression or both"),)

    metric: MetricName
    """The figure: map50, map50-95, precision, recall or f1."""
    minimum: Fraction | None = None
    """It must be at least this."""
    max_regression: Fraction | None = None
    """It must not be lower than the baseline's by more than this."""
    per_class: bool = False
    """Demand it of each class separately."""


class EvaluationData(SpecModel):
    """The data that versions are judged on: a folder or an archive, or the holdout of a Dataset."""

    rules = (
        Rule(
            "has(self.uri) != has(self.from)",
            "set exactly one of uri (a holdout of your own) or from (the holdout of a Dataset)",
        ),
        Rule(
            "!has(self.from) || !has(self.sha256)",
            "sha256 must be left out with from: a holdout of a Dataset is pinned automatically",
        ),
    )

    uri: SourceURI | None = None
    """Where it lies: s3://, gs://, az://, https://, or file:// for a volume mounted by spec.template."""
    sha256: Sha256 | None = None
    """Its digest. Where given, other data is refused."""
    format: Literal["Auto", "YOLO", "COCO"] = "Auto"
    """The layout of images and labels. Auto finds out."""
    from_: Annotated[HoldoutRef | None, Field(alias="from")] = None
    """The holdout of a Dataset, of the version that is trained on. It is resolved once, when the run starts."""


class EvaluationSpec(SpecModel):
    """Judges the new version on labelled data before anything runs it."""

    rules = (
        Rule(
            "has(self.baseline) || !has(self.gates) || self.gates.all(gate, !has(gate.maxRegression))",
            "a gate with maxRegression needs a baseline to compare with",
        ),
    )

    dataset: EvaluationData
    """The frozen holdout, never trained on."""
    baseline: VersionRef | None = None
    """The version to compare with, measured on the same data."""
    gates: Annotated[
        tuple[EvaluationGate, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """The demands. A version that misses one is kept as Rejected and never rolled out."""


class MLflow(SpecModel):
    """Follow the run in MLflow."""

    uri: Annotated[
        str,
        Text(
            1024,
            schemes.WEB_WITHOUT_USER,
            "must be an http:// or https:// address without credentials, which belong in secretRef",
        ),
    ]
    """The tracking server."""
    experiment: Annotated[str, Text(256)] | None = None
    """Name of the experiment; default: the model's name."""
    secret_ref: SecretRef | None = None
    """Secret with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."""


class WandB(SpecModel):
    """Follow the run in Weights & Biases."""

    project: Annotated[str, Text(128)]
    """Name of the project."""
    entity: Annotated[str, Text(128)] | None = None
    """The team or user that the project belongs to."""
    secret_ref: SecretRef
    """Secret with WANDB_API_KEY."""


class Tracking(SpecModel):
    """Experiment trackers to report to."""

    mlflow: MLflow | None = None
    """Report to MLflow."""
    wandb: WandB | None = None
    """Report to Weights & Biases."""


NEEDS_ARCHITECTURE = Rule(
    "self.mode in ['Scratch', 'Transfer'] ? has(self.architecture) : true",
    "architecture is required by modes Scratch and Transfer, for example yolo11n",
)
KEEPS_ARCHITECTURE = Rule(
    "self.mode in ['Continue', 'FineTune'] ? !has(self.architecture) : true",
    "architecture comes from the parent in modes Continue and FineTune; use mode Transfer to change it",
)
NEEDS_PARENT = Rule(
    "self.mode == 'Scratch' || has(self.from)",
    "from is required by modes Continue, FineTune and Transfer: set from.version, from.tag or from.rollout; or,"
    " in FineTune and Transfer, from.checkpoint",
)
SCRATCH_HAS_NO_PARENT = Rule(
    "self.mode != 'Scratch' || !has(self.from)", "from must be left out in mode Scratch, which starts from no weights"
)
CONTINUE_NEEDS_VERSION = Rule(
    "self.mode != 'Continue' || !has(self.from) || !has(self.from.checkpoint)",
    "mode Continue takes over a version's hyperparameters, which a checkpoint does not have: use mode FineTune or"
    " Transfer with from.checkpoint",
)
NEW_VERSION = Rule(
    "!has(self.version) || !has(self.from) || !has(self.from.version) || self.version != self.from.version",
    "version must be a new one, other than from.version: a version is never overwritten",
)


NEEDS_DATA = Rule(
    "has(self.dataset) && (has(self.dataset.sources) && self.dataset.sources.size() > 0 || has(self.dataset.from))",
    "there is no data to train on: set dataset.sources, dataset.from (a version of a Dataset), or both",
)


class TrainingJobSpec(SpecModel):
    """One training run. Everything but suspend and ttlAfterFinished is immutable."""

    rules: ClassVar[tuple[Rule, ...]] = (
        NEEDS_ARCHITECTURE,
        KEEPS_ARCHITECTURE,
        NEEDS_PARENT,
        SCRATCH_HAS_NO_PARENT,
        CONTINUE_NEEDS_VERSION,
        NEW_VERSION,
        NEEDS_DATA,
    )
    immutable_except: ClassVar[frozenset[str] | None] = frozenset({"suspend", "ttl_after_finished"})

    model: DNSLabel
    """The model (family) that gets a new version."""
    version: DNSLabel | None = None
    """Name of the new version; default: derived from the job's name. An existing version is never overwritten."""
    mode: TrainingMode
    """Scratch starts from the architecture; Continue goes on with the parent's weights and hyperparameters; FineTune
    takes the weights of the parent, or of a checkpoint, under the given hyperparameters; Transfer copies what fits into
    another architecture."""
    architecture: (
        Annotated[str, Text(128, r"^[a-z0-9][a-z0-9._-]*$", "must be the name of an architecture such as yolo11n")]
        | None
    ) = None
    """An ultralytics architecture such as yolo11n; required by Scratch and Transfer."""
    from_: Annotated[Origin | None, Field(alias="from")] = None
    """The parent version, or a checkpoint to start from; required by Continue, FineTune and Transfer."""
    dataset: TrainingData = Field(default_factory=TrainingData)
    """What to train on: sources, a version of a Dataset, or both."""
    hyperparameters: Hyperparameters = Field(default_factory=Hyperparameters)
    """How to train."""
    resources: Resources = Field(default_factory=Resources)
    """What the training pod asks of its node."""
    template: PodTemplate = Field(default_factory=dict)
    """A partial pod template that is merged into the trainer's: node selector, tolerations, volumes, service account.
    A container named trainer is merged into the trainer's: env (credentials), image, volume mounts."""
    output: Output
    """Where the trained model goes."""
    checkpoint: Checkpoint | None = None
    """How often the training state is saved to output.uri."""
    evaluation: EvaluationSpec | None = None
    """Judges the new version on a holdout before anything runs it."""
    tracking: Tracking | None = None
    """Experiment trackers to report to."""
    backoff_limit: Annotated[int, Field(ge=0, le=100)] = 3
    """How many failures of the training are tried again; preemption and loss of a node do not count."""
    active_deadline: Annotated[timedelta, DurationText("1s", "99999h")] = timedelta(hours=24)
    """The run fails when it takes longer than this."""
    ttl_after_finished: Duration = timedelta(hours=168)
    """How long after the end the Job and its pods are removed; the ModelVersion stays."""
    suspend: bool = False
    """Stops the run while true. The label kueue.x-k8s.io/queue-name hands this to Kueue."""


class TrainingPhase(StrEnum):
    """Where a run stands; for display only."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    EVALUATING = "Evaluating"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Progress(StatusModel):
    """How far the run is."""

    epoch: Annotated[int, Field(ge=0)]
    """Epochs done."""
    epochs: Annotated[int, Field(ge=0)]
    """Epochs in all."""
    percent: Annotated[int, Field(ge=0, le=100)]
    """Epochs done, in percent."""
    remaining: Duration | None = None
    """About how long it still takes."""
    best_epoch: Annotated[int, Field(ge=0)] | None = None
    """The best epoch so far, by the figures on the validation data; its weights become the version."""
    metrics: Annotated[Mapping[str, Number], Field(max_length=64)] = Field(default_factory=dict)
    """Figures on the validation data after this epoch."""


class PinnedData(StatusModel):
    """What a reference to a Dataset meant: an address that never changes its content, and its digest."""

    dataset: ShortText
    """Name of the Dataset."""
    version: Annotated[int, Field(ge=1)]
    """Number of its version."""
    uri: Annotated[str, Text(1100)]
    """Address of the version's description."""
    sha256: Sha256
    """Digest of that description, which holds those of all images and labels."""


class TrainingJobStatus(StatusModel):
    """What modelfleet knows about the run now."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status speaks of."""
    phase: TrainingPhase | None = None
    """Where the run stands; for display only."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, Complete or Failed; UnsupportedFields."""
    progress: Progress | None = None
    """How far the run is."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Pods started so far."""
    preemptions: Annotated[int, Field(ge=0)] = 0
    """Pods lost to preemption or to their node."""
    resumed_from_epoch: Annotated[int, Field(ge=0)] | None = None
    """The epoch that the running attempt resumed from."""
    version: ShortText | None = None
    """The version that the run makes."""
    parent: ShortText | None = None
    """The version that spec.from meant when the run started."""
    dataset: PinnedData | None = None
    """The version that spec.dataset.from meant when the run started."""
    holdout: PinnedData | None = None
    """The version whose holdout spec.evaluation.dataset.from meant when the run started."""
    checkpoint: StartCheckpoint | None = None
    """The checkpoint that the run started from, as the trainer found it."""
    baseline: ShortText | None = None
    """The version that spec.evaluation.baseline meant when the run started."""
    loaded_share: Fraction | None = None
    """The share of the model's weights that came from the parent."""
    class_changes: ClassChanges | None = None
    """How the classes follow from the parent's."""
    first_epoch: FirstEpoch | None = None
    """The first epoch's figures beside the parent's."""
    model_version: ShortText | None = None
    """Name of the ModelVersion that the run made."""
    evaluation: Evaluation | None = None
    """The result of the evaluation gates."""
    diagnosis: Diagnosis | None = None
    """What the curves of the training say. It gates nothing."""
    threshold: Threshold | None = None
    """From which confidence on to take detections, as measured; advice. By class: in the ModelVersion."""
    tracking: TrackedRun | None = None
    """Where experiment trackers show the run."""
    warnings: (
        Annotated[
            tuple[Annotated[str, ClippedText(512)], ...],
            Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
            clip_list(16),
        ]
        | None
    ) = None
    """What the trainer says of the data: what was left out and why, with the first files; what is worth a look."""
    started_at: Time | None = None
    """When the first pod started."""
    finished_at: Time | None = None
    """When the run ended."""


class TrainingJob(StatusModel):
    """One bounded training run that ends with a ModelVersion."""

    rules = (
        Rule(
            "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
            "metadata.name must be at most 63 characters without dots: the Job and its pods carry it as a label",
            field_path=".metadata.name",
        ),
    )

    api_version: Literal["modelfleet.dev/v1alpha1"] = "modelfleet.dev/v1alpha1"
    kind: Literal["TrainingJob"] = "TrainingJob"
    metadata: ObjectMeta
    spec: TrainingJobSpec
    status: TrainingJobStatus = Field(default_factory=TrainingJobStatus)
