"""Which receiver wants what."""

from dataclasses import replace

import pytest

from modelfleet.notifications.endpoint import Endpoint
from modelfleet.notifications.selection import wanted_by, wants
from unit.notifications.samples import PROMOTED, ROLLED_BACK


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        ({}, (True, True)),
        ({"severity": "Warning"}, (False, True)),
        ({"topics": ("rollout.promoted",)}, (True, False)),
        ({"topics": ("training.failed",)}, (False, False)),
        ({"kinds": ("Rollout", "Dataset")}, (True, True)),
        ({"kinds": ("Dataset",)}, (False, False)),
        ({"namespaces": ("factory",)}, (True, True)),
        ({"namespaces": ("other", "fact*")}, (True, True)),
        ({"namespaces": ("Factory", "fact")}, (False, False)),
        ({"labels": {"team": "vision"}}, (True, True)),
        ({"labels": {"team": "vision", "line": "a"}}, (False, False)),
        ({"labels": {"team": "sales"}}, (False, False)),
        ({"topics": ("rollout.promoted",), "namespaces": ("other",)}, (False, False)),
    ],
)
def test_all_that_is_narrowed_down_must_let_it_pass(only, wanted):
    endpoint = Endpoint(url="http://a", **only)
    assert (wants(endpoint, PROMOTED), wants(endpoint, ROLLED_BACK)) == wanted


def test_a_label_that_is_not_there_is_not_an_empty_one():
    assert not wants(Endpoint(url="http://a", labels={"team": ""}), replace(PROMOTED, labels={}))


def test_those_who_want_it_are_named():
    endpoints = {"all": Endpoint(url="http://a"), "bad": Endpoint(url="http://b", severity="Warning")}
    assert wanted_by(PROMOTED, endpoints) == ("all",)
    assert wanted_by(ROLLED_BACK, endpoints) == ("all", "bad")
