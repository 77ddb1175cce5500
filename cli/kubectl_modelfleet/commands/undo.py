"""`undo ROLLOUT [--to VERSION]`: back to the version that was stable before."""

import click

from kubectl_modelfleet import completing, gitops, sense
from kubectl_modelfleet.commands.steering import dry_run_option, patch, report, rollout_argument
from kubectl_modelfleet.failures import Refused
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.session import Session, options
from modelfleet.api import conditions
from modelfleet.api.modelversion import ModelVersionStatus


@click.command()
@rollout_argument
@click.option(
    "--to",
    type=NAME,
    help="This version; default: the one that was stable before.",
    shell_complete=completing.versions,
)
@dry_run_option
@options
def undo(session: Session, rollout: str, to: str | None, dry_run: bool) -> None:
    """Roll out the version that was stable before. Writes spec.model.version (and takes spec.model.tag away)."""
    raw = session.rollout(rollout, managed=True)
    shown = session.seen(raw)
    sensible = sense.undo(shown, to)
    found = session.version(shown.model, sensible.version)
    ready = conditions.find(ModelVersionStatus.model_validate(found.get("status") or {}).conditions, conditions.READY)
    if ready is None or not ready.is_true:
        why = f"{ready.reason}: {ready.message}" if ready is not None else "the operator has not seen it"
        raise Refused(f"ModelVersion {found['metadata']['name']} is not Ready ({why}).")
    field = ("spec", "model", "version" if shown.pinned else "tag")
    notes = [*sensible.notes, *([warning] if (warning := gitops.warning(raw, field)) else [])]
    model = {"version": sensible.version, "tag": None}
    written = patch(session, raw, {"model": model}, dry_run=dry_run)
    session.show(
        written,
        lambda: report(rollout, sensible.effect, f"spec.model.version: {sensible.version}", notes, dry_run=dry_run),
    )
