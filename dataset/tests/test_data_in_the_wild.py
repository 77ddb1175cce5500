"""Datasets as other people's tools leave them, one row for each kind that was once taken wrong or refused for nothing.

The numbers are those of the study that found them (W: taken and wrong; C: a crash; R: refused though one expects it to
work; F: public reports of faults). A row is read right, box for box, or refused in words that say what to do; what is
left out is said and in the balance.
"""

from __future__ import annotations

import io
import json
import os
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np
import pytest
import wild
from PIL import Image
from wild import (
    HEIGHT,
    LIST,
    NAMED,
    NAMES,
    PARTS,
    PLAIN,
    STEMS,
    TRUTH,
    WIDTH,
    Folder,
    Truth,
    box,
    document,
    line,
    picture,
)

from detectiondata import otherkinds
from detectiondata.assemble import assemble
from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched, Format
from detectiondata.labels import parse
from detectiondata.source import check_source

CUSTOM = {"image": "set_{part}/images/{stem}.jpg", "label": "set_{part}/labels/{stem}.txt"}
TEXTS = ("train", "val", "test")
FLAT = {"image": "images/{stem}.jpg", "label": "labels/{stem}.txt"}
TRAINED: Truth = {stem: known for stem, known in TRUTH.items() if known[0] != "test"}


@dataclass(frozen=True)
class Refused:
    """The words that the message must hold."""

    words: str


@dataclass(frozen=True)
class Taken:
    """What was read; words that a note must hold; how many images and label files the balance says were left out."""

    truth: Truth
    words: str = ""
    images: int = 0
    labels: int = 0
    converted: int = 0


def without(*stems: str) -> Truth:
    return {stem: known for stem, known in TRUTH.items() if stem not in stems}


def undivided() -> Truth:
    return {stem: ("train", known[1]) for stem, known in TRUTH.items()}


ROWS: list[object] = []


def row(
    id: str, expected: Taken | Refused, format: Format = "Auto"
) -> Callable[[Callable[[Folder], None]], Callable[[Folder], None]]:
    def add(write: Callable[[Folder], None]) -> Callable[[Folder], None]:
        ROWS.append(pytest.param(write, expected, format, id=id))
        return write

    return add


RIGHT = Taken(TRUTH)
NO_TEST = Taken(TRAINED, "in no part that", images=1, labels=1)


# --- W1: keypoints ----------------------------------------------------------------------------------------------------


def pose(points: int, dims: int, visible: int) -> Callable[[str], str]:
    def rows(stem: str) -> str:
        _, left, top, right, _ = box(stem)
        told: list[float] = []
        for number in range(points):
            told += [(left + (right - left) * (number + 1) / (points + 1)) / WIDTH, (top + 1 + number % 9) / HEIGHT]
            told += [visible] * (dims == 3)
        return line(stem, *told)

    return rows


for points, dims, visible in ((12, 2, 0), (4, 2, 0), (1, 2, 0), (2, 3, 1), (2, 3, 2), (17, 3, 2)):
    shape = f"kpt_shape: [{points}, {dims}]\n"
    how = {"rows": pose(points, dims, visible)}
    row(f"W1 F7 pose {points}x{dims} v{visible}", RIGHT)(
        lambda to, how=how, shape=shape: to.yolo(**how, yaml=PLAIN + shape)
    )
    if points > 1 and visible < 2:
        row(f"W1 pose {points}x{dims} without kpt_shape", Refused("keypoints behind each box"))(
            lambda to, how=how: to.yolo(**how)
        )


@row("W1 pose with other columns than kpt_shape says", Refused("9 instead of 5, or 11 with kpt_shape [2, 3]"))
def _(to: Folder) -> None:
    to.yolo(rows=pose(2, 2, 0), yaml=PLAIN + "kpt_shape: [2, 3]\n")


for shape in ("17", "[17]", "[0, 3]", "[17, 3.5]", "[[1], 2]"):
    row(f"W1 kpt_shape {shape}", Refused("has a kpt_shape that is not two whole numbers, such as [17, 3]"))(
        lambda to, shape=shape: to.yolo(yaml=f"{PLAIN}kpt_shape: {shape}\n")
    )


@row("W1 visible keypoints without kpt_shape", Refused("say kpt_shape"))
def _(to: Folder) -> None:
    to.yolo(rows=pose(2, 3, 2))


# --- W2: darknet ------------------------------------------------------------------------------------------------------


@row("W2 obj.data of darknet", NO_TEST)
def _(to: Folder) -> None:
    to.yolo("data/obj/{stem}.jpg", "data/obj/{stem}.txt", yaml=None)
    to.lists("data/obj/{stem}.jpg", "data/{part}.txt", ("train", "val"))
    (to.root / "data/val.txt").rename(to.root / "data/valid.txt")
    to.put("data/obj.names", LIST)
    to.put("data/obj.data", "classes = 3\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n")


@row("W2 CVAT's YOLO 1.1", NO_TEST)
def _(to: Folder) -> None:
    to.yolo("obj_{part}_data/{stem}.jpg", "obj_{part}_data/{stem}.txt", yaml=None)
    to.lists("data/obj_{part}_data/{stem}.jpg", "{part}.txt", ("train", "val"))
    to.put("obj.names", LIST)
    to.put("obj.data", "classes = 3\ntrain = data/train.txt\nvalid = data/val.txt\nnames = data/obj.names\n")


row("W2 classes = as darknet reads it", Taken(TRUTH, "names test: test.txt, which is not there"))(
    lambda to: (
        to.yolo(yaml=None),
        to.put("obj.names", LIST),
        to.put("obj.data", "classes = 3 # nuts and bolts\ntrain = images/train\nvalid = images/val\ntest = test.txt\n"),
    )
)


@row("W2 lists alone", RIGHT)
def _(to: Folder) -> None:
    to.yolo(**FLAT, yaml=None)
    to.lists("images/{stem}.jpg")
    to.put("classes.txt", LIST)


def listed(line: str, name: str = "{part}.txt", *parts: str) -> Callable[[Folder], None]:
    def write(to: Folder) -> None:
        to.yolo(**FLAT, yaml=NAMED)
        to.lists(line, name, parts or ("train", "val", "test"))

    return write


row("W2 lists of names without suffixes, as VOC has them", RIGHT)(listed("{stem}", "ImageSets/Main/{part}.txt"))
row("W2 such a list in data.yaml", NO_TEST)(
    lambda to: (
        to.yolo(**FLAT, yaml="train: ImageSets/Main/train.txt\nval: ImageSets/Main/val.txt\n" + NAMED),
        to.lists("{stem}", "ImageSets/Main/{part}.txt"),
    )
)
row("W2 such lists with folders", RIGHT)(listed("images/{stem}"))
row("W2 such lists of which most lead nowhere", Refused("10 lines (gone0, gone1, gone2, ...) of test.txt lead to no"))(
    lambda to: (
        listed("{stem}")(to),
        to.put("test.txt", "im7\n" + "".join(f"gone{number}\n" for number in range(10))),
    )
)
row("W2 such lists that lead nowhere", Refused("test.txt names test: x-im7, and nothing that it names is there, nor"))(
    listed("x-{stem}")
)
row("W2 such lists that lead nowhere, and folders that tell", Taken(TRUTH, "which is not there; went by folder"))(
    lambda to: (to.yolo(yaml=NAMED), to.lists("x-{stem}"))
)
row("W2 texts that are called as lists are", Taken(undivided()))(
    lambda to: (to.yolo(**FLAT, yaml=NAMED), *(to.put(f"{part}.txt", f"{part} is done\nim0\n\n.\n") for part in TEXTS))
)
row("W2 such lists in other capitals than the files", RIGHT)(
    lambda to: (to.yolo("images/{stem}.JPG", "labels/{stem}.txt", yaml=NAMED), upper(to))
)


