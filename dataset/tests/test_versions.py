"""Dataset versions: written, pinned, fetched as a YOLO folder, and refused wherever a digest is not the pinned one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trees

import artifactstore
from detectiondata import version as versions
from detectiondata.assemble import assemble, assemble_holdout
from detectiondata.errors import DatasetError
from detectiondata.fetch import Source, fetch
from detectiondata.source import check_source
from detectiondata.version import Box, Image, Split, Version
from detectiondata.version_store import VersionStore

CLASSES = ("zeta", "alpha")  # not in alphabetical order: the order is the index
BOX = Box("zeta", 2.0, 3.0, 8.004, 9.0)


def image(number: int, split: Split = "train", boxes: tuple[Box, ...] = (BOX,)) -> Image:
    content = trees.picture(number)
    sha256 = hashlib.sha256(content).hexdigest()
    review = {"by": "ann", "at": "2026-11-29T12:00:00Z", "source": "files", "blind": False, "edited": True}
    return Image(sha256, ".jpg", len(content), 24, 24, split, boxes, {"node": "n1"}, review)


def put_images(store: VersionStore, numbers: range) -> None:
    for number in numbers:
        store.add_image(image(number).sha256, ".jpg", trees.picture(number))


def commit(store: VersionStore, images: list[Image], *, number: int = 1, before: Version | None = None) -> Version:
    """A version of these images, each in the list of its split."""
    manifests: dict[str, bytes] = {}

    def part(piece: versions.Piece, listed: list[Image]) -> Version:
        content, described = versions.describe(
            listed,
            store.images(before) if before else {},
            CLASSES,
            piece,
            number=number,
            parent=(before.number, before.sha256) if before else None,
            created_at="2026-11-29T13:00:00Z",
        )
        manifests[described.manifest.name] = content
        return described

    held = [each for each in images if each.piece == "holdout"]
    aside = [each for each in images if each.piece == "aside"]
    version = replace(
        part("dataset", [each for each in images if each.piece == "dataset"]),
        holdout=part("holdout", held) if held else None,
        aside=part("aside", aside) if aside else None,
    )
    store.commit(version, manifests)
    return version


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    store = VersionStore(f"file://{tmp_path}/data/")
    put_images(store, range(12))
    return store


def test_a_version_pinned_by_its_digest_is_trained_on_as_any_yolo_folder(store: VersionStore, tmp_path: Path) -> None:
    images = [image(number) for number in range(6)]
    images += [image(6, boxes=()), image(7, "val", (Box("alpha", 0, 0, 24, 24),)), image(8, "holdout")]
    version = commit(store, images)
    fetched = fetch(Source(store.address(1), version.sha256), tmp_path / "work")
    assert fetched.sha256 == version.sha256
    checked = check_source(fetched, "Auto", None)
    assert checked.names == CLASSES
    assert checked.notes == ()
    dataset = assemble([checked], Decimal("0.2"), 0, tmp_path / "set")
    assert dataset.sha256 == version.sha256
    assert dataset.counts["train"] == {
        "images": 7,
        "labels": 6,
        "withoutObjects": 1,
        "withoutLabelFile": 0,
        "perClass": {"zeta": 6, "alpha": 0},
    }
    assert dataset.counts["val"]["perClass"] == {"zeta": 0, "alpha": 1}
    assert dataset.trained_on == {each.sha256 for each in images[:7]}
    row = checked.parts["train"][0].rows or checked.parts["train"][1].rows
    assert row[0].line(row[0].index) == "0 0.208333 0.25 0.25 0.25"  # 2 to 8.00 of 24 pixels

    assert version.holdout is not None
    held = fetch(Source(store.address(1, "holdout.json"), version.holdout.sha256), tmp_path / "held")
    holdout = assemble_holdout(check_source(held, "Auto", None), CLASSES, dataset.seen, tmp_path / "holdout")
    assert (holdout.images, holdout.labels) == (1, 1)


def test_nobody_trains_on_a_holdout(store: VersionStore, tmp_path: Path) -> None:
    version = commit(store, [image(0), image(1, "holdout")])
    assert version.holdout is not None
    held = check_source(fetch(Source(store.address(1, "holdout.json")), tmp_path / "held"), "Auto", None)
    with pytest.raises(DatasetError, match=r"has no train part; found test \(1\)"):
        assemble([held], Decimal("0.2"), 0, tmp_path / "set")


def test_a_correction_wins_in_the_next_version(store: VersionStore, tmp_path: Path) -> None:
    first = commit(store, [image(0), image(1), image(2, "val")])
    corrected = replace(image(1), boxes=(Box("alpha", 1, 1, 5, 5), Box("alpha", 7, 7, 9, 9)))
    second = commit(store, [image(0), corrected, image(2, "val"), image(3)], number=2, before=first)
    assert (second.added, second.changed, second.removed) == (1, 1, 0)
    checked = check_source(fetch(Source(store.address(2), second.sha256), tmp_path / "work"), "YOLO", None)
    rows = {sample.sha256: sample.rows for sample in checked.parts["train"]}
    assert [row.index for row in rows[image(1).sha256]] == [1, 1]
    older = check_source(fetch(Source(store.address(1), first.sha256), tmp_path / "older"), "YOLO", None)
    with pytest.raises(DatasetError, match="are versions of one dataset; give the newer one alone"):
        assemble([older, checked], Decimal("0.2"), 0, tmp_path / "set")


def damage(path: Path) -> str:
    """Changes one byte and nothing else."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path.name


