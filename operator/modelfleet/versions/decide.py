"""Whether the in-use finalizer holds a ModelVersion, what verifies its files, and what of its model may go. Pure.

As pvc-protection does it, a version that is deleted while a Rollout uses it stays until no Rollout does. It is then no
longer chosen for anything new, and its condition says who holds it. Before it is Ready, its files are verified at their
source (verification.py).

Every look at a version removes what its model has beyond what retention keeps (retention.py): whichever version of the
model is woken sees to all of them, so that none has to be woken for the others' sake.
"""

from datetime import datetime, timedelta

from modelfleet.api import Condition, ModelVersion, conditions
from modelfleet.api.conditions import READY
from modelfleet.api.names import IN_USE
from modelfleet.api.reasons import Reason
from modelfleet.decision import Action, Announce, Decision
from modelfleet.versions import manifests, retention, status, verification
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.usage import Uses
from modelfleet.versions.verification import Finding


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """Hold or release the version, have it verified, say how it stands, and remove what nobody needs any more."""
    version = snapshot.version
    uses = snapshot.uses
    holding = _finalizer(version, uses)
    if snapshot.deleting and not uses and set(version.metadata.finalizers) <= {IN_USE}:
        return Decision(actions=holding)  # with that write it is gone: there is no status left to write
    finding = _finding(snapshot, now)
    desired = status.desired_conditions(snapshot, finding)
    surplus = _surplus(snapshot, now)
    return Decision(
        actions=(*holding, *(finding.actions if finding else ()), *(manifests.remove(each) for each in surplus)),
        status=status.status(snapshot, desired, now),
        announcements=(*_announcements(version, desired, finding), *(_removed(each, snapshot) for each in surplus)),
        requeue_after=_soonest(finding.requeue_after if finding else None, _too_young(snapshot, now)),
    )


def _finding(snapshot: Snapshot, now: datetime) -> Finding | None:
    """What is known of the artifact; None where it does not matter any more."""
    if snapshot.deleting or _rejected(snapshot.version):
        return None
    return verification.look(snapshot.version, snapshot.verifier, snapshot.job, now, others=snapshot.others)


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
