"""Reviewed labels as files: matched to captures whatever a tool made of their names; what fits nothing is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from labeling_world import BOLT, HEIGHT, WIDTH, World, capture, picture

from detectiondata.captures import Capture, Detection
from detectiondata.problems import Problem
from detectiondata.version import Box
from labeler import files
from labeler.failure import Failure
from labeler.files import Matched
from labeler.settings import Format
from labeler.tasks import Review

A, B, C = capture(1), capture(2, "n2"), capture(3, detections=())
STEM = A.key.text.rpartition("/")[2]
LINE = "1 0.21875 0.25 0.3125 0.333333\n"  # BOLT in 64x48
NAMES = "names: [washer, bolt]\n"
BOX = Box("bolt", BOLT.x1, BOLT.y1, BOLT.x2, BOLT.y2)


def write(root: Path, content: Mapping[str, str | bytes]) -> World:
    for name, text in content.items():
        path = root / "reviewed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return World(root)


def read(world: World, format: Format = "Auto", of: tuple[Capture, ...] = (A, B, C)) -> Matched:
    return files.read(replace(world.files_settings, format=format), [each.key for each in of])


def of(matched: Matched, captured: Capture) -> Review:
    found = files.review(matched.labels[captured.key], captured)
    assert isinstance(found, Review)
    return found


@pytest.mark.parametrize(
    "name",
    [
        f"{STEM}.txt",
        f"labels/train/{STEM}.txt",
        f"{A.key.text}.txt",
        f"obj_train_data/{A.key.text}.txt",
        f"train/labels/{STEM.replace('.', '-')}_jpg.rf.0123456789abcdef0123456789abcdef.txt",  # as Roboflow names them
        f"labels/a1b2c3d4-{STEM}.txt",  # as Label Studio names uploads
        f"{A.sha256[:8]}.txt",
    ],
)
def test_a_yolo_label_finds_its_capture(name: str, tmp_path: Path) -> None:
    matched = read(write(tmp_path, {name: LINE, "data.yaml": NAMES}))
    assert matched.problems == ()
    assert list(matched.labels) == [A.key]
    said = of(matched, A)
    assert (said.key, said.source, said.blind, said.edited) == (A.key.image, "files", False, False)
    [box] = said.boxes
    assert box.label == "bolt"
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((4, 4, 24, 20), abs=0.01)


def test_a_label_under_any_name_is_found_by_the_image_beside_it(tmp_path: Path) -> None:
    world = write(tmp_path, {"labels/1.txt": LINE, "images/1.jpg": picture(2), "classes.txt": "washer\nbolt\n"})
    assert list(read(world).labels) == [B.key]


def test_two_of_one_name_are_told_apart_by_their_path(tmp_path: Path) -> None:
    twin = replace(A, key=replace(A.key, text=A.key.text.replace("line/n1", "line/n9")))
    world = write(tmp_path, {f"{twin.key.text}.txt": LINE, "data.yaml": NAMES})
    assert list(read(world, of=(A, twin)).labels) == [twin.key]
    matched = read(write(tmp_path / "b", {f"{STEM}.txt": LINE, "data.yaml": NAMES}), of=(A, twin))
    assert [problem.kind for problem in matched.problems] == ["labels that fit several captures"]


def test_what_fits_no_capture_is_named_and_lists_of_names_are_no_labels(tmp_path: Path) -> None:
    content = {f"{STEM}.txt": "", "other.txt": LINE, "data.yaml": NAMES, "train.txt": "images/a.jpg\n"}
    matched = read(write(tmp_path, content | {"README.dataset.txt": "hello", ".hidden/x.txt": "x"}))
    assert matched.problems == (Problem("labels that fit no capture", "other.txt", ""),)
    said = of(matched, A)
    assert (said.boxes, said.edited) == ((), True)  # a person found nothing where the model had found a bolt


def test_a_label_that_makes_no_sense_leaves_out_its_image_alone(tmp_path: Path) -> None:
    content = {f"{STEM}.txt": "7 0.5 0.5 0.1 0.1\n", f"{B.key.text}.txt": LINE, "data.yaml": NAMES}
    content |= {f"{C.key.text}.txt": "0 12 13 14 15\n"}
    matched = read(write(tmp_path, content))
    assert list(matched.labels) == [B.key]
    assert {problem.kind for problem in matched.problems} == {
        "label files with a class index too high",
        "label files with coordinates outside 0 to 1",
    }


def test_copies_that_a_tool_has_turned_are_refused_and_a_newer_export_wins(tmp_path: Path) -> None:
    turned = {f"labels/{STEM}_jpg.rf.{number}.txt": f"1 0.5 0.5 0.{number} 0.2\n" for number in (1, 2)}
    matched = read(write(tmp_path, turned | {"data.yaml": NAMES}))
    assert matched.labels == {}
    assert [problem.kind for problem in matched.problems] == ["labels of one capture that contradict each other"]
    world = write(tmp_path / "b", {f"first/{STEM}.txt": LINE, f"second/{STEM}.txt": "", "data.yaml": NAMES})
    assert of(read(world), A).boxes == ()


def coco(name: str, **changes: Any) -> str:
    document: dict[str, Any] = {
        "categories": [{"id": 7, "name": "bolt"}],
        "images": [
            {"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT},
            {"id": 2, "file_name": C.key.image, "width": WIDTH * 2, "height": HEIGHT * 2},
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [4, 4, 20, 16]}],
    }
    return json.dumps(document | changes)


@pytest.mark.parametrize("name", [A.key.image, f"{STEM}.jpg", f"C:\\data\\{STEM}.jpg", f"images/{A.sha256}.jpg"])
def test_coco_annotations_find_their_captures(name: str, tmp_path: Path) -> None:
    matched = read(write(tmp_path, {"annotations/instances.json": coco(name)}))
    assert set(matched.labels) == {A.key, C.key}
    [box] = of(matched, A).boxes
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((BOX.x1, BOX.y1, BOX.x2, BOX.y2))
    assert box.label == "bolt"
    assert of(matched, A).edited is False
    assert of(matched, C).boxes == ()  # listed without annotations: empty. It was scaled, in the same shape


def test_an_image_of_another_shape_is_named(tmp_path: Path) -> None:
    turned = [{"id": 1, "file_name": A.key.image, "width": HEIGHT, "height": WIDTH}]
    matched = read(write(tmp_path, {"instances.json": coco("", images=turned, annotations=[])}))
    found = files.review(matched.labels[A.key], A)
    assert isinstance(found, Problem)
    assert found.detail == f"{A.key.image}: 48x64, captured as 64x48"


def test_other_json_is_named(tmp_path: Path) -> None:
    content = {"instances.json": coco(A.key.image), "notes.json": '{"a": 1}', "cut.json": '{"a": ['}
    matched = read(write(tmp_path, content))
    assert len(matched.labels) == 2
    assert {(problem.kind, problem.file) for problem in matched.problems} == {
        ("JSON files that are not COCO annotations", "notes.json"),
        ("JSON files that can't be read", "cut.json"),
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({f"{STEM}.txt": LINE}, "names no classes; add a data.yaml"),
        ({f"{STEM}.txt": LINE, "data.yaml": "names: [a\n"}, "data.yaml is not YAML"),
        ({f"{STEM}.txt": LINE, "data.yaml": "names: [a, a]\n"}, "gives the class name 'a' twice"),
        (
            {
                "instances.json": coco(
                    A.key.image, annotations=[{"id": 1, "image_id": 9, "category_id": 7, "bbox": [1] * 4}]
                )
            },
            "annotations of images that are not listed",
        ),
    ],
)
def test_a_folder_that_nobody_can_understand_ends_the_run(content: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=told) as caught:
        read(write(tmp_path, content))
    assert (caught.value.reason, caught.value.exit_code) == ("ReviewedLabelsInvalid", 64)


POSE = LINE.strip() + " 0.2 0.2 0.25 0.3\n"  # two points in the box


def test_of_keypoints_behind_a_box_the_box_is_taken(tmp_path: Path) -> None:
    """As polygons, each box would be another one."""
    matched = read(write(tmp_path, {f"{STEM}.txt": POSE, "data.yaml": f"{NAMES}kpt_shape: [2, 2]\n"}))
    [box] = of(matched, A).boxes
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((4, 4, 24, 20), abs=0.01)


def test_keypoints_of_which_nobody_says_how_many_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"1 0.2{digit} 0.25 0.3125 0.333333 0.2 0.2 0.25 0.3\n" for digit in range(5))
    with pytest.raises(Failure, match="keypoints behind each box, not polygons; say how many"):
        read(write(tmp_path, {f"{STEM}.txt": rows, "data.yaml": NAMES}))


def test_coco_annotations_that_are_passed_over_for_label_files_are_named(tmp_path: Path) -> None:
    """Somebody exported once as YOLO and once as COCO into the same folder."""
    content = {f"{STEM}.txt": LINE, "data.yaml": NAMES, "instances.json": coco(B.key.image), "notes.json": "{}"}
    matched = read(write(tmp_path, content))
    assert list(matched.labels) == [A.key]
    [problem] = matched.problems
    assert problem.file == "instances.json"
    assert problem.kind.startswith("COCO annotations beside label files, which alone count")
    assert read(write(tmp_path, content), "YOLO").problems == ()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("job_7.zip", "archives among the labels"),  # as CVAT exports
        ("2026/export.TAR.GZ", "archives among the labels"),
        (f"Annotations/{STEM}.xml", "neither images nor labels"),  # Pascal VOC
        ("annotations.csv", "neither images nor labels"),
        ("labels.jsonl", "neither images nor labels"),
    ],
)
@pytest.mark.parametrize("beside", [{}, {f"{STEM}.txt": LINE, "data.yaml": NAMES, "images/a.JPG": "x", ".cache/x": ""}])
def test_an_export_that_is_not_read_is_named(name: str, told: str, beside: dict[str, str], tmp_path: Path) -> None:
    """Else images wait for labels that have come long ago."""
    [problem] = read(write(tmp_path, beside | {name: "x"})).problems
    assert problem.file == name
    assert told in problem.kind


def test_a_label_file_that_is_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = write(tmp_path, {"instances.json": coco(A.key.image)})
    monkeypatch.setattr(files, "_TEXT_LIMIT", 10)
    matched = read(world)
    assert matched.labels == {}
    assert [(each.file, "MiB (divide them)" in each.kind) for each in matched.problems] == [("instances.json", True)]


@pytest.mark.parametrize("note", ["made by Ann, night shift\n", ""])
def test_a_note_beside_coco_annotations_makes_no_yolo_of_them(note: str, tmp_path: Path) -> None:
    content = {"instances.json": coco(A.key.image), "notes.txt": note}
    matched = read(write(tmp_path, content))
    assert set(matched.labels) == set(read(write(tmp_path / "alone", content | {"notes.txt": "x"}), "COCO").labels)
    assert A.key in matched.labels
    [problem] = matched.problems
    assert problem.file == "notes.txt"
    assert problem.kind.startswith("text files beside COCO annotations, which alone count")


def test_an_empty_folder_is_nothing_yet(tmp_path: Path) -> None:
    assert read(World(tmp_path)) == Matched({}, ())


@pytest.mark.parametrize(
    ("boxes", "edited"),
    [
        ([BOLT], False),
        ([replace(BOLT, x1=BOLT.x1 + 0.5)], False),
        ([replace(BOLT, x1=BOLT.x1 + 1)], True),
        ([replace(BOLT, label="washer")], True),
        ([BOLT, BOLT], True),
        ([], True),
    ],
)
def test_what_is_as_the_model_found_it_is_not_edited(boxes: list[Detection], edited: bool) -> None:
    given = [Box(each.label, each.x1, each.y1, each.x2, each.y2) for each in boxes]
    assert files._accepted(given, A) is not edited


def test_labelme_beside_label_files_is_named(tmp_path: Path) -> None:
    shapes = json.dumps({"shapes": [{"label": "bolt", "points": [[1, 2], [9, 9]]}], "imagePath": "b.jpg"})
    content = {f"{STEM}.txt": LINE, "data.yaml": NAMES, "b.json": shapes, "info.json": "{}"}
    matched = read(write(tmp_path, content))
    assert matched.problems == (Problem("JSON files that are not COCO annotations", "b.json", ""),)
