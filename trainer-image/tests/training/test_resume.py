"""One training through everything that can interrupt it, each attempt on a node of its own, with nothing but the output
folder in common: killed, killed with its newest checkpoint cut short, asked to stop, killed after its last epoch.

One test, since each attempt goes on from what the one before left, and a process takes seconds to start.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documents
import pytest
import torch
from trainings import environment, train

EPOCHS, EVERY = 8, 2
BATCHES = 4  # an epoch: 32 images in batches of 8
LR0, LRF = 0.002, 0.01

Event = dict[str, Any]
Until = Callable[[Event], bool]


def named(name: str, **fields: Any) -> Until:
    return lambda event: event["event"] == name and fields.items() <= event.items()


def interrupted(node: Path, document: dict[str, Any], until: Until, how: signal.Signals) -> tuple[int, list[Event]]:
    """Runs the trainer until it says what `until` waits for, then sends the signal. Returns exit code and events."""
    node.mkdir()
    errors = node / "stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "trainer"],
            cwd=node,
            env=environment(node, document),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        events: list[Event] = []
        for line in process.stdout:
            events.append(json.loads(line))
            if until(events[-1]):
                process.send_signal(how)
                break
        events += [json.loads(line) for line in process.stdout if line.endswith("}\n")]
        code = process.wait(60)
    assert any(until(event) for event in events), errors.read_text()[-3000:]
    return code, events


def epochs(events: list[Event]) -> list[int]:
    return [event["epoch"] for event in events if named("epoch")(event)]


def warnings(events: list[Event]) -> str:
    return "\n".join(event["message"] for event in events if named("warning")(event))


def resumed_from(events: list[Event]) -> int | None:
    return next((event["resumedFromEpoch"] for event in events if named("resumed")(event)), None)


@pytest.fixture
def document(data: Path, tmp_path: Path) -> dict[str, Any]:
    return documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters={
            "epochs": EPOCHS,
            "imageSize": 64,
            "batch": 8,
            "optimizer": "AdamW",
            "augmentation": {"mosaic": "1.0"},
            "extra": {"lr0": str(LR0), "nbs": "8", "warmup_epochs": "1", "close_mosaic": "3"},
        },
        output={"uri": f"file://{tmp_path}/v1/"},
        checkpoint={"everyEpochs": EVERY},
    )


def test_a_training_survives_what_interrupts_it(document: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "v1" / ".checkpoint-uid-1"

    # killed: the checkpoint of epoch 4 is stored, epoch 5 is done and lost
    code, events = interrupted(tmp_path / "node-1", document, named("checkpoint", epoch=4), signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert resumed_from(events) is None
    first = epochs(events)
    assert first == [1, 2, 3, 4, 5]
    assert [path.name[:6] for path in sorted(folder.glob("0*.json"))] == ["000002", "000004"]

    # a training that is set up otherwise does not go on from there, says so, and leaves what it did not write alone
    other = document | {"hyperparameters": document["hyperparameters"] | {"patience": 7}}
    code, events = interrupted(tmp_path / "node-2", other, named("epoch", epoch=1), signal.SIGKILL)
    assert resumed_from(events) is None
    assert "it is of another training: patience was 30 and is 7" in warnings(events)
    assert "this training began before, and no checkpoint can be used" in warnings(events)

    # the newest checkpoint is cut short: the one before is gone on from, up to a request to stop
    [newest] = folder.glob("000004-*/last.pt")
    newest.write_bytes(newest.read_bytes()[:-1000])
    code, events = interrupted(tmp_path / "node-3", document, named("epoch", epoch=5), signal.SIGTERM)
    assert code == 143
    assert json.loads((tmp_path / "node-3" / "termination").read_text())["reason"] == "Interrupted"
    assert "checkpoint 000004-" in warnings(events)
    assert "is not the file that was pinned" in warnings(events)
    assert resumed_from(events) == 2
    second = epochs(events)
    assert second == [3, 4, 5]
    assert next(event for event in events if named("epoch")(event))["resumedFromEpoch"] == 2
    stored = [event["epoch"] for event in events if named("checkpoint")(event)]
    assert stored == [4, 5]  # 5 was not due, and would have been lost
    assert [path.name[:6] for path in sorted(folder.glob("0*.json"))] == ["000004", "000005"]

    # the rest of it, killed after the last epoch
    code, events = interrupted(tmp_path / "node-4", document, named("evaluating"), signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert resumed_from(events) == 5
    third = epochs(events)
    assert third == [6, 7, 8]
    assert [event["epoch"] for event in events if named("checkpoint")(event)] == [6, 8]
    [last] = folder.glob("000008-*/last.pt")
    content = torch.load(last, map_location="cpu", weights_only=False)
    steps = {int(state["step"]) for state in content["optimizer"]["state"].values()}
    assert steps == {EPOCHS * BATCHES}  # a new optimizer would have counted three epochs
    assert content["updates"] == EPOCHS * BATCHES  # of the averaged weights

    # finished: nothing is trained, all is published, and what is no longer needed is gone
    outcome = train(tmp_path / "node-5", document)
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert [event["event"] for event in outcome.events if event["event"] != "warning"] == [
        "started",
        "dataset",
        "resumed",
        "evaluating",
        "uploading",
        "detail",
    ]
    assert resumed_from(outcome.events) == EPOCHS
    assert not folder.exists()
    published = torch.load(tmp_path / "v1" / "best.pt", map_location="cpu", weights_only=False)
    assert published["optimizer"] is None
    curves = published["train_results"]
    assert [int(epoch) for epoch in curves["epoch"]] == list(range(1, EPOCHS + 1))  # of all nodes, each epoch once
    after_warmup = [max(1 - epoch / EPOCHS, 0) * (1 - LRF) + LRF for epoch in range(EPOCHS)]
    assert curves["lr/pg0"][2:] == pytest.approx([LR0 * share for share in after_warmup][2:], rel=1e-4)
    fitness = curves["metrics/mAP50-95(B)"]
    assert published["train_metrics"]["metrics/mAP50-95(B)"] == pytest.approx(max(fitness), abs=1e-4)

    # the price of each interruption
    assert set(first) & set(second) == {5} | {3, 4}  # the kill cost one epoch, the damaged checkpoint EVERY more
    assert not set(second) & set(third)  # being asked to stop cost nothing
