"""`agent upload`: order, the store's answers, what is set aside, waiting, stopping. The real S3 server has its own."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from agent_processes import ROOT, Agent, wait_until
from capture_spools import ENV, capture, fill, write_settings
from prometheus_client import CollectorRegistry

from agent.capture import delivery, refused, shares, spool
from agent.capture.delivery import FIRST_WAIT, LAST_WAIT, PATIENCE, Delivery
from agent.capture.settings import SAMPLE, Settings
from agent.capture.sidecar import FORMAT, LIMIT
from agent.capture.upload import IMAGE_LIMIT, Uploader
from agent.capture.upload_metrics import UploadMetrics
from agent.config import ConfigError, upload_config
from agent.metrics import Identity
from artifactstore import ArtifactError, Folder
from harness.timing import within

IDENTITY = Identity.from_environment(ENV)
START = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
Start = Callable[..., Agent]


def test_the_sample_goes_first_then_disagreements_then_the_oldest() -> None:
    waiting = [("unsure", "3"), ("sample", "9"), ("broad", "1"), ("disagree", "5"), ("sample", "2"), ("broad", "3")]
    assert Delivery(lambda: 1.0).order(waiting) == [
        ("sample", "2"),
        ("sample", "9"),
        ("disagree", "5"),
        ("broad", "1"),
        ("broad", "3"),
        ("unsure", "3"),
    ]


def test_waits_double_with_jitter_up_to_ten_minutes_and_begin_again() -> None:
    run = Delivery(lambda: 1.0)
    assert [run.failed() for _ in range(12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    run.taken(("a", "1"))
    assert run.failed() == FIRST_WAIT
    jitter = random.Random(0)
    waits = [Delivery(jitter.random).failed() for _ in range(200)]
    assert 0.5 <= min(waits) < 0.55
    assert 0.95 < max(waits) <= 1
    run = Delivery(jitter.random)
    assert all(run.failed() <= LAST_WAIT for _ in range(2000))


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(None, False), (400, True), (403, True), (404, True), (408, False), (413, True), (429, False), (500, False)],
)
def test_what_is_a_refusal(status: int | None, refusal: bool) -> None:
    assert delivery.is_refusal(status) is refusal


def test_what_the_store_refuses_twice_while_it_takes_others_is_set_aside() -> None:
    run = Delivery(lambda: 1.0)
    bad, good = ("a", "1"), ("a", "2")
    assert run.refused(bad) is False
    assert run.order([bad, good]) == [good, bad]
    assert run.refused(bad) is False  # nothing was taken in between: perhaps nothing would be
    run.taken(good)
    assert run.refused(bad) is True
    assert run.exhausted([]) == 0


def test_a_store_that_takes_nothing_is_waited_for_and_nothing_is_set_aside() -> None:
    run = Delivery(lambda: 1.0)
    names = [("a", str(number)) for number in range(2 * PATIENCE)]
    waits = []
    for name in names:
        assert run.refused(name) is False
        waits.append(run.pause())
    assert [wait for wait in waits if wait] == [1, 2]
    assert run.exhausted(names) == 4
    for name in names:  # it takes them now, one by one, those refused before too
        run.taken(name)
    assert run.exhausted([]) == 0


class Store:
    """A fake of `artifactstore.Folder`: keeps what it is given, fails as it is told."""

    uri = "s3://captures/line/"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.order: list[str] = []
        self.fails: Callable[[str, bytes], ArtifactError | None] = lambda name, data: None

    def put(self, name: str, data: bytes) -> None:
        if error := self.fails(name, data):
            raise error
        self.objects[name] = data
        self.order.append(name)


def error(reason: str, status: int | None) -> ArtifactError:
    return ArtifactError(reason, f"the store said {status}", reason == "Unreachable", status)  # type: ignore[arg-type]


class Upload:
    """An uploader with a clock of its own, whose waits cost nothing."""

    def __init__(self, root: Path, **settings: object) -> None:
        self.root, self.store, self.now, self.waits = root, Store(), 0.0, []
        self.registry = CollectorRegistry()
        self.settings = Settings(Store.uri, **settings)  # type: ignore[arg-type]
        self.uploader = Uploader(
            root,
            lambda: self.settings,
            UploadMetrics(IDENTITY, self.registry),
            open_folder=lambda _: self.store,  # type: ignore[arg-type, return-value]
            wait=self.wait,
            clock=lambda: self.now,
            draw=lambda: 1.0,
        )

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)

    def rounds(self, number: int) -> list[float]:
        pauses = []
        for _ in range(number):
            pauses.append(self.uploader.round())
            self.now += pauses[-1]
        return pauses

    def left(self) -> list[tuple[str, str]]:
        return sorted(spool.committed(self.root))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"modelfleet_capture_{name}", IDENTITY.labels() | labels)


def test_image_then_sidecar_then_nothing_is_left(tmp_path: Path) -> None:
    (key,) = fill(tmp_path, START, timedelta(), ["unsure"])
    upload = Upload(tmp_path)
    upload.rounds(1)
    assert upload.store.order == [f"{key}.jpg", f"{key}.json"]
    assert json.loads(upload.store.objects[f"{key}.json"])["rules"] == ["unsure"]
    assert list((tmp_path / "unsure").iterdir()) == []
    assert upload.value("uploaded_total", reason="unsure") == 1


def test_a_store_that_is_away_keeps_captures_on_the_node(tmp_path: Path) -> None:
    fill(tmp_path, START, timedelta(seconds=1), [SAMPLE] * 3)
    upload = Upload(tmp_path)
    upload.store.fails = lambda name, data: error("Unreachable", None)
    assert upload.rounds(12) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    assert len(upload.left()) == 3
    assert upload.value("upload_failed_total", cause="Unreachable") == 12
    upload.store.fails = lambda name, data: None
    upload.rounds(1)
    assert upload.left() == []
    assert len(upload.store.objects) == 6


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_store_that_asks_for_time_gets_it(tmp_path: Path, status: int) -> None:
    fill(tmp_path, START, timedelta(seconds=1), [SAMPLE] * 2)
    upload = Upload(tmp_path)
    upload.store.fails = lambda name, data: error("Unreachable", status)
    assert upload.rounds(3) == [1, 2, 4]
    upload.store.fails = lambda name, data: None
    upload.rounds(1)
    assert len(upload.store.objects) == 4
    assert not (tmp_path / spool.REFUSED).exists()


@pytest.mark.parametrize(
    ("reason", "status", "cause"),
    [("Unreachable", 400, "Refused"), ("AccessDenied", 403, "AccessDenied"), ("Unreachable", 413, "Refused")],
)
def test_one_capture_that_is_refused_is_set_aside_and_the_others_are_sent(
    tmp_path: Path, reason: str, status: int, cause: str
) -> None:
    bad, *others = fill(tmp_path, START, timedelta(seconds=1), [SAMPLE] * 4)
    upload = Upload(tmp_path)
    upload.store.fails = lambda name, data: error(reason, status) if name == f"{bad}.json" else None
    assert upload.rounds(2) == [1.0, 1.0]
    assert upload.left() == []
    assert sorted({name.rpartition(".")[0] for name in upload.store.objects}) == sorted([bad, *others])
    assert f"{bad}.json" not in upload.store.objects
    aside = sorted(path.suffix for path in (tmp_path / spool.REFUSED).iterdir())
    assert aside == [".jpg", ".json", ".why"]
    (why,) = (tmp_path / spool.REFUSED).glob("*.why")
    assert why.read_text() == f"sample\n{cause}: the store said {status}\n"
    assert upload.value("refused_total", cause=cause) == 1
    assert upload.value("spool_bytes", reason=spool.REFUSED) is not None


def test_credentials_that_expired_cost_no_capture(tmp_path: Path) -> None:
    fill(tmp_path, START, timedelta(seconds=1), [SAMPLE] * 20)
    upload = Upload(tmp_path)
    upload.store.fails = lambda name, data: error("AccessDenied", 403)
    assert all(upload.rounds(20))
    assert len(upload.left()) == 20
    upload.store.fails = lambda name, data: None
    upload.rounds(2)
    assert len(upload.store.objects) == 40
    assert upload.left() == []
    assert not (tmp_path / spool.REFUSED).exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda image, document: image.write_bytes(image.read_bytes()[:-1]),
            "is not the one that its sidecar describes",
        ),
        (lambda image, document: image.write_bytes(bytes(2000)), "is not the one that its sidecar describes"),
        (lambda image, document: image.unlink(), "there is a sidecar and no image"),
        (lambda image, document: document.write_bytes(b"{}"), "the sidecar's format is None"),
        (lambda image, document: document.write_bytes(b" " * (5 << 20)), "is larger than"),
    ],
)
def test_what_is_broken_on_the_node_is_set_aside_and_never_sent(
    tmp_path: Path, damage: Callable[[Path, Path], object], words: str
) -> None:
    fill(tmp_path, START, timedelta(), ["a"])
    (image,), (document,) = (tmp_path / "a").glob("*.jpg"), (tmp_path / "a").glob("*.json")
    damage(image, document)
    upload = Upload(tmp_path)
    upload.rounds(2)
    assert upload.store.objects == {}
    assert upload.left() == []
    (why,) = (tmp_path / spool.REFUSED).glob("*.why")
    assert words in why.read_text()
    assert upload.value("refused_total", cause="Invalid") == 1


def put_by_another_application(root: Path, second: int, size: int, pad: str = "0") -> str:
    """A capture with an image of `size` bytes that takes no room on the disk. Returns its stem."""
    folder = root / "other"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"20261129T1200{second:02}.000Z-1a2b3c4d"
    with (folder / f"{stem}.jpg").open("wb") as file:
        file.truncate(size)
    sha = hashlib.sha256()
    for _ in range(size >> 20):
        sha.update(bytes(1 << 20))
    sha.update(bytes(size % (1 << 20)))
    image = f'{{"sha256": "{sha.hexdigest()}", "bytes": {size}}}'
    (folder / f"{stem}.json").write_text(
        f'{{"format": "{FORMAT}", "node": "edge-1", "rollout": "line", "capturedAt": "2026-11-29T12:00:{second:02}Z", '
        f'"image": {image}, "pad": [{pad}]}}'
    )
    return stem


def test_no_file_of_another_application_is_too_much_for_the_containers_memory(agent: Start, tmp_path: Path) -> None:
    root = tmp_path / "spool"
    large = ",".join(["[[]]"] * ((LIMIT - 1000) // 5))  # parsed, nothing takes more memory for its length
    sent = [put_by_another_application(root, 0, IMAGE_LIMIT, large), put_by_another_application(root, 9, 1000)]
    aside = [
        put_by_another_application(root, 1, IMAGE_LIMIT + 1),
        put_by_another_application(root, 2, 1 << 30),
        put_by_another_application(root, 3, 1000, large + large),
    ]
    running = agent("upload", env(tmp_path, f"file://{tmp_path}/store/", disk="100Gi"))
    wait_until(lambda: not list(spool.committed(root)), "all are looked at", running.log)
    wait_until(lambda: running.value('modelfleet_capture_refused_total{cause="Invalid"}') == 3, "counted", running.log)
    status = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))
    assert peak < 128 << 20
    assert running.stop() == 0
    assert len(list((tmp_path / "store").rglob("*.json"))) == len(sent)
    assert {path.stem for path in (root / spool.REFUSED).glob("*.why")} == set(aside)


def test_what_was_set_aside_has_a_share_of_the_disk(tmp_path: Path) -> None:
    disk = 20 * 10_000
    assert shares.refused(disk) == 10_000
    fill(tmp_path, START, timedelta(seconds=1), ["a"] * 6, size=3000)
    removed = [refused.set_aside(tmp_path, name, "why", disk) for name in sorted(spool.committed(tmp_path))]
    assert sum(removed) == 4
    stems = sorted({path.stem for path in (tmp_path / spool.REFUSED).iterdir()})
    assert [stem[9:15] for stem in stems] == ["120004", "120005"]


def test_of_what_was_set_aside_goes_first_what_a_clock_has_dated_that_was_ahead(tmp_path: Path) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3652)
    fill(tmp_path, ahead, timedelta(seconds=1), ["a"] * 2, size=3000)
    fill(tmp_path, START, timedelta(seconds=1), ["a"] * 4, size=3000)
    names = sorted(spool.committed(tmp_path), reverse=True)
    assert sum(refused.set_aside(tmp_path, name, "why", 20 * 10_000) for name in names) == 4
    stems = {path.stem for path in (tmp_path / spool.REFUSED).iterdir()}
    assert not [stem for stem in stems if stem.startswith(f"{ahead.year}")]


def test_a_capture_that_the_agent_removed_meanwhile_is_no_error(tmp_path: Path) -> None:
    fill(tmp_path, START, timedelta(seconds=1), ["a"] * 3)
    upload = Upload(tmp_path)
    plain = upload.store.put

    def put(name: str, data: bytes) -> None:
        plain(name, data)
        for reason, stem in list(spool.committed(tmp_path)):
            spool.remove(tmp_path / reason, stem)

    upload.store.put = put  # type: ignore[method-assign]
    upload.rounds(1)
    assert upload.value("uploaded_total", reason="a") == 1
    assert not (tmp_path / spool.REFUSED).exists()


def test_two_pods_of_a_node_send_each_capture_and_set_none_aside(tmp_path: Path) -> None:
    """As while the pod of a new version starts beside the old one: both see the same folder, and know nothing of it."""
    root, store = tmp_path / "spool", tmp_path / "store"
    keys = fill(root, START, timedelta(seconds=1), ["a", "b"] * 40)
    store.mkdir()
    uploads = [Upload(root), Upload(root)]
    together = threading.Barrier(len(uploads))

    def send(upload: Upload) -> None:
        upload.uploader._open_folder = lambda _: Folder(f"file://{store}")
        together.wait()
        upload.uploader.round()

    threads = [threading.Thread(target=send, args=[upload]) for upload in uploads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
    assert sent == {f"{key}.{suffix}" for key in keys for suffix in ("jpg", "json")}
    assert uploads[0].left() == []
    assert not (root / spool.REFUSED).exists()
    shares = [sum(upload.value("uploaded_total", reason=reason) or 0 for reason in "ab") for upload in uploads]
    assert all(shares), "both were at it"


def test_the_rate_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, START, timedelta(seconds=1), ["a"] * 10, size=10_000)
    upload = Upload(tmp_path, rate=20_000.0)
    upload.rounds(2)
    sent = sum(map(len, upload.store.objects.values()))
    assert len(upload.store.objects) == 20
    assert sent / 20_000 == pytest.approx(sum(upload.waits))


def test_a_sample_that_comes_meanwhile_goes_before_what_waits(tmp_path: Path) -> None:
    old = fill(tmp_path, START, timedelta(seconds=1), ["a"] * 50, size=10_000)
    upload = Upload(tmp_path, rate=10_000.0)
    upload.rounds(1)
    before = len(upload.store.order)
    assert 10 <= before < 40
    (sample,) = fill(tmp_path, START, timedelta(), [SAMPLE])
    upload.rounds(1)
    assert upload.store.order[before] == f"{sample}.jpg"
    upload.rounds(10)
    assert {name.rpartition(".")[0] for name in upload.store.objects} == {*old, sample}


def test_a_suspended_capture_is_still_sent_and_without_settings_nothing_is(tmp_path: Path) -> None:
    fill(tmp_path, START, timedelta(), ["a"])
    upload = Upload(tmp_path, suspend=True)
    held, upload.settings = upload.settings, None  # type: ignore[assignment]
    upload.rounds(3)
    assert upload.store.objects == {}
    upload.settings = held
    upload.rounds(1)
    assert len(upload.store.objects) == 2


def test_the_gauges(tmp_path: Path) -> None:
    upload = Upload(tmp_path / "spool")
    assert upload.rounds(1) == [1.0]  # there is no folder yet
    assert upload.value("oldest_seconds") == 0
    assert upload.value("spool_bytes", reason=SAMPLE) == 0
    fill(tmp_path / "spool", datetime.now(UTC) - timedelta(hours=1), timedelta(minutes=1), ["a", SAMPLE], size=5000)
    upload.store.fails = lambda name, data: error("Unreachable", None)
    upload.rounds(1)
    assert upload.value("oldest_seconds") == pytest.approx(3600, abs=10)
    assert upload.value("spool_bytes", reason="a") == 8192 + 4096
    assert upload.value("uploaded_total", reason="a") == 0
    upload.store.fails = lambda name, data: None
    upload.rounds(2)
    assert upload.value("oldest_seconds") == 0
    assert upload.value("spool_bytes", reason="a") == 0


def test_the_environment() -> None:
    env = ENV | {"CAPTURE_SPOOL": "/spool"}
    config = upload_config(env)
    assert (str(config.capture.spool), config.port) == ("/spool", 9091)
    assert str(config.capture.settings) == "/etc/modelfleet/capture/capture.json"
    for change, words in [
        ({"CAPTURE_SPOOL": ""}, "CAPTURE_SPOOL is not set"),
        ({"CAPTURE_SPOOL": "spool"}, "CAPTURE_SPOOL is 'spool'; it must be an absolute path"),
        ({"UPLOAD_PORT": "x"}, "UPLOAD_PORT"),
        ({"NODE_NAME": ""}, "NODE_NAME is not set"),
    ]:
        with pytest.raises(ConfigError, match=words):
            upload_config(env | change)


def env(tmp_path: Path, destination: str, **settings: object) -> dict[str, str]:
    write_settings(tmp_path / "capture.json", destination, **settings)
    return ENV | {
        "CAPTURE_SPOOL": str(tmp_path / "spool"),
        "CAPTURE_SETTINGS": str(tmp_path / "capture.json"),
        "UPLOAD_PORT": "0",
    }


def test_the_real_process_sends_and_stops(agent: Start, tmp_path: Path) -> None:
    keys = fill(tmp_path / "spool", START, timedelta(seconds=1), [SAMPLE, "a"] * 5)
    running = agent("upload", env(tmp_path, f"file://{tmp_path}/store/"))
    wait_until(lambda: not list(spool.committed(tmp_path / "spool")), "all is sent", running.log)
    for key in keys:
        assert (tmp_path / "store" / f"{key}.json").exists()
        assert (tmp_path / "store" / f"{key}.jpg").exists()
    assert running.value('modelfleet_capture_uploaded_total{reason="sample"}') == 5
    assert running.get("/healthz")[0] == 200
    (more,) = fill(tmp_path / "spool", START + timedelta(days=1), timedelta(), ["a"])
    wait_until(lambda: (tmp_path / "store" / f"{more}.json").exists(), "what comes later", running.log)
    with within(2):
        assert running.stop() == 0


def test_the_upload_needs_no_inference_library(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('cv2', 'onnxruntime', 'numpy'): sys.modules[name] = None\n"
        "import agent.capture.upload\n"
    )
    paths = os.pathsep.join([str(ROOT / "agent-image"), str(ROOT / "artifacts")])
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class SilentStore:
    """A store that takes requests and never answers."""

    url: str
    asked: threading.Event


@pytest.fixture
def silent_store() -> Iterator[SilentStore]:
    asked, release = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.set()
            release.wait()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SilentStore(f"http://127.0.0.1:{server.server_port}", asked)
    release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_stops_soon_while_the_store_does_not_answer(agent: Start, tmp_path: Path, silent_store: SilentStore) -> None:
    fill(tmp_path / "spool", START, timedelta(seconds=1), [SAMPLE])
    credentials = {
        "AWS_ENDPOINT_URL": silent_store.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    running = agent("upload", env(tmp_path, "s3://captures/line/") | credentials)
    wait_until(silent_store.asked.is_set, "it sends", running.log)
    with within(2.5):
        assert running.stop() == 0
    assert "stays in the spool" in running.log.read_text()
    assert len(list(spool.committed(tmp_path / "spool"))) == 1


def test_a_destination_that_can_not_be_is_told_and_costs_no_capture(agent: Start, tmp_path: Path) -> None:
    fill(tmp_path / "spool", START, timedelta(seconds=1), [SAMPLE])
    running = agent("upload", env(tmp_path, "ftp://captures/"))
    failed = 'modelfleet_capture_upload_failed_total{cause="Unsupported"}'
    wait_until(lambda: running.value(failed) >= 1, "it is counted", running.log)
    assert "kind not known here (ftp://)" in running.log.read_text()
    write_settings(tmp_path / "capture.json", f"file://{tmp_path}/store/")
    wait_until(lambda: not list(spool.committed(tmp_path / "spool")), "it is corrected", running.log)
    assert len(list((tmp_path / "store").rglob("*.json"))) == 1
    assert running.stop() == 0


def test_captures_made_by_the_helper_are_what_the_agent_writes() -> None:
    made = capture(START, SAMPLE)
    assert made.stem.startswith("20261129T120000.000Z-")
