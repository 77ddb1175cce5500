"""Capturing as it runs: the real `agent serve` with a settings file beside it, full and broken disks, wrong clocks."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agent_models import CLASSES, SIDE, anchors, yolo11_like
from agent_processes import PATIENCE, Agent, Stored, wait_until
from prometheus_client import CollectorRegistry

from agent.capture import images, recorder, spool
from agent.capture.handover import QUEUE, Handover, Job
from agent.capture.metrics import CaptureMetrics
from agent.capture.policy import Choice
from agent.capture.recorder import Recorder
from agent.capture.sampling import Draw
from agent.capture.sidecar import Origin
from agent.detection import Detection
from agent.metrics import DetectionMetrics, Identity
from harness.timing import within

Make = Callable[..., Stored]
Start = Callable[..., Agent]

# Seen on a white frame: two bolts and a washer. On a black one: nothing.
SEES = yolo11_like(
    anchors((20, 20, 10, 10, (0.93, 0, 0)), (50, 50, 10, 10, (0.41, 0, 0)), (20, 50, 10, 10, (0, 0, 0.99)))
)
IDENTITY = Identity("line", "canary", "edge-1", "parts-detector", "v1")
NOTHING_IS_NEAR = {"name": "nothing", "empty": True, "cooldown": "0s", "perHour": 3600}


def write(path: Path, **settings: Any) -> None:
    """As the kubelet does: the new file takes the old one's place."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"destination": "s3://captures/line/", "keepFree": "0%"} | settings))
    temporary.replace(path)


def sidecars(root: Path) -> list[dict[str, Any]]:
    """Of all captures that are whole, by time."""
    found = []
    if not root.exists():
        return []
    for reason, stem in sorted(spool.committed(root), key=lambda name: name[1]):
        document = json.loads((root / reason / f"{stem}.json").read_bytes())
        found.append(document | {"reason": reason, "path": root / reason / f"{stem}.jpg"})
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "capture.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def env(stored: Make, tmp_path: Path, root: Path, settings: Path) -> dict[str, str]:
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("0.png", "1.png"):  # twice as wide as high
        cv2.imwrite(str(folder / name), np.full((SIDE, 2 * SIDE, 3), 255, np.uint8))
    cv2.imwrite(str(folder / "2.png"), np.zeros((SIDE, 2 * SIDE, 3), np.uint8))
    return (
        stored(SEES).put_in_cache().env
        | {"FRAMES": f"directory://{folder}", "FRAME_RATE": "50"}
        | {"CAPTURE_SPOOL": str(root), "CAPTURE_SETTINGS": str(settings)}
    )


@pytest.fixture
def seeing(env: dict[str, str]) -> dict[str, str]:
    """The letterbox of a wide frame has a grey corner: these frames are square, so that the model sees them."""
    folder = Path(env["FRAMES"].removeprefix("directory://"))
    for name, colour in (("0.png", 255), ("1.png", 255), ("2.png", 0)):
        cv2.imwrite(str(folder / name), np.full((2 * SIDE, 2 * SIDE, 3), colour, np.uint8))
    return env


def test_rules_keep_frames_with_all_that_was_found(
    agent: Start, seeing: dict[str, str], root: Path, settings: Path
) -> None:
    rules = [{"name": "unsure", "below": "0.5", "classes": ["bolt"], "cooldown": "0s"}, NOTHING_IS_NEAR]
    write(settings, rules=rules, sample={"perHour": 0, "emptyPerHour": 0}, image={"maxSide": SIDE})
    running = agent("serve", seeing)
    running.wait_ready()
    wait_until(lambda: len({each["reason"] for each in sidecars(root)}) == 2, "both rules fired", running.log)
    assert running.stop() == 0
    found = {each["reason"]: each for each in sidecars(root)}
    assert found["nothing"]["detections"] == []
    assert found["nothing"]["rules"] == ["nothing"]
    unsure = found["unsure"]
    assert [(each["class"], each["confidence"]) for each in unsure["detections"]] == [
        ("washer", 0.99),
        ("bolt", 0.93),
        ("bolt", 0.41),
    ]
    assert unsure["detections"][0]["box"] == [15, 45, 25, 55]  # the frame was 128 pixels wide, the image is 64
    assert (unsure["width"], unsure["height"]) == (SIDE, SIDE)
    assert (unsure["node"], unsure["rollout"], unsure["namespace"]) == ("edge-1", "line", "factory")
    assert (unsure["version"], unsure["modelSha256"]) == ("v1", seeing["MODEL_SHA256"])
    assert unsure["thresholds"] == {"confidence": 0.25, "iou": 0.7}
    assert unsure["classes"] == list(CLASSES)
    assert cv2.imread(str(unsure["path"])).shape == (SIDE, SIDE, 3)
    assert not running.termination.exists()


