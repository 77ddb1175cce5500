"""The settings of capture: what a file may hold, what is said of a wrong one, and how a change is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.capture.settings import ImageSettings, Rule, Sample, SettingsInvalid, parse
from agent.capture.settings_file import SettingsFile

GIVEN: dict[str, Any] = {
    "destination": "s3://captures/line/",
    "disk": "2Gi",
    "keepFree": "10%",
    "rate": "2Mi",
    "rules": [
        {"name": "broad", "every": "10m"},
        {
            "name": "unsure",
            "below": "0.5",
            "classes": ["bolt"],
            "before": "2s",
            "after": "2s",
            "cooldown": "60s",
            "perHour": 30,
        },
        {"name": "nothing", "empty": True, "cooldown": "10m"},
        {"name": "many", "more": 20},
    ],
    "sample": {"perHour": 6, "emptyPerHour": 2},
    "image": {"quality": 90, "maxSide": 1920, "mask": [[[0, 0], [0.5, 0], ["0.5", "0.5"]]]},
    "suspend": False,
}


def problems(change: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        parse(json.dumps(GIVEN | change))
    return caught.value.problems


def test_everything_given() -> None:
    settings = parse(json.dumps(GIVEN))
    assert settings.destination == "s3://captures/line/"
    assert (settings.disk, settings.rate, settings.suspend) == (2 << 30, 2 << 20, False)
    assert settings.keep_free(1000) == 100
    assert settings.rules == (
        Rule("broad", every=600, cooldown=0, per_hour=3600),
        Rule("unsure", below=0.5, classes=frozenset({"bolt"}), cooldown=60, per_hour=30, before=2, after=2),
        Rule("nothing", empty=True, cooldown=600),
        Rule("many", more=20),
    )
    assert settings.sample == Sample(6, 2)
    assert settings.image == ImageSettings(90, 1920, (((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)),))
    assert settings.reasons == ("sample", "broad", "unsure", "nothing", "many")


def test_defaults() -> None:
    settings = parse('{"destination": "s3://captures/line/"}')
    assert (settings.disk, settings.rate, settings.rules, settings.sample) == (2 << 30, None, (), None)
    assert settings.keep_free(1000) == 100
    assert settings.image == ImageSettings(90, 1920, ())
    assert parse(json.dumps(GIVEN | {"sample": {}})).sample == Sample(6, 2)
    assert parse(json.dumps(GIVEN | {"keepFree": "5Gi"})).keep_free(1000) == 5 << 30


def test_a_trigger_may_be_zero() -> None:
    rules = [{"name": "any", "more": 0}, {"name": "none", "below": 0}]
    assert [(rule.more, rule.below) for rule in parse(json.dumps(GIVEN | {"rules": rules})).rules] == [
        (0, None),
        (None, 0),
    ]


def test_what_a_newer_operator_may_add_is_ignored() -> None:
    assert parse(json.dumps(GIVEN | {"window": {"from": "6:00"}})) == parse(json.dumps(GIVEN))


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"destination": ""}, "destination", "must be text"),
        ({"destination": None}, "destination", "is missing"),
        ({"disk": "2 GB"}, "disk", "quantity such as"),
        ({"disk": 1000}, "disk", "must be from"),
        ({"keepFree": "110%"}, "keepFree", "a percentage such as 10% or a quantity"),
        ({"rate": "fast"}, "rate", "quantity such as"),
        ({"rate": 0}, "rate", "must be from 1"),
        ({"rules": {}}, "rules", "must be a list"),
        ({"rules": [3]}, "rules[0]", "must be an object"),
        ({"rules": [{"name": "a", "more": 1}] * 2}, "rules", "more than once: a"),
        ({"rules": [{"name": f"r{n}", "more": 1} for n in range(21)]}, "rules", "at most 20"),
        ({"rules": [{"every": "1m"}]}, "rules[0].name", "is missing"),
        ({"rules": [{"name": "Un sure", "every": "1m"}]}, "rules[0].name", "lower-case"),
        ({"rules": [{"name": "sample", "every": "1m"}]}, "rules[0].name", "reserved"),
        ({"rules": [{"name": "disagree", "every": "1m"}]}, "rules[0].name", "reserved"),
        ({"rules": [{"name": "a"}]}, "rules[0]", "has none of every, below, empty, more"),
        ({"rules": [{"name": "a", "empty": False}]}, "rules[0]", "has none of"),
        ({"rules": [{"name": "a", "more": 3, "empty": True}]}, "rules[0]", "has empty and more of"),
        ({"rules": [{"name": "a", "every": "10"}]}, "rules[0].every", "duration such as"),
        ({"rules": [{"name": "a", "every": "10ms"}]}, "rules[0].every", "must be from 1"),
        ({"rules": [{"name": "a", "below": "1.5"}]}, "rules[0].below", "must be from 0 to 1"),
        ({"rules": [{"name": "a", "below": "half"}]}, "rules[0].below", "decimal such as"),
        ({"rules": [{"name": "a", "more": "20"}]}, "rules[0].more", "whole number"),
        ({"rules": [{"name": "a", "more": True}]}, "rules[0].more", "whole number"),
        ({"rules": [{"name": "a", "more": 1, "classes": ["bolt"]}]}, "rules[0].classes", "`below` only"),
        ({"rules": [{"name": "a", "below": "0.5", "classes": "bolt"}]}, "rules[0].classes", "list of class names"),
        ({"rules": [{"name": "a", "more": 1, "before": "31s"}]}, "rules[0].before", "must be from 0 to 30"),
        ({"rules": [{"name": "a", "more": 1, "perHour": 0}]}, "rules[0].perHour", "must be from 1"),
        ({"sample": 6}, "sample", "must be an object"),
        ({"sample": {"perHour": -1}}, "sample.perHour", "must be from 0"),
        ({"image": {"quality": 0}}, "image.quality", "must be from 1 to 100"),
        ({"image": {"maxSide": 10}}, "image.maxSide", "must be from 32"),
        ({"image": {"mask": [[[0, 0], [1, 1]]]}}, "image.mask", "at least three points"),
        ({"image": {"mask": [[[0, 0], [1, 1], [2, 0]]]}}, "image.mask", "from 0 to 1"),
        ({"image": {"mask": [[0, 0], [1, 1], [0, 1]]}}, "image.mask", "list of polygons"),
        ({"suspend": "yes"}, "suspend", "true or false"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], path: str, words: str) -> None:
    (problem,) = problems(change)
    assert problem.startswith(f"{path} ")
    assert words in problem


def test_all_wrong_values_are_named_at_once() -> None:
    found = problems({"disk": "much", "image": {"quality": 0}, "rules": [{"name": "a", "more": -1}]})
    assert [problem.split()[0] for problem in found] == ["disk", "rules[0].more", "image.quality"]


@pytest.mark.parametrize("text", ["", "[]", "{", '"s3://captures"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(SettingsInvalid):
        parse(text)


def test_a_change_is_read_and_a_bad_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, heard = tmp_path / "capture.json", []
    file = SettingsFile(path, heard.append)
    assert file.read() is None
    path.write_text(json.dumps(GIVEN))
    first = file.read()
    assert first is not None
    assert file.read() is first
    path.write_text(json.dumps(GIVEN | {"rate": "a lot"}))
    assert file.read() is first
    assert file.read() is first
    assert heard == [False, False, True]
    assert "rate is" in caplog.text
    assert "the last good settings stay in force" in caplog.text
    path.write_text(json.dumps(GIVEN | {"suspend": True}))
    assert file.read() == parse(json.dumps(GIVEN | {"suspend": True}))
    path.unlink()
    assert file.read() is None
    assert heard == [False, False, True, False, False]


def test_the_kubelets_swap_of_a_symlink_is_a_change(tmp_path: Path) -> None:
    """A ConfigMap's file is a link to `..data/capture.json`, and `..data` a link that is replaced."""
    for number, rate in enumerate(("1Mi", "2Mi")):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "capture.json").write_text(json.dumps(GIVEN | {"rate": rate}))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "capture.json").symlink_to("..data/capture.json")
    file = SettingsFile(tmp_path / "capture.json", lambda _: None)
    before = file.read()
    (tmp_path / "..data_tmp").symlink_to("..1")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    after = file.read()
    assert before is not None
    assert after is not None
    assert (before.rate, after.rate) == (1 << 20, 2 << 20)


def test_settings_nested_without_end_are_refused() -> None:
    with pytest.raises(SettingsInvalid, match="not valid JSON"):
        parse("[" * 5000)
