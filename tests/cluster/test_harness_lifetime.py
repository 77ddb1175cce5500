"""Nothing of a cluster outlives it, however it ends: asked to, by Ctrl-C, or with its processes killed.

Each test starts a cluster in a process of its own, ends that process in one way, and looks at the machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Cluster, records
from harness.cluster import ClusterFailed
from harness.lifetime import ProcessId
from harness.paths import REPOSITORY, cache
from harness.processes import Supervisor, wait_until
from harness.records import Record

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
PACKAGES = str(REPOSITORY / "testbed")

# starts a daemon that has a child in a session of its own, which no process group or session id leads to
LIGHT = """
    supervisor = Supervisor.start({id!r}, state, remove=[state])
    supervisor.spawn("daemon", ["sh", "-c", "setsid sleep {seconds} & exec sleep {seconds}"])
"""
ISOLATED = """
    supervisor = Supervisor.start({id!r}, state, isolate=True, remove=[state])
    supervisor.spawn("daemon", ["sh", "-c", "setsid sleep {seconds} & exec sleep {seconds}"])
    link = network.connect(supervisor).link
    cgroups.create(supervisor.record.cgroup + "/node")
    supervisor.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
    supervisor.run(["iptables", "-t", "nat", "-N", "MODELFLEET-TEST"])
"""
PROGRAM = """
import signal, sys
from pathlib import Path
from harness import cgroups, network
from harness.processes import Supervisor
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
state = Path(sys.argv[1])
link = "none"
try:
{body}
    print(link, flush=True)
    signal.pause()
except KeyboardInterrupt:
    supervisor.stop()
