"""ModelVersion: the immutable record of one trained model.

One kind, one file, long as it is: most of it are the descriptions that `kubectl explain` prints.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api import schemes
from modelfleet.api.base import Rule, SpecModel, StatusModel
from modelfleet.api.common import DNSLabel, FileFormat, ObjectMeta, ObjectName, Sha256, Tags
from modelfleet.api.conditions import Conditions
from modelfleet.api.quantities import Fraction, Message, Number, ShortText, Text, Time, clip_list

MetricName = Literal["map50", "map50-95", "precision", "recall", "f1"]

FreeText = Annotated[str, Text(256, min_length=0)]


class TrainingMode(StrEnum):
    """How a run starts: from the architecture alone, or from a parent version in one of three ways."""

    SCRATCH = "Scratch"
    CONTINUE = "Continue"
    FINE_TUNE = "FineTune"
    TRANSFER = "Transfer"


class ArtifactFile(SpecModel):
    """One file of the artifact."""

    name: Annotated[str, Text(253, r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", "must be a plain file name without folders")]
    """File name below the artifact's URI."""
    format: FileFormat
    """What the file is: onnx, pytorch, engine, openvino, ... A Rollout delivers the format that it asks for."""
    sha256: Sha256
    """The sha256 digest of the file. A file that has another one is never loaded."""
    size_bytes: Annotated[int, Field(ge=1)]
    """The size of the file in bytes."""


