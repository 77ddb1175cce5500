"""Dataset: labelled images of one model that grow: captured on the fleet, reviewed by people, and kept as versions."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api import schemes
from modelfleet.api.base import Rule, SpecModel, StatusModel
from modelfleet.api.common import CronSchedule, DNSLabel, ObjectMeta, PodTemplate, SecretRef, Sha256, TargetURI
from modelfleet.api.conditions import Conditions
from modelfleet.api.quantities import (
    DurationText,
    Fraction,
    Message,
    Percent,
    ShortText,
    Text,
    Time,
    clip_list,
)

Count = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[int, Field(ge=1)]

LONGEST_NAME = 48
"""A Dataset's Jobs are called `<name>-<yyyymmddhhmmss>`, and a Job's name has at most 63 characters."""

ClassName = Annotated[str, Text(128)]


class Captures(SpecModel):
    """Where the frames lie that the fleet captured."""

    uri: TargetURI
    """The folder: the delivery.capture.destination of the Rollouts. s3://, gs://, az://, or file:// for a volume
    mounted by spec.template. Nothing is written there."""


class Store(SpecModel):
    """Where images and versions are kept."""

    uri: TargetURI
    """The folder, of this Dataset alone. Each image is there once; a version never changes."""


class LabelStudio(SpecModel):
    """Ask people in Label Studio."""

    url: Annotated[
        str,
        Text(
            1024,
            schemes.WEB_WITHOUT_USER,
            "must be an http:// or https:// address without credentials, which belong in secretRef",
        ),
    ]
    """Its address, as the labeler's Job reaches it."""
    project: Annotated[
        str, Text(44, f"^{schemes.no_space()}.{{1,42}}{schemes.no_space()}$", "must be a title of 3 to 44 characters")
    ]
    """Title of the project. Blind tasks are in another one, called <project>-blind. Both are created where there are
    none."""
    secret_ref: SecretRef
    """Secret whose key token is an access token of Label Studio."""


class LabelFiles(SpecModel):
    """Take reviewed labels from a folder, whatever they were made with."""

    uri: TargetURI
    """The folder with the labels, named as the captured images are."""
    format: Literal["Auto", "YOLO", "COCO"] = "Auto"
    """The layout of the labels. Auto finds out."""


class Labelling(SpecModel):
    """Who says what is on a captured image, and which ones are asked about."""

    rules = (
        Rule(
            "has(self.labelStudio) != has(self.files)",
            "set exactly one of labelStudio (ask people there) or files (labels that are put into a folder)",
        ),
    )

    label_studio: LabelStudio | None = None
    """Ask people in Label Studio: the node's own detections are drawn already, and are corrected."""
    files: LabelFiles | None = None
    """Take reviewed labels from a folder."""
    per_day: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Maximum number of images that people are asked about in any 24 hours."""
    priority: Annotated[
        tuple[DNSLabel, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ("disagree", "sample")
    """Rules of the capture, the most important first; sample is the random sample, and disagree what two versions see
    differently. Rules that are not listed come last."""
    blind: Percent = Percent(10)
    """The share of images that are shown without detections: who is shown boxes tends to accept them."""


class Split(SpecModel):
    """How images are divided. All images of a node and a day come into the same part: neighbours in time look alike."""

    rules = (
        Rule(
            "!self.validation.endsWith('%') || !self.holdout.endsWith('%')"
            " || int(self.validation.replace('%', '')) + int(self.holdout.replace('%', '')) <= 80",
            "validation and holdout together must be at most 80%: the rest is trained on",
        ),
    )

    validation: Percent = Percent(15)
    """The share that training is validated with."""
    holdout: Percent = Percent(10)
    """The share of the random sample that is never trained on: versions are judged by it."""


def _folder(field: str) -> str:
    """A folder's address with a slash at its end, in CEL: s3://data/parts is no folder within s3://data/part."""
    return f"({field}.endsWith('/') ? {field} : {field} + '/')"


_STORE, _CAPTURES = _folder("self.store.uri"), _folder("self.captures.uri")


