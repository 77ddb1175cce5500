"""`make demo CONTEXT=...`: a cluster of the testbed that the demo treats as somebody else's.

All that it gets is a kubeconfig with that context, which is not even the current one. The first chapters are enough
here, and a short training, since the later ones are those of test_demo.py, word for word: WHOLE_STORY=1 runs them, too,
with the demo's own training (20 minutes more).
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from e2e.borrowed.cluster import BorrowedCluster, give_back
from e2e.borrowed.plan import NAMESPACE
from e2e.chapters import BORROWED, Chapter, install_v1, prepare_data
from e2e.story import Story
from e2e.telling import happens
from e2e.world import SCRAPED, World
from harness import Cluster, binaries, definitions, images
from harness.everything import OURS
from harness.image import ImageRef
from harness.processes import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
CONTEXT = "somebody"
NODES = ("worker-a", "worker-b", "worker-c")
RUNS = [chapter.run for chapter in BORROWED]
FIRST = BORROWED[: RUNS.index(prepare_data) + 1]
TRAINING = BORROWED[RUNS.index(prepare_data) + 1 : RUNS.index(install_v1) + 1]
LATER = BORROWED[RUNS.index(install_v1) + 1 :]
WHOLE_STORY = bool(os.environ.get("WHOLE_STORY"))
NOT_COMPARED = {"events", "leases", "componentstatuses"}  # the cluster itself makes them as time goes on


class BriefWorld(World):
    """Its first version is trained for two epochs and finds nothing, which is enough to be installed."""

    def apply(self, manifest: str) -> str:
        if manifest == "1-train-v1.yaml":
            return self.apply_with(manifest, "epochs: 20\n", "epochs: 2\n")
        return super().apply(manifest)


@pytest.fixture(scope="module")
def made() -> dict[str, ImageRef]:
    return {name: images.ensure(name) for name in (*OURS, "demo")}


@pytest.fixture(scope="module")
def somebody(made: dict[str, ImageRef]) -> Iterator[Cluster]:
    with Cluster(nodes=True) as cluster:
        for name in NODES:
            cluster.add_node(name, images=list(made.values()))
        yield cluster


@pytest.fixture(scope="module")
def environment(somebody: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of the demo: kubectl and helm on the PATH, and a kubeconfig in which another context is the current one."""
    kubeconfig = tmp_path_factory.mktemp("user") / "kubeconfig"
    kubeconfig.write_text(somebody.kubeconfig.read_text())
    programs = binaries.ensure(["kubectl", "helm"])
    change = [programs / "kubectl", "config", f"--kubeconfig={kubeconfig}"]
    current = subprocess.run([*change, "current-context"], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([*change, "rename-context", current, CONTEXT], check=True)
    subprocess.run([*change, "set-cluster", "elsewhere", "--server=https://127.0.0.1:9"], check=True)
    subprocess.run([*change, "set-context", "elsewhere", "--cluster=elsewhere"], check=True)
    subprocess.run([*change, "use-context", "elsewhere"], check=True)
    wanted = {"KUBECONFIG": str(kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wanted.items():
            patch.setenv(name, value)
        yield os.environ | wanted


@pytest.fixture(scope="module")
def before(somebody: Cluster, environment: dict[str, str]) -> set[str]:
    """All that is in the cluster, and on its nodes where the demo writes, before the demo has been there."""
    return inventory(somebody)


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(Console(width=160))


@pytest.fixture(scope="module")
def world(before: set[str], made: dict[str, ImageRef], story: Story) -> Iterator[World]:
    cluster = BorrowedCluster(CONTEXT, scrape_interval=SCRAPED)
    names = {name: image.name for name, image in made.items()}
    kind = World if WHOLE_STORY else BriefWorld
    try:
        yield kind(cluster, names, namespace=NAMESPACE, system=NAMESPACE)
    finally:
        cluster.stop()


def inventory(cluster: Cluster) -> set[str]:
    """Objects of every kind by name, labels and annotations of nodes, and files below /var/lib/modelfleet."""
    found: set[str] = set()
    for scope in ("true", "false"):
        kinds = cluster.kubectl("api-resources", f"--namespaced={scope}", "--verbs=list", "--output=name").split()
        compared = [kind for kind in kinds if kind.partition(".")[0] not in NOT_COMPARED]
        found |= set(cluster.kubectl("get", ",".join(compared), "--all-namespaces", "--output=name").split())
    for node in json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]:
        found |= {f"{node['metadata']['name']} {label}" for label in node["metadata"]["labels"].items()}
        folder = cluster.node(node["metadata"]["name"]).var_lib
        found |= {str(path) for path in (folder, *folder.rglob("*"))}
    return found


def demo(environment: dict[str, str], made: dict[str, ImageRef], log: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "e2e.demo", f"--context={CONTEXT}", *more]
    command += [f"--image={name}={image.name}" for name, image in made.items()]
    # what a killed one leaves on this machine goes with the test's folder
    here = {"PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": "1", "TMPDIR": str(log.parent)}
    environment = environment | here
    with log.open("wb") as sink:
        # a shell's background job ignores Ctrl-C, and so would what it starts
        heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            command, env=environment, stdout=sink, stderr=sink, start_new_session=True, preexec_fn=heeds
        )


def test_what_is_in_the_way_is_said_and_nothing_is_written(
    somebody: Cluster, environment: dict[str, str], before: set[str], made: dict[str, ImageRef], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    somebody.kubectl("label", "node", NODES[1], "modelfleet.dev/app=line")
    somebody.kubectl("cordon", *NODES[1:])
    try:
        with_label = inventory(somebody)
        assert demo(environment, made, log).wait(120) == 2, log.read_text()
        assert inventory(somebody) == with_label
    finally:
        somebody.kubectl("uncordon", *NODES[1:])
        somebody.kubectl("label", "node", NODES[1], "modelfleet.dev/app-")
    said = log.read_text()
    assert f"Nothing was changed in context {CONTEXT}" in said
    assert f"Node {NODES[1]} has labels of modelfleet: modelfleet.dev/app" in said
    assert "1 of its nodes can be used" in said
    assert f"{NODES[2]} (cordoned)" in said


def test_a_context_that_is_not_there_is_said(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    from e2e.demo import main

    assert main(["--context=nobody"]) == 2
    said = capsys.readouterr().out
    assert "no context nobody" in said
    assert CONTEXT in said


@pytest.mark.parametrize("chapter", FIRST, ids=lambda chapter: chapter.run.__name__)
def test_chapter(chapter: Chapter, world: World, story: Story) -> None:
    happens(chapter, world, story)


def test_label_studio_and_prometheus_answer_this_process(world: World) -> None:
    """Label Studio by its user's token; Prometheus, which finds pods as the one of the chart would."""
    studio = world.cluster.label_studio
    request = urllib.request.Request(f"{studio.here}/api/projects", headers={"Authorization": f"Token {studio.token}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        assert json.load(response)["count"] == 0
    assert [value for _, value in world.cluster.prometheus.query("modelfleet_operator_ready")] == [1]


@pytest.mark.parametrize("chapter", TRAINING, ids=lambda chapter: chapter.run.__name__)
def test_training_chapter(chapter: Chapter, world: World, story: Story) -> None:
    happens(chapter, world, story)


def test_frames_of_every_edge_node_are_counted(world: World) -> None:
    def counted() -> set[str]:
        series = world.cluster.prometheus.query("sum by (node) (modelfleet_frames_total)")
        return {labels["node"] for labels, count in series if count > 0}

    # a scrape that comes too late on a busy machine takes a node's series away until the next one
    assert wait_until(lambda: counted() == set(world.edge), 60), counted()


@pytest.mark.skipif(not WHOLE_STORY, reason="WHOLE_STORY=1 runs it: 20 minutes")
@pytest.mark.parametrize("chapter", LATER, ids=lambda chapter: chapter.run.__name__)
def test_later_chapter(chapter: Chapter, world: World, story: Story) -> None:
    happens(chapter, world, story)


def test_another_demo_meanwhile_is_refused(
    environment: dict[str, str], world: World, made: dict[str, ImageRef], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert demo(environment, made, log).wait(120) == 2
    assert f"Namespace {NAMESPACE} is there: an earlier demo left it" in log.read_text()
    assert world.find("secret", "object-store") is not None, "what the first one has made is still there"


def test_all_of_it_is_given_back(somebody: Cluster, world: World, before: set[str]) -> None:
    assert inventory(somebody) != before
    assert give_back(world.cluster.kubectl) == []
    assert inventory(somebody) == before


def test_also_at_ctrl_c(
    somebody: Cluster, environment: dict[str, str], before: set[str], made: dict[str, ImageRef], tmp_path: Path
) -> None:
    """While helm installs the operator."""
    log = tmp_path / "log"
    process = demo(environment, made, log)
    assert wait_until(lambda: "2. Install the operator" in log.read_text() or process.poll() is not None, 300, 0.5)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: everybody in the foreground
    assert process.wait(300) == 130, log.read_text()
    assert "The cluster is as it was." in log.read_text()
    assert inventory(somebody) == before


def test_and_after_a_kill_by_demo_down(
    somebody: Cluster, environment: dict[str, str], before: set[str], made: dict[str, ImageRef], tmp_path: Path
) -> None:
    """With CRDs that were there before, which stay."""
    log, crds = tmp_path / "log", Path(__file__).parents[2] / "crds"
    definitions.install(somebody.kubectl, crds)
    with_crds = inventory(somebody)
    process = demo(environment, made, log)
    assert wait_until(lambda: "3. Put data" in log.read_text() or process.poll() is not None, 400, 0.5)
    assert process.poll() is None, log.read_text()
    process.kill()
    process.wait()
    assert demo(environment, made, log, "--down").wait(300) == 0, log.read_text()
    assert inventory(somebody) == with_crds
    somebody.kubectl("delete", f"--filename={crds}")
