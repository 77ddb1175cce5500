"""The rows of bad_input.yaml that need no training: real files, a real object store, a real full disk."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import documents
import pytest
import trees
from bad_input import ROWS, agrees, run_trainer

KEYS = {"AWS_ACCESS_KEY_ID": "test-access-key", "AWS_SECRET_ACCESS_KEY": "test-secret-key"}
# a mount namespace of its own, so that nothing stays mounted however this ends
SMALL_DISK = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=16m tmpfs . && cd "$PWD" && exec "$@"', "sh")


@dataclass
class Case:
    """What one run is given; a row's function changes it."""

    folder: Path
    data: str = ""
    output: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    within: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.data = self.data or f"file://{self.folder}/parts"
        self.output = self.output or f"file://{self.folder}/v1/"

    @property
    def root(self) -> Path:
        return self.folder / "parts"

    def append(self, line: str, *numbers: int) -> None:
        for number in numbers:
            with (self.root / f"train/labels/{number}.txt").open("a") as label:
                label.write(f"{line}\n")


def dataset(root: Path) -> None:
    trees.write(root, trees.pairs("train/images/{}.jpg", "train/labels/{}.txt", 4))
    trees.write(root, trees.pairs("val/images/{}.jpg", "val/labels/{}.txt", 2), start=50)
    (root / "data.yaml").write_text("names: [bolt, nut, washer]\n")


def remove_labels(case: Case) -> None:
    for label in case.root.rglob("*.txt"):
        label.unlink()


def empty(case: Case) -> None:
    case.data = f"file://{case.folder}/empty"
    (case.folder / "empty").mkdir()


def coco(case: Case, change: Callable[[dict[str, Any]], None]) -> None:
    case.data = f"file://{case.folder}/coco"
    names = trees.write(case.folder / "coco", ["0.jpg", "1.jpg"]).iterdir()
    listed = enumerate(sorted(path.name for path in names))
    content: dict[str, Any] = {
        "images": [{"id": number, "file_name": name, "width": 24, "height": 24} for number, name in listed],
        "annotations": [
            {"id": number + 11, "image_id": number, "category_id": 1, "bbox": [6, 6, 9, 6]} for number in range(2)
        ],
        "categories": [{"id": 1, "name": "bolt"}],
    }
    change(content)
    (case.folder / "coco" / "_annotations.coco.json").write_text(json.dumps(content))


def leaked_holdout(case: Case) -> None:
    trees.write(case.folder / "holdout", ["images/0.jpg", "labels/0.txt"])  # the first training image
    trees.write(case.folder / "holdout", ["images/9.jpg", "labels/9.txt"], start=900)
    case.known["holdout"] = f"file://{case.folder}/holdout"
    case.document["evaluation"] = {"dataset": {"uri": case.known["holdout"]}}


