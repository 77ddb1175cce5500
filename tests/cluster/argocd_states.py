"""What Argo CD is to show of our objects, state by state; and the files for upstream, recorded from real objects.

A recording holds an object as the API server had it, and what is expected of it as this table says, not as the scripts
do. Messages are the condition's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.paths import REPOSITORY

Json = dict[str, Any]

CUSTOMIZATIONS = REPOSITORY / "gitops/argocd/resource_customizations/modelfleet.dev"

NEWEST_SPEC = "Waiting for the modelfleet operator to see the newest spec"

MENU = {
    "approve": ("Approve", "fa fa-fw fa-check"),
    "promote": ("Promote (skip all gates and approvals)", "fa fa-fw fa-fast-forward"),
    "abort": ("Abort (back to the stable version)", "fa fa-fw fa-times-circle"),
    "retry": ("Retry the version that failed", "fa fa-fw fa-redo"),
    "pause": ("Pause", "fa fa-fw fa-pause-circle"),
    "resume": ("Resume", "fa fa-fw fa-play-circle"),
    "retrain": ("Train a new version now", "fa fa-fw fa-graduation-cap"),
}
"""Each action's name and icon, as people see them."""


def condition(object: Json, type: str) -> Json:
    """A condition; empty where it is not there."""
    found = object.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == type), {})


def seen(object: Json) -> bool:
    """Whether the operator has seen the newest spec."""
    observed: bool = object.get("status", {}).get("observedGeneration") == object["metadata"]["generation"]
    return observed


def pending(object: Json) -> bool:
    """As the API server makes it."""
    return "observedGeneration" not in object.get("status", {})


def behind(object: Json) -> bool:
    """The status speaks of an older spec, by which all was well."""
    return not pending(object) and not seen(object) and condition(object, "Ready").get("reason") == "Promoted"


def because(reason: str, name: str = "", **also: Any) -> Callable[[Json], bool]:
    """Ready has this reason; `also`: fields of the status."""

    def is_so(object: Json) -> bool:
        return bool(
            seen(object)
            and condition(object, "Ready").get("reason") == reason
            and name in ("", object["metadata"]["name"])
            and all(object["status"].get(field) == value for field, value in also.items())
        )

    return is_so


@dataclass(frozen=True)
class State:
    """`when`: an object is in it. `enabled`: the actions that can be chosen; `runs`: those that are recorded, each with
    what it writes."""

    name: str
    when: Callable[[Json], bool]
    health: str
    enabled: frozenset[str] = frozenset()
    runs: Mapping[str, Callable[[Json], Json]] = field(default_factory=dict)

    def message(self, object: Json) -> str:
        """What Argo CD shows beside the health."""
        return NEWEST_SPEC if behind(object) else str(condition(object, "Ready")["message"])


def annotated(verb: str, value: Callable[[Json], str]) -> Callable[[Json], Json]:
    """An annotation of modelfleet.dev with a value that follows from the object."""
    return lambda object: {"metadata": {"annotations": {f"modelfleet.dev/{verb}": value(object)}}}


def paused(value: bool) -> Callable[[Json], Json]:
    """The field spec.paused."""
    return lambda object: {"spec": {"paused": value}}


def _candidate(object: Json) -> str:
    return str(object["status"]["candidateVersion"])


def _since(object: Json) -> str:
    status = object["status"]
    return str(next(group["startedAt"] for group in status["groups"] if group["name"] == status["currentGroup"]))


def _written(object: Json) -> str:
    return str(object["metadata"]["resourceVersion"])


APPROVE = annotated("approve", lambda object: f"{_candidate(object)}@{_since(object)}")
PROMOTE = annotated("promote", lambda object: f"{_candidate(object)}@{_written(object)}")
ABORT = annotated("abort", lambda object: f"{_candidate(object)}@{_written(object)}")
RETRY = annotated("retry", lambda object: f"{object['spec']['model']['version']}@{_written(object)}")
RETRAIN = annotated("retrain", lambda object: "now")

