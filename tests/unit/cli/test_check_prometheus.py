"""check: whatever answers at the address that is said to be Prometheus, it is told, and nothing ends in a traceback."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kubectl_modelfleet import findings
from kubectl_modelfleet.commands.check import _ask
from kubectl_modelfleet.failures import Failure
from kubectl_modelfleet.session import Session

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
GOOD = OK + json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()


@contextmanager
def answering(content: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine that answers its one caller with these bytes, and what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(content)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(5)


def ask(url: str) -> findings.Json:
    return _ask(Session(), findings.address(url), "up", direct=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "Expecting property name"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000 + b"\r\n\r\n", "header line"),
        (b"", "closed connection without response"),
        (OK + b"<html>Grafana</html>", "Expecting value"),
        (OK + b"[" * 100_000, "recursion"),
        (OK + b"[]", "is it the address of Prometheus"),
        (OK + b'"ok"', "is it the address of Prometheus"),
        (OK + b'{"database": "ok"}', "is it the address of Prometheus"),
        (OK + b'{"status": "success", "data": "x"}', "not a list of series"),
        (OK + b'{"status": "success", "data": {"result": ["x"]}}', "not a list of series"),
        (OK + b'{"status": "success", "data": {"result": [{"metric": 1}]}}', "not a list of series"),
        (OK + b'{"status": "error", "errorType": "timeout", "error": "too slow"}', "it answers timeout: too slow"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "401"),
    ],
)
def test_what_is_no_answer_of_prometheus_is_a_failure_with_words(content: bytes, said: str):
    with answering(content) as (port, _), pytest.raises(Failure, match=said):
        ask(f"http://127.0.0.1:{port}")


def test_name_and_password_of_an_address_are_sent_and_not_shown():
    at = findings.address("https://jane:s%40cret@prometheus.example:9090/p?x=1")
    assert at.url == "https://prometheus.example:9090/p?x=1"
    with answering(GOOD) as (port, asked):
        assert ask(f"http://jane:s%40cret@127.0.0.1:{port}")["data"]["result"] == []
    assert b"Authorization: Basic " + base64.b64encode(b"jane:s@cret") in asked[0]
    with pytest.raises(Failure) as error:
        ask("http://jane:s%40cret@127.0.0.1:1")
    assert "cret" not in str(error.value)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://x", "http://", "http://[::1", ""])
def test_what_is_no_address_is_said(url: str):
    with pytest.raises(ValueError, match=r"address|URL"):
        findings.address(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:x", "http://a b", "http://127.0.0.1:1/\n "])
def test_an_address_that_can_not_be_asked_is_a_failure(url: str):
    with pytest.raises(Failure):
        ask(url)
