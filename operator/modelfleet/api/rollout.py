"""Rollout: the desired model of one fleet application, and how a new version reaches it."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelfleet.api.base import Rule, SpecModel, StatusModel
from modelfleet.api.common import CronSchedule, DNSLabel, LabelSelector, NodePodTemplate, ObjectMeta
from modelfleet.api.delivery import Delivery, DeliveryOverride
from modelfleet.api.driftspec import Drift
from modelfleet.api.gatespec import Gate, GateOverride
from modelfleet.api.quantities import DURATION_CEL, DurationText, IntOrPercent, Text
from modelfleet.api.replay import Replay
from modelfleet.api.rolloutstatus import RolloutStatus


class ModelSelection(SpecModel):
    """Which version of which model the fleet should run."""

    rules = (
        Rule(
            "has(self.version) != has(self.tag)",
            "set exactly one of version (stay on it) or tag (follow it; latest follows the newest Ready version)",
        ),
    )

    name: DNSLabel
    """The model (family)."""
    version: DNSLabel | None = None
    """Stay on this version."""
    tag: DNSLabel | None = None
    """Follow the newest Ready version that carries this tag; latest follows the newest Ready version.
    A version without a file that some group can load is passed over, and the status says so."""


def _not_zero(field: str) -> str:
    """CEL: a number of nodes, or a share of them, is not 0."""
    return f"(type({field}) == int ? {field} > 0 : !{field}.matches('^0+%$'))"


class Group(SpecModel):
    """Some of the nodes: a step of every rollout."""

    rules = (
        Rule(
            f"{_not_zero('self.maxUnavailable')} != {_not_zero('self.maxSurge')}",
            "exactly one of maxUnavailable and maxSurge must be 0, as in a DaemonSet: with maxSurge: 1 set"
            " maxUnavailable: 0 beside it",
        ),
    )

    name: DNSLabel
    """Name of the group, for example canary. The DaemonSet is called <rollout>-<group>."""
    node_selector: LabelSelector
    """The nodes. A node belongs to the first group that it matches."""
    max_unavailable: IntOrPercent = IntOrPercent(1)
    """Maximum number of nodes updated at once; unreachable nodes don't count. 0 where maxSurge is set."""
    max_surge: IntOrPercent = IntOrPercent(0)
    """Maximum number of nodes on which a pod of the new version starts beside the old one, which goes once the new one
    is ready. For cameras that two pods can open; a node needs room for both. Needs maxUnavailable: 0."""
    approval: Literal["Automatic", "Manual"] = "Automatic"
    """Manual asks before a version leaves this group: annotate the Rollout with modelfleet.dev/approve: <version>."""
    gate: GateOverride | None = None
    """Overrides spec.gate, field by field."""
    delivery: DeliveryOverride | None = None
    """Overrides spec.delivery, field by field."""


class Window(SpecModel):
    """A time in which updates may start."""

    cron: CronSchedule
    """When the window opens: minute, hour, day of month, month, day of week."""
    duration: Annotated[timedelta, DurationText("1m", "168h")]
    """How long it stays open."""
    time_zone: Annotated[
        str, Text(64, r"^[A-Za-z][A-Za-z0-9_+/-]*$", "must be a name of the time zone database, such as Europe/Rome")
    ] = "UTC"
    """The time zone that the cron expression is in."""


class RollbackPolicy(SpecModel):
    """When to roll back automatically."""

    on_failure: bool = True
    """Go back to the stable version when a version fails; otherwise stop and wait."""


def _resolved(name: str) -> str:
    """CEL: what a gate's field is for the group `g`."""
    return f"(has(g.gate) && has(g.gate.{name}) ? g.gate.{name} : self.gate.{name})"


