"""What a ModelVersion's status says, whether the in-use finalizer holds it, and what of its model may go. Pure.

As pvc-protection does it, a version that is deleted while a Rollout uses it stays until no Rollout does. It is then no
longer chosen for anything new, and its condition says who holds it. Before it is Ready, its files are verified at their
source (verification.py).

Every look at a version removes what its model has beyond what retention keeps (retention.py): whichever version of the
model is woken sees to all of them, so that none has to be woken for the others' sake.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet.api import Condition, ModelVersion, ModelVersionStatus, conditions, unsupported_fields
from modelfleet.api.conditions import READY, RECONCILING, STALLED
from modelfleet.api.names import IN_USE
from modelfleet.api.reasons import Reason
from modelfleet.decision import Action, Announce, Decision
from modelfleet.versions import manifests, resolve, retention, verification
from modelfleet.versions.retention import Family, Policy
from modelfleet.versions.usage import Uses
from modelfleet.versions.verification import Finding, Verifier
from modelfleet.versions.verify_job import Attempt
from modelfleet.wording import listed


@dataclass(frozen=True)
class Snapshot:
    """What one look at a ModelVersion sees.

    family    its model in the namespace, this version included or not
    verifier  how its files are verified; None: they are not
    attempt   its verify Job
    others    how many other versions of the namespace are being verified
    policy    what retention keeps of its model; None: everything
    uses      the Rollouts that use it
    """

    version: ModelVersion
    family: Family = field(default_factory=Family)
    verifier: Verifier | None = None
    attempt: Attempt | None = None
    others: int = 0
    policy: Policy | None = None
    uses: Uses = field(default_factory=Uses)


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """Hold or release the version, have it verified, say how it stands, and remove what nobody needs any more."""
    version = snapshot.version
    uses = snapshot.uses
    holding = _finalizer(version, uses)
    deleting = version.metadata.deletion_timestamp is not None
    if deleting and not uses and set(version.metadata.finalizers) <= {IN_USE}:
        return Decision(actions=holding)  # with that write it is gone: there is no status left to write
    finding = _finding(snapshot, now)
    desired = _conditions(version, uses, finding)
    status = ModelVersionStatus(
        observed_generation=version.metadata.generation,
        conditions=conditions.merge(version.status.conditions, desired, version.metadata.generation, now),
        tags=_tags(version, desired, snapshot.family.versions),
        used_by=uses.first,
    )
    surplus = _surplus(snapshot, now)
    return Decision(
        actions=(*holding, *(finding.actions if finding else ()), *(manifests.remove(each) for each in surplus)),
        status=status,
        announcements=(*_announcements(version, desired, finding), *(_removed(each, snapshot) for each in surplus)),
        requeue_after=_soonest(finding.requeue_after if finding else None, _too_young(snapshot, now)),
    )


def _finding(snapshot: Snapshot, now: datetime) -> Finding | None:
    """What is known of the artifact; None where it does not matter any more."""
    if snapshot.version.metadata.deletion_timestamp is not None or _rejected(snapshot.version):
        return None
    return verification.look(snapshot.version, snapshot.verifier, snapshot.attempt, now, others=snapshot.others)


def _rejected(version: ModelVersion) -> bool:
    return version.spec.evaluation is not None and version.spec.evaluation.result == "Failed"


def _surplus(snapshot: Snapshot, now: datetime) -> tuple[ModelVersion, ...]:
    return () if snapshot.policy is None else retention.surplus(snapshot.policy, snapshot.family, now)


def _too_young(snapshot: Snapshot, now: datetime) -> timedelta | None:
    if snapshot.policy is None:
        return None
    return retention.next_due(snapshot.policy, snapshot.family, snapshot.version, now)


def _soonest(*delays: timedelta | None) -> timedelta | None:
    return min((delay for delay in delays if delay is not None), default=None)


def _finalizer(version: ModelVersion, uses: Uses) -> tuple[Action, ...]:
    held = IN_USE in version.metadata.finalizers
    if uses and not held and version.metadata.deletion_timestamp is None:  # the server takes none on a deleted object
        return (manifests.hold(version),)
    if held and not uses:
        return (manifests.release(version),)
    return ()


def _conditions(version: ModelVersion, uses: Uses, finding: Finding | None) -> tuple[Condition, ...]:
    return (*_state(version, uses, finding), *conditions.unsupported(unsupported_fields(version)))


def _state(version: ModelVersion, uses: Uses, finding: Finding | None) -> tuple[Condition, ...]:
    """Ready and, where they hold, Reconciling or Stalled."""
    if version.metadata.deletion_timestamp is not None:
        reason, message = (Reason.DELETION_HELD, _held(uses)) if uses else (Reason.BEING_DELETED, _by_others(version))
        return (conditions.false(READY, reason, message), conditions.true(RECONCILING, reason, message))
    if finding is None:
        why = version.spec.evaluation.message if version.spec.evaluation is not None else ""
        message = f"Its evaluation failed, so it is kept for inspection and never rolled out: {why}"
        return (conditions.false(READY, Reason.REJECTED, message), conditions.true(STALLED, Reason.REJECTED, message))
    if finding.ready:
        return (conditions.true(READY, finding.reason, finding.message),)
    state = STALLED if finding.stalled else RECONCILING
    return (
        conditions.false(READY, finding.reason, finding.message),
        conditions.true(state, finding.reason, finding.message),
    )


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


def _announcements(
    version: ModelVersion, desired: tuple[Condition, ...], finding: Finding | None
) -> tuple[Announce, ...]:
    before, after = conditions.find(version.status.conditions, READY), conditions.find(desired, READY)
    if after is None or (before is not None and before.reason == after.reason):
        return ()
    if after.reason == Reason.DELETION_HELD:
        return (Announce("Normal", Reason.DELETION_HELD, after.message),)
    if after.reason == Reason.REJECTED or (
        finding is not None and not finding.ready and after.reason != Reason.ARTIFACT_UNVERIFIED
    ):
        return (Announce("Warning", after.reason, after.message),)
    if finding is not None and finding.verified:
        return (Announce("Normal", Reason.VERIFIED, after.message),)
    return ()


def _removed(version: ModelVersion, snapshot: Snapshot) -> Announce:
    keep = 0 if snapshot.policy is None else snapshot.policy.keep
    return Announce(
        "Normal",
        Reason.VERSION_REMOVED,
        f"Removed ModelVersion {version.metadata.name}: nothing uses it, and the operator's settings keep the {keep} "
        f"newest such versions of a model (retention.keepVersions). Its files stay at {version.spec.artifact.uri}.",
        about=manifests.reference(version),
    )
