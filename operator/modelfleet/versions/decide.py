"""What a ModelVersion's status says, and whether the in-use finalizer holds it. Pure.

As pvc-protection does it, a version that is deleted while a Rollout uses it stays until no Rollout does. It is then no
longer chosen for anything new, and its condition says who holds it.
"""

from dataclasses import dataclass
from datetime import datetime

from modelfleet.api import Condition, ModelVersion, ModelVersionStatus, Rollout, UsedBy, conditions, unsupported_fields
from modelfleet.api.conditions import READY, RECONCILING, STALLED
from modelfleet.api.names import IN_USE
from modelfleet.decision import Action, Announce, Decision
from modelfleet.versions import manifests, resolve
from modelfleet.versions.usage import used_by

AVAILABLE = "Available"
REJECTED = "Rejected"
DELETION_HELD = "DeletionHeld"
BEING_DELETED = "BeingDeleted"


@dataclass(frozen=True)
class Snapshot:
    """What one look at a ModelVersion sees.

    siblings  all versions of the same model in the namespace, this one included or not
    rollouts  all Rollouts of that model in the namespace
    """

    version: ModelVersion
    siblings: tuple[ModelVersion, ...] = ()
    rollouts: tuple[Rollout, ...] = ()


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """Hold or release the version, and say how it stands."""
    version = snapshot.version
    uses = used_by(version, snapshot.rollouts)
    actions = _finalizer(version, uses)
    deleting = version.metadata.deletion_timestamp is not None
    if deleting and not uses and set(version.metadata.finalizers) <= {IN_USE}:
        return Decision(actions=actions)  # with that write it is gone: there is no status left to write
    desired = _conditions(version, uses)
    status = ModelVersionStatus(
        observed_generation=version.metadata.generation,
        conditions=conditions.merge(version.status.conditions, desired, version.metadata.generation, now),
        tags=_tags(version, desired, snapshot.siblings),
        used_by=uses,
    )
    return Decision(actions=actions, status=status, announcements=_announcements(version, desired))


def _finalizer(version: ModelVersion, uses: tuple[UsedBy, ...]) -> tuple[Action, ...]:
    held = IN_USE in version.metadata.finalizers
    if uses and not held and version.metadata.deletion_timestamp is None:  # the server takes none on a deleted object
        return (manifests.hold(version),)
    if held and not uses:
        return (manifests.release(version),)
    return ()


def _conditions(version: ModelVersion, uses: tuple[UsedBy, ...]) -> tuple[Condition, ...]:
    return (*_state(version, uses), *conditions.unsupported(unsupported_fields(version)))


def _state(version: ModelVersion, uses: tuple[UsedBy, ...]) -> tuple[Condition, ...]:
    """Ready and, where they hold, Reconciling or Stalled."""
    if version.metadata.deletion_timestamp is not None:
        reason, message = (DELETION_HELD, _held(uses)) if uses else (BEING_DELETED, _by_others(version))
        return (conditions.false(READY, reason, message), conditions.true(RECONCILING, reason, message))
    evaluation = version.spec.evaluation
    if evaluation is not None and evaluation.result == "Failed":
        message = f"Its evaluation failed, so it is kept for study and never rolled out: {evaluation.message}"
        return (conditions.false(READY, REJECTED, message), conditions.true(STALLED, REJECTED, message))
    count = len(version.spec.artifact.files)
    files = "1 file is" if count == 1 else f"{count} files are"
    message = f"{files} declared with digests; every node verifies a file's digest before it loads it."
    return (conditions.true(READY, AVAILABLE, message),)


def _held(uses: tuple[UsedBy, ...]) -> str:
    who = ", ".join(f"Rollout {use.rollout} as {use.role}" for use in uses[:5])
    more = f" and {len(uses) - 5} more" if len(uses) > 5 else ""
    return (
        f"Deletion waits: this version is used by {who}{more}. It goes by itself once no Rollout uses it: move the "
        "Rollout to another version, or delete it."
    )


def _by_others(version: ModelVersion) -> str:
    others = [entry for entry in version.metadata.finalizers if entry != IN_USE]
    return f"No Rollout uses this version any more; its deletion waits for {', '.join(others)}."


def _tags(version: ModelVersion, desired: tuple[Condition, ...], siblings: tuple[ModelVersion, ...]) -> tuple[str, ...]:
    """The tags that mean this version, with its Ready as it will be once this status is written."""
    status = version.status.replace(conditions=desired)
    return resolve.tags_of(version.replace(status=status), siblings)


def _announcements(version: ModelVersion, desired: tuple[Condition, ...]) -> tuple[Announce, ...]:
    before, after = conditions.find(version.status.conditions, READY), conditions.find(desired, READY)
    if after is None or (before is not None and before.reason == after.reason):
        return ()
    if after.reason == REJECTED:
        return (Announce("Warning", REJECTED, after.message),)
    if after.reason == DELETION_HELD:
        return (Announce("Normal", DELETION_HELD, after.message),)
    return ()
