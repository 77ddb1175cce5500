"""`agent fetch`: what is in the cache afterwards, whatever was there, went wrong or went on at the same time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from agent_processes import Agent, Stored, wait_until

from agent.cache import fetch
from agent.config import FetchConfig, fetch_config
from agent.termination import Refused

Make = Callable[..., Stored]


def config(stored: Stored, keep: int = 3) -> FetchConfig:
    return replace(fetch_config(stored.env), keep=keep)


def versions(cache: Path) -> set[str]:
    """Contents of the files in the cache."""
    return {
        file.read_text() for file in cache.glob("*/*") if not file.name.startswith(".") and len(file.parent.name) == 64
    }


def refused(stored: Stored) -> Refused:
    with pytest.raises(Refused) as caught:
        fetch.run(config(stored))
    return caught.value


def test_a_file_is_fetched_to_its_digest(stored: Make) -> None:
    model = stored(b"one")
    fetch.run(config(model))
    assert model.path.read_bytes() == b"one"
    assert model.path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in model.path.parent.iterdir() if not file.name.startswith(".wanted")] == ["best.onnx"]


def test_a_file_that_is_there_is_not_fetched_again(stored: Make) -> None:
    model = stored(b"one")
    fetch.run(config(model))
    before = model.path.stat()
    Path(model.uri.removeprefix("file://")).unlink()
    fetch.run(config(model))
    assert model.path.stat().st_ino == before.st_ino


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(stored: Make) -> None:
    model = stored(b"one")
    fetch.run(config(model))
    model.path.write_bytes(b"ono")
    fetch.run(config(model))
    assert model.path.read_bytes() == b"one"


def test_another_content_than_the_digest_says_never_gets_into_the_cache(stored: Make, cache: Path) -> None:
    model = stored(b"one")
    Path(model.uri.removeprefix("file://")).write_bytes(b"ono")
    refusal = refused(model)
    assert refusal.reason == "DigestMismatch"
    assert model.env["MODEL_SHA256"] in refusal.message
    assert versions(cache) == set()
    assert list(model.path.parent.iterdir()) == []


def test_a_longer_file_than_announced_is_refused(stored: Make, cache: Path) -> None:
    model = stored(b"one")
    Path(model.uri.removeprefix("file://")).write_bytes(b"one, and more")
    assert refused(model).reason == "DigestMismatch"
    assert versions(cache) == set()


def test_a_missing_file_is_told(stored: Make) -> None:
    model = stored(b"one")
    Path(model.uri.removeprefix("file://")).unlink()
    refusal = refused(model)
    assert refusal.reason == "NotFound"
    assert model.uri in refusal.message


def test_a_missing_volume_is_told(stored: Make, cache: Path) -> None:
    model = stored(b"one")
    cache.rmdir()
    refusal = refused(model)
    assert refusal.reason == "CacheUnusable"
    assert str(cache) in refusal.message


def test_what_a_crash_left_is_cleaned_up(stored: Make) -> None:
    model = stored(b"one")
    model.path.parent.mkdir()
    (model.path.parent / ".best.onnx.abc123").write_bytes(b"o")
    fetch.run(config(model))
    assert {file.name for file in model.path.parent.iterdir()} == {"best.onnx", ".wanted-by-factory.line"}


def test_a_fetch_that_is_killed_harms_nobody(stored: Make, agent: Callable[..., Agent], tmp_path: Path) -> None:
    model = stored(b"one" * 1000)
    source = Path(model.uri.removeprefix("file://"))
    source.rename(tmp_path / "kept")
    os.mkfifo(source)  # a store that never answers: the fetch hangs in the middle, with its locks
    hanging = agent("fetch", model.env)
    lock = model.path.parent.parent / ".locks" / model.path.parent.name
    wait_until(lambda: lock.exists() and (model.path.parent / ".partial").exists(), "it downloads", hanging.log)
    hanging.process.kill()
    hanging.wait()
    source.unlink()
    (tmp_path / "kept").rename(source)
    fetch.run(config(model))
    assert model.path.read_bytes() == b"one" * 1000


def test_a_fetch_that_hangs_ends_when_asked(stored: Make, agent: Callable[..., Agent]) -> None:
    model = stored(b"one" * 1000)
    source = Path(model.uri.removeprefix("file://"))
    source.unlink()
    os.mkfifo(source)
    hanging = agent("fetch", model.env)
    wait_until(lambda: (model.path.parent / ".partial").exists(), "it downloads", hanging.log)
    assert hanging.stop() == 128 + signal.SIGTERM


def test_fetches_of_one_file_at_once_all_succeed_and_one_downloads(stored: Make, agent: Callable[..., Agent]) -> None:
    model = stored(os.urandom(30_000_000))
    started = [agent("fetch", model.env) for _ in range(4)]
    assert [one.wait() for one in started] == [0, 0, 0, 0]
    assert model.path.read_bytes() == model.content
    logs = [one.log.read_text() for one in started]
    assert sum("fetched file://" in log for log in logs) == 1
    assert sum("is in the cache already" in log for log in logs) == 3


def test_fetches_of_many_files_at_once_prune_without_harm(
    stored: Make, agent: Callable[..., Agent], cache: Path
) -> None:
    models = [stored(bytes([65 + k]) * 2_000_000, f"v{k}") for k in range(6)]
    started = [agent("fetch", model.env | {"MODEL_CACHE_KEEP": "2"}) for model in models]
    assert [one.wait() for one in started] == [0] * 6, [one.log.read_text() for one in started]
    left = versions(cache)
    # A fetch does not remove what another is still busy with, so a few too many may stay, until the next fetch.
    assert len(left) >= 2
    fetch.run(config(models[0], keep=2))
    assert len(versions(cache)) == 2
    assert models[0].path.exists()
    assert not list(cache.glob(".trash-*"))


def test_the_newest_stay(stored: Make, cache: Path) -> None:
    for k in range(5):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    assert versions(cache) == {"content 2", "content 3", "content 4"}


def test_fetching_again_makes_a_version_the_newest(stored: Make, cache: Path) -> None:
    for k in (0, 1, 2, 0, 3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    assert versions(cache) == {"content 0", "content 2", "content 3"}


def test_a_clock_that_goes_back_does_not_make_the_running_version_the_oldest(
    stored: Make, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    monkeypatch.setattr(fetch.time, "time_ns", lambda: 0)
    fetch.run(config(stored(b"content 3", "v3"), keep=1))
    assert versions(cache) == {"content 3"}


@pytest.fixture
def in_use() -> Iterator[Callable[[Path], None]]:
    """Hold a file as `agent serve` does, in another process."""
    holders: list[subprocess.Popen[bytes]] = []

    def hold(path: Path) -> None:
        holders.append(
            subprocess.Popen(
                ["flock", "--shared", str(path), "sh", "-c", "echo held; cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        assert holders[-1].stdout.readline() == b"held\n"

    yield hold
    for holder in holders:
        holder.communicate(timeout=10)


def test_a_version_in_use_stays_until_it_no_longer_is(
    stored: Make, cache: Path, in_use: Callable[[Path], None]
) -> None:
    first = stored(b"content 0", "v0")
    fetch.run(config(first, keep=1))
    with first.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        for k in (1, 2):
            fetch.run(config(stored(f"content {k}".encode(), f"v{k}"), keep=1))
        assert versions(cache) == {"content 0", "content 2"}
    fetch.run(config(stored(b"content 3", "v3"), keep=1))
    assert versions(cache) == {"content 3"}


def test_a_version_in_use_by_another_process_stays(stored: Make, cache: Path, in_use: Callable[[Path], None]) -> None:
    first = stored(b"content 0", "v0")
    fetch.run(config(first, keep=1))
    in_use(first.path)
    fetch.run(config(stored(b"content 1", "v1"), keep=1))
    assert versions(cache) == {"content 0", "content 1"}


@pytest.mark.parametrize("other", [{"rollout": "other"}, {"namespace": "staging"}])
def test_another_rollouts_versions_are_not_touched(stored: Make, cache: Path, other: dict[str, str]) -> None:
    fetch.run(config(stored(b"theirs", **other)))
    for k in range(4):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}"), keep=1))
    assert versions(cache) == {"theirs", "content 3"}


def test_a_version_that_two_rollouts_had_goes_when_neither_keeps_it(stored: Make, cache: Path) -> None:
    for rollout in ("a", "b"):
        fetch.run(config(stored(b"shared", "v0", rollout), keep=1))
    fetch.run(config(stored(b"content 1", "v1", "a"), keep=1))
    assert versions(cache) == {"shared", "content 1"}
    fetch.run(config(stored(b"content 2", "v2", "b"), keep=1))
    assert versions(cache) == {"content 1", "content 2"}


def test_things_in_the_cache_that_are_not_ours_stay(stored: Make, cache: Path) -> None:
    (cache / "lost+found").mkdir()
    (cache / "notes.txt").write_text("by hand")
    for k in range(3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}"), keep=1))
    assert (cache / "lost+found").is_dir()
    assert (cache / "notes.txt").is_file()


def test_too_full_a_disk_is_told_before_the_download(stored: Make, cache: Path) -> None:
    model = stored(b"one")
    with pytest.raises(Refused) as caught:
        fetch.run(config(model), free_bytes=lambda _: fetch.SPARE + 2)
    assert caught.value.reason == "DiskFull"
    assert "needs 3 bytes" in caught.value.message
    assert versions(cache) == set()


def test_a_disk_that_is_too_full_loses_older_versions_first_but_no_rollouts_newest(stored: Make, cache: Path) -> None:
    fetch.run(config(stored(b"theirs", rollout="other")))
    for k in range(3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    needed = len("content 3") + fetch.SPARE

    def free(_: Path) -> int:
        return needed if "content 0" not in versions(cache) else needed - 1

    fetch.run(config(stored(b"content 3", "v3")), free_bytes=free)
    assert versions(cache) == {"theirs", "content 1", "content 2", "content 3"}
    with pytest.raises(Refused, match="DiskFull"):
        fetch.run(config(stored(b"content 4", "v4")), free_bytes=lambda _: 0)
    assert versions(cache) == {"theirs", "content 3"}


def removal_cut_off(cache: Path, sha256: str, content: bytes) -> Path:
    """What a fetch leaves that is killed in the middle of a removal."""
    trash = cache / f".trash-{sha256}"
    trash.mkdir()
    (trash / "best.onnx").write_bytes(content)
    return trash


@pytest.mark.parametrize("fetching", [fetch.run, fetch.run_ahead])
def test_a_removal_that_was_cut_off_does_not_leave_the_disk_full(
    stored: Make, cache: Path, fetching: Callable[..., None]
) -> None:
    fetch.run(config(stored(b"content 0", "v0")))
    trash = removal_cut_off(cache, "0" * 64, b"x" * 5000)
    needed = len("content 1") + fetch.SPARE
    fetching(config(stored(b"content 1", "v1")), free_bytes=lambda _: needed - trash.exists())
    assert versions(cache) == {"content 0", "content 1"}
    assert not trash.exists()


def test_an_entry_is_removed_again_after_a_removal_that_was_cut_off(stored: Make, cache: Path) -> None:
    models = [stored(f"content {k}".encode(), f"v{k}") for k in range(3)]
    for model in models[:2]:
        fetch.run(config(model))
    trash = removal_cut_off(cache, models[0].path.parent.name, b"content 0")  # and was fetched again
    needed = len("content 2") + fetch.SPARE

    def free(_: Path) -> int:
        return needed - ("content 0" in versions(cache))

    fetch.run(config(models[2]), free_bytes=free)
    assert versions(cache) == {"content 1", "content 2"}
    assert not trash.exists()


def moved_away(entry: Path) -> None:
    """Somebody has moved it to another disk, and left a link."""
    elsewhere = entry.parent.parent / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)


def held_by_a_mount(entry: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", entry, entry]).returncode:
        pytest.skip("only root can mount")


@pytest.mark.parametrize("spoil", [moved_away, held_by_a_mount])
def test_what_can_not_be_removed_keeps_no_model_from_its_node(
    stored: Make, cache: Path, spoil: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
    """The node's next versions come, and go, as ever."""
    first = stored(b"content 0", "v0")
    fetch.run(config(first, keep=1))
    spoil(first.path.parent)
    if spoil is held_by_a_mount:
        request.addfinalizer(lambda: subprocess.run(["umount", first.path.parent], check=True))
    for k in (1, 2):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}"), keep=1))
    assert versions(cache) - {"content 0"} == {"content 2"}
    fetch.run(config(first, keep=1))
    assert first.path.read_bytes() == b"content 0"


