"""The clients of the API server and of Prometheus, as the settings have them."""

from collections.abc import Callable
from functools import partial

from modelfleet import prometheus
from modelfleet.kube import Client, Connection
from modelfleet.kube.client import Observer
from modelfleet.kube.rate_limit import TokenBucket
from modelfleet.settings import Api, Prometheus


def api_client(connection: Connection, api: Api, observer: Observer, may_write: Callable[[], None]) -> Client:
    """The client of the API server. `observer` is told of each request; `may_write` raises where none may be made."""
    return Client(
        connection,
        timeout=api.request_timeout.total_seconds(),
        writes=TokenBucket(api.writes_per_second, api.write_burst),
        observer=observer,
        may_write=may_write,
    )


def providers(of: Prometheus, observer: Callable[[str, prometheus.Result], None]) -> prometheus.Providers:
    """A client for each metrics provider. `observer` is told of the result of each query, with the provider's name."""
    clients = {
        name: prometheus.Client(
            each.url,
            each.timeout,
            credentials=each.credentials,
            setting=of.path(name),
            observer=partial(observer, name),
        )
        for name, each in of.by_name().items()
    }
    return prometheus.Providers(clients, of.default)
