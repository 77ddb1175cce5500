"""When a retraining starts, what holds it back, and that what was started is never started twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelfleet.api import Dataset, TrainingJob, names
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
    datasets: tuple[Dataset, ...] = (),
) -> Position:
    """A Rollout whose groups are all on v1, which is stable."""
    rollout = positions.rollout(
        version,
        **(drift() if spec is None else spec),
        metadata={"annotations": annotations or {}},
        status={} if status is None else {"drift": status.to_dict()},
    )
    seen = positions.snapshot(
        ["v1"] * 3, rollout, trainings=trainings, versions=versions, refused=refused, datasets=datasets
    )
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


def noted(**notes: str) -> Any:
    """The stable revision, with what it says of trainings."""
    return replace(positions.stable(), retrained={name.replace("_", "-"): note for name, note in notes.items()})


def test_what_was_started_is_noted_on_the_stable_revision_the_newest_ten():
    first = made(look(standing()), at=NOW - HOUR)
    (stable, *_) = retraining.noted(standing(first))
    assert stable.retrained == {"line-r1": f"Drift {wire(NOW - HOUR)}"}
    again = positions.locate(standing(first).snapshot, stable)
    assert retraining.noted(again) == again.revisions
    old = {f"line_r{number}": f"Drift {wire(NOW - number * HOUR)}" for number in range(2, 12)}
    (full, *_) = retraining.noted(positions.locate(standing(first).snapshot, noted(**old)))
    assert [*full.retrained] == [f"line-r{number}" for number in range(10, 0, -1)]


def test_of_another_version_nothing_is_noted():
    older = made(look(standing()))
    older = older.replace(
        metadata=older.metadata.replace(annotations={**older.metadata.annotations, names.RETRAIN_STABLE: "v0"})
    )
    position = standing(older)
    assert retraining.noted(position) == position.revisions


def test_with_job_and_status_gone_the_revision_remembers():
    position = positions.locate(standing().snapshot, noted(line_r1=f"Drift {wire(NOW - 30 * HOUR)}"))
    outcome = look(position)
    assert outcome.create is None
    assert outcome.status is not None
    assert outcome.status.reason == "TrainingDeleted"
    assert [(each.training_job, each.trigger, each.stable_version) for each in outcome.retrainings] == [
        ("line-r1", "Drift", "v1")
    ]


@pytest.mark.parametrize("note", ["", "Drift", "Drift tomorrow", "Fun 2026-11-20T10:00:00Z"])
def test_a_note_that_somebody_else_wrote_is_no_retraining(note: str):
    outcome = look(positions.locate(standing().snapshot, noted(line_r1=note)))
    assert outcome.create is not None
    assert outcome.retrainings == ()


def test_how_it_ended_is_remembered_when_the_job_is_gone():
    first = made(look(standing()), over="Failed")
    known = look(standing(first), now=NOW + HOUR).retrainings
    assert [each.result for each in known] == ["Failed"]
    assert [each.result for each in look(standing(status=DriftStatus(retrainings=known))).retrainings] == ["Failed"]


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (names.RETRAIN_TRIGGER, "drift"),
        (names.RETRAIN_TRIGGER, ""),
        (names.RETRAIN_SINCE, "yesterday"),
        (names.RETRAIN_SINCE, "0001-01-01T00:00:00+23:00"),
        (names.RETRAIN_STABLE, ""),
        (names.RETRAIN_CAUSE, "x" * 5000),
    ],
)
def test_what_somebody_writes_on_a_training_job_stops_no_rollout(note: str, text: str):
    """It holds the next one back all the same, and is taken down as what can be read again."""
    first = made(look(standing()), at=NOW - HOUR)
    edited = first.replace(
        metadata=first.metadata.replace(annotations={**first.metadata.annotations, note: text}),
    )
    running = look(standing(edited))
    assert running.status is not None
    assert (running.create, running.status.reason) == (None, "TrainingRunning")
    assert [each.training_job for each in running.retrainings] == ["line-r1"]
    (stable, *_) = retraining.noted(standing(edited))
    assert all(note.partition(" ")[0] in ("Drift", "Command") for note in stable.retrained.values())


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
        {"done": [retrained(2, 30 * HOUR), retrained(1, 100 * HOUR)], "versions": (result(rejected=True),)},
        "CoolingDown",
        NOW + 18 * HOUR,
        id="as long though a training has crashed since",
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
        {"done": [retrained(2, 30 * HOUR), retrained(1, 60 * HOUR)], "versions": (result(),)},
        "ResultPending",
        None,
        id="its version waits though a training has crashed since",
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
    assert outcome.status.next == SLOT  # it may be refused
    created = made(outcome, over="Complete", at=SLOT)
    later = look(standing(created, spec=NIGHTLY, status=DriftStatus(retrain=outcome.status)), None, now=SLOT + HOUR)
    assert later.create is None
    assert later.status is not None
    assert later.status.next == SLOT + 24 * HOUR


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


@pytest.mark.parametrize(
    ("job", "starts"),
    [
        pytest.param({}, None, id="from the stable version, which is not there"),
        pytest.param({"from": {"tag": "good"}}, {"tag": "good"}, id="from what the template names"),
        pytest.param({"mode": "Scratch", "architecture": "yolo11n"}, None, id="from nothing"),
    ],
)
def test_the_schedule_before_anything_is_stable(job: dict[str, Any], starts: Any):
    """The API server would refuse a TrainingJob without `from`, and the user be told to correct a template that is
    right once there is a version."""
    status = DriftStatus.model_validate({"retrain": {"next": wire(SLOT)}})
    rollout = positions.rollout("v9", **drift(schedule="0 3 * * *", job=job), status={"drift": status.to_dict()})
    outcome = look(positions.locate(positions.snapshot(["v1"] * 3, rollout)), None, now=SLOT + HOUR)
    assert outcome.status is not None
    if not job:
        assert (outcome.create, outcome.status.reason) == (None, "NotDue")
        assert outcome.status.message.startswith("No version is stable yet")
        assert outcome.status.next == SLOT
    else:
        assert made(outcome).spec.to_dict().get("from") == starts


def test_a_slot_missed_by_less_is_made_up_for():
    assert scheduled(SLOT + 5 * HOUR).create is not None


def wiped(*trainings: TrainingJob, now: Any, spec: Any = NIGHTLY, created: Any = NOW, **facts: Any) -> Outcome:
    """The status is gone; the ControllerRevision of what is stable (since a week, if not said otherwise) is there."""
    rollout = positions.rollout("v1", **spec, metadata={"creationTimestamp": wire(created)})
    seen = positions.snapshot(["v1"] * 3, rollout, trainings=trainings)
    stable = positions.revision("v1", **{"promoted_at": NOW - 7 * 24 * HOUR, **facts})
    return look(positions.locate(seen, stable), None, now=now)


@pytest.mark.parametrize("now", [SLOT, SLOT + timedelta(milliseconds=1), SLOT + 5 * HOUR])
@pytest.mark.parametrize("since", [{}, {"created": SLOT - HOUR, "promoted_at": SLOT + timedelta(minutes=1)}])
def test_a_slot_is_made_up_for_though_the_status_was_wiped(now: Any, since: Any):
    outcome = wiped(now=now, **since)
    assert made(outcome).metadata.annotations[names.RETRAIN_TRIGGER] == "Schedule"
    assert "03:00 UTC" in made(outcome).metadata.annotations[names.RETRAIN_CAUSE]
    assert outcome.status is not None
    assert outcome.status.next == SLOT, "it may be refused"
    assert wiped(made(outcome, at=now), now=now).create is None, "killed right after that write"
    assert wiped(now=now, retrained={"line-r1": f"Schedule {wire(now)}"}).create is None, "somebody deleted it"


def test_a_slot_that_a_guard_holds_is_announced_again_where_the_status_was_wiped():
    outcome = wiped(now=SLOT + HOUR, spec=drift(schedule="0 3 * * *", suspend=True))
    assert outcome.create is None
    assert outcome.status is not None
    assert (outcome.status.reason, outcome.status.next) == ("Suspended", SLOT)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"now": SLOT - timedelta(seconds=1)}, id="not yet"),
        pytest.param({"now": SLOT + 6 * HOUR}, id="missed by too much"),
        pytest.param({"now": SLOT + HOUR, "promoted_at": SLOT + timedelta(minutes=1)}, id="before there was a Rollout"),
        pytest.param({"now": SLOT + HOUR, "spec": drift()}, id="no schedule"),
        pytest.param({"now": SLOT + HOUR, "spec": drift(schedule="0 0 31 2 *")}, id="no date"),
    ],
)
def test_no_slot_is_made_up_for_after_a_wiped_status(arguments: Any):
    assert wiped(**arguments).create is None


def held_slot(now: Any, done: tuple[Retraining, ...] = (), wanted: Wanted | None = None, **retrain: Any) -> Outcome:
    """The slot of 03:00 came while v2 was on its way, or the retrainings `done` are too near."""
    status = DriftStatus.model_validate(
        {"retrain": {"next": wire(SLOT)}, "retrainings": [each.to_dict() for each in done]}
    )
    position = standing(spec=drift(schedule="0 3 * * *", **retrain), status=status)
    return look(position, wanted, "" if done else "v2 is on its way.", now)


def test_a_slot_that_a_guard_held_back_is_made_up_for():
    held = held_slot(SLOT + HOUR)
    assert held.create is None
    assert held.status is not None
    assert (held.status.reason, held.status.next) == ("RolloutActive", SLOT)
    assert held.wake == SLOT + 6 * HOUR
    status = DriftStatus(retrain=held.status)
    assert look(standing(spec=NIGHTLY, status=status), None, now=SLOT + 2 * HOUR).create is not None
    late = look(standing(spec=NIGHTLY, status=status), None, now=SLOT + 6 * HOUR)
    assert late.create is None
    assert late.status is not None
    assert late.status.next == SLOT + 24 * HOUR


def test_what_was_started_since_the_slot_is_what_the_slot_asked_for():
    since = (entry(ago=NOW - SLOT, trigger="Command"),)
    behind = (entry(ago=NOW - SLOT + timedelta(seconds=30), trigger="Schedule"),)  # by the API server's clock
    for done in (since, behind):
        outcome = held_slot(SLOT + 2 * HOUR, done, cooldown="0s")
        assert outcome.create is None
        assert outcome.status is not None
        assert (outcome.status.reason, outcome.status.next) == ("NotDue", SLOT + 24 * HOUR)
        assert outcome.status.message.endswith(" 03:00 UTC.")


def test_the_schedule_goes_on_while_drift_waits_for_somebody():
    deleted = (entry(ago=20 * HOUR, result=None),)
    outcome = held_slot(SLOT + HOUR, deleted, DRIFTING, cooldown="1h")
    assert outcome.create is not None
    assert made(outcome).metadata.annotations[names.RETRAIN_TRIGGER] == "Schedule"


def test_a_schedule_without_a_date_is_said():
    outcome = look(standing(spec=drift(schedule="0 3 31 2 *")), None)
    assert outcome.status is not None
    assert "correct spec.drift.retrain.schedule" in outcome.status.message


def test_a_training_of_another_rollout_of_the_model_neither_holds_nor_counts():
    other = made(look(standing()))
    other = other.replace(
        metadata=other.metadata.replace(
            name="line-r4",
            owner_references=[each.replace(uid="of-another") for each in other.metadata.owner_references],
        )
    )
    outcome = look(standing(other))
    assert outcome.create is not None
    assert outcome.create.manifest["metadata"]["name"] == "line-r5"
    assert outcome.retrainings == ()
    assert retraining.noted(standing(other)) == standing(other).revisions


def test_a_version_that_people_went_back_from_is_not_waited_for():
    done = DriftStatus(retrainings=(entry(ago=30 * HOUR),))
    versions = (result(), *positions.VERSIONS.values())
    before = replace(
        positions.stable(), name="line-b", hash="b", data={**positions.stable().data, "version": "line-r1"}
    )
    before = replace(before, promoted_at=NOW - 400 * HOUR)
    assert look(positions.locate(standing(status=done, versions=versions).snapshot, positions.stable())).create is None
    position = positions.locate(standing(status=done, versions=versions).snapshot, positions.stable(), before)
    assert look(position).create is not None


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


# --- data of a Dataset ------------------------------------------------------------------------------------------------


def dataset(name: str = "parts", *, model: str = "parts", newest: int | None = 13, **status: Any) -> Dataset:
    """A Dataset whose versions from 10 on have 120 images more each."""
    numbers = [] if newest is None else range(newest, 9, -1)
    latest = None if newest is None else {"number": newest, "sha256": f"{newest:064x}", "uri": "s3://d/", "images": 900}
    return Dataset.model_validate(
        {
            "metadata": {"name": name, "namespace": "factory"},
            "spec": {
                "model": model,
                "captures": {"uri": "s3://captures/"},
                "store": {"uri": f"s3://data/{name}/"},
                "classes": ["bolt"],
                "labelling": {"files": {"uri": "s3://reviewed/"}},
            },
            "status": {
                "latest": latest,
                "versions": [{"number": n, "sha256": f"{n:064x}", "images": 900, "added": 120} for n in numbers],
                "waiting": 45,
                **status,
            },
        }
    )


def trained_on(**data: Any) -> ModelVersion:
    return ModelVersion.model_validate(builders.model_version("v1", lineage={"dataset": data}))


def from_dataset(number: int | None = None, *, sources: tuple[dict[str, Any], ...] = (), **retrain: Any) -> Any:
    reference = {"dataset": "parts"} | ({} if number is None else {"version": number})
    return drift(job={"dataset": {"from": reference, "sources": list(sources)}}, **retrain)


NO_DATA = drift(job={"dataset": {}})
ON_12, ON_13 = trained_on(dataset="parts", version=12), trained_on(dataset="parts", version=13)
BY_DIGEST = trained_on(sha256="c" * 64, sources=[{"uri": "u", "sha256": f"{13:064x}", "images": 3, "labels": 4}])
OTHER = trained_on(dataset="elsewhere", version=13)

HELD = [
    pytest.param(
        from_dataset(),
        (dataset(),),
        ON_13,
        "v1 was trained on version 13 of Dataset parts already, the newest to train on: label the 45 frames that wait.",
        id="the newest version is the stable one's",
    ),
    pytest.param(from_dataset(), (dataset(),), BY_DIGEST, "was trained on version 13", id="the same, by its digest"),
    pytest.param(
        from_dataset(),
        (dataset(inReview=8),),
        ON_12,
        "Dataset parts has 120 images that v1 was not trained on (version 13), and 200 are asked for (minNewImages): "
        "label the 45 frames that wait, and review the 8 that people were asked about.",
        id="too few are new",
    ),
    pytest.param(
        from_dataset(),
        (dataset(newest=10, latest={"number": 10, "sha256": "a" * 64, "uri": "s3://d/", "images": 60}),),
        OTHER,
        "Dataset parts has 60 images that v1 was not trained on (version 10), and 200 are asked for (minNewImages): "
        "label the 45 frames that wait.",
        id="its first version is small, and the stable version is of other data",
    ),
    pytest.param(from_dataset(12), (dataset(),), ON_12, "was trained on version 12", id="an older version is pinned"),
    pytest.param(
        from_dataset(),
        (dataset(newest=None, waiting=0, inReview=9),),
        ON_13,
        "Dataset parts has no version yet: review the 9 frames that people were asked about.",
        id="no version yet",
    ),
    pytest.param(
        from_dataset(),
        (dataset(waiting=0),),
        ON_13,
        "no frames wait to be labelled, so have more captured",
        id="nothing is captured",
    ),
    pytest.param(from_dataset(), (), ON_13, "Dataset parts does not exist: create it", id="no Dataset"),
    pytest.param(
        from_dataset(sources=({"uri": "s3://old/", "sha256": f"{13:064x}"},)),
        (dataset(),),
        BY_DIGEST,
        "was trained on version 13",
        id="with a source that it was trained on, too",
    ),
    pytest.param(NO_DATA, (dataset(),), ON_13, "was trained on version 13", id="the model's only Dataset"),
    pytest.param(
        from_dataset(sources=({"uri": "s3://base/"},)),
        (dataset(),),
        ON_13,
        "was trained on version 13",
        id="beside what is trained on every time",
    ),
    pytest.param(
        from_dataset(sources=({"uri": "s3://base/"},)), (), ON_13, "does not exist", id="no Dataset, beside a source"
    ),
]


@pytest.mark.parametrize(("spec", "datasets", "stable", "says"), HELD)
def test_without_new_labels_nothing_is_trained(spec: Any, datasets: Any, stable: ModelVersion, says: str):
    outcome = look(standing(spec=spec, datasets=datasets, versions=(stable,)))
    assert outcome.create is None
    assert outcome.status is not None
    assert outcome.status.reason == "NoNewData"
    assert says in outcome.status.message


def read_from(number: int, *, store: str = "s3://data/parts/", sha256: str = "", images: int = 300) -> ModelVersion:
    """The stable version, trained on this version of Dataset parts, as the trainer tells of it."""
    uri = f"{store}versions/{number:05d}/version.json"
    source = {"uri": uri, "sha256": sha256 or f"{number:064x}", "images": images, "labels": 4}
    return trained_on(dataset="parts", version=number, sources=[source])


def corrected(changed: int | None, *, added: int = 0, images: int = 900, versions: int = 1) -> Dataset:
    """Dataset parts, whose versions from 13 on correct labels of so many images each."""
    numbers = range(12 + versions, 12, -1)
    entries = [
        {"number": n, "sha256": f"{n:064x}", "images": images, "added": added, "changed": changed} for n in numbers
    ]
    latest = {"number": numbers[0], "sha256": f"{numbers[0]:064x}", "uri": "s3://d/", "images": images}
    return dataset(newest=numbers[0], latest=latest, versions=entries)


@pytest.mark.parametrize(
    ("data", "stable"),
    [
        pytest.param(corrected(200), ON_12, id="corrected"),
        pytest.param(corrected(80, added=120), ON_12, id="new, and corrected"),
        pytest.param(corrected(100, versions=2), ON_12, id="by two versions"),
    ],
)
def test_corrected_labels_are_new_data(data: Dataset, stable: ModelVersion):
    assert look(standing(spec=from_dataset(), datasets=(data,), versions=(stable,))).create is not None


@pytest.mark.parametrize(
    ("data", "stable", "says"),
    [
        pytest.param(
            corrected(30, added=120),
            ON_12,
            "has 120 images that v1 was not trained on, and 30 whose labels were corrected since (version 13), and 200",
            id="too few",
        ),
        pytest.param(corrected(None), ON_12, "has 0 images that v1 was not trained on (version 13)", id="not known"),
        pytest.param(
            corrected(90, images=150, versions=5),
            ON_12,
            "and 150 whose labels were corrected since",
            id="the same ones again",
        ),
        pytest.param(corrected(900), ON_13, "was trained on version 13", id="it was trained on them"),
    ],
)
def test_too_few_corrected_labels_are_not(data: Dataset, stable: ModelVersion, says: str):
    outcome = look(standing(spec=from_dataset(), datasets=(data,), versions=(stable,)))
    assert outcome.status is not None
    assert (outcome.create, outcome.status.reason) == (None, "NoNewData")
    assert says in outcome.status.message


def small_steps(newest: int = 40, images: int = 900) -> Dataset:
    """A Dataset with versions of 15 new images each, of which the status lists the newest ten."""
    numbers = range(newest, newest - 10, -1)
    latest = {"number": newest, "sha256": f"{newest:064x}", "uri": "s3://d/", "images": images}
    entries = [{"number": n, "sha256": f"{n:064x}", "images": images, "added": 15} for n in numbers]
    return dataset(newest=newest, latest=latest, versions=entries)


def test_what_came_with_versions_that_are_no_longer_listed_counts():
    """Of versions 13 to 40 the status lists ten, with 150 images; the data grew by 420."""
    outcome = look(standing(spec=from_dataset(), datasets=(small_steps(images=720),), versions=(read_from(12),)))
    assert outcome.create is not None
    few = look(standing(spec=from_dataset(), datasets=(small_steps(images=460),), versions=(read_from(12),)))
    assert few.status is not None
    assert "Dataset parts has 160 images that v1 was not trained on (version 40)" in few.status.message
    unknown = trained_on(dataset="parts", version=12)
    unsaid = look(standing(spec=from_dataset(), datasets=(small_steps(),), versions=(unknown,)))
    assert unsaid.status is not None
    assert "Dataset parts has 150 images" in unsaid.status.message


@pytest.mark.parametrize(
    ("stable", "datasets"),
    [
        pytest.param(ON_13, (dataset(newest=11),), id="it has no such number yet"),
        pytest.param(read_from(13, sha256="d" * 64), (dataset(),), id="that number is another version"),
        pytest.param(read_from(7, store="s3://old/parts/"), (dataset(),), id="it was read from another store"),
    ],
)
def test_a_dataset_that_counts_from_1_again_is_other_data(stable: ModelVersion, datasets: Any):
    """All of its 900 images are new, and not only the 480 since version 9."""
    outcome = look(standing(spec=from_dataset(minNewImages=500), datasets=datasets, versions=(stable,)))
    assert outcome.create is not None


@pytest.mark.parametrize("stable", [read_from(13), read_from(13, store="s3://moved/")])
def test_a_version_that_is_listed_is_known_by_its_digest_wherever_it_lay(stable: ModelVersion):
    outcome = look(standing(spec=from_dataset(), datasets=(dataset(),), versions=(stable,)))
    assert outcome.status is not None
    assert "was trained on version 13 of Dataset parts already" in outcome.status.message


@pytest.mark.parametrize(
    ("spec", "datasets", "stable"),
    [
        pytest.param(from_dataset(minNewImages=120), (dataset(),), ON_12, id="enough are new"),
        pytest.param(from_dataset(), (dataset(),), trained_on(dataset="parts", version=11), id="of two versions"),
        pytest.param(from_dataset(), (dataset(),), OTHER, id="the stable version is of another Dataset"),
        pytest.param(
            from_dataset(), (dataset(),), ModelVersion.model_validate(builders.model_version("v1")), id="of none"
        ),
        pytest.param(from_dataset(requireNewData=False), (dataset(),), ON_13, id="allowed to"),
        pytest.param(from_dataset(requireNewData=False), (), ON_13, id="allowed to wait for it"),
        pytest.param(
            from_dataset(sources=({"uri": "s3://new/", "sha256": "e" * 64},)), (dataset(),), ON_13, id="a source is new"
        ),
    ],
)
def test_with_new_labels_something_is(spec: Any, datasets: Any, stable: ModelVersion):
    outcome = look(standing(spec=spec, datasets=datasets, versions=(stable,)))
    assert outcome.create is not None
    assert outcome.create.manifest["spec"]["dataset"]["from"]["dataset"] == "parts"


def test_a_template_without_data_means_the_models_only_dataset():
    outcome = look(standing(spec=NO_DATA, datasets=(dataset(), dataset("gears", model="gears")), versions=(ON_12,)))
    assert outcome.status is not None
    assert outcome.status.reason == "NoNewData"
    outcome = look(standing(spec=NO_DATA, datasets=(dataset(), dataset("gears", model="gears")), versions=(OTHER,)))
    assert made(outcome).spec.dataset.from_ is not None
    assert made(outcome).spec.dataset.from_.dataset == "parts"
    told = look(standing(made(outcome), spec=NO_DATA, datasets=(dataset(),), versions=(OTHER,)))
    assert told.retrainings[0].data == ("Dataset parts",)


@pytest.mark.parametrize("wanted", [DRIFTING, None])
@pytest.mark.parametrize(
    ("datasets", "says"),
    [
        ((), "and there is none. Name one with dataset.from, or create it."),
        ((dataset(), dataset("more")), "and there are several: more, parts. Name one with dataset.from"),
    ],
)
def test_a_template_without_data_and_not_one_dataset(datasets: Any, says: str, wanted: Wanted | None):
    outcome = look(standing(spec=NO_DATA, datasets=datasets, annotations={} if wanted else ASKED), wanted)
    assert outcome.create is None
    assert outcome.status is not None
    assert outcome.status.reason == "DatasetNotFound"
    assert says in outcome.status.message


def test_the_version_that_was_resolved_is_shown():
    outcome = look(standing(spec=from_dataset(), datasets=(dataset(),), versions=(OTHER,)))
    training = made(outcome)
    pinned = {"dataset": "parts", "version": 13, "uri": "s3://data/parts/", "sha256": f"{13:064x}"}
    resolved = training.replace(status=training.status.replace(dataset=pinned))
    told = look(standing(resolved, spec=from_dataset(), datasets=(dataset(newest=14),), versions=(OTHER,)))
    assert told.retrainings[0].data == ("Dataset parts version 13",)
