"""The live page's parts: the last frame, the mask, the drawing, and the pictures that all viewers share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agent_models import CLASSES
from live_parts import BOLT, NOTHING, decoded, near, settings

from agent import masking
from agent.live import drawing
from agent.live.latest import Latest
from agent.live.mask import Mask, MaskUnknown
from agent.live.pictures import NoPicture, Pictures
from agent.serve.detector import Detections
from agent.serve.frames import Frame


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def latest(clock: Clock) -> Latest:
    return Latest(10, lambda: "loading the model", clock)


def frame(clock: Clock, value: int = 200, size: tuple[int, int] = (480, 640)) -> Frame:
    return Frame(np.full((*size, 3), value, np.uint8), "camera 0", clock.now)


# The last frame


def test_before_the_first_frame_it_says_what_the_agent_waits_for(latest: Latest) -> None:
    look = latest.look()
    assert (look.state, look.shown, look.age, look.fps, look.problem) == ("waiting", None, None, 0, "loading the model")
    latest.problem("camera 0 can't be opened")
    assert latest.look().problem == "camera 0 can't be opened"


def test_the_last_frame_is_kept_by_reference_with_its_age(latest: Latest, clock: Clock) -> None:
    first, second = frame(clock), frame(clock)
    latest.show(first, NOTHING)
    latest.show(second, BOLT)
    clock.now += 0.4
    look = latest.look()
    assert look.shown is not None
    assert look.shown.frame is second
    assert look.shown.found is BOLT
    assert look.shown.number == 2
    assert look.age == pytest.approx(0.4)


@pytest.mark.parametrize(("rate", "limit"), [(10, 3.0), (1, 3.0), (0.1, 30.0)])
def test_stale_depends_on_how_often_frames_are_due(clock: Clock, rate: float, limit: float) -> None:
    latest = Latest(rate, lambda: None, clock)
    latest.show(frame(clock), NOTHING)
    clock.now += limit
    assert latest.look().state == "live"
    clock.now += 0.1
    latest.problem("camera 0 gives no frames")
    look = latest.look()
    assert (look.state, look.fps, look.problem) == ("stale", 0, "camera 0 gives no frames")
    latest.show(frame(clock), NOTHING)
    assert latest.look().state == "live"
    assert latest.look().problem is None


@pytest.mark.parametrize("rate", [0.05, 0.5, 4.0, 10.0, 100.0])
def test_frames_per_second(clock: Clock, rate: float) -> None:
    latest = Latest(rate, lambda: None, clock)
    latest.show(frame(clock), NOTHING)
    assert latest.look().fps == 0  # of one frame nothing is known
    for _ in range(200):
        clock.now += 1 / rate
        latest.show(frame(clock), NOTHING)
    assert latest.look().fps == pytest.approx(rate)


# The mask


def test_what_the_mask_hides_is_black_and_the_rest_is_not(tmp_path: Path) -> None:
    image = np.full((100, 200, 3), 255, np.uint8)
    hidden = masking.masked(image, Mask(True, settings(tmp_path)).polygons())
    assert hidden[:, :101].max() == 0
    assert hidden[:, 103:].min() == 255
    assert image.min() == 255  # the model's frame is as it was


def test_no_pixel_of_a_slanted_polygon_shows() -> None:
    triangle = ((0.123, 0.077), (0.911, 0.333), (0.4, 0.95))
    hidden = masking.masked(np.full((97, 131, 3), 255, np.uint8), (triangle,))
    inside = np.zeros((970, 1310), np.uint8)  # in ten times the resolution
    cv2.fillPoly(inside, [(np.array(triangle) * (1310, 970)).astype(np.int32)], 255)
    touched = inside.reshape(97, 10, 131, 10).max(axis=(1, 3)) > 0
    assert hidden[touched].max() == 0
    assert (hidden.max(axis=2) == 0).sum() < 1.2 * touched.sum()


def test_a_mask_that_is_not_demanded_is_not_read(tmp_path: Path) -> None:
    assert Mask(False, tmp_path / "none").polygons() == ()


@pytest.mark.parametrize(
    "content", [{}, {"image": {}}, {"image": {"mask": []}}, {"rules": [], "image": {"quality": 9}}]
)
def test_settings_without_a_mask_hide_nothing(tmp_path: Path, content: Any) -> None:
    assert Mask(True, settings(tmp_path, content)).polygons() == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid"),
        ("[" * 100_000, "not valid"),
        ("[]", "not a JSON object"),
        ({"image": []}, "image is not an object"),
        ({"image": None}, "image is not an object"),
        ({"image": {"mask": {}}}, "image.mask must be a list of polygons"),
        ({"image": {"mask": None}}, "image.mask must be a list of polygons"),
        ({"image": {"mask": [[[0, 0], [1, 1]]]}}, "at least three points [x, y] from 0 to 1: [0] is none"),
        ({"image": {"mask": [[[0, 0], [1, 1], [0, 1.5]]]}}, "[0][2] is not such a point"),
        ({"image": {"mask": [[[0, 0], [1, 1], [-0.1, 0]]]}}, "[0][2] is not such a point"),
        ({"image": {"mask": [[[0, 0], [1, 1], [0]]]}}, "[0][2] is not such a point"),
        ({"image": {"mask": [[[0, 0], [1, 1, 1], [0, 1]]]}}, "[0][1] is not such a point"),
        ({"image": {"mask": [[[0, 0], [1, 1], "00"]]}}, "[0][2] is not such a point"),
        ({"image": {"mask": [[[0, 0], [1, 1], ["left", 1]]]}}, "[0][2] is not such a point"),
        ({"image": {"mask": [[[0, 0], [1, True], [0, 1]]]}}, "[0][1] is not such a point"),
        ('{"image": {"mask": [[[0, 0], [1, 1], [0, NaN]]]}}', "[0][2] is not such a point"),
    ],
)
def test_a_mask_that_is_not_understood_is_told(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(MaskUnknown) as caught:
        Mask(True, settings(tmp_path, content)).polygons()
    assert words in str(caught.value)
    assert "LIVE_MASK=false" in str(caught.value)


def test_a_file_that_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    path = settings(tmp_path)
    one = Mask(True, path)
    assert len(one.polygons()) == 1
    other = tmp_path / "new"
    other.write_text("{}")
    other.replace(path)
    assert one.polygons() == ()
    path.unlink()
    with pytest.raises(MaskUnknown, match="can't be read: No such file"):
        one.polygons()
    settings(tmp_path)
    assert len(one.polygons()) == 1


def test_no_file_named_at_all() -> None:
    with pytest.raises(MaskUnknown, match="CAPTURE_SETTINGS names no file"):
        Mask(True, None).polygons()


# Drawing


def test_a_box_is_drawn_where_it_is_in_the_colour_of_its_class() -> None:
    image = np.full((480, 640, 3), 90, np.uint8)
    drawn = drawing.annotated(image, BOLT, CLASSES)
    assert drawn.shape == image.shape
    assert near(drawn[120, 100], drawing.COLOURS[0])  # the left edge
    assert near(drawn[180, 160], drawing.COLOURS[0])  # the lower edge
    assert near(drawn[52, 99], drawing.COLOURS[0])  # the name, on the upper edge
    assert (drawn[110:130, 150:170] == 90).all()  # nothing inside
    assert (image == 90).all()


@pytest.mark.parametrize(
    ("size", "expected"), [((120, 160), (480, 640)), ((2160, 3840), (1080, 1920)), ((1080, 1920), (1080, 1920))]
)
def test_pictures_have_a_size_for_eyes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    scale = expected[0] / size[0]
    box = np.array([[size[1] * 0.25, size[0] * 0.25, size[1] * 0.5, size[0] * 0.5]], np.float32)
    found = Detections(box, np.array([0.5], np.float32), np.array([1], np.intp))
    drawn = drawing.annotated(np.full((*size, 3), 90, np.uint8), found, CLASSES)
    assert drawn.shape[:2] == expected
    left, middle = round(size[1] * 0.25 * scale), round(size[0] * 0.4 * scale)
    assert near(drawn[middle, left], drawing.COLOURS[1])


@pytest.mark.parametrize(
    "box", [(0, 0, 640, 480), (600, 470, 640, 480), (0, 0, 1, 1), (639, 0, 640, 3), (50, 50, 50, 50)]
)
@pytest.mark.parametrize("name", ["bolt", "Schraube mit Überlänge " * 9, "螺栓", "x"])
def test_no_box_and_no_name_breaks_the_drawing(box: tuple[float, ...], name: str) -> None:
    found = Detections(np.array([box], np.float32), np.array([1.0], np.float32), np.array([0], np.intp))
    drawn = drawing.annotated(np.full((480, 640, 3), 90, np.uint8), found, (name,))
    assert drawn.shape == (480, 640, 3)
    assert (drawn != 90).any()


def test_a_notice_takes_the_colours_away() -> None:
    picture = np.full((480, 640, 3), (0, 200, 0), np.uint8)
    told = drawing.with_notice(picture, "No new frame since 12:00:00 UTC")
    assert np.ptp(told[100, 100]) == 0
    assert told[475, 5, 2] > 150 > told[475, 5, 1]  # a red bar
    assert (told[450:, :] == 255).any()  # white words
    drawing.with_notice(np.zeros((8, 8, 3), np.uint8), "No new frame since 12:00:00 UTC")


# Pictures: made when asked for, once for all


@pytest.fixture
def pictures(latest: Latest, clock: Clock) -> Pictures:
    return Pictures(latest, Mask(False, None), CLASSES, 2, clock, clock.sleep)


def test_nobody_looks_and_nothing_is_made(
    latest: Latest, pictures: Pictures, clock: Clock, encoded: list[float]
) -> None:
    for _ in range(10):
        latest.show(frame(clock), BOLT)
    assert encoded == []
    pictures.current(True)
    assert len(encoded) == 1


def test_no_more_are_made_than_the_rate_allows(
    latest: Latest, pictures: Pictures, clock: Clock, encoded: list[float]
) -> None:
    begun = clock.now
    for _ in range(100):  # ten frames a second, and twenty questions, for ten seconds
        latest.show(frame(clock), BOLT)
        pictures.current(True)
        clock.now += 0.05
        pictures.current(True)
        clock.now += 0.05
    assert len(encoded) == pytest.approx(2 * (clock.now - begun), abs=1)


def test_with_and_without_boxes_share_the_rate_and_neither_starves(
    latest: Latest, pictures: Pictures, clock: Clock, encoded: list[float]
) -> None:
    begun = clock.now
    seen: dict[bool, set[int]] = {True: set(), False: set()}
    while clock.now < begun + 20:
        latest.show(frame(clock), BOLT)
        for boxes in seen:
            seen[boxes].add(pictures.current(boxes).shown.number)
        clock.now += 0.1
    assert len(encoded) == pytest.approx(2 * (clock.now - begun), abs=2)
    assert min(len(numbers) for numbers in seen.values()) >= 15


def test_the_same_frame_is_not_made_again(
    latest: Latest, pictures: Pictures, clock: Clock, encoded: list[float]
) -> None:
    latest.show(frame(clock), BOLT)
    first = pictures.current(True)
    clock.now += 2
    assert pictures.current(True) is first
    clock.now += 2  # stale now, which has to be seen on it
    stale = pictures.current(True)
    assert stale.data != first.data
    clock.now += 60
    assert pictures.current(True) is stale
    assert len(encoded) == 2
    latest.show(frame(clock), BOLT)
    assert not pictures.current(True).stale


def test_the_boxless_picture_is_the_frame(latest: Latest, pictures: Pictures, clock: Clock) -> None:
    latest.show(frame(clock, size=(120, 160)), BOLT)
    assert decoded(pictures.current(False).data).shape == (120, 160, 3)
    assert (np.abs(decoded(pictures.current(False).data).astype(int) - 200) <= 3).all()


def test_the_mask_is_on_every_picture_and_without_it_there_is_none(
    latest: Latest, clock: Clock, tmp_path: Path
) -> None:
    path = settings(tmp_path)
    pictures = Pictures(latest, Mask(True, path), CLASSES, 2, clock, clock.sleep)
    with pytest.raises(NoPicture, match="No frame yet: loading the model"):
        pictures.current(True)
    latest.show(frame(clock), NOTHING)
    for boxes in (True, False):
        image = decoded(pictures.current(boxes).data)
        assert image[:, :310].max() <= 10
        assert image[:, 330:].min() >= 190
    path.write_text("nonsense")
    for boxes in (True, False):  # at once, though the pictures that were made are fresh
        with pytest.raises(NoPicture, match="not valid"):
            pictures.current(boxes)
    assert "not valid" in str(pictures.hidden())
    path.write_text(json.dumps({"image": {"mask": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}}))
    assert pictures.hidden() is None
    assert decoded(pictures.current(False).data).max() <= 10
