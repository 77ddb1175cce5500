"""The operator's settings: grouped, typed, read from one YAML file (`--config`), and from nothing else.

Keys in the file are the fields' names in camelCase; durations are Go-style ("90s", "10h"). A key that does not exist
is an error that says which one was meant, and so is a key that is written twice: a setting that is silently ignored is
worse than an operator that does not start.

The file is long because each setting is explained where it stands; there is nothing else in it but how they are read.
"""

import dataclasses
import difflib
import ipaddress
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from modelfleet import strict_yaml
from modelfleet.addresses import is_address
from modelfleet.api import parse_duration
from modelfleet.api.schemes import ARTIFACT
from modelfleet.credentials import Credentials
from modelfleet.notifications.endpoint import Notifications
from modelfleet.prometheus import DEFAULT


class SettingsError(ValueError):
    """The settings can't be used; the text says which key, why, and what would do."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of the pods that the operator makes. All must be given: only the installer knows where they are."""

    trainer: str
    """The image of training Jobs, from `trainer-image/`. A TrainingJob can name another one in `spec.template`; this
    is what runs when it doesn't. It is big (torch, CUDA): pin it by digest, so that nodes that have it don't pull
    again."""

    agent: str
    """The image of the init container that fetches a model to a node, from `agent-image/`. It runs beside every
    application that a Rollout delivers to, so it should be one that the nodes can pull over a slow link."""

    labeler: str
    """The image of the Jobs of Datasets, from `labeler-image/`. A Dataset can name another one in `spec.template`."""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One metrics provider among several, which a Rollout names in `gate.provider`. Rollouts never hold an address."""

    url: str
    """As `prometheus.url`."""

    timeout: timedelta = timedelta(seconds=30)
    """As `prometheus.timeout`; a provider across a slow link may need more than the others."""

    credentials: Credentials = field(default_factory=Credentials)
    """As `prometheus.credentials`, and used with this provider alone."""


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """Where the gate finds out how a version behaves in production: one provider (`url`), or several by name."""

    url: str = ""
    """The address of the query API, up to and without `/api/v1`; Thanos, Mimir and VictoriaMetrics serve it too. Empty,
    or when nothing answers there, gates hold (ProviderDown) and say so: nothing is promoted or rolled back. There is no
    default, because a wrong guess would look like an outage."""

    timeout: timedelta = timedelta(seconds=30)
    """How long one query may take, retries included. Too short, and a busy provider looks like a dead one; too long,
    and a Rollout's reconcile hangs that long (others go on). A fleet's queries take well under a second."""

    credentials: Credentials = field(default_factory=Credentials)
    """Files with a bearer token, or name and password, a CA bundle, a client certificate with key, and further headers,
    a line `Name: value` each (`bearerToken`, `username`, `password`, `ca`, `certificate`, `key`, `headers`). They are
    read again when they change. Default: none of them."""

    providers: Mapping[str, Provider] = field(default_factory=dict)
    """Further providers by name (a DNS label), for fleets whose metrics are in different places: each with `url`,
    `timeout` and `credentials`. A gate that names none of them holds, and says which there are."""

    default: str = DEFAULT
    """The name of the provider for gates that name none. The one at `url` is called `default`, so that nothing needs to
    be set where there is only that one. Without `url`, and without this, every Rollout has to name one."""

    def by_name(self) -> dict[str, Provider]:
        """All providers, the one at `url` included."""
        plain = Provider(url=self.url, timeout=self.timeout, credentials=self.credentials)
        return {**({DEFAULT: plain} if self.url else {}), **self.providers}

    def path(self, name: str) -> str:
        """Where a provider stands in the settings."""
        return "prometheus" if self.url and name == DEFAULT else f"prometheus.providers.{name}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How the files of a ModelVersion are verified at their source before it is Ready: by a short Job in its namespace,
    which reads every file and compares digest and size. See docs/versions.md."""

    enabled: bool = True
    """Whether versions are verified. Switched off, a version is Ready as soon as it is there, and says that nobody
    looked; a node still verifies each file before it loads it, but finds out only when it is asked to run it."""

    timeout: timedelta = timedelta(minutes=30)
    """How long one Job may take, from its creation. It has to suffice to find a node, pull the image, and read every
    file of the biggest version once. After it the attempt counts as failed, and another one follows."""

    parallel: int = 10
    """About how many Jobs may run at once in a namespace. It matters when a release that verifies meets a namespace
    full of versions that nobody has verified. Jobs that can't start count too."""

    template: Mapping[str, Any] = field(default_factory=dict)
    """A partial pod template (`metadata`, `spec`) laid over the Job's, as `spec.template` of a TrainingJob is: node
    selector, service account, volumes, a pull secret; in container `verify` env, envFrom, volumeMounts, resources.
    Names of Secrets mean those of the version's namespace. Without `envFrom` here, a Secret `object-store` of that
    namespace is the container's environment, if there is one."""

    exempt: tuple[str, ...] = ()
    """Schemes of addresses whose versions are Ready without a look at the source: `file`, where only the nodes have the
    volume."""


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Which models nodes load: all, or those that somebody with a known key has signed. See docs/signatures.md."""

    public_keys: str = ""
    """Public keys in PEM, one after the other (elliptic curve: P-256, P-384 or P-521); a signature by one of them is
    enough. To replace a key, add the new one, sign again, and take the old one away: each change is a new revision of
    every Rollout that demands signatures, and goes through its groups and gates."""

    required: bool = False
    """Whether all models must be signed, whatever a Rollout says; then a ModelVersion is Ready only once its files are.
    Otherwise those of Rollouts whose `spec.delivery.signed` is true."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Which ModelVersions are removed. Only the object goes, never the artifact. See docs/versions.md."""

    keep_versions: int = 0
    """How many versions of a model stay that nothing uses, the newest ones; rejected ones are counted apart. Used ones
    stay anyway. 0 keeps all of them."""

    models: Mapping[str, int] = field(default_factory=dict)
    """`keepVersions` for single models, by their name; 0 keeps all versions of that model."""

    min_age: timedelta = timedelta(hours=24)
    """No version goes that is younger: it may be about to be used by something that is not applied yet."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """The HTTP server for probes and metrics."""

    port: int = 8080
    """Serves /healthz, /readyz and /metrics, without TLS and without secrets. 0 takes any free port (for tests; it is
    in the log)."""

    address: str = "0.0.0.0"
    """Where to listen, an IP address. In a pod it must be reachable for the kubelet and Prometheus, hence all
    addresses; 127.0.0.1 keeps a trial on a workstation to itself. "::" listens on IPv6."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How a failed reconcile is repeated: per object, the delay doubles from `base` up to `limit`."""

    base: timedelta = timedelta(milliseconds=500)
    """The delay after the first failure. Short, because most failures are conflicts that the next look resolves."""

    limit: timedelta = timedelta(minutes=5)
    """The longest delay. An object that the API server refuses (a quota, a webhook) is tried this often for ever; a
    change to it is always tried at once. Longer is quieter, but later when the cause is gone."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """How the operator uses the API server."""

    request_timeout: timedelta = timedelta(seconds=30)
    """Each request's limit. The API server's own is 60 s; an admission webhook may take up to 30 s of it."""

    writes_per_second: float = 50.0
    """Writes allowed on average, of all kinds together. Steady state needs none, and a new Rollout four; this matters
    when a fleet starts or the operator has a bug. kubectl's and client-go's defaults are 50 and 5."""

    write_burst: int = 200
    """Writes that may be made at once before the average counts: a rollback writes each group's DaemonSet, and must not
    wait for its turn."""


@dataclass(frozen=True, kw_only=True)
class LeaderElection:
    """For more than one replica: the one that holds the Lease works, the others stand by and are ready to."""

    enabled: bool = False
    """Off for a single replica: then it costs no writes. On, the leader renews its Lease twice in five seconds."""

    namespace: str = ""
    """Where the Lease is. Empty means the pod's own namespace; outside of a pod it has to be given."""

    name: str = "modelfleet"
    """Of the Lease; operators that share work must agree on it."""

    lease_duration: timedelta = timedelta(seconds=15)
    """How long a leader that says nothing more is waited for, from its last renewal on. A longer one bears a slower
    API server and delays the takeover."""

    renew_deadline: timedelta = timedelta(seconds=10)
    """A leader that could not renew for so long writes nothing more and ends. The difference to `leaseDuration` is what
    a request may be late by."""

    retry_period: timedelta = timedelta(seconds=2)
    """How often the leader renews and the others ask."""

    def __post_init__(self) -> None:
        _require(self.retry_period > timedelta(0), "leaderElection.retryPeriod", "must be above 0s")
        _require(self.renew_deadline > self.retry_period, "leaderElection.renewDeadline", "must exceed retryPeriod")
        _require(
            self.lease_duration >= self.renew_deadline + timedelta(seconds=1),
            "leaderElection.leaseDuration",
            "must exceed renewDeadline by a second or more",
        )
        _require(bool(_NAME.fullmatch(self.name)), "leaderElection.name", "must be at most 63 of a-z, 0-9 and '-'")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Only `images` has no default."""

    images: Images
    prometheus: Prometheus = field(default_factory=Prometheus)
    server: Server = field(default_factory=Server)
    verification: Verification = field(default_factory=Verification)
    signatures: Signatures = field(default_factory=Signatures)
    retention: Retention = field(default_factory=Retention)
    notifications: Notifications = field(default_factory=Notifications)
    backoff: Retry = field(default_factory=Retry)
    api: Api = field(default_factory=Api)
    leader_election: LeaderElection = field(default_factory=LeaderElection)

    namespaces: tuple[str, ...] = ()
    """The namespaces to serve; then the operator needs Roles there (and may list nodes), and no ClusterRole for the
    rest. Empty means all of them. `--namespace` on the command line replaces it."""

    workers: int = 16
    """Objects of one kind that are reconciled side by side. Reconciles wait (for the API server, for Prometheus) more
    than they compute: with 4, a thousand Rollouts applied at once waited twice as long for their DaemonSets. 1 makes
    the log easy to follow."""

    resync_period: timedelta = timedelta(hours=10)
    """How often everything is listed and looked at again although nothing happened. It is a safety net for lost events,
    which should not exist; hence as rare as in other controllers. Each one costs one list of every kind."""

    reconcile_timeout: timedelta = timedelta(minutes=5)
    """After this long a reconcile is given up and tried again, so that a hanging one can't keep its object for ever.
    It has to be well above `prometheus.timeout`, and is never reached unless something is broken."""

    shutdown_timeout: timedelta = timedelta(seconds=20)
    """After SIGTERM, how long reconciles that are under way may take to end. The pod's terminationGracePeriodSeconds
    has to be longer (in the chart it follows from this), else the kubelet kills the process before it has ended on its
    own. Dying in between is safe, only less tidy."""

    def __post_init__(self) -> None:
        _require(0 <= self.server.port <= 65535, "server.port", "must be between 0 and 65535")
        _require(_is_ip(self.server.address), "server.address", "must be an IP address, such as 0.0.0.0 or ::")
        _require(self.workers >= 1, "workers", "must be at least 1")
        sane = 0 < self.api.writes_per_second <= 1_000_000
        _require(sane, "api.writesPerSecond", "must be above 0, and at most 1000000")
        _require(self.api.write_burst >= 1, "api.writeBurst", "must be at least 1")
        _require(self.backoff.base > timedelta(0), "backoff.base", "must be above 0s")
        _require(self.backoff.limit >= self.backoff.base, "backoff.limit", "must not be below backoff.base")
        _require(self.resync_period >= timedelta(minutes=1), "resyncPeriod", "must be at least 1m")
        for each in dataclasses.fields(self.images):
            image: str = getattr(self.images, each.name)
            _require(bool(image.strip()), f"images.{each.name}", "must name an image")
        _require(self.api.request_timeout > timedelta(0), "api.requestTimeout", "must be above 0s")
        self._require_providers()
        self._require_verification()
        self._require_signatures()
        for path, keep in (("retention.keepVersions", self.retention.keep_versions), *self._keeps()):
            _require(keep >= 0, path, "must not be negative; 0 keeps all versions")
        _require(len(set(self.namespaces)) == len(self.namespaces), "namespaces", "must not name one twice")

    def _keeps(self) -> tuple[tuple[str, int], ...]:
        return tuple((f"retention.models.{model}", keep) for model, keep in self.retention.models.items())

    def _require_verification(self) -> None:
        of = self.verification
        _require(of.timeout >= timedelta(seconds=1), "verification.timeout", "must be at least 1s")
        _require(of.parallel >= 1, "verification.parallel", "must be at least 1")
        for scheme in of.exempt:
            _require(scheme in ARTIFACT, "verification.exempt", f"must be of {', '.join(ARTIFACT)}, not {scheme!r}")
        unknown = set(of.template) - {"metadata", "spec"}
        _require(not unknown, "verification.template", f"has metadata and spec, not {', '.join(sorted(unknown))}")
        spec = of.template.get("spec", {})
        containers = spec.get("containers", []) if isinstance(spec, Mapping) else None
        named = isinstance(containers, list) and all(
            isinstance(each, Mapping) and "name" in each for each in containers
        )
        _require(named, "verification.template.spec", "must be a pod's spec; each of its containers needs a name")

    def _require_signatures(self) -> None:
        text = self.signatures.public_keys
        blocks, ends = (text.count(f"-----{mark} PUBLIC KEY-----") for mark in ("BEGIN", "END"))
        sound = blocks == ends and (blocks > 0 or not text.strip())
        _require(sound, "signatures.publicKeys", "must be public keys in PEM: -----BEGIN PUBLIC KEY----- and so on")
        _require(blocks > 0 or not self.signatures.required, "signatures.required", "needs signatures.publicKeys")

    def _require_providers(self) -> None:
        of = self.prometheus
        _require(
            not of.url or DEFAULT not in of.providers,
            f"prometheus.providers.{DEFAULT}",
            "is the one at prometheus.url: give only one of them",
        )
        for name, provider in of.by_name().items():
            path, url = of.path(name), provider.url
            _require(_NAME.fullmatch(name) is not None, path, "must be named by at most 63 of a-z, 0-9 and '-'")
            _require(is_address(url), f"{path}.url", f"must be an http or https address, not {url!r}")
        timeouts = {"prometheus": of.timeout} | {of.path(name): each.timeout for name, each in of.by_name().items()}
        for path, timeout in timeouts.items():
            _require(timeout > timedelta(0), f"{path}.timeout", "must be above 0s")
            _require(self.reconcile_timeout > timeout, "reconcileTimeout", f"must exceed {path}.timeout")
        names = ", ".join(sorted(of.by_name())) or "there are none"
        _require(
            of.default == DEFAULT or of.default in of.by_name(),
            "prometheus.default",
            f"must name one of prometheus.providers ({names}), not {of.default!r}",
        )


def load(path: Path) -> Settings:
    """Read the settings file. Raises SettingsError for whatever is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"can't read the settings file {path}: {error}") from error
    try:
        return parse(text)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def parse(text: str) -> Settings:
    """Read settings from YAML text. Raises SettingsError."""
    try:
        data = strict_yaml.read(text)
    except strict_yaml.StrictYamlError as error:
        raise SettingsError(str(error)) from error
    return _read_group(Settings, {} if data is None else data, "")