def upper(to: Folder) -> None:
    to.lists("{stem}")
    for list in to.root.glob("*.txt"):
        list.write_text(list.read_text().upper())


def test_such_lists_mean_the_images_of_their_own_folders(tmp_path: Path) -> None:
    """Two sets that number their images alike: all were trained on, those of val and test, too."""
    to = Folder(tmp_path)
    to.put("classes.txt", LIST)
    for number, name in enumerate(("first", "second")):
        to.yolo(f"{name}/JPEGImages/{{stem}}.jpg", f"{name}/labels/{{stem}}.txt", yaml=None)
        for stem in STEMS:
            to.put(f"{name}/JPEGImages/{stem}.jpg", picture(stem, quality=90 + number))
        to.lists("{stem}", f"{name}/ImageSets/Main/{{part}}.txt")
    source = wild.read(tmp_path)
    assert {part: sorted(each.image.stem for each in samples) for part, samples in source.parts.items()} == {
        part: sorted(stem for stem in STEMS for _ in range(2) if PARTS[stem] == part)
        for part in ("train", "val", "test")
    }


@row("W2 such lists beside masks of the same names", Taken(TRUTH, "8 images in a folder without labels", images=8))
def _(to: Folder) -> None:
    listed("{stem}")(to)
    for stem in STEMS:
        to.put(f"masks/{stem}.png", picture(stem, "PNG"))


row("W2 a text that is no list", Taken(undivided()))(
    lambda to: (to.yolo(**FLAT, yaml=NAMED), to.put("test_report.txt", "passed\nim0\nfailed\nnone\n"))
)
row("W2 lists that lead nowhere", Refused("test.txt names test: /home/u/x7/im7.png, and nothing that it names is"))(
    listed("/home/u/x7/{stem}.png")
)
row("W2 lists that lead nowhere, and folders that tell", Taken(TRUTH, "which is not there; went by folder names"))(
    lambda to: (to.yolo(yaml=NAMED), to.lists("/home/u/x7/{stem}.png"))
)


@row("W2 one of the lists leads nowhere", Refused("val.txt names val: old/a.jpg, which is not there, and 2 images"))
def _(to: Folder) -> None:
    listed("images/{stem}.jpg")(to)
    to.put("val.txt", "old/a.jpg\nold/b.jpg\n")


row(
    "W2 a list of the test part alone",
    Refused("and no list says which are train; add one (train.txt), or remove this one to have all images trained on"),
)(listed("images/{stem}.jpg", "{part}.txt", "test"))
row("W2 a list of the test part, and no other image", Taken({"im7": TRUTH["im7"]}))(  # as a holdout is
    lambda to: (to.yolo(**FLAT, yaml=NAMED, stems=["im7"]), to.lists("images/{stem}.jpg", parts=("test",)))
)
row("W2 a list of images of other folders", Refused("or remove this one to go by the folders' names"))(
    lambda to: (to.yolo(yaml=NAMED), to.put("blurry_test.txt", "im0.jpg\nim5.jpg\n"))
)
row("W2 a list of the test part, and folders that say the same", RIGHT)(
    lambda to: (to.yolo(yaml=NAMED), to.lists("images/test/{stem}.jpg", parts=("test",)))
)


# --- W4, R12: pictures that one reader takes and the other does not ---------------------------------------------------


def replaced(content: bytes, name: str = "images/train/im0.jpg") -> Callable[[Folder], None]:
    def write(to: Folder) -> None:
        to.yolo()
        (to.root / "images/train/im0.jpg").unlink()
        to.put(name, content)

    return write


def bad_crc() -> bytes:
    """A text chunk whose check sum is wrong, as some editors write them."""
    whole = picture("im0", "PNG")
    chunk = b"tEXtComment\0made by hand"
    at = whole.index(b"IDAT") - 4
    return (
        whole[:at]
        + (len(chunk) - 4).to_bytes(4, "big")
        + chunk
        + (zlib.crc32(chunk) ^ 1).to_bytes(4, "big")
        + whole[at:]
    )


def encoded(suffix: str, pixels: object) -> bytes:
    done, content = cv2.imencode(suffix, pixels)
    assert done
    return bytes(content.tobytes())


