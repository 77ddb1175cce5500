"""What is stored of a frame: masks, size, boxes; and when two frames look the same."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent import masking
from agent.capture import images, sidecar
from agent.capture.policy import NEAR, Choice, Window
from agent.capture.sampling import Draw
from agent.capture.settings import ImageSettings
from agent.capture.sidecar import Origin, SidecarInvalid
from agent.detection import Detection
from agent.polygons import Polygon

ORIGIN = Origin("n1", "line", "default", "fleet", "parts", "v2", "ab" * 32, ("bolt", "nut"), 0.25, 0.7)
AT = datetime(2026, 11, 29, 12, 34, 56, 789_999, tzinfo=UTC)
TRIANGLE = ((0.1, 0.1), (0.6, 0.1), (0.1, 0.6))


def scene(height: int = 240, width: int = 320, seed: int = 0) -> images.Image:
    """Something like a photograph: soft shapes."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def decoded(encoded: images.Encoded) -> images.Image:
    return np.asarray(cv2.imdecode(np.frombuffer(encoded.jpeg, np.uint8), cv2.IMREAD_COLOR))


def test_a_frame_is_stored_as_it_is() -> None:
    frame = scene()
    encoded = images.encode(frame, ImageSettings(quality=95))
    assert (encoded.width, encoded.height, encoded.scale) == (320, 240, (1.0, 1.0))
    assert np.abs(decoded(encoded).astype(int) - frame).mean() < 3


def test_quality_decides_the_size() -> None:
    sizes = [len(images.encode(scene(), ImageSettings(quality=quality)).jpeg) for quality in (30, 90)]
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize(
    ("height", "width", "limit", "size"),
    [(240, 320, 320, (320, 240)), (240, 320, 160, (160, 120)), (320, 100, 160, (50, 160)), (33, 1000, 100, (100, 3))],
)
def test_the_longest_side_is_limited(height: int, width: int, limit: int, size: tuple[int, int]) -> None:
    encoded = images.encode(scene(height, width), ImageSettings(max_side=limit))
    assert (encoded.width, encoded.height) == size
    assert decoded(encoded).shape == (size[1], size[0], 3)
    assert encoded.scale == pytest.approx((size[0] / width, size[1] / height))


def test_what_is_masked_is_black_in_the_stored_file() -> None:
    frame = np.full((240, 320, 3), 255, np.uint8)
    stored = decoded(images.encode(frame, ImageSettings(mask=(TRIANGLE,))))
    inside = np.zeros((240, 320), np.uint8)
    cv2.fillPoly(inside, [np.array([(round(x * 320), round(y * 240)) for x, y in TRIANGLE], np.int32)], 1)
    core = cv2.erode(inside, np.ones((17, 17), np.uint8))  # JPEG's blocks smear the edge
    assert core.sum() > 5000
    assert stored[core == 1].max() <= 3
    assert stored[cv2.dilate(inside, np.ones((17, 17), np.uint8)) == 0].min() >= 252
    assert frame.min() == 255  # the frame itself is others' too


STAR = tuple((0.5 + 0.4 * math.sin(0.8 * math.pi * k), 0.5 - 0.4 * math.cos(0.8 * math.pi * k)) for k in range(5))
SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
INNER = ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))
BOW = ((0.2, 0.2), (0.8, 0.8), (0.8, 0.2), (0.2, 0.8))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("outline", "black", "shown"),
    [
        pytest.param(STAR, [(0.5, 0.5), (0.5, 0.2)], [(0.2, 0.15), (0.8, 0.15)], id="a star in one stroke"),
        pytest.param(SQUARE * 2, [(0.5, 0.5), (0.25, 0.75)], [(0.1, 0.5)], id="points that were pasted twice"),
        pytest.param((*SQUARE, *INNER), [(0.5, 0.5), (0.3, 0.7)], [(0.9, 0.9)], id="once more around the middle"),
        pytest.param(BOW, [(0.3, 0.5), (0.7, 0.5)], [(0.5, 0.3), (0.5, 0.7)], id="two halves that are crossed"),
        pytest.param(
            (*SQUARE, SQUARE[0], INNER[0], *INNER[:0:-1], INNER[0]),
            [(0.3, 0.3), (0.7, 0.7), (0.5, 0.3)],
            [(0.5, 0.5), (0.1, 0.1)],
            id="a hole that is meant",
        ),
        pytest.param(((0, 0), (1, 0), (1, 1), (0, 1)), [(0.5, 0.5), (0.999, 0.999), (0, 0)], [], id="all of the frame"),
    ],
)
def test_all_that_an_outline_goes_around_is_black(
    outline: Polygon, black: list[tuple[float, float]], shown: list[tuple[float, float]], turned: bool
) -> None:
    hidden = masking.masked(np.full((240, 320, 3), 255, np.uint8), (outline[::-1] if turned else outline,))
    assert [hidden[int(y * 240), int(x * 320)].max() for x, y in black] == [0] * len(black)
    assert [hidden[int(y * 240), int(x * 320)].min() for x, y in shown] == [255] * len(shown)


