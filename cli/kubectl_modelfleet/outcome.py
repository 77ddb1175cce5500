"""What `status` says of a Rollout: done, failed, or not decided yet. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_modelfleet.failures import Exit
from kubectl_modelfleet.view import RolloutView, Standing
from modelfleet.api import names
from modelfleet.api.commands import Command, Verb, noted


@dataclass(frozen=True)
class Outcome:
    """The exit code, and a sentence for people."""

    exit: Exit
    message: str


def commanded(rollout: Mapping[str, Any]) -> list[Command]:
    """What stands on a raw Rollout and may end that it failed: its status may still be that of before."""
    annotations = rollout["metadata"].get("annotations") or {}
    return [command for verb in (Verb.RETRY, Verb.PROMOTE) if (command := Command.read(annotations, verb))]


def to_come(shown: RolloutView, commands: Iterable[Command], revisions: Iterable[Mapping[str, Any]]) -> Outcome | None:
    """That one of these commands is there and the operator has not acted on it yet; None where it has on all that it
    will act on now. `revisions`: the raw ControllerRevisions of the Rollout, on which it notes them."""
    known = [each["metadata"] for each in revisions]
    there = {(each["labels"].get(names.MODEL), each["labels"].get(names.VERSION)) for each in known}
    for command in commands:
        used = set().union(*(noted(each.get("annotations") or {}, command.verb) for each in known))
        waits = command.verb is not Verb.PROMOTE or (command.version == shown.moving and not shown.unasked)
        if waits and command.value not in used and (shown.model, command.version) in there:
            said = f"{shown.name}: {command.assignment} is there, and the operator has not acted on it yet."
            return Outcome(Exit.IN_PROGRESS, f"{said} Before: {shown.message}")
    return None


def outcome(shown: RolloutView, version: str | None = None) -> Outcome:
    """Whether the Rollout is done and healthy; with `version`: on that one."""
    status = shown.status
    said = f"{shown.name}: {status.phase or 'Pending'} ({shown.reason}). {shown.message}"
    if shown.standing is Standing.DELETING:
        return Outcome(Exit.BAD, f"{shown.name}: Deleting. {shown.message}")
    if shown.standing is Standing.PENDING:
        return Outcome(Exit.IN_PROGRESS, f"{shown.name}: Pending. {shown.message}")
    if version is not None and (failed := shown.stopped(version)) is not None:
        return Outcome(Exit.BAD, f"{shown.name}: {version} is quarantined. {failed.reason}")
    if shown.standing in (Standing.STALLED, Standing.DEGRADED):
        return Outcome(Exit.BAD, said)
    if shown.standing is Standing.RECONCILING:
        return Outcome(Exit.IN_PROGRESS, said)
    if version is not None and shown.stable != version:
        asked = shown.pinned or f"tag {shown.tag}"
        return Outcome(
            Exit.IN_PROGRESS,
            f"{shown.name}: {shown.stable_called} is stable, and {version} is not chosen (spec.model: {asked}).",
        )
    return Outcome(Exit.DONE, said)
