"""What points at things: label selectors are refused when bad, references say what they mean."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from modelfleet.api import LabelSelector, VersionRef


def expression(operator: str, *values: str, key: str = "site") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator} | ({"values": list(values)} if values else {})]}


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
