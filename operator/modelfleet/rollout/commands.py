"""What follows from commands (modelfleet.api.commands): each acts once, and only on the version that it names, of the
model that the spec names.

A value that was seen is noted on the ControllerRevision on which it acted, in the annotation modelfleet.dev/commands,
and never acts again on any: an old annotation that stays in Git does not touch a later attempt, whether or not the
status was wiped in between. A command that names a version on which it has nothing to do is noted too; one for a
version that has no revision yet waits. For `retrain` see retraining.py.

Where the history limit takes a ControllerRevision away, what was noted on it goes to one that stays.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from modelfleet.api.commands import Command, Verb, unused
from modelfleet.api.rollout import Rollout
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Revision

GATES = "gates"
"""Where a `promote` counts: on all gates of the revision."""

NOWHERE = ""

_KEPT = 32


def used(revisions: Iterable[Revision], command: Command) -> bool:
    """Whether the command was noted already."""
    return any(_key(command) in revision.commands for revision in revisions)


def noted(revision: Revision, command: Command, where: str) -> Revision:
    """The revision with the command noted. Only the newest few dozen of each verb are kept: what stands on the Rollout
    is the last that was said with its verb, and stays however often another one is used."""
    new = _key(command)
    before = {key: value for key, value in revision.commands.items() if key != new}
    return replace(revision, commands=_newest(before | {new: where}))


def carried_over(rollout: Rollout, revisions: tuple[Revision, ...], gone: Sequence[Revision]) -> tuple[Revision, ...]:
    """The revisions with what was noted on those that are `gone` noted on one that stays, as what counts nowhere any
    more. What stands on the Rollout now is the last to be forgotten. At least one revision must stay."""
    going = {revision.hash for revision in gone}
    kept = [revision for revision in revisions if revision.hash not in going]
    noted_there = {key for revision in kept for key in revision.commands}
    lost = [key for revision in gone for key in revision.commands if key not in noted_there]
    if not lost:
        return revisions
    keeper = revs.stable(kept) or kept[-1]
    every = dict.fromkeys(lost, NOWHERE) | dict(keeper.commands)
    standing = {_key(command) for verb in Verb if (command := Command.read(rollout.metadata.annotations, verb))}
    ordered = {key: every[key] for key in sorted(every, key=lambda key: key in standing)}
    return revs.with_changed(revisions, replace(keeper, commands=_newest(ordered)))


def approved(revision: Revision, group: str) -> bool:
    """Whether the revision may leave this group by somebody's word."""
    return any(where == group for _, where in _notes(revision, Verb.APPROVE))


def past_gates(revision: Revision) -> bool:
    """Whether somebody let the revision pass its gates."""
    return any(where == GATES for _, where in _notes(revision, Verb.PROMOTE))


def values(revisions: Iterable[Revision], verb: Verb) -> tuple[str, ...]:
    """What was said with this verb and counts, newest first, as a status shows it."""
    found = [value for revision in revisions for value, where in _notes(revision, verb) if where != NOWHERE]
    return tuple(dict.fromkeys(reversed(found)))


def hint(revisions: Iterable[Revision], verb: Verb, version: str) -> str:
    """What to put behind `kubectl annotate rollout NAME`: the annotation with a value that was not used before, and a
    field manager whose fields Flux leaves alone."""
    known = {value for revision in revisions for value, _ in _notes(revision, verb)}
    return unused(verb, version, known).arguments


def lift(rollout: Rollout, revisions: tuple[Revision, ...], now: datetime) -> tuple[Revision, ...]:
    """Carry out `retry`: the version's quarantine, or that of its revisions, is gone."""
    command = Command.read(rollout.metadata.annotations, Verb.RETRY)
    if command is None or used(revisions, command):
        return revisions
    of_version = _of(rollout, command, revisions)
    for revision in of_version:
        if revision.quarantine is not None:
            revisions = revs.with_changed(revisions, noted(revs.lifted(revision, now), command, revision.hash))
    if not used(revisions, command) and of_version:
        revisions = revs.with_changed(revisions, noted(of_version[-1], command, NOWHERE))
    return revisions


def latch_promote(
    rollout: Rollout, revisions: tuple[Revision, ...], candidate: Revision | None
) -> tuple[Revision, ...]:
    """Note `promote`: on the candidate it lets all gates pass; on any other revision there is nothing to let pass."""
    command = Command.read(rollout.metadata.annotations, Verb.PROMOTE)
    if command is None or used(revisions, command):
        return revisions
    if candidate is not None and candidate.version == command.version:
        return revs.with_changed(revisions, noted(candidate, command, GATES))
    return _without_effect(rollout, command, revisions)


def latch_approve(
    rollout: Rollout, revisions: tuple[Revision, ...], candidate: Revision | None, group: str | None
) -> tuple[Revision, ...]:
    """Note `approve` for `group`, the Manual group that the candidate is in (None: it is in none now, keep it)."""
    command = Command.read(rollout.metadata.annotations, Verb.APPROVE)
    if command is None or used(revisions, command):
        return revisions
    if candidate is None or candidate.version != command.version:
        return _without_effect(rollout, command, revisions)
    if group is None or approved(candidate, group):
        return revisions
    return revs.with_changed(revisions, noted(candidate, command, group))


def wants_abort(rollout: Rollout, revisions: Sequence[Revision], moving: Revision | None) -> Command | None:
    """The `abort` that speaks of the revision now moving (or held after a failure), if there is one."""
    command = Command.read(rollout.metadata.annotations, Verb.ABORT)
    if command is None or moving is None or command.version != moving.version or used(revisions, command):
        return None
    return command


def latch_idle_abort(
    rollout: Rollout, revisions: tuple[Revision, ...], moving: Revision | None
) -> tuple[Revision, ...]:
    """Note an `abort` of a version that is not on its way: it must not hit a later attempt."""
    command = Command.read(rollout.metadata.annotations, Verb.ABORT)
    if command is None or used(revisions, command) or (moving is not None and moving.version == command.version):
        return revisions
    return _without_effect(rollout, command, revisions)


def _without_effect(rollout: Rollout, command: Command, revisions: tuple[Revision, ...]) -> tuple[Revision, ...]:
    """Note a command on the newest revision of its version, if there is any, as one that came to nothing."""
    of_version = _of(rollout, command, revisions)
    return revs.with_changed(revisions, noted(of_version[-1], command, NOWHERE)) if of_version else revisions


def _of(rollout: Rollout, command: Command, revisions: Iterable[Revision]) -> list[Revision]:
    """The revisions of what a command means: the version that it names, of the spec's model."""
    return [revision for revision in revisions if revision.is_of(rollout.spec.model.name, command.version)]


def _newest(notes: Mapping[str, str]) -> dict[str, str]:
    """Of notes, oldest first, the newest of each verb."""
    seen, kept = Counter[str](), list[str]()
    for key in reversed(list(notes)):
        verb = key.partition("=")[0]
        seen[verb] += 1
        if seen[verb] <= _KEPT:
            kept.append(key)
    return {key: notes[key] for key in reversed(kept)}


def _key(command: Command) -> str:
    """Under which a command is noted."""
    return f"{command.verb}={command.value}"


def _notes(revision: Revision, verb: Verb) -> Iterator[tuple[str, str]]:
    """The values that were noted with this verb, oldest first, and where each counts."""
    for key, where in revision.commands.items():
        of, _, value = key.partition("=")
        if of == verb:
            yield value, where
