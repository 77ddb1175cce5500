"""Sources become one training set: split, merged by class name, without copies across its borders."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import trees
import yaml

from detectiondata.assemble import Assembled, assemble, assemble_holdout
from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched
from detectiondata.source import CheckedSource, check_source
from detectiondata.split import held_back

SPLIT = Decimal("0.2")


def source(
    root: Path, names: str = "[bolt, nut]", *, train: int = 10, val: int = 0, start: int = 0, label: str = trees.LABEL
) -> CheckedSource:
    trees.write(root, trees.pairs("train/images/{}.jpg", "train/labels/{}.txt", train), label=label, start=start)
    if val:
        trees.write(root, trees.pairs("val/images/{}.jpg", "val/labels/{}.txt", val), label=label, start=start + 500)
    (root / "data.yaml").write_text(f"names: {names}\n")
    return check_source(
        Fetched(f"s3://d/{root.name}", root, hashlib.sha256(root.name.encode()).hexdigest()), "Auto", None
    )


def images(dataset: Assembled, part: str) -> list[Path]:
    return sorted((dataset.yaml.parent / part / "images").iterdir())


def test_a_validation_part_is_kept(tmp_path: Path) -> None:
    dataset = assemble([source(tmp_path / "a", train=4, val=3)], SPLIT, 0, tmp_path / "set")
    assert (len(images(dataset, "train")), len(images(dataset, "val"))) == (4, 3)
    assert dataset.notes == ("s3://d/a: no training image shows nut",)
    assert (dataset.images, dataset.labels) == (7, 7)
    assert dataset.counts["train"] == {
        "images": 4,
        "labels": 4,
        "withoutObjects": 0,
        "withoutLabelFile": 0,
        "perClass": {"bolt": 4, "nut": 0},
    }
    document = yaml.safe_load(dataset.yaml.read_text())
    assert document == {
        "path": str(tmp_path / "set"),
        "train": "train/images",
        "val": "val/images",
        "names": {0: "bolt", 1: "nut"},
    }
    for image in images(dataset, "train"):
        assert image.is_symlink()
        assert image.resolve().is_relative_to(tmp_path / "a")
        assert (dataset.yaml.parent / "train" / "labels" / f"{image.stem}.txt").read_text() == trees.LABEL


def test_classes_that_are_spelled_almost_alike_are_said(tmp_path: Path) -> None:
    """Two sources, labelled by two people: the model would tell apart what is one thing."""
    one = source(tmp_path / "a", "[bolt, hex nut, Mutter-ö]", train=4)
    other = source(tmp_path / "b", "[Bolt, hex_nut, Mutter-o\u0308, bold]", train=4, val=2, start=100)
    dataset = assemble([one, other], SPLIT, 0, tmp_path / "set")
    assert [note for note in dataset.warnings if "classes of their own" in note] == [
        f"s3://d/a, s3://d/b: {names} are classes of their own; give them one name if they are one thing"
        for names in ("'bolt' and 'Bolt'", "'hex nut' and 'hex_nut'", "'Mutter-ö' and 'Mutter-o\u0308'")
    ]


def test_without_one_a_share_is_held_back(tmp_path: Path) -> None:
    dataset = assemble([source(tmp_path / "a", train=10)], SPLIT, 7, tmp_path / "set")
    assert (len(images(dataset, "train")), len(images(dataset, "val"))) == (8, 2)
    assert "no validation part: 2 of 10 images held back, seed 7" in dataset.notes
    again = assemble([source(tmp_path / "b", train=10)], SPLIT, 7, tmp_path / "again")
    assert again.trained_on == dataset.trained_on
    other = assemble([source(tmp_path / "c", train=10)], SPLIT, 8, tmp_path / "other")
    assert other.trained_on != dataset.trained_on


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(2, "0.01", 1), (2, "0.99", 1), (10, "0.25", 3), (1000, "0.2", 200), (1, "0.5", 0), (0, "0.5", 0)],
)
def test_how_many_are_held_back(count: int, share: str, expected: int) -> None:
    digests = [f"{number:064x}" for number in range(count)]
    assert len(held_back(digests, Decimal(share), 0)) == expected
    assert held_back(digests + digests, Decimal(share), 0) == held_back(digests[::-1], Decimal(share), 0)


def test_copies_stay_on_one_side(tmp_path: Path) -> None:
    checked = source(tmp_path / "a", train=10)
    for number in range(5):
        (tmp_path / "a/train/images" / f"copy{number}.jpg").write_bytes(trees.picture(number))
        (tmp_path / "a/train/labels" / f"copy{number}.txt").write_text(trees.LABEL)
    checked = check_source(checked.fetched, "Auto", None)
    dataset = assemble([checked], Decimal("0.5"), 0, tmp_path / "set")
    sides = [{image.read_bytes() for image in images(dataset, part)} for part in ("train", "val")]
    assert len(sides[0]) == len(sides[1]) == 5
    assert not sides[0] & sides[1]


def test_an_image_in_both_parts_is_only_validated_with(tmp_path: Path) -> None:
    checked = source(tmp_path / "a", train=4, val=2)
    (tmp_path / "a/val/images/0.jpg").write_bytes(trees.picture(3))
    dataset = assemble([check_source(checked.fetched, "Auto", None)], SPLIT, 0, tmp_path / "set")
    assert (len(images(dataset, "train")), len(images(dataset, "val"))) == (3, 2)
    assert "1 images are in both train and val; left out of train" in dataset.notes


def test_sources_are_merged_by_class_name(tmp_path: Path) -> None:
    first = source(tmp_path / "a", "[bolt, nut]", train=3, val=1, label="1 0.5 0.5 0.2 0.2\n")
    second = source(
        tmp_path / "b", "[washer, bolt]", train=2, val=1, start=100, label="0 0.5 0.5 0.2 0.2\n1 0.2 0.2 0.1 0.1\n"
    )
    dataset = assemble([first, second], SPLIT, 0, tmp_path / "set")
    assert dataset.classes == ("bolt", "nut", "washer")
    assert dataset.counts["train"]["perClass"] == {"bolt": 2, "nut": 3, "washer": 2}
    assert dataset.uri == "s3://d/a, s3://d/b"
    lines = "".join(f"{one.fetched.sha256}  {one.fetched.uri}\n" for one in (first, second))
    assert dataset.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    labels = sorted(path.read_text() for path in (tmp_path / "set/train/labels").iterdir())
    assert labels == ["1 0.5 0.5 0.2 0.2\n"] * 3 + ["2 0.5 0.5 0.2 0.2\n0 0.2 0.2 0.1 0.1\n"] * 2


def test_one_source_keeps_its_own_digest(tmp_path: Path) -> None:
    checked = source(tmp_path / "a")
    assert assemble([checked], SPLIT, 0, tmp_path / "set").sha256 == checked.fetched.sha256


def test_what_follows_a_picture_is_cut_off_in_a_copy(tmp_path: Path) -> None:
    checked = source(tmp_path / "a", train=2, val=1)
    original = tmp_path / "a/train/images/0.jpg"
    original.write_bytes(trees.picture(0) + b"camera trailer")
    dataset = assemble([check_source(checked.fetched, "Auto", None)], SPLIT, 0, tmp_path / "set")
    assert images(dataset, "train")[0].read_bytes() == trees.picture(0)
    assert not images(dataset, "train")[0].is_symlink()
    assert original.read_bytes().endswith(b"trailer")


def test_images_without_label_files_are_counted_and_said(tmp_path: Path) -> None:
    checked = source(tmp_path / "a", train=4, val=1)
    (tmp_path / "a/train/labels/1.txt").unlink()
    (tmp_path / "a/train/labels/2.txt").write_text("")
    dataset = assemble([check_source(checked.fetched, "Auto", None)], SPLIT, 0, tmp_path / "set")
    assert dataset.counts["train"]["withoutObjects"] == 2
    assert dataset.counts["train"]["withoutLabelFile"] == 1
    assert "s3://d/a: 1 of 4 training images have no label file and count as empty (1.jpg, ...)" in dataset.notes


def test_one_image_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing labelled is left for val"):
        assemble([source(tmp_path / "a", train=1)], SPLIT, 0, tmp_path / "set")


def test_a_holdout_is_all_its_images_under_the_models_classes(tmp_path: Path) -> None:
    checked = source(tmp_path / "h", "[nut, bolt]", train=3, val=2)
    holdout = assemble_holdout(checked, ("bolt", "nut"), {}, tmp_path / "set")
    assert len(images(holdout, "val")) == holdout.images == 5
    assert {path.read_text() for path in (tmp_path / "set/val/labels").iterdir()} == {"1 0.5 0.5 0.2 0.2\n"}


def test_a_holdout_may_be_a_test_part_alone(tmp_path: Path) -> None:
    checked = source(tmp_path / "h", train=3)
    (tmp_path / "h/train").rename(tmp_path / "h/test")
    checked = check_source(checked.fetched, "Auto", None)
    assert assemble_holdout(checked, ("bolt", "nut"), {}, tmp_path / "set").images == 3
    with pytest.raises(DatasetError, match=r"s3://d/h has no train part; found test \(3\)"):
        assemble([checked], SPLIT, 0, tmp_path / "none")


def test_of_copies_in_a_holdout_those_with_labels_are_measured_on(tmp_path: Path) -> None:
    """What a model finds on a copy without labels would count as false."""
    root = trees.write(tmp_path / "h", trees.pairs("test/images/{}.jpg", "test/labels/{}.txt", 3))
    (root / "val/images").mkdir(parents=True)
    (root / "val/images/more.jpg").write_bytes(trees.picture(9))
    (root / "val/labels").mkdir()
    (root / "val/labels/more.txt").write_text(trees.LABEL)
    (root / "val/images/copy.jpg").write_bytes(trees.picture(0))
    (root / "data.yaml").write_text("names: [bolt]\n")
    checked = check_source(Fetched("s3://d/h", root, "0" * 64), "Auto", None)
    holdout = assemble_holdout(checked, ("bolt",), {}, tmp_path / "set")
    assert holdout.counts["val"]["withoutLabelFile"] == 0
    assert holdout.images == len(images(holdout, "val")) == 4
    assert "1 images without labels are in it with labels, too; left out" in holdout.notes[-1]
    assert holdout.sources[0].balance.images == {"test": 3, "val": 1}


def test_copies_in_a_holdout_whose_labels_differ(tmp_path: Path) -> None:
    root = trees.write(tmp_path / "h", trees.pairs("test/images/{}.jpg", "test/labels/{}.txt", 3))
    (root / "test/images/copy.jpg").write_bytes(trees.picture(0))
    (root / "test/labels/copy.txt").write_text("0 0.3 0.3 0.2 0.2\n")
    (root / "data.yaml").write_text("names: [bolt]\n")
    checked = check_source(Fetched("s3://d/h", root, "0" * 64), "Auto", None)
    with pytest.raises(
        DatasetError, match="1 pictures are in the data twice, with labels that differ, such as test/im"
    ):
        assemble_holdout(checked, ("bolt",), {}, tmp_path / "set")


def test_a_holdout_class_nobody_uses_is_no_fault(tmp_path: Path) -> None:
    checked = source(tmp_path / "h", "[bolt, nut]")
    assert assemble_holdout(checked, ("bolt",), {}, tmp_path / "set").classes == ("bolt",)


def test_a_holdout_class_the_model_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        assemble_holdout(source(tmp_path / "h", "[washer, bolt]"), ("bolt", "nut"), {}, tmp_path / "set")
    assert caught.value.reason == "DatasetInvalid"
    assert "holds the class 'washer', which the model is not trained on (bolt, nut)" in caught.value.message


def test_a_holdout_without_any_object(tmp_path: Path) -> None:
    checked = source(tmp_path / "h", train=3)
    (tmp_path / "h/train").rename(tmp_path / "h/test")
    for label in (tmp_path / "h/test/labels").iterdir():
        label.write_text("")
    checked = check_source(checked.fetched, "Auto", None)
    with pytest.raises(DatasetError, match="none of the 3 images of the evaluation has a labelled object"):
        assemble_holdout(checked, ("bolt", "nut"), {}, tmp_path / "set")


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ({"train": 2}, "2 images of the evaluation are also trained on (0.jpg, 1.jpg); a holdout shares no image"),
        ({"val": 1}, "1 images of the evaluation are also validated with (500.jpg); a holdout shares no image"),
    ],
)
def test_a_holdout_that_the_run_has_seen(shared: dict[str, int], message: str, tmp_path: Path) -> None:
    dataset = assemble([source(tmp_path / "a", train=4, val=2)], SPLIT, 0, tmp_path / "dataset")
    source(tmp_path / "h", train=3, start=100)
    for part, count in shared.items():
        for number in range(count):
            name = f"{number if part == 'train' else 500 + number}.jpg"
            content = (tmp_path / f"a/{part}/images/{number}.jpg").read_bytes()
            (tmp_path / "h/train/images" / name).write_bytes(content)
    held = check_source(Fetched("s3://d/h", tmp_path / "h", "0" * 64), "Auto", None)
    with pytest.raises(DatasetError) as caught:
        assemble_holdout(held, dataset.classes, dataset.seen, tmp_path / "holdout")
    assert caught.value.reason == "DatasetInvalid"
    assert caught.value.message.startswith(f"s3://d/h: {message}")


def test_copies_are_found_across_sources_and_counted_where_they_stay(tmp_path: Path) -> None:
    first = source(tmp_path / "a", train=5, label="0 0.5 0.5 0.2 0.2\n0 0.2 0.2 0.1 0.1\n")
    second = source(tmp_path / "b", train=3, val=2, start=100)
    (tmp_path / "b/val/images/0.jpg").write_bytes(trees.picture(2))  # the first source trains on it
    (tmp_path / "b/val/labels/0.txt").write_text("0 0.2 0.2 0.1 0.1\n0 0.5 0.5 0.2 0.2\n")
    second = check_source(second.fetched, "Auto", None)
    dataset = assemble([first, second], SPLIT, 0, tmp_path / "set")
    assert "1 images are in both train and val; left out of train" in dataset.notes
    assert not dataset.trained_on & dataset.validated_with
    assert [(one.uri, one.images, one.labels) for one in dataset.sources] == [("s3://d/a", 4, 8), ("s3://d/b", 5, 6)]
    assert (dataset.images, dataset.labels) == (9, 14)


def test_labels_of_one_picture_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    first = source(tmp_path / "a", train=3)
    second = source(tmp_path / "b", "[nut, bolt]", train=3)
    with pytest.raises(DatasetError) as caught:
        assemble([first, second], SPLIT, 0, tmp_path / "set")
    assert caught.value.message == (
        "3 pictures are in the data twice, with labels that differ, such as train/images/0.jpg of s3://d/a and "
        "train/images/0.jpg of s3://d/b; keep the one that is right"
    )


def test_a_copy_without_labels_is_left_out_and_the_balance_says_so(tmp_path: Path) -> None:
    first = source(tmp_path / "a", train=4)
    source(tmp_path / "b", train=3, val=1, start=100)
    (tmp_path / "b/train/images/9.jpg").write_bytes(trees.picture(2))
    second = check_source(Fetched("s3://d/b", tmp_path / "b", "0" * 64), "Auto", None)
    dataset = assemble([first, second], SPLIT, 0, tmp_path / "set")
    assert dataset.images == 8
    assert "1 images without labels are in the data with labels, too; left out" in dataset.notes
    assert dataset.left_out == ("s3://d/b: 1 image without labels, and with labels in the data too (9.jpg)",)


def test_the_balance_adds_up_after_a_share_is_held_back(tmp_path: Path) -> None:
    dataset = assemble([source(tmp_path / "a", train=10)], SPLIT, 0, tmp_path / "set")
    assert dataset.notes[0] == "no validation part: 2 of 10 images held back, seed 0"
    assert dataset.warnings == dataset.notes[1:]
    assert dataset.sources[0].to_json()["balance"] == {
        "files": 21,
        "images": {"train": 8, "val": 2, "test": 0},
        "imagesLeftOut": [],
        "labelFiles": 10,
        "labelFilesLeftOut": [],
        "annotations": 10,
        "annotationsLeftOut": [],
        "otherFiles": {"descriptions": 1},
    }


def test_an_object_that_can_not_be_asked_for_is_named_and_counted(tmp_path: Path) -> None:
    known = source(tmp_path / "a", train=10)
    read = check_source(replace(known.fetched, odd=("a//x.jpg",)), "Auto", None)
    assert read.balance.files == known.balance.files + 1
    assert read.balance.to_json()["otherFiles"] == {"descriptions": 1, "of keys that can't be asked for": 1}
    assert "left out: 1 object (a//x.jpg) whose key can't be asked for" in "\n".join(read.notes)


def test_sources_may_bring_one_part_each(tmp_path: Path) -> None:
    first, second = source(tmp_path / "a", train=3), source(tmp_path / "b", train=2, start=100)
    (tmp_path / "b/train").rename(tmp_path / "b/val")
    second = check_source(second.fetched, "Auto", None)
    dataset = assemble([first, second], SPLIT, 0, tmp_path / "set")
    assert (len(dataset.trained_on), len(dataset.validated_with)) == (3, 2)
    with pytest.raises(DatasetError, match="s3://d/b, s3://d/b: none of the sources has a train part"):
        assemble([second, second], SPLIT, 0, tmp_path / "none")


def test_the_address_of_many_sources_fits_a_lineage(tmp_path: Path) -> None:
    checked = source(tmp_path / "a", train=3, val=1)
    far = Fetched(f"s3://data/{'x' * 200}", checked.fetched.root, checked.fetched.sha256)
    many = [replace(checked, fetched=far)] * 8
    dataset = assemble(many, SPLIT, 0, tmp_path / "set")
    assert dataset.uri.startswith("8 sources: s3://data/xxx")
    assert len(dataset.uri) == 1024
    assert len(dataset.sources) == 8
