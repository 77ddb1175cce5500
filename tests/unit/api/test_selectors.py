"""Label selectors select what Kubernetes would."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from modelfleet.api import LabelSelector, VersionRef

SITE = {"site": "turin", "app": "line"}


def expression(operator: str, *values: str, key: str = "site") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator} | ({"values": list(values)} if values else {})]}


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        ({}, {}, True),
        ({}, SITE, True),
        ({"matchLabels": {"site": "turin"}}, SITE, True),
        ({"matchLabels": {"site": "turin", "app": "yard"}}, SITE, False),
        ({"matchLabels": {"site": ""}}, {}, False),
        (expression("In", "turin", "milan"), SITE, True),
        (expression("In", "milan"), SITE, False),
        (expression("In", "milan"), {}, False),
        (expression("NotIn", "turin"), SITE, False),
        (expression("NotIn", "milan"), SITE, True),
        (expression("NotIn", "milan"), {}, True),
        (expression("Exists"), SITE, True),
        (expression("Exists"), {}, False),
        (expression("DoesNotExist"), SITE, False),
        (expression("DoesNotExist"), {}, True),
        ({"matchLabels": {"app": "line"}} | expression("In", "milan"), SITE, False),
        ({"matchLabels": {"app": "line"}} | expression("Exists"), SITE, True),
    ],
)
def test_selectors(selector: Mapping[str, Any], labels: Mapping[str, str], matches: bool) -> None:
    assert LabelSelector.model_validate(selector).matches(labels) is matches


@pytest.mark.parametrize("selector", [{"matchLabel": {}}, {"matchLabels": {"a": "b c"}}, expression("Equals", "a")])
def test_a_bad_selector_is_refused(selector: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LabelSelector.model_validate(selector)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"version": "v3"}, "version v3"),
        ({"tag": "latest"}, "tag latest"),
        ({"rollout": "line"}, "rollout line"),
        ({}, "nothing"),
    ],
)
def test_a_reference_says_what_it_points_at(reference: Mapping[str, str], text: str) -> None:
    assert str(VersionRef.model_validate(reference)) == text
