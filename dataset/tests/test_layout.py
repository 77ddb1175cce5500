"""Every layout people give a YOLO dataset, and what is said of folders that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import trees

from detectiondata.errors import DatasetError
from detectiondata.layout import detect

NAMES = "names: [bolt, nut]\n"


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        pytest.param(
            trees.pairs("train/images/{}.jpg", "train/labels/{}.txt")
            + trees.pairs("valid/images/{}.png", "valid/labels/{}.txt"),
            {"train": 2, "val": 2},
            id="part/images (Roboflow)",
        ),
        pytest.param(
            trees.pairs("images/train/{}.jpg", "labels/train/{}.txt")
            + trees.pairs("images/val/{}.jpg", "labels/val/{}.txt"),
            {"train": 2, "val": 2},
            id="images/part (ultralytics)",
        ),
        pytest.param(
            trees.pairs("images/train2017/{}.jpg", "labels/train2017/{}.txt")
            + trees.pairs("images/val2017/{}.jpg", "labels/val2017/{}.txt"),
            {"train": 2, "val": 2},
            id="images/part with a year (COCO)",
        ),
        pytest.param(
            trees.pairs("parts-v7/train/images/{}.jpg", "parts-v7/train/labels/{}.txt")
            + trees.pairs("parts-v7/test/images/{}.jpg", "parts-v7/test/labels/{}.txt"),
            {"train": 2, "test": 2},
            id="one level down",
        ),
        pytest.param(
            trees.pairs("export/parts/images/train/{}.jpg", "export/parts/labels/train/{}.txt")
            + trees.pairs("export/parts/images/validation/{}.jpg", "export/parts/labels/validation/{}.txt"),
            {"train": 2, "val": 2},
            id="two levels down",
        ),
        pytest.param(trees.pairs("images/{}.jpg", "labels/{}.txt"), {"train": 2}, id="no parts"),
        pytest.param(trees.pairs("{}.jpg", "{}.txt"), {"train": 2}, id="flat"),
        pytest.param(
            trees.pairs("obj_train_data/{}.jpg", "obj_train_data/{}.txt"), {"train": 2}, id="flat in a folder (CVAT)"
        ),
        pytest.param(
            trees.pairs("train/{}.jpg", "train/{}.txt") + trees.pairs("valid/{}.jpg", "valid/{}.txt"),
            {"train": 2, "val": 2},
            id="labels beside (Darknet)",
        ),
        pytest.param(
            trees.pairs("Train/Images/{}.JPG", "Train/Labels/{}.txt")
            + trees.pairs("Val/Images/{}.JPG", "Val/Labels/{}.txt"),
            {"train": 2, "val": 2},
            id="capitals",
        ),
        pytest.param(
            trees.pairs("images/train/cam1/{}.jpg", "labels/train/cam1/{}.txt")
            + trees.pairs("images/train/cam2/{}.jpg", "labels/train/cam2/{}.txt"),
            {"train": 4},
            id="folders below",
        ),
        pytest.param(
            [
                *trees.pairs("train/images/{}.jpg", "train/labels/{}.txt"),
                "__MACOSX/train/images/._0.jpg",
                ".trash/9.jpg",
            ],
            {"train": 2},
            id="litter of an operating system",
        ),
    ],
)
@pytest.mark.parametrize("described", ["data.yaml", "classes.txt"])
def test_layouts(files: list[str], parts: dict[str, int], described: str, tmp_path: Path) -> None:
    trees.write(tmp_path, files)
    (tmp_path / described).write_text(NAMES if described == "data.yaml" else "bolt\nnut\n")
    layout = detect(tmp_path, "uri")
    assert {part: len(samples) for part, samples in layout.parts.items()} == parts
    assert layout.names == ("bolt", "nut")
    for samples in layout.parts.values():
        for sample in samples:
            assert sample.label is not None
            assert (tmp_path / sample.label).stem == (tmp_path / sample.image).stem
            assert (tmp_path / sample.label).is_file()


@pytest.mark.parametrize(
    ("yaml", "parts"),
    [
        pytest.param("train: a/images\nval: b/images\n", {"train": 2, "val": 3}, id="relative to the file"),
        pytest.param("path: .\ntrain: a/images\nval: b\n", {"train": 2, "val": 3}, id="path is here"),
        pytest.param("train: ../a/images\nval: ../b/images\n", {"train": 2, "val": 3}, id="as Roboflow writes it"),
        pytest.param("train: [a/images, b/images]\n", {"train": 5}, id="a list"),
        pytest.param("train: a/images\nvalid: b/images\n", {"train": 2, "val": 3}, id="valid for val"),
        pytest.param("train: train.txt\nval: b/images\n", {"train": 1, "val": 3}, id="a list in a file"),
        pytest.param(
            "path: /home/bob/set\ntrain: a/images\nval: b/images\n",
            {"train": 2, "val": 3},
            id="path of another machine",
        ),
    ],
)
def test_data_yaml_names_the_parts(yaml: str, parts: dict[str, int], tmp_path: Path) -> None:
    trees.write(tmp_path, trees.pairs("a/images/{}.jpg", "a/labels/{}.txt", 2))
    trees.write(tmp_path, trees.pairs("b/images/{}.jpg", "b/labels/{}.txt", 3))
    (tmp_path / "train.txt").write_text("./a/images/1.jpg\n\n")
    (tmp_path / "data.yaml").write_text(yaml + NAMES)
    layout = detect(tmp_path, "uri")
    assert {part: len(samples) for part, samples in layout.parts.items()} == parts
    assert layout.notes == ()


def test_data_yaml_one_level_down_counts_from_there(tmp_path: Path) -> None:
    trees.write(tmp_path, trees.pairs("set/a/images/{}.jpg", "set/a/labels/{}.txt"))
    trees.write(tmp_path, trees.pairs("set/b/images/{}.jpg", "set/b/labels/{}.txt"))
    (tmp_path / "set" / "data.yaml").write_text("train: a/images\nval: b/images\n" + NAMES)
    assert set(detect(tmp_path, "uri").parts) == {"train", "val"}


def test_paths_that_lead_nowhere_fall_back_to_the_folders_and_say_so(tmp_path: Path) -> None:
    trees.write(tmp_path, trees.pairs("train/images/{}.jpg", "train/labels/{}.txt"))
    trees.write(tmp_path, trees.pairs("valid/images/{}.jpg", "valid/labels/{}.txt"))
    (tmp_path / "data.yaml").write_text("train: C:\\data\\train\nval: /etc\n" + NAMES)
    layout = detect(tmp_path, "s3://d/x")
    assert set(layout.parts) == {"train", "val"}
    assert layout.notes == ("s3://d/x: data.yaml names val: /etc, which is not there; went by folder names",)


def test_data_yaml_leads_nowhere_outside_and_runs_nothing(tmp_path: Path) -> None:
    outside = trees.write(tmp_path / "outside", trees.pairs("images/{}.jpg", "labels/{}.txt"))
    root = trees.write(tmp_path / "root", trees.pairs("train/images/{}.jpg", "train/labels/{}.txt"))
    mark = tmp_path / "mark"
    (root / "data.yaml").write_text(
        f"train: {outside}/images\nval: ../../outside/images\ndownload: open({str(mark)!r}, 'w')\n{NAMES}"
    )
    layout = detect(root, "uri")
    assert [sample.image for sample in layout.parts["train"]] == ["train/images/0.jpg", "train/images/1.jpg"]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("[a, b]", ("a", "b")),
        ("{0: a, 1: b}", ("a", "b")),
        ("{1: b, '0': a}", ("a", "b")),
        ("[1, yes, null, 0010, 12:30]", ("1", "yes", "null", "0010", "12:30")),
    ],
)
def test_names_as_list_or_mapping(names: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    trees.write(tmp_path, trees.pairs("images/{}.jpg", "labels/{}.txt"))
    (tmp_path / "data.yaml").write_text(f"names: {names}\n")
    assert detect(tmp_path, "uri").names == expected


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: {0: a, 2: b}", "data.yaml has names for the indices [0, 2]; they must count up from 0"),
        ("names: {a: 0}", "has names whose keys are not class indices"),
        ("names: 3", "has names that are neither a list nor a mapping"),
        ("names: []", "has an empty class name, or none at all"),
        ("names: [a, a]", "gives the class name 'a' twice"),
        ("names: [a, b]\nnc: 3", "says nc: 3 and gives 2 names; correct one of them"),
        ("names: [a\n", "data.yaml is not YAML"),
        ("names: [a]\ntrain: {x: 1}", "has a train that is neither a path nor a list of paths"),
        ("names: [a]\ntrain: images\nval: images", "names the same images for train and val"),
    ],
)
def test_a_data_yaml_that_makes_no_sense(yaml: str, message: str, tmp_path: Path) -> None:
    trees.write(tmp_path, trees.pairs("images/{}.jpg", "labels/{}.txt"))
    (tmp_path / "data.yaml").write_text(yaml)
    with pytest.raises(DatasetError) as caught:
        detect(tmp_path, "s3://d/x")
    assert caught.value.reason == "DatasetInvalid"
    assert message in caught.value.message
    assert "s3://d/x" in caught.value.message


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "s3://d/x holds no image (.bmp .jpeg .jpg .png .tif .tiff .webp); found no file at all"),
        (["a.txt", "b.csv"], "found 2 files (a.txt, b.csv)"),
        (
            ["train/images/0.jpg"],
            "holds no label for any of its 1 images; those of train/images/0.jpg were looked for at train/labels/0.txt "
            "and train/images/0.txt",
        ),
        (["0.jpg", "_annotations.coco.json"], "_annotations.coco.json looks like another annotation format"),
        (["images/0.jpg", "labels/0.txt", "a/data.yaml", "b/data.yaml"], "2 descriptions (a/data.yaml, b/data.yaml)"),
        (["images/0.jpg", "labels/0.txt", "a/classes.txt", "b/classes.txt"], "class lists that differ"),
    ],
)
def test_what_is_no_dataset(files: list[str], message: str, tmp_path: Path) -> None:
    for number, name in enumerate(files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"names: [c{number}]\n" if name.endswith(("yaml", "classes.txt")) else "{}")
    with pytest.raises(DatasetError) as caught:
        detect(tmp_path, "s3://d/x")
    assert caught.value.reason == "DatasetInvalid"
    assert message in caught.value.message


def test_images_outside_the_parts_are_left_out_and_said(tmp_path: Path) -> None:
    trees.write(tmp_path, [*trees.pairs("train/images/{}.jpg", "train/labels/{}.txt"), "preview.jpg"])
    layout = detect(tmp_path, "uri")
    assert {part: len(samples) for part, samples in layout.parts.items()} == {"train": 2}
    assert layout.ledger.images == (("outside the folders of train, val and test", "preview.jpg"),)
