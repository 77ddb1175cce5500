"""Which Rollouts use a ModelVersion, and as what. Pure.

A Rollout uses what it has as stable, its candidate, what any of its groups should run, and the version it would fall
back to: the last one before the stable that went through all groups. All of that stands in its status, and is read
from there raw: to find the users of a version must not mean to parse every Rollout of the model. Each is named with its
model, which need not be the spec's: a Rollout that goes to another model runs the old one's until it is there.
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


def uses(name: str, rollouts: Iterable[Mapping[str, Any]]) -> Uses:
    """The uses of a ModelVersion by the raw Rollouts that use it, given by name."""
    users = list(rollouts)
    first = ((raw["metadata"]["name"], roles(raw).get(name)) for raw in users)
    named = (UsedBy(rollout=rollout, role=role) for rollout, role in first if role is not None)
    return Uses(len(users), tuple(islice(named, MOST)))


def roles(rollout: Mapping[str, Any]) -> dict[str, Role]:
    """The names of the ModelVersions that a raw Rollout uses, each with its strongest role."""
    asked, found = rollout["spec"]["model"]["name"], dict[str, Role]()
    for model, version, role in _named(rollout.get("status") or {}):
        if version:
            # The status of an older release names no models: it was of the spec's.
            found.setdefault(f"{model or asked}-{version}", role)
    return found


def _named(status: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None, Role]]:
    """What a status names, as model and version, the strongest role first."""
    stable = status.get("stableModel"), status.get("stableVersion")
    yield *stable, "Stable"
    yield status.get("candidateModel"), status.get("candidateVersion"), "Candidate"
    for group in status.get("groups") or ():
        yield group.get("model"), group.get("version"), "Previous"
    for entry in status.get("history") or ():
        went = entry.get("model"), entry.get("version")
        if entry.get("result") in _WENT_THROUGH and went != stable:
            yield *went, "Previous"
            return
