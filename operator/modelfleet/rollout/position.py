"""Where a rollout stands: what is stable, what the spec asks for, and how far that has come. A pure function.

Nothing is remembered for this: stable and quarantined are annotations of the ControllerRevisions, and how far a
candidate has come is what the DaemonSets carry. To advance into a group is to apply its DaemonSet with the candidate.
Which groups it was judged in is an annotation too: groups can be added and reordered while it is on its way, and one
that has it need not have been the last to get it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelfleet.api.reasons import Reason
from modelfleet.rollout import affinity, capture_pods, groups, manifests, windows
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Quarantine, Revision
from modelfleet.rollout.selection import Stall, choose
from modelfleet.rollout.snapshot import GroupState, Snapshot
from modelfleet.wording import listed


@dataclass(frozen=True)
class Blocked:
    """The spec comes to nothing that can be used, and no group has anything but stable; the position's `stall` says
    why."""


@dataclass(frozen=True)
class Held:
    """The chosen revision failed, and stays where it is: nothing to go back to, or the spec does not want it."""

    chosen: Revision
    quarantine: Quarantine


@dataclass(frozen=True)
class GoingBack:
    """The chosen revision failed. The groups go back to stable, or are back already."""

    chosen: Revision
    quarantine: Quarantine
    stable: Revision


@dataclass(frozen=True)
class AtStable:
    """The spec asks for what is stable already."""

    chosen: Revision
    stable: Revision


@dataclass(frozen=True)
class NotBegun:
    """The candidate has reached no group yet; `following` is the first that it will go into."""

    candidate: Revision
    following: GroupState


@dataclass(frozen=True)
class Moving:
    """The candidate is on its way through the groups.

    current    the group that it is in: the last that it has reached, or an earlier one that has not passed it
    following  the group that comes next; None after the last
    """

    candidate: Revision
    current: GroupState
    following: GroupState | None


Course = Blocked | Held | GoingBack | AtStable | NotBegun | Moving
"""What becomes of the revision that the spec comes to."""


@dataclass(frozen=True)
class Position:
    """Where a rollout stands.

    revisions  all of them, with the chosen one where that is new and may be used
    stable     what the fleet is known to be well on
    course     what the spec comes to, and what becomes of it
    reached    so many groups, counted from the first, carry the chosen revision, and all but the last have passed it
    stall      what in the spec or around it has to change before anything can move on; what is on its way is still
               judged, and taken back if it fails
    unasked    the spec comes to nothing that can be used: what is on its way was asked for before. Whatever its gate
               says, it is not promoted
    """

    snapshot: Snapshot
    revisions: tuple[Revision, ...]
    stable: Revision | None
    course: Course
    reached: int
    stall: Stall | None
    unasked: bool = False

    @property
    def chosen(self) -> Revision | None:
        """What the spec comes to; None where it comes to nothing usable."""
        if self.unasked:
            return None
        match self.course:
            case Blocked():
                return None
            case NotBegun(candidate) | Moving(candidate):
                return candidate
            case Held(chosen) | GoingBack(chosen) | AtStable(chosen):
                return chosen

    @property
    def candidate(self) -> Revision | None:
        """The revision on its way through the groups; None where nothing is to be, or may be, done."""
        return self.course.candidate if isinstance(self.course, NotBegun | Moving) else None

    @property
    def attempted(self) -> Revision | None:
        """What the status shows as candidate and `abort` stops: the candidate, or what failed and is held."""
        return self.course.chosen if isinstance(self.course, Held) else self.candidate

    @property
    def targets(self) -> tuple[Revision | None, ...]:
        """For each group, what it should run as things stand; None leaves it as it is.

        A group that already runs the candidate keeps it, wherever it stands in the order. A group that runs something
        that is neither stable nor candidate (a superseded attempt) goes back to stable, so that it can serve as
        control.
        """
        return tuple(self._target(index, group) for index, group in enumerate(self.snapshot.groups))

    @property
    def frozen(self) -> bool:
        """Paused: nothing moves on. What failed goes back all the same."""
        return self.snapshot.rollout.spec.paused and not isinstance(self.course, Held | GoingBack)

    def _target(self, index: int, group: GroupState) -> Revision | None:
        carried = groups.carried(group)
        known = next((revision for revision in self.revisions if revision.hash == carried), None)
        if known is not None and self._must_go(known):
            return self.stable
        if self.stall is not None or isinstance(self.course, Held) or self.frozen:
            return known if carried else (None if self.frozen else self.stable)
        candidate = self.candidate
        if candidate is not None and (index < self.reached or carried == candidate.hash):
            return candidate
        return self.stable or known

    def _must_go(self, revision: Revision) -> bool:
        """What failed goes back to stable, whatever else stands in the way: a pause, or a spec that can't be used."""
        quarantine = revs.quarantine_of(self.revisions, revision)
        if quarantine is None or self.stable is None or self.stable.hash == revision.hash:
            return False
        return self.snapshot.rollout.spec.rollback.on_failure or quarantine.cause == Reason.ABORTED


