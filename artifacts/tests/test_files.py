"""file:// addresses: fetching verifies, putting never overwrites, and errors say what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from creators import race

import artifactstore
from artifactstore import ArtifactError, Digest


def uri(path: Path) -> str:
    return f"file://{path}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source" / "best one.onnx"
    path.parent.mkdir()
    path.write_bytes(b"weights" * 1000)
    return path


def test_the_public_facade_is_exactly_this() -> None:
    assert sorted(artifactstore.__all__) == [
        "ARTIFACT",
        "ArtifactError",
        "Digest",
        "Entry",
        "Folder",
        "READABLE",
        "Reason",
        "WRITABLE",
        "digest",
        "ensure_room",
        "entries",
        "exists",
        "fetch_file",
        "fetch_tree",
        "file_digest",
        "folders",
        "in_parallel",
        "join",
        "names",
        "printable",
        "put_bytes",
        "put_file",
        "read_bytes",
        "remove",
        "remove_tree",
        "scan",
        "verify",
    ]


def test_a_fetched_file_is_whole_verified_and_alone(source: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    destination = tmp_path / "cache" / "best.onnx"
    got = artifactstore.fetch_file(uri(source), destination, sha256=sha256.upper(), size=7000)
    assert got == Digest(sha256, 7000) == artifactstore.file_digest(destination) == artifactstore.digest(uri(source))
    assert destination.read_bytes() == source.read_bytes()
    assert [path.name for path in destination.parent.iterdir()] == ["best.onnx"]


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        ({"sha256": "0" * 64}, "expected sha256 0000"),
        ({"size": 6999}, "expected 6999 bytes, found at least 7000"),
        ({"size": 7001}, "expected 7001 bytes, found 7000"),
    ],
)
def test_a_wrong_digest_leaves_nothing_and_keeps_what_was_there(
    source: Path, tmp_path: Path, pin: dict[str, object], message: str
) -> None:
    destination = tmp_path / "cache" / "best.onnx"
    destination.parent.mkdir()
    destination.write_bytes(b"the old one")
    with pytest.raises(ArtifactError) as caught:
        artifactstore.fetch_file(uri(source), destination, **pin)  # type: ignore[arg-type]
    assert caught.value.reason == "DigestMismatch"
    assert not caught.value.retryable
    assert message in caught.value.message
    assert uri(source) in caught.value.message
    assert destination.read_bytes() == b"the old one"
    assert len(list(destination.parent.iterdir())) == 1


def test_a_tree_is_fetched_with_its_folders(tmp_path: Path) -> None:
    root = tmp_path / "data set"
    for name in ("train/images/a.jpg", "train/labels/a.txt", "data.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (tmp_path / "data set 2").mkdir()
    (tmp_path / "data set 2" / "not-ours.txt").write_text("")
    files = artifactstore.fetch_tree(uri(root) + "/", tmp_path / "to")
    assert [str(path.relative_to(tmp_path / "to")) for path in files] == [
        "data.yaml",
        "train/images/a.jpg",
        "train/labels/a.txt",
    ]
    assert all(path.read_text() == str(path.relative_to(tmp_path / "to")) for path in files)


def test_put_creates_only(source: Path, tmp_path: Path) -> None:
    target = artifactstore.join(uri(tmp_path / "models" / "v1"), "best.onnx")
    assert not artifactstore.exists(target)
    put = artifactstore.put_file(source, target)
    assert artifactstore.exists(target)
    assert artifactstore.digest(target) == put == artifactstore.file_digest(source)
    with pytest.raises(ArtifactError) as caught:
        artifactstore.put_bytes(b"other", target)
    assert caught.value.reason == "AlreadyExists"
    assert artifactstore.digest(target) == put
    artifactstore.put_bytes(b"other", target, overwrite=True)
    assert artifactstore.read_bytes(target) == b"other"


@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_is_told_before_a_byte_is_written(
    folder: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5_000))
    address = uri(source.parent if folder else source)
    fetch = artifactstore.fetch_tree if folder else artifactstore.fetch_file
    with pytest.raises(ArtifactError) as caught:
        fetch(address, tmp_path / "far" / "there")
    assert (caught.value.reason, caught.value.retryable) == ("DiskFull", True)
    assert caught.value.message == (f"{address} needs 7.0 kB and the disk has 5.0 kB free; give the volume more space")
    assert not list((tmp_path).glob("far/*"))


def test_names_and_removal_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "check points"
    assert artifactstore.names(uri(folder)) == []
    for name in ("2/b.pt", "1.json", "2/a.pt"):
        artifactstore.put_bytes(name.encode(), artifactstore.join(uri(folder), name))
    artifactstore.put_bytes(b"", uri(tmp_path / "check points 2/other"))
    assert artifactstore.names(uri(folder)) == ["1.json", "2/a.pt", "2/b.pt"]
    for _ in range(2):  # the second time nothing is left, which is what was asked for
        artifactstore.remove(uri(folder / "1.json"))
        assert artifactstore.names(uri(folder) + "/") == ["2/a.pt", "2/b.pt"]
    (folder / "2" / "c.pt#1").write_bytes(b"left by a writer that was killed")
    for _ in range(2):
        artifactstore.remove_tree(uri(folder))
        assert [path.name for path in tmp_path.iterdir()] == ["check points 2"]


def test_a_folder_is_listed_with_sizes_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "captured here"
    assert artifactstore.entries(uri(folder)) == []
    before = datetime.now(UTC) - timedelta(seconds=1)
    for name in ("b/2.jpg", "a.json", "b/1.jpg"):
        artifactstore.put_bytes(name.encode() * len(name), artifactstore.join(uri(folder), name))
    found = artifactstore.entries(uri(folder) + "/")
    assert [(entry.name, entry.size) for entry in found] == [("a.json", 36), ("b/1.jpg", 49), ("b/2.jpg", 49)]
    assert all(before < entry.modified < datetime.now(UTC) + timedelta(seconds=1) for entry in found)


def test_a_scan_gives_what_a_listing_does(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    assert list(artifactstore.scan(uri(folder))) == []
    for name in ("b/2.jpg", "a.json", "b/1.jpg", "empty"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"" if name == "empty" else b"x")
    found = list(artifactstore.scan(uri(folder)))
    assert found[-1].name == "empty"
    assert sorted(found, key=lambda entry: entry.name) == artifactstore.entries(uri(folder))
    with pytest.raises(ArtifactError, match="https has no folders"):
        list(artifactstore.scan("https://example.com/captures/"))


def test_of_many_creators_one_wins(tmp_path: Path) -> None:
    race(uri(tmp_path / "version.json"), times=100_000)
    assert [path.name for path in tmp_path.iterdir()] == ["version.json"]


def test_read_bytes_refuses_what_is_too_large(source: Path) -> None:
    with pytest.raises(ArtifactError, match="larger than the 10 bytes") as caught:
        artifactstore.read_bytes(uri(source), limit=10)
    assert caught.value.reason == "Unsupported"


def test_read_bytes_compares_the_digest(source: Path) -> None:
    content = b"weights" * 1000
    assert artifactstore.read_bytes(uri(source), sha256=hashlib.sha256(content).hexdigest()) == content
    with pytest.raises(ArtifactError, match="expected sha256 0000") as caught:
        artifactstore.read_bytes(uri(source), sha256="0" * 64)
    assert caught.value.reason == "DigestMismatch"


def test_work_side_by_side_keeps_its_order_and_is_never_far_ahead() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(200):
            taken.append(number)
            yield number

    results = artifactstore.in_parallel(lambda number: number * 2, numbers(), workers=4)
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(taken) < 20
    assert list(results) == [number * 2 for number in range(3, 200)]


def test_the_first_error_ends_work_side_by_side() -> None:
    taken: list[int] = []

    def work(number: int) -> None:
        taken.append(number)
        if number == 5:
            raise ValueError("five")

    with pytest.raises(ValueError, match="five"):
        list(artifactstore.in_parallel(work, range(1000), workers=4))
    assert len(taken) < 50


@pytest.mark.parametrize(
    ("address", "reason", "message"),
    [
        ("file:///no/such/file", "NotFound", "file:///no/such/file is not there; check the address"),
        ("file://relative", "Unsupported", "three slashes"),
        ("models/v1", "Unsupported", "must start with s3://"),
        ("ftp://host/file", "Unsupported", "(ftp://)"),
        ("s3://", "Unsupported", "names no bucket"),
        ("https:///x", "Unsupported", "names no host"),
        ("https://user:hunter2@host/x", "Unsupported", "carries a query or a password"),
        ("https://host/x?sig=hunter2", "Unsupported", "carries a query or a password"),
        ("file:///tmp/a//b", "Unsupported", "is not an address that can be read"),
    ],
)
def test_a_bad_address_is_named(address: str, reason: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        artifactstore.fetch_file(address, tmp_path / "x")
    assert caught.value.reason == reason
    assert message in caught.value.message
    assert "hunter2" not in caught.value.message
    assert not caught.value.retryable


def test_an_empty_or_missing_folder_is_not_found(tmp_path: Path) -> None:
    for address in (uri(tmp_path), uri(tmp_path / "none")):
        with pytest.raises(ArtifactError) as caught:
            artifactstore.fetch_tree(address, tmp_path / "to")
        assert caught.value.reason == "NotFound"


def test_https_has_no_folders(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="give an archive"):
        artifactstore.fetch_tree("https://host/folder", tmp_path)
    for listed in (artifactstore.names, artifactstore.entries, artifactstore.folders):
        with pytest.raises(ArtifactError, match="can't be listed"):
            listed("https://host/folder")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", ""])
def test_join_never_climbs(name: str) -> None:
    with pytest.raises(ArtifactError):
        artifactstore.join("s3://bucket/v1", name)


def test_join_takes_a_folder_with_or_without_slash() -> None:
    assert (
        artifactstore.join("s3://b/v1/", "best.pt") == artifactstore.join("s3://b/v1", "best.pt") == "s3://b/v1/best.pt"
    )


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 4 KB: the same error path as a full volume, without mounting one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_says_so(source: Path, tmp_path: Path, full_disk: None) -> None:
    for move in (
        lambda: artifactstore.fetch_file(uri(source), tmp_path / "to" / "best.onnx"),
        lambda: artifactstore.put_file(source, uri(tmp_path / "to" / "best.onnx")),
        lambda: artifactstore.put_file(source, uri(tmp_path / "to" / "best.onnx"), overwrite=True),
    ):
        with pytest.raises(ArtifactError, match="give the volume more space") as caught:
            move()
        assert caught.value.reason == "DiskFull"
        assert caught.value.retryable
        assert not [path for path in (tmp_path / "to").iterdir() if path.name == "best.onnx" or path.name[0] == "."]


def test_a_destination_that_is_no_folder_is_named(source: Path) -> None:
    with pytest.raises(ArtifactError, match="/dev/null") as caught:
        artifactstore.fetch_file(uri(source), Path("/dev/null/best.onnx"))
    assert caught.value.reason == "Unsupported"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EIO, "DiskError"),
        (errno.EROFS, "DiskError"),
        (errno.EUCLEAN, "DiskError"),
        (errno.ESTALE, "DiskError"),
        (errno.ENODEV, "DiskError"),
        (errno.ENOSPC, "DiskFull"),
        (errno.EACCES, "AccessDenied"),
        (errno.ENAMETOOLONG, "Unsupported"),
    ],
)
def test_what_a_disk_says_is_not_what_a_store_can_not_do(
    code: int, reason: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, chunk: bytes) -> None:
        raise OSError(code, os.strerror(code), str(tmp_path))

    monkeypatch.setattr("artifactstore._files.AtomicFile.write", fail)
    with pytest.raises(ArtifactError) as caught:
        artifactstore.fetch_file(uri(source), tmp_path / "to" / "best.onnx")
    assert caught.value.reason == reason
    if reason == "DiskError":
        assert os.strerror(code) in caught.value.message
        assert "check the disk of this machine" in caught.value.message


def test_a_folder_is_written_to_by_name(tmp_path: Path) -> None:
    folder = artifactstore.Folder(uri(tmp_path / "captures"))
    for content in (b"one", b"two"):
        folder.put("n1/2026/a.jpg", content)
        assert (tmp_path / "captures" / "n1" / "2026" / "a.jpg").read_bytes() == content
    with pytest.raises(ArtifactError, match="can't hold the name"):
        folder.put("../a.jpg", b"")
    with pytest.raises(ArtifactError, match="can't be written to") as caught:
        artifactstore.Folder("https://example.com/captures/")
    assert (caught.value.reason, caught.value.retryable) == ("Unsupported", False)


def test_folders_and_what_sorts_behind_a_name(tmp_path: Path) -> None:
    for name in ("a/2026/11/01/x", "a/2026/11/02/x", "a/2026/11/02/y", "a/2027/01/01/x", "b/c/x", "top"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert artifactstore.folders(uri(tmp_path)) == artifactstore.folders(uri(tmp_path) + "/") == ["a", "b"]
    assert artifactstore.folders(uri(tmp_path / "a")) == ["2026", "2027"]
    assert artifactstore.folders(uri(tmp_path / "none")) == []
    found = [entry.name for entry in artifactstore.entries(uri(tmp_path / "a"), after="2026/11/02")]
    assert found == ["2026/11/02/x", "2026/11/02/y", "2027/01/01/x"]


def as_nobody(act: Callable[[str], object], root: Path) -> object:
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        return act(f"file://{root}/")
    finally:
        os.seteuid(before)


def test_the_top_of_a_volume_is_listed_without_what_the_file_system_keeps_there() -> None:
    """Of ext4's lost+found nobody but root can tell what is in it; at that the whole listing ended."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is for its user alone
        root = Path(name)
        root.chmod(0o755)
        (root / "lost+found").mkdir(mode=0)
        for path in ("a/b.txt", "a/c/d.txt", "e.txt", "z/f.txt"):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("x")
        assert as_nobody(artifactstore.names, root) == ["a/b.txt", "a/c/d.txt", "e.txt", "z/f.txt"]
        assert as_nobody(lambda uri: artifactstore.entries(uri, after="a/c/d.txt")[0].name, root) == "e.txt"


def test_a_folder_of_another_user_is_refused_by_name() -> None:
    """It was said to be out of reach, and the network to be looked at."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "a").mkdir(mode=0)
        with pytest.raises(ArtifactError) as caught:
            as_nobody(artifactstore.names, root)
    assert (caught.value.reason, caught.value.retryable) == ("AccessDenied", False)
    assert f"{root}/a" in caught.value.message
    assert "is not for the user of this container" in caught.value.message
