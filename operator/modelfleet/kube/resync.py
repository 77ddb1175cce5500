"""Brings the store in line with the cluster by listing everything: at start-up, after a gap in a watch, now and then.

A watch that was interrupted for too long (410 Gone) is restarted by kopf with a list of its own, and what was deleted
in between is not in it: nobody says so. Hence a list of our own after it, compared with the store (`Store.replace`).
It may run at any time beside the watches: the resource versions sort out which of both is newer.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from modelfleet.kinds import OWNERS
from modelfleet.kube.client import Client
from modelfleet.kube.errors import ApiError, Forbidden, NotFound
from modelfleet.kube.scope import Scope
from modelfleet.kube.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Why something can't be listed, and what to do, in words for whoever installs the operator."""

    scope: Scope
    message: str


async def check(client: Client, all_scopes: Sequence[Scope]) -> tuple[Problem, ...]:
    """Ask for one object of each kind: is its type installed, and may we list it? Nothing is stored."""
    problems = []
    for scope in all_scopes:
        try:
            await client.list(scope.kind, scope.namespace, selector=scope.selector, limit=1)
        except ApiError as error:
            problems.append(Problem(scope, explain(scope, error)))
    return tuple(problems)


async def fill(client: Client, store: Store, all_scopes: Sequence[Scope]) -> dict[Scope, int]:
    """List everything into the store. Returns how many objects differed, by scope. Raises ApiError."""
    changes = {}
    for scope in all_scopes:
        seen = store.newest(scope.kind)
        listing = await client.list(scope.kind, scope.namespace, selector=scope.selector)
        changes[scope] = store.replace(scope.kind, listing.items, listing.version, seen=seen, namespace=scope.namespace)
    return changes


def explain(scope: Scope, error: ApiError, verb: str = "list") -> str:
    """What `error` means for a list or watch of `scope`, and what to do."""
    match error:
        case NotFound() if scope.kind in OWNERS:
            return (
                f"the custom resource definition {scope.kind.qualified} (version {scope.kind.version}) is not"
                " installed: apply crds/ of this release"
            )
        case NotFound():
            return f"the API server does not serve {scope.kind.api_version} {scope.kind.plural}: {error.message}"
        case Forbidden():
            where = f"the Role in namespace {scope.namespace}" if scope.namespace else "the ClusterRole"
            return (
                f"not allowed to {verb} {scope}: add get, list and watch to {where} of the operator ({error.message})"
            )
        case _:
            return f"can't {verb} {scope}: {error.message}"
