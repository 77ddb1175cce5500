"""Settings: defaults, reading, and messages that help."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from modelfleet import settings
from modelfleet.notifications import endpoint
from modelfleet.settings import SettingsError

IMAGES = "images: {trainer: example/trainer, agent: example/agent, labeler: example/labeler}\n"
NOTIFY = IMAGES + "notifications: {namespace: modelfleet, endpoints: "


def test_only_the_images_must_be_given():
    read = settings.parse(IMAGES)
    assert read.images.trainer == "example/trainer"
    assert (read.workers, read.resync_period, read.namespaces) == (16, timedelta(hours=10), ())


def test_every_setting_can_be_set():
    read = settings.parse(
        IMAGES
        + """
prometheus:
  url: https://prometheus.example
  timeout: 5s
  credentials: {bearerToken: /etc/token, ca: /etc/ca.crt}
  default: west
  providers:
    west: {url: "http://west", timeout: 7s, credentials: {certificate: /w/tls.crt, key: /w/tls.key}}
    east: {url: "http://east"}
server: {port: 0, address: 127.0.0.1}
verification:
  enabled: false
  timeout: 5m
  parallel: 2
  template: {spec: {nodeSelector: {zone: a}, containers: [{name: verify, env: [{name: A, value: b}]}]}}
  exempt: [file]
signatures: {publicKeys: "-----BEGIN PUBLIC KEY----- a -----END PUBLIC KEY-----", required: true}
retention: {keepVersions: 10, models: {parts: 0}, minAge: 1h}
notifications:
  namespace: modelfleet
  cluster: plant-3
  retryFor: 2h
  queue: 5
  drainTimeout: 1s
  endpoints:
    bus: {url: "https://bus.example/events", signingKey: /n/bus/key, credentials: {bearerToken: /n/bus/token}}
    chat:
      urlFile: /n/chat/address
      format: slack
      timeout: 3s
      severity: Warning
      topics: [rollout.rolled-back, training.failed]
      kinds: [Rollout]
      namespaces: [factory, team-a-*]
      labels: {team: vision}
