"""`sync`: have a Dataset look for captures and reviewed labels now."""

import click

from kubectl_modelfleet import completing
from kubectl_modelfleet.commands.steering import dry_run_option, report
from kubectl_modelfleet.kubectl import DATASETS
from kubectl_modelfleet.session import Session, options
from modelfleet.api.commands import NOW, Command, Verb, unused


@click.command()
@click.argument("dataset", shell_complete=completing.datasets)
@dry_run_option
@options
def sync(session: Session, dataset: str, dry_run: bool) -> None:
    """Look for captures and reviewed labels now, also where the Dataset is suspended. Writes modelfleet.dev/sync."""
    raw = session.object(DATASETS, "Dataset", dataset)
    used = set((raw.get("status") or {}).get("synced") or ())
    stands = Command.read(raw["metadata"].get("annotations") or {}, Verb.SYNC)
    if stands is not None and stands.version == NOW and stands.value not in used:
        session.show(raw, lambda: f"{dataset}: {stands.assignment} is there already: its sync has not begun yet.")
        return
    command = unused(Verb.SYNC, NOW, used)
    body = {"metadata": {"uid": raw["metadata"]["uid"], "annotations": {Verb.SYNC.annotation: command.value}}}
    written = session.kubectl.patch(DATASETS, dataset, body, dry_run=dry_run)
    effect = "a Job looks for captures and reviewed labels, when the one that may be running is done."
    session.show(written, lambda: report(dataset, effect, command.assignment, [], dry_run=dry_run))
