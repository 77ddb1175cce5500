"""Which Rollouts use a ModelVersion, and as what. Pure.

A Rollout uses what it has as stable, its candidate, what any of its groups should run, and the version it would fall
back to: the last one before the stable that went through all groups. All of that stands in its status, and is read
from there raw: to find the users of a version must not mean to parse every Rollout of the model.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from modelfleet.api import UsedBy

Role = Literal["Stable", "Candidate", "Previous"]

MOST = 100
"""So many users are named."""

_WENT_THROUGH = frozenset({"Promoted", "Installed"})


@dataclass(frozen=True)
class Uses:
    """How many Rollouts use a version, and the first of them by name, at most `MOST`."""

    total: int = 0
    first: tuple[UsedBy, ...] = ()

    def __bool__(self) -> bool:
        return self.total > 0


def uses(version: str, rollouts: Iterable[Mapping[str, Any]]) -> Uses:
    """The uses of a version by the raw Rollouts of its model that use it, given by name."""
    users = list(rollouts)
    first = ((raw["metadata"]["name"], roles(raw).get(version)) for raw in users)
    named = (UsedBy(rollout=name, role=role) for name, role in first if role is not None)
    return Uses(len(users), tuple(islice(named, MOST)))


def model_versions_used(rollout: Mapping[str, Any]) -> list[str]:
    """The names of the ModelVersions that a raw Rollout uses."""
    model = rollout["spec"]["model"]["name"]
    return [f"{model}-{version}" for version in roles(rollout)]


def roles(rollout: Mapping[str, Any]) -> dict[str, Role]:
    """The versions that a raw Rollout uses, each with its strongest role."""
    found: dict[str, Role] = {}
    for version, role in _named(rollout.get("status") or {}):
        if version:
            found.setdefault(version, role)
    return found


def _named(status: Mapping[str, Any]) -> Iterator[tuple[str | None, Role]]:
    """What a status names, the strongest role first."""
    stable = status.get("stableVersion")
    yield stable, "Stable"
    yield status.get("candidateVersion"), "Candidate"
    for group in status.get("groups") or ():
        yield group.get("version"), "Previous"
    for entry in status.get("history") or ():
        if entry.get("result") in _WENT_THROUGH and entry.get("version") != stable:
            yield entry.get("version"), "Previous"
            return
