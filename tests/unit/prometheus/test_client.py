"""The HTTP client against a transport that misbehaves in every way a provider can."""

import asyncio
import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

import modelfleet.prometheus
from modelfleet.credentials import Credentials
from modelfleet.prometheus import Client, NoData, ProviderDown, Samples

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
ONE = {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}


class Server:
    """Answers with each of `replies` in turn, and the last one for ever; an exception is raised."""

    def __init__(self, *replies):
        self.replies, self.requests = list(replies), []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        if callable(reply):
            reply = await reply()
        status, body = reply
        return httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())

    @property
    def forms(self):
        return [{k: v[0] for k, v in parse_qs(r.content.decode()).items()} for r in self.requests]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("modelfleet.prometheus.client._BACKOFF", 0.001)


async def ask(server, at=AT, **options):
    async with Client(
        "http://user:secret@prom:9090/prefix/", transport=httpx.MockTransport(server), **options
    ) as client:
        return await client.instant("up", at)


def test_exports():
    assert modelfleet.prometheus.__all__ == [
        "DEFAULT",
        "Client",
        "NoData",
        "ProviderDown",
        "Providers",
        "Result",
        "Samples",
        "Series",
    ]


async def test_asks_by_post_with_time_and_timeout():
    server = Server((200, ONE))
    assert await ask(server) == Samples((({}, ((1.0, 1.0),)),))
    request = server.requests[0]
    assert (request.method, request.url.path) == ("POST", "/prefix/api/v1/query")
    assert server.forms == [
        {"query": "up", "time": "1795248000.000", "timeout": "30000ms", "partial_response": "false"}
    ]


@pytest.mark.parametrize(
    ("replies", "tries", "said"),
    [
        ([httpx.ConnectError("x")], 3, "Prometheus at prom:9090 can't be reached (ConnectError)"),
        ([httpx.ReadTimeout("x")], 3, "Prometheus at prom:9090 did not answer in time"),
        ([httpx.ReadError("x")], 3, "can't be reached (ReadError)"),
        ([(503, {"status": "error", "error": "starting"})], 3, "HTTP 503: starting"),
        ([(500, b"<html>" + b"x" * 5000)], 3, "Prometheus answered HTTP 500"),
        ([(429, b"")], 3, "HTTP 429: Prometheus limits the rate"),
        ([(400, {"status": "error", "error": "parse error:\n unexpected"})], 1, "(HTTP 400): parse error: unexpected"),
        ([(422, {"status": "error", "error": "many-to-many"})], 1, "(HTTP 422): many-to-many"),
        ([(302, b"")], 1, "HTTP 302: redirects are not followed"),
        ([(401, b"")], 1, "HTTP 401: prometheus.credentials are missing or not accepted"),
        ([(403, b"")], 1, "HTTP 403"),
        ([(404, b"nginx")], 1, "is a path prefix missing?"),
        ([(200, b"<html>login</html>")], 1, "not one of the Prometheus query API"),
        ([(200, {"status": "error"})], 1, "not one of the Prometheus query API"),
        ([(200, {"status": "success", "data": {"resultType": "string", "result": [1, "x"]}})], 1, "can't be read"),
        ([(200, {"status": "success", "data": None})], 1, "can't be read"),
        ([(200, {**ONE, "isPartial": True})], 1, "partial"),
        (
            [(200, {**ONE, "warnings": ["remote_read: connection refused"]})],
            1,
            "the answer may be incomplete: remote_read: connection refused",
        ),
        ([(200, {**ONE, "warnings": "odd"})], 1, "may be incomplete: odd"),
    ],
)
async def test_no_answer_is_provider_down_with_its_reason(replies, tries, said):
    server = Server(*replies)
    found = await ask(server)
    assert isinstance(found, ProviderDown)
    assert said in found.message
    assert len(server.requests) == tries
    assert "secret" not in found.message
    assert "xxxxxxxxxx" not in found.message
    assert len(found.message) < 300
    assert found.bad_query is ("refused the query" in found.message)


async def test_a_warning_about_the_query_is_the_querys_and_infos_are_none():
    text = "PromQL warning: encountered a mix of histograms and floats for aggregation (1:5)"
    found = await ask(Server((200, {**ONE, "warnings": [text]})))
    assert isinstance(found, ProviderDown)
    assert found.bad_query
    assert text in found.message
    infos = {**ONE, "warnings": [], "infos": ["PromQL info: metric might not be a counter"]}
    assert isinstance(await ask(Server((200, infos))), Samples)