class RolloutSpec(SpecModel):
    """The desired model of one fleet application, and how a new version reaches it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # a malformed duration has a message of its own
            f"self.groups.all(g, [{_resolved('soak')}, {_resolved('timeout')}].exists(d, !d.matches('{DURATION_CEL}'))"
            f" || duration({_resolved('soak')}) < duration({_resolved('timeout')}))",
            "gate.timeout must be longer than gate.soak in every group, or no verdict could ever come in time",
        ),
        Rule(
            "has(self.template.spec) && has(self.template.spec.containers)"
            " && self.groups.all(g, self.template.spec.containers.exists(c, c.name =="
            " (has(g.delivery) && has(g.delivery.container) ? g.delivery.container : self.delivery.container)))",
            "template.spec.containers must hold the container that delivery.container names (default: agent)",
        ),
        Rule(
            "!has(self.drift) || !has(self.drift.retrain) || self.drift.retrain.template.spec.model == self.model.name",
            "drift.retrain must train the model that the Rollout runs: set its template's spec.model to model.name",
        ),
        Rule(
            "!has(self.delivery.capture) || !has(self.delivery.capture.whenDrifting) || has(self.drift)",
            "delivery.capture.whenDrifting needs spec.drift: without it nothing is watched for drift; drift: {} takes"
            " all defaults",
        ),
        Rule(
            "!has(self.delivery.live) || !self.delivery.live.enabled || !has(self.template.spec)"
            " || !has(self.template.spec.hostNetwork) || !self.template.spec.hostNetwork",
            "delivery.live can't be enabled with hostNetwork: true: the page listens on 127.0.0.1, which would be the"
            " node's own, open to every process there. Leave out one of the two",
        ),
        Rule(
            # one rule for each, so that each costs the API server little
            f"!self.groups.exists(g, {_not_zero('g.maxSurge')}) || !has(self.template.spec)"
            " || !has(self.template.spec.hostNetwork) || !self.template.spec.hostNetwork",
            "groups[].maxSurge can't be set with hostNetwork: true: two pods on a node would want the same ports of the"
            " node. Leave out one of the two",
        ),
        *(
            Rule(
                f"!self.groups.exists(g, {_not_zero('g.maxSurge')}) || !has(self.template.spec)"
                f" || !has(self.template.spec.{containers}) || self.template.spec.{containers}.all(c,"
                " !has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0))",
                f"groups[].maxSurge can't be set with a hostPort ({containers}): no node takes a second pod that wants"
                " the same port. Leave out one of the two",
            )
            for containers in ("containers", "initContainers")
        ),
        Rule(
            "!has(self.delivery.live) || !self.delivery.live.enabled || !self.delivery.live.mask"
            " || has(self.delivery.capture)",
            "delivery.live.mask hides the areas of delivery.capture.image.mask, and there is no delivery.capture: set"
            " live.mask to false to show everything, or set capture",
        ),
        Rule(
            "!has(self.replay) || has(self.delivery.capture)",
            "replay compares versions on the frames of delivery.capture, and there is no delivery.capture: set it, or"
            " leave out replay",
        ),
    )

    model: ModelSelection
    """Which version of which model the fleet should run."""
    groups: Annotated[
        tuple[Group, ...],
        Field(
            min_length=1,
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The steps of every rollout, in order; for example canary, then fleet."""
    template: NodePodTemplate
    """The pod template of the application, as in a DaemonSet."""
    delivery: Delivery = Field(default_factory=Delivery, json_schema_extra={"default": {}})
    """How the model's file reaches the application, and what comes back."""
    gate: Gate = Field(default_factory=Gate, json_schema_extra={"default": {}})
    """When a version may leave a group."""
    min_reachable: IntOrPercent = IntOrPercent(50, is_percent=True)
    """Minimum number of a group's nodes that must be reachable and updated before the group counts as done."""
    progress_deadline: Annotated[timedelta, DurationText("10s", "168h")] = timedelta(minutes=10)
    """A reachable node that is not ready on the new version by then fails the version."""
    windows: Annotated[
        tuple[Window, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = ()
    """When updates may start; left out: at any time. Rolling back never waits."""
    paused: bool = False
    """Hold where the rollout stands. Rolling back never waits."""
    rollback: RollbackPolicy = Field(default_factory=RollbackPolicy, json_schema_extra={"default": {}})
    """When to roll back automatically."""
    revision_history_limit: Annotated[int, Field(ge=1, le=100)] = 10
    """How many old revisions (version, template, delivery) are kept."""
    drift: Drift | None = None
    """Watches the stable version for drift, and retrains."""
    replay: Replay | None = None
    """Compares a new version with the stable one on captured frames before it enters the first group."""


class Rollout(StatusModel):
    """The desired model of one fleet application, and how a new version reaches it: group by group, judged in each."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.metadata.name.size() <= 52 && !self.metadata.name.contains('.')",
            "metadata.name must be at most 52 characters without dots: names and labels of pods are made from it",
            field_path=".metadata.name",
        ),
        Rule(
            "self.spec.groups.all(g, self.metadata.name.size() + g.name.size() < 63)",
            "<rollout>-<group> must be at most 63 characters: it names the group's DaemonSet",
            "'the group names must be shorter: ' + self.metadata.name + '-<group> names the DaemonSet"
            " and must be at most 63 characters'",
            field_path=".spec.groups",
        ),
    )

    api_version: Literal["modelfleet.dev/v1alpha1"] = "modelfleet.dev/v1alpha1"
    kind: Literal["Rollout"] = "Rollout"
    metadata: ObjectMeta
    spec: RolloutSpec
    status: RolloutStatus = Field(default_factory=RolloutStatus)
