"""Patterns mean the same to the API server (RE2) as to the operator and the CLI (pydantic's are Rust's)."""

import re
from pathlib import Path

import pytest
import yaml

CRDS = sorted((Path(__file__).parents[3] / "crds").glob("*.yaml"))
# ASCII to RE2, Unicode to Rust: what only one of them takes is applied and can't be read, or read and not applied
DIFFERENT = re.compile(r"\\[sSdDwWbB]")


def patterns(schema, path=""):
    if isinstance(schema, dict):
        for name, value in schema.items():
            if name == "pattern" and isinstance(value, str):
                yield path, value
            elif name == "rule" and isinstance(value, str):
                yield from ((path, each) for each in re.findall(r"matches\('(.*?)'\)", value))
            else:
                yield from patterns(value, f"{path}.{name}")
    elif isinstance(schema, list):
        for value in schema:
            yield from patterns(value, path)


@pytest.mark.parametrize("crd", CRDS, ids=lambda path: path.stem)
def test_no_pattern_has_a_class_that_differs(crd):
    found = list(patterns(yaml.safe_load(crd.read_text())))
    assert len(found) > 5
    assert [each for each in found if DIFFERENT.search(each[1])] == []
