"""What is announced as Kubernetes Events: the changes between the old status and the new one. Saying nothing twice."""

from collections.abc import Iterable, Sequence

from modelfleet.api import conditions
from modelfleet.api.commands import Verb
from modelfleet.api.reasons import NOTHING_TO_USE, Reason
from modelfleet.api.rolloutstatus import GateStatus, RolloutStatus
from modelfleet.decision import Announce
from modelfleet.gate import Verdict
from modelfleet.rollout import commands, gating
from modelfleet.rollout.replay import outcome as replays
from modelfleet.rollout.revisions import Revision

_WAITS = frozenset(
    {Reason.WAITING_FOR_APPROVAL, Reason.WAITING_FOR_WINDOW, Reason.PAUSED, Reason.NO_NODES, Reason.NODES_UNREACHABLE}
)
_HOLDS = {Verdict.NO_DATA.value, Verdict.PROVIDER_DOWN.value}


def announcements(
    old: RolloutStatus,
    new: RolloutStatus,
    judged: GateStatus | None,
    before: Sequence[Revision],
    after: Sequence[Revision],
) -> tuple[Announce, ...]:
    """The events of one decision. `judged` is the gate as it was judged before anything followed from it.

    A status that was wiped announces nothing but the attempt under way.
    """
    told: list[Announce] = []
    moves = list(_moves(old, new))
    if old.phase is not None:
        told += [*_gate(old.gate, judged, old.candidate_version), *_begun_again(old, new, after), *_ends(old, new)]
        told += replays.announcements(old.replay, new.replay)
        if not (moves and _ready_reason(new) == Reason.NO_NODES):  # the move says so itself
            told += _waits(old, new)
    elif stalled := conditions.find(new.conditions, conditions.STALLED):
        told.append(Announce("Warning", stalled.reason, stalled.message))
    return (*told, *moves, *_unused(before, after))


def _moves(old: RolloutStatus, new: RolloutStatus) -> Iterable[Announce]:
    if new.candidate_revision is None or new.current_group is None:
        return
    if old.candidate_revision != new.candidate_revision or old.current_group is None:
        yield Announce(
            "Normal",
            Reason.ROLLOUT_STARTED,
            f"{new.candidate_version} started in group {new.current_group}{_alone(new)}",
        )
    elif old.current_group != new.current_group:
        yield Announce(
            "Normal", Reason.GROUP_ADVANCED, f"{new.candidate_version} entered group {new.current_group}{_alone(new)}"
        )


def _ready_reason(status: RolloutStatus) -> str | None:
    ready = conditions.find(status.conditions, conditions.READY)
    return ready.reason if ready is not None else None


def _alone(status: RolloutStatus) -> str:
    return ", and no node matches that group: label one" if _ready_reason(status) == Reason.NO_NODES else ""


def _ends(old: RolloutStatus, new: RolloutStatus) -> Iterable[Announce]:
    if new.stable_revision is not None and new.stable_revision != old.stable_revision:
        said = f"{new.stable_version} went through all groups and is stable now"
        first = Reason.PROMOTED if old.stable_revision else Reason.INSTALLED
        yield Announce("Normal", first, said, version=new.stable_version)
    known = {(entry.version, entry.at) for entry in old.quarantined}
    for entry in new.quarantined:
        if (entry.version, entry.at) not in known:
            cause, _, why = entry.reason.partition(": ")
            held = new.candidate_revision is not None
            of = f" of {new.stable_model}" if entry.model != new.stable_model else ""  # both may be called v1
            what = "stays where it is" if held else f"is rolled back to {new.stable_version}{of}"
            reason = cause if held or cause == Reason.ABORTED else Reason.ROLLED_BACK
            said = f"{entry.version} failed and {what} ({cause}): {why}"
            yield Announce("Warning", reason, said, version=entry.version)


def _gate(old: GateStatus | None, judged: GateStatus | None, version: str | None) -> Iterable[Announce]:
    if judged is None or judged.verdict is None:
        return
    same = old is not None and (old.group, old.started_at) == (judged.group, judged.started_at)
    before = old.verdict if old is not None and same else None
    if before == judged.verdict:
        return
    said = judged.message or ""
    if judged.verdict == Verdict.PASS.value:
        yield Announce("Normal", Reason.GATE_PASSED, said)
    elif judged.verdict == Verdict.FAIL.value:
        yield Announce("Warning", Reason.GATE_FAILED, said, version=version)
    elif judged.verdict in _HOLDS:
        yield Announce("Warning", Reason.GATE_HELD, f"{judged.verdict.value}: {said}")
    elif before in _HOLDS:
        yield Announce("Normal", Reason.GATE_RESUMED, said)


def _begun_again(old: RolloutStatus, new: RolloutStatus, revisions: Sequence[Revision]) -> Iterable[Announce]:
    """A gate that had nothing to go by until its end is over, and another one begins in its place."""
    was, now = old.gate, new.gate
    if was is None or now is None or was.verdict not in _HOLDS or now.verdict is not None:
        return
    same = (was.group, old.candidate_revision) == (now.group, new.candidate_revision)
    if same and was.started_at is not None and now.started_at is not None and was.started_at < now.started_at:
        said = f"{now.version} on group {now.group} is judged anew: until the last look there was nothing to go by"
        anew = next((each.anew for each in revisions if each.name == new.candidate_revision), None)
        again = f" ({anew.times} of at most {gating.MOST_ANEW} times). {anew.why}" if anew is not None else ""
        yield Announce("Normal", Reason.GATE_RESUMED, f"{said}, and now there is{again}")


def _waits(old: RolloutStatus, new: RolloutStatus) -> Iterable[Announce]:
    was, now = conditions.find(old.conditions, conditions.READY), conditions.find(new.conditions, conditions.READY)
    if now is None or (was is not None and was.reason == now.reason):
        return
    if conditions.is_true(new.conditions, conditions.STALLED):
        if now.reason != Reason.ROLLED_BACK:
            # What is on its way is not the version that is missing.
            version = None if now.reason in NOTHING_TO_USE else new.candidate_version
            yield Announce("Warning", now.reason, now.message, version=version)
    elif now.reason in _WAITS:
        yield Announce("Normal", now.reason, now.message, version=new.candidate_version)


def _unused(before: Sequence[Revision], after: Sequence[Revision]) -> Iterable[Announce]:
    """Commands that were noted just now and came to nothing: nobody's word is dropped in silence."""
    seen = {key for revision in before for key in revision.commands}
    for revision in after:
        for key, where in revision.commands.items():
            if key not in seen and where == commands.NOWHERE and not _counted(revision, key):
                said = f"modelfleet.dev/{key} had no effect: {revision.version} was not in a state for it"
                yield Announce("Warning", Reason.COMMAND_IGNORED, said)


def _counted(revision: Revision, key: str) -> bool:
    """A command that acted and ended with its revision's promotion in one and the same decision."""
    return key.startswith(f"{Verb.PROMOTE}=") and revision.promoted_at is not None
