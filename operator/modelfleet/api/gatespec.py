"""The part of a Rollout that says when a version may go on: soak, comparison, checks."""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.base import Rule, SpecModel
from modelfleet.api.common import DNSLabel, LabelKey
from modelfleet.api.quantities import DecimalText, Duration, DurationText, Number, Text

Interval = Annotated[timedelta, DurationText("1s", "24h")]
Margin = Annotated[Decimal, DecimalText("0.0001", "1")]
Alpha = Annotated[Decimal, DecimalText("0.0001", "0.5")]
Detections = Annotated[int, Field(ge=1, le=1_000_000_000)]
NodeCount = Annotated[int, Field(ge=1, le=1_000_000)]


class ComparisonMethod(StrEnum):
    """How canary and control nodes are compared."""

    AUTO = "Auto"
    PERMUTATION = "Permutation"
    THRESHOLD = "Threshold"


class Verdict(StrEnum):
    """What a gate says about a version."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    NO_DATA = "NoData"
    PROVIDER_DOWN = "ProviderDown"


class NoDataPolicy(StrEnum):
    """What happens when the gate has nothing to look at."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class TimeoutPolicy(StrEnum):
    """What happens when the gate came to no verdict in time."""

    PAUSE = "Pause"
    ROLLBACK = "Rollback"


class Comparison(SpecModel):
    """Compares nodes on the new version with nodes that still run the old one, at the same time."""

    method: ComparisonMethod = ComparisonMethod.AUTO
    """Permutation tests node against node and needs about 20 nodes; Threshold compares pooled figures with the margin;
    Auto takes Permutation where there are enough nodes."""
    margin: Margin = Decimal("0.03")
    """The largest loss of expected precision that is acceptable."""
    alpha: Alpha = Decimal("0.05")
    """The share of wrong decisions that is acceptable (Permutation)."""
    min_detections: Detections = 300
    """Detections that a node must have to count."""
    min_nodes: NodeCount = 1
    """Nodes that must count on each side."""
    stratify_by: LabelKey | None = None
    """Key of a node label, for example example.com/site: canary nodes are compared with control nodes that have the
    same value of it (Permutation). Nodes without the label are compared among themselves."""


class ComparisonOverride(SpecModel):
    """What one group compares differently."""

    method: ComparisonMethod | None = None
    """Overrides spec.gate.comparison.method."""
    margin: Margin | None = None
    """Overrides spec.gate.comparison.margin."""
    alpha: Alpha | None = None
    """Overrides spec.gate.comparison.alpha."""
    min_detections: Detections | None = None
    """Overrides spec.gate.comparison.minDetections."""
    min_nodes: NodeCount | None = None
    """Overrides spec.gate.comparison.minNodes."""
    stratify_by: LabelKey | None = None
    """Overrides spec.gate.comparison.stratifyBy."""


class Check(SpecModel):
    """A PromQL guardrail: any figure of the canary that must stay inside bounds."""

    rules = (Rule("has(self.min) || has(self.max)", "set min, max or both"),)

    name: DNSLabel
    """The check's name in messages."""
    query: Annotated[str, Text(4096)]
    """PromQL that gives one number. ${namespace}, ${rollout}, ${group}, ${model} and ${version} are filled in."""
    min: Number | None = None
    """A value below this is a failure."""
    max: Number | None = None
    """A value above this is a failure."""
    failure_limit: Annotated[int, Field(ge=0, le=10_000)] = 0
    """The check fails when more looks than this were failures."""


Checks = Annotated[
    tuple[Check, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]


class Gate(SpecModel):
    """When a version may leave a group."""

    soak: Duration = timedelta(hours=1)
    """The version runs at least this long in each group."""
    interval: Interval = timedelta(minutes=1)
    """Time between two looks at the metrics."""
    timeout: Duration = timedelta(hours=6)
    """Without a verdict by then, onTimeout says what happens."""
    comparison: Comparison | None = None
    """Compares with the nodes still on the old version; left out: the checks alone judge."""
    checks: Checks = ()
    """PromQL guardrails."""
    on_no_data: NoDataPolicy = NoDataPolicy.HOLD
    """What happens when there is nothing to look at: Hold or Rollback. Never a promotion."""
    on_provider_down: Literal["Hold"] = "Hold"
    """What happens while Prometheus can't be reached: Hold. A fault of the monitoring says nothing about the model."""
    on_timeout: TimeoutPolicy = TimeoutPolicy.PAUSE
    """What happens without a verdict in time: Pause or Rollback."""
    provider: DNSLabel | None = None
    """Name of the metrics provider in the operator's settings (prometheus.providers); left out: the operator's default.
    Never an address: whom the operator talks to, and with which credentials, is for its administrator to say."""


class GateOverride(SpecModel):
    """What one group judges differently, field by field."""

    soak: Duration | None = None
    """Overrides spec.gate.soak."""
    interval: Interval | None = None
    """Overrides spec.gate.interval."""
    timeout: Duration | None = None
    """Overrides spec.gate.timeout."""
    comparison: ComparisonOverride | None = None
    """Overrides spec.gate.comparison, field by field."""
    checks: Checks | None = None
    """Replaces spec.gate.checks."""
    on_no_data: NoDataPolicy | None = None
    """Overrides spec.gate.onNoData."""
    on_provider_down: Literal["Hold"] | None = None
    """Overrides spec.gate.onProviderDown."""
    on_timeout: TimeoutPolicy | None = None
    """Overrides spec.gate.onTimeout."""
    provider: DNSLabel | None = None
    """Overrides spec.gate.provider."""
