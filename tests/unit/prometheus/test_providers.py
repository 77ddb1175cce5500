"""Providers by name: which one is asked, and what is said where there is none of that name."""

import httpx
import pytest

from modelfleet.prometheus import Client, ProviderDown, Providers
from unit.prometheus.test_client import AT, ONE, Server

PLAIN, WEST = Client("http://plain"), Client("http://west", setting="prometheus.providers.west")


@pytest.mark.parametrize(
    ("clients", "default", "name", "found"),
    [
        ({"default": PLAIN}, "default", None, PLAIN),
        ({"default": PLAIN}, "default", "default", PLAIN),
        ({"default": PLAIN, "west": WEST}, "default", None, PLAIN),
        ({"default": PLAIN, "west": WEST}, "default", "west", WEST),
        ({"default": PLAIN, "west": WEST}, "west", None, WEST),
        ({"west": WEST}, "west", None, WEST),
    ],
)
def test_one_is_found_by_name(clients, default, name, found):
    assert Providers(clients, default).get(name) is found


@pytest.mark.parametrize(
    ("clients", "name", "says"),
    [
        ({}, None, "no Prometheus is configured: set prometheus.url in the operator's settings"),
        ({}, "west", "no Prometheus is configured: set prometheus.url in the operator's settings"),
        ({"west": WEST}, None, "no default Prometheus is configured: set gate.provider (known: west)"),
        ({"default": PLAIN, "west": WEST}, "wst", "gate.provider names 'wst', which .* (known: default, west)"),
        ({f"p{i:02}": WEST for i in range(30)}, "wst", "known: p00, p01, .*, p09, …)"),
    ],
)
def test_none_of_that_name_is_no_answer_and_says_which_there_are(clients, name, says):
    found = Providers(clients).get(name)
    assert isinstance(found, ProviderDown)
    for part in says.split(".*"):
        assert part in found.message
    assert len(found.message) < 300


@pytest.mark.parametrize("status", [200, 302, 401, 404])
async def test_messages_name_the_setting_of_the_provider(status):
    server = Server((status, b"<html>"))
    transport = httpx.MockTransport(server)
    async with Client("http://west", setting="prometheus.providers.west", transport=transport) as client:
        found = await client.instant("up", AT)
    assert "prometheus.providers.west." in found.message


async def test_a_redirect_is_not_followed_and_takes_no_credentials_along(tmp_path):
    asked = []

    def answer(request):
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "http://elsewhere/api/v1/query"})

    async with Client("http://west", transport=httpx.MockTransport(answer)) as client:
        assert "HTTP 302: redirects are not followed" in (await client.instant("up", AT)).message
    assert asked == ["west"]


async def test_all_are_closed():
    servers = [Server((200, ONE)), Server((200, ONE))]
    clients = [Client("http://x", transport=httpx.MockTransport(server)) for server in servers]
    for client in clients:
        await client.instant("up", AT)
    opened = [await client._http.get() for client in clients]
    await Providers({"a": clients[0], "b": clients[1]}).aclose()
    assert [each.is_closed for each in opened] == [True, True]
