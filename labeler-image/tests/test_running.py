"""Whole runs: captures are asked about, reviews become versions, and a run that is killed anywhere ends the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from labeling_world import CLASSES, NOW, TasksInMemory, World, capture, picture, sidecar

import artifactstore
from detectiondata import captures
from detectiondata.assemble import assemble
from detectiondata.captures import Key
from detectiondata.fetch import Source, fetch
from detectiondata.source import check_source
from detectiondata.version import Box
from labeler import asked as record
from labeler import reserved
from labeler import run as runs
from labeler.choose import fraction
from labeler.failure import Failure
from labeler.run import Outcome
from labeler.settings import Run, Split
from labeler.tasks import Review
from labeler.update import sides

WASHER = Box("washer", 1, 1, 20, 20)
NOTHING_HELD = Split(Decimal(0), Decimal(0))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def tool() -> TasksInMemory:
    return TasksInMemory()


def kinds(outcome: Outcome) -> list[str]:
    return sorted(problem.kind for problem in outcome.problems)


def test_from_captures_to_a_version_that_is_trained_on(world: World, tool: TasksInMemory, tmp_path: Path) -> None:
    made = world.fleet()
    settings = world.settings()
    first = runs.run(settings, tool, NOW)
    assert (first.waiting, first.in_review, len(first.images), first.history) == (0, 36, 0, ())
    assert set(tool.tasks) == {each.key.image for each in made}
    task = tool.tasks[made[0].key.image]
    assert task.image_uri == f"file://{world.captures}/{made[0].key.image}"
    assert (task.reason, task.node, task.width, task.predictions[0].confidence) == ("sample", "n0", 64, 0.9)

    tool.answer_all()
    second = runs.run(settings, tool, NOW)
    assert (second.in_review, len(second.images), second.pending) == (0, 36, 0)
    [stored] = second.history
    version = stored.version
    assert (version.number, version.parent, version.classes) == (1, None, CLASSES)
    assert version.images + (version.holdout.images if version.holdout else 0) == 36
    assert second.figures is not None
    assert (second.figures.version, second.figures.frames, second.figures.node_days) == ("v2", 36, 18)
    assert second.figures.precision is not None
    assert second.figures.precision.value == 1

    uri = f"{settings.store}versions/00001/version.json"
    fetched = fetch(Source(uri, stored.sha256), tmp_path / "work")
    dataset = assemble([check_source(fetched, "Auto", None)], Decimal("0.2"), 0, tmp_path / "set")
    assert dataset.images == version.images
    assert dataset.classes == CLASSES


def test_a_folder_without_captures_is_told(world: World, tool: TasksInMemory) -> None:
    (note,) = runs.run(world.settings(), tool, NOW).notes
    assert note.startswith(f"There are no captures in file://{world.captures}")
    world.fleet()
    assert runs.run(world.settings(), tool, NOW).notes == ()


def test_running_again_changes_nothing(world: World, tool: TasksInMemory) -> None:
    world.fleet()
    for _ in range(2):
        runs.run(world.settings(), tool, NOW)
        tool.answer_all()
    before, tasks = world.stored(), dict(tool.tasks)
    for hours in range(1, 4):
        outcome = runs.run(world.settings(), tool, NOW + timedelta(hours=hours))
        assert (outcome.pending, len(outcome.history)) == (0, 1)
    for key in tool.tasks:  # somebody looks at all of them again, and confirms
        tool.answer(key, at=NOW + timedelta(hours=1))
    assert runs.run(world.settings(min_new_images=1), tool, NOW + timedelta(hours=5)).pending == 0
    assert (world.stored(), tool.tasks) == (before, tasks)


def test_a_correction_makes_the_next_version(world: World, tool: TasksInMemory) -> None:
    made = world.fleet()
    settings = world.settings(split=NOTHING_HELD, min_new_images=2)
    runs.run(settings, tool, NOW)
    tool.answer_all()
    first = runs.run(settings, tool, NOW)
    tool.answer(made[0].key.image, [WASHER], at=NOW + timedelta(hours=1))
    waiting = runs.run(settings, tool, NOW)
    assert (waiting.pending, len(waiting.history)) == (1, 1)
    tool.answer(made[1].key.image, [], at=NOW + timedelta(hours=1))
    second = runs.run(settings, tool, NOW)
    assert [each.version.number for each in second.history] == [2, 1]
    version = second.history[0].version
    assert version.parent == (1, first.history[0].sha256)
    assert (version.images, version.added, version.changed, version.removed) == (36, 0, 2, 0)
    boxes = {line["image"]: line["boxes"] for line in world.lines(2)}
    assert boxes[made[0].sha256] == [["washer", 1.0, 1.0, 20.0, 20.0]]
    assert boxes[made[1].sha256] == []


def test_a_budget_of_24_hours(world: World, tool: TasksInMemory) -> None:
    world.fleet()
    settings = world.settings(per_day=10)
    assert runs.run(settings, tool, NOW).waiting == 26
    assert runs.run(settings, tool, NOW + timedelta(hours=23)).waiting == 26
    assert len(tool.tasks) == 10
    tool.now = NOW + timedelta(hours=25)
    assert runs.run(settings, tool, tool.now).waiting == 16
    assert len(tool.tasks) == 20


def test_a_holdout_is_of_the_sample_and_of_days_that_nobody_trains_on(world: World, tool: TasksInMemory) -> None:
    for number in range(120):
        node, hours = f"n{number % 30}", timedelta(hours=1 + 24 * (number // 60), minutes=number)
        world.capture(number, node, NOW - hours, rules=("sample",) if number % 2 else ("unsure",))
    settings = world.settings(split=Split(Decimal("0.2"), Decimal("0.3")))
    runs.run(settings, tool, NOW)
    asked_for_other_rules = [task for task in tool.tasks.values() if task.reason != "sample"]
    drawn = sides([], settings.split)
    assert asked_for_other_rules
    assert not [
        task for task in asked_for_other_rules if drawn.of((task.node, f"{task.captured_at:%Y-%m-%d}")) == "holdout"
    ]
    tool.answer_all()
    runs.run(settings, tool, NOW)
    held = world.lines(1, "holdout")
    trained = world.lines(1)
    assert len(held) > 5
    assert all("sample" in line["capture"]["rules"] for line in held)
    days = [
        {(line["capture"]["node"], line["capture"]["capturedAt"][:10]) for line in lines} for lines in (held, trained)
    ]
    assert not days[0] & days[1]
    # more shares later: what is in a version stays where it is
    changed = world.settings(split=Split(Decimal("0.5"), Decimal("0.45")), min_new_images=1)
    world.capture(500, "n1", NOW - timedelta(hours=1))
    runs.run(changed, tool, NOW + timedelta(hours=1))
    tool.answer_all(NOW + timedelta(hours=1))
    runs.run(changed, tool, NOW + timedelta(hours=2))
    sides_before = {line["image"]: line["split"] for line in [*held, *trained]}
    sides_after = {line["image"]: line["split"] for line in [*world.lines(2), *world.lines(2, "holdout")]}
    assert sides_before.items() <= sides_after.items()


def test_one_camera_has_a_version_after_a_day(world: World, tool: TasksInMemory) -> None:
    day = next(
        f"n{number}" for number in range(100) if fraction(f"split:n{number}/2026-11-29") < 0.1
    )  # would be held out
    for number in range(6):
        world.capture(number, day, NOW - timedelta(minutes=number + 1))
    runs.run(world.settings(), tool, NOW)
    tool.answer_all()
    runs.run(world.settings(), tool, NOW)
    assert {line["split"] for line in world.lines(1)} == {"train"}


class Killed(BaseException):
    """The process ends here."""


class Writes:
    """Counts what is written, and kills after one of the writes."""

    def __init__(self, tool: TasksInMemory, patch: pytest.MonkeyPatch, after: int | None) -> None:
        self.count = 0
        self._after = after
        put: Callable[..., Any] = artifactstore.put_bytes

        def put_bytes(*args: Any, **kwargs: Any) -> Any:
            done = put(*args, **kwargs)
            self.wrote()
            return done

        patch.setattr(artifactstore, "put_bytes", put_bytes)
        patch.setattr("artifactstore.in_parallel", lambda function, items: map(function, list(items)))  # in order
        tool.wrote = self.wrote

    def wrote(self) -> None:
        self.count += 1
        if self.count == self._after:
            raise Killed


def story(world: World, killed_after: int | None) -> tuple[int, dict[str, bytes], dict[str, bool]]:
    """Ask, review, write version 1, correct, write version 2; each step again until it is not killed."""
    tool = TasksInMemory()
    made = world.fleet(nodes=4, days=2)
    for number in range(100, 112):
        world.capture(number, f"n{number % 4}", NOW - timedelta(hours=2, minutes=number), rules=("unsure",))
    settings = world.settings(per_day=20, min_new_images=3, split=Split(Decimal("0.2"), Decimal("0.3")))
    with pytest.MonkeyPatch.context() as patch:
        writes = Writes(tool, patch, killed_after)

        def until_done() -> None:
            try:
                runs.run(settings, tool, NOW)
            except Killed:
                runs.run(settings, tool, NOW)

        until_done()
        tool.answer_all()
        until_done()
        for each in made[:5]:
            tool.answer(each.key.image, [WASHER], at=NOW + timedelta(hours=1))
        until_done()
    return writes.count, world.stored(), {key: task.blind for key, task in tool.tasks.items()}


def test_killed_after_any_write_it_ends_the_same(tmp_path: Path) -> None:
    writes, stored, tasks = story(World(tmp_path / "whole"), None)
    assert "versions/00002/holdout.json" in stored
    assert len(tasks) == 20
    manifests = sum(name.endswith(".jsonl") for name in stored)
    assert (manifests, len([name for name in stored if name.startswith("images/")])) == (4, 20)
    # tasks, and a record of them for each of two days; what sidecars said; images; each version's manifests,
    # version.json and holdout.json
    assert writes == 20 + 2 + 1 + 20 + 2 * 4
    remembered = "reserved.txt.gz"  # what is not in it is read again
    assert stored.pop(remembered)
    for number in range(1, writes + 1):
        again, found, asked = story(World(tmp_path / str(number)), number)
        assert again >= writes - 1  # of what sidecars said; there is nothing left to ask for, and none is read
        assert asked == tasks, f"killed after write {number}"
        found.pop(remembered, None)
        assert found == stored, f"killed after write {number}"


def test_of_two_labelers_at_once_one_is_told_to_come_again(
    world: World, tool: TasksInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fleet()
    runs.run(world.settings(), tool, NOW)
    tool.answer_all()
    put: Callable[..., Any] = artifactstore.put_bytes

    def other_first(data: bytes, uri: str, **kwargs: Any) -> Any:
        if uri.endswith("version.json"):
            put(data.replace(b"2026-11-29", b"2026-11-28"), uri)
        return put(data, uri, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(artifactstore, "put_bytes", other_first)
        with pytest.raises(Failure) as caught:
            runs.run(world.settings(), tool, NOW)
    assert (caught.value.reason, caught.value.exit_code) == ("VersionExists", 1)
    assert len(runs.run(world.settings(), tool, NOW).history) == 1


def test_what_can_not_be_used_is_left_out_and_named(world: World, tool: TasksInMemory) -> None:
    made = world.fleet()
    runs.run(world.settings(), tool, NOW)
    tool.answer_all()
    paths = [world.captures / each.key.image for each in made[:6]]
    paths[0].unlink()  # both are gone: retention
    paths[0].with_suffix(".json").unlink()
    paths[1].write_bytes(picture(999))  # another picture
    paths[2].with_suffix(".json").write_text("{}")
    paths[3].write_bytes(picture(3)[:300])  # cut
    tool.answer(made[4].key.image, [Box("screw", 1, 1, 5, 5)])
    tool.answer(made[5].key.image, [Box("bolt", 5, 5, 5, 9)])
    (world.captures / "readme.txt").write_text("hello")
    outcome = runs.run(world.settings(), tool, NOW)
    assert kinds(outcome) == [
        "files that are not captures",
        "images that are not what was captured",
        "images that are not what was captured",
        "reviews of images that are not among the captures",
        "reviews with a box without area",
        "reviews with a class that the dataset does not have",
        "sidecars that make no sense",
    ]
    assert len(outcome.images) == 31  # with the one of another class, which is kept aside
    version = outcome.history[0].version
    assert version.images + (version.holdout.images if version.holdout else 0) == 30
    assert len(outcome.history) == 1


def test_an_answer_that_can_not_be_used_is_named_until_it_can(world: World, tool: TasksInMemory) -> None:
    """Versions that come after it are newer than it by far, and nobody is waited for: people have answered."""
    made = world.fleet()
    settings = world.settings(min_new_images=1, split=NOTHING_HELD)
    runs.run(settings, tool, NOW)
    tool.answer_all()
    tool.answer(made[0].key.image, [Box("bolt", 5, 5, 5, 9)])
    first = runs.run(settings, tool, NOW)
    later = NOW + timedelta(hours=8)
    tool.answer(made[1].key.image, [WASHER], at=later)
    second = runs.run(settings, tool, later)
    assert [len(each.history) for each in (first, second)] == [1, 2]
    for outcome in (first, second, runs.run(settings, tool, later + timedelta(hours=8))):
        assert kinds(outcome) == ["reviews with a box without area"]
        assert outcome.in_review == 0
    tool.answer(made[0].key.image, [WASHER], at=later)
    mended = runs.run(settings, tool, later + timedelta(hours=9))
    assert (kinds(mended), len(mended.images)) == ([], 36)


def test_captures_of_another_model_are_left_alone_and_counted(world: World, tool: TasksInMemory) -> None:
    """Two models send theirs to one place. One of the Rollouts has run both."""
    ours = [world.capture(number, at=NOW - timedelta(hours=number)) for number in (1, 2)]
    ours.append(world.capture(3, rollout="mixed", at=NOW - timedelta(hours=3)))
    for number in (4, 5):
        world.capture(number, rollout="press", name="dents", at=NOW - timedelta(hours=number))
    world.capture(6, rollout="mixed", name="dents", at=NOW - timedelta(hours=6))
    unsaid = world.capture(7, rollout="own", at=NOW - timedelta(hours=7))
    path = world.captures / f"{unsaid.key.text}.json"
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "model"})
    )
    first = runs.run(world.settings(), tool, NOW)
    assert set(tool.tasks) == {each.key.image for each in (*ours, unsaid)}
    assert first.waiting == 1  # of the Rollout that has run both
    assert [note for note in first.notes if "dents" in note] == [
        f"3 captures of dents in file://{world.captures}/ are left alone: this Dataset is of parts-detector. Give each "
        "model a place of its own (delivery.capture.destination of its Rollouts, captures.uri of its Dataset)."
    ]
    # nobody is asked about any more, and so no sidecar but two of each Rollout is read
    idle = runs.run(world.settings(per_day=0), TasksInMemory(), NOW)
    assert idle.waiting == 5
    assert [note.split(" in ")[0] for note in idle.notes if "dents" in note] == ["2 captures of dents"]


def test_captures_of_another_model_wait_for_no_labels_as_files(world: World) -> None:
    world.capture(1)
    world.capture(2, rollout="press", name="dents")
    (world.root / "reviewed").mkdir()
    (world.root / "reviewed/classes.txt").write_text("washer\nbolt\n")
    (world.root / "reviewed/labels.txt").touch()
    outcome = runs.run(world.settings(labelling=world.files_settings), None, NOW)
    assert outcome.waiting == 1
    told = [note.split(" in ")[0] for note in outcome.notes]
    assert told == ["1 capture of dents", "There is no label of a capture"]


class Listening(TasksInMemory):
    """Remembers which old answers were read again at each sync."""

    def reviews(self, since: datetime | None, also: Collection[str] = ()) -> Iterator[Review]:
        self.also = set(also)
        return super().reviews(since, also)


def test_answers_of_the_holdout_that_were_not_sampled_are_not_read_again_and_stay_counted(world: World) -> None:
    """A tool reads a hundred old answers at a sync: these would keep those that can be mended from being read."""
    tool = Listening()
    made = world.fleet()
    others = [world.capture(100 + node, f"n{node}", NOW - timedelta(hours=3), rules=("unsure",)) for node in range(6)]
    bad = made[0].key.image
    runs.run(world.settings(min_new_images=1, split=NOTHING_HELD), tool, NOW)
    for each in made:
        if each.node_day not in {other.node_day for other in others}:
            tool.answer(each.key.image)
    tool.answer(bad, [Box("bolt", 5, 5, 5, 9)], at=NOW - timedelta(hours=8))
    runs.run(world.settings(min_new_images=1, split=NOTHING_HELD), tool, NOW)

    # the days that no version has yet become ones of the holdout
    settings = world.settings(min_new_images=1, split=Split(Decimal(0), Decimal("0.99")))
    for other in others:
        tool.answer(other.key.image, at=NOW - timedelta(hours=8))
    for _ in range(2):
        outcome = runs.run(settings, tool, NOW + timedelta(hours=8))
        assert outcome.reserved == len(others)
        assert tool.also == {bad}
        assert kinds(outcome) == ["reviews with a box without area"]
        assert outcome.in_review == 11  # sampled ones of those days, which nobody has answered


def test_frames_of_a_higher_confidence_than_that_of_now_are_told(world: World, tool: TasksInMemory) -> None:
    made = world.fleet()
    older = [each for each in made if each.key.at < NOW - timedelta(days=1)]
    for each in older:
        path = world.captures / f"{each.key.text}.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps(facts | {"thresholds": {"confidence": 0.6, "iou": 0.7}}))
    runs.run(world.settings(), tool, NOW)
    tool.answer_all()
    outcome = runs.run(world.settings(), tool, NOW)
    assert outcome.figures is not None
    assert (outcome.figures.frames, outcome.figures.other_thresholds) == (12, 24)
    assert outcome.notes[0].startswith(
        "24 reviewed frames of v2 do not count for precision and recall: captured with a"
    )


@pytest.fixture
def sidecars_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys whose sidecars were read, one after the other."""
    found: list[str] = []
    read = captures.read

    def listening(uri: str, keys: Iterable[Key]) -> Iterator[Any]:
        asked = list(keys)
        found.extend(key.image for key in asked)
        return read(uri, asked)

    monkeypatch.setattr(captures, "read", listening)
    return found


