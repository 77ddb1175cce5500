"""The page of an alert that has a reason as a label has a row for each reason that it can fire with."""

import re

import pytest

from modelfleet.api.reasons import ConditionType, Reason
from modelfleet.api.reasons.catalogue import CATALOGUE
from modelfleet.observability.alerts import ALERTS

STALLS = {entry.reason for entry in CATALOGUE["Rollout"] if ConditionType.STALLED in entry.where}
QUARANTINES = {Reason.GATE_FAILED, Reason.GATE_TIMED_OUT, Reason.NO_DATA, Reason.PROGRESS_DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    ("alert", "label", "reasons"),
    [("ModelfleetRolloutStuck", "reason", STALLS), ("ModelfleetRolledBack", "cause", QUARANTINES)],
)
def test_each_reason_that_the_alert_can_name_is_on_its_page(alert: str, label: str, reasons: set[Reason]) -> None:
    [found] = [each for each in ALERTS if each.name == alert]
    silent = {Reason(each) for each in re.findall(rf'{label}!="(\w+)"', found.expr)}
    assert reasons - silent <= set(found.reasons)
