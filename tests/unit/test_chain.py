"""An ordered chain: the first answer counts, and the log says whose it was."""

import logging

import pytest

from modelfleet import chain


def nothing(number):
    return None


def even(number):
    return "even" if number % 2 == 0 else None


def small(number):
    return "small" if number < 10 else None


@pytest.mark.parametrize(("number", "says", "by"), [(2, "even", "even"), (3, "small", "small"), (12, "even", "even")])
def test_the_first_answer_counts_and_is_named_in_the_debug_log(caplog, number, says, by):
    caplog.set_level(logging.DEBUG, "modelfleet.chain")
    assert chain.first((nothing, even, small), number) == says
    assert caplog.messages == [f"settled by {__name__}.{by}"]


def test_a_chain_without_an_answer_is_a_defect():
    with pytest.raises(LookupError):
        chain.first((nothing, even, small), 11)
