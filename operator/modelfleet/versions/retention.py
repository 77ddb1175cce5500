"""Which versions of a model are more than the operator's settings keep, and may go. Pure.

Of the versions that nothing uses, the newest `keep` stay, and none that is younger than `min_age` goes. Rejected ones
are counted apart, so that a row of failures does not push out what could still be rolled out; and versions that are
neither Ready nor rejected (not verified yet, or found wrong) are left alone. A version is used while

- a Rollout has it as stable, candidate or previous, pins it, or would retrain from it
- a revision of any Rollout holds it (as many as its `revisionHistoryLimit` keeps)
- a TrainingJob that is not over starts from it, is compared with it, or made it
- a tag of somebody means it (`latest` aside: the newest stays anyway)
- the in-use finalizer is on it

Only the object goes, never the artifact: what can't be made again is not deleted by a setting.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelfleet.api import ModelVersion, Rollout, TrainingJob, TrainingJobSpec, VersionRef
from modelfleet.api.names import IN_USE, LATEST
from modelfleet.versions import resolve

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Policy:
    """How many unused versions of a model stay (at least 1), and for how long each stays in any case."""

    keep: int
    min_age: timedelta


@dataclass(frozen=True)
class Family:
    """A model in a namespace, and what may use its versions.

    versions   all of the model's
    used       those of them that some Rollout uses, as spec.version names them
    rollouts   all of the model's
    held       names of the ModelVersions that a revision of some Rollout holds
    trainings  the model's TrainingJobs that are not over
    complete   whether all of them could be read: what can't be may use any version, so that none goes
    """

    versions: tuple[ModelVersion, ...] = ()
    used: frozenset[str] = frozenset()
    rollouts: tuple[Rollout, ...] = ()
    held: frozenset[str] = frozenset()
    trainings: tuple[TrainingJob, ...] = ()
    complete: bool = True


def surplus(policy: Policy, family: Family, now: datetime) -> tuple[ModelVersion, ...]:
    """The versions that may go now, oldest first."""
    return tuple(version for version in _beyond(policy, family) if now >= _due(version, policy))


def next_due(policy: Policy, family: Family, version: ModelVersion, now: datetime) -> timedelta | None:
    """How long until `version` may go, where it is only too young; else None."""
    if any(version.metadata.name == each.metadata.name for each in _beyond(policy, family)):
        due = _due(version, policy)
        return due - now if due > now else None
    return None


def _due(version: ModelVersion, policy: Policy) -> datetime:
    return (version.metadata.creation_timestamp or _EPOCH) + policy.min_age


def _beyond(policy: Policy, family: Family) -> list[ModelVersion]:
    """What is more than the policy keeps, oldest first, whatever its age."""
    if not family.complete:
        return []
    wanted = _named(family)
    unused = [version for version in family.versions if not _is_used(version, family, wanted)]
    rejected = [version for version in unused if _is_rejected(version)]
    usable = [version for version in unused if resolve.unusable(version) is None]
    return sorted((*_all_but_newest(usable, policy.keep), *_all_but_newest(rejected, policy.keep)), key=resolve.age)


def _all_but_newest(versions: list[ModelVersion], keep: int) -> list[ModelVersion]:
    ordered = sorted(versions, key=resolve.age)
    return ordered[: max(0, len(ordered) - keep)]


def _is_rejected(version: ModelVersion) -> bool:
    return version.spec.evaluation is not None and version.spec.evaluation.result == "Failed"


def _is_used(version: ModelVersion, family: Family, wanted: frozenset[str]) -> bool:
    metadata, lineage = version.metadata, version.spec.lineage
    return bool(
        metadata.deletion_timestamp is not None
        or IN_USE in metadata.finalizers
        or metadata.name in family.held
        or version.spec.version in wanted
        or version.spec.version in family.used
        or set(resolve.tags_of(version, family.versions)) - {LATEST}
        or (lineage is not None and lineage.training_job in {each.metadata.name for each in family.trainings})
    )


def _named(family: Family) -> frozenset[str]:
    """The versions that a spec, or the status of a run that goes on, names."""
    found: set[str] = set()
    for rollout in family.rollouts:
        if rollout.spec.model.version is not None:
            found.add(rollout.spec.model.version)
        retrain = rollout.spec.drift.retrain if rollout.spec.drift is not None else None
        if retrain is not None:
            found |= set(_versions(_references(retrain.template.spec)))
    for training in family.trainings:
        status = training.status
        found |= set(_versions(_references(training.spec)))
        found |= {name for name in (status.parent, status.baseline, status.version) if name is not None}
    return frozenset(found)


def _references(spec: TrainingJobSpec) -> Iterator[VersionRef | None]:
    yield spec.from_
    yield spec.evaluation.baseline if spec.evaluation is not None else None


def _versions(references: Iterable[VersionRef | None]) -> Iterator[str]:
    return (each.version for each in references if each is not None and each.version is not None)
