"""diff: what is told of two versions; and lineage: where a version comes from."""

from typing import Any

from kubectl_modelfleet.ancestry import ancestry
from kubectl_modelfleet.changes import Change, changes
from kubectl_modelfleet.commands.diff import remarks, told, wanted
from unit.cli.stories import story
from unit.rollout import builders

Json = dict[str, Any]
EDGES = ["0.25", "0.5", "1"]


def version(name: str, **spec: Any) -> Json:
    return builders.model_version(name, **spec)


def rows(before: Json | None, after: Json, **groups: str) -> dict[str, Change]:
    return {each.what: each for each in changes(before, after, groups or {"fleet": "onnx"})}


def test_equal_versions_differ_in_nothing():
    same = version("v1", metrics={"map50": "0.9"})
    assert rows(same, same) == {}


def test_digest_size_and_a_format_that_a_group_needs():
    before, after = version("v1"), version("v2")
    after["spec"]["artifact"]["files"][0]["sizeBytes"] = 1007
    found = rows(before, after, fleet="onnx", edge="engine")
    assert found["onnx file"].before.startswith("best.onnx sha256 7631")
    assert found["onnx file"].note == "+1,000 bytes"
    assert found["engine file"] == Change("engine file", "-", "missing", "group edge needs it")


def test_classes_by_name_and_by_order():
    assert rows(version("v1"), version("v2", classes=["bolt", "nut", "washer"]))["classes"].note == "+washer"
    assert rows(version("v1"), version("v2", classes=["bolt"]))["classes"].note == "-nut"
    swapped = rows(version("v1"), version("v2", classes=["nut", "bolt"]))["classes"]
    assert swapped == Change("classes", "2", "2", "same classes in another order")


def test_metrics_with_their_difference():
    found = rows(version("v1", metrics={"map50": "0.90"}), version("v2", metrics={"map50": "0.87", "f1": "0.8"}))
    assert found["map50"] == Change("map50", "0.90", "0.87", "-0.03")
    assert found["f1"] == Change("f1", "-", "0.8", "")


def test_metrics_of_two_holdouts_are_not_compared():
    def measured(name: str, map50: str, *digest: str) -> Json:
        lineage = {"holdout": {"uri": "s3://d/holdout.tar", "sha256": digest[0] * 64}} if digest else {}
        return version(name, metrics={"map50": map50}, lineage=lineage)

    assert rows(measured("v1", "0.9", "a"), measured("v2", "0.8", "a"))["map50"].note == "-0.1"
    found = rows(measured("v1", "0.9", "a"), measured("v2", "0.8", "b"))
    assert found["map50"] == Change("map50", "0.9", "0.8", "on other data: not to be compared")
    assert found["holdout"].before == "s3://d/holdout.tar sha256 aaaaaaaaaaaa"
    unknown = rows(measured("v1", "0.9"), measured("v2", "0.8", "b"))
    assert unknown["map50"].note == "on other data: not to be compared"
    assert unknown["holdout"].before == "-"


def test_dataset_by_name_by_address_and_by_source():
    old = {"dataset": {"uri": "s3://data/a.tar", "sha256": "a" * 64, "images": 100, "labels": 300}}
    new = {"dataset": {"dataset": "parts", "version": 12, "sha256": "b" * 64, "images": 150, "labels": 300}}
    found = rows(version("v1", lineage=old), version("v2", lineage=new))
    assert found["dataset"].before == "s3://data/a.tar sha256 aaaaaaaaaaaa"
    assert found["dataset"].after == "parts version 12 sha256 bbbbbbbbbbbb"
    assert found["  images"].note == "+50"
    assert "  labels" not in found
    merged = {"dataset": {"sha256": "c" * 64, "sources": [{"uri": "s3://data/b.tar", "sha256": "d" * 64}]}}
    found = rows(version("v1", lineage=old), version("v2", lineage=merged))
    assert found["dataset"].after == "1 sources sha256 cccccccccccc"
    assert found["  source"] == Change("  source", "-", "s3://data/b.tar", "sha256 dddddddddddd")