async def test_long_errors_are_clipped_to_one_line():
    found = await ask(Server((400, {"status": "error", "error": "bad\x00 " * 400})))
    assert len(found.message) < 220
    assert found.message.isprintable()
    assert found.message.endswith("…")


@pytest.mark.parametrize("first", [httpx.ConnectError("x"), (503, b""), (429, b"")])
async def test_a_passing_fault_is_retried(first):
    server = Server(first, (200, ONE))
    assert isinstance(await ask(server), Samples)
    assert len(server.requests) == 2


async def test_a_query_with_all_its_retries_ends_in_time():
    async def hang():
        await asyncio.sleep(60)

    found = await ask(Server(hang), timeout=timedelta(milliseconds=50))
    assert found == ProviderDown("Prometheus at prom:9090 did not answer within 0.05s")


async def test_the_observer_is_told_once_of_each_query_whatever_its_tries():
    async def hang():
        await asyncio.sleep(60)

    told = []
    await ask(Server((503, b""), (200, ONE)), observer=told.append)
    await ask(Server(hang), timeout=timedelta(milliseconds=50), observer=told.append)
    assert [type(each) for each in told] == [Samples, ProviderDown]


async def test_too_much_is_refused(monkeypatch):
    monkeypatch.setattr("modelfleet.prometheus.client._MAX_BODY", 2**20)
    found = await ask(Server((200, b"x" * 2**21)))
    assert found == ProviderDown("Prometheus at prom:9090 answered with more than 1 MiB")


async def test_no_more_queries_at_once_than_allowed():
    under_way, most = 0, 0

    async def slow():
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return 200, ONE

    async with Client("http://prom", transport=httpx.MockTransport(Server(slow)), concurrency=3) as client:
        await asyncio.gather(*(client.instant("up", AT) for _ in range(12)))
    assert most == 3


@pytest.mark.parametrize("url", ["", "prom:9090", "ftp://prom", "http://"])
def test_the_url_must_be_http(url):
    with pytest.raises(ValueError, match="http or https"):
        Client(url)


async def test_a_range_in_one_part():
    body = {"resultType": "matrix", "result": [{"metric": {"a": "b"}, "values": [[1, "2"], [2, "NaN"]]}]}
    server = Server((200, {"status": "success", "data": body}))
    async with Client("http://prom", transport=httpx.MockTransport(server)) as client:
        found = await client.range("up", AT, AT + timedelta(minutes=9), timedelta(minutes=1))
    (labels, values), *rest = found.series
    assert (labels, len(values), rest) == ({"a": "b"}, 2, [])
    form = server.forms[0]
    assert (form["start"], form["end"], form["step"]) == ("1795248000.000", "1795248540.000", "60.000")
    assert server.requests[0].url.path == "/api/v1/query_range"


