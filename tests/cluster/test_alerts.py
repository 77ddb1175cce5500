"""The alerts, with promtool of the Prometheus that the test cluster runs: each fires when it should, and not nearly."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from cluster.alert_cases import CASES, Case
from harness import binaries
from modelfleet.observability.alerts import ALERTS
from modelfleet.observability.generate import RULES
from unit.observability import registries

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
BY_NAME = {alert.name: alert for alert in ALERTS}


def promtool(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [binaries.path("promtool"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def test_the_rules_are_valid_and_lint_clean() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(ROOT / RULES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("part", ["agent", "upload", "trainer", "operator"])
def test_what_is_exported_passes_the_lint_of_prometheus(part: str) -> None:
    done = promtool("check", "metrics", given=generate_latest(getattr(registries, part)()).decode())
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried_firing_and_silent() -> None:
    for name in BY_NAME:
        outcomes = {case.labels is not None for case in CASES if case.alert == name}
        assert outcomes == {True, False}, f"{name} needs a case in which it fires, and one in which it does not"


def test_firing_and_silent(tmp_path: Path) -> None:
    """All cases in one run of promtool; what it prints on a failure has the case's name. An alert is tried with the
    recordings alone, and not with all others, which would take ten times as long."""
    rules = yaml.safe_load((ROOT / RULES).read_text())
    files = []
    for name in BY_NAME:
        (tmp_path / f"{name}-rules.yaml").write_text(yaml.safe_dump(_with_one_alert(rules, name)))
        document = {
            "rule_files": [f"{name}-rules.yaml"],
            "evaluation_interval": "1m",
            "tests": [_test(case) for case in CASES if case.alert == name],
        }
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(document))
    done = promtool("test", "rules", *map(str, files))
    assert done.returncode == 0, done.stdout + done.stderr


def _with_one_alert(rules: dict[str, Any], name: str) -> dict[str, Any]:
    """The rules as they are shipped, without the other alerts."""
    groups = [
        group | {"rules": [rule for rule in group["rules"] if rule.get("alert", name) == name]}
        for group in rules["groups"]
    ]
    return rules | {"groups": groups}


def test_texts_name_only_labels_that_the_alert_has() -> None:
    """`{{ $labels.x }}` of a label that is not there is an empty word in somebody's night."""
    for case in CASES:
        if case.labels is not None:
            alert = BY_NAME[case.alert]
            named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
            assert named <= case.labels.keys(), case.alert


def _test(case: Case) -> dict[str, Any]:
    expected = [] if case.labels is None else [_alert(case, case.labels)]
    return {
        "name": f"{case.alert}: {case.about}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "alert_rule_test": [{"eval_time": f"{case.at}m", "alertname": case.alert, "exp_alerts": expected}],
    }


def _alert(case: Case, labels: dict[str, str]) -> dict[str, Any]:
    """The alert as it fires, texts included."""

    def filled(text: str) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], text)
        return re.sub(r"\{\{ \$value( \| humanizePercentage)? \}\}", case.value, text)

    alert = BY_NAME[case.alert]
    texts = {"summary": alert.summary, "description": alert.description, "runbook": alert.runbook}
    return {
        "exp_labels": {"severity": alert.severity, **labels},
        "exp_annotations": {name: filled(text) for name, text in texts.items()},
    }
