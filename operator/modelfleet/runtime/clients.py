"""The clients of the API server and of Prometheus, as the settings have them."""

from modelfleet import prometheus
from modelfleet.kube import Client, Connection
from modelfleet.kube.client import Observer
from modelfleet.kube.rate_limit import TokenBucket
from modelfleet.settings import Api, Prometheus


def api_client(connection: Connection, api: Api, observer: Observer) -> Client:
    """The client of the API server. `observer` is told of each request."""
    return Client(
        connection,
        timeout=api.request_timeout.total_seconds(),
        writes=TokenBucket(api.writes_per_second, api.write_burst),
        observer=observer,
    )


def providers(of: Prometheus) -> prometheus.Providers:
    """A client for each metrics provider."""
    clients = {
        name: prometheus.Client(each.url, each.timeout, credentials=each.credentials, setting=of.path(name))
        for name, each in of.by_name().items()
    }
    return prometheus.Providers(clients, of.default)
