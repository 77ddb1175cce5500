"""Archives, folders and mounted folders: verified, unpacked safely, and described when they can't be."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import trees

import artifactstore
from artifactstore import ArtifactError
from detectiondata.assemble import assemble
from detectiondata.errors import DatasetError
from detectiondata.fetch import Source, fetch
from detectiondata.source import check_source


def dataset(root: Path) -> Path:
    trees.write(root, trees.pairs("train/images/{}.jpg", "train/labels/{}.txt"))
    (root / "data.yaml").write_text("names: [bolt]\n")
    return root


def listing(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def pack(root: Path, archive: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for path in sorted(root.rglob("*")):
                opened.write(path, path.relative_to(root))
    else:
        mode = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(archive.suffix, "w")
        with tarfile.open(archive, mode) as opened_tar:  # type: ignore[call-overload]
            opened_tar.add(root, ".")


@pytest.mark.parametrize(
    "name", ["parts.tar", "parts.tar.gz", "parts.tar.bz2", "parts.tar.xz", "parts.zip", "parts.data"]
)
@pytest.mark.parametrize("pinned", [True, False])
def test_archives_are_unpacked(name: str, pinned: bool, tmp_path: Path) -> None:
    root = dataset(tmp_path / "made")
    pack(root, tmp_path / name)
    sha256 = artifactstore.file_digest(tmp_path / name).sha256
    fetched = fetch(Source(f"file://{tmp_path / name}", sha256 if pinned else None), tmp_path / "work")
    assert fetched.sha256 == sha256
    assert listing(fetched.root) == listing(root)


def gnu_tar(root: Path, archive: Path, *options: str) -> Path:
    subprocess.run(["tar", "--format=gnu", *options, "-C", root, "-cf", archive, "."], check=True, capture_output=True)
    return archive


def test_the_label_of_a_tar_is_no_file(tmp_path: Path) -> None:
    root = dataset(tmp_path / "made")
    archive = gnu_tar(root, tmp_path / "parts.tar", "--label=parts of november")
    assert listing(fetch(Source(f"file://{archive}"), tmp_path / "work").root) == listing(root)


def test_a_backup_is_refused_as_what_it_is(tmp_path: Path) -> None:
    root = dataset(tmp_path / "made")
    archive = gnu_tar(root, tmp_path / "parts.tar", "-g", str(tmp_path / "list"))
    with pytest.raises(DatasetError, match=r"is an incremental backup \(tar -g\), of which not all files can be told"):
        fetch(Source(f"file://{archive}"), tmp_path / "work")


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """As the trainer's pod runs: not as root."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("denied", ["train/images/0.jpg", "train/images", ".", "parts.tar"])
def test_a_mounted_volume_of_another_user(denied: str) -> None:
    """It failed as TrainingFailed, in Python's own words, and was tried again and again."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is for its user alone
        Path(name).chmod(0o755)
        root = dataset(Path(name) / "made")
        pack(root, root / "parts.tar")
        (root / denied).chmod(0)
        uri = f"file://{root}/{'parts.tar' if denied == 'parts.tar' else ''}"
        with as_nobody(), pytest.raises(ArtifactError) as caught:
            fetch(Source(uri), Path(name) / "work")
        (root / denied).chmod(0o700)
    assert (caught.value.reason, caught.value.retryable) == ("AccessDenied", False)
    assert str(root / denied) in caught.value.message
    assert "say fsGroup or runAsUser in the pod's template" in caught.value.message


def test_the_top_of_a_volume_holds_a_folder_that_is_not_data() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = dataset(Path(name))
        before = fetch(Source(f"file://{root}/"), root / "unused").sha256
        (root / "lost+found").mkdir(mode=0)
        with as_nobody():
            fetched = fetch(Source(f"file://{root}/", before), root / "unused")
        assert check_source(fetched, "Auto", None).balance.files == 5


def test_a_mounted_folder_is_read_where_it_lies(tmp_path: Path) -> None:
    root = dataset(tmp_path / "mounted set")
    fetched = fetch(Source(f"file://{root}"), tmp_path / "work")
    assert fetched.root == root
    assert not (tmp_path / "work").exists()
    command = "find -L . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == fetched.sha256
    assert fetch(Source(f"file://{root}/", fetched.sha256), tmp_path / "work").sha256 == fetched.sha256


@pytest.mark.parametrize("folder", [True, False])
def test_a_wrong_digest_is_refused(folder: bool, tmp_path: Path) -> None:
    root = dataset(tmp_path / "made")
    pack(root, tmp_path / "parts.tar")
    uri = f"file://{root if folder else tmp_path / 'parts.tar'}"
    with pytest.raises(DatasetError) as caught:
        fetch(Source(uri, "ab" * 32), tmp_path / "work")
    assert caught.value.reason == "DigestMismatch"
    assert f"expected sha256 {'ab' * 32}, found " in caught.value.message
    assert uri in caught.value.message


@pytest.mark.parametrize("uri", ["file:///no/such/parts.tar", "file:///no/such/folder/"])
def test_what_is_not_there_is_missing(uri: str, tmp_path: Path) -> None:
    with pytest.raises(artifactstore.ArtifactError) as caught:
        fetch(Source(uri), tmp_path / "work")
    assert caught.value.reason == "NotFound"
    assert uri in caught.value.message


def member(name: str, **changes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def tar_with(path: Path, info: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as opened:
        opened.addfile(info, io.BytesIO(b"x" * info.size))


def zip_with(path: Path, name: str, mode: int = 0o100644) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        opened.writestr(info, "x")


def damaged_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.txt", "some text that is here")
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: tar_with(path, member("../outside", size=1)), "'../outside', which leads out of the archive"),
        (lambda path: tar_with(path, member("a/../../outside", size=1)), "leads out of the archive"),
        (lambda path: tar_with(path, member("/tmp/outside", size=1)), "'/tmp/outside', which leads out"),
        (lambda path: tar_with(path, member("a", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "holds a link, 'a'"),
        (
            lambda path: tar_with(path, member("a", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
            "(hard link) of '/etc/",
        ),
        (lambda path: tar_with(path, member("a", type=tarfile.CHRTYPE)), "holds a device, 'a'"),
        (lambda path: zip_with(path, "../outside"), "'../outside', which leads out of the archive"),
        (lambda path: zip_with(path, "..\\outside"), "which leads out of the archive"),
        (lambda path: zip_with(path, "C:/outside"), "which leads out of the archive"),
        (lambda path: zip_with(path, "/outside"), "which leads out of the archive"),
        (lambda path: zip_with(path, "link", 0o120777), "holds a link, 'link'"),
        (lambda path: path.write_bytes(b"\x1f\x8b garbage"), "is damaged: "),
        (lambda path: path.write_text("<html>Not Found</html>"), "is neither a tar nor a zip archive"),
        (damaged_zip, "is damaged"),
    ],
)
def test_hostile_and_damaged_archives(make: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    archive = tmp_path / "box" / "parts.tar"
    archive.parent.mkdir()
    make(archive)
    with pytest.raises(DatasetError) as caught:
        fetch(Source(f"file://{archive}"), archive.parent / "work")
    assert caught.value.reason == "DatasetInvalid"
    assert message in caught.value.message
    assert not [name for name in tmp_path.iterdir() if name.name != "box"]


def test_a_truncated_tar_is_damaged(tmp_path: Path) -> None:
    pack(dataset(tmp_path / "made"), tmp_path / "parts.tar.gz")
    content = (tmp_path / "parts.tar.gz").read_bytes()
    (tmp_path / "parts.tar.gz").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DatasetError, match="is damaged"):
        fetch(Source(f"file://{tmp_path / 'parts.tar.gz'}"), tmp_path / "work")


def test_an_archive_that_does_not_fit_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as opened:
        opened.writestr("a.txt", "x")
    content = (tmp_path / "parts.zip").read_bytes()
    # the directory at the end declares almost 4 GB
    huge = content.replace(
        (1).to_bytes(4, "little") * 2, (1).to_bytes(4, "little") + (0xFFFFFFF0).to_bytes(4, "little")
    )
    assert huge != content
    (tmp_path / "parts.zip").write_bytes(huge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 31))
        with pytest.raises(artifactstore.ArtifactError) as caught:
            fetch(Source(f"file://{tmp_path / 'parts.zip'}"), tmp_path / "work")
    assert caught.value.reason == "DiskFull"
    assert caught.value.message == (
        f"file://{tmp_path}/parts.zip needs 4.3 GB unpacked and the disk has 2.1 GB free; give the volume more space"
    )
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [("parts.tar", "needs 20.5 kB or more unpacked"), ("parts.tar.gz", "needs 8.0 kB for big.txt alone")],
)
def test_a_tar_says_less_of_its_size_and_is_stopped_all_the_same(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "big.txt").write_bytes(b"x" * 8000)
    pack(tmp_path / "made", tmp_path / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=7000))
        with pytest.raises(artifactstore.ArtifactError) as caught:
            fetch(Source(f"file://{tmp_path / name}"), tmp_path / "work")
    assert caught.value.reason == "DiskFull"
    assert f"{name} {told} and the disk has 7.0 kB free" in caught.value.message
    assert not (tmp_path / "work" / "big.txt").exists()


def test_a_mounted_folder_with_names_in_any_bytes(tmp_path: Path) -> None:
    root = tmp_path / "K\udcf6ln"
    trees.write(root, trees.pairs("images/K\udcf6ln{}.jpg", "labels/K\udcf6ln{}.txt"))
    fetched = fetch(Source(f"file://{tmp_path}/K%F6ln/"), tmp_path / "work")
    assert fetched.root == root
    command = "find . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    printed = subprocess.run(command, shell=True, cwd=root, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == fetched.sha256
    checked = check_source(fetched, "Auto", ("bolt",))
    assembled = assemble([checked], Decimal("0.5"), 0, tmp_path / "dataset")
    assert all(cv2.imread(str(image)) is not None for image in assembled.validation_images)


def test_a_folder_that_is_linked_from_inside_is_in_the_digest(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "real").mkdir(parents=True)
    (root / "real/a.txt").write_text("a")
    (root / "again").symlink_to("real")
    lines = "".join(f"{hashlib.sha256(b'a').hexdigest()}  {name}\n" for name in ("again/a.txt", "real/a.txt"))
    fetched = fetch(Source(f"file://{root}/"), tmp_path / "work")
    assert fetched.sha256 == hashlib.sha256(lines.encode()).hexdigest()
