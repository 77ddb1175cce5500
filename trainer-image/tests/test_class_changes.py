"""How a class list follows from the parent's: by name, whatever the order, and reported within bounds."""

from __future__ import annotations

import pytest

from trainer.weights import ClassChanges, class_changes


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (("bolt", "nut"), ("bolt", "nut"), ClassChanges(2, (), ())),
        (("bolt", "nut"), ("nut", "bolt"), ClassChanges(2, (), ())),
        (("bolt", "nut"), ("nut", "washer", "pin"), ClassChanges(1, ("washer", "pin"), ("bolt",))),
        (("bolt",), ("Bolt",), ClassChanges(0, ("Bolt",), ("bolt",))),
        ((), ("bolt",), ClassChanges(0, ("bolt",), ())),
    ],
)
def test_classes_are_matched_by_name(before: tuple[str, ...], after: tuple[str, ...], changes: ClassChanges) -> None:
    assert class_changes(before, after) == changes


def test_a_report_names_a_hundred_of_each() -> None:
    told = class_changes([f"old{number}" for number in range(150)], [f"new{number}" for number in range(120)]).to_json()
    assert (told["kept"], len(told["added"]), len(told["dropped"])) == (0, 100, 100)