@pytest.mark.parametrize("seed", range(20))
def test_of_a_plain_outline_no_more_is_black_than_its_inside_and_edge(seed: int) -> None:
    """Points around a middle, in order: nothing is crossed, and OpenCV's own filling is right."""
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * math.pi, random.integers(5, 30)))
    reach = random.uniform(0.1, 0.7, len(angles))
    points = np.clip(0.5 + np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None], 0, 1)
    if np.diff(angles, append=angles[0] + 2 * math.pi).max() >= math.pi:
        points = np.array(STAR)[[0, 3, 1, 4, 2]]  # the same star's points, in order
    frame = np.full((97, 131, 3), 255, np.uint8)
    hidden = masking.masked(frame, (tuple(map(tuple, points.tolist())),))
    corners = [np.rint(points * (131, 97)).astype(np.int32)]
    own = cv2.polylines(cv2.fillPoly(frame.copy(), corners, (0, 0, 0)), corners, True, (0, 0, 0), thickness=2)
    assert np.array_equal(hidden, own)


@pytest.mark.parametrize("limit", [320, 100])
def test_nothing_of_what_is_masked_reaches_the_file(limit: int) -> None:
    """Two frames that differ under the mask only, up to its edge, are stored as the same bytes."""
    settings = ImageSettings(max_side=limit, mask=(TRIANGLE, ((0.5, 0.5), (1, 0.5), (1, 1), (0.5, 1))))
    frame = scene()
    under = masking.masked(np.full_like(frame, 255), settings.mask)[:, :, 0] == 0
    other = frame.copy()
    other[under] = scene(seed=1)[under]
    assert not np.array_equal(frame, other)
    assert images.encode(frame, settings).jpeg == images.encode(other, settings).jpeg


def test_overlapping_masks_are_black_where_they_overlap() -> None:
    square = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
    assert masking.masked(np.full((100, 100, 3), 255, np.uint8), (square, square))[:50, :50].max() == 0


def test_looks() -> None:
    frame = scene(1080, 1920)
    noisy = np.clip(frame.astype(int) + np.random.default_rng(1).integers(-6, 7, frame.shape), 0, 255).astype(np.uint8)

    def distance(other: images.Image) -> int:
        return (images.looks(frame) ^ images.looks(other)).bit_count()

    assert distance(frame) == 0
    assert distance(noisy) <= NEAR
    assert distance(np.asarray(cv2.resize(frame, (640, 360)))) <= NEAR
    assert distance(scene(1080, 1920, seed=2)) > 3 * NEAR
    assert images.looks(np.zeros((5, 3, 3), np.uint8)) == 0  # smaller than the grid


