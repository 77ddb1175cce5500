"""Fixtures of the cluster tests: a real API server, simulated nodes, Prometheus, and the operator as a process.

``MODELFLEET_TEST_KUBECONFIG`` names a kubeconfig of an existing cluster to use in place of one of our own; its current
context must be an administrator's. The tests create namespaces, nodes and custom resource definitions there, and remove
the first two.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, ExistingCluster, OperatorProcess, StartOperator, definitions, images
from harness.paths import REPOSITORY
from harness.prometheus import Prometheus
from worlds.argocd import Engine, engine
from worlds.ending import remove_namespaces
from worlds.operator_proxy import ApiProxy, Behind
from worlds.rollout import Fleet, nodes

_CHAOS = ("test_chaos_api.py", "test_chaos.py", "test_chaos_spec.py", "test_chaos_drift.py")  # the longest first
_TURN = {"test_training.py": -1, **{name: turn for turn, name in enumerate(_CHAOS, 1)}}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies in this folder needs the cluster, unless it says that it needs more. What waits for minutes begins
    first: a file is one worker's, and the others would have nothing left to do beside the last one. Chaos comes last:
    it keeps operators and API servers busier than all else does, and other lanes of `make test` have ended by then."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("e2e") is None:
            item.add_marker("cluster")
    items.sort(key=lambda item: _TURN.get(item.path.name, 0))


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[Cluster | ExistingCluster]:
    """The cluster: API server, controllers, scheduler, KWOK. ``.kubectl(...)``, ``.kubeconfig``, ``.kwok``."""
    existing = os.environ.get("MODELFLEET_TEST_KUBECONFIG")
    with _uncaptured(request.config):  # the first build takes minutes, and says so
        cluster = ExistingCluster(Path(existing)) if existing else Cluster().start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def crds(control_plane: Cluster | ExistingCluster) -> Cluster | ExistingCluster:
    """The cluster with modelfleet's kinds installed and served."""
    definitions.install(control_plane.kubectl, REPOSITORY / "crds")
    return control_plane


@pytest.fixture
def namespace(control_plane: Cluster | ExistingCluster) -> Iterator[str]:
    """A fresh namespace for one test."""
    name = f"test-{secrets.token_hex(3)}"
    control_plane.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    remove_namespaces(control_plane, name)


@pytest.fixture
def kwok_nodes(control_plane: Cluster | ExistingCluster) -> Iterator[Callable[..., list[str]]]:
    """Add simulated nodes: ``kwok_nodes(count, labels={...}, prefix="edge") -> names``. They go with the test."""
    added: list[str] = []

    def add(count: int, labels: Mapping[str, str] | None = None, prefix: str = "node") -> list[str]:
        names = control_plane.kwok.add_nodes(count, f"{prefix}-{secrets.token_hex(2)}", labels)
        added.extend(names)
        return names

    yield add
    control_plane.kwok.behave()
    control_plane.kwok.remove_nodes(added)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of the module's own, with one real node, ``edge`` of the pool ``edge``, that has the agent's image."""
    with Cluster(nodes=True) as started:
        started.add_node("edge", {"pool": "edge"}, images=[images.ensure("agent")])
        yield started


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """The simulated nodes of a Rollout: one canary and two others. Nothing is applied yet."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 2)
    return Fleet(crds, namespace, canary, rest)


@pytest.fixture
def prometheus(control_plane: Cluster | ExistingCluster) -> Iterator[Prometheus]:
    """A Prometheus that discovers pods; ``.url``, ``.add_target("host:port")``, ``.stop()``, ``.start()``."""
    server = Prometheus.beside(control_plane, f"prometheus-{secrets.token_hex(3)}").start()
    yield server
    server.stop()


@pytest.fixture
def start_operator(
    crds: Cluster | ExistingCluster, namespace: str, request: pytest.FixtureRequest
) -> Iterator[StartOperator]:
    """Start operators: ``start_operator({"workers": 1}, namespaces=[...])``.

    They serve the test's namespace unless told otherwise (``namespaces=()``: all), and ask the test's Prometheus if the
    test has one. They are stopped with the test.
    """
    started: list[OperatorProcess] = []
    request.node.stash[_OPERATORS] = started

    def start(
        settings: Mapping[str, Any] | None = None, *, namespaces: Sequence[str] | None = None, wait: bool = True
    ) -> OperatorProcess:
        settings = dict(settings or {})
        if "prometheus" in request.fixturenames:
            settings.setdefault("prometheus", {"url": request.getfixturevalue("prometheus").url})
        served = [namespace] if namespaces is None else namespaces
        operator = OperatorProcess(crds, settings, namespaces=served, name=f"operator-{secrets.token_hex(3)}")
        started.append(operator)
        return operator.start(wait=wait)

    yield start
    for operator in started:
        if operator.alive:
            operator.stop()


@pytest.fixture
def operator(start_operator: StartOperator) -> OperatorProcess:
    """The operator, serving the test's namespace: ``.kill9()``, ``.restart()``, ``.tail()``, ``.metrics()``."""
    return start_operator()


@pytest.fixture
def proxy(crds: Cluster, tmp_path: Path) -> Iterator[ApiProxy]:
    running = ApiProxy(crds.kubeconfig, tmp_path).start()
    yield running
    running.stop()


@pytest.fixture
def behind(crds: Cluster, proxy: ApiProxy, namespace: str, request: pytest.FixtureRequest) -> Iterator[OperatorProcess]:
    """An operator behind the proxy, not started. It asks the test's Prometheus if the test has one."""
    settings = {}
    if "prometheus" in request.fixturenames:
        settings["prometheus"] = {"url": request.getfixturevalue("prometheus").url}
    cluster = Behind(crds.supervisor, proxy.kubeconfig)
    operator = OperatorProcess(cluster, settings, namespaces=[namespace], name=f"operator-behind-{namespace}")
    yield operator
    if operator.alive:
        operator.stop()


@pytest.fixture(scope="module")
def argocd(control_plane: Cluster | ExistingCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Argo CD's engine with our scripts: ``.health(object)``, ``.enabled(object)``, ``.run(object, action)``."""
    with engine(control_plane, tmp_path_factory.mktemp("argocd")) as running:
        yield running


# --- what a failed test shows -----------------------------------------------------------------------------------------

_OPERATORS = pytest.StashKey[list[OperatorProcess]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Attach the operators' logs and the namespace's objects to the report of a test that failed."""
    report: pytest.TestReport = yield  # type: ignore[assignment, misc]
    if report.failed and call.when in ("setup", "call"):
        arguments: Mapping[str, Any] = getattr(item, "funcargs", {})
        for operator in item.stash.get(_OPERATORS, []):
            report.sections.append((f"operator log ({operator.log})", operator.tail(100)))
        cluster, namespace = arguments.get("crds") or arguments.get("control_plane"), arguments.get("namespace")
        if cluster is not None and namespace is not None:
            report.sections.extend(_objects(cluster, namespace))
    return report  # type: ignore[return-value]


def _objects(cluster: Cluster | ExistingCluster, namespace: str) -> Iterator[tuple[str, str]]:
    for what, form in (
        ("modelfleet", "yaml"),
        ("jobs,daemonsets,controllerrevisions,pods", "wide"),
        ("events", "wide"),
        ("nodes", "wide"),
    ):
        shown = cluster.kubectl("get", what, f"--namespace={namespace}", f"--output={form}", check=False)
        yield f"kubectl get {what}", shown[-20_000:]


def _uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Let progress through to the terminal."""
    manager = config.pluginmanager.getplugin("capturemanager")
    return manager.global_and_fixture_disabled() if manager is not None else nullcontext()