def test_the_sidecars_of_answers_of_the_holdout_are_read_once(
    world: World, tool: TasksInMemory, sidecars_read: list[str]
) -> None:
    """They are of no use for ever: read at each sync, a sync costs more and more."""
    made = world.fleet()
    others = [world.capture(100 + node, f"n{node}", NOW - timedelta(hours=3), rules=("unsure",)) for node in range(6)]
    runs.run(world.settings(min_new_images=1, split=NOTHING_HELD), tool, NOW)
    for each in made:
        if each.node_day not in {other.node_day for other in others}:
            tool.answer(each.key.image)
    runs.run(world.settings(min_new_images=1, split=NOTHING_HELD), tool, NOW)
    settings = world.settings(min_new_images=1, split=Split(Decimal(0), Decimal("0.99")))
    for other in others:
        tool.answer(other.key.image, at=NOW - timedelta(hours=8))
    names = {other.key.image for other in others}
    later = NOW + timedelta(hours=8)

    def synced(settings: Run = settings) -> tuple[int, int]:
        """How many are reserved, and how many of their sidecars were read for it."""
        sidecars_read.clear()
        return runs.run(settings, tool, later).reserved, sum(key in names for key in sidecars_read)

    assert synced() == (6, 6)
    assert synced() == (6, 0)
    (world.store / "reserved.txt.gz").write_bytes(b"\x1f\x8b cut off")
    assert synced() == (6, 6)
    more = [world.capture(200 + node, f"n{node}", NOW - timedelta(hours=4), rules=("unsure",)) for node in range(2)]
    names |= {each.key.image for each in more}
    for each in more:  # asked about by an older release, of days that were none of the holdout
        tool.made[each.key.image] = NOW
        tool.said[each.key.image] = Review(each.key.image, (WASHER,), "ann", NOW - timedelta(hours=8), "x", False, True)
    assert synced() == (8, 2)
    assert synced() == (8, 0)
    # What decides beside the sidecars is asked each time: no day is of the holdout any more, and all of them are used.
    images = runs.run(world.settings(min_new_images=1, split=NOTHING_HELD), tool, later).images
    assert {each.sha256 for each in (*others, *more)} <= images.keys()
    assert synced() == (0, 0)


