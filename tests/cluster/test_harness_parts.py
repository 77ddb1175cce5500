"""Parts of the test cluster that can be looked at alone."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from harness import binaries, cgroups, debian, image, images, processes
from harness.lifetime import run
from harness.paths import REPOSITORY
from harness.pki import Authority
from harness.processes import ProcessDied, Supervisor, tail, wait_until
from worlds.recording import Node, Recording

# --- binaries ---------------------------------------------------------------------------------------------------------


def test_every_module_has_its_lock() -> None:
    for module in binaries.MODULES:
        for name in ("go.mod", "go.sum"):
            assert (binaries.TOOLS / module.name / name).is_file()


def test_kubebuilder_assets_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in binaries.ASSETS:
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    folder = binaries.ensure(binaries.ASSETS)
    assert {name: (folder / name).readlink() for name in binaries.ASSETS} == {
        name: tmp_path / name for name in binaries.ASSETS
    }


def test_a_program_that_no_module_builds_is_an_error() -> None:
    with pytest.raises(binaries.BuildFailed, match="builds kube-scheduIer"):
        binaries.path("kube-scheduIer")


def test_a_failed_build_shows_what_the_compiler_said(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module broken\n\ngo 1.25.0\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { missing() }\n")
    with pytest.raises(binaries.BuildFailed, match="undefined: missing"):
        binaries.go_build(tmp_path, ".", str(tmp_path / "out"))


# --- packages ---------------------------------------------------------------------------------------------------------


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(debian.PACKAGES, "containerd", debian.Package("containerd", "/nowhere/containerd"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(debian.PackageMissing, match="run as root: apt-get install --no-install-recommends containerd"):
        debian.ensure("containerd")


# --- cgroups ----------------------------------------------------------------------------------------------------------


def mounts(folder: Path, *rows: tuple[str, str]) -> Path:
    file = folder / "mounts"
    file.write_text("".join(f"none {folder / where} {kind} rw 0 0\n" for where, kind in rows))
    return file


def test_groups_of_version_1_inherit_cpus_level_by_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cpuset", "memory"):
        (tmp_path / name).mkdir()
    make_directory = Path.mkdir

    def kernel_mkdir(self: Path, *arguments: int, exist_ok: bool = False) -> None:
        make_directory(self, *arguments, exist_ok=exist_ok)
        if self.is_relative_to(tmp_path / "cpuset"):
            for file in ("cpuset.cpus", "cpuset.mems"):
                (self / file).touch()

    monkeypatch.setattr(Path, "mkdir", kernel_mkdir)
    (tmp_path / "cpuset/cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset/cpuset.mems").write_text("0\n")
    cgroups.create("fleet/edge", mounts(tmp_path, ("cpuset", "cgroup"), ("memory", "cgroup")))
    assert (tmp_path / "memory/fleet/edge").is_dir()
    assert (tmp_path / "cpuset/fleet/edge/cpuset.cpus").read_text() == "0-1\n"
    assert (tmp_path / "cpuset/fleet/edge/cpuset.mems").read_text() == "0\n"


def test_groups_of_version_2_are_handed_their_controllers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str]] = []
    write_text = Path.write_text

    def kernel_write(self: Path, text: str) -> int:
        if self.name == "cgroup.subtree_control":
            written.append((str(self.parent.relative_to(tmp_path)), text))
            return len(text)
        return write_text(self, text)

    root = tmp_path / "unified"
    (root / "fleet/edge").mkdir(parents=True)
    for group in (root, root / "fleet", root / "fleet/edge"):
        (group / "cgroup.controllers").write_text("cpu memory\n")
    table = mounts(tmp_path, ("unified", "cgroup2"))
    monkeypatch.setattr(Path, "write_text", kernel_write)
    cgroups.create("fleet/edge", table)
    groups = ("unified", "unified/fleet", "unified/fleet/edge")
    assert written == [(group, f"+{controller}") for group in groups for controller in ("cpu", "memory")]


@pytest.mark.parametrize(
    ("kind", "file", "shares"), [("cgroup", "cpu.shares", "3072"), ("cgroup2", "cpu.weight", "300")]
)
def test_a_cluster_has_a_share_of_the_processors_for_each_node(
    tmp_path: Path, kind: str, file: str, shares: str
) -> None:
    fleet = tmp_path / "cpu/fleet"
    fleet.mkdir(parents=True)
    (fleet / file).write_text("as the kernel has it")
    groups = [tmp_path / "cpu", fleet, *(fleet / node for node in ("edge-1", "edge-2", "edge-3"))]
    for group in groups:
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpu\n")
    cgroups.create("fleet/edge-3", mounts(tmp_path, ("cpu", kind)))
    assert (fleet / file).read_text() == shares


def test_groups_are_removed_from_all_hierarchies_deepest_first(tmp_path: Path) -> None:
    for root in ("memory", "unified"):
        (tmp_path / root / "fleet/edge/pods/one").mkdir(parents=True)
        (tmp_path / root / "other").mkdir()
    table = mounts(tmp_path, ("memory", "cgroup"), ("unified", "cgroup2"))
    assert cgroups.remove("fleet", table) == []
    assert sorted(path.name for path in (tmp_path / "memory").iterdir()) == ["other"]
    assert sorted(path.name for path in (tmp_path / "unified").iterdir()) == ["other"]


# --- images -----------------------------------------------------------------------------------------------------------


def test_an_images_inputs_are_what_its_containerfile_copies() -> None:
    for recipe in images._BUILT.values():
        containerfile = images.REPOSITORY / recipe.containerfile
        inputs = images._inputs(containerfile)
        assert containerfile in inputs
        assert all(path.exists() for path in inputs), inputs


def test_a_changed_source_changes_the_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "REPOSITORY", tmp_path)
    (tmp_path / "code/__pycache__").mkdir(parents=True)
    (tmp_path / "code/main.py").write_text("print(1)")
    before = images._hash_of([tmp_path / "code"])
    (tmp_path / "code/__pycache__/main.pyc").write_text("derived")
    assert images._hash_of([tmp_path / "code"]) == before
    (tmp_path / "code/main.py").write_text("print(2)")
    assert images._hash_of([tmp_path / "code"]) != before


def test_the_image_of_a_program_is_the_same_each_time(tmp_path: Path) -> None:
    program = tmp_path / "hello/hello"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    one = image.of_program("localhost/test/hello:1", program)
    assert image.of_program("localhost/test/hello:1", program) == one
    assert json.loads(one.manifest)["config"]["digest"] == image.digest_of(one.config)
    assert json.loads(one.config)["rootfs"]["diff_ids"] == [layer.digest for layer in one.layers]
    assert [path.name for path in tmp_path.iterdir()] == ["hello"]


def test_the_chain_of_layers_is_named_as_the_specification_says() -> None:
    # https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
    layers = tuple(image.Layer(f"sha256:{letter * 64}", Path("/")) for letter in "abc")
    one, two, three = image.ImageRef("name", b"", b"", layers).chain()
    assert one == layers[0].digest
    assert two == image.digest_of(f"{one} {layers[1].digest}".encode())
    assert three == image.digest_of(f"{two} {layers[2].digest}".encode())


# --- processes and certificates ---------------------------------------------------------------------------------------


def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    supervisor = Supervisor.start(f"t{os.urandom(3).hex()}", tmp_path)
    try:
        process = supervisor.spawn("broken", ["/nowhere/program"])
        with pytest.raises(ProcessDied, match=r"could not start /nowhere/program: .*No such file"):
            process.wait_ready(lambda: False, 10)
        first = supervisor.spawn("daemon", ["sleep", "60"])
        with pytest.raises(ProcessDied, match="daemon is running already"):
            supervisor.spawn("daemon", ["sleep", "60"])
        first.kill9()
        assert first.exit == -9
        second = supervisor.spawn("daemon", ["sleep", "60"])
        second.stop()
        assert (second.exit, supervisor.find("daemon").pid) == (-15, second.pid)
    finally:
        supervisor.stop()


NICE = """
import pathlib, sys
from harness.processes import Supervisor
supervisor = Supervisor.start(sys.argv[1], pathlib.Path(sys.argv[2]))
try:
    daemon = supervisor.spawn("daemon", ["sleep", "60"])
    print(pathlib.Path(f"/proc/{daemon.pid}/autogroup").read_text().split()[-1])
