"""Which Rollouts use a ModelVersion, and as what. Pure.

A Rollout uses what it has as stable, its candidate, what any of its groups should run, and the version it would fall
back to: the last one before the stable that went through all groups.
"""

from collections.abc import Iterable
from typing import Literal

from modelfleet.api import ModelVersion, Rollout, UsedBy

Role = Literal["Stable", "Candidate", "Previous"]

_WENT_THROUGH = frozenset({"Promoted", "Installed"})


def used_by(version: ModelVersion, rollouts: Iterable[Rollout]) -> tuple[UsedBy, ...]:
    """The uses of `version`, by the Rollout's name; each Rollout once, with its strongest role."""
    uses = []
    for rollout in sorted(rollouts, key=lambda entry: entry.metadata.name):
        if rollout.spec.model.name == version.spec.model:
            role = roles(rollout).get(version.spec.version)
            if role is not None:
                uses.append(UsedBy(rollout=rollout.metadata.name, role=role))
    return tuple(uses)


def roles(rollout: Rollout) -> dict[str, Role]:
    """The versions that a Rollout uses, each with its strongest role."""
    status = rollout.status
    found: dict[str, Role] = {}
    if status.stable_version is not None:
        found[status.stable_version] = "Stable"
    if status.candidate_version is not None:
        found.setdefault(status.candidate_version, "Candidate")
    for group in status.groups:
        if group.version is not None:
            found.setdefault(group.version, "Previous")
    fallback = next(
        (
            entry.version
            for entry in status.history
            if entry.result in _WENT_THROUGH and entry.version != status.stable_version
        ),
        None,
    )
    if fallback is not None:
        found.setdefault(fallback, "Previous")
    return found
