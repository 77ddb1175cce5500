"""docs/cli.md names the commands and exit codes that there are, and no others."""

import re
from pathlib import Path

import click

from kubectl_modelfleet.failures import Exit
from kubectl_modelfleet.main import cli
from modelfleet.api.commands import Verb

PAGE = (Path(__file__).parents[3] / "docs/cli.md").read_text()
ROWS = re.findall(r"^\| (`.*?) \| (.*?) \| (.*?) ?\|$", PAGE, re.M)


def named() -> dict[str, str]:
    """command -> its first column, as the page has it."""
    cells = [cell for cell, _, _ in ROWS]
    return {re.match(r"`?(\S+)", part)[1].rstrip("`"): cell for cell in cells for part in re.split(r", `", cell)}


def test_the_table_has_each_command():
    assert set(named()) == set(cli.commands)


def test_the_table_has_each_option_and_no_others():
    common = {"--namespace", "--context", "--kubeconfig", "--output", "--dry-run", "--nodes", "--help"}
    for name, command in cli.commands.items():
        leaf = command.commands["rollout"] if isinstance(command, click.Group) else command
        options = {each.opts[-1] for each in leaf.params if isinstance(each, click.Option)}
        told = set(re.findall(r"--[a-z-]+", " ".join(row for cells in ROWS for row in cells if name in cells[0])))
        assert options - common <= told | ({"--watch"} if "-w" in named()[name] else set()), name
        assert told <= options, name


def test_what_is_written_is_told():
    told = {annotation for _, _, writes in ROWS for annotation in re.findall(r"`(modelfleet\.dev/\w+)`", writes)}
    assert told == {verb.annotation for verb in Verb}


def test_the_exit_codes_are_those_of_the_code():
    assert {int(code) for code in re.findall(r"^\| ([0-9]) \|", PAGE, re.M)} == {code.value for code in Exit}


def test_nothing_asks_back():
    source = "".join(path.read_text() for path in (Path(__file__).parents[3] / "cli").rglob("*.py"))
    assert not re.search(r"click\.(confirm|prompt)|\binput\(\)", source)
