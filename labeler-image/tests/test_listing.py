"""The captures of a large bucket: not all of it is listed at each sync, and all that is there is found in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from labeling_world import NOW, World, key

import artifactstore
from artifactstore import ArtifactError
from detectiondata.captures import Key
from labeler import listing, run
from labeler.listing import WHOLE_AFTER, Listing, State


class Bucket:
    """Captures and a store, on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._settings = World(root / "world").settings()
        self.captures, self.store = f"file://{root}/captures/", f"file://{root}/store"
        (root / "captures").mkdir()

    def put(self, name: str) -> None:
        path = self._root / "captures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    def capture(self, at: datetime, number: int = 0, node: str = "n1", rollout: str = "line") -> Key:
        made = key(node, at, f"{number:08x}", rollout)
        self.put(made.image)
        self.put(f"{made.text}.json")
        return made

    def path(self, name: str) -> Path:
        return self._root / name

    def sync(self, now: datetime) -> tuple[Listing, bool]:
        """What was found, and whether all was listed for it."""
        settings = replace(self._settings, captures=self.captures, store=self.store)
        found = run.listed(settings, now)
        return found, found.day is None


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Large, with twenty days of one capture each and something that is none."""
    monkeypatch.setattr(listing, "LARGE", 10)
    made = Bucket(tmp_path)
    for days in range(20):
        made.capture(NOW - timedelta(days=days, hours=1), days)
    made.put("line/n1/2026/11/12/notes.txt")
    return made


def test_the_second_sync_lists_the_last_days_alone_and_knows_the_same(bucket: Bucket) -> None:
    first, whole = bucket.sync(NOW)
    assert (whole, first.objects, len(first.keys)) == (True, 41, 20)
    new = [bucket.capture(NOW, 100), bucket.capture(NOW, 101, "n2"), bucket.capture(NOW, 102, rollout="other")]
    bucket.put("replay/line/v2.json")
    second, whole = bucket.sync(NOW + timedelta(minutes=30))
    assert (whole, second.objects) == (False, 2 * (3 + 3) + 1)
    assert set(second.keys) == {*first.keys, *new}
    assert [key.text for key in second.keys] == sorted(key.text for key in second.keys)
    assert [entry.name for entry in second.lists] == ["replay/line/v2.json"]
    assert second.problems == first.problems
    assert [problem.file for problem in first.problems] == ["line/n1/2026/11/12/notes.txt"]
    third, whole = bucket.sync(NOW + timedelta(hours=1))
    assert (whole, third.keys) == (False, second.keys)


def test_what_comes_days_late_is_found_once_all_is_listed_again(bucket: Bucket) -> None:
    bucket.sync(NOW)
    day_before = bucket.capture(NOW - timedelta(days=1), 100)
    weeks = bucket.capture(NOW - timedelta(days=17), 101)
    found, whole = bucket.sync(NOW + timedelta(hours=1))
    assert not whole
    assert day_before in found.keys
    assert weeks not in found.keys
    found, whole = bucket.sync(NOW + WHOLE_AFTER)
    assert whole
    assert weeks in found.keys
    found, whole = bucket.sync(NOW + WHOLE_AFTER + timedelta(hours=1))
    assert not whole
    assert weeks in found.keys


def test_an_odd_key_among_rollouts_has_all_listed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """On disk there is none such; what obstore says of one in S3 is in artifacts/tests/test_odd_keys.py."""

    def refuse(uri: str) -> list[str]:
        raise ArtifactError("Unsupported", f"{uri} holds the key '//', which no address can mean", False)

    first, _ = bucket.sync(NOW)
    monkeypatch.setattr(artifactstore, "folders", refuse)
    assert bucket.sync(NOW + timedelta(hours=1)) == (first, True)


def test_what_was_removed(bucket: Bucket) -> None:
    first, _ = bucket.sync(NOW)
    for gone in (first.keys[-1], first.keys[0]):
        bucket.path(f"captures/{gone.image}").unlink()
        bucket.path(f"captures/{gone.text}.json").unlink()
    found, _ = bucket.sync(NOW + timedelta(hours=1))
    assert list(found.keys) == list(first.keys[:-1])
    found, _ = bucket.sync(NOW + WHOLE_AFTER)
    assert list(found.keys) == list(first.keys[1:-1])


def test_a_run_that_was_killed_between_two_writes_is_as_one_that_never_began(bucket: Bucket) -> None:
    bucket.sync(NOW)
    before = bucket.path("store/listed/state.json").read_bytes()
    new = bucket.capture(NOW, 100)
    found, _ = bucket.sync(NOW + timedelta(hours=1))
    bucket.path("store/listed/state.json").write_bytes(before)
    again, whole = bucket.sync(NOW + timedelta(hours=1))
    assert not whole
    assert new in again.keys
    assert again == found


@pytest.mark.parametrize("name", ["state.json", "2026-11-20.txt.gz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\x1f\x8b\x08\x00junk", None])
def test_what_cannot_be_read_of_the_last_sync_has_all_listed(name: str, content: bytes | None, bucket: Bucket) -> None:
    first, _ = bucket.sync(NOW)
    path = bucket.path(f"store/listed/{name}")
    path.unlink() if content is None else path.write_bytes(content)
    found, whole = bucket.sync(NOW + timedelta(hours=1))
    assert whole
    assert found == first
    assert not bucket.sync(NOW + timedelta(hours=2))[1]


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (None, True),
        (State("s3://c/", 20_000, NOW, NOW, {}), False),
        (State("s3://c/", 19_999, NOW, NOW, {}), True),  # small
        (State("s3://other/", 20_000, NOW, NOW, {}), True),
        (State("s3://c/", 20_000, NOW - WHOLE_AFTER, NOW, {}), True),
        (State("s3://c/", 20_000, NOW + timedelta(hours=1), NOW, {}), True),  # the clock was put back
        (State("s3://c/", 20_000, NOW - timedelta(hours=3), NOW + timedelta(hours=1), {}), True),
    ],
)
def test_when_all_is_listed(state: State | None, due: bool) -> None:
    assert listing.is_due(state, "s3://c/", NOW) is due


def test_of_a_small_bucket_nothing_is_remembered(tmp_path: Path) -> None:
    bucket = Bucket(tmp_path)
    old = bucket.capture(NOW - timedelta(days=9))
    bucket.sync(NOW)
    assert not bucket.path("store").exists()
    assert list(bucket.sync(NOW + timedelta(hours=1))[0].keys) == [old]
