"""Which receivers want a notification. Pure."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from modelfleet.notifications.endpoint import Endpoint
from modelfleet.notifications.notification import Notification


def wanted_by(notification: Notification, endpoints: Mapping[str, Endpoint]) -> tuple[str, ...]:
    """The names of those who want it."""
    return tuple(name for name, endpoint in endpoints.items() if wants(endpoint, notification))


def wants(endpoint: Endpoint, it: Notification) -> bool:
    """Whether all that the endpoint narrows down lets it pass."""
    return (
        (endpoint.severity != "Warning" or it.severity == "Warning")
        and (not endpoint.topics or it.topic in endpoint.topics)
        and (not endpoint.kinds or it.kind in endpoint.kinds)
        and (not endpoint.namespaces or any(fnmatchcase(it.namespace, each) for each in endpoint.namespaces))
        and all(it.labels.get(name) == value for name, value in endpoint.labels.items())
    )
