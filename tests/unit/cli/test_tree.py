"""The tree and the lines, of every phase that a Rollout can be in."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from kubectl_modelfleet import documents, wording
from kubectl_modelfleet.tree import line, tree
from modelfleet.rollout import phases
from unit.cli.stories import STORIES, story

READY = ("Drifting", "Replayed", "Restored")
"""Stories of a Rollout that is Ready."""


def drawn(name: str, *, signs: wording.Signs = wording.UNICODE, width: int = 300, most: int = 8) -> str:
    recorded = story(name)
    console = Console(width=width, highlight=False, markup=False, no_color=True)
    with console.capture() as capture:
        console.print(tree(recorded.view, recorded.now, signs, most))
    return capture.get()


def test_every_phase_of_the_operator_has_a_story():
    in_code = set(re.findall(r'Step\(\s*"(\w+)"', Path(phases.__file__).read_text()))
    assert in_code == set(STORIES) - {"Pending", *READY}


@pytest.mark.parametrize("name", STORIES)
def test_the_tree_has_phase_message_groups_and_nodes(name: str):
    text, shown = drawn(name), story(name).view
    assert f"{shown.name}  {'Ready' if name in READY else name}" in text
    if shown.message:
        assert shown.message in " ".join(text.split())
    for group in shown.groups:
        assert re.search(rf"─ . {group.status.name}  \w+  (v\d|nothing)  \d+/\d+ ready", text), group.status.name
        assert all(node.name in text for node in group.nodes)


@pytest.mark.parametrize("name", STORIES)
def test_where_nothing_but_ascii_can_be_shown_there_is_nothing_else(name: str):
    said = drawn(name, signs=wording.ASCII)
    for message in (story(name).view.message, *(group.status.reason or "" for group in story(name).view.groups)):
        said = said.replace(message, "")
    assert said.isascii()


@pytest.mark.parametrize("name", STORIES)
def test_the_plain_line_is_one_and_does_not_change_with_time(name: str):
    text = line(story(name).view, wording.UNICODE)
    assert "\n" not in text
    assert text.startswith("line ")
    assert story(name).view.message in text


def test_a_message_of_several_lines_is_one_line_there():
    shown = story("Ready").view
    assert shown.ready is not None
    told = shown.ready.model_copy(update={"message": "cannot start\n  the container"})
    assert line(replace(shown, ready=told), wording.UNICODE).endswith("; cannot start the container")


def test_the_gate_line_has_estimate_interval_margin_and_since_when():
    text = drawn("Soaking")
    assert "gate: ◌ Inconclusive since 2026-11-21 " in text
    assert re.search(r"UTC \(\d+[sm]\)", text)
    assert "precision -0.0123 [-0.0311, +0.0072], margin 0.05, look 1, 1 canary and 1 control node" in text
    assert "margin 0.05" in line(story("Soaking").view, wording.UNICODE)


def test_a_gate_without_comparison_has_no_margin():
    assert "margin" not in drawn("WaitingForApproval")


def test_who_waits_for_a_person_is_shown_so():
    text = drawn("WaitingForApproval")
    assert "◷ canary  WaitingForApproval  v2" in text
    assert "approval Manual" in text
    assert "v1 → v2 in group canary" in text


def test_nodes_in_trouble_come_first_and_a_failed_version_is_named():
    assert "✖ line  RolledBack  v1 is stable" in drawn("RolledBack")
    assert "✖ quarantined: v2" in drawn("RolledBack")
    text = drawn("Degraded")
    assert text.index("fleet-0") < text.index("fleet-2")
    assert "2 unreachable" in text


def test_what_failed_with_one_template_alone_is_named_so():
    [failed] = story("Restored").view.status.quarantined
    assert f"✖ quarantined: v1 (with the template of {failed.revision})" in drawn("Restored")


def test_the_drift_line_has_nodes_figures_and_since_when():
    text = drawn("Drifting")
    assert "drift: ⚠ Drifting since 2026-11-21 09:00 UTC" in text
    assert "3 of 4 nodes drifted, confidence -0.081 (drift: -0.05), reviewed-recall 0.78 (at least 0.85)" in text
    assert "drift Drifting" in line(story("Drifting").view, wording.UNICODE)


def test_the_replay_line_has_versions_result_and_what_was_found():
    text = drawn("Replaying")
    assert re.search(r"replay: \S Replaying v2 beside v1\n", text)
    assert text.count("compares v2 with v1") == 1, "the message of the Rollout says it"
    text = drawn("Replayed")
    assert "replay: ✔ Replayed v2 beside v1 since 2026-11-21 08:" in text
    assert "v2 and v1 agree on 91% (88% to 93%) of their boxes, on 200 frames of 34 node-days." in text
    assert "replay" not in drawn("Ready")


def test_more_nodes_than_are_asked_for_are_summed_up():
    text = drawn("Ready", most=1)
    assert "and 2 more nodes: 2 Ready on v2" in text
    assert "fleet-2" not in text


def test_a_narrow_terminal_cuts_nodes_and_wraps_messages():
    lines = drawn("RolledBack", width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert any(text.rstrip().endswith("…") for text in lines)


@pytest.mark.parametrize("name", STORIES)
def test_the_document_for_programs_is_plain_json(name: str):
    found = documents.rollout(story(name).view)
    assert found["phase"] == (None if name == "Pending" else "Ready" if name in READY else name)
    assert found["standing"] == story(name).view.standing.value
    assert sum(len(group["nodeList"]) for group in found["groups"]) == len(story(name).pods)


def test_ages_are_as_short_as_those_of_kubectl():
    start = story("Ready").now
    ages = {119: "119s", 120: "2m", 7199: "119m", 7200: "2h", 12_000: "3h20m", 86_400 * 12: "12d", -5: "0s"}
    assert {seconds: wording.age(start - timedelta(seconds=seconds), start) for seconds in ages} == ages
