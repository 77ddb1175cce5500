"""Checkpoints: which one is gone on from, what is passed over and why, and dying after any single write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documents
import pytest

import artifactstore
from artifactstore import ArtifactError
from trainer.checkpoint import BEST, KEPT, LAST, RESULTS, Checkpoints, Search, Setup, State, folder_uri, remove_all
from trainer.failure import Failure
from trainer.run import Run
from trainer.weights import Origin

SETUP = Setup("d" * 64, "Scratch yolo11n", "8.4.190", {"epochs": "20", "lr0": "0.01"})


def run(tmp_path: Path, uid: str = "uid-1") -> Run:
    return documents.run(uid=uid, output={"uri": f"file://{tmp_path}/v1/"})


def state(epoch: int, **changes: Any) -> State:
    return dataclasses.replace(State(epoch, 20, epoch == 20, 160, "0.98"), **changes)


def files(folder: Path, epoch: int, best: int | None = None, time: str = "") -> dict[str, Path]:
    """What ultralytics has after an epoch; `best` is the epoch that best.pt is of."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LAST).write_text(f"epoch {epoch}{time}")
    (folder / BEST).write_text(f"epoch {epoch if best is None else best}")
    (folder / RESULTS).write_text("epoch\n" + "".join(f"{number}\n" for number in range(1, epoch + 1)))
    return {name: folder / name for name in (LAST, BEST, RESULTS)}


def stored(tmp_path: Path, *epochs: int, setup: Setup = SETUP, uid: str = "uid-1", best: int | None = None) -> Path:
    """A folder of checkpoints as a training leaves it that ended after the last of `epochs`."""
    checkpoints = Checkpoints(run(tmp_path, uid), setup)
    checkpoints.begin()
    for epoch in epochs:
        checkpoints.save(state(epoch), files(tmp_path / "weights", epoch, best))
        checkpoints.prune()
    return tmp_path / "v1" / f".checkpoint-{uid}"


def restore(tmp_path: Path, setup: Setup = SETUP, uid: str = "uid-1", problem: Any = None) -> Search:
    """As another node does: with an empty folder."""
    place = tmp_path / f"node-{len(list(tmp_path.iterdir()))}"
    return Checkpoints(run(tmp_path, uid), setup).restore(place, problem or (lambda *_: None))


def newest(folder: Path, name: str) -> Path:
    return sorted(folder.glob(f"0*/{name}"))[-1]


def test_the_newest_comes_back_whole_on_another_node(tmp_path: Path) -> None:
    stored(tmp_path, 5, 10, best=7)
    search = restore(tmp_path)
    assert search.notes == ()
    found = search.restored
    assert found is not None
    assert found.state == State(10, 20, False, 160, "0.98")
    assert found.last.read_text() == "epoch 10"
    assert found.best is not None
    assert found.best.read_text() == "epoch 7"
    assert found.results is not None
    assert found.results.read_text().splitlines()[-1] == "10"
    assert found.uri.startswith(folder_uri(run(tmp_path)))


def test_what_was_in_the_file_that_it_started_from_is_kept(tmp_path: Path) -> None:
    """The attempt that goes on never sees that file, and the lineage speaks of it."""
    origin = Origin("yolo11n", ("person", "Straßenbahn"), None)
    checkpoints = Checkpoints(run(tmp_path), SETUP)
    checkpoints.save(state(5, origin=origin.to_json()), files(tmp_path / "run", 5))
    found = Checkpoints(run(tmp_path), SETUP).restore(tmp_path / "restored", lambda *_: None).restored
    assert found is not None
    assert Origin.from_json(found.state.origin) == origin


def test_a_manifest_of_a_release_that_kept_no_origin_is_read(tmp_path: Path) -> None:
    folder = stored(tmp_path, 5)
    [manifest] = folder.glob("0*.json")
    document = json.loads(manifest.read_text())
    del document["state"]["origin"]
    manifest.write_text(json.dumps(document))
    found = Checkpoints(run(tmp_path), SETUP).restore(tmp_path / "restored", lambda *_: None).restored
    assert found is not None
    assert Origin.from_json(found.state.origin) is None


def test_two_are_kept_and_share_no_file(tmp_path: Path) -> None:
    folder = stored(tmp_path, 5, 10, 15, best=3)
    names = artifactstore.names(f"file://{folder}")
    assert len([name for name in names if name.endswith(".json") and name != "begun.json"]) == KEPT
    assert [name.partition("-")[0] + name[19:] for name in names if "/" in name] == [
        f"{epoch}/{what}" for epoch in ("000010", "000015") for what in (BEST, LAST, RESULTS)
    ]
    assert len(list(folder.iterdir())) == 2 * KEPT + 1


