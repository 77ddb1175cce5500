"""The upload against versitygw, a real S3 server: a day offline, processes killed over and over, wrong credentials."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from agent_processes import Agent, wait_until
from capture_spools import ENV, fill, write_settings

from agent.capture import spool
from agent.capture.settings import SAMPLE
from harness.object_store import gateway, written

pytestmark = pytest.mark.cluster

Start = Callable[..., Agent]
START = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def buckets(tmp_path: Path) -> Path:
    folder = tmp_path / "buckets"
    (folder / "captures").mkdir(parents=True)
    return folder


def env(tmp_path: Path, endpoint: str, secret: str = "test-secret-key", **settings: object) -> dict[str, str]:
    write_settings(tmp_path / "capture.json", "s3://captures/line/", **settings)
    return ENV | {
        "CAPTURE_SPOOL": str(tmp_path / "spool"),
        "CAPTURE_SETTINGS": str(tmp_path / "capture.json"),
        "UPLOAD_PORT": "0",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test-access-key",
        "AWS_SECRET_ACCESS_KEY": secret,
    }


def a_day(tmp_path: Path) -> list[str]:
    """The captures of 24 h: 8 samples an hour among 22 for rules. Returns all keys."""
    hour = [SAMPLE, "unsure", "unsure", "broad"] * 7 + [SAMPLE, "nothing"]
    return fill(tmp_path / "spool", START, timedelta(minutes=2), hour * 24, size=3000)


def assert_whole(buckets: Path, keys: list[str]) -> None:
    """The store holds exactly these captures, each image as its sidecar describes it."""
    stored = buckets / "captures" / "line"
    found = {path.relative_to(stored).as_posix() for path in stored.rglob("*") if path.is_file()}
    assert found == {f"{key}.{suffix}" for key in keys for suffix in ("jpg", "json")}
    for key in keys:
        document = json.loads((stored / f"{key}.json").read_bytes())
        image = (stored / f"{key}.jpg").read_bytes()
        assert hashlib.sha256(image).hexdigest() == document["image"]["sha256"]


def wait_until_sent(tmp_path: Path, running: Agent) -> None:
    """As long as captures leave the spool: how fast, the machine decides."""

    def left() -> int:
        return len(list(spool.committed(tmp_path / "spool")))

    wait_until(lambda: left() == 0, "all is sent", running.log, progress=left)


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_day_offline_then_all_is_sent_once_the_sample_first(agent: Start, tmp_path: Path, buckets: Path) -> None:
    keys = a_day(tmp_path)
    offline = agent("upload", env(tmp_path, f"http://127.0.0.1:{unused_port()}"))
    failed = 'modelfleet_capture_upload_failed_total{cause="Unreachable"}'
    wait_until(lambda: offline.value(failed) >= 2, "it tries", offline.log)
    assert len(list(spool.committed(tmp_path / "spool"))) == len(keys) == 720
    assert offline.value("modelfleet_capture_oldest_seconds") == pytest.approx(
        (datetime.now(UTC) - START).total_seconds(), abs=60
    )
    assert offline.stop() == 0
    requests = tmp_path / "requests.log"
    with gateway(buckets, "test-access-key", "test-secret-key", access_log=requests) as endpoint:
        running = agent("upload", env(tmp_path, endpoint))
        wait_until_sent(tmp_path, running)
        for reason, count in ((SAMPLE, 192), ("unsure", 336), ("broad", 168), ("nothing", 24)):
            series = f'modelfleet_capture_uploaded_total{{reason="{reason}"}}'
            assert running.value(series) == count  # no capture was sent twice
        assert running.stop() == 0
    assert_whole(buckets, keys)
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []
    stored = buckets / "captures"
    sent = written(requests)
    images, sidecars = sent[::2], sent[1::2]  # the sidecar marks that the image is there: it comes second
    assert [Path(each).with_suffix("") for each in images] == [Path(each).with_suffix("") for each in sidecars]
    assert {Path(each).suffix for each in images} == {".jpg"}
    documents = [json.loads((stored / each).read_bytes()) for each in sidecars]
    assert len(documents) == len(keys)
    assert [each["rules"][0] for each in documents[:192]] == [SAMPLE] * 192
    captured = [each["capturedAt"] for each in documents]
    assert captured[:192] == sorted(captured[:192])
    assert captured[192:] == sorted(captured[192:])


def test_an_upload_killed_again_and_again_sends_everything(agent: Start, tmp_path: Path, buckets: Path) -> None:
    keys = fill(tmp_path / "spool", START, timedelta(seconds=30), [SAMPLE, "unsure"] * 100, size=3000)
    moments = random.Random(0)
    with gateway(buckets, "test-access-key", "test-secret-key") as endpoint:
        given = env(tmp_path, endpoint)
        kills = 0
        while list(spool.committed(tmp_path / "spool")) and kills < 30:
            running = agent("upload", given)
            assert running.port
            time.sleep(moments.uniform(0.05, 0.25))
            running.process.kill()
            running.wait()
            kills += 1
            for document in (buckets / "captures").rglob("*.json"):
                assert document.with_suffix(".jpg").exists()
        last = agent("upload", given)
        assert last.port
        wait_until_sent(tmp_path, last)
        assert last.stop() == 0
    assert kills >= 2
    assert_whole(buckets, keys)


@pytest.mark.parametrize(
    ("change", "cause", "words"),
    [
        ({"secret": "wrong-secret-key"}, "AccessDenied", "check the credentials"),
        ({"bucket": False}, "NotFound", "the bucket does not exist"),
    ],
)
def test_what_a_person_can_correct_costs_no_capture(
    agent: Start, tmp_path: Path, buckets: Path, change: dict[str, object], cause: str, words: str
) -> None:
    keys = fill(tmp_path / "spool", START, timedelta(seconds=1), [SAMPLE] * 8)
    if change.get("bucket") is False:
        (buckets / "captures").rmdir()
    with gateway(buckets, "test-access-key", "test-secret-key") as endpoint:
        wrong = agent("upload", env(tmp_path, endpoint, str(change.get("secret", "test-secret-key"))))
        failed = f'modelfleet_capture_upload_failed_total{{cause="{cause}"}}'
        wait_until(lambda: wrong.value(failed) >= 6, "it fails", wrong.log)
        assert words in wrong.log.read_text()
        assert "-secret-key" not in wrong.log.read_text()
        assert wrong.stop() == 0
        assert len(list(spool.committed(tmp_path / "spool"))) == 8
        (buckets / "captures").mkdir(exist_ok=True)
        right = agent("upload", env(tmp_path, endpoint))
        wait_until_sent(tmp_path, right)
        assert right.stop() == 0
    assert_whole(buckets, keys)
    assert [path.name for path in (tmp_path / "spool").iterdir()] == [SAMPLE]