CONVERTED = Taken(TRUTH, "1 image (images/train/im0", converted=1)
row("W4 GIF called .jpg", CONVERTED)(replaced(picture("im0", "GIF")))
row("W4 PPM called .png", CONVERTED)(replaced(picture("im0", "PPM"), "images/train/im0.png"))
row("W4 PNG with a bad check sum in a text", CONVERTED)(replaced(bad_crc(), "images/train/im0.png"))
row("W4 R12 under 10 pixels", Refused("5x5 pixels; ultralytics takes none of less than 10 a side"))(
    replaced(encoded(".png", np.full((5, 5, 3), 99, np.uint8)), "images/train/im0.png")
)
row("R12 TIFF of floats", Refused("im0.tif TIFF of 32 bits a value, which the trainer can't read"))(
    replaced(encoded(".tif", np.ones((HEIGHT, WIDTH), np.float32)), "images/train/im0.tif")
)
row("R12 HEIC called .jpg", Refused("HEIC, which the trainer can't read; convert it to JPEG or PNG"))(
    replaced(b"\0\0\0\x18ftypheic" + bytes(64))
)
row("R12 pointer of Git LFS", Refused("a pointer of Git LFS in place of the picture; run git lfs pull"))(
    replaced(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
)


# --- W5, F10: suffixes ------------------------------------------------------------------------------------------------

for suffix, format in (
    *((".jfif", "JPEG"), (".jpe", "JPEG"), (".mpo", "JPEG"), (".JPG", "JPEG"), ("", "JPEG"), (".img", "JPEG")),
    *((".jp2", "JPEG2000"), (".avif", "AVIF"), (".apng", "PNG"), (".png", "PNG"), (".webp", "WEBP"), (".tif", "TIFF")),
):
    row(f"W5 F10 {suffix or 'no suffix'}", RIGHT)(replaced(picture("im0", format), f"images/train/im0{suffix}"))
for suffix, format in ((".gif", "GIF"), (".ppm", "PPM")):
    row(f"W5 F10 {suffix}", CONVERTED)(replaced(picture("im0", format), f"images/train/im0{suffix}"))
row("W5 F10 .heic", Taken(without("im0"), "left out: 1 image that can't be read: HEIC", images=1, labels=1))(
    replaced(b"\0\0\0\x18ftypheic" + bytes(64), "images/train/im0.heic")
)
row("W5 F10 .dng", Taken(without("im0"), "left out: 1 image that can't be read", images=1, labels=1))(
    replaced(b"II*\0" + bytes(64), "images/train/im0.dng")
)


@row("W5 a GIF that COCO lists", Taken(TRUTH, "converted to PNG", converted=1))
def _(to: Folder) -> None:
    to.coco()
    (to.root / "train/im0.jpg").unlink()
    to.put("train/im0.gif", picture("im0", "GIF"))
    file = to.root / "train/_annotations.coco.json"
    file.write_text(file.read_text().replace("im0.jpg", "im0.gif"))


# --- W6, F11: labels without images -----------------------------------------------------------------------------------


@row(
    "W6 F11 labels whose images are missing",
    Taken(without("im0", "im1"), "2 label files that belong to no image", labels=2),
)
def _(to: Folder) -> None:
    to.yolo()
    for stem in ("im0", "im1"):
        (to.root / f"images/train/{stem}.jpg").unlink()


# --- W7, F14: spelling ------------------------------------------------------------------------------------------------


def spelled(image: str, label: str) -> Callable[[Folder], None]:
    def write(to: Folder) -> None:
        to.yolo()
        (to.root / "images/train/im0.jpg").rename(to.root / f"images/train/{image}")
        (to.root / "labels/train/im0.txt").rename(to.root / f"labels/train/{label}")

    return write


OTHERWISE = Taken(TRUTH, "1 label file (labels/train/")
row("W7 F14 .TXT", OTHERWISE)(spelled("im0.jpg", "im0.TXT"))
row("W7 capitals", OTHERWISE)(spelled("IM0.jpg", "im0.txt"))
row("W7 %20", OTHERWISE)(spelled("Foto im0.jpg", "Foto%20im0.txt"))
row("W7 NFD and NFC", OTHERWISE)(
    spelled(unicodedata.normalize("NFD", "ü im0.jpg"), unicodedata.normalize("NFC", "ü im0.txt"))
)


@row("W7 two that fit", Taken({**TRUTH}, "belong to no image", labels=1))
def _(to: Folder) -> None:
    to.yolo()
    to.put("labels/train/IM0.txt", line("im0"))  # and im0.txt is the image's own


# --- W9, F8: descriptions ---------------------------------------------------------------------------------------------


def described(yaml: str, stems: tuple[str, ...] = STEMS) -> Callable[[Folder], None]:
    return lambda to: to.yolo(**CUSTOM, yaml=yaml + NAMED, stems=stems)


SETS = "train: {0}set_train/images\nval: {0}set_val/images\n"
NO_TESTS = tuple(stem for stem in STEMS if PARTS[stem] != "test")
row("W9 a test that is not there", Taken(TRAINED, "names test: set_test/images, which is not there"))(
    described(SETS.format("") + "test: set_test/images\n", NO_TESTS)
)
row("W9 absolute paths of another machine", NO_TEST)(described(SETS.format("/home/u/ds/")))
row("W9 backslashes", NO_TEST)(described(SETS.format(".\\").replace("/", "\\")))
row("W9 a drive", NO_TEST)(described(SETS.format("C:\\ds\\").replace("/", "\\")))
row("W9 one of two folders missing", Refused("several places for train, and set_b/images is not there"))(
    described("train: [set_train/images, set_b/images]\nval: set_val/images\n")
)
row("W9 a val that is not there", Refused("names val: nowhere/images, which is not there, and 3 images"))(
    described("train: set_train/images\nval: nowhere/images\n")
)
row("W9 nothing that it names is there", Refused("nothing that it names is there"))(
    lambda to: to.yolo(**FLAT, yaml="train: a/images\nval: b/images\n" + NAMED)
)


@row("W9 absolute paths that are there", NO_TEST)
def _(to: Folder) -> None:
    described(SETS.format(f"{to.root.resolve()}/"))(to)


@row("W9 F8 a list of absolute paths", RIGHT)
def _(to: Folder) -> None:
    to.yolo(**FLAT, yaml="path: /home/u/ds\ntrain: train.txt\nval: val.txt\ntest: test.txt\n" + NAMED)
    to.lists("/home/u/ds/images/{stem}.jpg")


@row("W9 F8 a list with data/ before each", RIGHT)
def _(to: Folder) -> None:
    to.yolo(**FLAT, yaml="path: .\ntrain: train.txt\nval: val.txt\ntest: test.txt\n" + NAMED)
    to.lists("data/images/{stem}.jpg")


@row(
    "F8 a list that leads half nowhere", Refused("4 lines (images/x.jpg, images/x.jpg, images/x.jpg, ...) of train.txt")
)
def _(to: Folder) -> None:
    to.yolo(**FLAT, yaml="path: .\ntrain: train.txt\nval: val.txt\n" + NAMED)
    to.lists("images/{stem}.jpg")
    to.put("train.txt", "images/im0.jpg\n" + "images/x.jpg\n" * 4)


@row("W9 a list in another encoding", Refused("train.txt is not UTF-8 text"))
def _(to: Folder) -> None:
    to.yolo(**FLAT, yaml="path: .\ntrain: train.txt\nval: val.txt\n" + NAMED)
    to.put("train.txt", "images/im0.jpg\n".encode("utf-16"))


# --- W11, F9: COCO beside labels --------------------------------------------------------------------------------------


def stray(to: Folder) -> None:
    to.coco()
    to.put("train/im0.txt", line("im0"))
    to.put("classes.txt", LIST)


row("W11 F9 COCO beside a label file", Refused("holds COCO annotations, 3 files"))(stray)
row("W11 the same, with format: COCO", RIGHT, "COCO")(stray)


@row("W11 hidden COCO annotations beside labels", RIGHT)
def _(to: Folder) -> None:
    to.yolo()
    to.put(".ipynb_checkpoints/all-checkpoint.json", json.dumps(wild.document("train")))


@row(
    "one COCO file of several in another encoding", Refused("val/_annotations.coco.json is not UTF-8 text; save it as")
)
def _(to: Folder) -> None:
    to.coco()
    file = to.root / "val/_annotations.coco.json"
    file.write_bytes(file.read_text().encode("utf-16"))


# --- W12, F26: crowds -------------------------------------------------------------------------------------------------


def masks(marked: object, *stems: str) -> Callable[[Folder], None]:
    def write(to: Folder) -> None:
        to.coco(iscrowd=lambda stem: marked if not stems or stem in stems else 0)

    return write


row("W12 all brush masks, marked as crowds", Taken(TRUTH, "marked as crowds (iscrowd), too many to be any"))(masks(1))
row("W12 some brush masks", Taken(TRUTH, "marked as crowds"))(masks(1, "im0", "im5"))
row("W12 iscrowd as the text 0", RIGHT)(masks("0"))


# --- W2 again: one COCO file for all parts ----------------------------------------------------------------------------


def one_file(image: str) -> Callable[[Folder], None]:
    def write(to: Folder) -> None:
        documents = [wild.document(part) for part in ("train", "val", "test")]
        whole = {key: [each for one in documents for each in one[key]] for key in ("images", "annotations")}
        for each, stem in zip(whole["images"], STEMS, strict=True):
            each["file_name"] = image.format(part=PARTS[stem], stem=stem)
            to.put(f"images/{each['file_name']}", picture(stem))
        to.put("annotations.json", json.dumps(whole | {"categories": documents[0]["categories"]}))

    return write


row("one COCO file for images in folders of parts", RIGHT)(one_file("{part}/{stem}.jpg"))
row("one COCO file for images in one folder", Taken(undivided()))(one_file("{stem}.jpg"))


@row(
    "one COCO file, and an image outside the folders of parts",
    Taken(without("im0"), "1 image outside the folders of train, val and test", images=1),
)
def _(to: Folder) -> None:
    one_file("{part}/{stem}.jpg")(to)
    (to.root / "images/train/im0.jpg").rename(to.root / "images/im0.jpg")
    file = to.root / "annotations.json"
    file.write_text(file.read_text().replace("train/im0.jpg", "im0.jpg"))


# --- W14: corners -----------------------------------------------------------------------------------------------------


def as_corners(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    places = (left / WIDTH, top / HEIGHT, right / WIDTH, bottom / HEIGHT)
    return f"{NAMES.index(name)} {' '.join(map(str, places))}\n"


row("W14 corners in place of centres", Refused("with boxes that leave their image"))(
    lambda to: to.yolo(rows=as_corners)
)
row("W14 a polygon without area", Refused("with a box without area"))(
    lambda to: to.yolo(rows=lambda stem: "0" + " 0.5 0.5" * 4 + "\n")
)
row("boxes without area in COCO", Refused("has a labelled object; 8 annotations have a bbox without area"))(
    lambda to: to.coco(bbox=lambda stem: [0, 0, 0, 0])
)
row("fractions in COCO", Refused("boxes in fractions, where COCO has pixels"))(
    lambda to: to.coco(bbox=lambda stem: [0.1, 0.1, 0.2, 0.25])
)


# --- W15: masks -------------------------------------------------------------------------------------------------------


def aside(folder: str) -> Callable[[Folder], None]:
    def write(to: Folder) -> None:
        to.yolo("{part}/images/{stem}.jpg", "{part}/labels/{stem}.txt", yaml=NAMED)
        for stem in STEMS:
            to.put(f"{PARTS[stem]}/{folder}/{stem}.png", picture(stem, "PNG"))

    return write


for folder in ("masks", "preview", "anything"):
    row(f"W15 {folder} beside images", Taken(TRUTH, "8 images in a folder without labels beside", images=8))(
        aside(folder)
    )


@row("W15 previews below a folder without images/", Taken(TRUTH, "1 image in a folder without labels", images=1))
def _(to: Folder) -> None:
    to.yolo("{part}/{stem}.jpg", "{part}/{stem}.txt", yaml=NAMED)
    to.put("train/preview/all.jpg", picture("im0"))


# --- masks without a bbox ---------------------------------------------------------------------------------------------


def mask(stem: str) -> list[int]:
    """The runs of the box, as a mask would have them."""
    _, left, top, right, bottom = box(stem)
    marks = np.zeros((HEIGHT, WIDTH), dtype=bool)
    marks[top:bottom, left:right] = True
    edges = [0, *(np.flatnonzero(np.diff(marks.T.ravel())) + 1).tolist(), marks.size]
    return np.diff(edges).tolist()


def masked(**more: object) -> Callable[[Folder], None]:
    """Each annotation has a mask in place of a box."""
    rle: dict[str, Callable[[str], object]] = {
        "segmentation": lambda stem: {"size": [HEIGHT, WIDTH], "counts": mask(stem)} | more,
        "bbox": lambda stem: None,
    }
    return lambda to: to.coco(**rle)


row("masks (RLE) without a bbox", Taken(TRUTH, "without a bbox took that of their polygons or mask"))(masked())
row("masks whose runs don't fill them", Refused("its runs are 2400 pixels, and 39x60 are 2340"))(masked(size=[39, 60]))
row("masks of another size", Refused("masks of another size than their image: 8 (train/_annotations.coco.json"))(
    masked(size=[60, 40])
)


# --- W17, lists of names ----------------------------------------------------------------------------------------------


def named(names: str, expected: tuple[str, ...]) -> None:
    truth = {stem: (part, (expected[NAMES.index(each[0])], *each[1:])) for stem, (part, each) in TRUTH.items()}
    row(f"W17 {names}", Taken(truth))(lambda to: to.yolo(yaml=PLAIN.removesuffix(NAMED) + f"names: {names}\n"))


named("[yes, no, null]", ("yes", "no", "null"))
named("[0010, 1_000, 12:30]", ("0010", "1_000", "12:30"))
named("{0: 2024-02-30, 1: ~, 2: 1e3}", ("2024-02-30", "~", "1e3"))
row("W17 names that are mappings", Refused("names that are lists or mappings themselves"))(
    lambda to: to.yolo(yaml="names: [{name: nut}, {name: washer}, {name: bolt}]\n")
)
for file in ("voc.names", "labels.txt", "darknet.labels", "obj.names", "labels/classes.txt"):
    row(f"names in {file}", Taken(undivided()))(lambda to, file=file: (to.yolo(**FLAT, yaml=None), to.put(file, LIST)))
row("names in Label Studio's notes.json", Taken(undivided()))(
    lambda to: (
        to.yolo(**FLAT, yaml=None),
        to.put("notes.json", json.dumps({"categories": [{"id": at, "name": name} for at, name in enumerate(NAMES)]})),
    )
)


def prefixed(*names: str) -> Callable[[Folder], None]:
    """Label Studio calls a file that was uploaded by a name of its own, and its export so, too."""

    def write(to: Folder) -> None:
        to.yolo(**FLAT, yaml=None)
        to.put("classes.txt", LIST)
        to.put("notes.json", json.dumps({"categories": [{"id": at, "name": name} for at, name in enumerate(NAMES)]}))
        for stem, name in zip(STEMS, names, strict=False):
            (to.root / f"labels/{stem}.txt").rename(to.root / f"labels/{name}.txt")

    return write


UNDER_ANOTHER_NAME = Taken(undivided(), "found under another name or folder")
row("R10 Label Studio's prefixes", UNDER_ANOTHER_NAME)(
    prefixed(*(f"1a2b3c{at}d-{stem}" for at, stem in enumerate(STEMS)))
)
row("R10 Label Studio's prefixes of addresses", UNDER_ANOTHER_NAME)(prefixed("1a2b3c4d__im0", "00000000__im1"))


@row("R10 names that Label Studio changed", UNDER_ANOTHER_NAME)
def _(to: Folder) -> None:
    prefixed("1a2b3c4d-im0", "1a2b3c4d-shot_im1_2")(to)
    (to.root / "images/im1.jpg").rename(to.root / "images/shot im1 (2).jpg")


@row(
    "R10 two tasks of one image",
    Refused(
        "images that several label files fit: 1 (images/im0.jpg labels/11111111-im0.txt and labels/22222222-im0.txt; "
        "keep the right one, as labels/im0.txt)"
    ),
)
def _(to: Folder) -> None:
    prefixed("11111111-im0")(to)
    to.put("labels/22222222-im0.txt", line("im1"))


row("a data.yaml without names, and classes.txt", RIGHT)(
    lambda to: (to.yolo(yaml=PLAIN.removesuffix(NAMED)), to.put("classes.txt", LIST))
)
row(
    "two class lists that differ",
    Refused("class lists that differ (data.yaml: nut, washer, bolt; classes.txt: bolt, nut"),
)(lambda to: (to.yolo(), to.put("classes.txt", "bolt\nnut\nwasher\n")))
row("classes.txt in another encoding", Refused("classes.txt is not UTF-8 text; save it as UTF-8"))(
    lambda to: (to.yolo(yaml=None), to.put("classes.txt", LIST.encode("utf-16")))
)


row("names in a file that ends in empty lines", Taken(undivided()))(
    lambda to: (to.yolo(**FLAT, yaml=None), to.put("classes.txt", LIST.replace("\n", " \r\n") + "\r\n \r\n"))
)
for text, line_number in (("nut\n\nwasher\nbolt\n", 2), ("\nnut\nwasher\nbolt\n", 1)):
    row(
        f"names and line {line_number} empty", Refused(f"classes.txt has an empty line {line_number}, which some tools")
    )(lambda to, text=text: (to.yolo(yaml=None), to.put("classes.txt", text)))
UNNAMED = PLAIN.removesuffix(NAMED)
row("nc and a classes.txt of more", Refused("data.yaml says nc: 2 and classes.txt gives 3 names; correct one of them"))(
    lambda to: (to.yolo(yaml=UNNAMED + "nc: 2\n"), to.put("classes.txt", LIST))
)
row("nc of a copy", Refused("old.yaml says nc: 4 and gives 3 names"))(
    lambda to: (to.yolo(yaml=PLAIN + "nc: 3\n"), to.put("old.yaml", PLAIN + "nc: 4\n"))
)
row("nc that is none", Refused("data.yaml says nc: some, which is not a number of classes; correct it"))(
    lambda to: (to.yolo(yaml=UNNAMED + "nc: some\n"), to.put("classes.txt", LIST))
)
row("obj.data whose classes are no number", Refused("obj.data says classes = many, which is not a number of classes"))(
    lambda to: (to.yolo(yaml=None), to.put("obj.names", LIST), to.put("obj.data", "classes = many\ntrain = t.txt\n"))
)
row("obj.data and an obj.names of more", Refused("obj.data says classes = 2 and obj.names gives 3 names"))(
    lambda to: (to.yolo(yaml=None), to.put("obj.names", LIST), to.put("obj.data", "classes = 2\ntrain = train.txt\n"))
)


@pytest.mark.parametrize(
    ("count", "words"), [(3, ""), (2, "data.yaml says nc: 2 and names none, where the model has 3")]
)
def test_classes_of_the_parent_count_for_data_that_names_none_and_as_many(
    count: int, words: str, tmp_path: Path
) -> None:
    """A parent that was trained on COCO would have two classes of one's own be persons and bicycles."""
    to = Folder(tmp_path)
    to.yolo(yaml=UNNAMED + f"nc: {count}\n")
    fetched = Fetched("s3://d/wild", to.root, "0" * 64)
    if not words:
        assert check_source(fetched, "Auto", NAMES).names == NAMES
        return
    with pytest.raises(DatasetError, match=words):
        check_source(fetched, "Auto", NAMES)


# --- names that are addresses of the place that images came from ------------------------------------------------------

for address in (
    "s3://bucket/parts/{}",
    "gs://bucket/{}",
    "https://host:8080/x/{}?X-Amz-Signature=abc%2F",
    "/data/local-files/?d={}",
    "/data/local-files/?d=parts%2F{}",
    "http://ls:8080/data/local-files/?d=parts/{}",
    "file:///home/me/{}",
):

    @row(f"COCO's names as {address}", Taken(undivided()))
    def _(to: Folder, address: str = address) -> None:
        whole: dict[str, list[dict[str, object]]] = {"images": [], "annotations": [], "categories": []}
        for part in TEXTS:
            each = document(part)
            whole["images"] += [image | {"file_name": address.format(image["file_name"])} for image in each["images"]]
            whole["annotations"] += each["annotations"]
            whole["categories"] = each["categories"]
        for stem in STEMS:
            to.put(f"images/{stem}.jpg", picture(stem))
        to.put("result.json", json.dumps(whole))


row("a log in another encoding", RIGHT)(
    lambda to: (to.yolo(yaml=NAMED), to.put("train_log.txt", "für 10 Epochen\n".encode("latin-1")))
)
for encoding in ("latin-1", "utf-16"):
    row(f"a list in {encoding}", Refused("train_list.txt is not UTF-8 text; save it as UTF-8"))(
        lambda to, encoding=encoding: (to.yolo(yaml=NAMED), to.put("train_list.txt", "images/ü.jpg\n".encode(encoding)))
    )
row("a list of names in latin-1", Refused("train.txt is not UTF-8 text; save it as UTF-8"))(
    lambda to: (to.yolo(yaml=NAMED), to.put("train.txt", "ü\n".encode("latin-1")))
)
row("lists of addresses", RIGHT)(lambda to: (to.yolo(**FLAT, yaml=NAMED), to.lists("s3://bucket/parts/{stem}.jpg")))


# --- labels of kinds that are not read --------------------------------------------------------------------------------


def retina(stem: str) -> str:
    name, *corners = box(stem)
    return ",".join(map(str, (f"images/{stem}.jpg", *corners, name))) + "\n"


def retina_empty(stem: str) -> str:
    return f"images/{stem}.jpg,,,,,\n"


def keras_yolo(stem: str) -> str:
    name, *corners = box(stem)
    return f"/home/me/images/{stem}.jpg {','.join(map(str, (*corners, NAMES.index(name))))}\n"


def roboflow(stem: str) -> str:
    name, *corners = box(stem)
    return ",".join(map(str, (f"{stem}.jpg", WIDTH, HEIGHT, name, *corners))) + "\n"


def via(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    shape = f'"{{""name"":""rect"",""x"":{left},""y"":{top},""width"":{right - left},""height"":{bottom - top}}}"'
    return f'{stem}.jpg,100,"{{}}",1,0,{shape},"{{""class"":""{name}""}}"\n'


VIA = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
ROBOFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def voc(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    corners = f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    return (
        f"<annotation><filename>{stem}.jpg</filename><object><name>{name}</name><bndbox>{corners}</bndbox></object>"
        "</annotation>"
    )


def labelme(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    shape = {"label": name, "points": [[left, top], [right, bottom]], "shape_type": "rectangle"}
    return json.dumps({"version": "5.4.1", "shapes": [shape], "imagePath": f"{stem}.jpg"})


def supervisely(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    points = {"exterior": [[left, top], [right, bottom]], "interior": []}
    thing = {"classTitle": name, "geometryType": "rectangle", "points": points, "tags": []}
    return json.dumps({"size": {"height": HEIGHT, "width": WIDTH}, "tags": [], "objects": [thing]})


def cvat(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    corners = f'xtl="{left}.0" ytl="{top}.0" xbr="{right}.0" ybr="{bottom}.0"'
    return (
        f'  <image id="1" name="images/{stem}.jpg" width="{WIDTH}" height="{HEIGHT}">\n'
        f'    <box label="{name}" occluded="0" {corners}>\n    </box>\n  </image>\n'
    )


def cvat_track(stem: str) -> str:
    """One object on the frame; on the next it is gone."""
    name, left, top, right, bottom = box(stem)
    number = STEMS.index(stem)
    corners = f'xtl="{left}.0" ytl="{top}.0" xbr="{right}.0" ybr="{bottom}.0"'
    return (
        f'  <track id="{number}" label="{name}" source="manual">\n'
        f'    <box frame="{number}" keyframe="1" outside="0" occluded="0" {corners} z_order="0">\n    </box>\n'
        f'    <box frame="{number + 1}" keyframe="1" outside="1" occluded="0" {corners} z_order="0">\n    </box>\n'
        "  </track>\n"
    )


OPEN_IMAGES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)


def open_images(stem: str) -> str:
    _, left, top, right, bottom = box(stem)
    edges = ",".join(f"{each:.6f}" for each in (left / WIDTH, right / WIDTH, top / HEIGHT, bottom / HEIGHT))
    return f"{stem},xclick,/m/0k4j,1,{edges},0,0,0,0,0\n"


def wheat(stem: str) -> str:
    return f"{stem}.jpg,{' '.join(map(str, box(stem)[1:]))};1 2 3 4,Arvalis_1\n"


def wheat_of_kaggle(stem: str) -> str:
    _, left, top, right, bottom = box(stem)
    return f'{stem},{WIDTH},{HEIGHT},"[{left}.0, {top}.0, {right - left}.0, {bottom - top}.0]",arvalis_1\n'


def class_before(stem: str) -> str:
    name, *edges = box(stem)
    return f"{stem}.jpg,{name},{','.join(map(str, edges))}\n"


def sku(stem: str) -> str:
    name, *edges = box(stem)
    return f"{stem}.jpg,{','.join(map(str, edges))},{name},{WIDTH},{HEIGHT}\n"


def make_sense(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    return f"{name},{left},{top},{right - left},{bottom - top},{stem}.jpg,{WIDTH},{HEIGHT}\n"


MAKE_SENSE = "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height\n"


def class_first(stem: str) -> str:
    name, *edges = box(stem)
    return f"{stem}.jpg,{name},{','.join(map(str, edges))}\n"


def list_of(name: str, one: Callable[[str], str], head: str = "") -> Callable[[Folder, Iterable[str]], None]:
    def write(to: Folder, stems: Iterable[str]) -> None:
        to.put(name, head + "".join(map(one, stems)))

    return write


def one_each(name: str, one: Callable[[str], str]) -> Callable[[Folder, Iterable[str]], None]:
    def write(to: Folder, stems: Iterable[str]) -> None:
        for stem in stems:
            to.put(name.format(stem=stem), one(stem))

    return write


CVAT = "<annotations>\n  <version>1.1</version>\n"
OTHER_KINDS: dict[str, tuple[str, Callable[[Folder, Iterable[str]], None]]] = {
    "keras-retinanet's csv": ("1 file (annotations.csv)", list_of("annotations.csv", retina)),
    "keras-retinanet's txt": ("1 file (annotate.txt)", list_of("annotate.txt", retina)),
    "keras-yolo3's train.txt": ("1 file (train.txt)", list_of("train.txt", keras_yolo)),
    "Roboflow's csv": ("1 file (_annotations.csv)", list_of("_annotations.csv", roboflow, ROBOFLOW)),
    "VIA's csv": ("1 file (via.csv)", list_of("via.csv", via, VIA)),
    "Open Images' csv": ("1 file (boxes.csv)", list_of("boxes.csv", open_images, OPEN_IMAGES)),
    "the wheat heads' csv": ("1 file (train.csv)", list_of("train.csv", wheat, "image_name,BoxesString,domain\n")),
    "Kaggle's csv of wheat heads": (
        "1 file (train.csv)",
        list_of("train.csv", wheat_of_kaggle, "image_id,width,height,bbox,source\n"),
    ),
    "six columns, the class second": ("1 file (boxes.csv)", list_of("boxes.csv", class_before)),
    "SKU-110K's csv": ("1 file (boxes.csv)", list_of("boxes.csv", sku)),
    "makesense.ai's csv": ("1 file (boxes.csv)", list_of("boxes.csv", make_sense)),
    "makesense.ai's csv with a header": ("1 file (boxes.csv)", list_of("boxes.csv", make_sense, MAKE_SENSE)),
    "a csv with the class before the box": ("1 file (boxes.csv)", list_of("boxes.csv", class_first)),
    "VOC": ("4 files (Annotations/im4.xml, Annotations/im5.xml,", one_each("Annotations/{stem}.xml", voc)),
    "LabelMe": ("4 files (images/im4.json, images/im5.json,", one_each("images/{stem}.json", labelme)),
    "Supervisely": ("4 files (ann/im4.jpg.json, ann/im5.jpg.json,", one_each("ann/{stem}.jpg.json", supervisely)),
    "CVAT's XML": (
        "1 file (annotations.xml)",
        list_of("annotations.xml", cvat, CVAT),
    ),
}


CONVERT = ": convert it to YOLO label files or to COCO"
ALONE = {
    "CVAT's XML": "looks like another annotation format, CVAT's XML for images: export the task from CVAT as COCO 1.0",
    "VOC": "looks like another annotation format, Pascal VOC's XML: convert it to",
    "LabelMe": "looks like another annotation format, LabelMe's JSON: convert it to",
    "Supervisely": "looks like another annotation format, Supervisely's JSON: convert it to",
    "VIA's csv": "looks like another annotation format, VIA's csv: convert it to",
    "Open Images' csv": "looks like another annotation format, a csv of Open Images: convert it to",
    "the wheat heads' csv": "looks like another annotation format, a csv of the Global Wheat Head Dataset: conv",
    "SKU-110K's csv": "looks like another annotation format, a list of boxes: convert it to",
}


def half_converted(to: Folder, other: Callable[[Folder, Iterable[str]], None], others: Iterable[str]) -> None:
    """Four images have YOLO labels; the labels of `others` are of another kind."""
    to.yolo(**FLAT, yaml=NAMED, stems=STEMS[:4])
    for stem in STEMS[4:]:
        to.put(f"images/{stem}.jpg", picture(stem))
    other(to, others)


def whole(to: Folder, other: Callable[[Folder, Iterable[str]], None]) -> None:
    to.yolo(**FLAT, yaml=NAMED)
    other(to, STEMS)


def alone(to: Folder, other: Callable[[Folder, Iterable[str]], None]) -> None:
    for stem in STEMS:
        to.put(f"images/{stem}.jpg", picture(stem))
    to.put("classes.txt", LIST)
    other(to, STEMS)


for kind, (files, other) in OTHER_KINDS.items():
    said = "4 images (images/im4.jpg, images/im5.jpg, images/im6.jpg, ...) without a YOLO label file and with boxes in "
    row(f"{kind} of the images without YOLO labels", Refused(said + files))(
        lambda to, other=other: half_converted(to, other, STEMS[4:])
    )
    row(f"{kind} beside YOLO labels of the same", Taken(undivided()))(lambda to, other=other: whole(to, other))
    row(f"{kind} alone", Refused(ALONE.get(kind, CONVERT)))(lambda to, other=other: alone(to, other))


@row(
    "CVAT's tracks of the frames without YOLO labels", Refused("(images/frame_000004.jpg, images/frame_000005.jpg, im")
)
def _(to: Folder) -> None:
    to.yolo(**FLAT, yaml=NAMED, stems=STEMS[:4])
    for number, stem in enumerate(STEMS[4:], 4):
        to.put(f"images/frame_{number:06d}.jpg", picture(stem))
    list_of("annotations.xml", cvat_track, CVAT)(to, STEMS[4:])


@row(
    "CVAT's tracks alone", Refused("annotations.xml looks like another annotation format, CVAT's XML for video, with t")
)
def _(to: Folder) -> None:
    alone(to, list_of("annotations.xml", cvat_track, CVAT))


for name in ("boxes.csv", "labels.parquet", "train.tfrecord"):
    row(f"a {name} of which nobody knows what it is, alone", Refused(f"{name} looks like another annotation format"))(
        lambda to, name=name: alone(to, list_of(name, lambda stem: f"{stem}: something\n"))
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("annotations.csv", "".join(map(retina_empty, STEMS))),
        ("sizes.csv", "".join(f"images/{stem}.jpg,60,40,3,2400,8\n" for stem in STEMS)),
        (
            "predictions.csv",
            "image,xmin,ymin,xmax,ymax,confidence\n" + "".join(f"{stem}.jpg,1,2,9,9,1\n" for stem in STEMS),
        ),
        ("images/im5.xml", "<annotation><filename>im5.jpg</filename></annotation>"),
        ("images/im5.json", '{"shapes": [], "imagePath": "im5.jpg"}'),
        ("images/im5.json", '{"shapes": '),
        ("ann/im5.jpg.json", '{"size": {"height": 40, "width": 60}, "tags": [{"classTitle": "x"}], "objects": []}'),
        (
            "annotations.xml",
            '<annotations><image id="1" name="im5.jpg" width="60" height="40"/><image id="2" name="im6.jpg"></image>'
            '<image id="3" name="im7.jpg"><tag label="dark"></tag></image><image id="0" name="im0.jpg"><box/></image>',
        ),
        ("notes.txt", "see images/im5.jpg, 1, 2\n\0\n"),
        ("cameras.csv", "".join(f"images/{stem}.jpg,front,60,40,3,2400\n" for stem in STEMS)),
        ("sizes.csv", "".join(f"{stem}.jpg,front,60,40,1,2,60,40\n" for stem in STEMS)),
        (
            "metadata.csv",
            "file_name,camera,width,height,exposure,gain\n"
            + "".join(f"{stem}.jpg,front,60,40,1200,90\n" for stem in STEMS),
        ),
        ("metadata.csv", "".join(f"{stem}.jpg,sunny,9,30,{hour},55\n" for hour, stem in enumerate(STEMS, 6))),
        ("cameras.csv", "".join(f"{stem}.jpg,front,10,20,30,40,5,6\n" for stem in STEMS)),
        ("found.csv", "image,bbox,prob\n" + "".join(f'{stem}.jpg,"[1, 2, 9, 9]",0.9\n' for stem in STEMS)),
        ("train.csv", "image_name,BoxesString,domain\n" + "".join(f"{stem}.jpg,no_box,a\n" for stem in STEMS)),
        ("train.csv", "image_id,width,height,bbox,source\n" + "".join(f"{stem},60,40,,a\n" for stem in STEMS)),
        ("sample_submission.csv", "image_id,PredictionString\n" + "".join(f"{stem},1.0 0 0 50 50\n" for stem in STEMS)),
        ("boxes.csv", OPEN_IMAGES),
        (
            "annotations.xml",
            '<annotations><track id="0" label="nut"><box frame="5" outside="1" xtl="1.0"></box></track></annotations>',
        ),
        ("big.csv", "a" * 200_000 + ",1,2,3,4,nut\n"),
    ],
)
def test_what_has_no_boxes_of_an_image_leaves_it_without_objects(name: str, text: str, tmp_path: Path) -> None:
    to = Folder(tmp_path)
    half_converted(to, list_of(name, str), [text])
    assert [len(sample.rows) for sample in wild.read(to.root).parts["train"]] == [1] * 4 + [0] * 4


@pytest.mark.parametrize(
    "names",
    [
        "x_left,y_top,x_right,y_bottom",
        "xtl,ytl,xbr,ybr",
        "upper_left_x,upper_left_y,lower_right_x,lower_right_y",
        "Bounding Box X Min,Bounding Box Y Min,Bounding Box X Max,Bounding Box Y Max",
        "bbox_x1,bbox_y1,bbox_x2,bbox_y2",
    ],
)
def test_what_columns_of_a_box_are_called(names: str, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(f"image,label,{names}\n{class_first('im5')}")
    assert list(otherkinds.listed(tmp_path, "boxes.csv")) == ["im5.jpg"]


def test_format_yolo_takes_images_without_a_label_file_as_such_without_objects(tmp_path: Path) -> None:
    to = Folder(tmp_path)
    half_converted(to, OTHER_KINDS["VOC"][1], STEMS[4:])
    assert [len(sample.rows) for sample in wild.read(to.root, "YOLO").parts["train"]] == [1] * 4 + [0] * 4


# --- C5, links --------------------------------------------------------------------------------------------------------


@row("C5 a link that leads nowhere", Refused("images/train/im0.jpg is a link that leads nowhere (.git/annex/x)"))
def _(to: Folder) -> None:
    to.yolo()
    (to.root / "images/train/im0.jpg").unlink()
    (to.root / "images/train/im0.jpg").symlink_to(".git/annex/x")


for target, told in (("again.jpg", "again.jpg"), ("im0.jpg/x", "im0.jpg/x"), ("x" * 300, "xxx")):
    row(f"a link to {told}", Refused(f"images/train/again.jpg is a link that leads nowhere ({told}"))(
        lambda to, target=target: (to.yolo(), (to.root / "images/train/again.jpg").symlink_to(target))
    )


def linked(to: Folder, elsewhere: Path) -> None:
    to.yolo()
    for kind in ("images", "labels"):
        (elsewhere / kind).mkdir(parents=True)
        for file in sorted((to.root / kind / "train").iterdir())[3:]:
            file.rename(elsewhere / kind / file.name)
        (to.root / kind / "train/more").symlink_to(elsewhere / kind)


row("a folder linked from outside", Refused("train/more is a link to a folder outside the source"))(
    lambda to: linked(to, to.root.parent / "elsewhere")
)
row("a folder linked from inside", RIGHT)(lambda to: linked(to, to.root / ".store"))


@row("a folder linked into itself", Refused("images/train/again is a link to a folder that it lies in"))
def _(to: Folder) -> None:
    to.yolo()
    (to.root / "images/train/again").symlink_to("../../images")


# --- R1, R2, R5, R13 --------------------------------------------------------------------------------------------------

for name, text in {
    "a list": '[{"image_id": 1, "score": 0.5}]',
    "empty": "",
    "JSON lines": '{"a": 1}\n{"b": 2}\n',
    "broken and something else": '{"task": ',
}.items():
    row(f"R1 {name} beside COCO", RIGHT)(lambda to, text=text: (to.coco(), to.put("predictions.json", text)))
row("R1 annotations that are cut short", Refused("more.json is not JSON"))(
    lambda to: (to.coco(), to.put("more.json", '{"images": [{"id": 1}, '))
)
for name, file, text in (
    ("equal descriptions", "dataset.yaml", PLAIN),
    ("DVC's params", "params.yaml", "train:\n  epochs: 10\n"),
    ("params with a key twice", "params.yaml", "a: &a {}\ntrain:\n  <<: *a\n  <<: *a\n  lr: 1\n  lr: 2\n"),
    ("a tag", "mkdocs.yml", "x: !ENV [A]\n"),
    ("two documents", "k8s.yaml", "a: 1\n---\nb: 2\n"),
    ("a template", "values.yaml", "a: {{ b }}\n"),
):
    row(f"R5 {name}", RIGHT)(lambda to, file=file, text=text: (to.yolo(), to.put(file, text)))
row("R5 a date that is none, nc as text", RIGHT)(lambda to: to.yolo(yaml=PLAIN + "date: 2024-02-30\nnc: '3'\n"))
for name, yaml, words in (
    (
        "an index twice",
        UNNAMED + "names:\n  0: nut\n  1: washer\n  1: bolt\n",
        "data.yaml has 1: twice; remove the one",
    ),
    (
        "an index twice in other words",
        UNNAMED + "names: {0: nut, 1: washer, 01: bolt}\n",
        "several names for one index",
    ),
    ("a part twice", "train: images/test\n" + PLAIN, "data.yaml has train: twice; remove the one"),
):
    row(f"R5 {name}", Refused(words))(lambda to, yaml=yaml: to.yolo(yaml=yaml))
for name, content, words in (
    ("broken", b"train: images/train\n\tval: images/val\nnames: [a, b, c]\n", "set.yaml is not YAML: while scanning"),
    ("UTF-16", PLAIN.encode("utf-16"), "set.yaml is not UTF-8 text; save it as UTF-8"),
):
    row(f"R5 {name} description", Refused(words))(
        lambda to, content=content: (to.yolo(yaml=None), to.put("classes.txt", LIST), to.put("set.yaml", content))
    )
    row(f"R5 {name} description beside a whole one", Refused("; correct it, or remove it where data.yaml counts"))(
        lambda to, content=content: (to.yolo(), to.put("set.yaml", content))
    )


def exports(to: Folder, *folders: str) -> None:
    for folder in folders:
        to.yolo(folder + "images/{part}/{stem}.jpg", folder + "labels/{part}/{stem}.txt", yaml=None)
        to.put(f"{folder}data.yaml", PLAIN)


row("two exports of one project", Refused("so these are several datasets; give one of their folders, or each as a"))(
    lambda to: exports(to, "old/", "new/")
)
row("an export within another", Refused("remove backup/data.yaml to have its images left out, or move its folder"))(
    lambda to: exports(to, "", "backup/")
)
row("a copy of data.yaml in every folder", RIGHT)(
    lambda to: (to.yolo(), *(to.put(f"{each}/data.yaml", PLAIN) for each in ("images/train", "images/val", "labels")))
)
for image, label in (
    ("JPEGImages/{part}/{stem}.jpg", "labels/{part}/{stem}.txt"),
    ("{part}/img/{stem}.jpg", "{part}/label/{stem}.txt"),
    ("images/{part}/{stem}.jpg", "labels/{stem}.txt"),
    ("images/{part}/{stem}.jpg", "labels/{part}/{stem}.jpg.txt"),
):
    row(f"R13 {image} {label}", Taken(TRUTH, "found under another name or folder"))(
        lambda to, image=image, label=label: to.yolo(image, label, yaml=NAMED)
    )


# --- R14, F20: EXIF ---------------------------------------------------------------------------------------------------


def turned(orientation: int, *, measured: str) -> Callable[[Folder], None]:
    """All pictures stored in another orientation than they are shown in, and listed with the size that is stored."""
    stored = {
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }

    def place(stem: str) -> list[float]:
        _, left, top, right, bottom = box(stem)
        if measured == "shown":
            return [left, top, right - left, bottom - top]
        marks = Image.new("L", (WIDTH, HEIGHT))
        marks.paste(255, (left, top, right, bottom))
        x1, y1, x2, y2 = marks.transpose(stored[orientation]).getbbox() or (0, 0, 0, 0)
        return [x1, y1, x2 - x1, y2 - y1]

    def write(to: Folder) -> None:
        to.coco(bbox=place)
        exif = Image.Exif()
        exif[274] = orientation
        for stem in STEMS:
            stream = io.BytesIO()
            shown = Image.open(io.BytesIO(picture(stem)))
            shown.transpose(stored[orientation]).save(stream, "JPEG", exif=exif)
            to.put(f"{PARTS[stem]}/{stem}.jpg", stream.getvalue())
        for file in to.root.rglob("*.json"):
            swapped = f'"width": {HEIGHT}, "height": {WIDTH}'
            file.write_text(file.read_text().replace(f'"width": {WIDTH}, "height": {HEIGHT}', swapped))

    return write


for orientation in (5, 6, 7, 8):
    row(f"R14 F20 EXIF {orientation}, measured as stored", RIGHT)(turned(orientation, measured="stored"))
    row(f"R14 F20 EXIF {orientation}, measured as shown", RIGHT)(turned(orientation, measured="shown"))


@row(
    "R14 EXIF, and no box tells",
    Refused("nothing tells whether they were annotated turned: 1 (train/im0.jpg listed as 40x60, EXIF"),
)
def _(to: Folder) -> None:
    turned(6, measured="shown")(to)
    for stem in STEMS[1:]:
        to.put(f"{PARTS[stem]}/{stem}.jpg", picture(stem))
    for file in to.root.rglob("*.json"):
        swapped, plain = f'"width": {HEIGHT}, "height": {WIDTH}', f'"width": {WIDTH}, "height": {HEIGHT}'
        head, own, rest = file.read_text().partition(f'"im0.jpg", {swapped}')
        file.write_text(head.replace(swapped, plain) + own + rest.replace(swapped, plain))


@row("F20 EXIF in YOLO", Taken(TRUTH, "1 image (images/train/im0.jpg) turned by their EXIF orientation"))
def _(to: Folder) -> None:
    to.yolo()
    exif = Image.Exif()
    exif[274] = 3
    to.put("images/train/im0.jpg", picture("im0", exif=exif))


# --- F17, F19, F25 ----------------------------------------------------------------------------------------------------

row("F17 1203 classes", Refused("has 1203 classes, and a ModelVersion lists 1024 at most"))(
    lambda to: to.yolo(yaml=f"names: [{', '.join(f'c{number}' for number in range(1203))}]\n")
)
row("F17 a name of 129 characters", Refused("has 129 characters, and a ModelVersion takes 128; shorten it"))(
    lambda to: to.yolo(yaml=f"names: [nut, washer, {'x' * 129}]\n")
)
row("F19 12 bits in 16", Taken(TRUTH, "1 image (images/train/im0.png) almost black"))(
    replaced(
        encoded(".png", np.random.default_rng(0).integers(0, 4096, (HEIGHT, WIDTH, 3)).astype(np.uint16)),
        "images/train/im0.png",
    )
)
row("sizes and ids as texts or floats", RIGHT)(
    lambda to: to.coco(
        image_id=lambda stem: str(STEMS.index(stem)), category_id=lambda stem: float(STEMS.index(stem) % 3 + 1)
    )
)


def test_r2_of_boxes_and_polygons_in_one_file_the_boxes_are_taken() -> None:
    """What Label Studio's converter writes of rectangles and polygons of one image."""
    rows = parse(wild.corners("im0") + line("im1"), 3)
    assert [NAMES[row.index] for row in rows] == ["nut", "washer"]
    for row, stem in zip(rows, ("im0", "im1"), strict=True):
        assert row.numbers == pytest.approx(wild.numbers(stem), abs=1e-6)


def test_a_balance_holds_no_name_that_is_no_utf8(tmp_path: Path) -> None:
    """It goes into report.json and a ModelVersion."""
    to = Folder(tmp_path)
    to.yolo()
    to.put(os.fsdecode(b"images/train/\xfc.heic"), b"\0\0\0\x18ftypheic" + bytes(64))
    to.put(os.fsdecode(b"note.\xfc"), "")
    told = wild.read(to.root).balance.to_json()
    assert told["imagesLeftOut"][0]["first"] == ["images/train/\\xfc.heic"]
    assert told["otherFiles"][".\\xfc"] == 1
    assert json.dumps(told, ensure_ascii=False).encode()


@pytest.mark.parametrize(("write", "expected", "format"), ROWS)
def test_each(write: Callable[[Folder], None], expected: Taken | Refused, format: Format, tmp_path: Path) -> None:
    to = Folder(tmp_path / "wild")
    to.root.mkdir()
    write(to)
    if isinstance(expected, Refused):
        with pytest.raises(DatasetError) as caught:
            wild.read(to.root, format)
        assert caught.value.reason == "DatasetInvalid"
        assert expected.words in caught.value.message
        return
    source = wild.read(to.root, format)
    assert wild.found(source) == expected.truth
    assert expected.words in "\n".join(source.notes)
    balance = source.balance
    assert balance.files == sum(len(names) for _, _, names in os.walk(to.root, followlinks=True))
    assert sum(group.count for group in balance.images_left_out) == expected.images
    assert sum(group.count for group in balance.label_files_left_out) == expected.labels
    assert balance.annotations == len(expected.truth)
    assert sum(sample.suffix is None for each in source.parts.values() for sample in each) == expected.converted
    if {"train", "val"} <= source.parts.keys():
        done = assemble([source], Decimal("0.2"), 0, tmp_path / "set")
        assert done.images == sum(part != "test" for part, _ in expected.truth.values())