def read_only(entry: Path) -> None:
    held_by_a_mount(entry)
    subprocess.run(["mount", "-o", "remount,bind,ro", entry], check=True)


def linked_where_nothing_can_be_asked_for(entry: Path) -> None:
    moved_away(entry)
    entry.unlink()
    entry.symlink_to("x" * 300)  # as a link to a disk that is broken: an OSError, and no dead link


@pytest.mark.parametrize("spoil", [read_only, linked_where_nothing_can_be_asked_for])
def test_an_entry_that_can_not_even_be_changed_keeps_no_model_from_its_node(
    stored: Make,
    cache: Path,
    spoil: Callable[[Path], None],
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = stored(b"content 0", "v0")
    fetch.run(config(first, keep=1))
    spoil(first.path.parent)
    if spoil is read_only:
        request.addfinalizer(lambda: subprocess.run(["umount", first.path.parent], check=True))
    for k in (1, 2):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}"), keep=1))
        assert f"{first.path.parent} can't be removed from the cache" in caplog.text
        caplog.clear()
    if spoil is linked_where_nothing_can_be_asked_for:
        first.path.parent.unlink()
    assert versions(cache) - {"content 0"} == {"content 2"}


def dangling(entry: Path) -> None:
    entry.symlink_to("/no/such/disk/models")