backoff: {base: 100ms, limit: 1m}
api: {requestTimeout: 10s, writesPerSecond: 5, writeBurst: 7}
leaderElection: {enabled: true, namespace: ops, name: mine, leaseDuration: 30s, renewDeadline: 20s, retryPeriod: 3s}
namespaces: [a, b]
workers: 2
resyncPeriod: 1h30m
reconcileTimeout: 1m
shutdownTimeout: 5s
"""
    )
    assert read.prometheus.credentials.bearer_token == Path("/etc/token")
    assert read.prometheus.timeout == timedelta(seconds=5)
    named = read.prometheus.by_name()
    assert {name: (each.url, each.timeout.seconds) for name, each in named.items()} == {
        "default": ("https://prometheus.example", 5),
        "west": ("http://west", 7),
        "east": ("http://east", 30),
    }
    assert named["west"].credentials.key == Path("/w/tls.key")
    assert [read.prometheus.path(name) for name in named] == [
        "prometheus",
        "prometheus.providers.west",
        "prometheus.providers.east",
    ]
    assert read.api.writes_per_second == 5.0
    assert read.verification.template["spec"]["nodeSelector"] == {"zone": "a"}
    assert read.verification.exempt == ("file",)
    assert read.signatures.required
    assert (read.retention.keep_versions, read.retention.models) == (10, {"parts": 0})
    assert (read.leader_election.enabled, read.leader_election.lease_duration) == (True, timedelta(seconds=30))
    bus, chat = read.notifications.endpoints.values()
    assert (bus.format, bus.signing_key, bus.credentials.bearer_token) == (
        "cloudevents",
        Path("/n/bus/key"),
        Path("/n/bus/token"),
    )
    assert (chat.url_file, chat.topics, chat.labels) == (
        Path("/n/chat/address"),
        ("rollout.rolled-back", "training.failed"),
        {"team": "vision"},
    )
    assert read.namespaces == ("a", "b")
    assert read.resync_period == timedelta(minutes=90)
    defaults = settings.parse(IMAGES)
    unchanged = [
        each.name
        for each in dataclasses.fields(read)
        if each.name != "images" and getattr(read, each.name) == getattr(defaults, each.name)
    ]
    assert unchanged == []  # a new setting belongs into this test


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "images must be given"),
        ("images: {trainer: a}", r"images\.agent must be given"),
        ("images: {trainer: a, agent: '', labeler: l}", r"images\.agent must name an image"),
        ("images: {trainer: a, agent: b}", r"images\.labeler must be given"),
        (IMAGES + "wokers: 3", "wokers is not a setting; did you mean workers"),
        (IMAGES + "verification: {timeout: 0s}", r"verification\.timeout must be at least 1s"),
        (IMAGES + "verification: {parallel: 0}", r"verification\.parallel must be at least 1"),
        (IMAGES + "verification: {exempt: [files]}", r"verification\.exempt must be of s3, .*, file, not 'files'"),
        (IMAGES + "verification: {template: {containers: []}}", "template has metadata and spec, not containers"),
        (IMAGES + "verification: {template: [a]}", r"verification\.template must be a mapping of names"),
        (
            IMAGES + "verification: {template: {spec: {containers: [{image: a}]}}}",
            "each of its containers needs a name",
        ),
        (IMAGES + "verification: {template: {spec: {containers: {}}}}", "each of its containers needs a name"),
        (IMAGES + "verification: {template: {spec: []}}", "must be a pod's spec"),
        (IMAGES + "signatures: {required: true}", r"signatures\.required needs signatures\.publicKeys"),
        (IMAGES + "signatures: {publicKeys: abc}", r"signatures\.publicKeys must be public keys in PEM"),
        (IMAGES + "retention: {keepVersions: -1}", r"retention\.keepVersions must not be negative; 0 keeps all"),
        (IMAGES + "retention: {models: {parts: -1}}", r"retention\.models\.parts must not be negative"),
        (IMAGES + "retention: {models: {parts: many}}", r"retention\.models\.parts must be a whole number"),
        (IMAGES + "prometheus: {timout: 3s}", r"prometheus\.timout is not a setting; did you mean timeout"),
        (IMAGES + "resync_period: 3h", "did you mean resyncPeriod"),
        (IMAGES + "zzz: 1", r"zzz is not a setting \(known here: api, backoff"),
        (IMAGES + "workers: many", "workers must be a whole number, not 'many'"),
        (IMAGES + "workers: true", "workers must be a whole number, not True"),
        (IMAGES + "workers: 0", "workers must be at least 1"),
        (IMAGES + "workers: 1.5", "workers must be a whole number"),
        (IMAGES + "resyncPeriod: 10", "resyncPeriod: 10 is not a duration such as 90s"),
        (IMAGES + "resyncPeriod: 1s", "resyncPeriod must be at least 1m"),
        (IMAGES + "namespaces: default", "namespaces must be a list of strings, not 'default'"),
        (IMAGES + "namespaces: [a, a]", "namespaces must not name one twice"),
        (IMAGES + "server: 8080", "server must be a mapping of keys to values, not 8080"),
        (IMAGES + "server: {address: localhost}", r"server\.address must be an IP address, such as 0\.0\.0\.0 or ::"),
        (IMAGES + "api: {writesPerSecond: .inf}", r"api\.writesPerSecond must be above 0, and at most 1000000"),
        (IMAGES + "server: {port: 99999}", r"server\.port must be between 0 and 65535"),
        (IMAGES + "backoff: {base: 1h}", r"backoff\.limit must not be below backoff\.base"),
        (IMAGES + "prometheus: {timeout: 10m}", r"reconcileTimeout must exceed prometheus\.timeout"),
        (
            IMAGES + "prometheus: {credentials: {username: /u}}",
            r"prometheus\.credentials: basic authentication needs both",
        ),
        (IMAGES + "prometheus: {url: prometheus:9090}", r"prometheus\.url must be an http or https address"),
        (IMAGES + "prometheus: {url: 'https://'}", r"prometheus\.url must be an http or https address"),
        (IMAGES + "prometheus: {providers: [a]}", r"prometheus\.providers must be a mapping of names"),
        (
            IMAGES + "prometheus: {providers: {1: {url: 'http://a'}}}",
            r"prometheus\.providers must be a mapping of names",
        ),
        (IMAGES + "prometheus: {providers: {a: {}}}", r"prometheus\.providers\.a\.url must be given"),
        (
            IMAGES + "prometheus: {providers: {a: {ulr: x}}}",
            r"prometheus\.providers\.a\.ulr is not .* did you mean url",
        ),
        (IMAGES + "prometheus: {providers: {a: {url: x}}}", r"prometheus\.providers\.a\.url must be an http or https"),
        (IMAGES + "prometheus: {providers: {A_1: {url: 'http://a'}}}", r"prometheus\.providers\.A_1 must be named by"),
        (
            IMAGES + "prometheus: {providers: {a: {url: 'http://a', timeout: 10m}}}",
            r"reconcileTimeout must exceed prometheus\.providers\.a\.timeout",
        ),
        (
            IMAGES + "prometheus: {providers: {a: {url: 'http://a', credentials: {key: /k}}}}",
            r"prometheus\.providers\.a\.credentials: mutual TLS needs both",
        ),
        (
            IMAGES + "prometheus: {url: 'http://a', providers: {default: {url: 'http://b'}}}",
            r"prometheus\.providers\.default is the one at prometheus\.url: give only one",
        ),
        (
            IMAGES + "prometheus: {default: b, providers: {a: {url: 'http://a'}}}",
            r"prometheus\.default must name one of prometheus\.providers \(a\), not 'b'",
        ),
        (NOTIFY + "{chat: {}}}", r"notifications\.endpoints\.chat: needs either url or urlFile"),
        (NOTIFY + "{chat: {url: 'http://a', urlFile: /a}}}", r"endpoints\.chat: needs either url or urlFile"),
        (NOTIFY + "{chat: {url: 'hooks/T0'}}}", r"endpoints\.chat: url must be an http or https address$"),
        (NOTIFY + "{chat: {url: 'http://[a'}}}", r"endpoints\.chat: url must be an http or https address$"),
        (NOTIFY + "{chat: {url: 'http://a', format: teams}}}", "format must be one of cloudevents, json, slack, not"),
        (NOTIFY + "{chat: {url: 'http://a', timeout: 0s}}}", "timeout must be above 0s"),
        (NOTIFY + "{chat: {url: 'http://a', severity: Error}}}", "severity must be Normal or Warning, not 'Error'"),
        (NOTIFY + "{chat: {url: 'http://a', topics: [drift]}}}", "topics must be of rollout.promoted, .*, not 'drift'"),
        (NOTIFY + "{chat: {url: 'http://a', kinds: [Job]}}}", "kinds must be of ModelVersion, .*, not 'Job'"),
        (NOTIFY + "{chat: {url: 'http://a', token: x}}}", r"endpoints\.chat\.token is not a setting"),
        (NOTIFY + "{A_1: {url: 'http://a'}}}", r"notifications: endpoints\.A_1 must be named by"),
        (
            IMAGES + "notifications: {endpoints: {a: {url: 'http://a'}}}",
            "notifications: namespace must be given where there are endpoints: the operator's own namespace",
        ),
        (IMAGES + "notifications: {cluster: 'a/b'}", "cluster must be at most 63 letters"),
        (IMAGES + "notifications: {retryFor: 0s}", "retryFor must be above 0s"),
        (IMAGES + "notifications: {queue: 0}", "queue must be at least 1"),
        ("[1, 2]", "the file must be a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(text, says):
    with pytest.raises(SettingsError, match=says):
        settings.parse(text)


def test_empty_value_is_as_if_it_were_not_there():
    assert settings.parse(IMAGES + "workers:\nprometheus:\n").workers == 16


def test_file_is_named_in_the_message(tmp_path):
    path = tmp_path / "settings.yaml"
    with pytest.raises(SettingsError, match=r"can't read the settings file .*settings\.yaml"):
        settings.load(path)
    path.write_text("workers: x")
    with pytest.raises(SettingsError, match=r"settings\.yaml: workers must be"):
        settings.load(path)
    path.write_text(IMAGES)
    assert settings.load(path).images.agent == "example/agent"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="can't read"):
        settings.load(path)


def test_every_setting_has_its_paragraph():
    """Field docstrings are for readers; this keeps them from being forgotten."""
    text = Path(settings.__file__).read_text().split("def __post_init__")[0]
    text += Path(endpoint.__file__).read_text()
    for group in (
        endpoint.Notifications,
        endpoint.Endpoint,
        settings.Images,
        settings.Provider,
        settings.Prometheus,
        settings.Server,
        settings.Signatures,
        settings.Retry,
        settings.Api,
    ):
        body = text.split(f"class {group.__name__}:", 1)[1]
        for each in dataclasses.fields(group):
            after = body.split(f"\n    {each.name}: ", 1)[1].split("\n", 1)[1]
            assert after.startswith('    """'), f"{group.__name__}.{each.name}"
