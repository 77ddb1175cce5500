"""The part of a Rollout that watches for drift and retrains."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api.base import Constraint, Rule, SpecModel
from modelfleet.api.common import CronSchedule, DNSLabel, LabelKey, LabelValue
from modelfleet.api.quantities import (
    DURATION_CEL,
    DecimalText,
    Duration,
    DurationText,
    IntOrPercent,
    PositiveIntOrPercent,
    Text,
)
from modelfleet.api.trainingjob import (
    CONTINUE_NEEDS_VERSION,
    KEEPS_ARCHITECTURE,
    NEEDS_ARCHITECTURE,
    SCRATCH_HAS_NO_PARENT,
    TrainingJobSpec,
)

Change = Annotated[Decimal, DecimalText("0.0001", "1")]
Annotation = Annotated[str, Text(1024, min_length=0)]


class DriftSignal(SpecModel):
    """One figure that is watched."""

    rules = (
        Rule(
            "self.name.startsWith('reviewed-') || has(self.minDrop) != has(self.minRise)",
            "set exactly one of minDrop or minRise",
        ),
        Rule(
            "!self.name.startsWith('reviewed-') || has(self.minimum) && !has(self.minDrop) && !has(self.minRise)",
            "reviewed-recall and reviewed-precision take minimum alone: they are compared with no baseline",
        ),
        Rule(
            "self.name.startsWith('reviewed-') || !has(self.minimum)",
            "minimum is for reviewed-recall and reviewed-precision: other figures are compared with their baseline",
        ),
        Rule(
            "!(self.name in ['confidence', 'detection-rate']) || has(self.minDrop)",
            "confidence and detection-rate take minDrop: a rise of them is no drift",
        ),
        Rule(
            "self.name != 'empty-frame-rate' || has(self.minRise)",
            "empty-frame-rate takes minRise: a fall of it is no drift",
        ),
    )

    name: Literal[
        "confidence",
        "low-confidence-rate",
        "detection-rate",
        "empty-frame-rate",
        "reviewed-recall",
        "reviewed-precision",
    ]
    """What is watched. confidence: the expected precision of detections, calibrated. low-confidence-rate: the share of
    detections with a confidence of at most 0.5. detection-rate: expected true detections per frame. empty-frame-rate:
    the share of frames without a detection. reviewed-recall, reviewed-precision: the share of objects that are
    found, and of detections that are right, by frames of the random sample that people have reviewed (status.review of
    a Dataset)."""
    min_drop: Change | None = None
    """A smaller fall is no drift, however certain. Of detection-rate: relative, "0.20" is a fifth fewer detections."""
    min_rise: Change | None = None
    """A smaller rise is no drift, however certain. Of detection-rate: relative."""
    minimum: Change | None = None
    """Of reviewed-recall and reviewed-precision: it is drift once the whole 95% interval is below, until the estimate
    is back."""


class RetrainMetadata(SpecModel):
    """Labels and annotations of the TrainingJobs that are made."""

    labels: Annotated[Mapping[str, LabelValue], Field(max_length=32)] = Field(default_factory=dict)
    """Labels, for example kueue.x-k8s.io/queue-name."""
    annotations: Annotated[Mapping[str, Annotation], Field(max_length=32)] = Field(default_factory=dict)
    """Annotations."""


class RetrainSpec(TrainingJobSpec):
    """A TrainingJob's spec. from defaults to what the Rollout has as stable, and dataset to the newest version of the
    model's Dataset, where the namespace has exactly one. Each run makes a new version."""

    rules: ClassVar[tuple[Rule, ...]] = (
        NEEDS_ARCHITECTURE,
        KEEPS_ARCHITECTURE,
        SCRATCH_HAS_NO_PARENT,
        CONTINUE_NEEDS_VERSION,
        Rule("!has(self.version)", "version must be left out: every retraining makes a version of its own"),
    )
    immutable_except: ClassVar[frozenset[str] | None] = None


class RetrainTemplate(SpecModel):
    """The TrainingJob to make."""

    metadata: RetrainMetadata | None = None
    """Its labels and annotations."""
    spec: RetrainSpec
    """Its spec."""


