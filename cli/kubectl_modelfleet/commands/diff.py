"""`diff ROLLOUT VERSION`: what an upgrade to a version would change."""

from dataclasses import asdict

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kubectl_modelfleet import completing
from kubectl_modelfleet.changes import Change, changes
from kubectl_modelfleet.kubectl import Json
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.session import Session, options
from kubectl_modelfleet.view import RolloutView
from modelfleet.api import conditions
from modelfleet.api.modelversion import ModelVersionStatus


@click.command()
@click.argument("rollout", type=NAME, shell_complete=completing.rollouts)
@click.argument("version", type=NAME, shell_complete=completing.versions)
@options
def diff(session: Session, rollout: str, version: str) -> None:
    """What an upgrade to VERSION would change.

    From the stable version: digest, classes, metrics, dataset, calibration.
    """
    raw = session.rollout(rollout)
    shown = session.seen(raw)
    after = session.version(shown.model, version)
    stable = shown.status.stable_version
    before = session.versions(shown.stable_model).get(stable) if stable is not None else None
    found = changes(before, after, wanted(raw))
    notes = remarks(shown, before, after)
    document = {
        "rollout": rollout,
        "from": stable,
        "to": version,
        "changes": [asdict(change) for change in found],
        "notes": notes,
    }
    session.show(document, lambda: told(shown, version, found, notes))


def wanted(raw: Json) -> dict[str, str]:
    """Which format each group loads."""
    common = (raw["spec"].get("delivery") or {}).get("format") or "onnx"
    return {group["name"]: (group.get("delivery") or {}).get("format") or common for group in raw["spec"]["groups"]}


def remarks(shown: RolloutView, before: Json | None, after: Json) -> list[str]:
    """What stands in the way of the upgrade, or of the comparison."""
    notes, version = [], after["spec"]["version"]
    if shown.status.stable_version is not None and before is None:
        gone = f"{shown.stable_model}-{shown.status.stable_version}"
        notes.append(f"ModelVersion {gone} is gone: nothing to compare with.")
    ready = conditions.find(ModelVersionStatus.model_validate(after.get("status") or {}).conditions, conditions.READY)
    if ready is None or not ready.is_true:
        notes.append(f"{version} is not Ready: {ready.message if ready is not None else 'not seen by the operator'}")
    if shown.stopped(version) is not None:
        notes.append(f"{version} is quarantined: {shown.advised(f'retry {shown.name} {version}')} lifts that.")
    elif reservation := shown.reservation(version):
        notes.append(reservation)
    return notes


def told(shown: RolloutView, version: str, found: list[Change], notes: list[str]) -> Group:
    """As a table."""
    stable = shown.stable_called
    if not found:
        return Group(Text(f"{shown.name}: {stable} and {version} are the same."), *map(Text, notes))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for column in (stable, version, ""):
        table.add_column(column, overflow="fold")
    for change in found:
        style = "red" if change.after == "missing" else ""
        table.add_row(change.what, Text(change.before), Text(change.after, style=style), Text(change.note))
    return Group(table, *(Text(note, style="yellow") for note in notes))
