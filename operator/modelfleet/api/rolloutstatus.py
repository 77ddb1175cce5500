"""What modelfleet reports about a Rollout. Nothing in it grows with the fleet or with time."""

from typing import Annotated, Literal

from pydantic import Field

from modelfleet.api.base import StatusModel
from modelfleet.api.conditions import Conditions
from modelfleet.api.gatespec import Verdict
from modelfleet.api.modelversion import RetrainTrigger
from modelfleet.api.quantities import Fraction, Message, Number, ShortText, Time, clip_list
from modelfleet.api.replay import ReplayStatus

Count = Annotated[int, Field(ge=0)]


def is_of_model(named: str | None, model: str) -> bool:
    """Whether a version is one of `model`, by the model that a status names with it. An older release named none: it
    meant the spec's."""
    return named in (model, None)


class GroupStatus(StatusModel):
    """Where one group stands."""

    name: ShortText
    """Name of the group."""
    phase: ShortText | None = None
    """Where the group stands; for display only."""
    version: ShortText | None = None
    """The version that the group's nodes should run."""
    model: ShortText | None = None
    """The model that it is a version of."""
    revision: ShortText | None = None
    """The revision (version, template, delivery) that the group's nodes should run."""
    nodes: Count = 0
    """Nodes that belong to the group."""
    updated: Count = 0
    """Nodes with a pod of the revision."""
    ready: Count = 0
    """Nodes with a ready pod of the revision."""
    unreachable: Count = 0
    """Nodes that are out of reach now; they catch up when they return."""
    started_at: Time | None = None
    """When the group was given this revision."""
    ready_at: Time | None = None
    """When its reachable nodes were all updated and ready: the soak counts from here."""
    reason: Message | None = None
    """What the group waits for."""
    passed: Message | None = None
    """What the gate said of this revision when it went on from here to the next group."""


