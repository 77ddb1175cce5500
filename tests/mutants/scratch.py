"""A copy of source and tests outside of the checkout, where mutmut works, and what it found there.

mutmut writes all mutants of a function beside it, finds out which tests reach the function, and forks a process for
each mutant that runs those, the fastest first, until one fails.
"""

import ast
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from configparser import ConfigParser
from contextlib import chdir
from pathlib import Path

from mutmut.configuration import reset_config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import get_mutant_name, orig_function_and_class_names_from_key

from mutants.results import SURVIVED, TIMEOUT, UNREACHED, Left, Measured
from mutants.suites import LEFT_OUT, PACKAGES, ROOT, STABLE, Suite

SEED = 1
"""Of SAMPLE=n: the same mutants each time, as long as the file stays the same."""

_PATIENCE = 15
"""A mutant is given up after so many times the seconds of its tests and one more: the machine may be busy."""

_UNTOUCHED = r"log\.(debug|info|warning|error|exception)\("
"""Lines that are not mutated: a log's words are nothing that a test should hold on to."""


class Failed(Exception):
    """mutmut gave up: the tests fail without any mutant, or it can't read the source."""


def measure(
    suite: Suite, files: list[Path], scratch: Path, *, jobs: int, sample: int, quick: bool, log: Path
) -> list[Measured]:
    """What became of the mutants of some files of a suite.

    `sample` is how many of each file, 0 for all; `quick` leaves the suite's stories out.
    """
    inside = {file: Path("src") / file.relative_to(PACKAGES) for file in files}
    _copy(suite, list(inside.values()), scratch, suite.stories if quick else ())
    with chdir(scratch):
        chosen = [name for path in inside.values() for name in _sample(path, sample)] if sample else []
        with log.open("w") as out:
            command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *chosen]
            done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, env=_environment(), check=False)
        if done.returncode:
            raise Failed(f"mutmut failed on {suite.name}, see {log}")
        return [_measured(file, path) for file, path in inside.items()]


def _environment() -> dict[str, str]:
    """Without the folders of the checkout: the tests must not find the original beside the copy."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _copy(suite: Suite, mutated: list[Path], scratch: Path, without: Iterable[str]) -> None:
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / PACKAGES / "modelfleet", scratch / "src/modelfleet", ignore=caches)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    imported = {Path(folder).parts[0] for folder in project["tool"]["pytest"]["ini_options"]["pythonpath"]}
    beside = sorted(imported - {str(PACKAGES)})
    for folder in beside:
        shutil.copytree(ROOT / folder, scratch / folder, ignore=caches)
    shutil.copy(ROOT / "pyproject.toml", scratch)
    for path in mutated:
        file = scratch / path
        file.write_text(undecorated(file.read_text()))
    ignored = [f"--ignore-glob=*/{name}" for name in without]
    config = ConfigParser(interpolation=None)
    config["mutmut"] = {
        "source_paths": "src",
        "also_copy": "\n".join(beside),
        "only_mutate": "\n".join(map(str, mutated)),
        "do_not_mutate_patterns": _UNTOUCHED,
        "pytest_add_cli_args": "\n".join(("-p", "no:cacheprovider", *STABLE, *LEFT_OUT, *ignored)),
        "pytest_add_cli_args_test_selection": "\n".join(suite.tests),
        "timeout_multiplier": str(_PATIENCE),
        "use_git_change_detection": "false",
    }
    with (scratch / "setup.cfg").open("w") as out:
        config.write(out)


def undecorated(source: str) -> str:
    """The source with each `@property` as an assignment after the function: mutmut leaves decorated functions alone."""
    lines = source.splitlines(keepends=True)
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda each: each.lineno, reverse=True):
        match node.decorator_list:
            case [ast.Name(id="property" | "cached_property" as kind, lineno=line)]:
                lines.insert(node.end_lineno or line, f"{' ' * node.col_offset}{node.name} = {kind}({node.name})\n")
                del lines[line - 1]
    return "".join(lines)


def _sample(path: Path, size: int) -> list[str]:
    reset_config()
    names = mutate_file_contents(str(path), path.read_text()).mutant_names
    chosen = random.Random(SEED).sample(names, min(size, len(names)))
    return [get_mutant_name(path, name) for name in chosen]


def _measured(file: Path, path: Path) -> Measured:
    data = SourceFileMutationData(path=path)
    data.load()
    ends = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    tried = {name: end for name, end in ends.items() if end != "not checked"}
    left = [_left(name, path, end) for name, end in tried.items() if end in (SURVIVED, UNREACHED, TIMEOUT)]
    return Measured(str(file), len(ends), len(tried), left)


def _left(name: str, path: Path, end: str) -> Left:
    changed = [line for line in get_diff_for_mutant(name, path=path).splitlines()[3:] if line[:1] in "+-"]
    before, after = (" ".join(line[1:].strip() for line in changed if line[0] == sign) for sign in "-+")
    function, of = orig_function_and_class_names_from_key(name)
    return Left(f"{of}.{function}" if of else function, before, after, end)
