"""What the package offers: all that others may use of it, and nothing by accident."""

import subprocess
import sys

from modelfleet import kube


def test_everything_exported_exists_once_and_in_order():
    assert len(set(kube.__all__)) == len(kube.__all__)
    assert all(hasattr(kube, name) for name in kube.__all__)


def test_kinds_can_be_named_without_a_kubernetes_client():
    code = (
        "import sys, modelfleet.kinds, modelfleet.decision; print({'kubernetes', 'kopf', 'aiohttp'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert found.stdout.strip() == "set()"
