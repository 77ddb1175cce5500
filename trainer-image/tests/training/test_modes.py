"""What a run leaves behind in each mode: files with the digests it reports, figures, the share of its parent."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import documents
import shapes
from trainings import HYPERPARAMETERS, Outcome, train

import artifactstore
from detectiondata.fetch import tree_digest
from trainer.report import digest


def test_scratch_publishes_what_it_reports(scratch: tuple[Outcome, Path, dict[str, Any]], data: Path) -> None:
    outcome, models, _ = scratch
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert outcome.termination["result"] == "Succeeded"
    assert {path.name for path in models.iterdir()} == {"best.pt", "best.onnx", "manifest.json", "claim.json", "report"}
    for file in outcome.termination["files"]:
        found = artifactstore.file_digest(models / file["name"])
        assert (found.sha256, found.size) == (file["sha256"], file["sizeBytes"])
    assert [(file["name"], file["format"]) for file in outcome.termination["files"]] == [
        ("best.pt", "pytorch"),
        ("best.onnx", "onnx"),
    ]
    manifest = json.loads((models / "manifest.json").read_text())
    assert manifest["files"] == outcome.termination["files"]
    assert manifest["metrics"] == outcome.termination["metrics"]
    assert manifest["detail"] == outcome.detail
    assert set(outcome.termination["metrics"]) == {"map50", "map50-95", "precision", "recall", "f1"}
    assert all(0 <= float(value) <= 1 for value in outcome.termination["metrics"].values())


def test_scratch_tells_its_story_in_order(scratch: tuple[Outcome, Path, dict[str, Any]]) -> None:
    outcome, _, _ = scratch
    names = [event["event"] for event in outcome.events if event["event"] != "warning"]
    assert names == [
        "started",
        "dataset",
        "weights",
        "epoch",
        "epoch",
        "epoch",
        "checkpoint",
        "evaluating",
        "uploading",
        "detail",
    ]
    epochs = outcome.all("epoch")
    assert [(event["epoch"], event["epochs"], event["percent"]) for event in epochs] == [
        (1, 3, 33),
        (2, 3, 66),
        (3, 3, 100),
    ]
    assert epochs[0]["remainingSeconds"] > 0
    assert epochs[-1]["remainingSeconds"] == 0
    assert {"map50", "map50-95", "precision", "recall", "box_loss", "cls_loss"} <= set(epochs[0]["metrics"])
    assert outcome.all("weights") == [{"event": "weights", "loadedShare": None, "classChanges": None}]
    best = max(epochs, key=lambda event: event["metrics"]["map50-95"])["epoch"]
    assert epochs[-1]["bestEpoch"] in (best, 3)  # 3 while nothing is detected


def test_the_detail_is_whole_and_its_digest_right(scratch: tuple[Outcome, Path, dict[str, Any]], data: Path) -> None:
    outcome, _, _ = scratch
    [line] = outcome.all("detail")
    detail = line["detail"]
    assert outcome.events[-1] is line
    assert line["sha256"] == outcome.termination["detailSha256"] == digest(detail)
    assert detail["classes"] == list(shapes.CLASSES)
    assert detail["imageSize"] == 160
    assert set(detail["perClass"]) <= set(shapes.CLASSES)
    assert detail["dataset"]["uri"] == f"file://{data}"
    assert detail["dataset"]["images"] == 44
    assert detail["dataset"]["labels"] == sum(len(path.read_text().splitlines()) for path in data.rglob("labels/*.txt"))
    assert detail["hyperparameters"]["imgsz"] == "160"
    assert detail["hyperparameters"]["lr0"] == "0.002"
    assert set(detail["software"]) >= {"ultralytics", "torch", "onnx", "onnxruntime", "python"}
    assert detail["evaluation"] is None
    assert detail["holdout"] is None
    assert detail["loadedShare"] is None
    calibration = detail["calibration"]
    if calibration is not None:  # three epochs may give no detection above .25
        assert len(calibration["precision"]) == 10


def test_the_same_run_again_repeats_its_report_and_trains_nothing(
    scratch: tuple[Outcome, Path, dict[str, Any]], tmp_path: Path
) -> None:
    before, models, document = scratch
    content = digests(models)
    again = train(tmp_path, document)
    assert again.code == 0
    assert again.termination == before.termination
    assert again.detail == before.detail
    assert again.all("epoch") == []
    assert content == digests(models)


def test_another_run_is_refused_the_version(scratch: tuple[Outcome, Path, dict[str, Any]], tmp_path: Path) -> None:
    _, models, document = scratch
    other = train(tmp_path, document | {"uid": "uid-2", "trainingJob": "parts-2"})
    assert other.code == 64
    assert other.termination == {
        "result": "Failed",
        "reason": "VersionExists",
        "message": f"parts v1 exists: file://{models}/manifest.json was published by TrainingJob parts-1; "
        "choose another version",
    }


def test_finetune_takes_all_of_its_parent_and_goes_on_from_there(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    """Also with a holdout and a baseline, whose figures must be those the parent reported for the same images."""
    parent_outcome, models, _ = scratch
    parent = documents.reference(models)
    learnt, held = tmp_path / "learnt", tmp_path / "holdout"
    for folder, part in ((learnt, "train"), (held, "val")):  # what validated the parent judges here
        shutil.copytree(data / part, folder)
        (folder / "data.yaml").write_text((data / "data.yaml").read_text().splitlines()[-1])
    outcome = train(
        tmp_path / "work",
        documents.document(
            version="v2",
            mode="FineTune",
            architecture=None,
            parent=parent,
            dataset={"sources": [{"uri": f"file://{learnt}"}]},
            hyperparameters=HYPERPARAMETERS | {"epochs": 2, "imageSize": None},
            output={"uri": f"file://{tmp_path}/v2/"},
            evaluation={"dataset": {"uri": f"file://{held}"}, "baseline": parent},
        ),
    )
    assert outcome.code == 0, outcome.stderr[-3000:]
    changes = {"kept": 3, "added": [], "dropped": []}
    assert outcome.all("weights") == [{"event": "weights", "loadedShare": "1", "classChanges": changes}]
    assert (outcome.detail["loadedShare"], outcome.detail["classChanges"]) == ("1", changes)
    assert outcome.detail["imageSize"] == 160  # the parent's, as none was given
    evaluation, said = outcome.detail["evaluation"], outcome.detail["holdout"]
    assert said["uri"] == f"file://{held}"
    assert said["sha256"] == tree_digest(held, [path for path in held.rglob("*") if path.is_file()])
    assert {name: evaluation["candidate"][name] for name in outcome.termination["metrics"]} == outcome.termination[
        "metrics"
    ]
    assert evaluation["candidate"]["perClass"] == outcome.detail["perClass"]
    assert evaluation["baseline"]["perClass"] == parent_outcome.detail["perClass"]
    assert {name: evaluation["baseline"][name] for name in parent["metrics"]} == parent["metrics"]
    assert set(outcome.detail["firstEpoch"]) == {"map50", "map50-95", "precision", "recall"}
    assert outcome.detail["firstEpoch"].items() <= outcome.all("epoch")[0]["metrics"].items()
    first, scratch_first = outcome.all("epoch")[0]["metrics"], parent_outcome.all("epoch")[0]["metrics"]
    assert float(first["box_loss"]) < 0.8 * float(scratch_first["box_loss"])


def test_continue_inherits_hyperparameters_and_matches_classes_by_name(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    _, models, _ = scratch
    changed = tmp_path / "data"
    for part in ("train", "val"):
        for kind in ("images", "labels"):
            (changed / part / kind).mkdir(parents=True)
            for path in sorted((data / part / kind).iterdir())[:16]:
                (changed / part / kind / path.name).write_bytes(path.read_bytes())
    (changed / "data.yaml").write_text(f"names: [{', '.join(shapes.CLASSES)}, ring]\n")
    outcome = train(
        tmp_path / "work",
        documents.document(
            version="v3",
            mode="Continue",
            architecture=None,
            parent=documents.reference(models),
            dataset={"sources": [{"uri": f"file://{changed}"}]},
            hyperparameters={"epochs": 1},
            output={"uri": f"file://{tmp_path}/v3/"},
        ),
    )
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert outcome.detail["classes"] == [*shapes.CLASSES, "ring"]
    assert outcome.detail["hyperparameters"] == documents.reference(models)["hyperparameters"] | {"epochs": "1"}
    assert 0.95 < float(outcome.detail["loadedShare"]) < 1
    assert outcome.detail["classChanges"] == {"kept": 3, "added": ["ring"], "dropped": []}
    messages = [event["message"] for event in outcome.all("warning")]
    assert "classes that parent v1 does not know start untrained: ring" in messages


def test_transfer_copies_what_fits_into_another_scale(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    _, models, _ = scratch
    outcome = train(
        tmp_path / "work",
        documents.document(
            version="v4",
            mode="Transfer",
            architecture="yolo11s",
            parent=documents.reference(models),
            dataset={"sources": [{"uri": f"file://{data}"}]},
            hyperparameters=HYPERPARAMETERS | {"epochs": 1},
            output={"uri": f"file://{tmp_path}/v4/"},
        ),
    )
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert 0.01 < float(outcome.detail["loadedShare"]) < 0.5
    [size] = [file["sizeBytes"] for file in outcome.termination["files"] if file["format"] == "onnx"]
    assert size > 30_000_000  # yolo11n has 10 MB


def test_the_same_seed_trains_the_same_model(scratch: tuple[Outcome, Path, dict[str, Any]], tmp_path: Path) -> None:
    before, _, document = scratch
    again = train(tmp_path / "work", document | {"uid": "uid-3", "output": {"uri": f"file://{tmp_path}/v1/"}})
    assert again.code == 0
    assert again.termination["metrics"] == before.termination["metrics"]
    losses = [[event["metrics"]["box_loss"] for event in outcome.all("epoch")] for outcome in (before, again)]
    assert losses[0] == losses[1]


def digests(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
