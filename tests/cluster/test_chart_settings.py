"""What the operator refuses at its start, the chart refuses before: field by field, by the settings' own parser.

A value that only the operator refuses takes down the one that runs: an upgrade has replaced it by then.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import binaries
from harness.paths import REPOSITORY
from modelfleet import settings
from modelfleet.settings import Settings, SettingsError

CHART = REPOSITORY / "charts" / "modelfleet"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
PEM = "-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n"

IMAGES = {"images.trainer": "trainerImage", "images.agent": "agentImage", "images.labeler": "labelerImage"}
OWN = ("prometheus", "verification", "signatures", "retention", "notifications")
"""Groups of settings that are groups of values, too. The others are below `settings`."""
CHARTS = {
    "server.port": "service.port",
    "namespaces": "watchNamespaces",
    "leaderElection.enabled": "replicas",
    "notifications.namespace": "the release's namespace",
}
"""What the chart sets itself, and from what."""

NAMED = {"prometheus.providers": "west", "notifications.endpoints": "bus"}
"""A name for what the settings have by any name."""

BESIDE: dict[str, dict[str, Any]] = {
    "prometheus.default": {"prometheus.providers.west.url": "http://west"},
    "signatures.required": {"signatures.publicKeys": PEM},
    "backoff.base": {"backoff.limit": "5m"},
}
"""What a value needs beside it to be taken."""

ADDRESSES = ["prometheus:9090", "ftp://a", "https://", "http://a b", "//a", "http://:80"]
TAKEN_ADDRESSES = ["http://a", "https://a.b:65535/c?d=e", "http://10.0.0.1:1", "http://[fd00::1]:9090", "http://u:p@a/"]
FILE: tuple[list[Any], list[Any]] = ([], ["ca.crt"])

BOUNDS: dict[str, tuple[list[Any], list[Any]]] = {
    "images.trainer": (["", " "], ["registry:5000/a@sha256:b"]),
    "images.agent": (["", "\u00a0"], ["a"]),
    "images.labeler": ([""], ["a:1"]),
    "prometheus.url": (
        [*ADDRESSES, "http://a:abc", "http://a:0", "http://a:65536", "http://1.2.3.256", "http://[::1"],
        ["", *TAKEN_ADDRESSES],
    ),
    "prometheus.timeout": (["0s", "0h0.0m", "5m", "6m"], ["1ms", "299.999s", "4m59.999s"]),
    "prometheus.default": (["west2", "West"], ["default", "west"]),
    "prometheus.providers.west.url": (["", *ADDRESSES], TAKEN_ADDRESSES),
    "prometheus.providers.west.timeout": (["0s", "300s"], ["1s"]),
    "server.address": (["", "abc", "localhost", "1.2.3", "1.2.3.256", "[::]"], ["0.0.0.0", "::", "127.0.0.1"]),
    "verification.enabled": ([], [False]),
    "verification.timeout": (["0s", "999ms", "0.5s0.4s"], ["1s", "1000ms", "99999h"]),
    "verification.parallel": ([0, -1], [1]),
    "verification.template": (
        [{"containers": []}, {"spec": []}, {"spec": {"containers": {}}}, {"spec": {"containers": [{"image": "a"}]}}],
        [{}, {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "verify"}]}}],
    ),
    "verification.exempt": ([["files"], [""]], [[], ["file", "s3"]]),
    "signatures.publicKeys": (["abc", "-----BEGIN PUBLIC KEY-----", "", " "], [PEM, PEM + PEM]),
    "signatures.required": ([], [True, False]),
    "retention.keepVersions": ([-1], [0, 1000]),
    "retention.models": ([{"parts": -1}, {"parts": "many"}, {"parts": 1.5}], [{}, {"parts": 0, "a.b": 3}]),
    "retention.minAge": ([], ["0s", "1000h"]),
    "notifications.cluster": (["a/b", "-a", "a" * 64], ["", "plant-3.A_b", "a" * 63]),
    "notifications.retryFor": (["0s", "0.000h"], ["1s"]),
    "notifications.queue": ([0], [1, 1000000]),
    "notifications.drainTimeout": ([], ["0s", "9s"]),
    "notifications.endpoints.bus.url": ([*ADDRESSES, ""], TAKEN_ADDRESSES),
    "notifications.endpoints.bus.urlFile": FILE,
    "notifications.endpoints.bus.signingKey": FILE,
    "notifications.endpoints.bus.format": (["teams", ""], ["json", "slack", "cloudevents"]),
    "notifications.endpoints.bus.timeout": (["0s"], ["0.001ms"]),
    "notifications.endpoints.bus.severity": (["Error"], ["Warning", "Normal"]),
    "notifications.endpoints.bus.topics": ([["drift"]], [["training.failed"]]),
    "notifications.endpoints.bus.kinds": ([["Job"]], [["Rollout", "Dataset"]]),
    "notifications.endpoints.bus.namespaces": ([[1]], [["a-*"]]),
    "notifications.endpoints.bus.labels": ([{"team": 3}], [{"team": "1e3"}]),
    "backoff.base": (["0s", "301s"], ["1ms", "5m"]),
    "backoff.limit": (["499ms", "0s"], ["500ms", "0.5s"]),
    "api.requestTimeout": (["0s"], ["1ms"]),
    "api.writesPerSecond": ([0, -0.5, 1e6 + 1], [0.5, 1000]),
    "api.writeBurst": ([0], [1]),
    "leaderElection.namespace": ([], ["ops"]),
    "leaderElection.name": (["A", "a.b", "-a", "a" * 64], ["other", "a" * 63]),
    "leaderElection.leaseDuration": (["10s", "10.999s"], ["11s"]),
    "leaderElection.renewDeadline": (["2s", "14.5s", "0s"], ["2.001s", "14s"]),
    "leaderElection.retryPeriod": (["0s", "10s"], ["9.999s", "1ms"]),
    "workers": ([0, -3], [1]),
    "resyncPeriod": (["59s", "59.999s", "0s"], ["1m", "60s"]),
    "reconcileTimeout": (["10s", "0s"], ["10.001s"]),
    "shutdownTimeout": ([], ["0s", "10m"]),
}
"""What is refused for its bounds, and what is taken, by each setting."""

WRONG: dict[Any, list[Any]] = {
    timedelta: [3, "", "soon", "1d", "-1s", "1 s", "1s ", "1234567s", "1.2345s", "1s1s1s1s1s1s1s", ["1s"]],
    int: ["many", 1.5, True, "3", [1]],
    float: ["many", "0.5", True, [1]],
    str: [3, True, ["a"], {"a": "b"}],
    bool: ["yes", 1, ["a"]],
    Path: [3, ["a"]],
    tuple: ["a", 3, {"a": "b"}],
    Mapping: ["a", 3, ["a"]],
}
"""What is refused for its kind, in each setting of that kind."""


def leaves(group: Any = Settings, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and kind of each setting; of what has any name, the one in NAMED."""
    kinds = typing.get_type_hints(group)
    for each in dataclasses.fields(group):
        here = f"{path}{settings._camel(each.name)}"
        kind = kinds[each.name]
        kind = next((k for k in typing.get_args(kind) if k is Path), kind)  # Path | None
        named = typing.get_args(kind)[1] if typing.get_origin(kind) is Mapping else None
        if dataclasses.is_dataclass(kind):
            yield from leaves(kind, f"{here}.")
        elif dataclasses.is_dataclass(named):
            yield from leaves(named, f"{here}.{NAMED[here]}.")
        else:
            yield here, {Mapping: Mapping, tuple: tuple}.get(typing.get_origin(kind), kind)