def locate(snapshot: Snapshot, revisions: Sequence[Revision], now: datetime) -> Position:
    """Where the rollout stands with these revisions (those of the snapshot, or with what was just found out)."""
    known = tuple(revisions)
    rollout, stable = snapshot.rollout, revs.stable(known)
    stall = _blocked(snapshot, now)
    found = choose(rollout, snapshot.versions, stable, _carried(snapshot, known))
    if isinstance(found, Stall):
        left = _left(snapshot, known, stable)
        reached = 0 if left is None else _reached(snapshot, left)
        at: Course = Blocked() if left is None else _course(snapshot, known, stable, left, reached, there=True)
        return Position(snapshot, known, stable, at, reached, stall or found, unasked=True)
    chosen = revs.desired(rollout, found, known, snapshot.agent_image, now, snapshot.signing)
    reached = _reached(snapshot, chosen)
    course = _course(snapshot, known, stable, chosen, reached, there=reached > 0)
    return Position(
        snapshot=snapshot,
        revisions=known if isinstance(course, Held | GoingBack) else revs.with_changed(known, chosen),
        stable=stable,
        course=course,
        reached=reached,
        stall=stall or _too_complex(snapshot, chosen),
    )


def _course(
    snapshot: Snapshot,
    known: tuple[Revision, ...],
    stable: Revision | None,
    chosen: Revision,
    reached: int,
    *,
    there: bool,
) -> Course:
    """What becomes of the chosen revision. `there`: a group keeps it where it failed and is not to be taken back."""
    if stable is not None and chosen.hash == stable.hash:
        return AtStable(chosen, stable)
    quarantine = revs.quarantine_of(known, chosen)
    if quarantine is not None:
        unwanted = not snapshot.rollout.spec.rollback.on_failure and quarantine.cause != Reason.ABORTED
        if stable is None or (unwanted and there):
            return Held(chosen, quarantine)
        return GoingBack(chosen, quarantine, stable)
    if reached == 0:
        return NotBegun(chosen, snapshot.groups[0])
    return Moving(chosen, snapshot.groups[reached - 1], next(iter(snapshot.groups[reached:]), None))


def _left(snapshot: Snapshot, known: tuple[Revision, ...], stable: Revision | None) -> Revision | None:
    """What the spec asked for before it came to nothing usable: the first group has it, since a version enters the
    groups in their order, and nothing is applied to others since. None where the groups have stable alone.

    It is found by what the DaemonSets carry, as always: a status that was wiped in between makes no difference.
    """
    by_hash = {revision.hash: revision for revision in known if stable is None or revision.hash != stable.hash}
    carried = (groups.carried(group) for group in snapshot.groups)
    return next((by_hash[hash] for hash in carried if hash in by_hash), None)


def _carried(snapshot: Snapshot, revisions: Sequence[Revision]) -> frozenset[str]:
    """The names of the ModelVersions that the DaemonSets carry."""
    hashes = {groups.carried(group) for group in snapshot.groups}
    return frozenset(revision.model_version for revision in revisions if revision.hash in hashes)


def _reached(snapshot: Snapshot, chosen: Revision) -> int:
    for index, group in enumerate(snapshot.groups):
        if groups.carried(group) != chosen.hash:
            return index
        if group.name not in chosen.passed:
            return index + 1
    return len(snapshot.groups)


def _blocked(snapshot: Snapshot, now: datetime) -> Stall | None:
    """What stands in the way whatever version is chosen."""
    if snapshot.taken:
        return Stall(
            Reason.NAME_TAKEN,
            f"DaemonSet {listed(snapshot.taken)} exists and belongs to something else; rename the group or "
            "the Rollout, or delete that DaemonSet.",
        )
    if snapshot.capture_taken:
        return Stall(
            Reason.NAME_TAKEN,
            f"ConfigMap {capture_pods.settings_name(snapshot.rollout.metadata.name)}, which the settings of "
            "delivery.capture go into, exists and belongs to something else; rename the Rollout, or delete that "
            "ConfigMap.",
        )
    try:
        windows.opens(snapshot.rollout.spec.windows, now)
    except windows.BadWindow as error:
        return Stall(Reason.INVALID_WINDOW, f"spec.windows: {error}.")
    signing = snapshot.signing
    if signing.demanded(snapshot.rollout) and not signing.public_keys:
        return Stall(
            Reason.SIGNATURE_KEYS_MISSING,
            "spec.delivery.signed is true, and the operator has no public key to verify signatures with: its "
            "administrator sets signatures.publicKeys.",
        )
    return None


def _too_complex(snapshot: Snapshot, revision: Revision) -> Stall | None:
    for index in range(len(snapshot.groups)):
        try:
            manifests.pod_affinity(snapshot.rollout, index, revision)
        except affinity.TooComplex as error:
            return Stall(Reason.SELECTORS_TOO_COMPLEX, f"Group {snapshot.groups[index].name}: {error}.")
    return None
