"""Flux takes back what field managers called kubectl* wrote, so nobody is told a command that writes as one of them.

What becomes of both kinds: cluster/test_flux.py. What the CLI itself writes: unit/cli/test_kubectl.py. The commands in
the operator's messages, which are put together from parts: unit/api/test_commands.py.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITES = re.compile(
    r"kubectl (?!modelfleet)(?:-\S+ (?:\S+ )?)*?(?:annotate|edit|label|patch|scale|set) (?:\S+ )*?"
    r"(?:rollout|modelversion|trainingjob|dataset)s?(?:\.modelfleet\.dev)?[ /][^\n`)]*"
)


def told_on_pages() -> Iterator[str]:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    files = [*pages, *ROOT.glob("examples/**/*.yaml"), *ROOT.glob("charts/*/templates/**/*.*"), *ROOT.glob("crds/*")]
    return (match[0] for file in files for match in WRITES.finditer(file.read_text().replace("\\\n", " ")))


def told_by_programs() -> Iterator[str]:
    """What the operator, the CLI and what runs in the images say; {} where a message has a value."""
    folders = ("operator/modelfleet", "cli/kubectl_modelfleet", "labeler-image", "trainer-image", "agent-image")
    for file in (file for folder in folders for file in ROOT.glob(f"{folder}/**/*.py") if "tests" not in file.parts):
        tree = ast.parse(file.read_text())
        nodes = list(ast.walk(tree))
        passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
        passed |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in nodes:
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in passed:
                yield from (match[0] for match in WRITES.finditer(_text(node)))


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node.value, str) else ""


def test_whoever_is_told_to_write_one_of_our_objects_is_told_a_field_manager_that_flux_leaves_alone() -> None:
    pages, programs = list(told_on_pages()), list(told_by_programs())
    assert len(pages) >= 6
    assert programs
    assert [told for told in pages + programs if "--field-manager=modelfleet-cli" not in told] == []
