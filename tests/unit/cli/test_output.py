"""Standard streams as they may be: closed, full, or a pipe that nobody reads. The exit code says what was found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubectl_modelfleet.failures import Exit

CLI = f"{sys.executable} -m kubectl_modelfleet"
MANY = "apiVersion: modelfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: line}\nspec:\n" + "".join(
    f"  fieldOfNoName{number}: 1\n" for number in range(3000)
)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "many.yaml").write_text(MANY)
    (folder / "none.yaml").write_text("kind: Pod\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("output", ["", "-o json", "-o yaml"])
def test_a_reader_that_has_enough_does_not_change_the_exit_code(output: str, tmp_path: Path):
    done = run(f"{CLI} lint {output} many.yaml | head -n 1; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (Exit.BAD, "", 1)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("lint nowhere.yaml 2>&1 | true; exit ${PIPESTATUS[0]}", Exit.UNKNOWN),
        ("frobnicate 2>&1 | true; exit ${PIPESTATUS[0]}", Exit.UNKNOWN),
        ("lint nowhere.yaml 2>/dev/full", Exit.UNKNOWN),
        ("get rollout -n 2>/dev/full", Exit.UNKNOWN),
        ("--help >/dev/full 2>/dev/full", Exit.UNKNOWN),
    ],
)
def test_words_that_nobody_can_read_do_not_change_the_exit_code(script: str, code: Exit, tmp_path: Path):
    """It was 1 (bad) or 120 (Python's own), for example of `status --wait 2>&1 | head -1`."""
    done = run(f"{CLI} {script}", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_colours_that_are_forced_make_no_terminal_of_a_pipe(tmp_path: Path):
    """FORCE_COLOR is set for whole pipelines (by CI services): rich takes the pipe for a terminal, and ends the process
    with 1 where nobody reads on."""
    done = run(f"FORCE_COLOR=1 {CLI} lint none.yaml | true; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.returncode, done.stderr) == (Exit.DONE, "")


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("lint many.yaml >&-", Exit.BAD, ""),
        ("lint none.yaml >&-", Exit.DONE, ""),
        ("lint many.yaml 2>&-", Exit.BAD, ""),
        ("lint nowhere.yaml 2>&-", Exit.UNKNOWN, ""),
        ("lint nowhere.yaml >&- 2>&-", Exit.UNKNOWN, ""),
        ("lint - <&-", Exit.UNKNOWN, "kubectl modelfleet: there is no standard input to read: it is closed\n"),
        ("lint many.yaml >/dev/full", Exit.UNKNOWN, "standard output can't be written: No space left on device"),
        ("lint -o json none.yaml >/dev/full", Exit.UNKNOWN, "standard output can't be written"),
        ("completion bash >/dev/full", Exit.UNKNOWN, "standard output can't be written"),
        ("--help >/dev/full", Exit.UNKNOWN, "No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full(script: str, code: Exit, said: str, tmp_path: Path):
    done = run(f"{CLI} {script}", tmp_path)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) is bool(said)


@pytest.mark.parametrize("reads", ["false | {} lint -", "{} lint <(false)", "printf '\\n \\n' | {} lint -o json -"])
def test_a_pipe_with_nothing_in_it_is_not_all_good(reads: str, tmp_path: Path):
    """Where helm or kustomize fails, and nobody has set pipefail, that is all there is to see of it."""
    done = run(reads.format(CLI), tmp_path)
    assert (done.returncode, done.stdout) == (Exit.UNKNOWN, "")
    assert "is empty: did the command that writes it fail?" in done.stderr


def test_an_empty_file_has_no_problem(tmp_path: Path):
    done = run(f"touch empty.yaml; {CLI} lint empty.yaml && echo '# nothing is switched on' | {CLI} lint -", tmp_path)
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
