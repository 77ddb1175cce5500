"""A Rollout and its pods as what is shown of them: one frozen object, made from raw objects alone. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from kubectl_modelfleet.failures import Failure
from kubectl_modelfleet.pods import NodeState, NodeView, node_view
from modelfleet.api import conditions
from modelfleet.api.conditions import Condition
from modelfleet.api.foreign import first_error
from modelfleet.api.gatespec import Comparison
from modelfleet.api.reasons import NOTHING_TO_USE
from modelfleet.api.rolloutstatus import (
    DriftStatus,
    GateStatus,
    GroupStatus,
    HistoryEntry,
    Quarantined,
    RolloutStatus,
    is_of_model,
)

Json = Mapping[str, Any]


class Standing(StrEnum):
    """How a Rollout stands, after its kstatus conditions."""

    READY = "Ready"
    DEGRADED = "Degraded"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PENDING = "Pending"
    """The operator has not seen it, or not its newest spec."""
    DELETING = "Deleting"
    """It goes as soon as what it waits for is gone: the operator acts on it no more."""


@dataclass(frozen=True)
class GroupView:
    """One group, with the nodes that have a pod of it."""

    status: GroupStatus
    approval: str
    current: bool
    nodes: tuple[NodeView, ...]


@dataclass(frozen=True)
class RolloutView:
    """Everything that the tree, the lines and `status` are made from.

    margin  of the gate that is active: the largest loss of expected precision that it accepts; None without comparison
    finalizers  what has to let it go before it can be deleted
    cluster the options that chose the cluster, as they were given (" --context=line"): for commands that are advised
    chosen  so was the namespace: it need not be the one that a command without -n works in
    """

    name: str
    namespace: str
    model: str
    pinned: str | None
    tag: str | None
    paused: bool
    retrains: bool
    standing: Standing
    ready: Condition | None
    status: RolloutStatus
    groups: tuple[GroupView, ...]
    margin: Decimal | None
    finalizers: tuple[str, ...] = ()
    cluster: str = ""
    chosen: bool = False

    def advised(self, command: str) -> str:
        """A command of this CLI as whoever reads it can run it: in the same namespace, of the same cluster."""
        namespace = f" -n {self.namespace}" if self.chosen else ""
        return f"kubectl modelfleet {command}{namespace}{self.cluster}"

    @property
    def message(self) -> str:
        """What is the matter, in the operator's words."""
        if self.standing is Standing.DELETING:
            return f"It is being deleted, and waits for its finalizers: {', '.join(self.finalizers)}."
        if self.standing is Standing.PENDING:
            behind = self.status.observed_generation is not None
            return (
                "Waiting for the modelfleet operator to see the newest spec."
                if behind
                else f"Waiting for the modelfleet operator: {self.advised('check')} says whether it runs."
            )
        return self.ready.message if self.ready is not None else ""

    @property
    def reason(self) -> str:
        """The reason of the condition Ready."""
        return self.ready.reason if self.ready is not None else "Pending"

    @property
    def unasked(self) -> bool:
        """The spec comes to nothing that can be used. What is on its way is not promoted, whatever is said of it."""
        return self.reason in NOTHING_TO_USE

    @property
    def moving(self) -> str | None:
        """The version that is on its way, or was left where it failed."""
        return self.status.candidate_version

    @property
    def stable_model(self) -> str:
        """The model of what is stable: not that of the spec where the Rollout goes to another one."""
        return self.status.stable_model or self.model

    @property
    def stable(self) -> str | None:
        """What is stable, where that is a version of the spec's model: its name alone says nothing."""
        return self.status.stable_version if self.stable_model == self.model else None

    @property
    def stable_called(self) -> str:
        """What is stable by its name, with its model where that is not the spec's; "nothing" where nothing is."""
        return self._called(self.status.stable_version, self.stable_model) or "nothing"

    @property
    def moving_called(self) -> str:
        """The same of what is on its way; empty where nothing is."""
        return self._called(self.moving, self.moving_model)

    @property
    def moving_model(self) -> str:
        """The model of what is on its way."""
        return self.status.candidate_model or self.model

    @property
    def moves_stable(self) -> bool:
        """What is on its way is the stable version, with another template."""
        stable = self.status.stable_version, self.stable_model
        return self.moving is not None and (self.moving, self.moving_model) == stable

    def runs_moving(self, group: GroupStatus) -> bool:
        """Whether a group's nodes should run what is on its way."""
        return group.version == self.moving and (group.model or self.moving_model) == self.moving_model

    def group_called(self, group: GroupStatus) -> str:
        """The version of a group by its name, with its model where that is not the spec's."""
        return self._called(group.version, group.model or self.model) or "nothing"

    def _called(self, version: str | None, model: str) -> str:
        if version is None:
            return ""
        return version if model == self.model else f"{version} of {model}"

    @property
    def failures(self) -> tuple[Quarantined, ...]:
        """What failed of the model that the spec names, newest first."""
        return tuple(entry for entry in self.status.quarantined if self.is_of_model(entry))

    @property
    def quarantined(self) -> tuple[str, ...]:
        """The versions that failed, newest first."""
        return tuple(dict.fromkeys(entry.version for entry in self.failures))

    def stopped(self, version: str) -> Quarantined | None:
        """Why a version is not rolled out; None where it may be. What failed with one template alone (`revision`) stops
        no other one of the same version."""
        alone = (None, self.status.candidate_revision)
        return next((each for each in self.failures if each.version == version and each.revision in alone), None)

    def reservation(self, version: str) -> str:
        """What stops a version that nothing else stops, should the spec have the template that it failed with; empty
        where it failed with none. Which template that is, a Rollout does not say."""
        failed = next((each for each in self.failures if each.version == version), None)
        if failed is None or failed.revision is None:
            return ""
        return (
            f"{version} failed with the template of {failed.revision}: where the spec has that one, it is not rolled"
            f" out before {self.advised(f'retry {self.name} {version}')}."
        )

    def called(self, entry: Quarantined | HistoryEntry) -> str:
        """A version of the past by its name, with what else tells it from others of that name."""
        of = "" if self.is_of_model(entry) else f" of {entry.model}"
        revision = entry.revision if isinstance(entry, Quarantined) else None
        return f"{entry.version}{of}" + (f" (with the template of {revision})" if revision is not None else "")

    def is_of_model(self, entry: Quarantined | HistoryEntry) -> bool:
        """Whether a version is one of the model that the spec names."""
        return is_of_model(entry.model, self.model)

    def gate(self) -> GateStatus | None:
        """The judgement to show: of the group that the candidate is in, or the last one."""
        return self.status.gate

    def drift(self) -> DriftStatus | None:
        """What the watch for drift sees."""
        return self.status.drift