finally:
    supervisor.stop()
"""


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the kernel shares nothing between sessions")
def test_what_a_nice_process_starts_is_nice_to_other_sessions(tmp_path: Path) -> None:
    said = [sys.executable, "-c", NICE, f"t{os.urandom(3).hex()}", str(tmp_path)]
    asked = min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19)
    assert run(["nice", "-n", "3", *said], env={**os.environ, "PYTHONPATH": f"{REPOSITORY}/testbed"}).strip() == str(
        asked
    )


@pytest.mark.parametrize(("slower", "held"), [(1.0, False), (4.0, True)])
def test_patience_is_longer_on_a_machine_that_is_slower(
    slower: float, held: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "slowness", lambda: slower)
    began = time.monotonic()
    assert wait_until(lambda: time.monotonic() > began + 1, 0.5, interval=0.01) is held


def test_a_recording_is_read_once_for_each_source_and_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELFLEET_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "fleet.py"
    read: list[str] = []

    def data(says: str, reader: str) -> str:
        def reads(text: Path, data: Path) -> None:
            assert text.read_text().startswith("# TYPE modelfleet_frames counter")
            read.append(reader)
            data.mkdir()
            (data / "block").write_text(f"{says} {reader}")

        source.write_text(says)
        folder = tmp_path / f"served-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        nodes = {"line": [Node("n1", "fleet", "v1", born=-30)]}
        found = Recording(nodes, timedelta(minutes=1), source, folder).data(reader, reads, folder)
        return (found / "block").read_text()

    for says, reader in (("a", "2.42"), ("a", "2.42"), ("a", "3.15"), ("b", "3.15"), ("a", "2.42")):
        assert data(says, reader) == f"{says} {reader}"
    assert read == ["2.42", "3.15", "3.15"]


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert tail(file) == ""
    file.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert tail(file, 2) == "line 9998\nline 9999"


def test_a_certificate_is_made_once_and_for_whom_it_says(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node", "system:node:edge-1", ("system:nodes",), ("IP:10.88.1.1",))
    content = pair.certificate.read_bytes()
    assert Authority(tmp_path).issue("node", "system:node:edge-1").certificate.read_bytes() == content
    said = run(["openssl", "x509", "-in", pair.certificate, "-noout", "-subject", "-ext", "subjectAltName"])
    assert "O = system:nodes, CN = system:node:edge-1" in said
    assert "IP Address:10.88.1.1" in said
