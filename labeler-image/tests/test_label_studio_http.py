"""Errors, retries and tokens, against answers that are made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from labeler.label_studio.http import Http, LabelStudioError, Uncertain

PERSONAL = "aaa.bbb.ccc"
Answer = httpx.Response | Exception


class Server:
    """Gives the answers in their order, and keeps the requests and the waits between them."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []

    def http(self, token: str = "0123") -> Http:
        return Http("http://ls:8080/", token, transport=httpx.MockTransport(self._answer), sleep=self.waits.append)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _ok(body: object = None) -> httpx.Response:
    return httpx.Response(200, json=body if body is not None else {"fine": True})


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (httpx.Response(401, json={"detail": "Invalid token."}), "LabelStudioRefused", "put a valid one there"),
        (httpx.Response(403, json={"detail": "No."}), "LabelStudioRefused", "give that user access to the project"),
        (httpx.Response(404, json={"detail": "Not found."}), "LabelStudioRefused", "Was the project deleted"),
        (httpx.Response(404, html="<html>nginx</html>"), "LabelStudioRefused", "where its own page starts"),
        (
            httpx.Response(400, json={"detail": "Validation error", "validation_errors": {"title": ["too long"]}}),
            "LabelStudioRefused",
            "too long",
        ),
        (httpx.Response(500, json={"detail": "disk is full"}), "LabelStudioUnreachable", "disk is full"),
        (
            httpx.Response(302, headers={"location": "https://ls.example.com/user/login"}),
            "LabelStudioRefused",
            "https://ls.example.com/user/login",
        ),
        (
            httpx.Response(200, html="<html>nginx</html>"),
            "LabelStudioRefused",
            "must be where Label Studio's own page starts",
        ),
    ],
)
def test_every_refusal_says_what_to_do_and_is_not_repeated(answer: httpx.Response, reason: str, words: str) -> None:
    server = Server(answer)
    with pytest.raises(LabelStudioError) as caught:
        server.http().get("/api/projects")
    assert caught.value.reason == reason
    assert words in caught.value.message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: httpx.Response(502),
        lambda: httpx.Response(503),
        lambda: httpx.Response(429),
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.ReadTimeout("slow"),
    ],
)
def test_reading_is_tried_six_times_at_most(trouble: Callable[[], Answer]) -> None:
    server = Server(trouble(), trouble(), _ok())
    assert server.http().get("/api/x") == {"fine": True}
    assert server.waits == [1, 2]
    server = Server(*(trouble() for _ in range(9)))
    with pytest.raises(LabelStudioError) as caught:
        server.http().get("/api/x")
    assert caught.value.reason == "LabelStudioUnreachable"
    assert len(server.requests) == 6


@pytest.mark.parametrize(("header", "waited"), [("7", 7), ("3600", 60), ("-1", 1), ("soon", 1), ("", 1)])
def test_retry_after_is_kept_to_within_a_minute(header: str, waited: float) -> None:
    server = Server(httpx.Response(429, headers={"Retry-After": header}), _ok())
    server.http().get("/api/x")
    assert server.waits == [waited]


@pytest.mark.parametrize(
    "trouble", [httpx.Response(502), httpx.Response(504), httpx.ReadTimeout("slow"), httpx.Response(500)]
)
def test_a_write_that_may_have_been_done_is_not_repeated_but_called_uncertain(trouble: Answer) -> None:
    server = Server(trouble)
    with pytest.raises(Uncertain):
        server.http().post("/api/x", {})
    assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.Response(429), httpx.ConnectError("refused")])
def test_a_write_that_was_not_begun_is_repeated(trouble: Answer) -> None:
    server = Server(trouble, _ok())
    assert server.http().post("/api/x", {}) == {"fine": True}


def test_a_legacy_token_goes_along_as_it_is() -> None:
    server = Server(_ok())
    server.http("0123\n").get("/api/x")
    assert server.requests[0].headers["Authorization"] == "Token 0123"


def test_a_personal_token_buys_an_access_token_and_a_new_one_when_that_expired() -> None:
    expired = httpx.Response(401, json={"detail": "Given token not valid"})
    server = Server(_ok({"access": "one"}), _ok(), _ok(), expired, _ok({"access": "two"}), _ok())
    http = server.http(PERSONAL)
    for _ in range(3):
        http.get("/api/x")
    assert [request.headers.get("Authorization") for request in server.requests] == [
        None,
        "Bearer one",
        "Bearer one",
        "Bearer one",
        None,
        "Bearer two",
    ]


@pytest.mark.parametrize("ask", [Http.get, lambda http, path: http.post(path, {})], ids=["reading", "writing"])
def test_an_access_token_is_asked_for_as_often_as_anything_else(ask: Callable[[Http, str], object]) -> None:
    """Label Studio restarts: the first request of a run is the one for a token."""
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    server = Server(httpx.Response(503), busy, _ok({"access": "one"}), _ok())
    assert ask(server.http(PERSONAL), "/api/x") == {"fine": True}
    assert server.waits == [1, 7]
    server = Server(*(httpx.Response(502) for _ in range(9)))
    with pytest.raises(LabelStudioError) as caught:
        ask(server.http(PERSONAL), "/api/x")
    assert (caught.value.reason, len(server.requests)) == ("LabelStudioUnreachable", 6)
    assert not isinstance(caught.value, Uncertain), "nothing was written"


def test_a_personal_token_that_was_revoked_ends_it() -> None:
    server = Server(httpx.Response(401, json={"detail": "Token is blacklisted"}))
    with pytest.raises(LabelStudioError, match="Token is blacklisted"):
        server.http(PERSONAL).get("/api/x")
    invalid = httpx.Response(401, json={"detail": "no user"})
    server = Server(_ok({"access": "one"}), invalid, _ok({"access": "two"}), invalid)
    with pytest.raises(LabelStudioError, match="no user"):
        server.http(PERSONAL).get("/api/x")


@pytest.mark.parametrize("url", ["", "label-studio:8080", "ftp://ls", "http://", "http://[::"])
def test_what_is_no_url_is_named(url: str) -> None:
    with pytest.raises(LabelStudioError, match=r"labelStudio\.url must be as http"):
        Http(url, "0123")


@pytest.mark.parametrize("token", ["", " \n", "one two", "tökén", "a\nb"])
def test_what_is_no_token_is_named(token: str) -> None:
    with pytest.raises(LabelStudioError, match="key `token`"):
        Http("http://ls", token)


def test_the_token_is_in_no_message() -> None:
    for token in ("0123secret", "a.secret.c"):
        server = Server(*(httpx.ConnectError("refused") for _ in range(6)))
        with pytest.raises(LabelStudioError) as caught:
            server.http(token).get("/api/x")
        assert "secret" not in caught.value.message
