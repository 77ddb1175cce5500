"""docs/notifications.md says which topics there are, and with which reasons."""

import re
from pathlib import Path

import pytest

from modelfleet.api.reasons import catalogue
from modelfleet.api.reasons.entry import Topic

PAGE = Path(__file__).parents[3] / "docs/notifications.md"
ROWS = dict(re.findall(r"^\| `([a-z.-]+)` \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE))


@pytest.mark.parametrize("topic", Topic)
def test_a_topic_stands_there_with_its_reasons(topic):
    entries = [entry for entries in catalogue.CATALOGUE.values() for entry in entries if entry.topic is topic]
    told = set(re.findall(r"`(\w+)`", ROWS[topic]))
    assert told == {str(entry.reason) for entry in entries}


def test_no_other_topic_stands_there():
    assert {name for name in ROWS if "." in name} == set(Topic)