LEAVES = {path: kind for path, kind in leaves() if path not in CHARTS}
CREDENTIALS = [path for path in LEAVES if ".credentials." in path]
PAIRS = {"username": "password", "password": "username", "certificate": "key", "key": "certificate"}


def beside(path: str) -> dict[str, Any]:
    """What the setting at this path needs beside it, by path."""
    found = dict(BESIDE.get(path, {}))
    for names, name in NAMED.items():
        here = f"{names}.{name}"
        if path.startswith(here) and path not in (f"{here}.url", f"{here}.urlFile"):
            found[f"{here}.url"] = "http://beside"
    parent, _, name = path.rpartition(".")
    if parent.endswith("credentials") and name in PAIRS:
        found[f"{parent}.{PAIRS[name]}"] = "beside"
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        here = result
        for name in above:
            here = here.setdefault(name, {})
        here[last] = value
    return result


def in_chart(path: str) -> str:
    """The value that sets a setting."""
    return IMAGES.get(path) or (path if path.startswith(OWN) else f"settings.{path}")


def chart_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as values of the chart. A file is one of a Secret there."""
    found = {in_chart(path): value for path, value in given.items()}
    for path in given:
        if LEAVES.get(path) is Path:
            found[
                f"{path.split('.credentials')[0].removesuffix('.urlFile').removesuffix('.signingKey')}.secretName"
            ] = "a"
    return nested(found)


def for_parser(given: Mapping[str, Any]) -> str:
    """Settings as the operator would be given them, over the chart's own defaults."""
    base = {path: value for path in LEAVES if (value := at(DEFAULTS, in_chart(path))) not in (None, "")}
    if any(path.startswith("notifications.endpoints") for path in given):
        base["notifications.namespace"] = "system"
    return json.dumps(nested(base | given))


def at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def refused(given: Mapping[str, Any]) -> bool:
    """Whether the operator would not start with this."""
    try:
        settings.parse(for_parser(given))
    except SettingsError:
        return True
    return False