Group = TypeVar("Group")


def _read_group(group: type[Group], data: Any, path: str) -> Group:
    if not isinstance(data, Mapping):
        raise SettingsError(f"{path or 'the file'} must be a mapping of keys to values, not {_shown(data)}")
    types_ = typing.get_type_hints(group)
    fields = {_camel(each.name): each for each in dataclasses.fields(typing.cast(Any, group))}
    values: dict[str, Any] = {}
    for key, value in data.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            raise SettingsError(f"{here} is not a setting{meant} (known here: {', '.join(sorted(fields))})")
        if value is not None:  # an empty value in YAML: as if it were not there
            values[fields[key].name] = _read(types_[fields[key].name], value, here)
    for key, each in fields.items():
        no_default = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if each.name not in values and no_default:
            raise SettingsError(f"{path}.{key} must be given" if path else f"{key} must be given")
    try:
        return group(**values)
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error


def _read(kind: Any, value: Any, path: str) -> Any:
    if isinstance(kind, types.UnionType):  # only ever "X | None"
        kind = next(each for each in typing.get_args(kind) if each is not type(None))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_group(kind, value, path)
    if typing.get_origin(kind) is Mapping:
        return _read_mapping(typing.get_args(kind)[1], value, path)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise SettingsError(f"{path} must be a list of strings, not {_shown(value)}")
        return tuple(value)
    if kind is timedelta:
        try:
            return parse_duration(value)
        except ValueError as error:
            raise SettingsError(f"{path}: {error}") from error
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SettingsError(f"{path} must be {_KINDS[kind]}, not {_shown(value)}")
    return value


def _read_mapping(kind: Any, value: Any, path: str) -> dict[str, Any]:
    """A mapping of any names; values of kind Any are taken as they are."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise SettingsError(f"{path} must be a mapping of names, not {_shown(value)}")
    return {name: each if kind is Any else _read(kind, each, f"{path}.{name}") for name, each in value.items()}


_KINDS: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _require(holds: bool, path: str, says: str) -> None:
    if not holds:
        raise SettingsError(f"{path} {says}")