@pytest.mark.parametrize("level", ["versions/00001/version.json", "versions/00001/manifest-*.jsonl", "images/*.jpg"])
def test_a_wrong_digest_at_any_level_is_refused_by_name(level: str, store: VersionStore, tmp_path: Path) -> None:
    version = commit(store, [image(number) for number in range(12)])
    path = sorted((tmp_path / "data").glob(level))[-1]
    named = damage(path)
    with pytest.raises((DatasetError, artifactstore.ArtifactError)) as caught:
        fetch(Source(store.address(1), version.sha256), tmp_path / "work")
    assert caught.value.reason == "DigestMismatch"
    assert named in caught.value.message
    assert "expected sha256 " in caught.value.message


def test_an_image_that_is_gone_is_named(store: VersionStore, tmp_path: Path) -> None:
    commit(store, [image(number) for number in range(4)])
    gone = tmp_path / "data" / "images" / f"{image(2).sha256}.jpg"
    gone.unlink()
    with pytest.raises(artifactstore.ArtifactError, match=gone.name) as caught:
        fetch(Source(store.address(1)), tmp_path / "work")
    assert caught.value.reason == "NotFound"


def test_the_same_content_has_the_same_bytes() -> None:
    images = [image(number) for number in range(5)]
    assert versions.manifest(images, "dataset") == versions.manifest(reversed(images), "dataset")
    moved = [replace(images[0], boxes=(BOX._replace(x1=2.003),)), *images[1:]]  # less than is written
    assert versions.manifest(images, "dataset") == versions.manifest(moved, "dataset")
    assert versions.same(images[0], moved[0])
    other = [replace(images[0], boxes=(BOX._replace(x1=2.1),)), *images[1:]]
    assert versions.manifest(images, "dataset")[1] != versions.manifest(other, "dataset")[1]
    assert not versions.same(images[0], other[0])


def test_what_is_written_is_read(store: VersionStore) -> None:
    images = [
        image(0, boxes=(BOX, Box("alpha", 0, 0, 24, 24))),
        image(1, boxes=()),
        image(2, "val"),
        image(3, "holdout"),
    ]
    version = commit(store, images)
    assert store.numbers() == [1]
    stored = store.read(1)
    assert (stored.version, stored.sha256) == (version, version.sha256)
    written = [replace(each, boxes=tuple(map(versions.rounded, each.boxes))) for each in images]
    assert store.images(version) == {each.sha256: each for each in written}


