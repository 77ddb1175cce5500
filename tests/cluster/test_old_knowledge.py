"""What the operator must not do on what it knew before its watches were cut."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from harness import OperatorProcess
from harness.processes import wait_until
from harness.prometheus import Prometheus
from worlds.operator_proxy import ApiProxy
from worlds.rollout import Fleet, model_version


@pytest.fixture
def soaking(fleet: Fleet, prometheus: Prometheus, behind: OperatorProcess) -> Fleet:
    """v2 is in the canary group, and has some seconds to go until it would enter the fleet."""
    behind.start()
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1")
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    gate = {"soak": "12s", "interval": "1s", "timeout": "5m", "checks": []}
    fleet.rollout("v2", gate=gate)
    fleet.wait(lambda: fleet.status.get("phase") == "Soaking", "the soak")
    return fleet


def test_an_abort_that_no_watch_has_brought_is_obeyed(soaking: Fleet, proxy: ApiProxy) -> None:
    proxy.hold_watches()
    soaking.annotate("abort", "v2")
    soaking.wait(lambda: bool(soaking.status.get("quarantined")), "the abort")
    proxy.release_watches()
    soaking.wait(soaking.rolled_back, "v1 everywhere")
    assert soaking.templates("fleet") == {"v1"}


def test_a_pause_that_no_watch_has_brought_is_obeyed(soaking: Fleet, proxy: ApiProxy) -> None:
    proxy.hold_watches()
    soaking.cluster.kubectl(
        "patch", "rollout", soaking.name, f"--namespace={soaking.namespace}", "--type=merge",
        "--patch={\"spec\": {\"paused\": true}}",
    )  # fmt: skip
    soaking.wait(lambda: soaking.status.get("phase") == "Paused", "the pause")
    proxy.release_watches()
    assert soaking.templates("fleet") == {"v1"}


def test_it_is_not_ready_while_its_watches_are_cut(soaking: Fleet, proxy: ApiProxy, behind: OperatorProcess) -> None:
    proxy.refuse({"/apis/modelfleet.dev": 503})
    proxy.cut()
    proxy.resume(expired=False)
    assert wait_until(lambda: "has not served the watch of" in _readyz(behind), 30)
    proxy.refuse({})
    assert wait_until(lambda: _readyz(behind) == "ok", 60)
    assert "is cut: HTTP 503" in behind.tail(500)


def _readyz(operator: OperatorProcess) -> str:
    try:
        with urllib.request.urlopen(f"{operator.url}/readyz", timeout=5) as answer:
            return str(answer.read().decode().strip())
    except urllib.error.HTTPError as error:
        return error.read().decode().strip()