def test_the_sidecar() -> None:
    encoded = images.encode(scene(), ImageSettings(max_side=160))
    choice = Choice(("sample", "unsure"), Draw(0.0123, "found"), Window("unsure-1", "trigger"))
    found = [Detection("bolt", 0.9100000262260437, (10.0, 20.0, 30.5, 40.0)), Detection("nut", 0.3, (0, 0, 320, 240))]
    capture = sidecar.build(ORIGIN, AT, encoded, found, choice)
    document = json.loads(capture.sidecar)
    image = document.pop("image")
    assert document == {
        "format": "modelfleet.dev/capture/v1",
        "node": "n1",
        "rollout": "line",
        "namespace": "default",
        "group": "fleet",
        "model": "parts",
        "version": "v2",
        "modelSha256": "ab" * 32,
        "classes": ["bolt", "nut"],
        "capturedAt": "2026-11-29T12:34:56.789Z",
        "width": 160,
        "height": 120,
        "rules": ["sample", "unsure"],
        "sequence": {"id": "unsure-1", "role": "trigger"},
        "sample": {"probability": 0.0123, "stratum": "found"},
        "thresholds": {"confidence": 0.25, "iou": 0.7},
        "detections": [
            {"class": "bolt", "confidence": 0.91, "box": [5.0, 10.0, 15.25, 20.0]},
            {"class": "nut", "confidence": 0.3, "box": [0.0, 0.0, 160.0, 120.0]},
        ],
    }
    assert capture.stem == f"20261129T123456.789Z-{image['sha256'][:8]}"
    address = sidecar.address(capture.sidecar)
    assert address.key == f"line/n1/2026/11/29/123456.789Z-{image['sha256'][:8]}"
    assert (address.sha256, address.size) == (image["sha256"], len(capture.image)) == (image["sha256"], image["bytes"])


def test_what_did_not_happen_is_not_in_the_sidecar() -> None:
    capture = sidecar.build(ORIGIN, AT, images.encode(scene(), ImageSettings()), [], Choice(("broad",)))
    assert {"sample", "sequence"}.isdisjoint(json.loads(capture.sidecar))


def test_times_are_in_utc() -> None:
    assert sidecar.timestamp(AT.astimezone(timezone(timedelta(hours=5)))) == "2026-11-29T12:34:56.789Z"


GOOD = {
    "format": sidecar.FORMAT,
    "node": "n1",
    "rollout": "line",
    "capturedAt": "2026-11-29T23:34:56.789-02:00",
    "image": {"sha256": "ab" * 32, "bytes": 10},
}


def test_another_applications_sidecar_need_not_be_ours() -> None:
    assert sidecar.address(json.dumps(GOOD | {"more": 1}).encode()).key == "line/n1/2026/11/30/013456.789Z-abababab"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "modelfleet.dev/capture/v2"}, "format is 'modelfleet.dev/capture/v2'; this agent knows"),
        ({"format": None}, "format is None"),
        ({"node": "../../etc"}, "node is"),
        ({"node": "a..b"}, "node is"),
        ({"rollout": ""}, "rollout is"),
        ({"rollout": 3}, "rollout is"),
        ({"capturedAt": "yesterday"}, "capturedAt is 'yesterday'"),
        ({"capturedAt": "2026-11-29T12:00:00"}, "capturedAt is"),
        ({"capturedAt": 5}, "capturedAt is"),
        ({"image": "x"}, "image is not an object"),
        ({"image": {"sha256": "AB", "bytes": 1}}, "image.sha256"),
        ({"image": {"sha256": "ab" * 32, "bytes": 0}}, "image.bytes"),
    ],
)
def test_a_sidecar_that_can_not_be_used_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(SidecarInvalid) as caught:
        sidecar.address(json.dumps(GOOD | change).encode())
    assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(SidecarInvalid):
        sidecar.address(data)


def test_turns_are_counted_once_for_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a hundred times as long as all else; another size or mask has its own."""
    counted: list[tuple[int, int]] = []
    count = masking._turns

    def counting(corners: NDArray[np.int32], height: int, width: int) -> tuple[int, NDArray[np.int16]]:
        counted.append((height, width))
        return count(corners, height, width)

    monkeypatch.setattr(masking, "_turns", counting)
    masking._shown.cache_clear()
    middle, corner = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)), ((0, 0), (0.4, 0), (0.4, 0.4), (0, 0.4))
    for mask, (height, width) in ((middle, (80, 100)), (middle, (60, 80)), (corner, (80, 100)), (middle, (80, 100))):
        for value in (90, 200):
            frame = np.full((height, width, 3), value, np.uint8)
            hidden = masking.masked(frame, (mask,))
            assert (frame == value).all()
            assert set(np.unique(hidden)) == {0, value}
            assert (hidden[height // 2, width // 2] == 0).all() == (mask == middle)
            assert (hidden[2, 2] == 0).all() == (mask == corner)
    assert counted == [(80, 100), (60, 80), (80, 100)]
