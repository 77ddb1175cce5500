"""The metrics providers that the operator's administrator has configured, by name.

Whoever writes a Rollout only ever names one. An address in a custom resource would let anybody who may write one make
the operator talk to any server, with the operator's credentials.
"""

from collections.abc import Mapping

from modelfleet.prometheus.client import Client
from modelfleet.prometheus.results import ProviderDown

DEFAULT = "default"
"""The name of the provider at `prometheus.url`."""

_LISTED = 10


class Providers:
    """A client for each provider; `default` names the one for those who name none. Close it with `aclose`."""

    def __init__(self, clients: Mapping[str, Client], default: str = DEFAULT) -> None:
        self._clients, self._default = dict(clients), default

    def get(self, name: str | None, field: str = "gate.provider") -> Client | ProviderDown:
        """The provider of that name (None: the default one), or why there is none: that is nothing to judge by.
        `field`: where the name is from, for the message."""
        found = self._clients.get(self._default if name is None else name)
        if found is not None:
            return found
        if not self._clients:
            return ProviderDown("no Prometheus is configured: set prometheus.url in the operator's settings")
        if name is None:
            return ProviderDown(
                f"no default Prometheus is configured: set {field} (known: {self._known}), or prometheus.default "
                "in the operator's settings"
            )
        return ProviderDown(
            f"{field} names {name!r}, which the operator's settings do not have in prometheus.providers "
            f"(known: {self._known})"
        )

    async def aclose(self) -> None:
        """Close all clients."""
        for client in self._clients.values():
            await client.aclose()

    @property
    def _known(self) -> str:
        names = sorted(self._clients)
        return ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
