"""The pages state only what is tested: manifests in README.md are the files that the demo applies."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
QUOTED = re.compile(r"<!-- file: (?P<path>\S+) -->\n```\w*\n(?P<text>.*?)```\n", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)(?P<target>[^)#]+)")
PAGES = sorted(p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_quoted_files_are_the_files(page: Path) -> None:
    for quote in QUOTED.finditer(page.read_text()):
        assert quote["text"] == (ROOT / quote["path"]).read_text(), f"{page.name} quotes {quote['path']} wrongly"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    missing = [m["target"] for m in LINK.finditer(page.read_text()) if not (page.parent / m["target"]).exists()]
    assert not missing


def test_readme_quotes_the_first_manifests() -> None:
    quoted = {quote["path"] for quote in QUOTED.finditer((ROOT / "README.md").read_text())}
    assert {"examples/demo/1-train-v1.yaml", "examples/demo/2-rollout.yaml"} <= quoted


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {t for page in PAGES for t in re.findall(r"(?:^ {4}|`)make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)}
    assert named <= targets


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
