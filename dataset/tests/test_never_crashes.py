"""Whatever is wrong with data, a reader says so in its own words: DatasetError, or what its module documents.

The examples are derived from the tests' code, so that a failure is the same everywhere; hypothesis prints the smallest.
"""

from __future__ import annotations

import io
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import archives
import pytest
import trees
import yaml
from fuzzing import examples, scalars
from hypothesis import given
from hypothesis import strategies as some

import artifactstore
from detectiondata import coco, labels, version
from detectiondata.archive import unpack
from detectiondata.assemble import assemble
from detectiondata.errors import DatasetError
from detectiondata.fetch import Source, fetch
from detectiondata.jsonstream import Malformed
from detectiondata.source import check_source

_SHARE = Decimal("0.2")
PICTURE, OTHER = trees.picture(1), trees.picture(2, ".png")


words = some.sampled_from(
    ["images", "labels", "train", "val", "a", "data", "instances_train", "K\udcf6ln", "x\ny", "😀" * 60, "%20", "ü"]
)
suffixes = some.sampled_from(["", ".jpg", ".png", ".txt", ".yaml", ".json", ".names", ".JPG", ".tif"])
names = some.builds("{}{}".format, some.lists(words, min_size=1, max_size=3).map("/".join), suffixes)
plain = scalars(0, 1, 64, -1, 10**400, "1", "a.jpg", "images/train", "bolt", "nut", "\ud800", [], {})
KEYS = """names nc path train val test kpt_shape images annotations categories id name file_name width height image_id
category_id bbox segmentation iscrowd supercategory"""
keys = some.sampled_from(KEYS.split())
documents = some.recursive(
    plain,
    lambda inner: some.one_of(some.lists(inner, max_size=4), some.dictionaries(keys, inner, max_size=8)),
    max_leaves=20,
)
objects = some.dictionaries(keys, documents, max_size=8)
numbers = some.one_of(some.floats(), some.integers(-2, 3), some.sampled_from([0.5, 0.2]))
lines = some.lists(some.lists(numbers, max_size=8).map(lambda row: " ".join(map(str, row))), max_size=4).map("\n".join)
texts = some.one_of(lines, some.text(max_size=40), some.just(trees.LABEL))


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


contents = some.one_of(
    some.sampled_from([PICTURE, OTHER, PICTURE[:-9], b"", trees.LABEL.encode(), b"bolt\nnut\n"]),
    some.binary(max_size=60),
    texts.map(encoded),
    objects.map(lambda document: encoded(json.dumps(document))),
    objects.map(lambda document: encoded(yaml.safe_dump(document))),
)


def checked(root: Path) -> None:
    """All that a trainer does with a folder before it trains."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            source = check_source(fetch(Source(f"file://{root}/"), Path(folder) / "work"), "Auto", ("bolt",))
            assembled = assemble([source], _SHARE, 0, Path(folder) / "dataset")
        except DatasetError as error:
            artifactstore.printable(error.message).encode()
            return
        for image in assembled.validation_images:
            str(image).encode()


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError:  # a file where a folder is: the tree holds one of them
            continue


GOOD = [
    *trees.pairs("images/train/{}.jpg", "labels/train/{}.txt"),
    *trees.pairs("images/val/{}.jpg", "labels/val/{}.txt"),
]


@examples(100)
@given(some.dictionaries(names | some.sampled_from([*GOOD, "data.yaml", "classes.txt"]), contents, max_size=4))
def test_trees(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trees.write(Path(folder), GOOD)
        write(Path(folder), files)
        checked(Path(folder))


described = some.fixed_dictionaries(
    {"names": some.lists(plain, min_size=1, max_size=3) | some.dictionaries(some.integers(0, 2), plain) | documents},
    optional={"train": documents, "val": documents, "path": documents, "nc": documents, "kpt_shape": documents},
)


@examples(100)
@given(described.map(yaml.safe_dump) | some.text(max_size=60), texts | some.just(trees.LABEL))
def test_descriptions_and_labels(description: str, label: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trees.write(Path(folder), GOOD)
        (Path(folder) / "data.yaml").write_bytes(encoded(description))
        (Path(folder) / "labels/train/1.txt").write_bytes(encoded(label))
        checked(Path(folder))


def listed(**fields: Any) -> Any:
    """An object with these values of its fields, some of them replaced or missing."""
    good = some.fixed_dictionaries({key: some.just(value) for key, value in fields.items()})
    return some.builds(
        lambda base, other: base | other, good, some.just({}) | some.dictionaries(keys, documents, max_size=2)
    )


annotated = some.fixed_dictionaries(
    {
        "images": some.lists(listed(id=1, file_name="a.jpg", width=24, height=24) | documents, min_size=1, max_size=3),
        "annotations": some.lists(listed(id=1, image_id=1, category_id=1, bbox=[2, 2, 9, 9]) | documents, max_size=3),
        "categories": some.lists(listed(id=1, name="bolt") | documents, min_size=1, max_size=2),
    }
)


@examples(100)
@given(annotated | objects)
def test_annotation_files(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trees.write(Path(folder), ["a.jpg", "b.jpg"])
        (Path(folder) / "instances.json").write_text(json.dumps(document))
        checked(Path(folder))


@examples(150)
@given(documents | objects, some.integers(0, 60))
def test_json_that_is_cut_or_of_another_kind(document: Any, cut: int) -> None:
    text = json.dumps(document)
    for each in (text, text[:cut], text + text[:cut]):
        try:
            coco.read(io.StringIO(each), "a.json")
        except Malformed:
            continue


@examples(300)
@given(texts)
def test_label_files(text: str) -> None:
    try:
        for row in labels.parse(text, 3):
            row.line(row.index)
    except labels.Bad:
        return


@examples(200)
@given(documents.map(json.dumps).map(encoded) | some.binary(max_size=40))
def test_versions(content: bytes) -> None:
    with pytest.raises(DatasetError):
        version.parse(content, "s3://d/versions/00001/version.json")


members = some.dictionaries(names, some.binary(max_size=600), max_size=4).map(lambda files: list(files.items()))
changes = some.lists(some.tuples(some.integers(0, 1 << 20), some.binary(min_size=1, max_size=20)), max_size=3)


def changed(content: bytes, at: int, by: bytes) -> bytes:
    at %= max(len(content), 1)
    return content[:at] + by + content[at + len(by) :]


@examples(250)
@given(members, some.sampled_from(archives.KINDS), changes, changes, some.integers(0, 4000))
def test_archives(
    files: list[tuple[str, bytes]], kind: str, inside: list[tuple[int, bytes]], after: list[tuple[int, bytes]], cut: int
) -> None:
    if kind == "zip":
        content = archives.zipped((name.replace("\udcf6", "ö"), content) for name, content in files)
    else:
        tar = archives.tarred(files, encoding="utf-8", errors="surrogateescape")
        for change in inside:
            tar = changed(tar, *change)
        content = archives.compressed(tar, kind)
    for change in after:
        content = changed(content, *change)
    with tempfile.TemporaryDirectory() as folder:
        for number, each in enumerate((content, content[: -cut or None])):
            archive = Path(folder) / str(number)
            archive.write_bytes(each)
            try:
                unpack(archive, Path(folder) / f"unpacked{number}", "uri")
            except DatasetError as error:
                error.message.encode()
            for name, _ in archives.files(Path(folder) / f"unpacked{number}"):
                name.encode()