class ProductionCalibration(StatusModel):
    """What a version's confidence was worth in production when the gate started, by reviewed frames."""

    dataset: ShortText
    """The Dataset that has it in status.review."""
    version: ShortText
    """The version that the frames are of."""
    frames: Count = 0
    """Reviewed frames."""
    precision: Annotated[
        tuple[Fraction, ...],
        Field(min_length=10, max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ]
    """The share of right detections in each bucket of the metrics."""


class GateStatus(StatusModel):
    """The judgement of the group in which a new version is now."""

    group: ShortText
    """The group that is judged."""
    version: ShortText | None = None
    """The version that is judged."""
    started_at: Time | None = None
    """When the judging began; every look can be computed again from here."""
    production: ProductionCalibration | None = None
    """The calibration by reviewed frames that all looks of this gate go by; none: that of the holdout."""
    verdict: Verdict | None = None
    """Pass, Fail, Inconclusive, NoData or ProviderDown."""
    since: Time | None = None
    """Since when the verdict is what it is."""
    method: ShortText | None = None
    """How it was judged: Permutation, Threshold or checks alone."""
    message: Message | None = None
    """Why, in words."""
    looks: Count = 0
    """Looks at the metrics so far."""
    canary_nodes: Count = 0
    """Nodes with the new version that counted."""
    control_nodes: Count = 0
    """Nodes with the old version that counted."""
    detections: Count = 0
    """Detections of the new version that were judged."""
    estimate: Number | None = None
    """Estimated difference of expected precision, new minus old."""
    interval: (
        Annotated[
            tuple[Number, ...],
            Field(min_length=2, max_length=2, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        ]
        | None
    ) = None
    """Lower and upper bound of the difference."""


class DriftSignalStatus(StatusModel):
    """One figure of the median node, compared with its own baseline; or one by reviewed frames."""

    name: ShortText
    """The figure."""
    change: Number | None = None
    """By how much it has changed; of detection-rate: relative. Of reviewed-recall and reviewed-precision: the figure
    itself; none: it can't be measured."""
    threshold: Number | None = None
    """The change from which on a node counts as drifted; of reviewed-recall and reviewed-precision: the minimum."""


class DriftStratum(StatusModel):
    """Nodes with one value of the label drift.stratifyBy."""

    name: ShortText
    """The value."""
    nodes: Count = 0
    """Nodes with figures."""
    nodes_down: Count = 0
    """Nodes that have drifted."""


class Retraining(StatusModel):
    """A TrainingJob that was made automatically, or on somebody's word."""

    training_job: ShortText
    """Its name."""
    trigger: RetrainTrigger
    """What it was made for."""
    stable_version: ShortText
    """The version that was stable then."""
    since: Time | None = None
    """Since when that version had drifted."""
    cause: Message = ""
    """Why, in words."""
    at: Time
    """When it was made."""
    data: Annotated[
        tuple[ShortText, ...], Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"}), clip_list(3)
    ] = ()
    """What it trains on: the first 3 sources."""
    result: Literal["Complete", "Failed"] | None = None
    """How it ended."""


class RetrainStatus(StatusModel):
    """Whether the next retraining may start."""

    reason: ShortText | None = None
    """What it waits for, as a CamelCase word."""
    until: Time | None = None
    """When that is over, where it is known."""
    next: Time | None = None
    """The next time of drift.retrain.schedule; one that is held back stays for six hours."""
    message: Message = ""
    """The same in words."""


class DriftStatus(StatusModel):
    """What the watch for drift sees."""

    state: ShortText | None = None
    """Learning, Steady, Suspected, Drifting, MoreConfident, FewerObjects or Paused; for display only."""
    since: Time | None = None
    """Since when."""
    version: ShortText | None = None
    """The stable version that is watched."""
    revision: ShortText | None = None
    """The ControllerRevision that is watched."""
    learning_until: Time | None = None
    """When enough nodes have a baseline, if their figures keep coming."""
    baseline_from: Time | None = None
    """The beginning of the baseline."""
    nodes: Count = 0
    """Nodes with figures and a baseline."""
    nodes_down: Count = 0
    """Nodes that have drifted."""
    nodes_alone: Count = 0
    """Those that have for long enough while the fleet as a whole has not."""
    strata: Annotated[
        tuple[DriftStratum, ...],
        Field(max_length=5, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(5),
    ] = ()
    """The values of drift.stratifyBy in which most nodes have drifted, at most 5."""
    signals: Annotated[
        tuple[DriftSignalStatus, ...],
        Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(8),
    ] = ()
    """The figures, of the median node."""
    examples: Annotated[
        tuple[ShortText, ...],
        Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(3),
    ] = ()
    """Nodes that have drifted most, at most 3."""
    declared_by: Annotated[
        tuple[ShortText, ...],
        Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(3),
    ] = ()
    """Where reviewed frames are watched: what keeps drift declared. figures (of the nodes), reviewed-recall,
    reviewed-precision."""
    message: Message = ""
    """What is seen, in words."""
    retrain: RetrainStatus | None = None
    """Whether the next retraining may start."""
    retrainings: Annotated[
        tuple[Retraining, ...],
        Field(max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(10),
    ] = ()
    """The retrainings, the newest 10, newest first."""


class Quarantined(StatusModel):
    """A version (or, where only the template changed, a revision) that failed."""

    version: ShortText
    """The version."""
    model: ShortText | None = None
    """The model that it is a version of."""
    revision: ShortText | None = None
    """The revision, where only that one is quarantined."""
    reason: Message = ""
    """Why."""
    at: Time
    """Since when."""


class HistoryEntry(StatusModel):
    """One rollout of the past."""

    version: ShortText
    """The version that was rolled out."""
    model: ShortText | None = None
    """The model that it is a version of."""
    result: Literal["Promoted", "RolledBack", "Aborted", "Superseded", "Installed"]
    """How it ended."""
    started_at: Time | None = None
    """When it began."""
    finished_at: Time | None = None
    """When it ended."""
    message: Message = ""
    """Why it ended so."""


ShortList = Annotated[
    tuple[ShortText, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}), clip_list(16)
]


class RolloutStatus(StatusModel):
    """Where the rollout stands."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status speaks of."""
    phase: ShortText | None = None
    """Where the rollout stands; for display only."""
    summary: ShortText | None = None
    """How far it is, in a few words; for display only. The condition Ready has the whole message."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled; DriftDetected while drift is watched for."""
    stable_version: ShortText | None = None
    """The version that the fleet is known to be well on."""
    stable_model: ShortText | None = None
    """The model that it is a version of: not the one in spec.model where the Rollout goes to another one."""
    stable_revision: ShortText | None = None
    """The ControllerRevision of the stable version, its template and its delivery."""
    candidate_version: ShortText | None = None
    """The version on its way through the groups."""
    candidate_model: ShortText | None = None
    """The model that it is a version of."""
    candidate_revision: ShortText | None = None
    """The ControllerRevision on its way through the groups."""
    current_group: ShortText | None = None
    """The group that the candidate is in."""
    groups: Annotated[
        tuple[GroupStatus, ...],
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        ),
        clip_list(16),
    ] = ()
    """The groups, in order."""
    gate: GateStatus | None = None
    """The judgement of the current group."""
    drift: DriftStatus | None = None
    """What the watch for drift sees."""
    replay: ReplayStatus | None = None
    """What the replay of the new version found."""
    approved: ShortList = ()
    """Versions that modelfleet.dev/approve allowed, the newest first."""
    promoted: ShortList = ()
    """Versions that modelfleet.dev/promote let past the remaining gates, the newest first."""
    retried: ShortList = ()
    """Values of modelfleet.dev/retry (version@nonce) that lifted a quarantine, the newest first."""
    quarantined: Annotated[
        tuple[Quarantined, ...],
        Field(max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(10),
    ] = ()
    """The versions that failed, the newest 10, newest first."""
    history: Annotated[
        tuple[HistoryEntry, ...],
        Field(max_length=10, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        clip_list(10),
    ] = ()
    """The rollouts of the past, the newest 10, newest first."""
