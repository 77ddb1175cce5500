"""`history ROLLOUT`: the rollouts of the past, and what is quarantined."""

from collections.abc import Iterator

import click
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kubectl_modelfleet import completing, wording
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.session import Session, options
from kubectl_modelfleet.view import RolloutView
from modelfleet.api.rolloutstatus import HistoryEntry
from modelfleet.times import to_minute

_NARROW = 90
"""Columns of a terminal, below which a table would show of each cell its beginning alone."""
_COLOURS = {"Promoted": "green", "Installed": "green", "RolledBack": "red", "Aborted": "red"}


@click.command()
@click.argument("rollout", type=NAME, shell_complete=completing.rollouts)
@options
def history(session: Session, rollout: str) -> None:
    """The rollouts of the past, and what is quarantined.

    The newest ten: version, how it ended, when, how long it took, why.
    """
    shown = session.view(rollout, pods=False)
    status = shown.status.to_dict()
    document = {"history": status.get("history", []), "quarantined": status.get("quarantined", [])}
    session.show(document, lambda: told(shown, session.console.width))


def told(shown: RolloutView, width: int) -> Group:
    """As a table; where the terminal is narrow, a line each with the reason beneath."""
    lines = [
        Text(f"{shown.called(entry)} is quarantined since {to_minute(entry.at)}: {entry.reason}", style="red")
        for entry in shown.status.quarantined
    ]
    if not shown.status.history:  # a first install that failed is in quarantine, and is not over
        return Group(Text(f"{shown.name} has no history yet: nothing was installed."), *lines)
    if width < _NARROW:
        return Group(*_listed(shown), *lines)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("VERSION", "RESULT", "FINISHED", "TOOK"):
        table.add_column(column, no_wrap=True)
    table.add_column("WHY")
    for entry in shown.status.history:
        table.add_row(shown.called(entry), _result(entry), _when(entry), _took(entry), Text(entry.message))
    return Group(table, *lines)


def _listed(shown: RolloutView) -> Iterator[RenderableType]:
    for entry in shown.status.history:
        took = f" in {_took(entry)}" if _took(entry) else ""
        yield Text.assemble(f"{shown.called(entry)}  ", _result(entry), f"  {_when(entry)}{took}")
        if entry.message:
            yield Padding(Text(entry.message), (0, 0, 0, 4))


def _result(entry: HistoryEntry) -> Text:
    return Text(entry.result, style=_COLOURS.get(entry.result, ""))


def _when(entry: HistoryEntry) -> str:
    return to_minute(entry.finished_at) if entry.finished_at is not None else ""


def _took(entry: HistoryEntry) -> str:
    if entry.started_at is None or entry.finished_at is None:
        return ""
    return wording.age(entry.started_at, entry.finished_at)
