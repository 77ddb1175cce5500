"""Where a rollout stands: what is stable, what the spec asks for, and how far that has come. A pure function.

Nothing is remembered for this: stable and quarantined are annotations of the ControllerRevisions, and how far a
candidate has come is what the DaemonSets carry. To advance into a group is to apply its DaemonSet with the candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelfleet.api.reasons import Reason
from modelfleet.api.rollout import Group
from modelfleet.rollout import affinity, groups, manifests, windows
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Quarantine, Revision
from modelfleet.rollout.selection import Stall, choose
from modelfleet.rollout.snapshot import GroupState, Snapshot
from modelfleet.wording import listed


@dataclass(frozen=True)
class Position:
    """Where a rollout stands.

    revisions   all of them, with the chosen one where that is new and may be used
    stable      what the fleet is known to be well on
    chosen      what the spec comes to, None where it comes to nothing usable (see `stall`)
    quarantine  what `chosen` is under
    reached     so many groups, counted from the first, carry `chosen`
    stall       what in the spec or around it has to change before anything can move on; what is on its way is still
                judged, and taken back if it fails
    """

    snapshot: Snapshot
    revisions: tuple[Revision, ...]
    stable: Revision | None
    chosen: Revision | None
    quarantine: Quarantine | None
    reached: int
    stall: Stall | None

    @property
    def candidate(self) -> Revision | None:
        """The revision on its way through the groups; None where nothing is to be, or may be, done."""
        if self.chosen is None or self.quarantine is not None or self.at_stable:
            return None
        return self.chosen

    @property
    def at_stable(self) -> bool:
        """The spec asks for what is stable already."""
        return self.chosen is not None and self.stable is not None and self.chosen.hash == self.stable.hash

    @property
    def held(self) -> bool:
        """The chosen revision failed, and stays where it is: nothing to go back to, or the spec does not want it."""
        if self.quarantine is None:
            return False
        unwanted = not self.snapshot.rollout.spec.rollback.on_failure and self.quarantine.cause != Reason.ABORTED
        return self.stable is None or (unwanted and self.reached > 0)

    @property
    def current(self) -> GroupState | None:
        """The last group that the chosen revision has reached."""
        return self.snapshot.groups[self.reached - 1] if self.reached else None

    @property
    def next_group(self) -> Group | None:
        """The group that comes next."""
        rest = self.snapshot.groups[self.reached :]
        return rest[0].spec if rest else None

    @property
    def targets(self) -> tuple[Revision | None, ...]:
        """For each group, what it should run as things stand; None leaves it as it is.

        A group that already runs the candidate keeps it, wherever it stands in the order. A group that runs something
        that is neither stable nor candidate (a superseded attempt) goes back to stable, so that it can serve as
        control.
        """
        return tuple(self._target(index, group) for index, group in enumerate(self.snapshot.groups))

    def _target(self, index: int, group: GroupState) -> Revision | None:
        carried = groups.carried(group)
        known = next((revision for revision in self.revisions if revision.hash == carried), None)
        if known is not None and self._must_go(known):
            return self.stable
        frozen = self.snapshot.rollout.spec.paused and self.quarantine is None
        if self.stall is not None or self.held or frozen:
            return known if carried else (None if frozen else self.stable)
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
    stall = _obstacle(snapshot, now)
    found = choose(rollout, snapshot.versions, stable, _carried(snapshot, known))
    if isinstance(found, Stall):
        return Position(snapshot, known, stable, None, None, 0, stall or found)
    chosen = revs.desired(rollout, found, known, snapshot.agent_image, now)
    stall = stall or _too_complex(snapshot, chosen)
    at_stable = stable is not None and chosen.hash == stable.hash
    quarantine = None if at_stable else revs.quarantine_of(known, chosen)
    return Position(
        snapshot=snapshot,
        revisions=known if quarantine else revs.with_changed(known, chosen),
        stable=stable,
        chosen=chosen,
        quarantine=quarantine,
        reached=_reached(snapshot, chosen.hash),
        stall=stall,
    )


def _carried(snapshot: Snapshot, revisions: Sequence[Revision]) -> frozenset[str]:
    """The names of the ModelVersions that the DaemonSets carry."""
    hashes = {groups.carried(group) for group in snapshot.groups}
    return frozenset(revision.model_version for revision in revisions if revision.hash in hashes)


def _reached(snapshot: Snapshot, hash: str) -> int:
    for index, group in enumerate(snapshot.groups):
        if groups.carried(group) != hash:
            return index
    return len(snapshot.groups)


def _obstacle(snapshot: Snapshot, now: datetime) -> Stall | None:
    """What stands in the way whatever version is chosen."""
    if snapshot.taken:
        return Stall(
            Reason.NAME_TAKEN,
            f"DaemonSet {listed(snapshot.taken)} exists and belongs to something else; rename the group or "
            "the Rollout, or delete it.",
        )
    try:
        windows.opens(snapshot.rollout.spec.windows, now)
    except windows.BadWindow as error:
        return Stall(Reason.INVALID_WINDOW, f"spec.windows: {error}.")
    return None


def _too_complex(snapshot: Snapshot, revision: Revision) -> Stall | None:
    for index in range(len(snapshot.groups)):
        try:
            manifests.pod_affinity(snapshot.rollout, index, revision)
        except affinity.TooComplex as error:
            return Stall(Reason.SELECTORS_TOO_COMPLEX, f"Group {snapshot.groups[index].name}: {error}.")
    return None
