"""COCO annotations: what becomes of boxes, categories and crowds, where images are looked for, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trees

from detectiondata import coco, jsonstream
from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched, Format
from detectiondata.jsonstream import Malformed
from detectiondata.labels import Row
from detectiondata.source import CheckedSource, check_source

Json = dict[str, Any]

CATEGORIES = [{"id": 7, "name": "nut", "supercategory": "part"}, {"id": 3, "name": "bolt", "supercategory": "part"}]


def annotation(image: Any = 1, category: Any = 3, bbox: Any = (6, 6, 12, 6), **more: Any) -> Json:
    return {"id": 11, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0, **more}


def document(*annotations: Json, images: Any = None, categories: Any = CATEGORIES) -> Json:
    one = {"id": 1, "file_name": "a.jpg", "width": 24, "height": 24, "license": 1}
    return {
        "info": {"year": 2026},
        "licenses": [{"id": 1}],
        "images": [one] if images is None else images,
        "annotations": list(annotations),
        "categories": categories,
    }


def read(content: Json) -> coco.Annotations:
    found = coco.read(io.StringIO(json.dumps(content)), "x.json")
    assert found is not None
    return found


# --- one file ---------------------------------------------------------------------------------------------------------


def test_boxes_become_fractions_and_categories_become_classes_by_their_ids_order() -> None:
    content = read(document(annotation(), annotation(), annotation(category=7, bbox=[0, 0, 24, 24])))
    assert content.names == ("bolt", "nut")
    [image] = content.images
    assert (image.name, image.width, image.height) == ("a.jpg", 24, 24)
    assert image.rows == (Row(0, (0.5, 0.375, 0.5, 0.25)), Row(1, (0.5, 0.5, 1.0, 1.0)))
    assert content.problems == ()


def test_the_order_of_the_sections_does_not_matter() -> None:
    straight = document(annotation())
    assert read(dict(reversed(straight.items()))) == read(straight)


@pytest.mark.parametrize(
    ("entry", "rows", "counts"),
    [
        pytest.param(
            annotation(bbox=None, segmentation=[[6, 6, 18, 6, 18, 12], [6, 6, 7, 6, 7, 7]]),
            (Row(0, (0.5, 0.375, 0.5, 0.25)),),
            (0, 1, 0),
            id="the box of an outline",
        ),
        pytest.param(
            annotation(bbox=None, segmentation={"size": [24, 24], "counts": "f46b0000000000000000000000Z4"}),
            (Row(0, (0.5, 0.375, 0.5, 0.25)),),
            (0, 1, 0),
            id="the box of a mask",
        ),
        pytest.param(
            annotation(bbox=None, segmentation={"size": [24, 24], "counts": [576]}), (), (0, 1, 1), id="an empty mask"
        ),
        pytest.param(annotation(bbox=[6, 6, 0, 5]), (), (0, 0, 1), id="no area"),
        pytest.param(
            annotation(bbox=[-0.2, 12, 12.2, 12.2]), (Row(0, (0.25, 0.75, 0.5, 0.5)),), (0, 0, 0), id="clipped"
        ),
        pytest.param(annotation(bbox=[24, 0, 0.2, 5]), (), (0, 0, 1), id="nothing is left of it"),
    ],
)
def test_what_is_counted(entry: Json, rows: tuple[Row, ...], counts: tuple[int, int, int]) -> None:
    content = read(document(entry))
    assert content.problems == ()
    assert content.images[0].rows == rows
    assert (content.crowds, content.outlined, content.flat) == counts


@pytest.mark.parametrize("mark", [1, "1", True, 1.0])
def test_a_crowd_is_left_out(mark: Any) -> None:
    content = read(document(annotation(iscrowd=mark, bbox=[0, 0, 24, 24]), *[annotation()] * 9))
    assert (content.listed, content.crowds, content.masks) == (10, 1, 0)
    assert content.images[0].rows == (Row(0, (0.5, 0.375, 0.5, 0.25)),)


def test_masks_alone_are_crowds_like_others() -> None:
    mask = {"size": [24, 24], "counts": "f46b0000000000000000000000Z4"}
    alone = annotation(iscrowd=1, bbox=None, segmentation=mask)
    few = read(document(alone, *[annotation()] * 9))
    assert (few.crowds, few.masks, few.outlined, few.problems) == (1, 0, 0, ())
    all_of_them = read(document(*[alone] * 2))
    assert (all_of_them.crowds, all_of_them.masks, all_of_them.outlined) == (0, 2, 2)
    assert all_of_them.images[0].rows == (Row(0, (0.5, 0.375, 0.5, 0.25)),)


@pytest.mark.parametrize("mark", [0, "0", False, None, 0.0, ""])
def test_what_marks_no_crowd(mark: Any) -> None:
    content = read(document(annotation(iscrowd=mark)))
    assert (content.crowds, content.masks, len(content.images[0].rows)) == (0, 0, 1)


def test_too_many_crowds_are_masks_of_objects() -> None:
    content = read(document(annotation(iscrowd=1, bbox=[0, 0, 24, 24]), *[annotation()] * 8))
    assert (content.listed, content.crowds, content.masks) == (9, 0, 1)
    assert len(content.images[0].rows) == 2


@pytest.mark.parametrize(("image", "category"), [("1", 3.0), (1.0, "3"), ("1", "3")])
def test_ids_and_sizes_may_be_texts_or_floats(image: Any, category: Any) -> None:
    sized = [{"id": image, "file_name": "a.jpg", "width": "24", "height": 24.0}]
    content = read(document(annotation(image=1, category=category, bbox=["6", 6, "12.0", 6]), images=sized))
    assert content.problems == ()
    assert content.images[0].rows == (Row(0, (0.5, 0.375, 0.5, 0.25)),)


@pytest.mark.parametrize(
    ("content", "kind", "detail"),
    [
        (
            document(annotation(bbox=[6, 6, 19, 6])),
            "boxes outside their image",
            "annotation 11 of a.jpg: 6 6 19 6 in 24x24",
        ),
        (document(annotation(bbox=[-1, 6, 5, 6])), "boxes outside their image", "annotation 11 of a.jpg: -1 6 5 6 in"),
        (document(annotation(bbox=[6, 6, -2, 6])), "boxes of negative size", "annotation 11 of a.jpg: 6 6 -2 6"),
        (document(annotation(bbox=[1, 2, 3])), "boxes that are not four finite numbers", "annotation 11: [1, 2, 3]"),
        (
            document(annotation(bbox=[1, 2, 3, float("nan")])),
            "boxes that are not four finite numbers",
            "annotation 11: [1, 2, 3, nan]",
        ),
        (document(annotation(bbox=[1, 2, 3, 10**400])), "boxes that are not four finite numbers", "annotation 11: ["),
        (document(annotation(bbox="6 6 2 2")), "boxes that are not four finite numbers", "annotation 11: '6 6 2 2'"),
        (document(annotation(bbox=[])), "annotations with neither a bbox, a polygon nor a mask", "annotation 11"),
        (
            document(annotation(bbox=None, segmentation={"counts": "x", "size": [24, 24]})),
            "masks (RLE) that can't be read, of annotations without a bbox",
            "annotation 11: counts are not as pycocotools writes them",
        ),
        (
            document(annotation(bbox=None, segmentation={"counts": [8, 4], "size": [3, 4]})),
            "masks of another size than their image",
            "annotation 11: 4x3 of a.jpg in 24x24",
        ),
        (document(annotation(image=9)), "annotations of images that are not listed", "annotation 11: image 9"),
        (document(annotation(category=5)), "annotations of unknown categories", "annotation 11: category 5"),
        (document(annotation(category=None)), "annotations of unknown categories", "annotation 11: category None"),
        (
            document(images=[{"id": 1, "file_name": "a.jpg", "width": 24}]),
            "images without their width and height",
            "image 1 (a.jpg)",
        ),
        (document(images=[{"id": 1, "width": 24, "height": 24}]), "images without an id or a file_name", "image 1"),
        (
            document(images=[{"id": 1, "file_name": f"{name}.jpg", "width": 24, "height": 24} for name in "ab"]),
            "image ids given twice",
            "image 1 (a.jpg and b.jpg)",
        ),
        (document(categories=[{"id": 1}]), "categories without an id or a name", "category 1"),
        (
            document(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]),
            "category ids given twice",
            "category 1 (a and b)",
        ),
        (document(images=["a.jpg"]), "entries of images that are not objects", "images[0]"),
    ],
)
def test_what_is_wrong_is_collected(content: Json, kind: str, detail: str) -> None:
    [problem] = read(content).problems
    assert (problem.kind, problem.file) == (kind, "x.json")
    assert problem.detail.startswith(detail)


def test_a_group_of_categories_that_nothing_uses_is_no_class() -> None:
    roboflow = [{"id": 0, "name": "part", "supercategory": "none"}, *CATEGORIES]
    assert read(document(annotation(), categories=roboflow)).names == ("bolt", "nut")
    assert read(document(annotation(category=0), categories=roboflow)).names == ("part", "bolt", "nut")
    of_itself = [{"id": 1, "name": "person", "supercategory": "person"}]
    assert read(document(categories=of_itself)).names == ("person",)


def test_categories_of_one_name_are_one_class() -> None:
    categories = [{"id": 1, "name": "bolt"}, {"id": 2, "name": "nut"}, {"id": 9, "name": " bolt "}]
    content = read(document(annotation(category=9), annotation(category=2), categories=categories))
    assert content.names == ("bolt", "nut")
    assert [row.index for row in content.images[0].rows] == [0, 1]


@pytest.mark.parametrize("missing", ["images", "annotations", "categories"])
def test_json_of_another_kind_is_none_of_it(missing: str) -> None:
    content = document(annotation())
    del content[missing]
    assert coco.read(io.StringIO(json.dumps(content)), "x.json") is None


# --- the stream -------------------------------------------------------------------------------------------------------


def read_all(text: str) -> dict[str, list[Any]]:
    return {key: list(elements) for key, elements in jsonstream.arrays(io.StringIO(text))}


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_the_stream_reads_what_json_reads(chunk: int, indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonstream, "_CHUNK", chunk)
    whole = {
        "number": 12345,
        "a": [1, 22.5, -3e10, True, None, 'te"xt\\', {"b": [[], {}]}],
        "text": "[{",
        "empty": [],
        "object": {"x": [1, 2]},
        "é": [[1, 2], [3]],
        "last": [123456],
    }
    text = json.dumps(whole, indent=indent, ensure_ascii=False) + "\n"
    read = read_all(text)
    assert read == {key: value for key, value in whole.items() if isinstance(value, list)}
    assert [key for key, _ in jsonstream.arrays(io.StringIO(text))] == list(read)


def test_the_window_stays_small() -> None:
    class Counted(io.StringIO):
        longest = 0

        def read(self, size: int | None = -1) -> str:
            self.longest = max(self.longest, size or 0)
            return super().read(size)

    stream = Counted(json.dumps({"annotations": [annotation()] * 50_000}))
    [(_, elements)] = ((key, sum(1 for _ in found)) for key, found in jsonstream.arrays(stream))
    assert elements == 50_000
    assert stream.longest <= 2 << 20 < len(stream.getvalue())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text ends where { should be, at character 0"),
        ("[1]", "'[' instead of {, at character 0"),
        ('{"a": [1, 2', "the text ends where , or ] should be"),
        ('{"a": [1, }', "Expecting value, at character 10"),
        ('{"a": [1] "b": 2}', "'\"' instead of , or }, at character 10"),
        ('{"a": [1]} {', "something follows the end of the object, at character 11"),
        ("{1: 2}", "a key is 1 and no text"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": [' + "9" * 5000 + "]}", "Exceeds the limit"),
    ],
)
def test_what_is_no_json_object(text: str, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_all(text)
    assert message in str(caught.value)


# --- a folder ---------------------------------------------------------------------------------------------------------


def check(root: Path, format: Format = "Auto") -> CheckedSource:
    return check_source(Fetched("s3://d/parts", root, "0" * 64), format, None)


def listing(*names: str, first: int = 1) -> Json:
    """Annotations of these images, one bolt each."""
    images = [{"id": number, "file_name": name, "width": 24, "height": 24} for number, name in enumerate(names, first)]
    return document(*(annotation(image=image["id"]) for image in images), images=images)


def made(root: Path, images: list[str], files: dict[str, Json]) -> Path:
    trees.write(root, images)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("format", ["Auto", "COCO"])
@pytest.mark.parametrize(
    ("images", "files", "parts"),
    [
        pytest.param(
            ["train2017/0.jpg", "train2017/1.jpg", "val2017/2.jpg", "test2017/3.jpg"],
            {
                "annotations/instances_train2017.json": listing("0.jpg", "1.jpg"),
                "annotations/instances_val2017.json": listing("2.jpg"),
                "annotations/captions_train2017.json": {"images": [], "annotations": []},
                "annotations/person_keypoints_train2017.json": listing("0.jpg"),
                "annotations/image_info_test2017.json": {"images": [], "categories": []},
            },
            {"train": 2, "val": 1},
            id="cocodataset.org",
        ),
        pytest.param(
            ["images/train2017/0.jpg", "images/val2017/0.jpg"],
            {
                "annotations/instances_train2017.json": listing("0.jpg"),
                "annotations/instances_val2017.json": listing("0.jpg"),
            },
            {"train": 1, "val": 1},
            id="images/part, equal names",
        ),
        pytest.param(
            ["train/0.jpg", "train/1.jpg", "valid/0.jpg", "test/0.jpg"],
            {
                "train/_annotations.coco.json": listing("0.jpg", "1.jpg"),
                "valid/_annotations.coco.json": listing("0.jpg"),
                "test/_annotations.coco.json": listing("0.jpg"),
                "README.roboflow.json": {"name": "parts"},
            },
            {"train": 2, "val": 1, "test": 1},
            id="Roboflow",
        ),
        pytest.param(
            ["images/0.jpg", "images/1.jpg"],
            {"result.json": listing("images/0.jpg", "images\\1.jpg")},
            {"train": 2},
            id="one file, no parts",
        ),
        pytest.param(
            ["images/a-0.jpg", "images/a-1.jpg"],
            {"result.json": listing("/home/ann/media/upload/1/a-0.jpg", "../../media/a-1.jpg")},
            {"train": 2},
            id="paths of another machine (Label Studio)",
        ),
        pytest.param(
            ["export/cam1/0.jpg", "export/cam2/0.jpg"],
            {"export/instances_default.json": listing("cam1/0.jpg", "cam2/0.jpg")},
            {"train": 2},
            id="folders below (CVAT)",
        ),
        pytest.param(
            ["data/0.jpg", "data/1.jpg"],
            {"coco-train.json": listing("data/0.jpg"), "coco_val.json": listing("data/1.jpg")},
            {"train": 1, "val": 1},
            id="parts by the file's name alone",
        ),
        pytest.param(
            ["cam1/0.jpg", "cam2/0.jpg"],
            {"cam1/annotations.json": listing("0.jpg"), "cam2/annotations.json": listing("0.jpg")},
            {"train": 2},
            id="several files of a part, the nearest image",
        ),
    ],
)
def test_layouts(images: list[str], files: dict[str, Json], parts: dict[str, int], format: Format, tmp_path: Path):
    source = check(made(tmp_path, images, files), format)
    assert {part: len(samples) for part, samples in source.parts.items()} == parts
    assert source.names == ("bolt", "nut")
    for part, samples in source.parts.items():
        for sample in samples:
            assert sample.rows == (Row(0, (0.5, 0.375, 0.5, 0.25)),)
            assert sample.labelled
            if part != "train":
                assert {"val": "val", "test": "test"}[part] in str(sample.image) or "1.jpg" in sample.image.name


def test_classes_are_joined_by_name_over_the_files(tmp_path: Path) -> None:
    other = listing("1.jpg")
    other["categories"] = [{"id": 3, "name": "washer"}, {"id": 4, "name": "bolt"}]
    made(tmp_path, ["train/0.jpg", "val/1.jpg"], {"train/a.json": listing("0.jpg"), "val/a.json": other})
    source = check(tmp_path)
    assert source.names == ("bolt", "nut", "washer")
    assert [row.index for row in source.parts["val"][0].rows] == [2]


def test_where_both_lie_somebody_says_which_count(tmp_path: Path) -> None:
    made(tmp_path, [*trees.pairs("images/{}.jpg", "labels/{}.txt")], {"a.json": listing("0.jpg", "1.jpg")})
    (tmp_path / "classes.txt").write_text("washer\n")
    with pytest.raises(DatasetError) as both:
        check(tmp_path)
    assert both.value.message == (
        "s3://d/parts holds COCO annotations, 1 file (a.json), and YOLO labels, 2 files (labels/0.txt, labels/1.txt); "
        "remove those that are wrong, or say which count with format: COCO or format: YOLO"
    )
    assert check(tmp_path, "YOLO").names == ("washer",)
    assert check(tmp_path, "COCO").names == ("bolt", "nut")
    for label in (tmp_path / "labels").iterdir():
        label.unlink()
    with pytest.raises(DatasetError, match="holds no label for any of its 2 images"):
        check(tmp_path, "YOLO")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    content = listing("0.jpg")
    content["annotations"] += [
        annotation(iscrowd=1),
        annotation(bbox=[1, 1, 0, 0]),
        annotation(bbox=None, segmentation=[[1, 1, 2, 2, 3, 1]]),
        *[annotation()] * 8,
    ]
    source = check(made(tmp_path, ["0.jpg", "1.jpg", "2.jpg"], {"a.json": content}))
    assert source.notes == (
        "s3://d/parts: 1 annotations without a bbox took that of their polygons or mask",
        "s3://d/parts: left out: 2 images in no annotation file (1.jpg, 2.jpg)",
        "s3://d/parts: left out: 1 annotation of crowds (iscrowd)",
        "s3://d/parts: left out: 1 annotation without area",
        "s3://d/parts: left out: 8 annotations that are the same as another of their image",
    )


def sized(name: str, width: int, height: int) -> Json:
    content = listing(name)
    content["images"][0] |= {"width": width, "height": height}
    return content


@pytest.mark.parametrize(
    ("images", "files", "message"),
    [
        (
            ["0.jpg"],
            {"a.json": listing("0.jpg", "7.jpg", "8.jpg")},
            "s3://d/parts (1 images) has images that are listed and not there: 2 (a.json 7.jpg; a.json 8.jpg)",
        ),
        (
            ["cam2/0.jpg"],
            {"a.json": listing("cam1/0.jpg")},
            "images that are listed and not there: 1 (a.json cam1/0.jpg)",
        ),
        (
            ["x/0.jpg", "y/0.jpg"],
            {"a.json": listing("0.jpg")},
            "image names that fit several files: 1 (a.json 0.jpg: x/0.jpg, y/0.jpg)",
        ),
        (
            ["0.jpg"],
            {"train.json": listing("0.jpg"), "val.json": listing("0.jpg")},
            "images listed twice: 1 (val.json 0.jpg, before in train.json)",
        ),
        (
            ["0.jpg"],
            {"a.json": sized("0.jpg", 48, 24)},
            "images of another size than annotated: 1 (0.jpg annotated as 48x24 pixels and about 24x24)",
        ),
        (
            ["0.jpg", "1.jpg"],
            {"a.json": listing("0.jpg"), "train.json": listing("1.jpg")},
            "s3://d/parts: a.json says neither by its name nor by its folder whether it is train, val or test",
        ),
        (["0.jpg"], {"a.json": document()}, "images that are listed and not there: 1 (a.json a.jpg)"),
        (["a.jpg"], {"a.json": document()}, "none of the 1 images of train has a labelled object"),
        (["a.jpg"], {"a.json": {"shapes": []}}, "holds no label for any of its 1 images"),
    ],
)
def test_what_is_refused(images: list[str], files: dict[str, Json], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        check(made(tmp_path, images, files))
    assert caught.value.reason == "DatasetInvalid"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "s3://d/parts: a.json is not JSON: "),
        (lambda text: text.replace("bolt", "b\udcfflt"), "s3://d/parts: a.json is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_broken_annotation_file(damage: Callable[[str], str], message: str, tmp_path: Path) -> None:
    made(tmp_path, ["0.jpg"], {})
    text = damage(json.dumps(listing("0.jpg")))
    (tmp_path / "a.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DatasetError) as caught:
        check(tmp_path)
    assert message in caught.value.message


def test_all_that_is_wrong_in_a_coco_dataset_is_said_at_once(tmp_path: Path) -> None:
    content = listing(*(f"{number}.jpg" for number in range(6)))
    for entry in content["annotations"][:5]:
        entry["bbox"] = [0, 0, 99, 2]
    made(tmp_path, [f"{number}.jpg" for number in range(6)], {"a.json": content})
    (tmp_path / "5.jpg").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        check(tmp_path)
    assert caught.value.message == (
        "s3://d/parts (6 images) has boxes outside their image: 5 ("
        "a.json annotation 11 of 0.jpg: 0 0 99 2 in 24x24; a.json annotation 11 of 1.jpg: 0 0 99 2 in 24x24; "
        "a.json annotation 11 of 2.jpg: 0 0 99 2 in 24x24; ...), images that can't be read: 1 (5.jpg empty, cut short "
        "or no picture)"
    )
