"""The pages state only what is tested: manifests in docs/demo.md are the files that the demo applies."""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_modelfleet.lint import files, manifest
from kubectl_modelfleet.lint.problem import Problem
from modelfleet.rollout.manifests import environment

ROOT = Path(__file__).parents[2]
QUOTED = re.compile(r"<!-- file: (?P<path>\S+) -->\n```\w*\n(?P<text>.*?)```\n", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)(?P<target>[^)#]+)")
PAGES = sorted(p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")))


class _SiteLoader(yaml.SafeLoader):
    """Reads names of Python functions, with which the site generator is configured, as text."""


_SiteLoader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, name, node: name)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_quoted_files_are_the_files(page: Path) -> None:
    for quote in QUOTED.finditer(page.read_text()):
        assert quote["text"] == (ROOT / quote["path"]).read_text(), f"{page.name} quotes {quote['path']} wrongly"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    missing = [m["target"] for m in LINK.finditer(page.read_text()) if not (page.parent / m["target"]).exists()]
    assert not missing


def test_the_tutorial_quotes_the_first_manifests() -> None:
    quoted = {quote["path"] for quote in QUOTED.finditer((ROOT / "docs/demo.md").read_text())}
    assert {"examples/demo/1-train-v1.yaml", "examples/demo/2-rollout.yaml"} <= quoted


def test_the_tutorials_chapters_are_the_demos() -> None:
    """On a failure, the table that pytest shows is the one to put between the two marks."""
    chapters = (ROOT / "tests/e2e/chapters.py").read_text().partition("\nCHAPTERS: ")[2].partition("\n)\n")[0]
    rows = re.findall(r'^    Chapter\("(.*?)", "(.*?)", ', chapters, re.MULTILINE)
    table = "| chapter | expect |\n|---|---|\n" + "".join(f"| {title} | {expected} |\n" for title, expected in rows)
    page = (ROOT / "docs/demo.md").read_text()
    assert len(rows) > 10
    assert page.partition("<!-- chapters: tests/e2e/chapters.py -->\n")[2].partition("<!-- end -->")[0] == table


def test_readme_has_at_most_two_screens_and_the_tree_of_the_plugins_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 80
    [tree] = re.findall(r"```text\n(.*?)```", readme, re.DOTALL)
    assert tree in (ROOT / "docs/cli.md").read_text()


def test_every_page_is_in_the_sites_navigation_once_and_every_entry_is_a_page() -> None:
    """Zensical says nothing of an entry without a page, strict or not."""
    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=_SiteLoader)

    def entries(part: Any) -> Iterator[str]:
        if isinstance(part, str):
            yield part
        else:
            for each in part.values() if isinstance(part, dict) else part:
                yield from entries(each)

    pages = {str(p.relative_to(ROOT / "docs")) for p in ROOT.glob("docs/**/*.md")}
    named = list(entries(site["nav"]))
    assert sorted(named) == sorted(pages)


def test_an_upgrade_that_a_page_shows_keeps_what_was_set_and_takes_the_rest_from_the_new_chart() -> None:
    """`--reuse-values` takes all values from the old release, so that one that is new is missing; with neither, an
    upgrade for one value takes back all others. Without the namespace it is a second release of the same name."""
    notes = ROOT / "charts/modelfleet/templates/NOTES.txt"
    shown = {
        page: re.findall(r"^ {2,4}(helm upgrade .*)$", page.read_text().replace("\\\n", ""), re.MULTILINE)
        for page in (*PAGES, notes)
    }
    commands = [(page.name, command) for page, found in shown.items() for command in found]
    assert len(commands) >= 5
    for page, command in commands:
        assert "--reset-then-reuse-values" in command, page
        assert re.search(r"--namespace (modelfleet-system|\{\{ \.Release\.Namespace \}\})", command), page
    assert not [page.name for page in (*PAGES, notes) if re.search(r"helm [^`\n]*--reuse-values", page.read_text())]