_MOVING = frozenset({"promote", "abort", "pause"})

ROLLOUT = (
    State("pending", pending, "Progressing", frozenset({"pause"})),
    State(
        "spec-not-seen",
        lambda object: behind(object) and not object["spec"]["paused"],
        "Progressing",
        frozenset({"pause"}),
    ),
    State("version-not-found", because("ModelVersionNotFound"), "Degraded", frozenset({"pause"})),
    State("replaying", because("Replaying"), "Progressing", _MOVING),
    State("updating", because("Progressing", currentGroup="canary"), "Progressing", _MOVING),
    State("soaking", because("Soaking"), "Progressing", _MOVING, {"promote": PROMOTE, "abort": ABORT}),
    State(
        "waiting-for-approval",
        because("WaitingForApproval", "line", stableVersion="v1"),
        "Suspended",
        _MOVING | {"approve"},
        {"approve": APPROVE},
    ),
    State("ready", because("Promoted"), "Healthy", frozenset({"pause"}), {"pause": paused(True)}),
    State(
        "paused",
        because("Paused"),
        "Suspended",
        frozenset({"promote", "abort", "resume"}),
        {"resume": paused(False)},
    ),
    State("rolling-back", because("RollingBack"), "Progressing", frozenset({"pause", "retry"})),
    State("rolled-back", because("RolledBack"), "Degraded", frozenset({"pause", "retry"}), {"retry": RETRY}),
    State("holding", because("ProviderDown"), "Progressing", _MOVING),
    State("gate-timed-out", because("GateTimedOut"), "Degraded", _MOVING),
    State("waiting-for-window", because("WaitingForWindow"), "Progressing", _MOVING),
    State("nodes-not-ready", because("NodesNotReady"), "Degraded", frozenset({"pause"})),
    State("cluster-refuses", because("ClusterRefuses"), "Degraded", _MOVING),
    State("install-failed", because("InstallFailed", "fresh"), "Degraded", frozenset({"pause", "retry"})),
    State(
        "left-where-it-failed",
        because("ProgressDeadlineExceeded", "line", phase="Failed"),
        "Degraded",
        frozenset({"abort", "pause", "retry"}),
    ),
    State(
        "no-retraining-yet",
        lambda o: because("Promoted")(o) and "retrain" in o["spec"].get("drift", {}) and not _trainings(o),
        "Healthy",
        frozenset({"pause", "retrain"}),
        {"retrain": RETRAIN},
    ),
    State(
        "retraining",
        lambda o: _waits(o) == "TrainingRunning",
        "Healthy",
        frozenset({"pause"}),
    ),
)


def _trainings(object: Json) -> list[Json]:
    found: list[Json] = object["status"].get("drift", {}).get("retrainings", [])
    return found


def _waits(object: Json) -> str | None:
    found: str | None = object["status"].get("drift", {}).get("retrain", {}).get("reason")
    return found


TRAINING_JOB = (
    State("pending", pending, "Progressing"),
    State("parent-not-found", because("ParentNotFound"), "Degraded"),
    State("starting", because("Starting"), "Progressing"),
    State("training", lambda o: because("Training")(o) and "progress" in o["status"], "Progressing"),
    State("pod-refused", because("NoPods"), "Progressing"),
    State("evaluating", because("Evaluating"), "Progressing"),
    State("queued", because("Queued"), "Progressing"),
    State("suspended", because("Suspended"), "Suspended"),
    State("retrying", because("Retrying"), "Progressing"),
    State("failed", because("TrainingFailed"), "Degraded"),
    State("evaluation-failed", because("EvaluationFailed"), "Degraded"),
    State("complete", because("Complete"), "Healthy"),
)

