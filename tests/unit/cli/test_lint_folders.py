"""lint looks into folders, and leaves out, with a word, what is no manifest by itself."""

import json
from pathlib import Path

import pytest

from kubectl_modelfleet.main import run

ROOT = Path(__file__).parents[3]
WRONG = "apiVersion: modelfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: line}\nspec: {pausd: true}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_templates_of_a_chart_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "chart" / "Chart.yaml", "name: chart\n")
    write(tmp_path / "chart" / "crds" / "a.yaml", "kind: CustomResourceDefinition\n")
    template = write(tmp_path / "chart" / "templates" / "tests" / "a.yaml", "{{- if .Values.a }}\n")
    for folder in (tmp_path, template.parent):
        assert run(["lint", str(folder)]) == 0
        said = capsys.readouterr().out
        assert said.count("not checked: templates of a Helm chart: helm template") == 1
    assert run(["lint", str(template)]) == 1, "a file that is named is looked at"


def test_templates_that_are_of_no_chart_are_checked(tmp_path: Path):
    write(tmp_path / "templates" / "a.yaml", WRONG)
    assert run(["lint", str(tmp_path)]) == 1


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
@pytest.mark.parametrize(
    "names_it",
    [
        "patches: [{path: ../patches/a.yaml, target: {kind: Rollout}}]",
        "patchesStrategicMerge: [../patches/a.yaml]",
        "patchesJson6902: [{path: ../patches/a.yaml}]",
    ],
)
def test_patches_of_a_kustomization_are_left_out(
    tmp_path: Path, name: str, names_it: str, capsys: pytest.CaptureFixture[str]
):
    write(tmp_path / "site" / name, f"kind: Kustomization\nresources: [b.yaml]\n{names_it}\n")
    patch = write(tmp_path / "patches" / "a.yaml", WRONG)
    assert run(["lint", "-o", "json", str(tmp_path)]) == 0
    (left_out,) = json.loads(capsys.readouterr().out)["leftOut"]
    assert left_out["path"] == str(patch)
    assert "kubectl kustomize" in left_out["why"]
    write(tmp_path / "site" / "b.yaml", WRONG)
    assert run(["lint", str(tmp_path)]) == 1
    assert "b.yaml:4: Rollout line: spec.pausd" in capsys.readouterr().out


@pytest.mark.parametrize(
    "odd",
    ["patches: 5", "patches: [5, [a], {path: [b]}, {patch: c}]", "- a", "a: [", "&a [*a]", 'patches: [{path: "\\0"}]'],
)
def test_odd_kustomizations_name_no_patches(tmp_path: Path, odd: str, capsys: pytest.CaptureFixture[str]):
    write(tmp_path / "kustomization.yaml", odd)
    write(tmp_path / "a.yaml", WRONG)
    assert run(["lint", str(tmp_path)]) == 1
    assert "a.yaml:4: Rollout line: spec.pausd" in capsys.readouterr().out


def test_inline_patches_are_no_files(tmp_path: Path):
    text = "patchesStrategicMerge:\n- |\n  kind: Rollout\n  spec: {}\n- ''\n"
    write(tmp_path / "kustomization.yaml", text)
    assert run(["lint", str(tmp_path)]) == 0


def test_our_charts_examples_and_site_are_fine(capsys: pytest.CaptureFixture[str]):
    assert run(["lint", str(ROOT / "charts"), str(ROOT / "mkdocs.yml"), str(ROOT / "gitops")]) == 0
    assert "charts/modelfleet/templates: not checked" in capsys.readouterr().out