Template = Callable[[dict[str, Any]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of the chart has to do with settings: without dashboards, rules and CRDs helm needs half the time."""
    copy = tmp_path_factory.mktemp("chart")
    (copy / "templates").mkdir()
    for file in ("Chart.yaml", "values.yaml", "values.schema.json", "templates/settings.yaml"):
        shutil.copy(CHART / file, copy / file)
    for file in (CHART / "templates").glob("_*.tpl"):
        shutil.copy(file, copy / "templates")
    return copy


@pytest.fixture
def template(chart: Path, tmp_path: Path) -> Template:
    def run(values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "values.json"
        file.write_text(json.dumps(values))
        command = [binaries.path("helm"), "template", "line", chart, "--namespace=system", f"--values={file}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_each_setting_stands_in_the_table() -> None:
    assert BOUNDS.keys() | set(CREDENTIALS) == LEAVES.keys()
    assert CHARTS.keys() <= dict(leaves()).keys()


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, (bad, _) in BOUNDS.items() for value in bad], ids=str
)
def test_what_the_operator_would_not_start_with_is_refused_by_name(path: str, value: Any, template: Template) -> None:
    required = {"signatures.required": True} if path == "signatures.publicKeys" and not value.strip() else {}
    given = beside(path) | required | {path: value}
    assert refused(given), "the table is wrong: the operator takes it"
    done = template(chart_values(given))
    assert done.returncode != 0, done.stdout
    assert in_chart(path).rpartition(".")[2] in done.stderr


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((path, value) for path, (_, good) in BOUNDS.items() for value in good),
        *((path, "tls") for path in CREDENTIALS),
    ],
    ids=str,
)
def test_what_the_operator_takes_reaches_it(path: str, value: Any, template: Template) -> None:
    given = beside(path) | {path: value}
    assert not refused(given), "the table is wrong: the operator refuses it"
    done = template(chart_values(given))
    assert done.returncode == 0, done.stderr
    text = yaml.safe_load(done.stdout)["data"]["settings.yaml"]
    settings.parse(text)
    rendered = at(yaml.safe_load(text), path)
    assert (Path(rendered).name if LEAVES[path] is Path else rendered) == value


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, values in WRONG.items() for value in values], ids=str
)
def test_what_is_of_another_kind_is_refused_in_each_setting(kind: Any, value: Any, template: Template) -> None:
    """All settings of a kind at once: the schema names each."""
    given = {path: value for path in LEAVES if LEAVES[path] is kind}
    assert given
    assert [path for path in given if not refused(beside(path) | {path: value})] == []
    done = template(chart_values(given))
    assert done.returncode != 0, done.stdout
    unnamed = [path for path in given if f"/{in_chart(path).replace('.', '/')}'" not in done.stderr]
    assert unnamed == [], done.stderr


def test_a_setting_that_there_is_not_is_refused_by_name(template: Template) -> None:
    """Misspelled in each group at once; and what the chart sets itself is nobody else's to set."""
    groups = {path.rpartition(".")[0] for path in LEAVES if not path.startswith("images.")}
    done = template(nested({in_chart(f"{group}.wrokers".lstrip(".")): 3 for group in groups}))
    assert done.returncode != 0, done.stdout
    places = {in_chart(f"{group}.x".lstrip(".")).rpartition(".")[0].replace(".", "/") for group in groups}
    assert [place for place in places if f"at '/{place}': additional propert" not in done.stderr] == [], done.stderr
    assert done.stderr.count("'wrokers'") == len(places)
    for mine in ("server.port", "leaderElection.enabled", "namespaces", "prometheus"):
        done = template(nested({f"settings.{mine}": 3}))
        assert f"'{mine.rpartition('.')[2]}' not allowed" in done.stderr


def test_providers_that_contradict_each_other_are_refused_by_name(template: Template) -> None:
    given = {"prometheus.url": "http://a", "prometheus.providers.default.url": "http://b"}
    assert refused(given)
    assert "prometheus.providers.default: is the one at prometheus.url" in template(nested(given)).stderr
    late = {"prometheus.providers.west.url": "http://a", "reconcileTimeout": "30s"}  # west's own timeout is 30s
    assert refused(late)
    assert "settings.reconcileTimeout: must exceed prometheus.providers.west.timeout (30s), not 30s" in (
        template(chart_values(late)).stderr
    )


@pytest.mark.parametrize(
    "value", [f"settings.{path}" for path in ("workers", "backoff", "resyncPeriod")] + ["agentImage"]
)
def test_a_value_that_was_taken_away_is_refused_by_name(value: str, template: Template) -> None:
    done = template(nested({value: None}))
    assert done.returncode != 0
    assert value.rpartition(".")[2] in done.stderr


def test_the_defaults_are_the_operators_own() -> None:
    """But for the timeout of the metrics provider, which is the chart's; the Lease is called as the Deployment is."""
    own = settings.parse(json.dumps({"images": {"trainer": "a", "agent": "b", "labeler": "c"}}))
    charts = settings.parse(for_parser({}))
    assert dataclasses.replace(charts, images=own.images, prometheus=own.prometheus) == own
