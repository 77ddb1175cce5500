"""What is listed and watched: each kind, cluster-wide or once per served namespace. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelfleet.kinds import WATCHED, Kind, selector_of
from modelfleet.kube.client import path_of


@dataclass(frozen=True, order=True)
class Scope:
    """One list and one watch stream: a kind in one namespace, or everywhere (`namespace` None)."""

    kind: Kind
    namespace: str | None = None

    @property
    def selector(self) -> str:
        """The label selector of the list and the watch; "" for none."""
        return selector_of(self.kind)

    @property
    def path(self) -> str:
        """The URL path of the list and the watch."""
        return path_of(self.kind, self.namespace or "")

    def __str__(self) -> str:
        return f"{self.kind.qualified} in namespace {self.namespace}" if self.namespace else self.kind.qualified


def scopes(namespaces: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes for these namespaces; for the whole cluster when there are none. Nodes belong to no namespace."""
    named = tuple(namespaces)
    found: list[Scope] = []
    for kind in WATCHED:
        found += [Scope(kind, name) for name in named] if named and kind.namespaced else [Scope(kind)]
    return tuple(found)


def by_path(all_scopes: Iterable[Scope]) -> Mapping[str, Scope]:
    """The scopes by their URL path."""
    return {scope.path: scope for scope in all_scopes}