def test_the_counters_come_alive(agent: Start, seeing: dict[str, str], root: Path, settings: Path) -> None:
    write(settings, rules=[NOTHING_IS_NEAR, {"name": "many", "more": 100}], sample={"perHour": 3600})
    running = agent("serve", seeing | {"FRAME_RATE": "20"})
    running.wait_ready()
    wait_until(lambda: len(sidecars(root)) >= 5, "captures", running.log)
    captured = {
        reason: running.value(f'modelfleet_captured_frames_total{{reason="{reason}"}}')
        for reason in ("sample", "nothing", "many")
    }
    assert captured["nothing"] == 1  # the second black frame is the like of the first
    assert captured["many"] == 0
    assert captured["sample"] >= 3
    assert running.value('modelfleet_capture_duplicates_total{reason="nothing"}') > 0
    assert running.value("modelfleet_capture_settings_invalid") == 0
    assert running.value("modelfleet_capture_dropped_total") == 0
    assert running.stop() == 0
    drawn = [each for each in sidecars(root) if each["reason"] == "sample"]
    assert {each["sample"]["stratum"] for each in drawn} <= {"found", "empty"}
    assert all(each["sample"]["probability"] == pytest.approx(3600 / 72000) for each in drawn if each["detections"])


def test_settings_change_without_a_restart(agent: Start, seeing: dict[str, str], root: Path, settings: Path) -> None:
    running = agent("serve", seeing)
    running.wait_ready()
    assert not root.exists()  # nothing is captured before there are settings
    write(settings, rules=[{"name": "first", "empty": True}])
    wait_until(lambda: (root / "first").exists(), "the first rule", running.log)
    write(settings, rules=[{"name": "second", "below": "0.5"}])
    wait_until(lambda: (root / "second").exists(), "the second rule", running.log)
    (settings.parent / "bad").write_text('{"destination": "s3://x/", "rules": [{"name": "third"}]}')
    (settings.parent / "bad").replace(settings)
    wait_until(lambda: running.value("modelfleet_capture_settings_invalid") == 1, "it is refused", running.log)
    assert "rules[0] has none of every, below, empty, more" in running.log.read_text()
    write(settings, rules=[{"name": "fourth", "more": 2}], suspend=True)
    paused = 'modelfleet_capture_paused{cause="Suspended"}'
    wait_until(lambda: running.value(paused) == 1, "it is suspended", running.log)
    assert running.value("modelfleet_capture_settings_invalid") == 0
    write(settings, rules=[{"name": "fourth", "more": 2}])
    wait_until(lambda: (root / "fourth").exists(), "the fourth rule", running.log)
    assert running.value(paused) == 0
    assert running.stop() == 0
    assert not (root / "third").exists()


def test_without_a_spool_nothing_is_captured_and_no_series_is_there(
    agent: Start, env: dict[str, str], settings: Path
) -> None:
    write(settings, rules=[NOTHING_IS_NEAR])
    running = agent("serve", {name: value for name, value in env.items() if name != "CAPTURE_SPOOL"})
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") > 10, "frames", running.log)
    assert "modelfleet_capture_paused" not in running.get("/metrics")[1]
    assert running.stop() == 0


def test_masks_are_black_in_what_the_agent_stored(
    agent: Start, seeing: dict[str, str], root: Path, settings: Path
) -> None:
    mask = [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]
    write(settings, rules=[{"name": "a", "below": "0.5"}], image={"mask": mask})
    running = agent("serve", seeing)
    wait_until(lambda: bool(sidecars(root)), "a capture", running.log)
    assert running.stop() == 0
    image = cv2.imread(str(sidecars(root)[0]["path"]))
    assert image[:, : SIDE - 8].max() <= 3
    assert image[:, SIDE + 8 :].min() >= 252