def test_the_sidecars_of_captures_that_nobody_is_asked_about_are_read_once(
    world: World, tool: TasksInMemory, sidecars_read: list[str]
) -> None:
    """Of days of the holdout, not sampled: while there is room for more questions, each sync would read them all."""
    settings = world.settings(split=Split(Decimal(0), Decimal("0.99")))
    for number in range(6):
        world.capture(number, f"n{number}", NOW - timedelta(hours=3), rules=("unsure",))

    def synced(settings: Run = settings) -> tuple[int, int, int]:
        """How many wait, were asked about, and sidecars were read, but for the two of each Rollout."""
        sidecars_read.clear()
        waiting = runs.run(settings, tool, NOW).waiting
        return waiting, len(tool.tasks), len(sidecars_read) - 2

    assert synced() == (6, 0, 6)
    assert synced() == (6, 0, 0)
    sampled = world.capture(10, "n0", NOW - timedelta(hours=2))
    world.capture(11, "n0", NOW - timedelta(hours=1), rules=("unsure",))
    assert synced() == (7, 1, 2)
    assert set(tool.tasks) == {sampled.key.image}
    assert synced() == (7, 1, 0)
    assert synced(replace(settings, split=NOTHING_HELD)) == (0, 8, 7)  # all of them are of use then


