"""`get rollout [NAME] [-w]`: the live tree."""

import time

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from kubectl_modelfleet import completing, documents
from kubectl_modelfleet.failures import Failure
from kubectl_modelfleet.kubectl import PODS, ROLLOUTS, namespaced
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.output import Harmless, tell
from kubectl_modelfleet.session import Session, options, where
from kubectl_modelfleet.streams import Streams
from kubectl_modelfleet.tree import NODES_SHOWN, line, tree
from kubectl_modelfleet.view import RolloutView
from modelfleet.api import names
from modelfleet.times import wire_time

_FRAME = 1.0  # seconds between two pictures where nothing happens: ages go on
_WELL = 10.0  # seconds without trouble after which the same is told again: a watch may be refused after each list


@click.group()
@where
def get(**where: str) -> None:
    """Show a Rollout as a tree: groups, nodes, gate, drift."""


@get.command(name="rollout")
@click.argument("rollout", type=NAME, required=False, shell_complete=completing.rollouts)
@click.option("-w", "--watch", is_flag=True, help="Go on showing it; without a terminal, one line for each change.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Those of all namespaces, a line each.")
@click.option(
    "--nodes",
    type=click.IntRange(min=0),
    default=NODES_SHOWN,
    show_default=True,
    help="Maximum number of nodes shown for each group.",
)
@options
def get_rollout(session: Session, rollout: str | None, watch: bool, all_namespaces: bool, nodes: int) -> None:
    """The tree of a Rollout; without a NAME one line for each."""
    if rollout is not None and all_namespaces:
        raise click.UsageError("-A lists the Rollouts of all namespaces; one of them by its name takes -n NAMESPACE")
    if rollout is None:
        if watch:
            raise click.UsageError("-w needs the name of a Rollout")
        every, unread = _every(session, everywhere=all_namespaces)
        found = [documents.rollout(each) for each in every]
        if every or not unread or session.output:
            session.show(found, lambda: _lines(session, every, all_namespaces=all_namespaces))
        if unread:
            raise Failure(" ".join(map(str, unread)))
    elif watch and session.terminal and not session.output and not session.console.is_dumb_terminal:
        _live(session, rollout, nodes)
    elif watch:
        _plain(session, rollout)
    else:
        shown = session.view(rollout)
        session.show(documents.rollout(shown), lambda: tree(shown, session.now, session.signs, nodes))


get.add_command(get_rollout, "rollouts")


def _every(session: Session, *, everywhere: bool) -> tuple[list[RolloutView], list[Failure]]:
    """All that can be read, and why others can't: one with a status of another release hides none of them."""
    every, unread = [], []
    for each in session.kubectl.list(ROLLOUTS, everywhere=everywhere):
        try:
            every.append(session.seen(each, everywhere=everywhere))
        except Failure as failure:
            unread.append(failure)
    return every, unread


def _lines(session: Session, every: list[RolloutView], *, all_namespaces: bool) -> Group:
    if not every:
        return Group(Text("No Rollout" + ("." if all_namespaces else f" in namespace {session.kubectl.namespace}.")))
    return Group(
        *(
            Text(
                (f"{each.namespace}/" if all_namespaces else "") + line(each, session.signs),
                no_wrap=True,
                overflow="ellipsis",
            )
            for each in every
        )
    )


def _streams(session: Session, rollout: str) -> Streams:
    session.rollout(rollout)  # says what is near where there is none
    kubectl, namespace = session.kubectl, session.kubectl.namespace
    asked = {ROLLOUTS: (namespaced(ROLLOUTS, namespace), {"fieldSelector": f"metadata.name={rollout}"})}
    if session.sees_pods(rollout):
        asked[PODS] = (namespaced(PODS, namespace), {"labelSelector": f"{names.ROLLOUT}={rollout}"})
    return Streams(kubectl, asked)


def _stands_still(trouble: str) -> str:
    return f"Not followed now: {trouble}"


def _live(session: Session, rollout: str, nodes: int) -> None:
    signs = session.signs
    with (
        _streams(session, rollout) as streams,
        Live(console=session.console, auto_refresh=False, vertical_overflow="crop") as picture,
    ):
        while True:
            found = streams.objects(ROLLOUTS)
            if found:
                shown = session.seen(found[0], streams.objects(PODS))
                now = tree(shown, session.now, signs, nodes)
                if trouble := streams.trouble:
                    now = Group(now, Text(_stands_still(trouble), style="yellow"))
                picture.update(Harmless(now), refresh=True)
            elif streams.seen(ROLLOUTS):
                picture.update(Text(f"Rollout {rollout} is gone."), refresh=True)
                return
            streams.wait(_FRAME)


def _plain(session: Session, rollout: str) -> None:
    """One line (or one JSON document) for each change, until it is gone, nobody reads on, or somebody interrupts."""
    before, troubled, troubled_at = "", "", 0.0
    with _streams(session, rollout) as streams:
        while True:
            found = streams.objects(ROLLOUTS)
            if trouble := streams.trouble:
                if trouble != troubled:
                    tell(_stands_still(trouble))
                troubled, troubled_at = trouble, time.monotonic()
            elif time.monotonic() - troubled_at > _WELL:
                troubled = ""
            if found:
                shown = session.seen(found[0], streams.objects(PODS))
                now = line(shown, session.signs)
                if now != before:
                    before = now
                    told = Text(f"{wire_time(session.now)} {now}")
                    document = documents.rollout(shown)
                    if not session.show(document, lambda told=told: told, one_of_many=True):  # type: ignore[misc]
                        return
            elif streams.seen(ROLLOUTS):
                gone = f"{wire_time(session.now)} Rollout {rollout} is gone."
                if session.output:  # whoever reads that reads documents alone
                    tell(gone)
                else:
                    session.say(gone)
                return
            streams.wait(_FRAME)