def test_a_window_is_kept_before_and_after(agent: Start, seeing: dict[str, str], root: Path, settings: Path) -> None:
    write(settings, rules=[{"name": "a", "every": "3s", "before": "2s", "after": "1s"}])
    running = agent("serve", seeing)

    def roles() -> list[list[str]]:
        """Of each window, in the order of time."""
        found: dict[str, list[str]] = {}
        for each in sidecars(root):
            found.setdefault(each["sequence"]["id"], []).append(each["sequence"]["role"])
        return list(found.values())

    wait_until(lambda: len(roles()) >= 2 and roles()[1][-2:] == ["after", "after"], "two windows", running.log)
    assert running.stop() == 0
    first, second, *_ = roles()
    assert first == ["trigger", "after", "after"]  # nothing came before the first frame
    assert second[-3:] == ["trigger", "after", "after"]
    assert set(second[:-3]) == {"before"}
    assert 3 <= len(second[:-3]) <= 4
    assert all(each["rules"] == ["a"] for each in sidecars(root))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk_does_not_hurt_inference(
    agent: Start, seeing: dict[str, str], root: Path, settings: Path, small_disk: Path
) -> None:
    filler = small_disk / "others"
    filler.write_bytes(bytes(1 << 20)[: (1 << 20) - 8192])
    write(settings, rules=[{"name": "a", "every": "1s"}], keepFree="20%")
    running = agent("serve", seeing | {"CAPTURE_SPOOL": str(small_disk / "spool")})
    running.wait_ready()
    paused = 'modelfleet_capture_paused{cause="FreeSpace"}'
    wait_until(lambda: running.value(paused) == 1, "it is paused", running.log)
    assert "keepFree wants" in running.log.read_text()
    frames = running.value("modelfleet_frames_total")
    wait_until(lambda: running.value("modelfleet_frames_total") > frames + 50, "inference goes on", running.log)
    assert running.get("/healthz")[0] == running.get("/readyz")[0] == 200
    assert not sidecars(small_disk / "spool")
    filler.unlink()
    wait_until(lambda: bool(sidecars(small_disk / "spool")), "it goes on by itself", running.log)
    assert running.value(paused) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    broken = 'modelfleet_capture_paused{cause="DiskError"}'
    wait_until(lambda: running.value(broken) == 1, "a read-only disk", running.log)
    frames = running.value("modelfleet_frames_total")
    wait_until(lambda: running.value("modelfleet_frames_total") > frames + 50, "inference goes on", running.log)
    assert running.value("modelfleet_frames_failed_total") == 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    wait_until(lambda: running.value(broken) == 0, "it goes on by itself", running.log)
    assert running.stop() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


