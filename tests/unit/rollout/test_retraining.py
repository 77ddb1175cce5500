"""When a retraining starts, what holds it back, and that what was started is never started twice."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet.api import TrainingJob, names
from modelfleet.api.commands import Verb
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rolloutstatus import DriftStatus, Retraining
from modelfleet.rollout import retraining
from modelfleet.rollout.position import Position
from modelfleet.rollout.retraining import Outcome, Wanted
from modelfleet.rollout.snapshot import Refusal
from unit.rollout import builders, positions
from unit.rollout.builders import wire
from unit.rollout.positions import NOW

HOUR = timedelta(hours=1)
SINCE = NOW - 26 * HOUR
DRIFTING = Wanted("Drift", "confidence fell by 0.08 on 9 of 12 nodes", since=SINCE)
SPEC = {
    "model": "parts",
    "mode": "FineTune",
    "dataset": {"sources": [{"uri": "s3://data/new/"}]},
    "output": {"uri": "s3://models/"},
}


def drift(**retrain: Any) -> dict[str, Any]:
    template = {"spec": SPEC | retrain.pop("job", {}), **retrain.pop("template", {})}
    return {"drift": {"retrain": {"template": template, **retrain}}}


def standing(
    *trainings: TrainingJob,
    version: str = "v1",
    spec: dict[str, Any] | None = None,
    status: DriftStatus | None = None,
    annotations: dict[str, str] | None = None,
    versions: tuple[ModelVersion, ...] = tuple(positions.VERSIONS.values()),
    revisions: tuple[Any, ...] = (),
    refused: Refusal | None = None,
) -> Position:
    """A Rollout whose groups are all on v1, which is stable."""
    rollout = positions.rollout(
        version,
        **(drift() if spec is None else spec),
        metadata={"annotations": annotations or {}},
        status={} if status is None else {"drift": status.to_dict()},
    )
    seen = positions.snapshot(["v1"] * 3, rollout, trainings=trainings, versions=versions, refused=refused)
    return positions.locate(seen, positions.stable(), *revisions)


def look(position: Position, wanted: Wanted | None = DRIFTING, moving: str = "", now: Any = NOW) -> Outcome:
    return retraining.look(position, wanted, moving, now)


def made(outcome: Outcome, *, over: str = "", at: Any = NOW) -> TrainingJob:
    """The TrainingJob that was created, as the API server has it since."""
    assert outcome.create is not None
    raw = {**outcome.create.manifest}
    raw["metadata"] = {**raw["metadata"], "uid": "uid-" + raw["metadata"]["name"], "creationTimestamp": wire(at)}
    if over:
        raw["status"] = {"conditions": [{"type": over, "status": "True", "reason": "x"}]}
    return TrainingJob.model_validate(raw)


def entry(
    name: str = "line-r1",
    *,
    ago: timedelta = HOUR,
    trigger: str = "Drift",
    stable: str = "v1",
    result: str | None = "Failed",
) -> Retraining:
    at = NOW - ago
    return Retraining(training_job=name, trigger=trigger, stable_version=stable, cause="drift", at=at, result=result)


def test_drift_makes_a_training_job_from_the_template():
    outcome = look(standing(spec=drift(template={"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}})))
    assert outcome.create is not None
    assert outcome.create.optional
    manifest = outcome.create.manifest
    metadata = manifest["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("line-r1", "factory")
    assert metadata["labels"] == {names.MANAGED_BY: "modelfleet", names.ROLLOUT: "line", "team": "a"}
    assert metadata["annotations"] == {
        "b": "c",
        names.RETRAIN_TRIGGER: "Drift",
        names.RETRAIN_CAUSE: DRIFTING.cause,
        names.RETRAIN_STABLE: "v1",
        names.RETRAIN_SINCE: SINCE.isoformat(),
    }
    assert [owner["kind"] for owner in metadata["ownerReferences"]] == ["Rollout"]
    assert manifest["spec"]["from"] == {"version": "v1"}
    assert manifest["spec"]["dataset"]["sources"] == [{"uri": "s3://data/new/", "format": "Auto"}]
    assert outcome.retrainings == ()  # it may be refused; the next look sees whether it is there
    assert outcome.status is not None
    assert outcome.status.reason == "TrainingRunning"


@pytest.mark.parametrize(
    ("job", "start"),
    [
        ({"from": {"tag": "good"}}, {"tag": "good"}),
        ({"mode": "Scratch", "architecture": "yolo11n"}, None),
    ],
)
def test_a_start_that_the_template_names_is_kept(job: dict[str, Any], start: Any):
    outcome = look(standing(spec=drift(job=job)))
    assert outcome.create is not None
    assert outcome.create.manifest["spec"].get("from") == start


def test_nothing_is_made_without_need_or_without_a_template():
    assert look(standing(), None).create is None
    assert look(standing(spec={"drift": {}})).create is None
    assert look(standing(spec={})).create is None


@pytest.mark.parametrize("over", ["", "Complete", "Failed"])
def test_killed_right_after_the_create_it_makes_no_second_one(over: str):
    first = made(look(standing()), over=over)
    again = look(standing(first), now=NOW + timedelta(minutes=1))
    assert again.create is None
    assert [each.training_job for each in again.retrainings] == ["line-r1"]
    assert again.retrainings[0].cause == DRIFTING.cause
    assert again.retrainings[0].since == SINCE


def test_a_training_job_that_was_deleted_is_remembered_by_the_status():
    outcome = look(standing(status=DriftStatus(retrainings=(entry(),))))
    assert outcome.create is None
    assert outcome.status is not None
    assert (outcome.status.reason, outcome.status.until) == ("CoolingDown", NOW + 23 * HOUR)
    assert outcome.wake == NOW + 23 * HOUR


@pytest.mark.parametrize(
    ("ago", "again"),
    [
        pytest.param(30 * HOUR, False, id="of this episode"),
        pytest.param(100 * HOUR, True, id="of an earlier one"),
    ],
)
def test_one_that_was_deleted_before_it_ended_is_not_made_again_in_the_same_episode(ago: timedelta, again: bool):
    outcome = look(standing(status=DriftStatus(retrainings=(entry(ago=ago, result=None),))))
    assert (outcome.create is not None) is again
    assert outcome.status is not None
    if not again:
        assert outcome.status.reason == "TrainingDeleted"
        assert "modelfleet.dev/retrain=now" in outcome.status.message


def test_how_it_ended_is_remembered_when_the_job_is_gone():
    first = made(look(standing()), over="Failed")
    known = look(standing(first), now=NOW + HOUR).retrainings
    assert [each.result for each in known] == ["Failed"]
    assert [each.result for each in look(standing(status=DriftStatus(retrainings=known))).retrainings] == ["Failed"]


@pytest.mark.parametrize("lost", ["status", "job"])
def test_names_count_up_whatever_was_lost(lost: str):
    old = made(look(standing()), over="Failed", at=NOW - 30 * HOUR)
    known = DriftStatus(retrainings=(entry(ago=30 * HOUR),))
    position = standing(old) if lost == "status" else standing(status=known)
    outcome = look(position)
    assert outcome.create is not None
    assert outcome.create.manifest["metadata"]["name"] == "line-r2"


def test_names_of_versions_and_of_training_jobs_of_others_are_not_used_again():
    version = ModelVersion.model_validate(builders.model_version("line-r7"))
    stranger = TrainingJob.model_validate(
        {"metadata": {"name": "line-r9", "namespace": "factory"}, "spec": SPEC | {"from": {"version": "v1"}}}
    )
    outcome = look(standing(stranger, versions=(*positions.VERSIONS.values(), version)))
    assert outcome.create is not None
    assert outcome.create.manifest["metadata"]["name"] == "line-r10"
    assert made(outcome).metadata.name == "line-r10"


def unverified(stalled: str = "False") -> ModelVersion:
    """The version that a retraining made, whose files were not read back yet; `stalled`: can't be."""
    raw = result().model_dump(by_alias=True, mode="json", exclude_none=True)
    raw["status"]["conditions"] = [
        {"type": "Ready", "status": "False", "reason": "Verifying"},
        {"type": "Stalled", "status": stalled, "reason": "Verifying"},
    ]
    return ModelVersion.model_validate(raw)


