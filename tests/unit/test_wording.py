"""The first few of many, and texts of bounded length."""

import pytest

from modelfleet.wording import clauses, clip, counted, listed


def nodes(number: int) -> list[str]:
    return [f"n{index}" for index in range(1, number + 1)]


@pytest.mark.parametrize(
    ("number", "says"), [(0, ""), (1, "n1"), (5, "n1, n2, n3, n4, n5"), (7, "n1, n2, n3, n4, n5 and 2 more")]
)
def test_five_are_named_and_the_rest_counted(number: int, says: str) -> None:
    assert listed(nodes(number)) == says
    assert listed(iter(nodes(number))) == says


@pytest.mark.parametrize(("total", "says"), [(2, "n1, n2"), (40, "n1, n2 and 38 more")])
def test_the_rest_may_be_known_only_by_number(total: int, says: str) -> None:
    assert listed(nodes(2), total=total) == says


@pytest.mark.parametrize(("number", "says"), [(0, ""), (2, "n1; n2"), (3, "n1; n2; and 1 more")])
def test_clauses_are_set_apart(number: int, says: str) -> None:
    assert clauses(nodes(number), 2) == says


def test_the_rest_has_a_name() -> None:
    assert clauses(nodes(4), 2, rest="other problems") == "n1; n2; and 2 other problems"


@pytest.mark.parametrize(("text", "says"), [("", ""), ("1234", "1234"), ("12345", "123…")])
def test_a_text_that_is_too_long_is_cut(text: str, says: str) -> None:
    assert clip(text, 4) == says


@pytest.mark.parametrize(("number", "says"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes"), (12345, "12,345 nodes")])
def test_a_number_of_things(number: int, says: str) -> None:
    assert counted(number, "node") == says