def test_an_epoch_that_is_the_best_is_stored_once(tmp_path: Path) -> None:
    folder = stored(tmp_path, 5)
    assert [path.name for path in sorted(folder.glob("0*/*"))] == [LAST, RESULTS]
    found = restore(tmp_path).restored
    assert found is not None
    assert found.best is not None
    assert found.best.read_text() == found.last.read_text() == "epoch 5"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def other(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


def manifest_of(folder: Path) -> Path:
    return sorted(folder.glob("0*.json"))[-1]


def edit(folder: Path, **changes: Any) -> None:
    path = manifest_of(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: cut(newest(folder, LAST)), "expected 8 bytes, found 5"),
        (lambda folder: other(newest(folder, LAST)), "is not the file that was pinned"),
        (lambda folder: other(newest(folder, BEST)), "is not the file that was pinned"),
        (lambda folder: newest(folder, LAST).unlink(), "is not there"),
        (lambda folder: newest(folder, RESULTS).unlink(), "is not there"),
        (lambda folder: cut(manifest_of(folder)), "its manifest is damaged"),
        (lambda folder: manifest_of(folder).write_text(""), "its manifest is damaged"),
        (lambda folder: manifest_of(folder).write_text("[]"), "its manifest is damaged"),
        (lambda folder: edit(folder, files={}), "its manifest is damaged"),
        (lambda folder: edit(folder, state={"epoch": 10}), "its manifest is damaged"),
        (lambda folder: edit(folder, uid="uid-9"), "it is of uid uid-9"),
        (lambda folder: manifest_of(folder).unlink(), None),  # died before it: nothing was promised
    ],
)
def test_a_damaged_newest_one_falls_back_to_the_one_before(
    damage: Callable[[Path], None], says: str | None, tmp_path: Path
) -> None:
    folder = stored(tmp_path, 5, 10, best=3)
    damage(folder)
    search = restore(tmp_path)
    assert search.restored is not None
    assert search.restored.state.epoch == 5
    assert search.restored.last.read_text() == "epoch 5"
    if says is None:
        assert search.notes == ()
    else:
        [note] = search.notes
        assert note.startswith("checkpoint 000010-")
        assert says in note


def test_with_both_damaged_there_is_none(tmp_path: Path) -> None:
    folder = stored(tmp_path, 5, 10)
    for path in folder.glob(f"0*/{LAST}"):
        cut(path)
    search = restore(tmp_path)
    assert search.restored is None
    assert len(search.notes) == 2
    assert Checkpoints(run(tmp_path), SETUP).begin() is False  # so that the run says it starts over


def test_what_damaged_files_leave_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    folder = stored(tmp_path, 5, 10)
    cut(newest(folder, LAST))
    checkpoints = Checkpoints(run(tmp_path), SETUP)
    checkpoints.restore(tmp_path / "node", lambda *_: None)
    checkpoints.save(
        state(10), files(tmp_path / "weights", 10, best=3, time=" at noon")
    )  # the same epoch, trained again
    checkpoints.prune()
    search = restore(tmp_path)
    assert search.notes == ()
    assert search.restored is not None
    assert search.restored.state.epoch == 10
    assert [path.name[:6] for path in sorted(folder.glob("0*.json"))] == ["000005", "000010"]


def test_one_that_can_not_be_loaded_is_passed_over(tmp_path: Path) -> None:
    stored(tmp_path, 5, 10)
    search = restore(tmp_path, problem=lambda state, last, best: "no pickle" if state.epoch == 10 else None)
    assert search.restored is not None
    assert search.restored.state.epoch == 5
    [note] = search.notes
    assert note.endswith("can't be used: no pickle")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dataset": "e" * 64}, f"dataset was {'d' * 64} and is {'e' * 64}"),
        ({"start": "Scratch yolo11s"}, "start was Scratch yolo11n and is Scratch yolo11s"),
        ({"ultralytics": "8.5.0"}, "ultralytics was 8.4.190 and is 8.5.0"),
        ({"arguments": {"epochs": "30", "lr0": "0.01"}}, "epochs was 20 and is 30"),
        ({"arguments": {"epochs": "20"}}, "lr0 was 0.01 and is not set"),
        ({"arguments": {"epochs": "20", "lr0": "0.01", "seed": "1"}}, "seed was not set and is 1"),
    ],
)
def test_a_training_set_up_otherwise_starts_over(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    stored(tmp_path, 5)
    search = restore(tmp_path, dataclasses.replace(SETUP, **changes))
    assert search.restored is None
    [note] = search.notes
    assert "it is of another training" in note
    assert says in note


def test_another_jobs_are_not_seen(tmp_path: Path) -> None:
    stored(tmp_path, 5, uid="uid-1")
    assert restore(tmp_path, uid="uid-2") == Search(None, ())
    assert Checkpoints(run(tmp_path, "uid-2"), SETUP).begin() is True


def test_a_first_attempt_finds_nothing_and_begins(tmp_path: Path) -> None:
    assert restore(tmp_path) == Search(None, ())
    assert [Checkpoints(run(tmp_path), SETUP).begin() for _ in range(2)] == [True, False]


def test_an_output_that_can_not_be_written_is_said_before_the_first_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: Any, **__: Any) -> None:
        raise ArtifactError("AccessDenied", "may only read", False)

    monkeypatch.setattr(artifactstore, "put_bytes", refusing)
    with pytest.raises(Failure) as caught:
        Checkpoints(run(tmp_path), SETUP).begin()
    assert (caught.value.reason, caught.value.exit_code) == ("AccessDenied", 64)


