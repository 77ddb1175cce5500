"""Parts of the running operator that need no cluster: probes, the end of logs."""

from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from modelfleet import telemetry
from modelfleet.kinds import POD
from modelfleet.prometheus import ProviderDown
from modelfleet.runtime import NoPrometheus, container_ended
from modelfleet.server import Server
from unit.kube.raw import obj


async def test_probes_and_metrics():
    why = "listing"
    server = Server(telemetry.Metrics("1.2.3").registry, lambda: why)
    port = await server.open("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def get(path):
            async with session.get(path) as response:
                return response.status, await response.text()

        assert await get("/healthz") == (200, "ok\n")
        assert await get("/readyz") == (503, "listing\n")
        why = ""
        assert await get("/readyz") == (200, "ok\n")
        status, text = await get("/metrics")
        assert status == 200
        assert "modelfleet_operator_build_info" in text
        assert (await get("/"))[0] == 404
    await server.close()
    await server.close()


def pod(phase="Running", restart="Never", **state):
    return obj(
        POD,
        "p",
        1,
        spec={"restartPolicy": restart},
        status={"phase": phase, "containerStatuses": [{"name": "side", "state": {}}, {"name": "main", "state": state}]},
    )


@pytest.mark.parametrize(
    ("of", "ended"),
    [
        (None, True),
        (pod(running={}), False),
        (pod(waiting={"reason": "ContainerCreating"}), False),
        (pod(terminated={"exitCode": 0}), True),
        (pod(terminated={"exitCode": 1}, restart="Always"), False),
        (pod("Failed", running={}), True),
        (pod("Succeeded"), True),
        ({**pod(running={}), "metadata": {**pod()["metadata"], "uid": "another"}}, True),
        (obj(POD, "p", 1), False),
    ],
)
def test_container_that_will_write_no_more(of, ended):
    assert container_ended(of, "uid-p", "main") is ended


async def test_without_a_provider_every_query_says_what_to_do():
    now = datetime(2026, 11, 21, tzinfo=UTC)
    async with NoPrometheus() as provider:
        answers = await provider.instant("up", now), await provider.range("up", now, now, timedelta(minutes=1))
    assert all(isinstance(each, ProviderDown) and "set prometheus.url" in each.message for each in answers)