@pytest.mark.parametrize("listed", [False, True])
def test_a_sampled_answer_is_reserved_as_long_as_a_replay_lists_its_odd_half(listed: bool) -> None:
    for number in range(8):
        made = capture(number)
        said = reserved.Said.by(made, listed)
        marked = replace(made, rules=(*made.rules, "disagree")) if listed else made
        assert said.counts(made.key, listed) == (marked.weight is not None)
        assert reserved.Said.by(marked, False).counts(made.key, False) == (marked.weight is not None)
        assert reserved.Said.by(marked, listed).counts(made.key, False)  # the replay's list was removed
    assert not reserved.Said.by(capture(0, rules=("unsure",)), listed).counts(capture(0).key, listed)


def test_what_sidecars_said_is_kept_as_it_was(tmp_path: Path) -> None:
    store = f"file://{tmp_path}"
    kept = {
        "line/n 1/a.jpg": reserved.Said("ab" * 32, True, False),
        "line/n1/b.jpg": reserved.Said("cd" * 32, True, True),
        "line/n1/c.jpg": reserved.Said("ef" * 32, False, False),
    }
    assert reserved.read(store) == {}
    reserved.write(store, {}, kept)
    assert reserved.read(store) == kept
    written = (tmp_path / "reserved.txt.gz").stat()
    reserved.write(store, kept, dict(kept))
    assert (tmp_path / "reserved.txt.gz").stat() == written  # nothing new, nothing written


