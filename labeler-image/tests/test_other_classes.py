"""A Dataset whose classes change: what was reviewed of a class that is gone is kept aside, and comes back with it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from labeling_world import CLASSES, MODEL, NOW, TasksInMemory, World

import artifactstore
from detectiondata.version import Box
from detectiondata.version_store import VersionStore
from labeler import run as runs
from labeler import termination, versions
from labeler.run import Outcome
from labeler.settings import Deployed, Run

BOLT = Box("bolt", 4, 4, 24, 20)
WASHER = Box("washer", 30, 4, 50, 20)
GEAR = Box("gear", 30, 24, 50, 40)
TYPO = ("washer", "bolts")
KIND = "reviews with a class that the dataset does not have"
HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def tool() -> TasksInMemory:
    return TasksInMemory()


def first_version(world: World, tool: TasksInMemory, boxes: Mapping[int, list[Box]]) -> Outcome:
    """Of 36 images; `boxes` are what people found on the nth of them, both objects on all others."""
    world.fleet()
    runs.run(world.settings(), tool, NOW)
    for number, each in enumerate(sorted(tool.tasks)):
        tool.answer(each, boxes.get(number, [BOLT, WASHER]), at=NOW)
    return runs.run(world.settings(), tool, NOW)


def images(outcome: Outcome) -> int:
    version = outcome.history[0].version
    return version.images + (version.holdout.images if version.holdout else 0)


def objects(outcome: Outcome) -> dict[str, int]:
    """Of the latest version and its holdout, by class."""
    version = outcome.history[0].version
    held = {} if version.holdout is None else version.holdout.per_class
    return {name: count + held.get(name, 0) for name, count in version.per_class.items()}


def of(world: World, number: int) -> list[dict[str, Any]]:
    """The lines of a version and its holdout, by image."""
    lines = world.lines(number)
    if world.version(number)["holdout"]:
        lines += world.lines(number, "holdout")
    return sorted(lines, key=lambda line: line["image"])


def test_a_class_that_was_taken_out_and_put_back_is_whole_again(world: World, tool: TasksInMemory) -> None:
    first = first_version(world, tool, {0: [BOLT], 1: [BOLT, BOLT._replace(x1=30, x2=50)], 2: [], 3: [WASHER]})
    assert (images(first), objects(first)) == (36, {"bolt": 35, "washer": 33})
    without = runs.run(world.settings(classes=TYPO), tool, NOW + HOUR)
    assert (without.history[0].version.number, images(without)) == (2, 34)
    assert objects(without) == {"bolts": 0, "washer": 33}
    assert (without.history[0].version.removed + world.version(2)["holdout"]["removed"]) == 2
    assert [line["image"] for line in of(world, 2) if not line["boxes"]] == [  # as it was reviewed
        line["image"] for line in of(world, 1) if not line["boxes"]
    ]
    assert "spec.classes lacks bolt (35): " in without.other_classes
    assert "so are 2 images that can't be used without them" in without.other_classes
    assert termination.notes(without)[0] == without.other_classes
    assert (without.in_review, without.pending, len(without.images)) == (0, 0, 36)
    # It is said as long as it is so, however old the reviews are, and nothing is written for that.
    stored = world.stored()
    later = runs.run(world.settings(classes=TYPO), tool, NOW + 40 * HOUR)
    assert (later.other_classes, later.in_review, len(later.images)) == (without.other_classes, 0, 36)
    assert world.version(2) == json.loads(stored["versions/00002/version.json"])
    assert len(later.history) == 2
    mended = runs.run(world.settings(), tool, NOW + 41 * HOUR)
    assert (mended.history[0].version.number, mended.other_classes, mended.problems) == (3, "", ())
    assert of(world, 3) == of(world, 1)
    assert "aside" not in world.version(3)
    assert len(runs.run(world.settings(), tool, NOW + 42 * HOUR).history) == 3


def test_no_version_is_made_where_the_classes_leave_nothing_to_train_on(world: World, tool: TasksInMemory) -> None:
    first_version(world, tool, {number: [BOLT] for number in range(36)})
    stored = {name for name in world.stored() if name.startswith(("versions/", "images/"))}
    outcome = runs.run(world.settings(classes=TYPO), tool, NOW + HOUR)
    assert {name for name in world.stored() if name.startswith(("versions/", "images/"))} == stored
    assert outcome.other_classes.startswith(
        "No version is made, as no image would be left to train on. spec.classes lacks"
    )
    assert outcome.pending == 0
    mended = runs.run(world.settings(), tool, NOW + 2 * HOUR)
    assert (len(mended.history), mended.other_classes, mended.pending) == (1, "", 0)


def test_with_labels_as_files_too(world: World) -> None:
    made, settings = world.fleet(), world.settings(labelling=world.files_settings)
    folder = world.root / "reviewed"
    folder.mkdir()
    (folder / "data.yaml").write_text("names: [bolt, washer]\n")
    for number, each in enumerate(made):
        both = "0 0.3 0.3 0.2 0.2\n1 0.7 0.7 0.2 0.2\n"
        (folder / f"{each.key.stem}.txt").write_text(both if number else "0 0.3 0.3 0.2 0.2\n")
    runs.run(settings, None, NOW)
    without = runs.run(replace(settings, classes=TYPO), None, NOW + HOUR)
    assert (images(without), objects(without)) == (35, {"bolts": 0, "washer": 35})
    # A copy of the same labels that is newer says nothing new, and is no problem.
    for path in folder.glob("*.txt"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
    again = runs.run(replace(settings, classes=TYPO), None, NOW + 2 * HOUR)
    assert (len(again.history), again.other_classes) == (2, without.other_classes)
    assert [problem.kind for problem in again.problems] == [KIND]  # the one that is aside
    mended = runs.run(settings, None, NOW + 3 * HOUR)
    assert (images(mended), objects(mended)) == (36, {"bolt": 36, "washer": 35})
    assert of(world, 3) == of(world, 1)


def test_a_correction_wins_over_what_was_kept(world: World, tool: TasksInMemory) -> None:
    first_version(world, tool, {0: [BOLT]})
    settings = world.settings(classes=TYPO, min_new_images=1)
    runs.run(settings, tool, NOW + HOUR)
    keys = sorted(tool.tasks)
    tool.answer(keys[0], [], at=NOW + 2 * HOUR)  # there never was a bolt
    tool.answer(keys[1], [WASHER._replace(x2=52)], at=NOW + 2 * HOUR)
    corrected = runs.run(settings, tool, NOW + 3 * HOUR)
    assert (images(corrected), objects(corrected)) == (36, {"bolts": 0, "washer": 35})
    mended = runs.run(world.settings(), tool, NOW + 4 * HOUR)
    assert (images(mended), objects(mended)) == (36, {"bolt": 34, "washer": 35})


def test_reviews_of_a_class_that_is_added_later_come_in_however_old(world: World, tool: TasksInMemory) -> None:
    world.fleet()
    runs.run(world.settings(), tool, NOW)
    keys = sorted(tool.tasks)
    for each in keys[:6]:
        tool.answer(each, [WASHER, GEAR], at=NOW)
    for each in keys[6:]:
        tool.answer(each, [BOLT], at=NOW + 3 * HOUR)
    first = runs.run(world.settings(), tool, NOW + 4 * HOUR)
    assert (images(first), objects(first), first.in_review) == (30, {"bolt": 30, "washer": 0}, 0)
    later = runs.run(world.settings(), tool, NOW + 5 * HOUR)
    assert (later.in_review, Counter(problem.kind for problem in later.problems)) == (0, {KIND: 6})
    # Their captures may be gone by then: the images are kept with the version.
    for each in keys[:6]:
        for suffix in (".jpg", ".json"):
            (world.captures / each).with_suffix(suffix).unlink()
    added = runs.run(world.settings(classes=(*CLASSES, "gear")), tool, NOW + 40 * HOUR)
    assert (images(added), objects(added)) == (36, {"bolt": 30, "washer": 6, "gear": 6})
    assert (added.in_review, added.other_classes, added.problems) == (0, "", ())


def test_an_image_that_was_left_out_comes_in_with_the_last_of_its_classes(world: World, tool: TasksInMemory) -> None:
    nut = Box("nut", 30, 24, 50, 40)
    first = first_version(world, tool, {0: [BOLT, GEAR, nut]})
    assert images(first) == 35
    settings = world.settings(classes=(*CLASSES, "gear"))
    assert images(runs.run(settings, tool, NOW + HOUR)) == 35
    complete = runs.run(replace(settings, classes=(*CLASSES, "gear", "nut")), tool, NOW + 2 * HOUR)
    assert (images(complete), objects(complete)["gear"], objects(complete)["nut"]) == (36, 1, 1)


def test_reviews_are_all_read_again_when_the_classes_change(world: World, tool: TasksInMemory) -> None:
    """What a release before 2026-12 left out, or struck out, is in no version, and long said."""
    first_version(world, tool, {})
    asked = []
    read = tool.reviews
    tool.reviews = lambda since, also: asked.append(since) or read(since, also)  # type: ignore
    runs.run(world.settings(), tool, NOW + HOUR)
    runs.run(world.settings(classes=(*CLASSES, "gear")), tool, NOW + HOUR)
    runs.run(world.settings(classes=(*CLASSES, "gear")), tool, NOW + HOUR)
    assert asked == [NOW - HOUR, None, NOW - HOUR]


def test_boxes_that_an_older_release_struck_out_come_back_with_the_same_review(
    world: World, tool: TasksInMemory
) -> None:
    first_version(world, tool, {0: [BOLT]})
    strike_out(world, "bolt")
    mended = runs.run(world.settings(), tool, NOW)  # an hour before the newest is read each time
    assert mended.history[0].version.number == 2
    assert (images(mended), objects(mended)) == (36, {"bolt": 36, "washer": 35})
    assert len(runs.run(world.settings(), tool, NOW).history) == 2


def strike_out(world: World, name: str) -> None:
    """Rewrite version 1 as a release before 2026-12 would have written it without that class: the boxes are gone."""
    store = VersionStore(f"file://{world.store}")
    held = store.images(store.read(1).version)
    for path in (world.store / "versions" / "00001").iterdir():
        path.unlink()
    struck = {
        digest: replace(image, boxes=tuple(box for box in image.boxes if box.label != name))
        for digest, image in held.items()
    }
    versions.write(store, None, {}, struck, CLASSES, NOW)


def test_detections_of_a_class_that_the_dataset_lacks_are_neither_right_nor_wrong(
    world: World, tool: TasksInMemory
) -> None:
    settings: Run = world.settings(deployed=(Deployed("v2", MODEL),))
    first = first_version(world, tool, {})
    assert first.figures is not None
    assert first.figures.precision is not None
    without = runs.run(replace(settings, classes=TYPO), tool, NOW + HOUR)
    assert without.figures is not None
    assert without.figures.frames == first.figures.frames
    assert without.figures.precision is None  # the model finds bolts only: of washers it said nothing
    assert without.figures.recall is not None
    assert without.figures.recall.value == 0.0
    assert [each.name for each in without.figures.worst] == ["washer"]


class Killed(BaseException):
    """The process ends here."""


def out_and_back(world: World, killed_after: int | None) -> tuple[int, dict[str, bytes]]:
    """A class is taken out for a sync and put back, each again if killed: the number of writes, and what is there."""
    tool, settings = TasksInMemory(), world.settings(min_new_images=3)
    world.fleet(nodes=4, days=2)
    runs.run(settings, tool, NOW)
    for number, each in enumerate(sorted(tool.tasks)):
        tool.answer(each, [BOLT] if number % 3 == 0 else [BOLT, WASHER], at=NOW)
    runs.run(settings, tool, NOW)
    count, put = 0, artifactstore.put_bytes

    def put_bytes(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        done = put(*args, **kwargs)
        count += 1
        if count == killed_after:
            raise Killed
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifactstore, "put_bytes", put_bytes)
        for classes in (TYPO, CLASSES):
            try:
                runs.run(replace(settings, classes=classes), tool, NOW + HOUR)
            except Killed:
                runs.run(replace(settings, classes=classes), tool, NOW + HOUR)
    return count, world.stored()


def test_killed_after_any_write_it_ends_the_same(tmp_path: Path) -> None:
    writes, stored = out_and_back(World(tmp_path / "whole"), None)
    assert sum("/aside-" in name for name in stored) == 1
    for number in range(1, writes + 1):
        assert out_and_back(World(tmp_path / str(number)), number)[1] == stored, f"killed after write {number}"