MODEL_VERSION = (
    State("pending", pending, "Progressing"),
    State("being-verified", because("ArtifactUnverified"), "Progressing"),
    State("source-unreachable", because("SourceUnreachable"), "Progressing"),
    State("digest-mismatch", because("DigestMismatch"), "Degraded"),
    State("available", because("Available"), "Healthy"),
    State("rejected", because("Rejected"), "Degraded"),
)

DATASET = (
    State("pending", pending, "Progressing"),
    State("syncing", because("Syncing"), "Progressing"),
    State("label-studio-refused", because("LabelStudioRefused"), "Degraded"),
    State("label-studio-unreachable", because("LabelStudioUnreachable"), "Progressing"),
    State("synced", because("Synced"), "Healthy"),
    State("suspended", lambda o: because("Suspended")(o) and "lastSync" not in o["status"], "Suspended"),
    State("suspended-after-a-sync", lambda o: because("Suspended")(o) and "lastSync" in o["status"], "Healthy"),
)

STATES = {"Rollout": ROLLOUT, "TrainingJob": TRAINING_JOB, "ModelVersion": MODEL_VERSION, "Dataset": DATASET}


class Album:
    """The first object that was seen in each state, by the state's name. Objects come from a watch."""

    def __init__(self, states: Iterable[State], namespace: str) -> None:
        """Of these states, in this namespace."""
        self._states = tuple(states)
        self._namespace = namespace
        self.found: dict[str, Json] = {}

    def __call__(self, event: str, object: Json) -> None:
        """What the watch tells."""
        if event == "DELETED" or object["metadata"]["namespace"] != self._namespace:
            return
        for state in self._states:
            if state.name not in self.found and state.when(object):
                self.found[state.name] = object

    @property
    def missing(self) -> set[str]:
        """The states that no object was in."""
        return {state.name for state in self._states} - self.found.keys()

    def __iter__(self) -> Iterator[tuple[State, Json]]:
        """Each state with its object, in the order of the states."""
        for state in self._states:
            yield state, self.found[state.name]


def expected(object: Json, written: Json) -> Json:
    """The object with what an action writes."""
    made = dict(object)
    for part, fields in written.items():
        made[part] = dict(object.get(part, {}))
        for name, value in fields.items():
            made[part][name] = {**made[part].get(name, {}), **value} if isinstance(value, Mapping) else value
    return made


def menu(object: Json, enabled: frozenset[str]) -> list[Json]:
    """The actions of a Rollout as Argo CD lists them."""
    shown = [name for name in MENU if name != "retrain" or "retrain" in object["spec"].get("drift", {})]
    return [
        {"name": name, "displayName": MENU[name][0], "iconClass": MENU[name][1], "disabled": name not in enabled}
        for name in shown
    ]


def record(kind: str, album: Album) -> None:
    """Write health_test.yaml, action_test.yaml and their testdata, in the form that Argo CD's own tests read."""
    folder = CUSTOMIZATIONS / kind
    for old in (*folder.glob("testdata/*.yaml"), *folder.glob("actions/testdata/*.yaml")):
        old.unlink()
    tests, discovered, ran = [], [], []
    for state, object in album:
        _write(folder / "testdata" / f"{state.name}.yaml", object)
        health = {"status": state.health, "message": state.message(object)}
        tests.append({"healthStatus": health, "inputPath": f"testdata/{state.name}.yaml"})
        path = f"../testdata/{state.name}.yaml"
        discovered.append({"inputPath": path, "result": menu(object, state.enabled) if kind == "Rollout" else []})
        for action, written in state.runs.items():
            output = f"testdata/{state.name}-{action}.yaml"
            _write(folder / "actions" / output, expected(object, written(object)))
            ran.append({"action": action, "inputPath": path, "expectedOutputPath": output})
    _write(folder / "health_test.yaml", {"tests": tests})
    if kind == "Rollout":
        _write(folder / "actions/action_test.yaml", {"discoveryTests": discovered, "actionTests": ran})


def _write(path: Path, content: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True))