def archive(case: Case, name: str, size: int) -> None:
    case.data = f"file://{case.folder}/parts.zip"
    with zipfile.ZipFile(case.folder / "parts.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr(name, b"\0" * size)


def pin(case: Case) -> None:
    case.known["pinned"] = "ab" * 32
    case.document["dataset"] = {"sources": [{"uri": case.data, "sha256": "ab" * 32}]}


def publish_before(case: Case) -> None:
    (case.folder / "v1").mkdir()
    (case.folder / "v1" / "manifest.json").write_text('{"uid": "other", "trainingJob": "parts-0"}')


PLAIN: dict[str, Callable[[Case], None]] = {
    "empty dataset": empty,
    "images without labels": remove_labels,
    "labels out of range": lambda case: case.append("0 320 240 64 64", 1, 2),
    "NaN coordinates": lambda case: case.append("0 nan 0.5 0.2 0.2", 1),
    "class index too high": lambda case: case.append("3 0.5 0.5 0.2 0.2", 1),
    "corrupt image": lambda case: (case.root / "train/images/1.jpg").write_bytes(trees.picture(1)[:200]) and None,
    "COCO box outside its image": lambda case: coco(
        case, lambda content: content["annotations"][1].update(bbox=[6, 6, 90, 6])
    ),
    "COCO image that is not there": lambda case: coco(
        case, lambda content: content["images"].append({"id": 7, "file_name": "7.jpg", "width": 24, "height": 24})
    ),
    "holdout that is trained on": leaked_holdout,
    "archive that leads out": lambda case: archive(case, "../outside.jpg", 1),
    "wrong digest": pin,
    "version that exists": publish_before,
}

STORED: dict[str, Callable[[Case], None]] = {
    "missing bucket": lambda case: setattr(case, "data", "s3://nowhere/parts.tar"),
    "missing bucket for the output": lambda case: setattr(case, "output", "s3://nowhere/parts/v1/"),
    "wrong credentials": lambda case: case.variables.update(AWS_SECRET_ACCESS_KEY="wrong-secret-key"),
}


def check(name: str, case: Case) -> None:
    document = documents.document(
        dataset={"sources": [{"uri": case.data}]}, output={"uri": case.output, "formats": ["onnx"]}
    )
    ended = run_trainer(case.folder, document | case.document, case.variables, case.within)
    agrees(ROWS[name], ended, data=case.data, output=case.output, **case.known)


@pytest.mark.skipif(
    find_spec("ultralytics") is not None,
    reason="runs outside the image, in a fraction of the time; training/test_failures.py runs some with ultralytics",
)
@pytest.mark.parametrize("name", PLAIN)
def test_files(name: str, tmp_path: Path) -> None:
    case = Case(tmp_path)
    dataset(case.root)
    PLAIN[name](case)
    before = sorted(tmp_path.glob("v1/*"))
    check(name, case)
    assert sorted(tmp_path.glob("v1/*")) == before, "nothing is published"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk: needs root")
def test_a_full_disk_unpacking(tmp_path: Path) -> None:
    case = Case(tmp_path, within=SMALL_DISK)
    archive(case, "0.jpg", 30_003_200)  # 7,325 blocks
    check("full disk, unpacking", case)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The endpoint of a real S3 server, and the folder of its buckets `data` and `models`."""
    object_store = pytest.importorskip("harness.object_store", reason="the image has no object store")
    root = tmp_path_factory.mktemp("store")
    for bucket in ("data", "models"):
        (root / bucket).mkdir()
    with object_store.gateway(root, KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]) as endpoint:
        yield endpoint, root


@pytest.fixture
def stored(store: tuple[str, Path], tmp_path: Path) -> Case:
    variables = {"AWS_ENDPOINT_URL": store[0], "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", **KEYS}
    return Case(tmp_path, data="s3://data/parts.tar", output="s3://models/parts/v1/", variables=variables)


@pytest.mark.cluster
@pytest.mark.parametrize("name", STORED)
def test_an_object_store(name: str, stored: Case, store: tuple[str, Path]) -> None:
    STORED[name](stored)
    check(name, stored)
    assert not [path for path in (store[1] / "models").rglob("*") if path.is_file()]


@pytest.mark.cluster
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk: needs root")
def test_a_full_disk_downloading(stored: Case, store: tuple[str, Path]) -> None:
    (store[1] / "data" / "parts.tar").write_bytes(b"\0" * 20_000_000)
    stored.within = SMALL_DISK
    check("full disk, downloading", stored)


def test_names_of_any_bytes_are_told(tmp_path: Path) -> None:
    """A tar of an old machine, its names in Latin-1, one label wrong: exit 64, and a message that can be written."""
    trees.write(tmp_path / "parts", trees.pairs("images/{}.jpg", "labels/{}.txt", 4))
    (tmp_path / "parts/labels/1.txt").write_text("9 0.5 0.5 0.2 0.2\n")
    with tarfile.open(tmp_path / "parts.tar", "w", format=tarfile.USTAR_FORMAT, encoding="latin-1") as opened:
        for path in sorted((tmp_path / "parts").rglob("*.*")):
            opened.add(path, f"{path.parent.name}/Köln{path.name}")
    uri = f"file://{tmp_path}/parts.tar"
    (tmp_path / "parts/data.yaml").write_text("names: [bolt]\n")
    with tarfile.open(tmp_path / "parts.tar", "a") as opened:
        opened.add(tmp_path / "parts/data.yaml", "data.yaml")
    output = {"uri": f"file://{tmp_path}/v1/", "formats": ["onnx"]}
    document = documents.document(dataset={"sources": [{"uri": uri}], "validationSplit": "0.2"}, output=output)
    ended = run_trainer(tmp_path, document, {})
    assert (ended.code, ended.reason) == (64, "DatasetInvalid")
    assert "labels/K%F6ln1.txt line 1: class 9" in ended.message


def test_every_row_is_run() -> None:
    here = Path(__file__).parent
    elsewhere = set((here / "training" / "test_bad_input.py").read_text().split('"'))
    full = {"full disk, downloading", "full disk, unpacking"}
    assert set(ROWS) - set(PLAIN) - set(STORED) - full <= elsewhere
    assert set(PLAIN) | set(STORED) | full <= set(ROWS)