class DatasetSpec(SpecModel):
    """Where images come from, who labels them, and where versions go."""

    rules = (
        Rule(
            f"!{_STORE}.startsWith({_CAPTURES}) && !{_CAPTURES}.startsWith({_STORE})",
            "store.uri and captures.uri must be different folders, neither within the other",
        ),
    )

    model: DNSLabel
    """The model that the images are for."""
    captures: Captures
    """Where the frames lie that the fleet captured."""
    store: Store
    """Where images and versions are kept."""
    classes: Annotated[
        tuple[ClassName, ...],
        Field(min_length=1, max_length=1000, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """The classes, in the order of their numbers. New ones are added at the end."""
    schedule: CronSchedule = "*/30 * * * *"
    """When to look for new captures and reviewed labels: minute, hour, day of month, month, day of week (UTC)."""
    min_new_images: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """A new version is created once this many images were reviewed or corrected since the last one."""
    labelling: Labelling
    """Who says what is on a captured image, and which ones are asked about."""
    split: Split = Field(default_factory=Split, json_schema_extra={"default": Split().to_dict()})
    """How images are divided into training, validation and holdout."""
    template: PodTemplate = Field(default_factory=dict)
    """A partial pod template that is merged into that of the Job: node selector, volumes, service account. A container
    named labeler is merged into the labeler's: envFrom (credentials of the stores), image, resources, volume mounts."""
    active_deadline: Annotated[timedelta, DurationText("1s", "99999h")] = timedelta(hours=1)
    """A sync fails when it takes longer than this."""
    suspend: bool = False
    """No sync starts while true, except by the annotation modelfleet.dev/sync."""


class LastSync(StatusModel):
    """The last sync that ended."""

    job: ShortText
    """Its Job."""
    due: Time
    """The moment for which it was made."""
    at: Time
    """When it ended."""
    result: Literal["Succeeded", "Failed"]
    """How it ended."""
    reason: ShortText | None = None
    """Why it failed, as a CamelCase word."""
    message: Message = ""
    """Why it failed, in words."""
    generation: Count = 0
    """The generation of the spec that it was made for."""
    failures: Count = 0
    """How many syncs failed in a row, this one included."""


class VersionHoldout(StatusModel):
    """The holdout of a version: its images are in train or val of no version."""

    uri: Annotated[str, Text(1100)]
    """Address of its description, holdout.json."""
    sha256: Sha256
    """Digest of that description."""
    images: Count = 0
    """How many images."""


class LatestVersion(StatusModel):
    """The newest version."""

    number: Number
    """Its number."""
    uri: Annotated[str, Text(1100)]
    """Address of its description, version.json."""
    sha256: Sha256
    """Digest of that description, by which a training pins the version."""
    images: Count = 0
    """How many images are trained or validated with."""
    objects: Count = 0
    """How many labelled objects those show."""
    classes: Count = 0
    """How many classes."""
    created_at: Time | None = None
    """When it was made."""
    holdout: VersionHoldout | None = None
    """Its holdout, where it has one."""


class VersionEntry(StatusModel):
    """One version, in short."""

    number: Number
    """Its number."""
    sha256: Sha256
    """Digest of its version.json."""
    parent: Number | None = None
    """The version that it was made from."""
    images: Count = 0
    """How many images."""
    added: Count = 0
    """How many of them the version before did not have."""
    changed: Count | None = None
    """How many of them have other labels, or another split, than in the version before, where that is known."""
    created_at: Time | None = None
    """When it was made."""
    holdout: Sha256 | None = None
    """Digest of its holdout.json, where it has one and it is known."""


class ClassObjects(StatusModel):
    """How many objects of a class the newest version shows."""

    name: ShortText
    """The class."""
    objects: Count
    """How many."""


class Estimate(StatusModel):
    """A figure, and the interval that holds it in 95 of 100 cases."""

    value: Fraction
    """The estimate."""
    low: Fraction
    """Lower end of the interval."""
    high: Fraction
    """Upper end of the interval."""


class Interval(StatusModel):
    """It holds a figure in 95 of 100 cases."""

    low: Fraction
    """Lower end."""
    high: Fraction
    """Upper end."""


class ClassReview(StatusModel):
    """What reviewed frames say about one class."""

    name: ShortText
    """The class."""
    precision: Fraction | None = None
    """The share of detections that are right."""
    precision_interval: Interval | None = None
    """Where that lies, as far as enough node-days show the class."""
    recall: Fraction | None = None
    """The share of objects that are found."""
    recall_interval: Interval | None = None
    """Where that lies, as far as enough node-days show the class."""
    frames: Count = 0
    """Frames that show it."""


class ReviewCalibration(StatusModel):
    """What the model's confidence is worth in production."""

    edges: Annotated[
        tuple[Fraction, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """The buckets' edges, increasing."""
    precision: Annotated[
        tuple[Fraction, ...], Field(max_length=63, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """The share of right detections in each bucket."""


class Review(StatusModel):
    """How a version does in the field, by reviewed frames of the random sample."""

    version: ShortText
    """The version of the model."""
    frames: Count = 0
    """Reviewed frames."""
    node_days: Count = 0
    """Days of nodes that they come from: this many independent pieces of evidence there are."""
    precision: Estimate | None = None
    """The share of detections that are right."""
    recall: Estimate | None = None
    """The share of objects that are found."""
    worst_classes: Annotated[
        tuple[ClassReview, ...],
        Field(max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(10),
    ] = ()
    """The classes, at most 10, those that do worst first."""
    calibration: ReviewCalibration | None = None
    """What the model's confidence is worth in production."""


class DatasetStatus(StatusModel):
    """What the last sync found."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status speaks of."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled."""
    last_sync: LastSync | None = None
    """The last sync that ended."""
    next_sync: Time | None = None
    """When the next one starts."""
    waiting: Count | None = None
    """Captured images that nobody was asked about yet."""
    in_review: Count | None = None
    """Images that somebody was asked about, and has not answered."""
    reviewed: Count | None = None
    """Images with reviewed labels."""
    pending: Count | None = None
    """Reviewed images that are in no version yet: fewer than minNewImages."""
    edited_share: Fraction | None = None
    """The share of reviewed images on which somebody changed what the model had found."""
    latest: LatestVersion | None = None
    """The newest version."""
    per_class: Annotated[
        tuple[ClassObjects, ...],
        Field(max_length=20, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(20),
    ] = ()
    """Objects by class in the newest version, the 20 most frequent."""
    versions: Annotated[
        tuple[VersionEntry, ...],
        Field(max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(10),
    ] = ()
    """The newest 10 versions, newest first. The store keeps all of them."""
    review: Review | None = None
    """How the deployed version does in the field, by reviewed frames of the random sample."""
    notes: Annotated[
        tuple[Message, ...],
        Field(max_length=5, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(5),
    ] = ()
    """What else the last sync had to say, at most 5 sentences."""
    synced: Annotated[
        tuple[ShortText, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}), clip_list(16)
    ] = ()
    """Values of modelfleet.dev/sync that were acted upon, the newest first."""


class Dataset(StatusModel):
    """Labelled images of one model: captured on the fleet, reviewed by people, and kept as versions to train on."""

    rules = (
        Rule(
            f"self.metadata.name.size() <= {LONGEST_NAME} && !self.metadata.name.contains('.')",
            f"metadata.name must be at most {LONGEST_NAME} characters without dots: <name>-<yyyymmddhhmmss> names the"
            " Jobs",
            field_path=".metadata.name",
        ),
    )

    api_version: Literal["modelfleet.dev/v1alpha1"] = "modelfleet.dev/v1alpha1"
    kind: Literal["Dataset"] = "Dataset"
    metadata: ObjectMeta
    spec: DatasetSpec
    status: DatasetStatus = Field(default_factory=DatasetStatus)

    def address(self, number: int, file: str = "version.json") -> str:
        """Where the description of a version that the status speaks of lies. It speaks of the store that the last sync
        found, which spec.store may have left since."""
        latest = self.status.latest
        found = "" if latest is None else store_of(latest.uri)
        return (found or self.spec.store.uri.rstrip("/")) + version_path(number, file)


_VERSIONS = "/versions/"


def version_path(number: int, file: str = "version.json") -> str:
    """Where the description of a version lies in its store, with a slash before it."""
    return f"{_VERSIONS}{number:05d}/{file}"


def store_of(uri: str) -> str:
    """The store that the address of a version lies in; "" for any other address."""
    return uri.rpartition(_VERSIONS)[0]
