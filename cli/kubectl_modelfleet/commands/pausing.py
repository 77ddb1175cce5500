"""`pause`, `resume`: spec.paused, and what Flux or Argo CD will make of it."""

import click

from kubectl_modelfleet import gitops
from kubectl_modelfleet.commands.steering import dry_run_option, patch, report, rollout_argument
from kubectl_modelfleet.session import Session, options

_FIELD = ("spec", "paused")


@click.command()
@rollout_argument
@dry_run_option
@options
def pause(session: Session, rollout: str, dry_run: bool) -> None:
    """Hold a Rollout where it stands; rolling back never waits. Writes spec.paused: true."""
    _set(session, rollout, True, dry_run)


@click.command()
@rollout_argument
@dry_run_option
@options
def resume(session: Session, rollout: str, dry_run: bool) -> None:
    """Let a paused Rollout go on. Writes spec.paused: false."""
    _set(session, rollout, False, dry_run)


def _set(session: Session, name: str, paused: bool, dry_run: bool) -> None:
    raw = session.rollout(name, managed=True)
    if bool(raw["spec"].get("paused")) == paused:
        session.show(raw, lambda: f"{name} is {'paused already' if paused else 'not paused'}.")
        return
    effect = "no version moves on until it is resumed; rolling back never waits." if paused else "it goes on."
    notes = [warning] if (warning := gitops.warning(raw, _FIELD)) else []
    written = patch(session, raw, {"paused": paused}, dry_run=dry_run)
    session.show(written, lambda: report(name, effect, f"spec.paused: {str(paused).lower()}", notes, dry_run=dry_run))