def test_what_is_aside_is_kept_and_not_trained_on(store: VersionStore, tmp_path: Path) -> None:
    other = Box("gear", 1.0, 1.0, 5.0, 5.0)
    partly = replace(image(1), boxes=(versions.rounded(BOX),), aside=(other,))
    aside = [
        replace(image(number, split), boxes=(), aside=(other,)) for number, split in ((2, "train"), (3, "holdout"))
    ]
    version = commit(store, [image(0), partly, *aside])
    assert store.read(1).version == version
    stored = store.images(version)
    assert (stored[partly.sha256], *(stored[each.sha256] for each in aside)) == (partly, *aside)
    assert [each.piece for each in (partly, *aside)] == ["dataset", "aside", "aside"]
    assert partly.reviewed == (other, versions.rounded(BOX))
    assert (version.images, version.objects, version.per_class) == (2, 2, {"zeta": 2, "alpha": 0})
    assert version.aside is not None
    assert (version.aside.images, version.holdout) == (2, None)
    checked = check_source(fetch(Source(store.address(1), version.sha256), tmp_path / "work"), "YOLO", None)
    assert {sample.sha256: len(sample.rows) for sample in checked.parts["train"]} == {
        image(0).sha256: 1,
        partly.sha256: 1,
    }


def test_without_anything_aside_the_bytes_are_those_of_older_releases(store: VersionStore) -> None:
    assert "aside" not in versions.line(image(0))
    assert "aside" not in commit(store, [image(0), image(1, "holdout")]).to_json()


def test_the_second_writer_of_a_number_is_refused_and_spoils_nothing(store: VersionStore, tmp_path: Path) -> None:
    first = commit(store, [image(0), image(1, "holdout")])
    with pytest.raises(artifactstore.ArtifactError) as caught:
        commit(store, [image(2), image(3, "holdout")])
    assert caught.value.reason == "AlreadyExists"
    checked = check_source(fetch(Source(store.address(1), first.sha256), tmp_path / "work"), "Auto", None)
    assert [sample.sha256 for sample in checked.parts["train"]] == [image(0).sha256]
    assert first.holdout is not None
    held = fetch(Source(store.address(1, "holdout.json"), first.holdout.sha256), tmp_path / "held")
    assert len(list((held.root / "images" / "test").iterdir())) == 1


def test_a_holdout_that_a_killed_writer_owes_is_written_later(store: VersionStore, tmp_path: Path) -> None:
    version = commit(store, [image(0), image(1, "holdout")])
    (tmp_path / "data" / "versions" / "00001" / "holdout.json").unlink()
    store.complete(store.read(1).version)
    assert version.holdout is not None
    assert fetch(Source(store.address(1, "holdout.json"), version.holdout.sha256), tmp_path / "held").root.is_dir()


def test_a_version_copied_under_another_number_is_refused(store: VersionStore, tmp_path: Path) -> None:
    commit(store, [image(0)])
    (tmp_path / "data" / "versions" / "00001").rename(tmp_path / "data" / "versions" / "00002")
    with pytest.raises(DatasetError, match="says that it is version 1"):
        store.read(2)


