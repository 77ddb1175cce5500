"""Commands: annotations by which people steer a Rollout. Each acts once, and only on the version that it names.

    modelfleet.dev/approve: v4      the version may leave the Manual group that it is in
    modelfleet.dev/promote: v4      the version may pass all remaining gates and approvals
    modelfleet.dev/abort: v4        back to stable, and quarantine the version
    modelfleet.dev/retry: v4@1      lift the version's quarantine
    modelfleet.dev/retrain: now@1   train a new version now, from spec.drift.retrain (see retraining.py)

A value is a version, with `@` and anything behind it to say the same once more ("v4@2"). A value that was seen is noted
on the ControllerRevision on which it acted, in the annotation modelfleet.dev/commands, and never acts again on any: an
old annotation that stays in Git does not touch a later attempt, whether or not the status was wiped in between. A
command that names a version on which it has nothing to do is noted too; one for a version that has no revision yet
waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modelfleet.api import names
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Revision

GATES = "gates"
"""Where a `promote` counts: on all gates of the revision."""

NOWHERE = ""

_KEPT = 32
_ANNOTATIONS = {
    "approve": names.APPROVE,
    "promote": names.PROMOTE,
    "abort": names.ABORT,
    "retry": names.RETRY,
    "retrain": names.RETRAIN,
}


@dataclass(frozen=True)
class Command:
    """One annotation as it stands: what to do, with which version; `value` is the whole of it."""

    verb: str
    version: str
    value: str

    @property
    def key(self) -> str:
        """Under which it is noted."""
        return f"{self.verb}={self.value}"


def read(annotations: Mapping[str, str], verb: str) -> Command | None:
    """The command of this verb on a Rollout, if there is one."""
    value = annotations.get(_ANNOTATIONS[verb], "").strip()
    version = value.partition("@")[0].strip()
    return Command(verb, version, value) if version else None


def used(revisions: Iterable[Revision], key: str) -> bool:
    """Whether the command was noted already."""
    return any(key in revision.commands for revision in revisions)


def noted(revision: Revision, command: Command, where: str) -> Revision:
    """The revision with the command noted. Only the newest few dozen are kept."""
    entries = [*((key, value) for key, value in revision.commands.items() if key != command.key), (command.key, where)]
    return replace(revision, commands=dict(entries[-_KEPT:]))


def approved(revision: Revision, group: str) -> bool:
    """Whether the revision may leave this group by somebody's word."""
    return any(key.startswith("approve=") and where == group for key, where in revision.commands.items())


def past_gates(revision: Revision) -> bool:
    """Whether somebody let the revision pass its gates."""
    return any(key.startswith("promote=") and where == GATES for key, where in revision.commands.items())


def values(revisions: Iterable[Revision], verb: str) -> tuple[str, ...]:
    """What was said with this verb and counts, newest first, as a status shows it."""
    found = [
        key.partition("=")[2]
        for revision in revisions
        for key, where in revision.commands.items()
        if key.startswith(f"{verb}=") and where != NOWHERE
    ]
    return tuple(dict.fromkeys(reversed(found)))


def hint(revisions: Sequence[Revision], verb: str, version: str) -> str:
    """The annotation to set: the version, with a number behind it where that was used before."""
    value, number = version, 1
    while used(revisions, f"{verb}={value}"):
        number += 1
        value = f"{version}@{number}"
    return f"{_ANNOTATIONS[verb]}={value}"


def lift(annotations: Mapping[str, str], revisions: tuple[Revision, ...], now: datetime) -> tuple[Revision, ...]:
    """Carry out `retry`: the version's quarantine, or that of its revisions, is gone."""
    command = read(annotations, "retry")
    if command is None or used(revisions, command.key):
        return revisions
    of_version = [revision for revision in revisions if revision.version == command.version]
    for revision in of_version:
        if revision.quarantine is not None:
            revisions = revs.with_changed(revisions, noted(revs.lifted(revision, now), command, revision.hash))
    if not used(revisions, command.key) and of_version:
        revisions = revs.with_changed(revisions, noted(of_version[-1], command, NOWHERE))
    return revisions


def latch_promote(
    annotations: Mapping[str, str], revisions: tuple[Revision, ...], candidate: Revision | None
) -> tuple[Revision, ...]:
    """Note `promote`: on the candidate it lets all gates pass; on any other revision there is nothing to let pass."""
    command = read(annotations, "promote")
    if command is None or used(revisions, command.key):
        return revisions
    if candidate is not None and candidate.version == command.version:
        return revs.with_changed(revisions, noted(candidate, command, GATES))
    return _without_effect(command, revisions)


def latch_approve(
    annotations: Mapping[str, str], revisions: tuple[Revision, ...], candidate: Revision | None, group: str | None
) -> tuple[Revision, ...]:
    """Note `approve` for `group`, the Manual group that the candidate is in (None: it is in none now, keep it)."""
    command = read(annotations, "approve")
    if command is None or used(revisions, command.key):
        return revisions
    if candidate is None or candidate.version != command.version:
        return _without_effect(command, revisions)
    if group is None or approved(candidate, group):
        return revisions
    return revs.with_changed(revisions, noted(candidate, command, group))


def wants_abort(
    annotations: Mapping[str, str], revisions: Sequence[Revision], moving: Revision | None
) -> Command | None:
    """The `abort` that speaks of the revision now moving (or held after a failure), if there is one."""
    command = read(annotations, "abort")
    if command is None or moving is None or command.version != moving.version or used(revisions, command.key):
        return None
    return command


def latch_idle_abort(
    annotations: Mapping[str, str], revisions: tuple[Revision, ...], moving: Revision | None
) -> tuple[Revision, ...]:
    """Note an `abort` of a version that is not on its way: it must not hit a later attempt."""
    command = read(annotations, "abort")
    if command is None or used(revisions, command.key) or (moving is not None and moving.version == command.version):
        return revisions
    return _without_effect(command, revisions)


def _without_effect(command: Command, revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """Note a command on the newest revision of its version, if there is any, as one that came to nothing."""
    of_version = [revision for revision in revisions if revision.version == command.version]
    return revs.with_changed(revisions, noted(of_version[-1], command, NOWHERE)) if of_version else revisions
