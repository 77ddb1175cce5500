"""The metrics client over real TLS: who the provider is, who the operator is, and certificates that are replaced."""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from harness.pki import Authority, Certificate
from modelfleet.credentials import Credentials
from modelfleet.prometheus import Client, ProviderDown, Samples

pytestmark = pytest.mark.cluster

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ANSWER = {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}


class Provider:
    """A query API that lets in only those whose certificate its authority signed, and keeps who they were."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._pair = authority.issue("server", "prometheus", hosts=("DNS:localhost",))
        self.seen: list[tuple[str, str | None]] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Provider"]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._authority.certificate))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self._pair.certificate, self._pair.key)
        app = web.Application()
        app.add_routes([web.post("/api/v1/query", self._query)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
        await site.start()
        self.url = f"https://localhost:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        subject = dict(pair[0] for pair in request.transport.get_extra_info("peercert")["subject"])
        self.seen.append((subject["commonName"], request.headers.get("Authorization")))
        return web.json_response(ANSWER)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def credentials(authority: Authority, pair: Certificate, **more: Path) -> Credentials:
    return Credentials(ca=authority.certificate, certificate=pair.certificate, key=pair.key, **more)


async def test_the_operator_shows_its_certificate_and_its_token(authority: Authority, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    shown = credentials(authority, authority.issue("operator", "operator"), bearer_token=token)
    async with Provider(authority).serving() as provider, Client(provider.url, credentials=shown) as client:
        assert isinstance(await client.instant("up", AT), Samples)
    assert provider.seen == [("operator", "Bearer abc")]


async def test_a_replaced_certificate_is_used_from_the_next_query_on(authority: Authority, tmp_path: Path) -> None:
    mounted = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")

    def mount(name: str, second: int) -> None:
        pair = authority.issue(name, name)
        for to, source in ((mounted.certificate, pair.certificate), (mounted.key, pair.key)):
            to.write_bytes(source.read_bytes())
            os.utime(to, (second, second))

    mount("old", 1)
    shown = credentials(authority, mounted)
    async with Provider(authority).serving() as provider, Client(provider.url, credentials=shown) as client:
        await client.instant("up", AT)
        mount("new", 2)
        assert isinstance(await client.instant("up", AT), Samples)
    assert [name for name, _ in provider.seen] == ["old", "new"]


async def test_without_a_certificate_it_is_not_let_in(authority: Authority) -> None:
    shown = Credentials(ca=authority.certificate)
    async with Provider(authority).serving() as provider, Client(provider.url, credentials=shown, retries=0) as client:
        found = await client.instant("up", AT)
    assert isinstance(found, ProviderDown)
    assert "Prometheus at localhost" in found.message
    assert provider.seen == []


async def test_a_provider_of_another_authority_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    shown = credentials(Authority(tmp_path / "other"), authority.issue("operator", "operator"))
    async with Provider(authority).serving() as provider, Client(provider.url, credentials=shown, retries=0) as client:
        found = await client.instant("up", AT)
    assert isinstance(found, ProviderDown)
    assert "can't be reached (ConnectError: its certificate is not accepted, " in found.message
    assert provider.seen == []
