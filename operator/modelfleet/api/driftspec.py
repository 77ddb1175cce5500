"""The part of a Rollout that watches for drift and retrains."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api.base import Rule, SpecModel
from modelfleet.api.common import CronSchedule, LabelValue
from modelfleet.api.quantities import DecimalText, Duration, IntOrPercent, PositiveIntOrPercent, Text
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

    rules = (Rule("has(self.minDrop) != has(self.minRise)", "set exactly one of minDrop or minRise"),)

    name: Literal["confidence", "low-confidence-rate", "detection-rate", "empty-frame-rate"]
    """The figure: confidence, low-confidence-rate, detection-rate or empty-frame-rate."""
    min_drop: Change | None = None
    """A drop by less than this is no drift, however certain."""
    min_rise: Change | None = None
    """A rise by less than this is no drift, however certain."""


class RetrainMetadata(SpecModel):
    """Labels and annotations of the TrainingJobs that are made."""

    labels: Annotated[Mapping[str, LabelValue], Field(max_length=32)] = Field(default_factory=dict)
    """Labels, for example kueue.x-k8s.io/queue-name."""
    annotations: Annotated[Mapping[str, Annotation], Field(max_length=32)] = Field(default_factory=dict)
    """Annotations."""


class RetrainSpec(TrainingJobSpec):
    """A TrainingJob's spec; from defaults to what the Rollout has as stable, and each run makes a new version."""

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
    """Trains a new version when the model drifts, or by the calendar."""

    template: RetrainTemplate
    """The TrainingJob to make."""
    cooldown: Duration = timedelta(hours=24)
    """At least so long between the start of two retrainings."""
    max_per_week: Annotated[int, Field(ge=1, le=1000)] = 3
    """At most so many retrainings in seven days."""
    schedule: CronSchedule | None = None
    """Also retrain by this calendar: minute, hour, day of month, month, day of week (UTC)."""
    suspend: bool = False
    """Watch, but don't retrain."""


class Drift(SpecModel):
    """Watches how the stable version does in the field."""

    signals: Annotated[
        tuple[DriftSignal, ...],
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """What is watched."""
    nodes: PositiveIntOrPercent = IntOrPercent(30, is_percent=True)
    """So many nodes must agree, or the fleet's median node."""
    retrain: Retrain | None = None
    """Train a new version when drift is found."""