def test_more_of_what_sidecars_said_than_is_read_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep each sync from now on from doing anything, and nobody can be told to remove a file."""
    store = f"file://{tmp_path}"
    reserved.write(store, {}, {"line/n1/a.jpg": reserved.Said("ab" * 32, True, False)})
    monkeypatch.setattr(reserved, "_LIMIT", 20)
    assert reserved.read(store) == {}


def test_a_review_that_a_clock_has_dated_that_was_ahead_keeps_no_other_from_being_read(
    world: World, tool: TasksInMemory
) -> None:
    made = world.fleet()
    settings = world.settings(min_new_images=1, split=NOTHING_HELD)
    runs.run(settings, tool, NOW)
    tool.answer(made[0].key.image, at=NOW + timedelta(days=3652))
    tool.answer_all()
    assert len(runs.run(settings, tool, NOW).images) == 36
    tool.answer(made[1].key.image, [WASHER], at=NOW + timedelta(hours=8))
    assert [box.label for box in runs.run(settings, tool, NOW + timedelta(hours=9)).images[made[1].sha256].boxes] == [
        "washer"
    ]


@pytest.mark.parametrize(
    "content", [b"\xff\xd8 not a picture", picture(900)[:1500] + b"\xff\xd9"], ids=["none", "cut short in the middle"]
)
def test_a_picture_that_nobody_can_read_is_no_image_of_a_version(
    world: World, tool: TasksInMemory, content: bytes
) -> None:
    """The trainer would refuse every version that has it."""
    made = world.fleet(nodes=1, days=1, a_day=6)
    digest = hashlib.sha256(content).hexdigest()
    broken = replace(made[0], sha256=digest, size=len(content))
    broken = replace(broken, key=replace(made[0].key, text=made[0].key.text[:-8] + digest[:8]))
    (world.captures / broken.key.image).write_bytes(content)
    (world.captures / f"{broken.key.text}.json").write_text(json.dumps(sidecar(broken)))
    runs.run(world.settings(), tool, NOW)
    tool.answer_all()
    outcome = runs.run(world.settings(), tool, NOW)
    assert kinds(outcome) == ["images that can't be read"]
    assert outcome.history[0].version.images == 6


def test_a_correction_of_an_image_whose_capture_is_gone_is_taken(world: World, tool: TasksInMemory) -> None:
    made = world.fleet()
    settings = world.settings(min_new_images=1)
    runs.run(settings, tool, NOW)
    tool.answer_all()
    runs.run(settings, tool, NOW)
    for suffix in (".jpg", ".json"):
        (world.captures / made[0].key.image).with_suffix(suffix).unlink()
    tool.answer(made[0].key.image, [WASHER], at=NOW + timedelta(hours=1))
    outcome = runs.run(settings, tool, NOW)
    assert outcome.history[0].version.number == 2
    assert [box.label for box in outcome.images[made[0].sha256].boxes] == ["washer"]


def test_files_instead_of_a_tool(world: World) -> None:
    made = world.fleet()
    labels = world.root / "reviewed" / "labels"
    labels.mkdir(parents=True)
    (labels.parent / "data.yaml").write_text("names: [bolt, washer]\n")
    for each in made[:10]:
        (labels / (each.key.text.rpartition("/")[2] + ".txt")).write_text("0 0.21875 0.25 0.3125 0.333333\n")
    (labels / "stranger.txt").write_text("")
    settings: Run = world.settings(labelling=world.files_settings, split=NOTHING_HELD)
    outcome = runs.run(settings, None, NOW)
    assert (outcome.waiting, outcome.in_review, len(outcome.images), outcome.pending) == (26, 0, 10, 0)
    assert kinds(outcome) == ["labels that fit no capture"]
    lines = world.lines(1)
    assert {tuple(line["boxes"][0]) for line in lines} == {("bolt", 4.0, 4.0, 24.0, 20.0)}
    assert {line["review"]["source"] for line in lines} == {"files"}
    stored = world.stored()
    for each in made[:10]:  # uploaded once more
        path = labels / (each.key.text.rpartition("/")[2] + ".txt")
        path.write_text(path.read_text())
    assert runs.run(settings, None, NOW).pending == 0
    assert world.stored() == stored


def test_a_correction_is_taken_though_a_clock_was_ahead_before(world: World, tool: TasksInMemory) -> None:
    """Label Studio's, until somebody has set it right: what was said then is dated in the future."""
    made = world.fleet()
    settings = world.settings(split=NOTHING_HELD, min_new_images=1)
    runs.run(settings, tool, NOW)
    tool.answer_all(at=NOW + timedelta(days=365))
    assert runs.run(settings, tool, NOW).history[0].version.number == 1
    again = runs.run(settings, tool, NOW + timedelta(hours=1))
    assert (again.pending, len(again.history)) == (0, 1)
    tool.answer(made[0].key.image, [WASHER], at=NOW + timedelta(hours=2))
    outcome = runs.run(settings, tool, NOW + timedelta(hours=3))
    assert outcome.history[0].version.number == 2
    assert [box.label for box in outcome.images[made[0].sha256].boxes] == ["washer"]
    assert len(runs.run(settings, tool, NOW + timedelta(hours=4)).history) == 2


