"""The HTTP server for probes and metrics."""

import aiohttp

from modelfleet import telemetry
from modelfleet.server import Server


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
