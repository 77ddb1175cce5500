"""The grammar of commands: what a value says, and how the same is said again."""

import pytest

from modelfleet.api.commands import NOTED, NOW, Command, Verb, noted, unused


def test_each_verb_is_an_annotation():
    assert [verb.annotation for verb in Verb] == [
        f"modelfleet.dev/{name}" for name in ("approve", "promote", "abort", "retry", "retrain", "sync")
    ]


@pytest.mark.parametrize(
    ("value", "version", "whole"),
    [
        ("v4", "v4", "v4"),
        ("v4@1", "v4", "v4@1"),
        (" v4 @ again ", "v4", "v4 @ again"),
        ("v4@", "v4", "v4@"),
        ("v4@1@2", "v4", "v4@1@2"),
        ("now@1", NOW, "now@1"),
    ],
)
def test_a_value_names_a_version(value, version, whole):
    assert Command.parse(Verb.RETRY, value) == Command(Verb.RETRY, version, whole)


@pytest.mark.parametrize("value", ["", "  ", "@1", " @"])
def test_a_value_that_names_nothing_is_no_command(value):
    assert Command.parse(Verb.ABORT, value) is None


def test_a_command_is_read_from_its_own_annotation():
    annotations = {"modelfleet.dev/approve": "v4", "modelfleet.dev/retry": "v3@2"}
    assert Command.read(annotations, Verb.APPROVE) == Command(Verb.APPROVE, "v4", "v4")
    assert Command.read(annotations, Verb.RETRY) == Command(Verb.RETRY, "v3", "v3@2")
    assert Command.read(annotations, Verb.PROMOTE) is None


@pytest.mark.parametrize(
    ("used", "value"),
    [((), "v4"), (["v4"], "v4@2"), (["v4", "v4@2", "v4@3"], "v4@4"), (["v4@2"], "v4"), (["v4", "v4@x"], "v4@2")],
)
def test_the_same_is_said_again_with_a_number_that_was_not_used(used, value):
    command = unused(Verb.APPROVE, "v4", used)
    assert command == Command.parse(Verb.APPROVE, value)
    assert command.assignment == f"modelfleet.dev/approve={value}"


def test_the_arguments_of_kubectl_annotate_outlive_flux_and_an_older_value():
    first, again = unused(Verb.RETRY, "v4", ()), unused(Verb.RETRY, "v4", ["v4"])
    assert first.arguments == "modelfleet.dev/retry=v4 --overwrite --field-manager=modelfleet-cli", (
        "that of the version before may stand"
    )
    assert again.arguments == "modelfleet.dev/retry=v4@2 --overwrite --field-manager=modelfleet-cli"


def test_what_was_noted_is_read_by_verb():
    annotations = {NOTED: '{"approve=v4":"canary","approve=v4@2":"","retry=v4":"x"}'}
    assert noted(annotations, Verb.APPROVE) == {"v4", "v4@2"}
    assert noted({}, Verb.APPROVE) == set()
