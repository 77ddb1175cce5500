"""Quoting: a label's value never ends its string."""

from datetime import timedelta

import pytest

from modelfleet.prometheus.promql import duration, equals, escape, one_of


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("plain", "plain"), ('a"b', r"a\"b"), ("a\\", "a\\\\"), ("a\nb", r"a\nb"), ("it's", r"it\'s"), ("`", r"\x60")],
)
def test_escape(value, quoted):
    assert escape(value) == quoted


def test_matchers():
    assert equals("a", "x-1") == 'a="x-1"'
    assert one_of("a", ["x-1", "y"]) == 'a=~"x-1|y"'
    assert one_of("a", ["x.y", "(|)"]) == r'a=~"x\\.y|\\(\\|\\)"'


@pytest.mark.parametrize(("seconds", "text"), [(60, "60000ms"), (0.5, "500ms"), (0, "1ms"), (1.2345, "1234ms")])
def test_durations_are_whole_milliseconds(seconds, text):
    assert duration(timedelta(seconds=seconds)) == text