def test_calibration_by_bucket_by_edges_and_missing():
    old = version("v1", calibration={"edges": EDGES, "precision": ["0.4", "0.9"]})
    found = rows(old, version("v2", calibration={"edges": EDGES, "precision": ["0.5", "0.9"]}))
    assert found == {"onnx file": found["onnx file"]} | {
        "precision at 0.25-0.5": Change("precision at 0.25-0.5", "0.4", "0.5", "+0.1")
    }
    assert rows(old, version("v2"))["calibration"].note == "a gate compares raw confidence"
    other = rows(old, version("v2", calibration={"edges": ["0.1", "1"], "precision": ["0.5"]}))
    assert other["calibration edges"].after == "0.1 1"


def test_against_nothing_everything_is_new():
    found = rows(None, version("v1", metrics={"map50": "0.9"}))
    assert found["classes"] == Change("classes", "-", "2", "")
    assert found["map50"].before == "-"


def test_what_stands_in_the_way_is_told():
    shown = story("RolledBack").view
    gone = remarks(shown, None, version("v2", ready=False))
    assert gone == [
        "ModelVersion parts-v1 is gone: nothing to compare with.",
        "v2 is not Ready: as checked",
        "v2 is quarantined: kubectl modelfleet retry line v2 lifts that.",
    ]
    assert told(shown, "v2", [], gone).renderables[0].plain == "line: v1 and v2 are the same."
    restored = story("Restored").view
    [note] = remarks(restored, version("v2"), version("v1"))
    assert note.startswith("v1 failed with the template of line-")


def test_formats_of_groups():
    spec = {"delivery": {"format": "engine"}, "groups": [{"name": "a"}, {"name": "b", "delivery": {"format": "onnx"}}]}
    assert wanted({"spec": spec}) == {"a": "engine", "b": "onnx"}
    assert wanted({"spec": {"groups": [{"name": "a"}]}}) == {"a": "onnx"}


def test_ancestry_goes_back_as_far_as_is_known():
    second = version("v2", lineage={"parent": "v1", "mode": "FineTune", "trainingJob": "line-r1"})
    second["spec"]["lineage"]["retrainedFor"] = {"rollout": "line", "trigger": "Drift", "cause": "confidence fell"}
    third = version("v3", lineage={"parent": "v2", "dataset": {"uri": "s3://d/versions/00007/version.json"}})
    versions = {each["metadata"]["name"]: each for each in (second, third)}
    found = ancestry("parts-v3", versions, {"line-r1": {}})
    assert [(each.name, each.known) for each in found] == [
        ("parts-v3", True),
        ("parts-v2", True),
        ("parts-v1", False),
    ]
    assert found[0].data == "dataset version 7 of s3://d/"
    assert found[1].retrained_for == "Rollout line, Drift: confidence fell"
    assert found[1].training_job_known


def test_a_circle_of_parents_ends():
    one, other = version("v1", lineage={"parent": "v2"}), version("v2", lineage={"parent": "v1"})
    versions = {each["metadata"]["name"]: each for each in (one, other)}
    assert [each.name for each in ancestry("parts-v1", versions, {})] == ["parts-v1", "parts-v2"]


def test_named_datasets_and_checkpoints():
    checkpoint = {"uri": "s3://models/yolo11n.pt", "sha256": "e" * 64}
    data = {"dataset": "parts", "version": 3, "uri": "s3://d/versions/00003/version.json", "images": 5, "labels": 9}
    held = {"uri": "s3://d/versions/00003/holdout.json", "sha256": "f" * 64, "images": 60}
    raw = version("v1", lineage={"checkpoint": checkpoint, "dataset": data, "holdout": held})
    (found,) = ancestry("parts-v1", {"parts-v1": raw}, {})
    assert found.measured_on == "dataset version 3 of s3://d/ sha256 ffffffffffff, 60 images"
    assert found.checkpoint == "s3://models/yolo11n.pt sha256 eeeeeeeeeeee"
    assert found.data == "parts version 3, 5 images, 9 labels"