def looping(entry: Path) -> None:
    entry.symlink_to(entry)


def unaskable(entry: Path) -> None:
    entry.symlink_to("x" * 300)


def a_file(entry: Path) -> None:
    entry.write_bytes(b"what a tool left that packed the cache")


@pytest.mark.parametrize("spoil", [dangling, looping, unaskable, a_file])
def test_what_is_no_folder_in_the_place_of_an_entry_keeps_no_model_from_its_node(
    stored: Make, cache: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    model = stored(b"one")
    spoil(model.path.parent)
    fetch.run(config(model))
    assert model.path.read_bytes() == b"one"
    assert f"{model.path.parent} is no folder, nor a link that leads to one" in caplog.text
    assert not model.path.parent.is_symlink()


def test_an_entry_that_is_a_link_to_another_disk_stays_one(stored: Make, cache: Path) -> None:
    model = stored(b"one")
    fetch.run(config(model))
    moved_away(model.path.parent)
    fetch.run(config(model))
    assert model.path.parent.is_symlink()
    assert model.path.read_bytes() == b"one"


@pytest.mark.parametrize("code", [errno.EIO, errno.EUCLEAN])
def test_a_disk_that_is_broken_where_another_version_lies_keeps_no_model_from_its_node(
    stored: Make, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    first = stored(b"content 0", "v0")
    fetch.run(config(first, keep=1))
    remove = shutil.rmtree

    def broken(path: Path) -> None:
        if first.path.parent.name in path.name:
            raise OSError(code, os.strerror(code), str(path))
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", broken)
    for k in (1, 2, 3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}"), keep=1))
    assert versions(cache) == {"content 3"}
    assert f"{cache}/.trash-{first.path.parent.name} can't be removed" in caplog.text
    monkeypatch.undo()
    fetch.run(config(stored(b"content 4", "v4"), keep=1))
    assert not list(cache.glob(".trash-*"))


@pytest.fixture
def small_disk(cache: Path) -> Iterator[Path]:
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", cache]).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield cache
    subprocess.run(["umount", cache], check=True)


def test_a_disk_that_becomes_full_during_the_download(stored: Make, small_disk: Path) -> None:
    model = stored(os.urandom(1_000_000))
    with pytest.raises(Refused) as caught:
        fetch.run(config(model), free_bytes=lambda _: 1 << 40)  # it looked large enough
    assert caught.value.reason == "DiskFull"
    assert [file for file in small_disk.rglob("*") if file.is_file() and file.stat().st_size] == []


@pytest.mark.parametrize("code", [errno.EIO, errno.EUCLEAN, errno.ESTALE, errno.EROFS])
def test_a_disk_that_breaks_during_the_download_is_no_store_that_can_not(
    stored: Make, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    model = stored(b"one")

    def write(self: object, chunk: bytes) -> None:
        raise OSError(code, os.strerror(code), str(model.path))

    monkeypatch.setattr("artifactstore._files.AtomicFile.write", write)
    refusal = refused(model)
    assert refusal.reason == "DiskError"
    assert os.strerror(code) in refusal.message


def test_the_real_file_system_is_asked(stored: Make, small_disk: Path) -> None:
    assert refused(stored(b"one")).reason == "DiskFull"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_cache_that_is_not_ours_is_told(stored: Make, cache: Path) -> None:
    cache.chmod(0o755)  # root's, as the kubelet makes a hostPath
    model = stored(b"one")
    os.seteuid(65532)
    try:
        refusal = refused(model)
    finally:
        os.seteuid(0)
    assert refusal.reason == "CacheNotWritable"
    assert "by user 65532" in refusal.message


# --- downloads that broke off, and when they start --------------------------------------------------------------------


def test_what_is_there_of_a_file_counts_where_room_is_looked_for(stored: Make) -> None:
    model = stored(b"one")
    model.path.parent.mkdir()
    (model.path.parent / ".partial").write_bytes(b"on")
    fetch.run(config(model), free_bytes=lambda _: fetch.SPARE + 1)
    assert model.path.read_bytes() == b"one"
    assert {file.name for file in model.path.parent.iterdir()} == {"best.onnx", ".wanted-by-factory.line"}


def test_a_disk_that_is_too_full_is_told_in_figures(stored: Make) -> None:
    with pytest.raises(Refused) as caught:
        fetch.run(config(stored(b"one")), free_bytes=lambda _: fetch.SPARE + 1)
    assert "where 67108865 are free, 2 too few" in caught.value.message
    assert "free that much on the node's disk" in caught.value.message


def test_a_disk_that_is_too_full_is_told_with_what_is_kept_for_rollouts_that_may_be_gone(stored: Make) -> None:
    """Nothing on a node tells that a Rollout was deleted; a person can."""
    theirs = [stored(f"theirs {number}".encode(), f"w{number}", rollout=f"other-{number}") for number in range(4)]
    for day, each in enumerate(theirs):
        fetch.run(config(each))
        os.utime(next(each.path.parent.glob(".wanted-by-*")), (day * 86_400, day * 86_400))
    with pytest.raises(Refused) as caught:
        fetch.run(config(stored(b"one")), free_bytes=lambda _: 0)
    folders = [each.path.parent for each in theirs]
    assert caught.value.message.endswith(
        "publish a smaller model. The newest of each other Rollout is kept, of "
        f"factory.other-0 (asked for on 1970-01-01, {folders[0]}), factory.other-1 (asked for on 1970-01-02, "
        f"{folders[1]}), factory.other-2 (asked for on 1970-01-03, {folders[2]}): remove the folder of one that is "
        "deleted"
    )
    assert all(each.path.is_file() for each in theirs)


class Waited(Exception):
    pass


def remember(seconds: float) -> None:
    raise Waited(seconds)


def test_downloads_start_spread_over_some_seconds_and_not_before_there_is_room(stored: Make) -> None:
    remote = replace(config(stored(b"one")), uri="s3://models/v1/best.onnx", spread=7.0)
    assert [fetch.start_delay(remote, draw) for draw in (0.0, 0.5, 1.0)] == [0.0, 3.5, 7.0]
    with pytest.raises(Waited) as caught:
        fetch.run(remote, sleep=remember)
    assert 0 < caught.value.args[0] < 7
    with pytest.raises(Refused, match="DiskFull"):
        fetch.run(remote, free_bytes=lambda _: 0, sleep=remember)


def test_what_is_cached_or_local_does_not_wait(stored: Make) -> None:
    model = config(stored(b"one"))
    fetch.run(model, sleep=remember)
    fetch.run(replace(model, uri="s3://models/v1/best.onnx"), sleep=remember)
    assert fetch.start_delay(replace(model, uri="s3://models/v2/best.onnx", spread=0), 0.9) == 0


# --- ahead of its use -------------------------------------------------------------------------------------------------


def test_what_is_fetched_ahead_is_there_and_the_version_that_runs_stays_the_newest(stored: Make, cache: Path) -> None:
    for k in range(3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    fetch.run_ahead(config(stored(b"content 3", "v3")))
    assert versions(cache) == {"content 0", "content 1", "content 2", "content 3"}
    with pytest.raises(Refused, match="DiskFull"):  # all but the newest may go
        fetch.run(config(stored(b"content 4", "v4")), free_bytes=lambda _: 0)
    assert versions(cache) == {"content 2"}


def test_a_version_that_was_fetched_ahead_is_taken_without_its_store(stored: Make, cache: Path) -> None:
    for k in range(2):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    ahead = stored(b"content 2", "v2")
    for _ in range(2):
        fetch.run_ahead(config(ahead))
    Path(ahead.uri.removeprefix("file://")).unlink()
    fetch.run(config(ahead, keep=2))
    assert versions(cache) == {"content 1", "content 2"}


def test_nothing_is_removed_for_what_is_fetched_ahead(stored: Make, cache: Path) -> None:
    for k in range(3):
        fetch.run(config(stored(f"content {k}".encode(), f"v{k}")))
    with pytest.raises(Refused, match="DiskFull"):
        fetch.run_ahead(config(stored(b"content 3", "v3")), free_bytes=lambda _: fetch.SPARE)
    assert versions(cache) == {"content 0", "content 1", "content 2"}


def test_the_command_that_fetches_ahead_stays_until_it_is_ended(stored: Make, agent: Callable[..., Agent]) -> None:
    model = stored(b"one")
    running = agent("prefetch", model.env)
    wait_until(lambda: "fetched file://" in running.log.read_text(), "it fetched", running.log)
    assert running.process.poll() is None
    assert running.stop() == 128 + signal.SIGTERM


def test_the_command_ends_with_0(stored: Make, agent: Callable[..., Agent]) -> None:
    model = stored(b"one")
    running = agent("fetch", model.env)
    assert running.wait() == 0, running.log.read_text()
    assert model.path.read_bytes() == b"one"
    assert not running.termination.exists()


def test_the_command_ends_with_1_and_says_why(stored: Make, agent: Callable[..., Agent]) -> None:
    model = stored(b"one")
    Path(model.uri.removeprefix("file://")).write_bytes(b"two")
    running = agent("fetch", model.env)
    assert running.wait() == 1
    assert running.message()["reason"] == "DigestMismatch"
    assert set(running.message()) == {"reason", "message"}


def test_the_command_refuses_a_bad_environment(stored: Make, agent: Callable[..., Agent]) -> None:
    running = agent("fetch", stored(b"one").env | {"MODEL_SHA256": "x"})
    assert running.wait() == 1
    assert running.message()["reason"] == "InvalidConfiguration"
    assert "MODEL_SHA256" in running.message()["message"]
