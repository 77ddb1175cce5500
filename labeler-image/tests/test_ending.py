"""How a run ends: exit code and termination message, which fits whatever is in it; and being asked to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from labeling_world import NOW, TasksInMemory, World

from detectiondata.problems import Problem
from harness.timing import within
from labeler import run as runs
from labeler import termination
from labeler.failure import Failure
from labeler.review import ClassFigures
from labeler.run import Outcome

ROOT = Path(__file__).parent.parent.parent


def outcome(world: World, tool: TasksInMemory | None = None, **changes: Any) -> Outcome:
    tool = tool or TasksInMemory()
    world.fleet(nodes=12, days=3, a_day=7)
    runs.run(world.settings(per_day=1000), tool, NOW)
    tool.answer_all()
    return replace(runs.run(world.settings(per_day=1000), tool, NOW), **changes)


def test_the_message_has_all_that_the_operator_asks_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    found = outcome(world)
    message = json.loads(termination.render(termination.success(found, world.settings().store)))
    stored = found.history[0]
    assert message["result"] == "Succeeded"
    assert (message["waiting"], message["inReview"], message["reviewed"], message["pending"]) == (0, 0, 252, 0)
    assert message["editedShare"] == "0"
    held = stored.version.holdout
    assert held is not None
    assert message["latest"] == {
        "number": 1,
        "sha256": stored.sha256,
        "uri": f"file://{world.store}/versions/00001/version.json",
        "images": stored.version.images,
        "objects": stored.version.images,
        "classes": 2,
        "createdAt": "2026-11-29T12:00:00Z",
        "holdout": {
            "uri": f"file://{world.store}/versions/00001/holdout.json",
            "sha256": held.sha256,
            "images": held.images,
        },
    }
    assert message["perClass"][0] == {"name": "bolt", "objects": stored.version.images}
    [version] = message["versions"]
    assert version == {
        "number": 1,
        "sha256": stored.sha256,
        "parent": None,
        "images": stored.version.images,
        "added": stored.version.images,
        "changed": 0,
        "createdAt": "2026-11-29T12:00:00Z",
    }
    review = message["review"]
    assert (review["version"], review["frames"], review["nodeDays"]) == ("v2", 252, 36)
    assert review["precision"]["value"] == "1"
    assert review["precision"]["low"] == "0.9026"  # .025 to the power of 1/36
    assert review["calibration"]["edges"][:3] == ["0.25", "0.3", "0.4"]
    assert review["calibration"]["precision"] == ["1"] * 10
    [note] = message["notes"]
    assert note.endswith(
        "reviews changed 0% of what the model had found: look whether they are real, and compare with blind tasks"
    )


def test_before_the_first_version_there_is_nothing_to_say(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fleet()
    found = runs.run(world.settings(), TasksInMemory(), NOW)
    message = termination.success(found, "file:///store/")
    assert (message["latest"], message["review"], message["editedShare"]) == (None, None, None)
    assert (message["versions"], message["perClass"], message["notes"]) == ([], [], [])


def test_whatever_does_not_fit_is_cut_and_the_figures_stay(tmp_path: Path) -> None:
    found = outcome(World(tmp_path))
    assert found.figures is not None
    problems = tuple(Problem(f"kind {number} " + "é" * 200, "x" * 300, "") for number in range(30))
    worst = tuple(ClassFigures("ü" * 120, 0.5, 0.5, 99) for _ in range(10))
    names = {"ß" * 100 + str(number): number for number in range(500)}
    stored = replace(found.history[0], version=replace(found.history[0].version, per_class=names))
    found = replace(found, problems=problems, history=(stored,) * 10, figures=replace(found.figures, worst=worst))
    data = termination.render(termination.success(found, "s3://" + "b" * 200))
    assert len(data) <= termination.LIMIT
    message = json.loads(data)
    assert message["review"]["precision"]["value"] == "1"
    assert message["latest"]["sha256"] == stored.sha256
    assert message["notes"][0].endswith("compare with blind tasks")


def test_kinds_that_are_not_shown_are_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.fleet()
    found = runs.run(world.settings(), TasksInMemory(), NOW)
    problems = [Problem(f"kind {kind}", f"f{number}", "") for kind in range(8) for number in range(8 - kind)]
    notes = termination.notes(replace(found, problems=tuple(problems), reserved=3))
    assert notes[0].startswith("3 reviewed images are in no version")
    assert notes[1] == "left out: kind 0: 8 (f0; f1; f2; ...)"
    assert notes[4] == "left out, too: 5 kind 3, 4 kind 4, 3 kind 5, 2 kind 6, 1 kind 7"
    assert len(notes) == 5


@pytest.mark.parametrize("character", ["x", "é", "\n", "\x01", "😀", "\ud800"])
def test_a_failure_always_fits(character: str) -> None:
    data = termination.render(termination.failed(Failure("StoreUnreachable", character * 5000)))
    assert len(data) <= termination.LIMIT
    assert json.loads(data)["reason"] == "StoreUnreachable"


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (1, "1"), (0, "0"), (0.00001, "0"), (0.12345, "0.1235")])
def test_decimals(value: float, text: str) -> None:
    assert termination.decimal(value) == text


def environment(log: Path, run: dict[str, Any] | None, **variables: str) -> dict[str, str]:
    paths = os.pathsep.join(str(ROOT / each) for each in ("labeler-image", "artifacts", "dataset"))
    told = {} if run is None else {"LABELER_RUN": json.dumps(run)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | told | {"PYTHONPATH": paths, "LABELER_TERMINATION_LOG": str(log)} | variables


def document(world: World) -> dict[str, Any]:
    return {
        "dataset": "parts",
        "namespace": "default",
        "model": "parts-detector",
        "captures": f"file://{world.captures}/",
        "store": f"file://{world.store}/",
        "classes": ["washer", "bolt"],
        "minNewImages": 3,
        "split": {"validation": "0.15", "holdout": "0.10"},
        "labelling": {
            "files": {"uri": f"file://{world.root}/reviewed/", "format": "YOLO"},
            "perDay": 200,
            "blind": "0.1",
        },
        "deployed": [],
    }


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({}, 0, None),
        ({"classes": []}, 64, "InvalidConfiguration"),
        ({"captures": "ftp://x/"}, 64, "Unsupported"),
    ],
)
def test_the_process_ends_with_a_code_and_its_last_word(
    change: dict[str, Any], code: int, reason: str | None, tmp_path: Path
) -> None:
    world = World(tmp_path)
    made = world.fleet(nodes=2, days=2)
    labels = tmp_path / "reviewed"
    labels.mkdir()
    (labels / "classes.txt").write_text("washer\nbolt\n")
    for each in made:
        (labels / f"{each.sha256}.txt").write_text("1 0.5 0.5 0.25 0.25\n")
    log = tmp_path / "termination-log"
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "labeler"],
        env=environment(log, document(world) | change),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    message = json.loads(log.read_text())
    assert (message["result"], message.get("reason")) == ("Failed" if reason else "Succeeded", reason)
    assert json.loads(ended.stdout) == message
    if not reason:
        assert (message["reviewed"], message["latest"]["number"]) == (8, 1)


def test_asked_to_stop_it_says_so_and_ends_at_once(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an object store that takes the call and never answers
        store = f"http://127.0.0.1:{silent.getsockname()[1]}"
        run = document(World(tmp_path)) | {"captures": "s3://captures/line/"}
        variables = environment(
            log, run, AWS_ENDPOINT_URL=store, AWS_ALLOW_HTTP="true", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"
        )
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "labeler"], env=variables, stdout=subprocess.PIPE
        ) as process:
            silent.settimeout(300)
            connection, _ = silent.accept()
            with connection, within(10):
                process.send_signal(signal.SIGTERM)
                assert process.wait(300) == 143
    assert json.loads(log.read_text())["reason"] == "Interrupted"


def test_a_store_that_is_not_there_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from artifactstore import _address

    monkeypatch.setitem(_address._RETRY, "max_retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ALLOW_HTTP", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "true")
    world = World(tmp_path)
    world.captures.mkdir()
    for place, reason in (("captures", "CapturesUnreachable"), ("store", "StoreUnreachable")):
        with pytest.raises(Failure) as caught:
            runs.run(world.settings(**{place: "s3://nowhere/x/"}), TasksInMemory(), NOW)
        assert (caught.value.reason, caught.value.exit_code) == (reason, 1)
