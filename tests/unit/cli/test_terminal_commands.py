"""Words of others are shown and do nothing: a terminal acts on control characters, whoever has written them."""

import io
import json

import pytest
import yaml
from rich.console import Console
from rich.text import Text

from kubectl_modelfleet.output import Harmless, put, tell
from kubectl_modelfleet.session import Session
from kubectl_modelfleet.tree import tree
from kubectl_modelfleet.wording import signs
from unit.cli.stories import story

NASTY = "a\x1b]0;owned\x07\x1b[2Jb\x9b31mc\u202edf\x7f"
COMMANDS = set(NASTY) - set("a]0;owned[2Jb31mcdf")


def drawn(what: object) -> str:
    screen = io.StringIO()
    Console(file=screen, force_terminal=True, color_system="truecolor", width=200).print(what)
    return screen.getvalue()


def test_what_is_drawn_has_the_colours_of_rich_and_no_commands_of_others():
    shown = drawn(Harmless(Text(NASTY, style="red")))
    assert shown.startswith("\x1b[31m"), "the colour is our own"
    assert not COMMANDS & set(shown.replace("\x1b[31m", "").replace("\x1b[0m", ""))
    assert r"a\u001b]0;owned" in shown
    assert r"b\u009b31mc\u202edf" in shown


def test_a_tree_is_drawn_as_ever():
    recorded = story("Soaking")
    whole = tree(recorded.view, recorded.now, signs("utf-8"))
    assert drawn(Harmless(whole)) == drawn(whole)


@pytest.mark.parametrize("output", ["", "json", "yaml"])
def test_nothing_that_is_printed_is_a_command_and_documents_stay_as_they_were(
    output: str, capsys: pytest.CaptureFixture[str]
):
    document = {"class": NASTY, "lines": "one\ntwo\tthree"}
    assert Session(output=output).show(document, lambda: Text(f"{NASTY}\nnext\tline"))
    said = capsys.readouterr().out
    assert not COMMANDS & set(said)
    if output:
        assert (json.loads(said) if output == "json" else yaml.safe_load(said)) == document
    else:
        assert said.count("\n") == 2


def test_what_is_said_beside_it_is_none_either(capsys: pytest.CaptureFixture[str]):
    tell(NASTY)
    put(NASTY)
    found = capsys.readouterr()
    assert not COMMANDS & set(found.out + found.err)
