"""Argo CD's own engine with our scripts, on recorded objects of every state (test_argocd_live.py records them)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.argocd_states import CUSTOMIZATIONS, MENU, STATES
from harness.paths import REPOSITORY
from modelfleet.api.trainingjob import TrainingPhase
from worlds.argocd import Engine, Refused

Json = dict[str, Any]


def read(path: Path) -> Json:
    found: Json = yaml.safe_load(path.read_text())
    return found


def cases(file: str, section: str) -> list[Any]:
    """The cases of all kinds: the folder that their paths start from, and the case."""
    return [
        pytest.param(path.parent, case, id=f"{path.parent.relative_to(CUSTOMIZATIONS)}/{Path(case['inputPath']).stem}")
        for path in sorted(CUSTOMIZATIONS.glob(file))
        for case in read(path)[section]
    ]


@pytest.mark.parametrize(("folder", "case"), cases("*/health_test.yaml", "tests"))
def test_health_of_a_recorded_object(argocd: Engine, folder: Path, case: Json) -> None:
    expected = case["healthStatus"]
    assert argocd.health(read(folder / case["inputPath"])) == (expected["status"], expected["message"])


@pytest.mark.parametrize(("folder", "case"), cases("*/actions/action_test.yaml", "discoveryTests"))
def test_menu_of_a_recorded_object(argocd: Engine, folder: Path, case: Json) -> None:
    assert listed(argocd.actions(read(folder / case["inputPath"]))) == listed(
        {each["name"]: each for each in case["result"]}
    )


def listed(actions: dict[str, Json]) -> dict[str, Json]:
    """Argo CD leaves out what is false or empty."""
    return {name: {key: value for key, value in each.items() if value} for name, each in actions.items()}


@pytest.mark.parametrize(("folder", "case"), cases("*/actions/action_test.yaml", "actionTests"))
def test_what_an_action_makes_of_a_recorded_object(argocd: Engine, folder: Path, case: Json) -> None:
    before = read(folder / case["inputPath"])
    made = argocd.run(before, case["action"])
    assert made.object == read(folder / case["expectedOutputPath"])
    assert made.patch


@pytest.mark.parametrize("kind", STATES)
def test_every_state_is_recorded_and_nothing_else(kind: str) -> None:
    folder = CUSTOMIZATIONS / kind
    recorded = {path.stem: read(path) for path in folder.glob("testdata/*.yaml")}
    assert recorded.keys() == {state.name for state in STATES[kind]}
    assert all(state.when(recorded[state.name]) for state in STATES[kind])
    expected = {
        case["inputPath"]: case["healthStatus"]["status"] for case in read(folder / "health_test.yaml")["tests"]
    }
    assert expected == {f"testdata/{state.name}.yaml": state.health for state in STATES[kind]}


def test_every_phase_is_recorded() -> None:
    """Those of a TrainingJob are an enumeration, those of a Rollout the first words of its steps."""
    code = "".join(path.read_text() for path in sorted((REPOSITORY / "operator/modelfleet/rollout").glob("*.py")))
    steps = set(re.findall(r"\bStep\(\s*\"([A-Za-z]+)\"", code))
    assert len(steps) > 8, "the steps are found"
    for kind, phases in (("Rollout", steps), ("TrainingJob", {phase.value for phase in TrainingPhase})):
        recorded = {
            read(path).get("status", {}).get("phase") for path in (CUSTOMIZATIONS / kind).glob("testdata/*.yaml")
        }
        assert recorded >= phases, f"{kind}: {phases - recorded}"


def test_every_action_is_recorded() -> None:
    actions = CUSTOMIZATIONS / "Rollout/actions"
    assert {path.parent.name for path in actions.glob("*/action.lua")} == MENU.keys()
    assert {case["action"] for case in read(actions / "action_test.yaml")["actionTests"]} == MENU.keys()


@pytest.mark.parametrize(
    ("kind", "said"), [("Loop", "context deadline exceeded"), ("Strings", "attempt to index a non-table object")]
)
def test_scripts_run_in_the_sandbox_of_argo_cd(argocd: Engine, kind: str, said: str) -> None:
    """What ours must do without: more than a second, and the string library."""
    with pytest.raises(Refused, match=said):
        argocd.health({"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "x"}})


@pytest.mark.parametrize(
    ("action", "state", "said"),
    [
        ("approve", "soaking", "no version waits for approval"),
        ("promote", "ready", "no version is on its way"),
        ("abort", "rolling-back", "no version is on its way"),
        ("retry", "ready", "no version is quarantined"),
        ("retrain", "ready", "spec.drift.retrain, which says how to train, is missing"),
    ],
)
def test_an_action_that_is_not_enabled_writes_nothing(argocd: Engine, action: str, state: str, said: str) -> None:
    """Argo CD's API runs those, too."""
    with pytest.raises(Refused, match=f"{said}$"):
        argocd.run(read(CUSTOMIZATIONS / f"Rollout/testdata/{state}.yaml"), action)


FAILED: Json = {"version": "v2", "model": "parts", "reason": "GateFailed: worse", "at": "2026-11-28T00:00:00Z"}


@pytest.mark.parametrize(
    ("entry", "enabled"),
    [
        ({"model": "bolts"}, {"approve", "promote", "abort", "pause"}),
        ({"revision": "line-0000000000"}, {"approve", "promote", "abort", "pause"}),
        ({}, {"abort", "pause", "retry"}),
    ],
    ids=["a version of this name of another model", "the same version with another template", "the version itself"],
)
def test_a_version_is_held_up_by_its_own_failure_alone(argocd: Engine, entry: Json, enabled: set[str]) -> None:
    waiting = read(CUSTOMIZATIONS / "Rollout/testdata/waiting-for-approval.yaml")
    assert waiting["status"]["candidateVersion"] == FAILED["version"]
    waiting["status"]["quarantined"] = [FAILED | entry]
    assert argocd.enabled(waiting) == enabled


def test_retry_is_for_the_newest_failure_of_the_specs_own_model(argocd: Engine) -> None:
    failed = read(CUSTOMIZATIONS / "Rollout/testdata/rolled-back.yaml")
    failed["spec"]["model"] = {"name": "parts", "tag": "latest"}
    failed["status"]["quarantined"] = [FAILED | {"model": "bolts", "version": "v9"}, FAILED]
    assert "retry" in argocd.enabled(failed)
    written = argocd.run(failed, "retry").object["metadata"]["annotations"]["modelfleet.dev/retry"]
    assert written.partition("@")[0] == "v2"
