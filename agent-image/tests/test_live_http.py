"""The live page over HTTP: what it answers, to whom, how many, and what becomes of those who hang."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agent_models import CLASSES, SIDE, anchors, yolo11_like
from agent_processes import Agent, Stored, wait_until
from live_parts import BOLT, BOX, MODEL, NOTHING, decoded, near, settings

from agent.live import drawing, handler
from agent.live.handler import Viewing
from agent.live.latest import Latest
from agent.live.mask import Mask
from agent.live.pictures import Pictures
from agent.live.server import Live
from agent.serve.frames import Frame
from harness.timing import within


@pytest.fixture
def seen() -> Latest:
    """In real time, since the server has the real clock."""
    latest = Latest(10, lambda: None)
    latest.show(Frame(np.full((480, 640, 3), 200, np.uint8), "camera 0"), BOLT)
    return latest


@pytest.fixture
def serving(seen: Latest) -> Iterator[Callable[..., Live]]:
    """`serving(viewers=2, rate=10, mask=Mask(False, None), patience=15)`"""
    running: list[Live] = []

    def start(viewers: int = 2, rate: float = 10, hidden: Mask | None = None, patience: float = 15.0) -> Live:
        pictures = Pictures(seen, hidden or Mask(False, None), CLASSES, rate)
        running.append(Live(0, Viewing(seen, pictures, MODEL, rate, viewers), patience))
        return running[-1]

    yield start
    for live in running:
        live.close()


def ask(
    live: Live, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, bytes, HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


@contextlib.contextmanager
def streaming(live: Live, path: str = "/stream") -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        with connection.getresponse() as answer:
            yield answer


def part(answer: http.client.HTTPResponse) -> tuple[dict[str, str], bytes]:
    """The next part of a stream, whose separator comes after it."""
    headers: dict[str, str] = {}
    while line := answer.readline().decode().strip():
        name, _, value = line.partition(": ")
        headers[name] = value
    data = answer.read(int(headers["Content-Length"]))
    assert answer.readline() == b"\r\n"
    assert answer.readline() == b"--modelfleet-frame\r\n"
    return headers, data


def test_only_the_loopback_address_is_served(serving: Callable[..., Live]) -> None:
    port = serving().port
    others = {each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None)} - {"127.0.0.1", "::1"}
    for address in [*others, "::1", "127.0.0.2"]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as other, pytest.raises(OSError, match=r"refused|assign|unreachable"):
            other.connect((address, port))


@pytest.mark.parametrize("path", ["/", "/frame.jpg", "/detections.json", "/stream", "/other"])
def test_headers_of_every_answer(serving: Callable[..., Live], path: str) -> None:
    _, _, headers = ask(serving(), path, "HEAD")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert not any(name.lower().startswith("access-control") for name in headers)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "Python" not in headers["Server"]


def test_the_page_asks_nobody_else_for_anything(serving: Callable[..., Live]) -> None:
    status, body, headers = ask(serving(), "/")
    text = body.decode()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "/*s" not in text.replace("/**", "")
    outside = text.replace("xmlns='http://www.w3.org/2000/svg'", "")
    assert "http://" not in outside
    assert "https://" not in outside
    assert "//" not in "".join(line for line in outside.splitlines() if "src=" in line or "url(" in line)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8080", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:65535", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("localhost:8080.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.1.2.3:8080", 403),
        ("localhost:port", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/frame.jpg", "/stream", "/detections.json"])
def test_the_host_must_be_this_machine(serving: Callable[..., Live], path: str, host: str, status: int) -> None:
    answered, body, _ = ask(serving(), path, "HEAD" if status == 200 else "GET", {"Host": host})
    assert answered == status
    assert status == 200 or b"kubectl port-forward" in body


def test_no_host_and_two_hosts(serving: Callable[..., Live]) -> None:
    live = serving()
    for lines in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        with socket.create_connection(("127.0.0.1", live.port), timeout=10) as peer:
            peer.sendall(b"GET /detections.json HTTP/1.0\r\n" + lines + b"\r\n")
            assert peer.recv(100).startswith(b"HTTP/1.0 403")


def test_a_strangers_page_can_not_embed_it(serving: Callable[..., Live]) -> None:
    live = serving()
    embedded = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    for site in ("cross-site", "same-site"):
        assert ask(live, "/frame.jpg", headers={**embedded, "Sec-Fetch-Site": site})[0] == 403
    assert ask(live, "/frame.jpg", headers={**embedded, "Sec-Fetch-Site": "same-origin"})[0] == 200
    assert ask(live, "/", headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"})[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(serving: Callable[..., Live], method: str) -> None:
    status, body, headers = ask(serving(), "/", method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"
    assert b"read only" in body


def test_other_methods_and_no_requests_at_all(serving: Callable[..., Live]) -> None:
    live = serving()
    assert ask(live, "/", "BREW")[0] == 501
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as peer:
        peer.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        assert peer.recv(1000).startswith(b"Bad request version")
    assert ask(live, "/nothing")[0] == 404


def test_a_picture_with_and_without_boxes(serving: Callable[..., Live]) -> None:
    live = serving()
    for path in ("/frame.jpg", "/frame.jpg?boxes=1"):
        status, body, headers = ask(live, path)
        assert (status, headers["Content-Type"], headers["X-Frame"]) == (200, "image/jpeg", "1")
        assert near(decoded(body)[120, 100], drawing.COLOURS[0], 60)
    _, body, _ = ask(live, "/frame.jpg?boxes=0")
    assert (np.abs(decoded(body).astype(int) - 200) <= 3).all()
    status, body, headers = ask(live, "/frame.jpg", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


def test_the_figures(serving: Callable[..., Live]) -> None:
    status, body, headers = ask(serving(), "/detections.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    told = json.loads(body)
    assert 0 <= told["frame"].pop("ageSeconds") < 3
    assert told == {
        "model": "parts-detector",
        "version": "v2",
        "rollout": "line",
        "group": "canary",
        "node": "edge-1",
        "sha256": "ab" * 32,
        "classes": [{"name": name, "colour": drawing.COLOURS[k]} for k, name in enumerate(CLASSES)],
        "thresholds": {"confidence": 0.25, "iou": 0.7},
        "state": "live",
        "message": None,
        "fps": 0,
        "frame": {"number": 1, "width": 640, "height": 480},
        "detections": [{"class": "bolt", "confidence": 0.91, "box": list(BOX)}],
        "viewers": {"watching": 0, "limit": 2},
    }


def test_the_figures_of_the_frame_on_the_screen(serving: Callable[..., Live], seen: Latest) -> None:
    live = serving(rate=0.5)
    number = ask(live, "/frame.jpg")[2]["X-Frame"]
    seen.show(Frame(np.zeros((8, 8, 3), np.uint8), "camera 0"), NOTHING)
    told = json.loads(ask(live, f"/detections.json?frame={number}")[1])
    assert (told["frame"]["number"], len(told["detections"])) == (1, 1)
    assert told["frame"]["ageSeconds"] > 0
    for other in ("", "?frame=2", "?frame=77", "?frame=x", "?frame=" + "9" * 6000, "?frame=²"):
        told = json.loads(ask(live, f"/detections.json{other.replace('²', '%C2%B2')}")[1])
        assert (told["frame"]["number"], told["detections"]) == (2, [])


def test_a_stream_shows_each_new_frame(serving: Callable[..., Live], seen: Latest) -> None:
    with streaming(serving(rate=20)) as answer:
        assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=modelfleet-frame"
        assert answer.readline() == b"--modelfleet-frame\r\n"
        headers, data = part(answer)
        assert headers["X-Frame"] == "1"
        assert decoded(data)[5, 5, 0] > 150
        seen.show(Frame(np.full((480, 640, 3), 20, np.uint8), "camera 0"), NOTHING)
        headers, data = part(answer)
        assert headers["X-Frame"] == "2"
        assert decoded(data)[5, 5, 0] < 50


def test_a_stream_of_one_frame_is_sent_again_now_and_then(
    serving: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "HEARTBEAT", 0.3)
    with streaming(serving(rate=20)) as answer:
        answer.readline()
        begun = time.monotonic()
        with within(5):
            assert [part(answer)[0]["X-Frame"] for _ in range(3)] == ["1"] * 3
        assert time.monotonic() - begun > 0.5


def test_more_viewers_than_allowed_are_told_so(serving: Callable[..., Live]) -> None:
    live = serving(viewers=2)
    with streaming(live) as first, streaming(live) as second:
        for answer in (first, second):
            answer.readline()
            part(answer)
        for path in ("/stream", "/frame.jpg"):
            status, body, headers = ask(live, path)
            assert status == 429
            assert b"LIVE_VIEWERS allows (2)" in body
            assert headers["Retry-After"]
        told = json.loads(ask(live, "/detections.json")[1])  # the figures stay to be had
        assert told["viewers"] == {"watching": 2, "limit": 2}
    wait_until(lambda: ask(live, "/frame.jpg")[0] == 200, "a place is free again")


def test_a_place_is_free_as_soon_as_its_viewer_goes(serving: Callable[..., Live]) -> None:
    live = serving(viewers=1, rate=0.5)  # a picture each two seconds: nothing else would tell sooner
    with streaming(live) as answer:
        answer.readline()
        part(answer)
    with within(1):
        wait_until(lambda: live_viewers(live) == 0, "it has gone")


def test_a_viewer_that_says_more_than_it_should_is_shown_all_the_same(
    serving: Callable[..., Live], seen: Latest
) -> None:
    live = serving(rate=20)
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as peer, peer.makefile("rb") as answer:
        peer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"x" * 1000)
        while answer.readline() != b"--modelfleet-frame\r\n":
            pass
        for number in ("1", "2"):
            headers = dict(line.decode().strip().split(": ") for line in iter(answer.readline, b"\r\n"))
            assert headers["X-Frame"] == number
            answer.read(int(headers["Content-Length"]))
            assert answer.readline() + answer.readline() == b"\r\n--modelfleet-frame\r\n"
            seen.show(Frame(np.zeros((480, 640, 3), np.uint8), "camera 0"), NOTHING)


def test_two_viewers_share_what_is_encoded(serving: Callable[..., Live], seen: Latest, encoded: list[float]) -> None:
    with streaming(live := serving(rate=10)) as first, streaming(live) as second:
        for answer in (first, second):
            answer.readline()
        for number in range(2, 12):
            assert part(first)[1] == part(second)[1]
            seen.show(Frame(np.full((480, 640, 3), number * 10, np.uint8), "camera 0"), NOTHING)
    assert len(encoded) <= 12


def test_a_viewer_that_takes_nothing_is_cut_off(serving: Callable[..., Live], seen: Latest) -> None:
    live = serving(viewers=1, rate=30, patience=1)
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    stop = threading.Event()

    def feed() -> None:
        while not stop.wait(0.02):
            seen.show(Frame(noise, "camera 0"), NOTHING)

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        with socket.create_connection(("127.0.0.1", live.port)) as peer:
            peer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")  # and never reads
            wait_until(lambda: live_viewers(live) == 1, "it watches")
            wait_until(lambda: live_viewers(live) == 0, "it is cut off")
    finally:
        stop.set()
        feeding.join()
    wait_until(lambda: not threads(), "its thread has ended")


def test_a_request_that_never_ends_is_cut_off(serving: Callable[..., Live]) -> None:
    live = serving(patience=0.7)
    with (
        within(5),
        socket.create_connection(("127.0.0.1", live.port), timeout=10) as peer,
        contextlib.suppress(OSError),
    ):
        while True:  # each byte in time, and the whole never
            peer.sendall(b"G")
            time.sleep(0.1)
    wait_until(lambda: not threads(), "its thread has ended")


def test_too_many_connections_are_refused_and_not_kept(serving: Callable[..., Live]) -> None:
    live = serving(viewers=1)
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection(("127.0.0.1", live.port)))
        wait_until(lambda: len(threads()) >= 17, "all places are taken")
        assert len(threads()) == 17
        with socket.create_connection(("127.0.0.1", live.port), timeout=5) as peer:
            assert peer.recv(100).startswith(b"HTTP/1.0 503")
    wait_until(lambda: ask_quietly(live) == 200, "there is room again")


def test_peers_that_go_away_harm_nobody(serving: Callable[..., Live], caplog: pytest.LogCaptureFixture) -> None:
    live = serving(viewers=2, rate=30)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", live.port)) as peer:
            peer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_until(lambda: live_viewers(live) == 0, "all are gone")
    assert ask(live, "/frame.jpg")[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_closing_ends_the_streams(seen: Latest) -> None:
    live = Live(0, Viewing(seen, Pictures(seen, Mask(False, None), CLASSES, 10), MODEL, 10, 2))
    with streaming(live) as answer:
        answer.readline()
        part(answer)
        live.close()
        assert answer.read() == b""
    wait_until(lambda: not threads(), "no thread is left")


def test_without_a_mask_that_is_demanded_nothing_is_shown(serving: Callable[..., Live], tmp_path: Path) -> None:
    path = settings(tmp_path)
    live = serving(hidden=Mask(True, path))
    with streaming(live) as answer:
        answer.readline()
        part(answer)
        path.unlink()
        assert answer.read() == b""  # a stream under way ends
    for url in ("/frame.jpg", "/frame.jpg?boxes=0", "/stream"):
        status, body, headers = ask(live, url)
        assert status == 503
        assert headers["Content-Type"].startswith("text/plain")
        assert b"capture.json can't be read: No such file or directory" in body
    told = json.loads(ask(live, "/detections.json")[1])
    assert told["state"] == "hidden"
    assert "LIVE_MASK=false" in told["message"]


def live_viewers(live: Live) -> int:
    return int(json.loads(ask(live, "/detections.json")[1])["viewers"]["watching"])


def ask_quietly(live: Live) -> int:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(live, "/detections.json")[0]
    return 0


def threads() -> list[str]:
    """The threads of connections to the live page."""
    return [each.name for each in threading.enumerate() if "process_request_thread" in each.name]


# As the kubelet starts it


SEES = yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0)), (20, 50, 10, 10, (0, 0, 0.99))))


@pytest.fixture
def env(stored: Callable[..., Stored], tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "frames"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.full((SIDE, SIDE, 3), 255, np.uint8))
    return stored(SEES).put_in_cache().env | {"FRAMES": f"directory://{folder}", "FRAME_RATE": "20"}


def live_port(running: Agent) -> int:
    mark = "serving the live page on http://127.0.0.1:"
    wait_until(lambda: mark in running.log.read_text(), "the live page is served", running.log)
    return int(running.log.read_text().partition(mark)[2].split()[0])


def figures(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/detections.json")
        return dict(json.loads(connection.getresponse().read()))


def test_the_agent_shows_what_it_sees(agent: Callable[..., Agent], env: dict[str, str], tmp_path: Path) -> None:
    running = agent("serve", env | {"LIVE_PORT": "0", "LIVE_MASK": "false"})
    port = live_port(running)
    wait_until(lambda: figures(port)["state"] == "live", "frames come", running.log)
    told = figures(port)
    assert [(each["class"], each["confidence"]) for each in told["detections"]] == [("washer", 0.99), ("bolt", 0.93)]
    assert told["sha256"] == env["MODEL_SHA256"]
    wait_until(lambda: figures(port)["fps"] > 1, "it is counted", running.log)
    (tmp_path / "frames/0.png").unlink()
    wait_until(lambda: figures(port)["state"] == "stale", "the feed is lost", running.log)
    wait_until(lambda: "holds no image" in figures(port)["message"], "it says why", running.log)
    assert running.get("/readyz")[0] == 200
    assert running.stop() == 0


def test_without_a_port_there_is_no_page(agent: Callable[..., Agent], env: dict[str, str]) -> None:
    running = agent("serve", env)
    running.wait_ready()
    assert "live page" not in running.log.read_text()
    assert running.stop() == 0


def test_a_port_that_is_taken_is_told(agent: Callable[..., Agent], env: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        running = agent("serve", env | {"LIVE_PORT": str(port)})
        assert running.wait() == 1
    assert running.message() == {
        "reason": "PortInUse",
        "message": f"LIVE_PORT {port} can't be opened: Address already in use",
    }
