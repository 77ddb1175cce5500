"""The operator's settings about notifications: to whom what goes, and for how long it is tried. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import get_args

from modelfleet.addresses import is_address
from modelfleet.api.reasons.entry import Kind, Severity, Topic
from modelfleet.credentials import Credentials
from modelfleet.notifications.formats import FORMATS

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?")
_CLUSTER = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One receiver. What is not narrowed down goes there: all notifications, where nothing is."""

    url: str = ""
    """The address that is posted to. Shown in no log, but readable for whoever may read the settings."""

    url_file: Path | None = None
    """In place of `url`: a file of a mounted Secret with the address, for receivers whose address is the credential, as
    Slack's is. It is read at each try."""

    format: str = "cloudevents"
    """What is posted: `cloudevents` (CloudEvents 1.0, structured JSON), `json` (the same data alone), or `slack` (an
    incoming webhook of Slack, Mattermost, Rocket.Chat or, at its address with /slack, Discord)."""

    signing_key: Path | None = None
    """A file of a mounted Secret with the key that messages are signed with, as Standard Webhooks does it: `whsec_` and
    the base64 of 24 to 64 random bytes. Two of them, one below the other, sign side by side while a key is replaced."""

    credentials: Credentials = field(default_factory=Credentials)
    """Files with a bearer token, or name and password, a CA bundle, and a client certificate with key, as
    `prometheus.credentials`."""

    timeout: timedelta = timedelta(seconds=10)
    """How long one try may take. Receivers should answer first and work afterwards."""

    severity: str = "Normal"
    """`Warning` leaves out what went as it should."""

    topics: tuple[str, ...] = ()
    """What it is told of, such as `rollout.rolled-back`; empty: everything. docs/notifications.md lists them."""

    kinds: tuple[str, ...] = ()
    """Of objects of which kinds; empty: all."""

    namespaces: tuple[str, ...] = ()
    """Of objects in which namespaces; `*` stands for any characters, as in `team-a-*`. Empty: all."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Of objects with all of these labels; empty: all."""

    def __post_init__(self) -> None:
        _require(bool(self.url) != (self.url_file is not None), "", "needs either url or urlFile")
        # the address itself may be a secret: it is not repeated
        _require(not self.url or is_address(self.url), "url", "must be an http or https address")
        _require(self.format in FORMATS, "format", f"must be one of {', '.join(FORMATS)}, not {self.format!r}")
        _require(self.timeout > timedelta(0), "timeout", "must be above 0s")
        _require(self.severity in get_args(Severity), "severity", f"must be Normal or Warning, not {self.severity!r}")
        for path, given, known in (("topics", self.topics, tuple(Topic)), ("kinds", self.kinds, get_args(Kind))):
            for each in given:
                _require(each in known, path, f"must be of {', '.join(known)}, not {each!r}")


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """To whom the operator says what its Events say, where it matters to people or pipelines. Default: to nobody."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """The receivers by name (a DNS label of at most 50 characters), as metrics and the log call them."""

    namespace: str = ""
    """The namespace in which what is not delivered yet is kept, as ConfigMaps: the operator's own. Needed where there
    are endpoints; the chart sets it."""

    cluster: str = ""
    """What this cluster is called in each notification, for receivers that hear from several."""

    retry_for: timedelta = timedelta(hours=24)
    """For how long a notification is tried, counted from what it tells of. After that it is lost: counted and
    logged."""

    queue: int = 1000
    """How many may wait for one endpoint. Beyond that the oldest are lost: counted and logged."""

    drain_timeout: timedelta = timedelta(seconds=5)
    """After SIGTERM and after the last reconciles, how long what waits may still be sent. The next start sends what is
    left, so that nothing is gained by more; the pod's terminationGracePeriodSeconds has to be longer than
    `shutdownTimeout` and this together, as the chart makes it."""

    def __post_init__(self) -> None:
        for name in self.endpoints:
            _require(
                _NAME.fullmatch(name) is not None,
                f"endpoints.{name}",
                "must be named by at most 50 of a-z, 0-9 and '-'",
            )
        _require(
            not self.endpoints or bool(self.namespace),
            "namespace",
            "must be given where there are endpoints: the operator's own namespace, where what waits is kept",
        )
        _require(
            not self.cluster or _CLUSTER.fullmatch(self.cluster) is not None,
            "cluster",
            "must be at most 63 letters, digits, '-', '_' and '.'",
        )
        _require(self.retry_for > timedelta(0), "retryFor", "must be above 0s")
        _require(self.queue >= 1, "queue", "must be at least 1")
        _require(self.drain_timeout >= timedelta(0), "drainTimeout", "must not be negative")


def _require(holds: bool, path: str, says: str) -> None:
    if not holds:
        raise ValueError(f"{path} {says}".strip())
