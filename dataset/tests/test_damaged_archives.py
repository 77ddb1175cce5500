"""A damaged archive is refused, and never taken for the part of it that can be read."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import archives
import pytest

from detectiondata.archive import unpack
from detectiondata.errors import DatasetError

# random bytes, so that nothing of them is lost in compression
MEMBERS = [("data.yaml", b"names: [bolt]\n"), *((f"images/{number:03}.jpg", os.urandom(3000)) for number in range(40))]


def refused(content: bytes, folder: Path) -> str:
    archive = folder / "parts.data"
    archive.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        unpack(archive, folder / "unpacked", "s3://d/parts.data")
    assert caught.value.reason == "DatasetInvalid"
    return caught.value.message


def taken(content: bytes, folder: Path) -> dict[str, bytes]:
    archive = folder / "parts.data"
    archive.write_bytes(content)
    unpack(archive, folder / "unpacked", "s3://d/parts.data")
    return dict(archives.files(folder / "unpacked"))


@pytest.mark.parametrize("kind", archives.KINDS)
def test_a_whole_one_is_taken(kind: str, tmp_path: Path) -> None:
    assert taken(archives.packed(MEMBERS, kind), tmp_path) == dict(MEMBERS)


@pytest.mark.parametrize("kind", archives.TARS)
@pytest.mark.parametrize("damage", [lambda block: bytes([block[0], block[1] ^ 1]) + block[2:], lambda _: bytes(512)])
def test_a_header_in_the_middle(kind: str, damage: object, tmp_path: Path) -> None:
    tar = archives.tarred(MEMBERS)
    at = tar.index(b"images/020.jpg")
    damaged = tar[:at] + damage(tar[at : at + 512]) + tar[at + 512 :]  # type: ignore[operator]
    assert "is damaged: " in refused(archives.compressed(damaged, kind), tmp_path)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "zip"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_bytes_that_changed_or_are_zero(kind: str, share: float, tmp_path: Path) -> None:
    content = archives.packed(MEMBERS, kind)
    at = int(len(content) * share)
    assert "is damaged: " in refused(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :], tmp_path)
    assert "is damaged: " in refused(content[:at] + bytes(64) + content[at + 64 :], tmp_path)


def test_an_index_that_begins_too_late(tmp_path: Path) -> None:
    """Its members would lie before the archive's beginning: zipfile would seek there."""
    content = bytearray(archives.packed(MEMBERS, "zip"))
    at = content.rfind(b"PK\5\6") + 16
    content[at : at + 4] = (int.from_bytes(content[at : at + 4], "little") + 7).to_bytes(4, "little")
    assert "is damaged: " in refused(bytes(content), tmp_path)


@pytest.mark.parametrize(("kind", "behind"), [("tar.gz", 8), ("tar.gz", 4), ("tar.bz2", 6), ("tar.xz", 40)])
def test_a_wrong_check_sum_at_the_end(kind: str, behind: int, tmp_path: Path) -> None:
    content = bytearray(archives.packed(MEMBERS, kind))
    content[-behind] ^= 0x40
    assert "is damaged: " in refused(bytes(content), tmp_path)


