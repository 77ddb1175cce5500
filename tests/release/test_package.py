"""What `make package` wrote: it is whole, and what can run here runs, with every Python that is here."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from harness.paths import REPOSITORY
from release.images import version
from release.package import LOCKS, PLATFORMS, PYTHONS

PACKAGE = REPOSITORY / "build/package"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())


def _runs(python: str) -> bool:
    """Whether there is this Python; pyenv puts a program on the PATH for each that it could have."""
    program = shutil.which(f"python{python}")
    return program is not None and subprocess.run([program, "-V"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not PACKAGE.is_dir(), reason="there is no build/package: make package")


def test_every_file_has_its_checksum() -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=PACKAGE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summed = {line.split()[1] for line in (PACKAGE / "SHA256SUMS").read_text().splitlines()}
    assert summed == {each.name for each in PACKAGE.iterdir()} - {"SHA256SUMS"}


def test_chart_crds_and_wheels_are_of_this_version() -> None:
    with tarfile.open(PACKAGE / f"modelfleet-{version()}.tgz") as chart:
        file = chart.extractfile("modelfleet/Chart.yaml")
        assert file is not None
        described = yaml.safe_load(file.read())
    assert (described["version"], described["appVersion"]) == (version(), version())
    crds = list(yaml.safe_load_all((PACKAGE / f"modelfleet-crds-{version()}.yaml").read_text()))
    assert {each["kind"] for each in crds} == {"CustomResourceDefinition"}
    assert len(crds) == len(list((REPOSITORY / "crds").glob("*.yaml")))
    with zipfile.ZipFile(PACKAGE / f"kubectl_modelfleet-{version()}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
    assert "kubectl_modelfleet/main.py" in names
    assert "kubectl_modelfleet/py.typed" in names


@pytest.mark.parametrize("name", PLATFORMS)
def test_an_archive_has_machine_code_of_its_platform_for_each_python(name: str) -> None:
    with zipfile.ZipFile(PACKAGE / f"kubectl-modelfleet-{version()}-{name}.pyz") as archive:
        files = [Path(each).name for each in archive.namelist() if "pydantic_core/_pydantic_core" in each]
    code = {each for each in files if each.endswith(".so")}
    suffix = {"linux-amd64": "x86_64-linux-gnu", "linux-arm64": "aarch64-linux-gnu", "darwin-arm64": "darwin"}[name]
    expected = {f"_pydantic_core.cpython-{each.replace('.', '')}-{suffix}.so" for each in PYTHONS}
    assert code == expected


@pytest.mark.skipif(ARCHITECTURE is None or sys.platform != "linux", reason="no archive is for this machine")
@pytest.mark.parametrize("python", [each for each in PYTHONS if _runs(each)])
def test_the_archive_for_this_machine_runs(python: str, tmp_path: Path) -> None:
    archive = PACKAGE / f"kubectl-modelfleet-{version()}-linux-{ARCHITECTURE}.pyz"
    environment = {"PATH": os.environ["PATH"], "SHIV_ROOT": str(tmp_path)}

    def run(*arguments: str) -> str:
        command = [f"python{python}", archive, *arguments]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert version() in run("--version")
    assert "0 problems" in run("lint", str(REPOSITORY / "examples/rollout.yaml"))


@pytest.mark.parametrize(("name", "lock"), LOCKS.items())
def test_a_bill_of_materials_has_every_locked_package(name: str, lock: str) -> None:
    bill = json.loads((PACKAGE / f"{name}-{version()}.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(_plain(each["name"]), each.get("version")) for each in bill["components"] if each["type"] == "library"}
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+) \\$", (REPOSITORY / lock).read_text(), re.MULTILINE)  # on any platform
    assert len(pinned) > 5
    assert {(_plain(each), pin) for each, pin in pinned} <= listed


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
