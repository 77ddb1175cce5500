"""What is wrong with a dataset is said exactly: how many files, and the first of them with line and value."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trees
from PIL import Image

from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched
from detectiondata.labels import Bad, Row, parse
from detectiondata.picture import read_picture
from detectiondata.source import CheckedSource, check_source

GOOD = "0 0.5 0.5 0.2 0.2\n"


def make(root: Path, count: int = 4) -> Path:
    trees.write(root, trees.pairs("train/images/{}.jpg", "train/labels/{}.txt", count))
    trees.write(root, trees.pairs("val/images/{}.jpg", "val/labels/{}.txt", 2), start=50)
    (root / "data.yaml").write_text("names: [bolt, nut, washer]\n")
    return root


def check(root: Path) -> CheckedSource:
    return check_source(Fetched("s3://d/parts.tar", root, "0" * 64), "Auto", None)


def test_a_good_dataset_passes(tmp_path: Path) -> None:
    source = check(make(tmp_path))
    assert source.names == ("bolt", "nut", "washer")
    assert {part: len(samples) for part, samples in source.parts.items()} == {"train": 4, "val": 2}
    assert source.parts["train"][0].rows == (Row(0, (0.5, 0.5, 0.2, 0.2)),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 1.5 0.2 0.2", "with coordinates outside 0 to 1: 1 (train/labels/1.txt line 2: 1.5; they are fractions"),
        ("0 320 240 64 64", "with coordinates outside 0 to 1: 1 (train/labels/1.txt line 2: 320; they are fractions"),
        ("0 -0.2 0.5 0.2 0.2", "outside 0 to 1: 1 (train/labels/1.txt line 2: -0.2"),
        ("0 nan 0.5 0.2 0.2", "with NaN or infinite values: 1 (train/labels/1.txt line 2: 0 nan 0.5 0.2 0.2"),
        ("0 0.5 inf 0.2 0.2", "with NaN or infinite values: 1 ("),
        (
            "3 0.5 0.5 0.2 0.2",
            "with a class index too high: 1 (train/labels/1.txt line 2: class 3, and there are 3: 0 to 2",
        ),
        ("1.5 0.5 0.5 0.2 0.2", "with a class that is not an index: 1 (train/labels/1.txt line 2: 1.5"),
        ("-1 0.5 0.5 0.2 0.2", "with a class that is not an index: 1 ("),
        ("bolt 0.5 0.5 0.2 0.2", "with something that is not a number: 1 (train/labels/1.txt line 2: bolt 0.5"),
        ("0 0.5 0.5 0.2", "with a wrong number of columns: 1 (train/labels/1.txt line 2: 4 instead of 5"),
        ("0 0.5 0.5 0.2 0.2 0.9", "with a wrong number of columns: 1 (train/labels/1.txt line 2: 6 instead of 5"),
        ("0 0.5 0.5 0 0.2", "with a box without area: 1 (train/labels/1.txt line 2"),
        ("0 0.1 0.1 0.1 0.2 0.1 0.3", "with a box without area: 1 (train/labels/1.txt line 2"),
        ("0 0.1 0.1 0.5 0.5", "with boxes that leave their image: 1 (train/labels/1.txt line 2: to -0.15; YOLO's"),
    ],
)
def test_bad_label_lines(line: str, message: str, tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train/labels/1.txt").write_text(GOOD + line + "\n")
    with pytest.raises(DatasetError) as caught:
        check(tmp_path)
    assert caught.value.reason == "DatasetInvalid"
    assert caught.value.message.startswith("s3://d/parts.tar (6 images) has label files ")
    assert message in caught.value.message


def test_labels_that_are_binary(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train/labels/1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"has label files that are not text: 1 \(train/labels/1\.txt\)"):
        check(tmp_path)


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "no end", "png cut"])
def test_images_that_cannot_be_read(kind: str, tmp_path: Path) -> None:
    make(tmp_path)
    whole = trees.picture(1)
    png = trees.picture(1, ".png")
    content = {
        "empty": b"",
        "text": b"<html>404 Not Found</html>",
        "cut": whole[:200],
        "no end": whole[:-2],
        "png cut": png[: len(png) // 2],
    }[kind]
    (tmp_path / "train/images/1.jpg").write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        check(tmp_path)
    told = "images that can't be read: 1 (train/images/1.jpg empty, cut short or no picture)"
    assert caught.value.message == f"s3://d/parts.tar (6 images) has {told}"


def _jpeg(**how: Any) -> bytes:
    """Large enough for damage to have a place in its middle."""
    pixels = np.random.default_rng(5).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **how)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("how", "damage"),
    [
        ({}, "cut"),
        ({"progressive": True}, "cut"),
        ({"restart_marker_rows": 1}, "cut"),
        ({}, "a piece is missing"),
        ({"restart_marker_rows": 1}, "a piece is missing"),
    ],
    ids=str,
)
def test_a_jpeg_with_its_end_and_not_its_middle_is_not_whole(how: dict[str, Any], damage: str, tmp_path: Path) -> None:
    make(tmp_path)
    whole = _jpeg(**how)
    middle = len(whole) // 2
    (tmp_path / "train/images/0.jpg").write_bytes(whole)
    damaged = whole[:middle] + (b"\xff\xd9" if damage == "cut" else whole[middle + len(whole) // 4 :])
    (tmp_path / "train/images/1.jpg").write_bytes(damaged)
    with pytest.raises(DatasetError) as caught:
        check(tmp_path)
    assert caught.value.message == (
        "s3://d/parts.tar (6 images) has images that can't be read: 1 (train/images/1.jpg damaged, or cut short in the "
        "middle: a part of it is missing)"
    )


def test_bytes_too_many_before_the_end_of_a_jpeg_leave_it_whole(tmp_path: Path) -> None:
    """The decoder says that of what some cameras write, and all of the picture is there."""
    make(tmp_path)
    (tmp_path / "train/images/1.jpg").write_bytes(_jpeg()[:-2] + bytes(7) + b"\xff\xd9")
    assert len(check(tmp_path).parts["train"]) > 1


def test_all_that_is_wrong_is_said_at_once_with_counts(tmp_path: Path) -> None:
    make(tmp_path, 20)
    for number in range(7):
        (tmp_path / f"train/labels/{number}.txt").write_text("0 9 9 1 1\n")
    for number in range(7, 9):
        (tmp_path / f"train/images/{number}.jpg").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        check(tmp_path)
    message = caught.value.message
    assert "(22 images) has label files with coordinates outside 0 to 1: 7 (train/labels/0.txt line 1: 9; " in message
    assert message.count("train/labels/") == 3
    assert "; ...), images that can't be read: 2 (train/images/7.jpg" in message
    assert len(message) <= 1024


def test_images_without_any_object(tmp_path: Path) -> None:
    make(tmp_path)
    for label in (tmp_path / "val/labels").iterdir():
        label.write_text("")
    with pytest.raises(DatasetError, match="none of the 2 images of val has a labelled object"):
        check(tmp_path)


def test_a_dataset_without_class_names(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DatasetError, match=r"names no classes; add a data\.yaml"):
        check(tmp_path)
    source = check_source(Fetched("uri", tmp_path, ""), "Auto", ("bolt",))
    assert source.names == ("bolt",)


def test_coco_annotations_that_are_asked_for_and_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"uri holds no COCO annotations, a \.json file with images, annotations and categ"
    ):
        check_source(Fetched("uri", make(tmp_path), ""), "COCO", None)


def test_bytes_after_the_picture_are_no_fault() -> None:
    for suffix in (".jpg", ".png"):
        whole = trees.picture(1, suffix)
        for content in (whole, whole + b"\0\0camera trailer"):
            picture = read_picture(content)
            assert picture is not None
            assert (picture.length, picture.thumb) == (len(whole), (3, 3))


def test_what_label_files_may_hold() -> None:
    rows = parse("\ufeff".strip("\ufeff") + "0 0.5 0.5 0.2 0.2\n\n0 0.5 0.5 0.2 0.2\n1.0 0.905 0.5 0.2 0.2\r\n", 2)
    assert rows == [Row(0, (0.5, 0.5, 0.2, 0.2)), Row(1, (0.905, 0.5, 0.2, 0.2))]
    assert parse("", 1) == []
    assert parse("0 1.005 0.5 0.001 0.2", 1) == [Row(0, (1.0, 0.5, 0.001, 0.2))]  # within the tolerance: clipped
    assert parse("0 0.1 0.1 0.2 0.1 0.2 0.2", 1) == [Row(0, (0.1, 0.1, 0.2, 0.1, 0.2, 0.2))]
    with pytest.raises(Bad, match="with a class index too high"):
        parse("1 0.5 0.5 0.2 0.2", 1)