class Clock:
    """A wall clock for the recorder."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def record(root: Path, settings: Path, **given: Any) -> tuple[Recorder, CollectorRegistry]:
    registry = CollectorRegistry()
    detection = DetectionMetrics(IDENTITY, CLASSES, "ab" * 32, registry=registry)
    origin = Origin("edge-1", "line", "factory", "canary", "parts-detector", "v1", "ab" * 32, CLASSES, 0.25, 0.7)
    metrics = CaptureMetrics(IDENTITY, detection, registry)
    return Recorder(origin, root, settings, 10.0, metrics, **given), registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, IDENTITY.labels() | labels) or 0.0


def test_a_clock_before_the_build_holds_capture_until_it_is_right(root: Path, settings: Path) -> None:
    write(settings, rules=[NOTHING_IS_NEAR])
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC))
    running, registry = record(root, settings, wall=clock)
    name = "modelfleet_capture_paused"
    wait_until(lambda: value(registry, name, cause="ClockBeforeBuild") == 1, "it is held")
    running.frame(np.zeros((8, 8, 3), np.uint8), [])
    clock.now = datetime.now(UTC)
    wait_until(lambda: value(registry, name, cause="ClockBeforeBuild") == 0, "it goes on")
    running.frame(np.zeros((8, 8, 3), np.uint8), [])
    running.close(5)
    (capture,) = sidecars(root)
    assert capture["capturedAt"].startswith(f"{clock.now:%Y-%m-%d}")


def test_build_time_is_not_in_the_future() -> None:
    assert datetime(2026, 10, 1, tzinfo=UTC) < recorder.built() < datetime.now(UTC)


def test_the_loop_never_waits_for_the_encoder(root: Path, settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(settings, rules=[{"name": "a", "below": "0.5", "cooldown": "0s", "perHour": 3600}])
    release = threading.Event()
    plain = images.encode

    def slow(*given: Any) -> images.Encoded:
        release.wait(PATIENCE)
        return plain(*given)

    monkeypatch.setattr(images, "encode", slow)
    running, registry = record(root, settings)
    wait_until(lambda: running._open, "it is open")
    frames = [np.full((SIDE, SIDE, 3), 20 * number, np.uint8) for number in range(12)]
    with within(1):
        for number, frame in enumerate(frames):
            running.frame(frame, [Detection("bolt", 0.3, (20.0 * number, 0, 20.0 * number + 10, 10))])
    dropped = value(registry, "modelfleet_capture_dropped_total")
    assert 12 - QUEUE - 1 <= dropped <= 12 - QUEUE
    release.set()
    running.close(10)
    assert value(registry, "modelfleet_captured_frames_total", reason="a") == 12 - dropped == len(sidecars(root))


def test_frames_before_one_are_held_as_jpeg_and_not_as_pixels(root: Path, settings: Path) -> None:
    write(settings, rules=[{"name": "a", "below": "0.5", "before": "10s"}])
    now = [0.0]
    running, _ = record(root, settings, monotonic=lambda: now[0])
    wait_until(lambda: running._open, "it is open")
    pixels: list[weakref.ref[object]] = []
    for number in range(8):
        frame = np.full((SIDE, SIDE, 3), 20 * number, np.uint8)
        pixels.append(weakref.ref(frame))
        now[0] += 0.5
        running.frame(frame, [Detection("bolt", 0.9, (0, 0, 9, 9))])
        del frame
        wait_until(lambda: len(running._held) == number + 1, "it is held")  # noqa: B023
    assert sum(ref() is not None for ref in pixels) <= 1  # the last may still be in the writer's hand
    now[0] += 0.5
    running.frame(np.zeros((SIDE, SIDE, 3), np.uint8), [Detection("bolt", 0.3, (0, 0, 9, 9))])
    running.close(10)
    kept = sidecars(root)
    roles = [(each["sequence"]["role"], each["detections"][0]["confidence"]) for each in kept]
    assert sorted(roles) == [("before", 0.9)] * 8 + [("trigger", 0.3)]


def test_an_error_in_the_writer_is_counted_and_capture_goes_on(
    root: Path, settings: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(settings, rules=[{"name": "a", "below": "0.5", "cooldown": "0s"}])
    running, registry = record(root, settings)
    wait_until(lambda: running._open, "it is open")
    running.frame(np.zeros((0, 0, 3), np.uint8), [])
    running.frame(np.zeros((8, 8, 5), np.uint8), [])
    assert value(registry, "modelfleet_capture_dropped_total") == 0
    plain = images.encode

    def refuse(*_: Any) -> images.Encoded:
        raise cv2.error("no such colours")

    monkeypatch.setattr(images, "encode", refuse)
    frame = np.zeros((8, 8, 3), np.uint8)
    running.frame(frame, [Detection("bolt", 0.3, (0, 0, 1, 1))])
    wait_until(lambda: value(registry, "modelfleet_capture_dropped_total") == 1, "it is counted")
    assert "can't be encoded" in caplog.text
    monkeypatch.setattr(images, "encode", plain)
    running.frame(frame, [Detection("bolt", 0.3, (5, 5, 6, 6))])
    running.close(5)
    assert len(sidecars(root)) == 1


def job(name: str, drawn: bool = False) -> Job:
    choice = Choice((name,), Draw(0.1, "found") if drawn else None)
    return Job(np.zeros((1, 1, 3), np.uint8), [], choice, 0.0, datetime.now(UTC))


def test_the_sample_takes_another_ones_place_in_a_full_queue() -> None:
    queue = Handover()
    jobs = [job(str(number)) for number in range(QUEUE)]
    assert [queue.put(each) for each in jobs] == [None] * QUEUE
    rejected = job("late")
    assert queue.put(rejected) is rejected
    samples = [job(f"sample-{number}", drawn=True) for number in range(QUEUE)]
    assert [queue.put(each) for each in samples] == jobs
    assert queue.put(rejected) is rejected
    another = job("sample", drawn=True)
    assert queue.put(another) is another
    assert [queue.take(0) for _ in range(QUEUE + 1)] == [*samples, None]


def test_a_closed_queue_gives_out_what_it_holds_and_waits_for_nothing() -> None:
    queue = Handover()
    waiting = job("a")
    queue.put(waiting)
    queue.close()
    with within(1):
        assert [queue.take(PATIENCE), queue.take(PATIENCE)] == [waiting, None]
