"""What a ModelVersion's status says: its conditions, the tags that mean it, and who uses it. Pure."""

from datetime import datetime

from modelfleet.api import Condition, ModelVersion, ModelVersionStatus, conditions
from modelfleet.api.names import IN_USE
from modelfleet.api.reasons import Reason
from modelfleet.versions import resolve
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.usage import Uses
from modelfleet.versions.verification import Finding
from modelfleet.wording import listed


def status(seen: Snapshot, desired: tuple[Condition, ...], now: datetime) -> ModelVersionStatus:
    """The status with these conditions."""
    version = seen.version
    return ModelVersionStatus(
        observed_generation=version.metadata.generation,
        conditions=conditions.merge(version.status.conditions, desired, version.metadata.generation, now),
        tags=_tags(version, desired, seen.family.versions),
        used_by=seen.uses.first,
    )


def desired_conditions(seen: Snapshot, finding: Finding | None) -> tuple[Condition, ...]:
    """Ready and, where they hold, Reconciling or Stalled. `finding` is what is known of the files, None where that does
    not matter any more."""
    version, uses = seen.version, seen.uses
    if seen.deleting:
        reason, message = (Reason.DELETION_HELD, _held(uses)) if uses else (Reason.BEING_DELETED, _by_others(version))
        return conditions.reconciling(reason, message)
    if finding is None:
        why = version.spec.evaluation.message if version.spec.evaluation is not None else ""
        message = f"Its evaluation failed, so it is kept for inspection and never rolled out: {why}"
        return conditions.stalled(Reason.REJECTED, message)
    if finding.ready:
        return conditions.ready(finding.reason, finding.message)
    found = conditions.stalled if finding.stalled else conditions.reconciling
    return found(finding.reason, finding.message)


def _held(uses: Uses) -> str:
    who = listed((f"Rollout {use.rollout} as {use.role}" for use in uses.first), total=uses.total)
    return (
        f"Deletion is blocked: this version is used by {who}. It is deleted automatically once no Rollout "
        "uses it: move the Rollout to another version, or delete it."
    )


def _by_others(version: ModelVersion) -> str:
    others = [entry for entry in version.metadata.finalizers if entry != IN_USE]
    return f"No Rollout uses this version any more; its deletion waits for {', '.join(others)}."


def _tags(version: ModelVersion, desired: tuple[Condition, ...], siblings: tuple[ModelVersion, ...]) -> tuple[str, ...]:
    """The tags that mean this version, with its Ready as it will be once this status is written."""
    status = version.status.replace(conditions=desired)
    return resolve.tags_of(version.replace(status=status), siblings)
