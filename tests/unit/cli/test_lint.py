"""lint: every example passes, and whatever the API server refuses is refused here, with where and what to do."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.test_api import ABSENT, BAD, DRIFT, RETRAIN, Changes, changed, example
from kubectl_modelfleet.lint import files, manifest
from kubectl_modelfleet.lint.problem import Problem
from kubectl_modelfleet.main import run

EXAMPLES = Path(__file__).parents[3] / "examples"


def problems(*manifests: Mapping[str, Any]) -> list[Problem]:
    text = yaml.safe_dump_all(manifests, sort_keys=False)
    found: list[Problem] = []
    for document in files.documents("fleet.yaml", text):
        assert isinstance(document, files.Document)
        found += manifest.check(document)
    return found


OURS = sorted(path for path in EXAMPLES.rglob("*.yaml") if "\napiVersion: modelfleet.dev/" in f"\n{path.read_text()}")
"""The others are Flux's own objects."""


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_example_passes(path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["lint", str(path)]) == 0
    assert re.search(r"[1-9]\d* documents? checked, 0 problems", capsys.readouterr().out)


@pytest.mark.parametrize(("name", "changes", "message"), BAD)
def test_what_the_api_server_refuses_is_refused_at_the_same_field(name: str, changes: Changes, message: str):
    """The table is that of tests/cluster/test_api.py, where a real API server refuses each row."""
    found = problems(changed(example(name), changes))
    assert found
    assert all(each.file == "fleet.yaml" and each.field and each.message and each.line for each in found)
    (path,) = [next(iter(changes))] if len(changes) == 1 else ["spec"]
    place = path.split("/")[0]
    assert any(each.field.startswith(place) for each in found)
    field = re.match(r"([A-Za-z.\[\]\\0-9]+): ", message)
    if field is not None and not message.startswith("metadata"):
        where = field[1].replace("\\", "")
        assert any(where in each.field for each in found), [each.field for each in found]


def test_what_the_api_server_accepts_is_accepted():
    """The other side of the table in tests/cluster/test_api.py."""
    odd = [
        {"spec/groups/0/gate": {"soak": "0s"}},
        {"spec/groups/0/maxUnavailable": "100%"},
        {"spec/groups/0/nodeSelector": {}},
        {"spec/minReachable": 0},
        {"spec/windows/0/cron": "*/5 9-17 1,15 JAN-MAR MON-FRI"},
        {"spec/gate/checks/0/min": "-12.5"},
        {"spec/drift": DRIFT | {"retrain": {"template": {"spec": RETRAIN}}}},
        {"spec/drift": {}},
        {"spec/drift": {"window": "1m", "baseline": "3m", "sustain": "0s"}},
        {"spec/template/spec/containers/0/anythingNew": {"in": ["a", "PodSpec"]}},
    ]
    assert problems(*(changed(example("rollout"), changes) for changes in odd)) == []


@pytest.mark.parametrize(
    ("name", "changes", "field", "advice"),
    [
        ("modelversion", {"spec/clases": ["bolt"]}, "spec.clases", "Did you mean classes?"),
        ("trainingjob-finetune", {"spec/epochs": 3}, "spec.epochs", "Is it hyperparameters.epochs?"),
        ("trainingjob-finetune", {"spec/mode": "Finetune"}, "spec.mode", "Did you mean FineTune?"),
        ("modelversion", {"spec/metrics/map50": 0.91}, "spec.metrics.map50", "0.91 is a number: put it in quotes"),
        ("trainingjob-finetune", {"spec/ttlAfterFinished": 60}, "spec.ttlAfterFinished", "such as 90s, 10m"),
        ("trainingjob-finetune", {"spec/suspend": "yes"}, "spec.suspend", "must be a boolean, and is text"),
        ("rollout", {"spec/groups": {}}, "spec.groups", "must be a list, and is an object"),
        ("rollout", {"spec/paused": 1}, "spec.paused", "must be a boolean, and is a number"),
        ("rollout", {"kind": "Rolout"}, "kind", "Did you mean Rollout?"),
        ("rollout", {"apiVersion": "modelfleet.dev/v1"}, "apiVersion", "it must be modelfleet.dev/v1alpha1"),
        ("rollout", {"metadata": {}}, "metadata.name", "is missing"),
    ],
)
def test_typos_are_told_with_what_was_meant(name: str, changes: Changes, field: str, advice: str):
    (found,) = problems(changed(example(name), changes))
    assert found.field == field
    assert advice in found.message


