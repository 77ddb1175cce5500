"""What reviewed frames of production do to a gate: which Dataset speaks, of which version, and for how long."""

from datetime import datetime
from typing import Any

import pytest

from modelfleet.api import Dataset
from modelfleet.gate import Judgement, Plan, Production, Verdict
from modelfleet.kinds import DATASET
from modelfleet.measurement.endpoints import EDGES
from modelfleet.rollout import reviewed
from unit.rollout.positions import locate, revision, rollout, snapshot, stable
from unit.rollout.simulation import installed, said

V1, V2 = stable(), revision("v2")
BUCKETS = [f"{0.3 + 0.06 * bucket:.2f}" for bucket in range(10)]
CALIBRATION = {"edges": [str(edge) for edge in EDGES], "precision": BUCKETS}
QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}
JOB = {"model": "parts", "mode": "FineTune", "output": {"uri": "s3://models/"}}


def review(version: str = "v1", **changes: Any) -> dict[str, Any]:
    """What a Dataset's status says of a version."""
    return {"version": version, "frames": 420, "calibration": CALIBRATION, **changes}


def raw(name: str = "parts", model: str = "parts", found: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": name, "namespace": "factory"},
        "spec": {
            "model": model,
            "captures": {"uri": "s3://captures/"},
            "store": {"uri": f"s3://data/{name}/"},
            "classes": ["bolt"],
            "labelling": {"files": {"uri": "s3://reviewed/"}},
        },
        "status": {} if found is None else {"review": found},
    }


def dataset(*args: Any, **given: Any) -> Dataset:
    return Dataset.model_validate(raw(*args, **given))


def retraining_on(name: str) -> dict[str, Any]:
    return {"drift": {"retrain": {"template": {"spec": JOB | {"dataset": {"from": {"dataset": name}}}}}}}


def in_canary(datasets: tuple[Dataset, ...], revisions: Any = (V1, V2), **spec: Any) -> Any:
    return locate(snapshot(("v2", "v1", "v1"), rollout("v2", **spec), datasets=datasets), *revisions)


PARTS, MORE = dataset(found=review()), dataset("more", found=review(frames=7))
OTHER = dataset("gears", model="gears", found=review())


@pytest.mark.parametrize(
    ("datasets", "spec", "speaks"),
    [
        ((), {}, None),
        ((PARTS,), {}, "parts"),
        ((OTHER,), {}, None),
        ((OTHER, PARTS), {}, "parts"),
        ((MORE, PARTS), {}, None),  # which one?
        ((MORE, PARTS), retraining_on("more"), "more"),
        ((MORE, PARTS), retraining_on("none"), None),
        ((OTHER, PARTS), retraining_on("gears"), "parts"),  # what it trains on is of another model
    ],
)
def test_the_dataset_is_the_one_that_the_template_names_or_the_only_one_of_the_model(datasets, spec, speaks):
    found = reviewed.dataset(in_canary(datasets, **spec), "parts")
    assert (None if found is None else found.metadata.name) == speaks


TEN_OTHERS = {"edges": ["0.1", *CALIBRATION["edges"][1:]], "precision": BUCKETS}


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (review(), True),
        (review("v2"), True),
        (review("v3"), False),
        (review(calibration=None), False),
        (review(calibration=TEN_OTHERS), False),
        (review(calibration=CALIBRATION | {"precision": BUCKETS[1:]}), False),
        (None, False),
    ],
)
def test_a_gate_goes_by_a_review_of_either_of_its_versions_in_the_buckets_of_the_metrics(found, kept):
    calibration = reviewed.production(in_canary((dataset(found=found),)))
    assert (calibration is not None) is kept
    if calibration is not None:
        wanted = {"dataset": "parts", "version": found["version"], "frames": 420, "precision": BUCKETS}
        assert calibration.to_dict() == wanted


def test_without_a_stable_version_there_is_nothing_to_go_by():
    assert reviewed.production(in_canary((PARTS,), revisions=(V2,))) is None


class Judges:
    """A gate that says what it is told to, and remembers what it was asked about."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.plans: list[Plan] = []

    def __call__(self, plan: Plan, now: datetime) -> Judgement:
        self.plans.append(plan)
        return said(plan, now, self.verdict)


def test_a_gate_goes_to_its_end_by_what_was_known_at_its_start():
    world = installed(gate=QUICK)
    judges = world.judge = Judges(Verdict.INCONCLUSIVE)
    world.put(raw(found=review()))
    world.choose("v2")
    world.rest()
    at_start = Production("parts", "v1", 420, tuple(map(float, BUCKETS)))
    assert {(plan.group, plan.production) for plan in judges.plans} == {("canary", at_start)}
    world.edit(DATASET, "parts", lambda obj: obj["status"].update(review=review(frames=900)))
    looks = len(judges.plans)
    world.rest()
    assert len(judges.plans) > looks
    assert {plan.production for plan in judges.plans} == {at_start}
    assert world.status["gate"]["production"]["frames"] == 420
    judges.verdict = Verdict.PASS
    world.run(lambda: judges.plans[-1].group == "fleet")
    assert judges.plans[-1].production is not None
    assert judges.plans[-1].production.frames == 900


def test_a_review_that_comes_while_a_gate_runs_waits_for_the_next_gate():
    world = installed(gate=QUICK)
    judges = world.judge = Judges(Verdict.INCONCLUSIVE)
    world.choose("v2")
    world.run(lambda: bool(judges.plans))
    world.put(raw(found=review()))
    world.rest()
    assert {plan.production for plan in judges.plans} == {None}