def test_a_store_that_does_not_answer_is_no_reason_to_start_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path, 5)

    def silent(*_: Any, **__: Any) -> None:
        raise ArtifactError("Unreachable", "no answer", True)

    monkeypatch.setattr(artifactstore, "fetch_file", silent)
    with pytest.raises(Failure) as caught:
        restore(tmp_path)
    assert caught.value.reason == "StorageUnavailable"


def test_a_file_that_reads_back_otherwise_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(run(tmp_path), SETUP)
    monkeypatch.setattr(artifactstore, "digest", lambda uri: artifactstore.Digest("0" * 64, 1))
    with pytest.raises(ArtifactError, match="reads back as something else"):
        checkpoints.save(state(5), files(tmp_path / "weights", 5))
    monkeypatch.undo()
    assert restore(tmp_path).restored is None


def test_an_answer_that_got_lost_is_no_error(tmp_path: Path) -> None:
    """The same checkpoint again: its objects are there, and are its own."""
    checkpoints = Checkpoints(run(tmp_path), SETUP)
    content = files(tmp_path / "weights", 5)
    assert checkpoints.save(state(5), content) == checkpoints.save(state(5), content)


def test_a_removed_folder_leaves_nothing(tmp_path: Path) -> None:
    stored(tmp_path, 5, 10)
    for _ in range(2):
        remove_all(run(tmp_path))
        assert list((tmp_path / "v1").iterdir()) == []


class Died(BaseException):
    """The process ended."""


WRITES = ("put_file", "put_bytes", "remove", "remove_tree")


def story(tmp_path: Path) -> list[int]:
    """Goes on from where the folder stands until epoch 20 is stored; returns the epochs trained."""
    checkpoints = Checkpoints(run(tmp_path), SETUP)
    search = restore(tmp_path)
    assert search.notes == ()  # dying leaves halves, never a checkpoint that points to one
    if search.restored is not None:
        checkpoints = Checkpoints(run(tmp_path), SETUP)
        checkpoints.restore(tmp_path / "node", lambda *_: None)
    else:
        checkpoints.begin()
    trained = []
    done = search.restored.state.epoch if search.restored else 0
    for epoch in range(done + 1, 21):
        trained.append(epoch)
        if epoch % 5 == 0:
            checkpoints.save(state(epoch), files(tmp_path / "weights", epoch, best=3))
            checkpoints.prune()
    return trained


def test_killed_after_any_single_write_it_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = -1

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            result = original(*args, **kwargs)
            left -= 1
            if left == 0:
                raise Died
            return result

        return write

    for name in WRITES:
        monkeypatch.setattr(artifactstore, name, counted(getattr(artifactstore, name)))

    def content(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    plain = tmp_path / "plain"
    plain.mkdir()
    story(plain)
    writes = -1 - left
    assert writes > 20
    expected = content(plain / "v1")

    def of_the_end(found: dict[str, bytes]) -> dict[str, bytes]:
        return {name: data for name, data in found.items() if "/000020-" in name}

    for kill in range(1, writes + 1):
        place = tmp_path / f"killed-{kill}"
        place.mkdir()
        left = kill
        first: list[int] = []
        with pytest.raises(Died):
            first = story(place)
        left = -1
        assert first == []
        again = story(place)
        if again:
            assert content(place / "v1") == expected, f"killed after write {kill}"
        else:  # the last one was whole; what is older goes with the folder
            assert of_the_end(content(place / "v1")) == of_the_end(expected), f"killed after write {kill}"
        assert again == list(range(21 - len(again), 21))
        remove_all(run(place))
        assert content(place / "v1") == {}
