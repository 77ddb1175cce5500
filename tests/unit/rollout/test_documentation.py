"""docs/rollout.md names the phases and commands that the code has, and no others."""

import ast
import re
from pathlib import Path

from modelfleet.api.commands import Verb
from modelfleet.rollout import phases
from unit.rollout import test_diagram

PAGE = (Path(__file__).parents[3] / "docs/rollout.md").read_text()


def in_code():
    """The first argument of each `Step(...)` in phases.py, with what its second says."""
    calls = [node for node in ast.walk(ast.parse(Path(phases.__file__).read_text())) if isinstance(node, ast.Call)]
    steps = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Step"]
    found: dict[str, set[str]] = {}
    for step in steps:
        phase, standing = (argument.value for argument in step.args[:2])
        found.setdefault(phase, set()).add(standing)
    return found


def in_table():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", PAGE, re.M)
    return {phase: set(re.findall(r"Reconciling|Stalled|Ready", said)) or {"Degraded"} for phase, said in rows}


def test_the_table_has_each_phase_with_its_conditions():
    assert in_table() == in_code()


def test_the_diagram_has_each_phase_and_no_dead_end():
    arrows = re.findall(r"^    (\S+) --> (\S+): ", PAGE, re.M)
    assert {name for arrow in arrows for name in arrow} - {"[*]"} == set(in_code())
    assert {before for before, _ in arrows} - {"[*]"} == set(in_code())


def test_each_arrow_of_the_diagram_is_followed_by_a_story_and_no_other_is_said_to_be():
    drawn = set(re.findall(r"^    (\S+) --> (\S+): ", PAGE, re.M))
    assert set().union(*(test_diagram.arrows(way) for _, _, way in test_diagram.STORIES.values())) == drawn


def test_each_command_is_on_the_page():
    assert set(re.findall(r"^\| `(modelfleet\.dev/\w+): ", PAGE, re.M)) == {
        verb.annotation
        for verb in Verb
        if verb is not Verb.SYNC  # of a Dataset: docs/datasets.md
    }
