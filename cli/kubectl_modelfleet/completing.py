"""Completion of names from the cluster. Nothing is said where the cluster can't be asked: a shell waits for it."""

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from kubectl_modelfleet.failures import Failure
from kubectl_modelfleet.kubectl import DATASETS, MODEL_VERSIONS, PODS, ROLLOUTS
from kubectl_modelfleet.session import Session, chosen_in
from modelfleet.api import names

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _session(context: click.Context) -> Session:
    return Session(**chosen_in(context))


def _items(found: set[str], begun: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(found) if name.startswith(begun)]


def of(resource: str) -> Completer:
    """Names of objects of a kind."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            return _items({each["metadata"]["name"] for each in _session(context).kubectl.list(resource)}, begun)
        except Failure:
            return []

    return complete


def versions(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Versions of the model of the Rollout that stands before. Where an option is completed (`undo line --to`), click
    has left it among the words that it has not taken yet."""
    name = context.params.get("rollout") or next(iter(context.args), None)
    if name is None:
        return []
    session = _session(context)
    try:
        rollout = session.kubectl.get(ROLLOUTS, name)
        return _items(set(session.versions(rollout["spec"]["model"]["name"])), begun)
    except Failure:
        return []


def nodes(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Nodes with a pod of some Rollout."""
    try:
        pods = _session(context).kubectl.list(PODS, names.ROLLOUT)
        return _items({pod["spec"].get("nodeName", "") for pod in pods} - {""}, begun)
    except Failure:
        return []


rollouts = of(ROLLOUTS)
datasets = of(DATASETS)
model_versions = of(MODEL_VERSIONS)