def result(name: str = "line-r1", *, rejected: bool = False) -> ModelVersion:
    evaluation = {"evaluation": {"result": "Failed", "message": "map50"}} if rejected else {}
    return ModelVersion.model_validate(builders.model_version(name, lineage={"trainingJob": name}, **evaluation))


def retrained(number: int, ago: timedelta) -> Retraining:
    return entry(f"line-r{number}", ago=ago)


PINNED = {"dataset": {"sources": [{"uri": "s3://data/new/", "sha256": "a" * 64}]}}
LINEAGE = {"dataset": {"sources": [{"uri": "s3://data/old/", "sha256": "a" * 64, "images": 3, "labels": 4}]}}
TRAINED_ON = ModelVersion.model_validate(builders.model_version("v1", lineage=LINEAGE))

GUARDS = [
    pytest.param({"spec": drift(suspend=True)}, "Suspended", None, id="suspended"),
    pytest.param({"moving": "v2 is on its way."}, "RolloutActive", None, id="a rollout is under way"),
    pytest.param({"done": [retrained(1, HOUR)]}, "CoolingDown", NOW + 23 * HOUR, id="cooling down"),
    pytest.param(
        {"done": [retrained(1, 30 * HOUR)], "versions": (result(rejected=True),)},
        "CoolingDown",
        NOW + 18 * HOUR,
        id="twice as long after a version that was rejected",
    ),
    pytest.param(
        {
            "done": [retrained(3, 100 * HOUR), retrained(2, 101 * HOUR), retrained(1, 102 * HOUR)],
            "versions": tuple(result(f"line-r{number}", rejected=True) for number in (1, 2, 3)),
        },
        "CoolingDown",
        NOW + 68 * HOUR,
        id="a week at most",
    ),
    pytest.param(
        {"done": [retrained(n, (30 + n) * HOUR) for n in (1, 2, 3)]},
        "BudgetSpent",
        NOW + (168 - 33) * HOUR,
        id="budget of the week",
    ),
    pytest.param(
        {"done": [retrained(1, 30 * HOUR)], "versions": (result(),)}, "ResultPending", None, id="its version waits"
    ),
    pytest.param(
        {"done": [retrained(1, 30 * HOUR)], "versions": (unverified(),)},
        "TrainingRunning",
        None,
        id="its version is being verified",
    ),
    pytest.param(
        {"done": [retrained(1, 30 * HOUR)], "versions": (unverified("True"),)},
        "ResultPending",
        None,
        id="its version can't be verified",
    ),
    pytest.param(
        {"spec": drift(job=PINNED), "versions": (TRAINED_ON,)}, "NoNewData", None, id="the same data as before"
    ),
    pytest.param(
        {"refused": Refusal(NOW - timedelta(minutes=5), "spec.output: no")},
        "TemplateRejected",
        NOW + timedelta(minutes=55),
        id="refused by the API server",
    ),
]


