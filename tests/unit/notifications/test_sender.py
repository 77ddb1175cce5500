"""One request, and everything that may go wrong with it; secrets never get into what is said."""

import asyncio
import base64
import json
from datetime import timedelta

import httpx
import pytest

from modelfleet.credentials import Credentials
from modelfleet.notifications import signature
from modelfleet.notifications.endpoint import Endpoint
from modelfleet.notifications.retry import Answered, Unanswered
from modelfleet.notifications.sender import Sender
from unit.notifications.samples import NOW, PROMOTED

KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
URL = "http://user:secret@hooks.example/T0/secret"


async def post(reply, url=URL, **settings):
    """The outcome of a try, and the requests that it made; `reply` is a status, a response, or what is raised."""
    requests = []

    async def answer(request):
        requests.append(request)
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            return await reply()
        return reply if isinstance(reply, httpx.Response) else httpx.Response(reply)

    endpoint = Endpoint(url=url, **settings) if url else Endpoint(**settings)
    sender = Sender("chat", endpoint, httpx.MockTransport(answer))
    outcome = await sender.post(PROMOTED, NOW)
    await sender.aclose()
    return outcome, requests


async def test_it_posts_once_with_the_headers_of_standard_webhooks(tmp_path):
    (tmp_path / "key").write_text(KEY + "\n")
    outcome, [request] = await post(204, signing_key=tmp_path / "key")
    assert outcome == Answered(204)
    assert (request.method, request.url.path) == ("POST", "/T0/secret")
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["user-agent"] == "modelfleet"
    expected = signature.headers(PROMOTED.id, request.content, NOW, signature.read_keys(KEY))
    assert {name: request.headers[name] for name in expected} == expected
    assert json.loads(request.content)["id"] == PROMOTED.id


async def test_address_key_and_token_are_read_at_each_try(tmp_path):
    (tmp_path / "url").write_text("http://hooks.example/one\n")
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "token").write_text("first")
    seen = []

    async def answer(request):
        seen.append((request.url.path, request.headers["authorization"], request.headers["webhook-signature"]))
        return httpx.Response(200)

    endpoint = Endpoint(
        url_file=tmp_path / "url",
        signing_key=tmp_path / "key",
        credentials=Credentials(bearer_token=tmp_path / "token"),
    )
    sender = Sender("chat", endpoint, httpx.MockTransport(answer))
    await sender.post(PROMOTED, NOW)
    (tmp_path / "url").write_text("http://hooks.example/two")
    (tmp_path / "key").write_text("whsec_" + base64.b64encode(b"x" * 32).decode())
    (tmp_path / "token").write_text("second")
    await sender.post(PROMOTED, NOW)
    await sender.aclose()
    assert [each[:2] for each in seen] == [("/one", "Bearer first"), ("/two", "Bearer second")]
    assert seen[0][2] != seen[1][2]


async def test_name_and_password_in_an_address_are_shown_where_there_is_nothing_else(tmp_path):
    (tmp_path / "url").write_text("http://user:se%40cret@hooks.example/T0")
    (tmp_path / "token").write_text("abc")
    (tmp_path / "headers").write_text("Authorization: Splunk abc")
    shown = []
    for credentials in (
        Credentials(),
        Credentials(bearer_token=tmp_path / "token"),
        Credentials(headers=tmp_path / "headers"),
    ):
        _, [request] = await post(200, url="", url_file=tmp_path / "url", credentials=credentials)
        shown.append(request.headers["authorization"])
    assert shown == [f"Basic {base64.b64encode(b'user:se@cret').decode()}", "Bearer abc", "Splunk abc"]


@pytest.mark.parametrize("token", ["", "\n", "abc\ndef", "abc\x00", "a b"])
async def test_a_token_that_no_header_can_carry_is_not_said_to_be_an_outage(tmp_path, token):
    (tmp_path / "token").write_text(token)
    found, requests = await post(200, credentials=Credentials(bearer_token=tmp_path / "token"))
    said = "notifications.endpoints.chat.credentials can't be read (BearerTokenError)"
    assert found == Unanswered("configuration", said)
    assert requests == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (503, Answered(503)),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), Answered(302)),
        (httpx.Response(429, headers={"Retry-After": "17"}), Answered(429, 17.0)),
        (httpx.Response(429, headers={"Retry-After": "Sun, 29 Nov 2026 10:01:00 GMT"}), Answered(429, 59.75)),
        (httpx.Response(429, headers={"Retry-After": "Sun, 29 Nov 2026 09:00:00 GMT"}), Answered(429)),
        (httpx.Response(429, headers={"Retry-After": "soon"}), Answered(429)),
        (httpx.Response(429, headers={"Retry-After": "nan"}), Answered(429)),
        (httpx.Response(429, headers={"Retry-After": "-5"}), Answered(429)),
        (httpx.Response(429, headers={"Retry-After": "Mon, 01 Jan 99999999999 00:00:00 GMT"}), Answered(429)),
        (httpx.ReadTimeout(URL), Unanswered("timeout", "notifications.endpoints.chat did not answer within 10 s")),
        (
            httpx.ConnectError(URL),
            Unanswered("unreachable", "notifications.endpoints.chat can't be reached (ConnectError)"),
        ),
        (
            httpx.RemoteProtocolError(URL),
            Unanswered("unreachable", "notifications.endpoints.chat can't be reached (RemoteProtocolError)"),
        ),
    ],
)
async def test_what_comes_back(reply, outcome):
    found, requests = await post(reply)
    assert found == outcome
    assert len(requests) == 1


async def test_a_receiver_that_never_answers_is_left():
    async def hang():
        await asyncio.sleep(60)

    found, _ = await post(hang, timeout=timedelta(milliseconds=50))
    assert found == Unanswered("timeout", "notifications.endpoints.chat did not answer within 0.05 s")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("url_file", "secret", ".urlFile must hold an http or https address"),
        ("url_file", "ftp://secret", ".urlFile must hold an http or https address"),
        ("url_file", "http://[secret", ".urlFile must hold an http or https address"),
        ("url_file", "http://secret:99999", ".urlFile must hold an http or https address"),
        ("url_file", None, ".urlFile can't be read (FileNotFoundError)"),
        ("signing_key", "secret", ".signingKey must be whsec_ and base64"),
        ("signing_key", "", ".signingKey is empty"),
        ("signing_key", None, ".signingKey can't be read (FileNotFoundError)"),
        ("signing_key", b"\xff\xfe", ".signingKey can't be read (UnicodeDecodeError)"),
    ],
)
async def test_a_file_that_cant_be_used_is_named_and_nothing_is_sent(tmp_path, file, content, says):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found, requests = await post(200, url="" if file == "url_file" else URL, **{file: path})
    assert found == Unanswered("configuration", f"notifications.endpoints.chat{says}")
    assert requests == []


async def test_an_address_that_only_the_client_refuses_is_not_shown(tmp_path):
    (tmp_path / "url").write_text("http://secret\x7f.example")
    found, requests = await post(200, url="", url_file=tmp_path / "url")
    said = "notifications.endpoints.chat.urlFile must hold an http or https address"
    assert found == Unanswered("configuration", said)
    assert requests == []


async def test_credentials_that_cant_be_read_are_named(tmp_path):
    for credentials in (Credentials(bearer_token=tmp_path / "none"), Credentials(ca=tmp_path / "none")):
        found, requests = await post(200, credentials=credentials)
        said = "notifications.endpoints.chat.credentials can't be read (FileNotFoundError)"
        assert found == Unanswered("configuration", said)
        assert requests == []