@pytest.mark.parametrize("kind", archives.KINDS)
def test_one_that_is_cut_short(kind: str, tmp_path: Path) -> None:
    content = archives.packed(MEMBERS, kind)
    for cut in (len(content) // 3, len(content) - 12_000):
        message = refused(content[:cut], tmp_path)
        assert "is damaged: " in message or (kind == "zip" and "is neither a tar nor a zip" in message)


def test_a_tar_without_its_end_mark(tmp_path: Path) -> None:
    tar = archives.tarred(MEMBERS)
    last = tar.index(b"images/039.jpg")
    assert "its end mark is missing" in refused(tar[:last], tmp_path)


@pytest.mark.parametrize("kind", archives.KINDS)
def test_something_behind_the_end(kind: str, tmp_path: Path) -> None:
    assert "is damaged: something" in refused(archives.packed(MEMBERS, kind) + b"garbage", tmp_path)


@pytest.mark.parametrize("kind", archives.TARS)
def test_two_tars_in_one_file(kind: str, tmp_path: Path) -> None:
    one, other = archives.tarred(MEMBERS), archives.tarred([("images/other.jpg", b"x")])
    assert "two archives in one file?" in refused(archives.compressed(one + other, kind), tmp_path)


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_several_streams_and_padding_are_whole(kind: str, tmp_path: Path) -> None:
    tar = archives.tarred(MEMBERS)
    content = archives.compressed(tar[:50_000], kind) + archives.compressed(tar[50_000:], kind)
    assert taken(content + bytes(1024), tmp_path) == dict(MEMBERS)


def test_a_tar_that_ends_in_a_zip_is_a_tar(tmp_path: Path) -> None:
    members = [*MEMBERS, ("old.zip", archives.zipped([("data.yaml", b"names: [other]\n")]))]
    assert taken(archives.tarred(members), tmp_path) == dict(members)
    damaged = bytearray(archives.tarred(members))
    damaged[0] ^= 1
    assert "is damaged: " in refused(bytes(damaged), tmp_path)


def test_hard_links_are_second_names(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.jpg").write_bytes(b"picture")
    (tmp_path / "tree" / "b.jpg").hardlink_to(tmp_path / "tree" / "a.jpg")
    archive = tmp_path / "parts.tar"
    with tarfile.open(archive, "w") as opened:
        opened.add(tmp_path / "tree", ".")
        assert [member.type for member in opened if member.islnk()] == [tarfile.LNKTYPE]
        opened.addfile(tarfile.TarInfo("a.jpg"))  # an update, which leaves the other name alone
    notes = unpack(archive, tmp_path / "unpacked", "uri")
    assert archives.files(tmp_path / "unpacked") == [("a.jpg", b""), ("b.jpg", b"picture")]
    assert notes == ("uri: 1 names in the archive ('a.jpg') are there more than once; the last one counts",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images", "images/a.jpg"], "holds the name 'images/a.jpg' as a file and as a folder; rename one"),
        (["images/a.jpg", "images"], "holds the name 'images' as a file and as a folder; rename one"),
        (["検" * 100], "' and no file can have so long a name (255 bytes); rename it"),
        (["K\udcf6ln", "K%F6ln"], "holds 'K\\xf6ln' and 'K%F6ln', too much alike; rename one"),
        (["C:\\images\\a.jpg"], "holds the name 'C:\\images\\a.jpg', which leads out"),
    ],
)
def test_names_that_no_file_can_have(names: list[str], message: str, tmp_path: Path) -> None:
    tar = archives.tarred(((name, b"x") for name in names), encoding="utf-8", errors="surrogateescape")
    assert message in refused(tar, tmp_path)


def test_folders_with_backslashes(tmp_path: Path) -> None:
    content = archives.zipped([("images\\", b""), ("images\\a.jpg", b"x"), ("10:00:01.jpg", b"y")])
    assert taken(content, tmp_path) == {"10:00:01.jpg": b"y", "images/a.jpg": b"x"}


def test_names_in_any_bytes_are_printable_on_disk(tmp_path: Path) -> None:
    names = ["K\udcf6ln.jpg", "two\nlines.jpg", "ünï😀.jpg", "50%.jpg"]
    (tmp_path / "a.tar").write_bytes(
        archives.tarred(((name, b"x") for name in names), encoding="utf-8", errors="surrogateescape")
    )
    notes = unpack(tmp_path / "a.tar", tmp_path / "unpacked", "uri")
    found = {name for name, _ in archives.files(tmp_path / "unpacked")}
    assert found == {"K%F6ln.jpg", "two%0Alines.jpg", "ünï😀.jpg", "50%.jpg"}
    assert notes == (
        "uri: 2 names in the archive ('K\\xf6ln.jpg', 'two\\x0alines.jpg') are not printable UTF-8; their files are "
        "called by %XX for each such byte",
    )