class Artifact(SpecModel):
    """Where the model's files lie."""

    rules = (
        Rule(
            f"!self.uri.startsWith('oci://') || self.uri.matches('{schemes.PINNED}')",
            "an oci:// address must end with its manifest's digest, since a tag can be moved to other files: "
            "oci://registry/repository@sha256:<64 hex digits> (oras resolve registry/repository:tag prints the digest)",
            field_path=".uri",
        ),
    )

    uri: Annotated[
        str,
        Text(
            1024,
            schemes.pattern(schemes.ARTIFACT),
            f"must be an {schemes.listed(schemes.ARTIFACT)} address",
        ),
    ]
    """The folder of the files: s3://, gs://, az://, https://, or file:// for a volume mounted in the pods. In a
    registry the manifest whose layers are the files, by its digest: oci://registry/repository@sha256:..."""
    files: Annotated[
        tuple[ArtifactFile, ...],
        Field(
            min_length=1,
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The files, each with its digest."""

    def file(self, format: str) -> ArtifactFile | None:
        """The first file of this format, or None."""
        return next((file for file in self.files if file.format == format), None)

    def uri_of(self, file: ArtifactFile) -> str:
        """The address of one file."""
        return f"{self.uri.rstrip('/')}/{file.name}"


class Calibration(SpecModel):
    """What the model's confidence is worth: the expected precision of a detection, by confidence bucket."""

    rules = (
        Rule(
            "self.precision.size() == self.edges.size() - 1",
            "precision needs one value per bucket: one less than edges",
        ),
        Rule(
            "self.edges.map(edge, double(edge)).isSorted()"
            " && self.edges.all(edge, self.edges.exists_one(other, double(other) == double(edge)))",
            "edges must increase: each must be larger than the one before",
            field_path=".edges",
        ),
    )

    edges: Annotated[
        tuple[Fraction, ...],
        Field(min_length=2, max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ]
    """The buckets' edges, increasing; bucket k holds confidences in (edges[k], edges[k+1]]. A gate uses the calibration
    if they are those of the metrics: 0.25 0.3 0.4 0.5 0.6 0.7 0.8 0.85 0.9 0.95 1. Otherwise it compares raw confidence
    and says so."""
    precision: Annotated[
        tuple[Fraction, ...],
        Field(min_length=1, max_length=63, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ]
    """The share of true detections in each bucket, measured on the labelled holdout."""


ClassNames = Annotated[
    tuple[Annotated[str, Text(128)], ...], Field(max_length=100, json_schema_extra={"x-kubernetes-list-type": "atomic"})
]


class Report(SpecModel):
    """The report of the evaluation, for people: figures, curves and pictures, beside the model's files."""

    uri: Annotated[
        str,
        Text(1100, schemes.ANY, "must be an address such as s3://models/parts/v3/report.json"),
    ]
    """The report.json. The files that it names lie beside it."""
    sha256: Sha256
    """The digest of the report.json, which in turn holds the digests of the others."""


class Diagnosis(SpecModel):
    """What the curves of the training say."""

    finding: Annotated[str, Text(64, r"^[A-Z][A-Za-z0-9]*$", "must be a CamelCase word such as Overfitting")]
    """Overfitting, Underfitting, Diverged, Converged or Unclear."""
    message: Message = ""
    """The figures that it follows from, and what may help."""


class ThresholdPoint(SpecModel):
    """What taking detections from a confidence on comes to."""

    confidence: Fraction
    """The least confidence."""
    precision: Fraction
    """The share of detections that are right."""
    recall: Fraction
    """The share of objects that are found."""
    f1: Fraction
    """Both in one figure: 2PR / (P + R)."""


class ClassThreshold(SpecModel):
    """The same for one class."""

    name: Annotated[str, Text(128)]
    """The class."""
    best: ThresholdPoint
    """Where F1 is best."""
    present: ThresholdPoint
    """At the reference agent's default."""


class Threshold(SpecModel):
    """From which confidence on to take detections, as measured on the holdout. Advice: nothing is set by it."""

    best: ThresholdPoint
    """Where F1 is best."""
    present: ThresholdPoint
    """At the reference agent's default."""
    per_class: Annotated[
        tuple[ClassThreshold, ...], Field(max_length=100, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """Of each class that the holdout shows, the first 100; the report has them all."""


class TrackedRun(SpecModel):
    """Where experiment trackers show the training."""

    mlflow: Annotated[str, Text(1024, schemes.WEB, "must be an http:// or https:// address")] | None = None
    """The run's page in MLflow."""
    wandb: Annotated[str, Text(1024, schemes.WEB, "must be an http:// or https:// address")] | None = None
    """The run's page in Weights & Biases."""


class LeftOut(SpecModel):
    """Files or objects that were left out for one reason."""

    why: Annotated[str, Text(128)]
    """The reason, as in: 2 images in no annotation file."""
    count: Annotated[int, Field(ge=0)]
    """How many."""
    first: Annotated[
        tuple[Annotated[str, Text(128)], ...],
        Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """The first three files."""


LeftOuts = Annotated[tuple[LeftOut, ...], Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"})]


class UsedImages(SpecModel):
    """How many images of a source are used, by part."""

    train: Annotated[int, Field(ge=0)]
    """Trained on."""
    val: Annotated[int, Field(ge=0)]
    """Validated with."""
    test: Annotated[int, Field(ge=0)]
    """Of the test part, which a training leaves alone."""


class SourceBalance(SpecModel):
    """What became of every file of a source, and of every labelled object. It adds up: files are images, used or left
    out, label files, used or left out, and others; annotations are used or left out."""

    files: Annotated[int, Field(ge=0)]
    """All files."""
    images: UsedImages
    """Images that are used."""
    images_left_out: LeftOuts = ()
    """Images that are not, by reason; the most frequent eight."""
    label_files: Annotated[int, Field(ge=0)]
    """Label files that are used."""
    label_files_left_out: LeftOuts = ()
    """Label files that are not, by reason."""
    annotations: Annotated[int, Field(ge=0)]
    """Labelled objects that are used."""
    annotations_left_out: LeftOuts = ()
    """Labelled objects that are not, by reason."""
    other_files: Annotated[Mapping[str, Annotated[int, Field(ge=0)]], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Files that are neither images nor label files, by kind."""


class LineageSource(SpecModel):
    """What one source gave to the data that the version was trained on."""

    uri: Annotated[str, Text(1024)]
    """Where it was read from."""
    sha256: Sha256
    """Its digest, as the trainer measured it."""
    images: Annotated[int, Field(ge=0)]
    """How many of its images were trained or validated with; copies that were left out do not count."""
    labels: Annotated[int, Field(ge=0)]
    """How many labelled objects those show."""
    balance: SourceBalance | None = None
    """What became of every file of it."""


class LineageDataset(SpecModel):
    """The data that the version was trained on."""

    dataset: Annotated[str, Text(63)] | None = None
    """Name of the Dataset, where it is a version of one."""
    version: Annotated[int, Field(ge=1)] | None = None
    """Number of that version."""
    uri: Annotated[str, Text(1024)] | None = None
    """Where it was read from."""
    sha256: Sha256 | None = None
    """Its digest, as the trainer measured it."""
    images: Annotated[int, Field(ge=0)] | None = None
    """How many images."""
    labels: Annotated[int, Field(ge=0)] | None = None
    """How many labelled objects."""
    sources: Annotated[
        tuple[LineageSource, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """The parts that were merged, in order. Of one source the digest above is its own; of several it is that of the
    lines "<sha256>  <uri>" of this list."""


class LineageHoldout(SpecModel):
    """The holdout that the version's figures were measured on. Those of two versions may be compared where its digest
    is the same, and only there."""

    dataset: Annotated[str, Text(63)] | None = None
    """Name of the Dataset, where it is that of a version of one."""
    version: Annotated[int, Field(ge=1)] | None = None
    """Number of that version."""
    uri: Annotated[str, Text(1024)]
    """Where it was read from."""
    sha256: Sha256
    """Its digest, as the trainer measured it."""
    images: Annotated[int, Field(ge=0)] | None = None
    """How many images."""
    labels: Annotated[int, Field(ge=0)] | None = None
    """How many labelled objects."""


class ClassChanges(SpecModel):
    """How the classes follow from the parent's. They are matched by name, whatever their order."""

    kept: Annotated[int, Field(ge=0)]
    """How many kept what the parent knew of them."""
    added: ClassNames = ()
    """Those that the parent did not know and that started untrained; the first 100."""
    dropped: ClassNames = ()
    """Those of the parent that the data no longer has; the first 100."""
    mismatch: Message | None = None
    """How the classes that the parent's ModelVersion declares differ from those in its file, where they do. Weights are
    matched by the names in the file."""


class StartCheckpoint(SpecModel):
    """The checkpoint that a training started from, where spec.from named one."""

    uri: Annotated[str, Text(1024)]
    """Where it was read from."""
    sha256: Sha256
    """Its digest, which was compared before anything was read from it."""
    architecture: Annotated[str, Text(128)] | None = None
    """The architecture of the model in it, such as yolo11n."""
    classes: Annotated[int, Field(ge=0)] | None = None
    """How many classes it knows."""
    class_names: ClassNames = ()
    """The names of its classes, as the file has them; the first 100."""


class FirstEpoch(SpecModel):
    """What the model was worth after one epoch: far below the parent, little of the parent was kept."""

    metrics: Annotated[Mapping[str, Number], Field(max_length=16)] = Field(default_factory=dict)
    """Figures on the run's validation data: map50, map50-95, precision, recall."""
    parent_metrics: Annotated[Mapping[str, Number], Field(max_length=16)] = Field(default_factory=dict)
    """The parent's, as its ModelVersion has them; where its data were others, a comparison says little."""


RetrainTrigger = Literal["Drift", "Schedule", "Command"]


class RetrainedFor(SpecModel):
    """What called for the training, where a Rollout had it made."""

    rollout: ObjectName
    """The Rollout."""
    trigger: RetrainTrigger
    """What it was made for."""
    cause: Message = ""
    """Why, in words."""
    since: Time | None = None
    """Since when the stable version had drifted."""


class Lineage(SpecModel):
    """Where the version comes from."""

    training_job: ObjectName | None = None
    """The TrainingJob that made it."""
    retrained_for: RetrainedFor | None = None
    """What called for it, where a Rollout had it made."""
    parent: DNSLabel | None = None
    """The version whose weights it started from."""
    checkpoint: StartCheckpoint | None = None
    """The checkpoint whose weights it started from, where that was not a version."""
    mode: TrainingMode | None = None
    """How it was trained: Scratch, Continue, FineTune or Transfer."""
    dataset: LineageDataset | None = None
    """What it was trained on."""
    holdout: LineageHoldout | None = None
    """What its figures (spec.metrics, calibration and threshold) were measured on; none: the run's validation data, or
    it is not known."""
    hyperparameters: Annotated[Mapping[str, FreeText], Field(max_length=256)] = Field(default_factory=dict)
    """Every training argument that was in effect."""
    software: Annotated[Mapping[str, FreeText], Field(max_length=64)] = Field(default_factory=dict)
    """Versions of what trained it: ultralytics, torch, git commit, ..."""
    loaded_share: Fraction | None = None
    """The share of the parent's weights that was loaded."""
    class_changes: ClassChanges | None = None
    """How the classes follow from the parent's."""
    first_epoch: FirstEpoch | None = None
    """The first epoch's figures beside the parent's."""
    diagnosis: Diagnosis | None = None
    """What the curves of the training say. It gates nothing."""
    tracking: TrackedRun | None = None
    """Where experiment trackers show the training."""


class Evaluation(SpecModel):
    """How the version did against its TrainingJob's evaluation gates."""

    result: Literal["Passed", "Failed"]
    """Failed means that the version is kept for inspection and never rolled out."""
    message: Message = ""
    """Which gate failed, by how much."""


class ModelVersionSpec(SpecModel):
    """One trained model. Everything but tags is immutable."""

    immutable_except: ClassVar[frozenset[str] | None] = frozenset({"tags"})

    model: DNSLabel
    """The model (family) that this is a version of."""
    version: DNSLabel
    """The version's name, for example v3. The object's name must be <model>-<version>."""
    tags: Tags = ()
    """Movable marks. A tag means the newest Ready version of the model that carries it; latest is reserved."""
    artifact: Artifact
    """The model's files."""
    task: Literal["detect"] = "detect"
    """What the model does; object detection is what modelfleet knows how to judge."""
    classes: Annotated[
        tuple[Annotated[str, Text(128)], ...],
        Field(min_length=1, max_length=1024, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ]
    """Names of the classes, in the order of the model's output."""
    image_size: Annotated[int, Field(ge=32, le=8192)] = 640
    """Length of the longer side of the images that the model takes, in pixels."""
    metrics: Annotated[Mapping[str, Number], Field(max_length=64)] = Field(default_factory=dict)
    """Figures on the validation data: map50, map50-95, precision, recall, f1, ..."""
    calibration: Calibration | None = None
    """Expected precision by confidence. Without it, or with other edges than those of the metrics, a gate compares raw
    confidence and says so."""
    created_at: Time | None = None
    """When the model was made: what "newest" goes by. The trainer's versions have it. Without it the object's own
    creation counts, which a restore from a backup, or applying everything again from Git, resets."""
    lineage: Lineage | None = None
    """Where the version comes from."""
    evaluation: Evaluation | None = None
    """The result of the evaluation gates, where there were any."""
    threshold: Threshold | None = None
    """From which confidence on to take detections; advice."""
    report: Report | None = None
    """The report of the evaluation, for people."""


class UsedBy(StatusModel):
    """One use of the version."""

    rollout: ShortText
    """The Rollout that uses it."""
    role: Literal["Stable", "Candidate", "Previous"]
    """As what: Stable, Candidate or Previous."""


class ModelVersionStatus(StatusModel):
    """What modelfleet knows about the version now."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status speaks of."""
    conditions: Conditions = ()
    """Ready; UnsupportedFields while a field is set that this release does not act on."""
    tags: Annotated[
        tuple[ShortText, ...], Field(max_length=17, json_schema_extra={"x-kubernetes-list-type": "set"}), clip_list(17)
    ] = ()
    """The tags that resolve to this version now, latest included. Who needs a file that it does not have passes it over
    and says so."""
    used_by: Annotated[
        tuple[UsedBy, ...],
        Field(max_length=100, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(100),
    ] = ()
    """The Rollouts that use it, the first 100. While there are any, a finalizer keeps the version."""


class ModelVersion(StatusModel):
    """An immutable record of one trained model: its files with their digests, its figures, and where it comes from."""

    rules = (
        Rule(
            "self.metadata.name == self.spec.model + '-' + self.spec.version",
            "metadata.name must be <spec.model>-<spec.version>",
            "'metadata.name must be ' + self.spec.model + '-' + self.spec.version + ' (<spec.model>-<spec.version>)'",
            field_path=".metadata.name",
        ),
    )

    api_version: Literal["modelfleet.dev/v1alpha1"] = "modelfleet.dev/v1alpha1"
    kind: Literal["ModelVersion"] = "ModelVersion"
    metadata: ObjectMeta
    spec: ModelVersionSpec
    status: ModelVersionStatus = Field(default_factory=ModelVersionStatus)
