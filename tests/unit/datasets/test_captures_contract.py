"""Agent and labeler understand each other: the labeler's real code reads what the agent's real code captures."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from agent.capture import images, settings, sidecar
from agent.capture.images import Encoded
from agent.capture.policy import Choice, Window
from agent.capture.sampling import Draw
from agent.detection import Detection
from detectiondata import captures
from detectiondata.captures import Capture, Sample

ORIGIN = sidecar.Origin("edge-1", "line", "factory", "fleet", "parts", "v2", "ab" * 32, ("bolt", "Müller"), 0.25, 0.7)
AT = datetime(2026, 11, 29, 23, 59, 59, 999_999, tzinfo=UTC)
FOUND = (
    Detection("bolt", 0.9123456789, (10.0, 20.0, 30.456, 40.0)),
    Detection("Müller", 0.3, (0.0, 0.0, 640.0, 480.0)),
)
SHOWN = Encoded(b"jpeg", 320, 240, (0.5, 0.5))
SAMPLED = Choice(("sample", "unsure"), Draw(0.0123, "found"))


def taken(
    choice: Choice = SAMPLED, found: tuple[Detection, ...] = FOUND, at: datetime = AT, encoded: Encoded = SHOWN
) -> Capture:
    """One frame, all the way: built by the agent, named by the upload, paired and read by the labeler."""
    made = sidecar.build(ORIGIN, at, encoded, found, choice)
    name = sidecar.address(made.sidecar).key
    keys, problems = captures.pair([f"{name}.jpg", f"{name}.json"], AT)
    assert not problems
    (key,) = keys
    read = captures.parse(made.sidecar, key)
    assert isinstance(read, Capture), read
    return read


def test_all_that_the_agent_says_is_read() -> None:
    read = taken()
    assert (read.key.rollout, read.key.node, read.key.day) == ("line", "edge-1", "2026-11-29")
    assert abs(read.key.at - AT) < timedelta(milliseconds=1)
    assert (read.width, read.height, read.size) == (320, 240, 4)
    assert (read.group, read.version, read.model_sha256) == ("fleet", "v2", "ab" * 32)
    assert (read.confidence, read.iou) == (0.25, 0.7)
    assert (read.rules, read.sample, read.role) == (("sample", "unsure"), Sample(0.0123, "found"), None)
    bolt, other = read.detections
    assert (bolt.label, bolt.confidence) == ("bolt", 0.912346)
    assert (bolt.x1, bolt.y1, bolt.x2, bolt.y2) == (5, 10, 15.23, 20)
    assert (other.label, other.x2, other.y2) == ("Müller", 320, 240)


def test_what_a_manifest_keeps_of_it_is_read_again() -> None:
    read = taken()
    facts = {"width": read.width, "height": read.height, "sha256": read.sha256, "size": read.size}
    assert captures.from_manifest(read.to_json(), **facts) == read


@pytest.mark.parametrize("role", ["before", "trigger", "after"])
def test_a_frame_of_a_sequence(role: Any) -> None:
    read = taken(Choice(("unsure",), window=Window("unsure-1", role)))
    assert (read.role, read.sample) == (role, None)


def test_a_frame_on_which_nothing_was_found() -> None:
    read = taken(Choice(("sample",), Draw(1.0, "empty")), ())
    assert (read.detections, read.sample) == ((), Sample(1.0, "empty"))


def test_the_rarest_frame_of_the_sample() -> None:
    """About one an hour, at 300 frames a second."""
    assert taken(Choice(("sample",), Draw(1e-6, "found"))).sample == Sample(1e-6, "found")


@pytest.mark.parametrize("zone", [timedelta(hours=14), timedelta(hours=-12)])
def test_a_node_of_another_time_zone(zone: timedelta) -> None:
    assert taken(at=AT.astimezone(timezone(zone))).key == taken().key


@pytest.mark.parametrize("side", [64, 1920])
def test_boxes_at_the_border_of_a_picture_that_was_made_smaller(side: int) -> None:
    frame = np.zeros((1079, 1919, 3), dtype=np.uint8)
    encoded = images.encode(frame, settings.ImageSettings(max_side=side))
    read = taken(found=(Detection("bolt", 1.0, (0.0, 0.0, 1919.0, 1079.0)),), encoded=encoded)
    (box,) = read.detections
    assert (box.x1, box.y1) == (0, 0)
    assert (box.x2, box.y2) == pytest.approx((read.width, read.height), abs=0.01)


def test_both_mean_the_same_by_their_names() -> None:
    assert captures.FORMAT == sidecar.FORMAT
    assert captures.SAMPLE == settings.SAMPLE
    assert captures._SIDECAR_LIMIT >= sidecar.LIMIT


def test_an_image_that_is_not_the_one_in_its_name_is_told() -> None:
    """So that the tests above can fail."""
    made = sidecar.build(ORIGIN, AT, SHOWN, FOUND, SAMPLED)
    name = sidecar.address(made.sidecar).key
    key = captures.parse_key(f"{name[:-8]}00000000.jpg")
    assert key is not None
    assert not isinstance(captures.parse(made.sidecar, key), Capture)
    assert not isinstance(
        captures.parse(made.sidecar, replace(key, text=key.text.replace("edge-1", "edge-2"))), Capture
    )