async def test_a_long_range_is_asked_in_parts_that_leave_no_step_out(monkeypatch):
    monkeypatch.setattr("modelfleet.prometheus.client._MAX_POINTS", 4)
    asked = []

    async def grid(request):
        form = {k: float(v[0]) for k, v in parse_qs(request.content.decode()).items() if k in ("start", "end", "step")}
        times = [form["start"] + k * form["step"] for k in range(int((form["end"] - form["start"]) / form["step"]) + 1)]
        assert len(times) <= 4
        asked.extend(times)
        result = [{"metric": {"a": "b"}, "values": [[t, "1"] for t in times]}]
        if len(asked) > 8:
            result.append({"metric": {"a": "late"}, "values": [[times[-1], "2"]]})
        return httpx.Response(200, json={"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with Client("http://prom", transport=httpx.MockTransport(grid)) as client:
        found = await client.range("up", AT, AT + timedelta(seconds=95), timedelta(seconds=10))
    assert asked == [AT.timestamp() + 10 * k for k in range(10)]
    assert [len(values) for _, values in found.series] == [10, 1]


@pytest.mark.parametrize(
    "reply", [(200, {"status": "success", "data": {"resultType": "matrix", "result": []}}), (503, b"")]
)
async def test_a_range_without_data_or_answer(reply):
    async with Client("http://prom", transport=httpx.MockTransport(Server(reply))) as client:
        found = await client.range("up", AT, AT + timedelta(days=30), timedelta(minutes=1))
    assert isinstance(found, NoData if reply[0] == 200 else ProviderDown)


async def test_a_range_that_runs_backwards_is_a_mistake_of_the_caller():
    client = Client("http://prom")
    with pytest.raises(ValueError, match="start <= end"):
        await client.range("up", AT, AT - timedelta(seconds=1), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("files", "header"),
    [
        ({"bearer_token": "abc\n"}, "Bearer abc"),
        ({"username": "u\n", "password": "p\n"}, "Basic dTpw"),
        ({"bearer_token": "abc", "username": "u", "password": "p"}, "Bearer abc"),
    ],
)
async def test_credentials_come_from_files_and_are_read_again(tmp_path, files, header):
    paths = {}
    for name, content in files.items():
        paths[name] = tmp_path / name
        paths[name].write_text(content)
    server = Server((200, ONE))
    async with Client("http://prom", credentials=Credentials(**paths), transport=httpx.MockTransport(server)) as client:
        await client.instant("up", AT)
        if "bearer_token" in paths:
            paths["bearer_token"].write_text("rotated")
            await client.instant("up", AT)
            assert server.requests[1].headers["Authorization"] == "Bearer rotated"
    assert server.requests[0].headers["Authorization"] == header


async def test_name_and_password_may_be_in_the_address():
    server = Server((200, ONE))
    await ask(server)
    assert server.requests[0].headers["Authorization"] == f"Basic {base64.b64encode(b'user:secret').decode()}"


async def test_headers_come_from_a_file_beside_the_credentials(tmp_path):
    headers, token = tmp_path / "headers", tmp_path / "token"
    headers.write_text("X-Scope-OrgID: plant-3|plant-4\nX-Key:  a: b \n")
    token.write_text("abc")
    server = Server((200, ONE))
    credentials = Credentials(bearer_token=token, headers=headers)
    async with Client("http://prom", credentials=credentials, transport=httpx.MockTransport(server)) as client:
        await client.instant("up", AT)
        headers.write_text("X-Scope-OrgID: plant-5")
        await client.instant("up", AT)
    first, second = (request.headers for request in server.requests)
    assert (first["X-Scope-OrgID"], first["X-Key"]) == ("plant-3|plant-4", "a: b")
    assert first["Authorization"] == second["Authorization"] == "Bearer abc"
    assert second["X-Scope-OrgID"] == "plant-5"
    assert "X-Key" not in second


@pytest.mark.parametrize(
    "text", ["plant-3", "X Scope: plant-3", "X-Scope-OrgID:", "X-Scope-OrgID: plänt", "a: b\n\nc: d"]
)
async def test_headers_that_are_none_are_sent_nowhere(tmp_path, text):
    headers = tmp_path / "headers"
    headers.write_text(text)
    server = Server((200, ONE))
    found = await ask(server, credentials=Credentials(headers=headers))
    assert found == ProviderDown("prometheus.credentials can't be read (HeaderLineError)")
    assert server.requests == []


async def test_a_missing_credentials_file_is_named_as_such(tmp_path):
    server = Server((200, ONE))
    for credentials in (Credentials(bearer_token=tmp_path / "none"), Credentials(ca=tmp_path / "none")):
        found = await ask(server, credentials=credentials)
        assert found == ProviderDown("prometheus.credentials can't be read (FileNotFoundError)")
    assert server.requests == []


async def test_a_credentials_file_that_is_no_text_does_not_raise(tmp_path):
    token = tmp_path / "token"
    token.write_bytes(b"\xff\xfe")
    found = await ask(Server((200, ONE)), credentials=Credentials(bearer_token=token))
    assert found == ProviderDown("prometheus.credentials can't be read (UnicodeDecodeError)")


async def test_retries_wait_longer_each_time(monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr("modelfleet.prometheus.client.asyncio.sleep", sleep)
    monkeypatch.setattr("modelfleet.prometheus.client._BACKOFF", 0.25)
    await ask(Server((503, b"")), retries=3)
    assert waited == [0.25, 0.5, 1.0]


def test_half_given_credentials_are_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="username and a password"):
        Credentials(username=tmp_path)
    with pytest.raises(ValueError, match="certificate and a key"):
        Credentials(key=tmp_path)


async def test_a_broken_ca_file_does_not_raise(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.write_text("not a certificate")
    async with Client("https://prom", credentials=Credentials(ca=bundle)) as client:
        found = await client.instant("up", AT)
    assert "prometheus.credentials can't be read" in found.message
    with pytest.raises(ssl.SSLError):
        Credentials(ca=bundle).tls()