def view(rollout: Json, pods: Iterable[Json] = (), cluster: str = "", *, chosen: bool = False) -> RolloutView:
    """Raises Failure where the status is of a release that this CLI can't read."""
    metadata, spec = rollout["metadata"], rollout["spec"]
    try:
        status = RolloutStatus.model_validate(rollout.get("status") or {})
    except ValidationError as error:
        raise Failure(
            f"the status of Rollout {metadata['name']} can't be read: {first_error(error)}. "
            f"Is this CLI older than the operator? (kubectl modelfleet check{cluster})"
        ) from error
    nodes = sorted((node_view(pod) for pod in pods), key=_troubled_first)
    wanted = {group["name"]: group for group in spec["groups"]}
    groups = tuple(
        GroupView(
            status=group,
            approval=wanted.get(group.name, {}).get("approval", "Automatic"),
            current=group.name == status.current_group,
            nodes=tuple(node for node in nodes if node.group == group.name),
        )
        for group in status.groups or [GroupStatus(name=name, phase="Pending") for name in wanted]
    )
    return RolloutView(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        model=spec["model"]["name"],
        pinned=spec["model"].get("version"),
        tag=spec["model"].get("tag"),
        paused=bool(spec.get("paused")),
        retrains=bool((spec.get("drift") or {}).get("retrain")),
        standing=_standing(status, metadata),
        ready=conditions.find(status.conditions, conditions.READY),
        status=status,
        groups=groups,
        margin=_margin(spec, wanted.get(status.gate.group) if status.gate is not None else None),
        finalizers=tuple(metadata.get("finalizers", ())),
        cluster=cluster,
        chosen=chosen,
    )


def _standing(status: RolloutStatus, metadata: Json) -> Standing:
    if "deletionTimestamp" in metadata:
        return Standing.DELETING
    generation = metadata.get("generation", 0)
    ready = conditions.find(status.conditions, conditions.READY)
    if status.observed_generation is None or status.observed_generation < generation or ready is None:
        return Standing.PENDING
    if ready.is_true:
        return Standing.READY
    if conditions.is_true(status.conditions, conditions.STALLED):
        return Standing.STALLED
    return Standing.RECONCILING if conditions.is_true(status.conditions, conditions.RECONCILING) else Standing.DEGRADED


def _margin(spec: Json, group: Json | None) -> Decimal | None:
    comparison = (spec.get("gate") or {}).get("comparison")
    override = ((group or {}).get("gate") or {}).get("comparison")
    if comparison is None and override is None:
        return None
    margin = (override or {}).get("margin") or (comparison or {}).get("margin")
    return Decimal(margin) if margin is not None else Comparison().margin


def _troubled_first(node: NodeView) -> tuple[int, str]:
    order = (NodeState.PROBLEM, NodeState.STARTING, NodeState.ENDING, NodeState.READY)
    return order.index(node.state), node.name