def test_a_field_that_is_not_acted_on_is_told():
    (found,) = problems(changed(example("trainingjob-finetune"), {"spec/output/formats": ["onnx", "engine"]}))
    assert (found.field, found.message) == ("spec.output.formats", "this release does not act on it")


def test_a_version_is_pinned_in_its_registry():
    (found,) = problems(changed(example("modelversion"), {"spec/artifact/uri": "oci://registry/parts:v1"}))
    assert found.field == "spec.artifact.uri"
    assert "must end with its manifest's digest" in found.message
    pinned = {"spec/artifact/uri": f"oci://registry/parts:v1@sha256:{'a' * 64}"}
    assert problems(changed(example("modelversion"), pinned)) == []


def test_a_problem_names_file_line_document_and_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "fleet.yaml"
    good = (EXAMPLES / "rollout-minimal.yaml").read_text()
    path.write_text(f"{good}\n---\n{good.replace('nodeSelector:', 'nodeSelektor:', 1)}")
    assert run(["lint", str(path)]) == 1
    number = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "nodeSelektor" in text)
    name = yaml.safe_load(good)["metadata"]["name"]
    said = capsys.readouterr().out
    assert f"{path}:{number}: Rollout {name}: spec.groups[0].nodeSelektor: there is no such field" in said
    assert "2 documents checked, 2 problems" in said


def test_files_that_are_no_yaml_and_keys_that_are_written_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "broken.yaml").write_text("a: [1\nb: 2\n")
    (tmp_path / "twice.yml").write_text("apiVersion: modelfleet.dev/v1alpha1\nkind: Rollout\nkind: Dataset\n")
    (tmp_path / "others.yml").write_text("apiVersion: v1\nkind: ConfigMap\ndata: {a: b, a: c}\n")
    (tmp_path / "notes.txt").write_text("not looked at")
    assert run(["lint", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "broken.yaml:2: is not valid YAML" in said
    assert "twice.yml:3: Dataset: kind: is written twice: the first is lost" in said
    assert "twice.yml:1: Dataset: metadata.name: is missing" in said
    assert "1 document checked, 4 problems; 1 document not of modelfleet.dev, not checked" in said


def test_anchors_and_merges_are_read_as_kubectl_reads_them():
    text = """
apiVersion: modelfleet.dev/v1alpha1
kind: Rollout
metadata: {name: line}
spec:
  model: {name: parts, tag: latest}
  groups:
    - &canary
      name: canary
      nodeSelector: &all {matchLabels: {app: line}}
    - <<: *canary
      name: fleet
      approvl: Manual
  template: {spec: {containers: [{name: agent}]}}
"""
    (document,) = files.documents("fleet.yaml", text)
    assert isinstance(document, files.Document)
    assert document.content["spec"]["groups"][1]["nodeSelector"] == {"matchLabels": {"app": "line"}}
    (found,) = manifest.check(document)
    assert (found.line, found.field) == (13, "spec.groups[1].approvl")


def test_lists_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rollout = changed(example("rollout"), {"spec/pausd": True})
    (tmp_path / "list.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [rollout]}, indent=1))
    assert run(["lint", "-o", "json", str(tmp_path / "list.json")]) == 1
    (found,) = json.loads(capsys.readouterr().out)["problems"]
    assert (found["document"], found["field"]) == ("Rollout yard", "spec.pausd")
    assert found["line"] > 1


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]):
    assert run(["lint", "/nowhere/fleet.yaml"]) == 3
    assert "/nowhere/fleet.yaml can't be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"metadata/name": "Line_X"}, "metadata.name", "must consist of lower case letters"),
        ({"metadata/name": "-line"}, "metadata.name", "must consist of lower case letters"),
        ({"metadata/name": "x" * 254}, "metadata.name", "must have at most 253 characters, and has 254"),
        ({"metadata/name": 123}, "metadata.name", "must be text, and 123 is a number: put it in quotes"),
        ({"metadata": {"generateName": "Line-"}}, "metadata.generateName", "must consist of lower case letters"),
        ({"metadata/namespace": "a.b"}, "metadata.namespace", "must be at most 63 lower case letters"),
        ({"metadata/labels": {"a": True}}, "metadata.labels.a", "must be text, and true is a boolean"),
        ({"metadata/labels": {"a": 5}}, "metadata.labels.a", "must be text, and 5 is a number"),
        ({"metadata/labels": ["a"]}, "metadata.labels", "must be an object, and is a list"),
        ({"metadata/labels": {"a": "b c"}}, "metadata.labels.a", "must consist of letters, digits"),
        ({"metadata/labels": {"a": "b" * 64}}, "metadata.labels.a", "must have at most 63 characters, and has 64"),
        ({"metadata/labels": {"a/b/c": "d"}}, "metadata.labels.a/b/c", "before its '/'"),
        ({"metadata/labels": {"A.org/b": "d"}}, "metadata.labels.A.org/b", "before its '/'"),
        ({"metadata/labels": {"a b": "d"}}, "metadata.labels.a b", "must consist of letters, digits"),
        ({"metadata/annotations": {"a": 5}}, "metadata.annotations.a", "must be text, and 5 is a number"),
        ({"metadata/annotations": {"a b": ""}}, "metadata.annotations.a b", "must consist of letters"),
        ({"metadata/annotations": {"a": "b" * 262_144}}, "metadata.annotations", "at most 262,144 bytes together"),
        ({"metadata/lables": {}}, "metadata.lables", "there is no such field. Did you mean labels?"),
        ({"metadata/finalizers": "a"}, "metadata.finalizers", "must be a list, and is text"),
        ({"metadata/finalizers": ["a b"]}, "metadata.finalizers[0]", "must consist of letters"),
        ({"metadata/ownerReferences": [{"kind": "Line"}]}, "metadata.ownerReferences[0].uid", "is missing"),
        ({"apiVersion": ABSENT}, "apiVersion", "is missing: it must be modelfleet.dev/v1alpha1"),
        ({"apiVersion": "v1alpha1"}, "apiVersion", 'can\'t be "v1alpha1": it must be modelfleet.dev/v1alpha1'),
        ({"apiVersion": "modelflet.dev/v1alpha1"}, "apiVersion", "it must be modelfleet.dev/v1alpha1"),
        ({"apiVersion": "modelfleet.dev"}, "apiVersion", "it must be modelfleet.dev/v1alpha1"),
        ({"apiVersion": "Modelfleet.dev/v1alpha1"}, "apiVersion", "it must be modelfleet.dev/v1alpha1"),
        ({"kind": ABSENT}, "kind", "is missing: it is one of Dataset, ModelVersion, Rollout, TrainingJob"),
    ],
)
def test_metadata_and_whose_it_is(changes: Changes, field: str, said: str):
    found = problems(changed(example("rollout"), changes))
    assert any(each.field == field and said in each.message for each in found), found


