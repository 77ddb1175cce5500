"""Whose figures are read: nodes of one Rollout, in two sides that each have a version. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

CANARY, CONTROL = 0, 1
"""The sides' places wherever both are kept in one structure."""

NodeKey = tuple[int, str]
"""Side and node."""


@dataclass(frozen=True)
class Side:
    """Some groups of a Rollout and the version that their nodes should run."""

    groups: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Sides:
    """A comparison of nodes of one Rollout. `control` None: there is nobody to compare with."""

    namespace: str
    rollout: str
    canary: Side
    control: Side | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups whose figures are needed."""
        return self.canary.groups + (self.control.groups if self.control is not None else ())

    @property
    def before_the_update(self) -> "Sides":
        """The same nodes when those of the canary side ran the control side's version, too."""
        if self.control is None:
            return self
        return replace(self, canary=replace(self.canary, version=self.control.version))

    def of(self, labels: Mapping[str, str]) -> int | None:
        """The side that a series with these labels belongs to: CANARY, CONTROL, or None for neither."""
        group, version = labels.get("group", ""), labels.get("version", "")
        if group in self.canary.groups and version == self.canary.version:
            return CANARY
        if self.control is not None and group in self.control.groups and version == self.control.version:
            return CONTROL
        return None


def node_of(labels: Mapping[str, str]) -> str:
    """The node that a series speaks of, as the application named it; empty where nobody did."""
    return labels.get("exported_node", "") or labels.get("node", "")
