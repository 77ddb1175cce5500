"""lint reads whatever it is given: what is odd is a problem of its own file and line, and the rest goes on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.test_api import ABSENT, changed, example
from kubectl_modelfleet.lint import files, manifest, scalars
from kubectl_modelfleet.lint.problem import Problem
from kubectl_modelfleet.main import run

OURS = "apiVersion: modelfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: line}\n"
OTHERS = "apiVersion: example.org/v1\nkind: Thing\n"
DEEP = "[" * 3000 + "]" * 3000
BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))])


@pytest.fixture(scope="module", autouse=True)
def _cel() -> None:
    """cel-python raises the recursion limit at its first use, which Hypothesis warns of where it is within a test."""
    assert lint(yaml.safe_dump(example("rollout"))) == ([], 0)


def lint(text: str) -> tuple[list[Problem], int]:
    """All problems; and how many documents were left to others."""
    problems: list[Problem] = []
    others = 0
    for document in files.documents("fleet.yaml", text):
        if isinstance(document, Problem):
            problems.append(document)
        elif document.ours:
            problems += manifest.check(document)
        else:
            others += 1
    return problems, others


@pytest.mark.parametrize(
    ("odd", "field", "said"),
    [
        ("spec: {soak: !!int abc}", "spec.soak", '!!int can\'t be "abc"'),
        ("spec: {soak: !!bool 5}", "spec.soak", '!!bool can\'t be "5"'),
        ("spec: {x: {<<: 5}}", "spec.x.<<", "must be an object, or a list of objects, to be merged"),
        ("spec: {x: {<<: [{a: b}, c]}}", "spec.x.<<", "must be an object, or a list of objects"),
        ("spec: &a {<<: *a}", "spec", "contains itself"),
        ("spec: &a [*a]", "spec", "contains itself"),
        ("spec: &a {b: *a}", "spec", "contains itself"),
        (f"spec: {'[' * 150}{']' * 150}", "spec", "nested more than 100 levels deep"),
        (f"spec: {DEEP}", "", "is nested too deeply to be read"),
        (f"spec:\n  {BOMB.replace(chr(10), chr(10) + '  ')}", "spec.", "aliases (*) written out"),
        ("spec: {x: .inf}", "spec.x", "is no number that JSON has"),
        ("spec: {? [a] : b}", "spec", "has a key that is no text"),
        ("spec: {~: b}", "spec", "a key is empty, or null"),
        ("spec: {x: !!binary '*'}", "spec.x", "!!binary"),
        ('spec: "\\UFFFFFFFF"', "", "is not valid YAML"),
        ("spec: [", "", "is not valid YAML"),
        ("spec: *nothing", "", "undefined alias"),
        ("spec: \0", "", "special characters are not allowed (character "),
    ],
)
def test_what_can_not_be_read_is_a_problem(odd: str, field: str, said: str):
    (found,), others = lint(OURS + odd)
    assert (found.field.startswith(field), said in found.message, others) == (True, True, 0), found
    assert found.line >= 4 or "special characters" in said


@pytest.mark.parametrize(
    ("odd", "field", "said"),
    [
        ("kind: [Rollout]", "kind", "there is no kind"),
        ("kind: {a: b}", "kind", "there is no kind"),
        ("metadata: {generateName: 5}", "metadata.generateName", "must be text, and 5 is a number"),
        ("metadata: {name: [a]}", "metadata.name", "must be text, and is a list"),
        ("metadata: line", "metadata", "must be an object, and is text"),
        ("spec: {minReachable: 99999999999999999999999}", "spec.minReachable", "must be a whole number or text"),
        (f"spec: {{revisionHistoryLimit: {'9' * 5000}}}", "spec.revisionHistoryLimit", "must be a number"),
        ("spec: {paused: =}", "spec.paused", "must be a boolean, and is text"),
        ("spec: {paused: !Ref b}", "spec.paused", "must be a boolean, and is text"),
        ("spec: {paused: 1:30}", "spec.paused", "must be a boolean, and is text"),
    ],
)
def test_odd_values_are_told_at_their_fields(odd: str, field: str, said: str):
    found, _ = lint(OURS.replace("kind: Rollout\n", "" if odd.startswith("kind") else "kind: Rollout\n") + odd)
    assert any(each.field == field and said in each.message for each in found), found


@pytest.mark.parametrize(
    "odd",
    [
        "x: !Ref b",
        "x: !!python/name:os.system",
        "x: =",
        "x: !!int abc",
        "x: {<<: 5}",
        "x: &a [*a]",
        BOMB,
        "x: 1\nx: 2",
        "metadata: [a]",
        "? [a]\n: b",
    ],
)
def test_what_is_odd_in_documents_of_others_is_nobodys_problem(odd: str):
    assert lint(f"{OTHERS}{odd}\n---\n{odd}") == ([], 2)


def test_documents_of_files_that_were_put_together_begin_with_a_mark_each():
    """As some editors write it; kubectl skips it. It was read as a sign of the first key, which was missing then."""
    text = "kind: Pod\n---\n\ufeffapiVersion: modelfleet.dev/v1alpha1\n"
    assert [each.content.get("apiVersion") for each in files.documents("f", text)] == [None, "modelfleet.dev/v1alpha1"]


@pytest.mark.parametrize("text", ["metadata:\n  {{- include 1 }}\n", "{{- if .Values.on }}\nkind: Pod\n{{ end }}\n"])
def test_what_is_a_template_is_told_how_it_is_checked(text: str):
    found = [str(each) for each in files.documents("f", text) if isinstance(each, Problem)]
    assert found
    assert all("helm template NAME CHART | kubectl modelfleet lint -" in each for each in found)
    [plain] = files.documents("f", "a: [\n")
    assert "template" not in str(plain)


def test_what_stands_before_and_behind_what_can_not_be_read_is_checked():
    wrong = f"{OURS}spec: {{pausd: true}}\n"
    text = "---\n".join([wrong, "a: [1\n", wrong, "b: 'c\n", OTHERS, f"d: {DEEP}\n", wrong])
    found, others = lint(text)
    assert [each.line for each in found if each.field == "spec.pausd"] == [
        number for number, line in enumerate(text.splitlines(), 1) if "pausd" in line
    ]
    assert [each.message.partition(":")[0] for each in found if not each.field] == [
        "is not valid YAML",
        "is not valid YAML",
        "is nested too deeply to be read",
    ]
    assert others == 1


def test_a_file_that_can_not_be_read_is_a_problem_among_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "a.yaml").write_bytes(b"a: \xff")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.yaml").write_text(f"\ufeff{OURS}spec: {{pausd: true}}\n", encoding="utf-8")
    (tmp_path / "d.yaml").mkdir()
    assert run(["lint", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "a.yaml: can't be read: it is no text in UTF-8 (byte 4)" in said
    assert "b.yaml: can't be read: No such file or directory" in said
    assert "c.yaml:4: Rollout line: spec.pausd: there is no such field" in said
    assert "d.yaml" not in said


def test_a_folder_that_can_not_be_read_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(path: str) -> Any:  # root, whom the tests run as in CI, may read every real one
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert run(["lint", str(tmp_path)]) == 1
    assert "closed: can't be read: Permission denied" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1.0", 1),
        ("1e3", 1000),
        ("017", 15),
        ("0o17", 15),
        ("08", 8),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b11", 3),
        ("-017", -15),
        ("+5", 5),
        (".5", 0.5),
        ("1.", 1),
        ("-0", 0),
        ("1_0.5", 10.5),
        ("99999999999999999999999", 1e23),
        ("1:30", "1:30"),
        ("=", "="),
        ("1e400", "1e400"),
        ("1e", "1e"),
        ("y", True),
        ("off", False),
        ("~", None),
        ("2020-01-01", "2020-01-01"),
        ("0x", "0x"),
        ("-", "-"),
    ],
)
def test_words_are_read_as_kubectl_reads_them(written: str, value: Any):
    """Taken from kubectl 1.32: `kubectl annotate --local --filename=- --output=json`."""
    found = scalars.plain(written)
    assert (found, type(found)) == (value, type(value))


def test_json_is_read_as_kubectl_reads_it():
    one = json.dumps(example("rollout"), indent="\t")
    wrong = json.dumps({**example("rollout"), "spec": {**example("rollout")["spec"], "pausd": "\U0001f600"}}, indent=1)
    assert lint(one) == ([], 0)
    for between in ("\n", "", "\n---\n"):
        text = f"{one}{between}{wrong}{between}"
        (found,), others = lint(text)
        assert (found.field, others) == ("spec.pausd", 0)
        assert "pausd" in text.splitlines()[found.line - 1]
    assert lint(f"{OTHERS}---\n{one}") == ([], 1)
    assert lint("{apiVersion: v1,\n\tkind:\tConfigMap}") == ([], 1)


def test_numbers_are_whole_as_they_are_sent():
    rollout = yaml.safe_dump(changed(example("rollout"), {"spec/minReachable": ABSENT}))
    for written in ("1.0", "1e0", "0x1"):
        assert lint(rollout.replace("spec:\n", f"spec:\n  minReachable: {written}\n", 1)) == ([], 0)
    (found, *_), _ = lint(rollout.replace("spec:\n", "spec:\n  minReachable: 1.5\n", 1))
    assert (found.field, found.message) == ("spec.minReachable", "must be a whole number or text, and is a number")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["<<", "=", "5m", "1"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS, inner, max_size=4), max_leaves=12
)
TEXTS = st.text() | st.text("-[]{}:,&*!<>|?%@'\"#=~. \t\nab01", max_size=60)
CAREFULLY = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


@CAREFULLY
@given(TEXTS, st.sampled_from(["", OURS, f"{OURS}spec: ", OTHERS, "apiVersion: modelfleet.dev/v1alpha1\nkind: "]))
def test_no_text_ends_in_an_error(text: str, before: str):
    for found in lint(before + text)[0]:
        assert found.message
        assert 0 <= found.line <= len((before + text).splitlines()) + 1


@CAREFULLY
@given(content=st.binary())
def test_no_bytes_end_in_an_error(content: bytes, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    assert run(["lint", str(path)]) in (0, 1)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


@pytest.mark.parametrize("name", ["rollout", "modelversion", "trainingjob-finetune", "dataset"])
@settings(CAREFULLY, max_examples=25)
@given(data=st.data())
def test_no_value_at_any_field_ends_in_an_error(name: str, data: st.DataObject):
    whole = within = example(name)
    place = data.draw(st.sampled_from(places(whole)[1:]))
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = data.draw(VALUES)
    assert all(each.message for each in lint(yaml.safe_dump(whole))[0])