def test_a_folder_without_labels_is_told(world: World) -> None:
    """It may be the wrong one, or hold an export as it was downloaded."""
    world.fleet()
    settings = world.settings(labelling=world.files_settings)
    (note,) = runs.run(settings, None, NOW).notes
    assert note.startswith(f"There is no label of a capture in {settings.labelling.uri}: export ")


def test_labels_as_files_correct_images_whose_captures_are_gone(world: World) -> None:
    """As after the bucket's retention: their images are kept, and their labels are no strangers."""
    made = world.fleet()
    labels = world.root / "reviewed"
    labels.mkdir(parents=True)
    (labels / "data.yaml").write_text("names: [bolt, washer]\n")
    names = [labels / (each.key.stem + ".txt") for each in made[:10]]
    for name in names:
        name.write_text("0 0.21875 0.25 0.3125 0.333333\n")
    settings = world.settings(labelling=world.files_settings, split=NOTHING_HELD, min_new_images=1)
    runs.run(settings, None, NOW)
    for each in made[:10]:
        for suffix in (".jpg", ".json"):
            (world.captures / each.key.image).with_suffix(suffix).unlink()
    outcome = runs.run(settings, None, NOW)
    assert (kinds(outcome), len(outcome.history), outcome.waiting) == ([], 1, 26)
    names[0].write_text("1 0.21875 0.25 0.3125 0.333333\n")
    outcome = runs.run(settings, None, NOW)
    assert outcome.history[0].version.number == 2
    assert [box.label for box in outcome.images[made[0].sha256].boxes] == ["washer"]