"""


def cgroups_of(identity: str) -> list[Path]:
    """The cgroups of a cluster. Unlike glob, os.walk does not mind a folder that vanishes while it looks."""
    name = f"modelfleet-{identity}"
    return [Path(folder, name) for folder, below, _ in os.walk("/sys/fs/cgroup") if name in below]


class Client:
    """A process that has started a supervisor with two daemons."""

    def __init__(self, kind: str, state: Path) -> None:
        self.id = state.name
        self.seconds = str(500_000 + os.getpid())  # marks the daemons, for the look at the machine
        body = textwrap.indent(textwrap.dedent(kind.format(id=self.id, seconds=self.seconds)), "    ")
        self.state = state
        state.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(body=body), str(state)],
            env=os.environ | {"PYTHONPATH": PACKAGES},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        assert self.link
        assert wait_until(lambda: len(self.daemons()) == 2, 60)

    @property
    def record(self) -> Record:
        return records.read(records.folder() / f"{self.id}.json")

    def daemons(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "cmdline").read_bytes() == f"sleep\0{self.seconds}\0".encode():
                    found.append(int(folder.name))
            except OSError:
                continue  # it ended meanwhile
        return found

    def left_over(self) -> list[str]:
        """What there still is of the cluster."""
        links = [link["ifname"] for link in json.loads(subprocess.check_output(["ip", "-json", "link", "show"]))]
        routes = subprocess.check_output(["ip", "route", "show"], text=True)
        return [
            *(f"process {pid}" for pid in self.daemons()),
            *(f"cgroup {path}" for path in cgroups_of(self.id)),
            *(f"link {name}" for name in links if name == self.link),
            *(f"route {route}" for route in routes.splitlines() if self.link in route.split()),
            *(str(path) for path in (self.state, records.folder() / f"{self.id}.json") if path.exists()),
        ]

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(params=[pytest.param(LIGHT, id="light"), pytest.param(ISOLATED, id="isolated", marks=ROOT)])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    started = Client(request.param, tmp_path / f"t{os.urandom(3).hex()}")
    yield started
    started.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_nothing_outlives_the_client(client: Client, number: signal.Signals) -> None:
    client.process.send_signal(number)
    assert wait_until(lambda: not client.left_over(), 60), client.left_over()


def test_nothing_outlives_the_keeper_but_what_the_next_start_removes(client: Client) -> None:
    client.record.keeper.kill()
    assert wait_until(lambda: not client.daemons(), 60)
    records.sweep()
    assert wait_until(lambda: not client.left_over(), 60), client.left_over()  # another process may sweep beside us


def test_a_killed_starter_takes_the_cluster_down(client: Client) -> None:
    client.record.starter.kill()
    assert wait_until(lambda: not client.left_over(), 60), client.left_over()


def test_down_from_another_process_leaves_nothing(client: Client) -> None:
    command = [sys.executable, "-m", "harness", "down", "--state", str(client.state)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": PACKAGES}, check=True, capture_output=True)
    assert client.left_over() == []


def test_a_live_cluster_is_not_swept(client: Client) -> None:
    assert client.record not in records.sweep()
    assert len(client.daemons()) == 2


def test_a_stranger_with_a_recorded_number_is_not_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        real = ProcessId.of(stranger.pid)
        assert real is not None
        ProcessId(real.pid, real.started - 1, real.boot).kill()  # the same number, used by an earlier process
        ProcessId(real.pid, real.started, "another boot").kill()
        assert stranger.poll() is None
        real.kill()
        assert stranger.wait() == -signal.SIGKILL


def test_a_detached_supervisor_outlives_its_client(tmp_path: Path) -> None:
    identity = f"t{os.urandom(3).hex()}"
    state = tmp_path / identity
    state.mkdir()
    program = "import sys; from pathlib import Path; from harness.processes import Supervisor\n"
    program += "Supervisor.start(sys.argv[1], Path(sys.argv[2]), detached=True, remove=[Path(sys.argv[2])])"
    command = [sys.executable, "-W", "ignore", "-c", program, identity, str(state)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": PACKAGES}, check=True)
    supervisor = Supervisor.attach(records.read(records.folder() / f"{identity}.json"))
    assert supervisor.processes() == {}
    supervisor.stop()
    assert not state.exists()


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(ClusterFailed, match="holds other things"):
        Cluster(tmp_path).start()
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.e2e
@ROOT
def test_a_killed_demo_leaves_no_node_behind(tmp_path: Path) -> None:
    """A whole cluster with a real node and a running pod, and its owner killed: the hardest case."""
    program = """
        import json, signal, sys
        from pathlib import Path
        from harness import Cluster, images
        cluster = Cluster(Path(sys.argv[1]), nodes=True).start()
        probe = images.ensure("probe")
        cluster.add_node("one", images=[probe])
        container = {"name": "probe", "image": probe.name, "imagePullPolicy": "Never", "args": ["serve"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lasting"}, "spec": {"containers": [container]}}
        cluster.kubectl("create", "--filename=-", input=json.dumps(pod))
        cluster.kubectl("wait", "--for=condition=Ready", "pod/lasting", "--timeout=180s")
        print(cluster.id, flush=True)
        signal.pause()
    """
    state = Path("/tmp") / f"mf-{os.urandom(3).hex()}"
    command = [sys.executable, "-c", textwrap.dedent(program), str(state)]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": PACKAGES}, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        identity = client.stdout.readline().strip()
        record = records.read(records.folder() / f"{identity}.json")
        namespace = Path(f"/proc/{record.starter.pid}/ns/pid").readlink()
        assert len(_processes_in(namespace)) > 8  # etcd, API server, ..., kubelet, containerd, shim, pause, probe
        client.kill()
    leftovers = (state, cache() / "disks" / identity, record.file)
    assert wait_until(lambda: not any(path.exists() for path in leftovers), 60), leftovers
    assert _processes_in(namespace) == []
    assert cgroups_of(identity) == []
    assert identity not in Path("/proc/self/mounts").read_text()


def _processes_in(namespace: Path) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns/pid").readlink() == namespace:
                found.append(int(folder.name))
        except OSError:
            continue
    return found