class Retrain(SpecModel):
    """Trains a new version when the model drifts, or on a schedule."""

    template: RetrainTemplate
    """The TrainingJob to make."""
    cooldown: Duration = timedelta(hours=24)
    """At least this long between the start of two retrainings. While the model drifts it doubles, up to 168h, with
    every version that was trained for it and then rejected or rolled back."""
    max_per_week: Annotated[int, Field(ge=1, le=10)] = 3
    """Maximum number of retrainings started within seven days."""
    require_new_data: bool = True
    """Do not retrain on the data that the stable version was trained on: where the template pins every source by its
    sha256, and these are the sources of the stable version; or where it names a Dataset that has fewer than
    minNewImages new or corrected images since."""
    min_new_images: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    """With requireNewData: minimum number of images added to the Dataset, or corrected in it, since the version that
    the stable version was trained on; where it was trained on other data, of images in the Dataset."""
    schedule: CronSchedule | None = None
    """Also retrain on this schedule: minute, hour, day of month, month, day of week (UTC)."""
    suspend: bool = False
    """Watch for drift, but do not retrain automatically."""


class Exposure(SpecModel):
    """How many objects passed, counted by something else than the model: a PLC, a light barrier, a till."""

    query: Annotated[str, Text(4096)]
    """PromQL with one value for each node (label node): objects in the part of the window that ends then, for example
    sum by (node) (increase(plc_parts_total{line="4"}[${part}])). ${namespace}, ${rollout}, ${version} and ${part} are
    filled in."""


_SIGNALS = (
    DriftSignal(name="confidence", min_drop=Decimal("0.05")),
    DriftSignal(name="detection-rate", min_drop=Decimal("0.20")),
)


class Drift(SpecModel):
    """Watches how the stable version does in the field: each node is compared with itself, hour of the day with hour of
    the day."""

    rules = (
        Rule(
            f"!self.baseline.matches('{DURATION_CEL}') || !self.window.matches('{DURATION_CEL}')"
            " || duration(self.baseline) >= duration(self.window) + duration(self.window) + duration(self.window)",
            "baseline must be at least three times window",
        ),
    )

    signals: Annotated[
        tuple[DriftSignal, ...],
        Field(
            min_length=1,
            max_length=8,
            # Atomic, not a map by name: of a map, the entries of the default would stay beside those that a later
            # server-side apply gives, since no manager owns them.
            json_schema_extra={
                "x-kubernetes-list-type": "atomic",
                "default": [signal.to_dict() for signal in _SIGNALS],
            },
        ),
        Constraint(
            "self.all(signal, self.exists_one(other, other.name == signal.name))", "each signal must be named once"
        ),
    ] = _SIGNALS
    """The figures that are watched."""
    nodes: PositiveIntOrPercent = IntOrPercent(30, is_percent=True)
    """Number or share of the nodes with figures that must have drifted; never fewer than 2 of a fleet of 2 or more. The
    median node drifting is enough, too."""
    stratify_by: LabelKey | None = None
    """Key of a node label, for example example.com/site: most nodes with the same value of it drifting are enough,
    too."""
    baseline: Annotated[timedelta, DurationText("3m", "672h")] = timedelta(hours=168)
    """How much of each node's first time on the stable version it is compared with; usable after four and a half
    windows. Whole weeks see what differs between weekdays and weekends."""
    window: Annotated[timedelta, DurationText("1m", "168h")] = timedelta(hours=24)
    """The period in which traffic and light repeat themselves, and over which figures are averaged. It is divided into
    24 parts, each of which is compared with the same part of earlier windows."""
    sustain: Annotated[timedelta, DurationText("0s", "168h")] = timedelta(hours=24)
    """How long drift must last before it is declared; and to be over, before it is taken back."""
    exposure: Exposure | None = None
    """With a count from elsewhere, detection-rate is what is found of the objects that passed, and no longer depends on
    traffic: a fall of it is drift, compared hour by hour."""
    provider: DNSLabel | None = None
    """Name of the metrics provider in the operator's settings (prometheus.providers); default: the operator's
    default."""
    retrain: Retrain | None = None
    """Train a new version when the model drifts."""