def changed(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document | fields


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(format="modelfleet.dev/dataset/v2"), "has the format 'modelfleet.dev/dataset/v2' and not"),
        (changed(number="1"), "no number for number"),
        (changed(images=True), "no number for images"),
        (changed(images=7), "says it has 7 images, and manifest-"),
        (changed(part="train"), "part that is not dataset or holdout"),
        (changed(part="aside"), "part that is not dataset or holdout"),
        (changed(part=["dataset"]), "part that is not dataset or holdout"),
        (changed(aside={"format": versions.FORMAT, "part": "dataset"}), "part that is not aside"),
        (changed(classes=[]), "not a list of different names"),
        (changed(classes=["a", "a"]), "not a list of different names"),
        (changed(classes="zeta"), "not a list of different names"),
        (changed(classes=["alpha", " zeta"]), "not a list of different names"),
        (changed(manifest=None), "no object where manifest"),
        (changed(manifest={"name": "../../x.jsonl", "sha256": "0" * 64, "bytes": 1}), "names no manifest beside it"),
        (changed(manifest={"name": "m.jsonl", "sha256": "0" * 63, "bytes": 1}), "no SHA-256 for sha256"),
        (changed(parent={"number": 0}), "no SHA-256 for sha256"),
        (changed(createdAt=None), "no text for createdAt"),
        (changed(perClass=[]), "no object where perClass"),
        (changed(classes=["alpha", "other"]), "of a known class: \\['zeta'"),
        (lambda document: [document], "no object where the document"),
    ],
)
def test_a_version_that_makes_no_sense_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, store: VersionStore, tmp_path: Path
) -> None:
    commit(store, [image(0)])
    path = tmp_path / "data" / "versions" / "00001" / "version.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(DatasetError, match=message) as caught:
        fetch(Source(store.address(1)), tmp_path / "work")
    assert store.address(1) in caught.value.message


def test_what_is_no_json_is_no_version(store: VersionStore, tmp_path: Path) -> None:
    commit(store, [image(0)])
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "data" / "versions" / "00001" / "version.json").write_bytes(content)
        with pytest.raises(DatasetError, match="not valid JSON"):
            fetch(Source(store.address(1)), tmp_path / "work")


LINE = json.loads(versions.line(image(0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(image="../../etc/passwd"), "no SHA-256 for image"),
        (changed(suffix=".sh"), "suffix that is not an image's"),
        (changed(suffix={}), "suffix that is not an image's"),
        (changed(suffix="/../x.jpg"), "suffix that is not an image's"),
        (changed(split="holdout"), "'holdout', which has no place in a dataset"),
        (changed(split=["train"]), "which has no place"),
        (changed(width=0), "no width, height or boxes"),
        (changed(bytes=-1), "no number for bytes"),
        (changed(bytes=10**400), "no number for bytes"),
        (changed(boxes={}), "no width, height or boxes"),
        (changed(aside=None), "no width, height or boxes"),
        (changed(aside=[["", 1, 1, 25, 2]]), "outside its image of 24x24"),
        (changed(aside=[[1, 1, 1, 2, 2]]), "a box that is not"),
        (changed(boxes=[["zeta", 1, 1, 25, 2]]), "outside its image of 24x24"),
        (changed(boxes=[["zeta", 2, 1, 2, 2]]), "without area"),
        (changed(boxes=[["zeta", 1, 1, 10**400, 2]]), "outside its image"),
        (changed(boxes=[["zeta", 1, float("nan"), 3, 2]]), "outside its image"),
        (changed(boxes=[["zeta", 1, "1", 3, 2]]), "outside its image"),
        (changed(boxes=[["zeta", 1, 1, 2]]), "of a known class"),
        (changed(boxes=[[["zeta"], 1, 1, 2, 2]]), "of a known class"),
        (changed(boxes=["zeta!"]), "of a known class"),
        (changed(capture=None), "no object where capture"),
        (changed(review=3), "no object where review"),
        (lambda line: "line", "no object where the line"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_by_its_place(
    change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    assert versions.parse_line(json.dumps(LINE), CLASSES, "dataset", "here") == replace(
        image(0), boxes=(versions.rounded(BOX),)
    )
    with pytest.raises(DatasetError, match=message) as caught:
        versions.parse_line(json.dumps(change(LINE)), CLASSES, "dataset", "m.jsonl, line 3,")
    assert caught.value.message.startswith("m.jsonl, line 3, has")


def test_the_disk_is_asked_before_the_first_image(
    store: VersionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, [replace(image(0), size=10**15)])
    with pytest.raises(artifactstore.ArtifactError, match=r"needs 1000\.0 TB and the disk has") as caught:
        fetch(Source(store.address(1)), tmp_path / "work")
    assert caught.value.reason == "DiskFull"
    assert not (tmp_path / "work").exists()
