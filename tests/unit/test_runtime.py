"""Parts of the running operator that need no cluster: probes, the end of logs."""

import gc
import types
from datetime import UTC, datetime

import aiohttp
import pytest

from modelfleet import settings, telemetry
from modelfleet.decision import Decision
from modelfleet.kinds import POD, TRAINING_JOB
from modelfleet.reconcile import Controller
from modelfleet.runtime import Operator, calm_collector, container_ended
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


async def test_each_provider_of_the_settings_is_there_and_says_where_it_is_from():
    read = settings.parse(
        "{images: {trainer: t, agent: a}, prometheus: {default: west, url: 'http://127.0.0.1:1', "
        "providers: {west: {url: 'http://127.0.0.1:1', credentials: {bearerToken: /none}}}}}"
    )
    providers = Operator(read, None, "1.2.3", ())._prometheus()
    for name, says in ((None, "prometheus.providers.west.credentials"), ("west", "prometheus.providers.west")):
        found = await providers.get(name).instant("up", datetime(2026, 11, 21, tzinfo=UTC))
        assert says in found.message
    assert providers.get("default") is not providers.get("west")
    assert "known: default, west" in providers.get("east").message
    await providers.aclose()


async def test_two_capabilities_of_one_kind_are_refused():
    async def observe(key):
        return None

    twin = types.SimpleNamespace(
        WATCHES=(), controller=lambda deps: Controller(TRAINING_JOB, observe, lambda snapshot, now: Decision())
    )
    images = settings.Images(trainer="t", agent="a")
    operator = Operator(settings.Settings(images=images), None, "1", (twin, twin))
    with pytest.raises(ValueError, match="more than one capability has a controller of TrainingJob"):
        operator._loops(None, None, None)


def test_the_collector_leaves_a_look_at_a_large_fleet_alone():
    before = gc.get_threshold()
    try:
        calm_collector()
        assert gc.get_threshold()[0] >= 4 * 10_000  # what a look at 10,000 nodes makes
        assert gc.isenabled()
    finally:
        gc.set_threshold(*before)