def guarded(case: dict[str, Any], wanted: Wanted | None = DRIFTING, **more: Any) -> Outcome:
    versions = (*case.get("versions", ()), *positions.VERSIONS.values())
    seen = {version.metadata.name: version for version in reversed(versions)}
    position = standing(
        spec=case.get("spec"),
        status=DriftStatus(retrainings=tuple(case.get("done", ()))),
        versions=tuple(seen.values()),
        refused=case.get("refused"),
        **more,
    )
    return look(position, wanted, case.get("moving", ""))


@pytest.mark.parametrize(("case", "reason", "until"), GUARDS)
def test_guards(case: dict[str, Any], reason: str, until: Any):
    outcome = guarded(case)
    assert outcome.create is None
    assert outcome.status is not None
    assert (outcome.status.reason, outcome.status.until) == (reason, until)
    assert outcome.status.message.endswith(".")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"done": [retrained(1, 24 * HOUR)]}, id="cooled down"),
        pytest.param({"done": [retrained(n, (168 * (n > 2) + 30) * HOUR) for n in (1, 2, 3)]}, id="a week went by"),
        pytest.param({"spec": drift(job=PINNED, requireNewData=False), "versions": (TRAINED_ON,)}, id="allowed to"),
        pytest.param({"spec": drift(), "versions": (TRAINED_ON,)}, id="data that is not pinned may be new"),
        pytest.param({"refused": Refusal(NOW - HOUR, "no")}, id="an hour after it was refused"),
    ],
)
def test_guards_let_go(case: dict[str, Any]):
    assert guarded(case).create is not None