def test_metadata_that_the_api_server_takes_is_accepted():
    taken = {
        "generateName": "line-",
        "namespace": "factory-2",
        "labels": {"example.org/a": "B_c.d", "b": "", "c": None, "x" * 63: "y" * 63},
        "annotations": {"Example.org/A": "any \n text", "b": None},
        "finalizers": ["example.org/keep"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": True}],
        "creationTimestamp": None,
    }
    assert problems(changed(example("rollout"), {"metadata": taken})) == []


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        ("2026-11-30T09:00:00Z", True),
        ("2026-11-30t09:00:00.123456789+02:00", True),
        ("2024-02-29T23:59:59-11:30", True),
        ("yesterday", False),
        ("2026-11-30", False),
        ("2026-11-30 09:00:00Z", False),
        ("2026-11-30T09:00:00", False),
        ("2026-02-29T09:00:00Z", False),
        ("2026-11-30T24:00:00Z", False),
        ("2026-11-30T09:00:60Z", False),
        ("2026-11-30T09:00:00.Z", False),
        ("", False),
    ],
)
def test_times(written: str, fits: bool):
    found = problems(changed(example("modelversion"), {"spec/createdAt": written}))
    assert [each.field for each in found] == ([] if fits else ["spec.createdAt"])


@pytest.mark.parametrize(
    "head",
    [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"},
        {"apiVersion": "example.org/v1", "kind": "Dataset"},
        {"apiVersion": "modelflux.dev/v1", "kind": "Valve"},
        {"apiVersion": "v1", "kind": "Pod"},
        {"kind": "Kustomization"},
        {"Rollout": "apiVersion"},
    ],
)
def test_kinds_of_others_are_left_to_them(head: dict[str, Any]):
    (document,) = files.documents("fleet.yaml", yaml.safe_dump(head))
    assert isinstance(document, files.Document)
    assert not document.ours
