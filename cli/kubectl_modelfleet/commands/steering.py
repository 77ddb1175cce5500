"""`approve`, `promote`, `abort`, `retry`, `retrain`: the annotations that steer a Rollout, once checked for sense."""

from typing import Any

import click

from kubectl_modelfleet import completing, sense
from kubectl_modelfleet.kubectl import REVISIONS, ROLLOUTS, Json
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.session import Session, options
from modelfleet.api import names
from modelfleet.api.commands import NOW, Command, Verb, noted, unused

rollout_argument = click.argument("rollout", type=NAME, shell_complete=completing.rollouts)
version_argument = click.argument("version", type=NAME, required=False, shell_complete=completing.versions)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would happen, and let the API server check it; write nothing."
)


@click.command()
@rollout_argument
@version_argument
@click.option("--in-advance", is_flag=True, help="Also where the version does not wait for approval yet.")
@dry_run_option
@options
def approve(session: Session, rollout: str, version: str | None, in_advance: bool, dry_run: bool) -> None:
    """Let a version leave the Manual group it waits in. Writes modelfleet.dev/approve."""
    raw = session.rollout(rollout)
    chosen = sense.approve(session.seen(raw), version, in_advance=in_advance)
    _give(session, raw, Verb.APPROVE, chosen, dry_run)


@click.command()
@rollout_argument
@version_argument
@dry_run_option
@options
def promote(session: Session, rollout: str, version: str | None, dry_run: bool) -> None:
    """Skip ALL remaining gates and approvals of the version on its way. Writes modelfleet.dev/promote."""
    raw = session.rollout(rollout)
    _give(session, raw, Verb.PROMOTE, sense.promote(session.seen(raw), version), dry_run)


@click.command()
@rollout_argument
@version_argument
@dry_run_option
@options
def abort(session: Session, rollout: str, version: str | None, dry_run: bool) -> None:
    """Take the version on its way back, and quarantine it.

    Every node that has it goes back to the stable version. Writes modelfleet.dev/abort.
    """
    raw = session.rollout(rollout)
    _give(session, raw, Verb.ABORT, sense.abort(session.seen(raw), version), dry_run)


@click.command()
@rollout_argument
@version_argument
@dry_run_option
@options
def retry(session: Session, rollout: str, version: str | None, dry_run: bool) -> None:
    """Lift the quarantine of a version that failed. Writes modelfleet.dev/retry."""
    raw = session.rollout(rollout)
    _give(session, raw, Verb.RETRY, sense.retry(session.seen(raw), version), dry_run)


@click.command()
@rollout_argument
@dry_run_option
@options
def retrain(session: Session, rollout: str, dry_run: bool) -> None:
    """Train a new version now, from spec.drift.retrain. Writes modelfleet.dev/retrain."""
    raw = session.rollout(rollout)
    _give(session, raw, Verb.RETRAIN, sense.retrain(session.seen(raw)), dry_run)


def _give(session: Session, raw: Json, verb: Verb, sensible: sense.Sensible, dry_run: bool) -> None:
    """Write the annotation, with a value that was not acted on before."""
    name = raw["metadata"]["name"]
    revisions = session.kubectl.list(REVISIONS, f"{names.ROLLOUT}={name}")
    used = set().union(*(noted(each["metadata"].get("annotations") or {}, verb) for each in revisions))
    command = unused(verb, NOW if verb is Verb.RETRAIN else sensible.version, used)
    stands = Command.read(raw["metadata"].get("annotations") or {}, verb)
    if stands is not None and stands.value == command.value:
        said = f"{command.assignment} is there already: the operator has not acted on it yet."
        session.show(raw, lambda: f"{name}: {said}")
        return
    notes = [*sensible.notes]
    if stands is not None and stands.value not in used:
        notes.append(f"This replaces {stands.assignment}, on which nothing was done yet.")
    body = {"metadata": {"uid": raw["metadata"]["uid"], "annotations": {verb.annotation: command.value}}}
    written = session.kubectl.patch(ROLLOUTS, name, body, dry_run=dry_run)
    session.show(written, lambda: report(name, sensible.effect, command.assignment, notes, dry_run=dry_run))


def report(name: str, effect: str, written: str, notes: list[str], *, dry_run: bool) -> str:
    """What people read after a write: what happens, what was written, what to mind."""
    wrote = f"Would write {written}; this was a dry run." if dry_run else f"Wrote {written}."
    return "\n".join([f"{name}: {effect}", wrote, *notes])


def patch(session: Session, raw: Json, spec: dict[str, Any], *, dry_run: bool) -> Json:
    """Change fields of the spec of exactly this object."""
    body = {"metadata": {"uid": raw["metadata"]["uid"]}, "spec": spec}
    return session.kubectl.patch(ROLLOUTS, raw["metadata"]["name"], body, dry_run=dry_run)