def test_one_training_at_a_time():
    running = made(look(standing()), at=NOW - 300 * HOUR)
    outcome = look(standing(running))
    assert outcome.create is None
    assert outcome.status is not None
    assert outcome.status.reason == "TrainingRunning"


ASKED = {Verb.RETRAIN.annotation: "now@1"}


@pytest.mark.parametrize("case", [guard.values[0] for guard in GUARDS[:-1]], ids=[guard.id for guard in GUARDS[:-1]])
def test_people_may_start_one_where_the_operator_would_wait(case: dict[str, Any]):
    outcome = guarded(case, None, annotations=ASKED)
    assert outcome.create is not None
    assert made(outcome).metadata.annotations[names.RETRAIN_TRIGGER] == "Command"


def test_a_command_acts_once():
    first = look(standing(annotations=ASKED), None)
    job = made(first, over="Complete")
    assert job.metadata.annotations[names.RETRAIN_COMMAND] == "now@1"
    assert look(standing(job, annotations=ASKED), None).create is None
    (stable, *_) = retraining.noted(standing(job, annotations=ASKED))
    assert stable.commands == {"retrain=now@1": "line-r1"}
    later = positions.locate(standing(annotations=ASKED).snapshot, stable)
    assert look(later, None).create is None  # the TrainingJob is gone, and the status with it
    assert look(standing(job, annotations={Verb.RETRAIN.annotation: "now@2"}), None).create is not None


def test_a_command_is_not_taken_down_before_its_training_job_exists():
    position = standing(annotations=ASKED)
    assert retraining.noted(position) == position.revisions


@pytest.mark.parametrize(
    ("spec", "value"),
    [(None, "v4"), ({"drift": {}}, "now@1"), ({}, "now")],
    ids=["a version", "no template", "no drift"],
)
def test_a_command_that_can_do_nothing_is_taken_down_as_such(spec: Any, value: str):
    position = standing(spec=spec, annotations={Verb.RETRAIN.annotation: value})
    assert look(position, None).create is None
    assert retraining.noted(position)[0].commands == {f"retrain={value}": ""}


NIGHTLY = drift(schedule="0 3 * * *")
SLOT = NOW.replace(hour=3, minute=0)  # 7 hours before NOW


def scheduled(now: Any, announced: Any = SLOT, spec: Any = NIGHTLY, done: tuple[Retraining, ...] = ()) -> Outcome:
    retrain = None if announced is None else {"next": wire(announced)}
    status = DriftStatus.model_validate({"retrain": retrain, "retrainings": [each.to_dict() for each in done]})
    return look(standing(spec=spec, status=status), None, now=now)


def test_the_schedule_starts_one():
    outcome = scheduled(SLOT)
    assert outcome.create is not None
    assert made(outcome).metadata.annotations[names.RETRAIN_TRIGGER] == "Schedule"
    assert outcome.status is not None
    assert outcome.status.next == SLOT + 24 * HOUR


@pytest.mark.parametrize(
    ("now", "arguments"),
    [
        pytest.param(SLOT - HOUR, {}, id="not yet"),
        pytest.param(SLOT + 6 * HOUR, {}, id="missed by too much"),
        pytest.param(SLOT + HOUR, {"announced": None}, id="a slot before the schedule was set"),
        pytest.param(SLOT + HOUR, {"announced": SLOT + 24 * HOUR}, id="seen already"),
        pytest.param(SLOT + HOUR, {"spec": drift(schedule="30 3 * * *")}, id="of another schedule"),
        pytest.param(
            SLOT + 30 * HOUR,
            {"announced": SLOT + 24 * HOUR, "done": (entry(trigger="Schedule", ago=NOW - SLOT - 25 * HOUR),)},
            id="done",
        ),
    ],
)
def test_the_schedule_starts_none(now: Any, arguments: Any):
    assert scheduled(now, **arguments).create is None


def test_a_slot_missed_by_less_is_made_up_for():
    assert scheduled(SLOT + 5 * HOUR).create is not None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("line-r3", 3),
        ("line-r03", 3),
        ("line-r", None),
        ("line-rx", None),
        ("line2-r3", None),
        ("line-r9999999999", None),
    ],
)
def test_numbers_of_names(name: str, number: int | None):
    assert retraining.number_in("line", name) == number