def test_pages_call_the_operators_namespace_what_the_installation_calls_it() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"(?:-n|--namespace)[ =](modelfleet[\w-]*)", page.read_text())
    }
    assert named == {"modelfleet-system"}


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for page in PAGES for t in re.findall(r"(?:^ {4}|`)make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)}
    assert named <= targets


def test_every_test_that_the_threat_model_names_exists() -> None:
    page = (ROOT / "docs/security.md").read_text()
    lines = [line for line in page.partition("| against |")[2].splitlines()[2:] if line.startswith("|")]
    named = [re.findall(r"`([\w/-]+\.py)::(test_\w+)` \|$", line) for line in lines]
    assert len(lines) > 20
    assert all(len(each) == 1 for each in named), "each line names one test"
    missing = [f"{file}::{test}" for [(file, test)] in named if f"def {test}(" not in (ROOT / file).read_text()]
    assert not missing


def test_the_table_of_bad_input_is_the_tested_one() -> None:
    """On a failure, the table that pytest shows is the one to put between the two marks."""
    rows = yaml.safe_load((ROOT / "trainer-image/tests/bad_input.yaml").read_text())
    table = "| input | reason | exit | then | message | what to do |\n|---|---|---|---|---|---|\n" + "".join(
        f"| {' | '.join(str(row[key]) for key in ('name', 'reason', 'exit', 'then', 'message', 'do'))} |\n"
        for row in rows
    )
    page = (ROOT / "docs/trainer.md").read_text()
    assert (
        page.partition("<!-- table: trainer-image/tests/bad_input.yaml -->\n")[2].partition("<!-- end -->")[0] == table
    )


FENCED = re.compile(r"^```yaml\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
# Pages whose parts of a spec are not of a Rollout, and the example that each of them is laid over.
PARTS = {"docs/datasets.md": "trainingjob-scratch", "docs/trainer.md": "trainingjob-checkpoint"}


def _laid_over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _laid_over(below.get(key), value) for key, value in above.items()}
    return above


def _problems(page: Path) -> Iterator[str | None]:
    """What lint says of each whole manifest of a page, and of each `spec:` alone, laid over an example; None for each
    that it was asked about."""
    name = str(page.relative_to(ROOT))
    for block in FENCED.finditer(page.read_text()):
        text = re.sub(r"(?<=sha256: )(<.*?>|\.\.\.)", "a" * 64, block["text"])
        if text.startswith("spec:"):
            below = yaml.safe_load((ROOT / f"examples/{PARTS.get(name, 'rollout-minimal')}.yaml").read_text())
            head = f"apiVersion: {below['apiVersion']}\nkind: {below['kind']}\nmetadata: {{name: x}}\n"
            yield from (str(each) for each in files.documents(name, head + text) if isinstance(each, Problem))
            text = yaml.safe_dump(_laid_over(below, yaml.safe_load(text)))
        elif "modelfleet.dev/v1alpha1\nkind: " not in text:
            continue
        yield None
        for document in files.documents(name, text):
            found: Iterable[Problem] = (
                [document] if isinstance(document, Problem) else manifest.check(document) if document.ours else ()
            )
            yield from map(str, found)


def test_manifests_on_pages_are_fine() -> None:
    found = [each for page in PAGES for each in _problems(page)]
    assert found.count(None) > 10
    assert [each for each in found if each is not None] == []


def test_the_page_for_applications_has_each_variable_that_they_get() -> None:
    table = (ROOT / "docs/own-application.md").read_text().partition("| variable | is |\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`([A-Z_0-9]+)`", row.split("|")[1])}
    assert named == set(re.findall(r'"([A-Z_0-9]{3,})"', inspect.getsource(environment)))


def test_the_example_with_every_knob_has_every_knob() -> None:
    """As a field or in a comment."""
    crd = yaml.safe_load((ROOT / "crds/modelfleet.dev_rollouts.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    there = set(re.findall(r"\b(\w+):", (ROOT / "examples/rollout.yaml").read_text()))

    def names(schema: dict[str, Any]) -> Iterator[str]:
        for name, below in schema.get("properties", {}).items():
            yield name
            if name != "template":
                yield from names(below.get("items", below))

    assert set(names(spec)) - there == set()
