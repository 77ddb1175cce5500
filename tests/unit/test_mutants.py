"""How the tests are started by mutmut, which runs them again and again in one process (tests/mutants)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mutants.suites import ROOT, STABLE, SUITES

TESTS = r"""
import pytest

@pytest.mark.parametrize("value", ["\\", "ä", "\t", "plain"], ids=lambda value: f"it is {value!r}")
def test_made(value): pass

@pytest.mark.parametrize("value", [1, 2], ids=["C:\\", "ö"])
def test_given(value): pass
"""

TWICE = """
import json, sys, pytest

class Names:
    def pytest_collection_modifyitems(self, items):
        self.found = [item.nodeid for item in items]

names, options = Names(), ["-p", "no:cacheprovider", *json.loads(sys.argv[1])]
pytest.main(["test_names.py", *options], plugins=[names])
print(len(names.found), "tests")
sys.exit(pytest.main([*reversed(names.found), *options]))
"""


@pytest.mark.parametrize(("options", "end"), [(STABLE, pytest.ExitCode.OK), ((), pytest.ExitCode.USAGE_ERROR)])
def test_a_test_has_the_same_name_the_next_time(options: tuple[str, ...], end: pytest.ExitCode, tmp_path: Path):
    """Without these options it has not: once pytest has mended that, they can go."""
    (tmp_path / "test_names.py").write_text(TESTS)
    command = [sys.executable, "-c", TWICE, json.dumps(options)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "6 tests" in done.stdout, done.stderr
    assert done.returncode == end, done.stdout


def test_the_stories_that_quick_leaves_out_are_tests_of_their_suite():
    named = [(suite, story) for suite in SUITES for story in suite.stories]
    assert named
    missing = [story for suite, story in named if not any((ROOT / tests / story).is_file() for tests in suite.tests)]
    assert not missing
