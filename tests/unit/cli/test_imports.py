"""What the CLI needs installed: never kopf, aiohttp, kubernetes, httpx or numpy; and CEL for lint alone."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from kubectl_modelfleet import __version__

ROOT = Path(__file__).parents[3]
NEVER = {"kopf", "aiohttp", "kubernetes", "httpx", "numpy", "prometheus_client", "cronsim"}


def loaded(code: str) -> set[str]:
    """The top-level modules that are loaded after some code, in a process of its own."""
    show = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"],
        env={"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'cli'}", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_import_graph_of_every_module():
    files = (ROOT / "cli").rglob("kubectl_modelfleet/**/*.py")
    modules = [".".join(file.relative_to(ROOT / "cli").with_suffix("").parts) for file in files]
    assert len(modules) > 30
    every = "\n".join(f"import {module}" for module in modules if not module.endswith("__main__"))
    found = loaded(every)
    assert not found & NEVER
    assert "celpy" in found


def test_only_lint_loads_cel():
    assert "celpy" not in loaded("import kubectl_modelfleet.main")


@pytest.mark.parametrize("file", ["cli/requirements.txt"])
def test_the_lock_has_none_of_them_and_no_addresses(file: str):
    text = (ROOT / file).read_text()
    locked = {line.partition("==")[0].replace("-", "_") for line in text.splitlines() if "==" in line}
    assert {"click", "rich", "pydantic", "pyyaml", "cel_python"} <= locked
    assert not locked & NEVER
    assert "://" not in text


def test_the_two_distributions_are_of_one_version():
    ours = tomllib.loads((ROOT / "cli/pyproject.toml").read_text())["project"]
    theirs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ours["version"] == theirs["version"]
    assert f"modelfleet=={theirs['version']}" in ours["dependencies"]
    assert __version__ == ours["version"]
    chart = yaml.safe_load((ROOT / "charts/modelfleet/Chart.yaml").read_text())
    assert str(chart["appVersion"]) == __version__, "check compares the two"
    assert not {name.split(">")[0].replace("-", "_") for name in theirs["dependencies"]} & NEVER
