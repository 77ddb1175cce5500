"""The spool: shares of the disk, real full and read-only disks, orphans, and a writer that is killed at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from agent_processes import ROOT

from agent.capture import shares, spool
from agent.capture.settings import Rule, Sample, Settings
from agent.capture.sidecar import Capture
from agent.capture.spool import NoRoom, Spool

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
BLOCK = 4096


def settings(disk: int = 1 << 30, keep_free: int = 0, *rules: str, sample: bool = True) -> Settings:
    return Settings(
        "s3://captures/",
        disk=disk,
        keep_free_bytes=keep_free,
        keep_free_share=0.0,
        rules=tuple(Rule(name, empty=True) for name in rules),
        sample=Sample() if sample else None,
    )


def capture(number: int, size: int = 3 * BLOCK - 100) -> Capture:
    """One that takes three blocks and one for the sidecar."""
    return Capture(f"20261129T{number:06d}.000Z-{number:08x}", bytes(size), b'{"number": %d}' % number)


def lying(root: Path, reason: str) -> list[int]:
    """Numbers of the captures that are whole."""
    stems = sorted(stem for each, stem in spool.committed(root) if each == reason)
    assert all((root / reason / f"{stem}.jpg").exists() for stem in stems)
    return [int(stem[9:15]) for stem in stems]


@pytest.fixture
def evicted() -> Counter[str]:
    return Counter()


@pytest.fixture
def opened(tmp_path: Path, evicted: Counter[str]) -> Spool:
    made = Spool(tmp_path / "spool", lambda reason: evicted.update([reason]))
    made.open()
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_the_shares_of_the_disk() -> None:
    assert shares.of(1000, ["sample", "a", "b"]) == {"sample": 450, "a": 225, "b": 225}
    assert shares.of(1000, ["a"]) == {"a": 900}
    assert shares.refused(1000) == 50


def test_a_capture_lies_where_the_contract_says(opened: Spool) -> None:
    opened.write("unsure", capture(1), settings())
    files = sorted(path.relative_to(opened.root).as_posix() for path in opened.root.rglob("*") if path.is_file())
    assert files == ["unsure/20261129T000001.000Z-00000001.jpg", "unsure/20261129T000001.000Z-00000001.json"]
    assert list(spool.committed(opened.root)) == [("unsure", "20261129T000001.000Z-00000001")]


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_the_spools_group_may_read_and_remove_what_was_sent(opened: Spool) -> None:
    """The upload may run as another user than the application: they share the group that owns the spool."""
    opened.root.chmod(0o2770)
    opened.write("a", capture(1), settings())
    assert (opened.root / "a").stat().st_mode & 0o2770 == 0o2770
    assert {path.stat().st_mode & 0o777 for path in (opened.root / "a").iterdir()} == {0o660}


def test_a_folder_whose_maker_was_killed_becomes_the_groups_too(opened: Spool) -> None:
    (opened.root / "a").mkdir()
    (opened.root / "a").chmod(0o2755)
    opened.write("a", capture(1), settings())
    assert (opened.root / "a").stat().st_mode & 0o7777 == 0o2775


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which needs root")
@pytest.mark.usefixtures("umask")
def test_another_user_of_the_group_reads_and_removes_it() -> None:
    """The spool as docs/delivery.md has it: root:65532, mode 2770."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders are closed to other users
        Path(name).chmod(0o755)
        root = Path(name, "spool")
        root.mkdir()
        os.chown(root, 0, 65532)
        root.chmod(0o2770)
        writer = Spool(root, lambda _: None)
        writer.open()
        writer.write("a", capture(1), settings())
        files = sorted((root / "a").iterdir(), reverse=True)
        for command in ("cat", "rm"):
            done = subprocess.run(
                [command, *files],
                user=65533,
                group=65533,
                extra_groups=[65532],
                cwd="/",
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert not list((root / "a").iterdir())


def test_the_oldest_of_a_full_reason_goes_and_the_sample_stays(opened: Spool, evicted: Counter[str]) -> None:
    disk = settings(40 * BLOCK * 10 // 9, 0, "a", "b")  # 20 blocks for the sample, 10 for each rule
    for number in range(4):
        opened.write("sample", capture(number), disk)
    opened.write("b", capture(1), disk)
    for number in range(10):
        opened.write("a", capture(number), disk)
    assert lying(opened.root, "a") == [8, 9]
    assert lying(opened.root, "sample") == [0, 1, 2, 3]
    assert lying(opened.root, "b") == [1]
    assert evicted == {"a": 8}


NOW = datetime(2026, 11, 29, 0, 1, tzinfo=UTC)  # number 100


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_clock_has_dated_that_was_ahead_goes_first(
    tmp_path: Path, evicted: Counter[str], restarted: bool
) -> None:
    """It is the oldest, whatever its name says: else it fills the share for good, and each capture drives out the one
    before."""
    disk = settings(13 * BLOCK * 10 // 9, 0, "a", sample=False)  # room for three
    made = Spool(tmp_path, lambda reason: evicted.update([reason]), lambda: NOW)
    made.open()
    for number in (70_001, 70_000, 20):
        made.write("a", capture(number), disk)
    if restarted:
        made = Spool(tmp_path, lambda reason: evicted.update([reason]), lambda: NOW)
        made.open()
    left = []
    for number in (30, 40, 50):
        made.write("a", capture(number), disk)
        left.append(lying(tmp_path, "a"))
    assert left == [[20, 30, 70_001], [20, 30, 40], [30, 40, 50]]
    assert evicted == {"a": 3}


def test_a_clock_that_was_put_back_by_a_moment_changes_no_order(tmp_path: Path) -> None:
    disk = settings(13 * BLOCK * 10 // 9, 0, "a", sample=False)
    made = Spool(tmp_path, lambda _: None, lambda: NOW)
    made.open()
    for number in (57, 58, 102, 101):
        made.write("a", capture(number), disk)
    assert lying(tmp_path, "a") == [58, 101, 102]


def test_names_of_another_form_are_of_no_time() -> None:
    """Another application may use them."""
    names = ["frame-1", "20261129T000000.000Z-1", "20270101T000000.000Z-1", "1764374400-1", "a"]
    assert spool.oldest_first(names, NOW) == [
        "20270101T000000.000Z-1", "1764374400-1", "20261129T000000.000Z-1", "a", "frame-1"
    ]  # fmt: skip


def test_what_was_sent_meanwhile_does_not_count_as_lost(opened: Spool, evicted: Counter[str]) -> None:
    disk = settings(10 * BLOCK * 10 // 9, 0, "a", sample=False)
    for number in range(20):
        opened.write("a", capture(number), disk)
        spool.remove(opened.root / "a", capture(number).stem)
    assert lying(opened.root, "a") == []
    assert evicted == {}


def test_reasons_of_others_and_of_former_rules_count_too(tmp_path: Path, evicted: Counter[str]) -> None:
    disk = settings(1 << 30, 0, "old")
    first = Spool(tmp_path, lambda _: None)
    first.open()
    for number in range(10):
        first.write("old", capture(number), disk)
    again = Spool(tmp_path, lambda reason: evicted.update([reason]))
    again.open()
    again.write("new", capture(0), settings(20 * BLOCK * 10 // 9, 0, "new", sample=False))  # 10 blocks each
    assert lying(tmp_path, "old") == [8, 9]
    assert evicted == {"old": 8}


def test_a_capture_larger_than_its_share_is_refused(opened: Spool) -> None:
    with pytest.raises(NoRoom, match="larger than the share of a"):
        opened.write("a", capture(1, size=1 << 20), settings(1 << 20, 0, "a"))
    assert lying(opened.root, "a") == []


def test_the_disk_keeps_so_much_free(opened: Spool) -> None:
    _, total = opened.free()
    with pytest.raises(NoRoom, match="must stay free"):
        opened.write("a", capture(1), settings(1 << 20, total, "a"))
    assert list(opened.root.iterdir()) == []


@needs_root
def test_a_really_full_disk_leaves_no_half_of_a_capture(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Spool(small_disk / "spool", lambda _: None)
    full.open()
    # As if others took the space between the look at the disk and the write: only the kernel says no.
    monkeypatch.setattr(full, "free", lambda: (1 << 40, 1 << 40))
    written = 0

    def write_all() -> None:
        nonlocal written
        for number in range(200):
            full.write("a", capture(number, size=50_000), settings())
            written += 1

    with pytest.raises(OSError, match="No space left"):
        write_all()
    assert 10 < written < 25
    assert lying(full.root, "a") == list(range(written))
    images = sorted(path.stem for path in (full.root / "a").glob("*.jpg"))
    assert len(images) == written
    assert not list((full.root / "a").glob(".*"))
    spool.remove(full.root / "a", images[0])
    spool.remove(full.root / "a", images[1])
    full.write("a", capture(300, size=50_000), settings())  # goes on as soon as there is room


@needs_root
def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    (small_disk / "spool").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(PermissionError, match="can't write there"):
        Spool(small_disk / "spool", lambda _: None).open()


def test_orphans_go_at_start_and_what_is_being_written_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    old = time.time() - 120
    for name, age in [
        ("1.jpg", old),
        ("2.json", old),
        (".3.jpg", old),
        (".4.json", time.time() + 3600),  # written when the clock was wrong
        ("5.jpg", None),
        (".6.jpg", None),
        ("7.jpg", old),
        ("7.json", old),
    ]:
        (folder / name).write_bytes(b"x")
        if age is not None:
            os.utime(folder / name, (age, age))
    (tmp_path / "_refused").mkdir()
    (tmp_path / "_refused" / "8.jpg").write_bytes(b"x")
    os.utime(tmp_path / "_refused" / "8.jpg", (old, old))
    Spool(tmp_path, lambda _: None).open()
    assert sorted(path.name for path in folder.iterdir()) == [".6.jpg", "5.jpg", "7.jpg", "7.json"]
    assert (tmp_path / "_refused" / "8.jpg").exists()


WRITER = """
import hashlib, json, os, sys
from datetime import UTC, datetime
from pathlib import Path
from agent.capture.settings import Rule, Settings
from agent.capture.sidecar import Capture
from agent.capture.spool import Spool
spool = Spool(Path(sys.argv[1]), lambda _: None)
spool.open()
settings = Settings("s3://x/", disk=4 << 20, keep_free_share=0.0, rules=(Rule("a", empty=True),))
print("ready", flush=True)
number = 0
while True:
    image = os.urandom(200_000)
    digest = hashlib.sha256(image).hexdigest()
    document = {"image": {"sha256": digest, "bytes": len(image)}, "pad": "x" * 50_000}
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    spool.write("a", Capture(f"{at}Z-{digest[:8]}", image, json.dumps(document).encode()), settings)
    print("written", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_no_sidecar_without_its_whole_image(tmp_path: Path) -> None:
    """Forty real processes, killed at random moments of writing and of making room."""
    moments = random.Random(0)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "agent-image")}
    kept: set[str] = set()
    halves = 0
    for _ in range(40):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], env=env, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            for _ in range(moments.randrange(8)):  # the next one is under way then, also on a machine that is busy
                assert process.stdout.readline() == b"written\n"
            time.sleep(moments.uniform(0.0, 0.005))
            process.kill()
        names = {path.name for path in (tmp_path / "a").iterdir()} if (tmp_path / "a").exists() else set()
        halves += any(name.startswith(".") or f"{Path(name).stem}.json" not in names for name in names)
        for reason, stem in spool.committed(tmp_path):
            document = json.loads((tmp_path / reason / f"{stem}.json").read_bytes())
            image = (tmp_path / reason / f"{stem}.jpg").read_bytes()
            assert len(image) == document["image"]["bytes"]
            assert hashlib.sha256(image).hexdigest() == document["image"]["sha256"]
            kept.add(stem)
        for path in (tmp_path / "a").glob("*"):  # let the next one take the halves for old
            os.utime(path, (time.time() - 120,) * 2)
        for path in (tmp_path / "a").glob(".*"):
            os.utime(path, (time.time() - 120,) * 2)
    assert len(kept) > 40
    assert halves > 3  # some were killed in the middle, or the test shows nothing