def test_figures_are_of_the_model_that_is_deployed(world: World, tool: TasksInMemory) -> None:
    world.fleet()
    runs.run(world.settings(), tool, NOW)
    for task in list(tool.tasks.values()):
        found = [prediction.box for prediction in task.predictions]
        tool.answer(task.key, found if task.node != "n3" else [*found, WASHER])
    outcome = runs.run(world.settings(min_new_images=1000), tool, NOW)  # not yet in any version
    assert outcome.history == ()
    assert outcome.pending == 36
    assert outcome.figures is not None
    assert outcome.figures.recall is not None
    assert outcome.figures.recall.value == pytest.approx(36 / 42)
    other = world.settings(min_new_images=1000, deployed=())
    assert runs.run(other, tool, NOW).figures is None


@pytest.mark.parametrize(
    ("damage", "reason", "told"),
    [
        ("versions/00001/version.json", "DatasetInvalid", "is not valid JSON"),
        ("versions/00001/manifest-*.jsonl", "DigestMismatch", "expected"),
    ],
)
def test_a_damaged_store_ends_the_run_and_is_named(
    damage: str, reason: str, told: str, world: World, tool: TasksInMemory
) -> None:
    world.fleet()
    for _ in range(2):
        runs.run(world.settings(), tool, NOW)
        tool.answer_all()
    [path] = world.store.glob(damage)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Failure, match=told) as caught:
        runs.run(world.settings(), tool, NOW)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 64)
    assert path.name in caught.value.message


def delete(tool: TasksInMemory, *keys: str) -> None:
    """As people do in Label Studio, which remembers nothing of it."""
    for key in keys:
        del tool.tasks[key], tool.made[key]


def test_a_task_that_somebody_deletes_stays_deleted(world: World, tool: TasksInMemory) -> None:
    made = world.fleet()
    settings = world.settings()
    runs.run(settings, tool, NOW)
    first, second, third = (each.key.image for each in made[:3])
    delete(tool, first, second)
    again = runs.run(settings, tool, NOW)
    assert first not in tool.tasks
    assert (again.waiting, again.in_review) == (0, 34)
    assert again.notes[0].startswith("2 images whose tasks were deleted are not asked about again")

    day = made[0].key.at
    path = world.store / f"asked/{day:%Y-%m-%d}.txt"
    assert first in path.read_text().splitlines()
    path.unlink()
    runs.run(settings, tool, NOW)
    assert first in tool.tasks, "whoever wants to be asked again removes the day"
    tool.answer(third)
    delete(tool, third)
    assert "1 image whose task was deleted is" in runs.run(settings, tool, NOW).notes[0]


def test_a_project_that_was_emptied_is_asked_from_the_start(world: World, tool: TasksInMemory) -> None:
    world.fleet()
    settings = world.settings()
    runs.run(settings, tool, NOW)
    delete(tool, *list(tool.tasks))
    assert runs.run(settings, tool, NOW).notes == ()
    assert len(tool.tasks) == 36


def test_of_a_project_that_was_emptied_all_is_asked_again_a_day_at_a_time(world: World, tool: TasksInMemory) -> None:
    """What the first of these days has no room for is no task that somebody deleted."""
    world.fleet()
    settings = world.settings(per_day=10)

    def ask(days: range) -> list[str]:
        notes: list[str] = []
        for day in days:
            tool.now = NOW + timedelta(days=day)
            notes += runs.run(settings, tool, tool.now).notes
        return notes

    assert ask(range(3)) == []
    assert len(tool.tasks) == 30
    delete(tool, *list(tool.tasks))
    assert ask(range(3, 7)) == []
    assert len(tool.tasks) == 36


def test_what_was_asked_long_ago_is_forgotten(world: World, tool: TasksInMemory) -> None:
    world.fleet()
    settings = world.settings()
    runs.run(settings, tool, NOW)
    before = {name for name in world.stored() if name.startswith("asked/")}
    assert len(before) == 3
    assert record.read(settings.store, NOW + timedelta(days=40)) == frozenset()
    record.write(settings.store, frozenset(), tool.made, NOW + timedelta(days=40))
    assert {name for name in world.stored() if name.startswith("asked/")} == before


def test_tasks_that_were_made_just_before_a_kill_are_remembered_at_the_next_run(
    world: World, tool: TasksInMemory
) -> None:
    made = world.fleet()
    settings = world.settings()

    def killed() -> None:
        raise KeyboardInterrupt

    tool.wrote = killed
    with pytest.raises(KeyboardInterrupt):
        runs.run(settings, tool, NOW)
    assert not (world.store / "asked").exists()
    tool.wrote = lambda: None
    (asked,) = tool.tasks
    runs.run(settings, tool, NOW)
    delete(tool, asked)
    runs.run(settings, tool, NOW)
    assert asked not in tool.tasks
    assert asked in {each.key.image for each in made}
