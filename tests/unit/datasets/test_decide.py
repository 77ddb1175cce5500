"""What a Dataset needs next, as tables: what is seen, and what follows."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet.api import DatasetStatus
from modelfleet.api.conditions import find
from modelfleet.datasets.decide import decide
from modelfleet.datasets.snapshot import Deployed
from modelfleet.decision import Create, Decision, Delete
from unit.datasets.builders import (
    ABSENT,
    FILES,
    Json,
    dataset,
    entry,
    failure,
    job,
    latest,
    pod,
    report,
    snapshot,
)
from unit.training.builders import START, after, wire

HALF = timedelta(minutes=30)
SYNC = "modelfleet.dev/sync"
DONE: Json = {
    "waiting": 12,
    "inReview": 40,
    "reviewed": 700,
    "latest": latest(),
    "versions": [entry(12, parent=11), entry(11, parent=10)],
    "lastSync": {
        "job": "parts-20261121080000",
        "due": wire(START),
        "at": wire(after(60)),
        "result": "Succeeded",
        "generation": 1,
    },
    "nextSync": wire(START + HALF),
}
BROKEN: Json = DONE | {
    "lastSync": DONE["lastSync"]
    | {"result": "Failed", "reason": "LabelStudioRefused", "message": "The token is not valid.", "failures": 2}
}
GOOD = (job(START, ended=after(60)), (pod(report()),))
BAD = (job(START, ended=after(60), succeeded=False), (pod(failure(), exit_code=64),))
RUNNING = (job(START), (pod(),))


def look(raw: Json | None = None, *jobs: Any, now: Any = None) -> Decision:
    return decide(snapshot(raw, *jobs), now or after(70))


def shown(decision: Decision) -> str:
    """The conditions in short: "True/Synced", "False/Syncing Reconciling"."""
    assert decision.status is not None
    found = decision.status.conditions
    ready = find(found, "Ready")
    assert ready is not None
    return " ".join([f"{ready.status}/{ready.reason}", *(each.type for each in found if each.type != "Ready")])


def message(decision: Decision) -> str:
    ready = find(decision.status.conditions, "Ready")
    assert ready is not None
    return ready.message


def created(decision: Decision) -> list[str]:
    return [each.manifest["metadata"]["name"] for each in decision.actions if isinstance(each, Create)]


def removed(decision: Decision) -> list[str]:
    return [each.name for each in decision.actions if isinstance(each, Delete)]


def events(decision: Decision) -> list[tuple[str, str]]:
    return [(each.type, each.reason) for each in decision.announcements]


# --- when a sync starts -----------------------------------------------------------------------------------------------

AT = "parts-202611210"
STARTS = [
    pytest.param({}, after(5), ["parts-20261121080005"], id="at once, when it was created"),
    pytest.param({"suspend": True}, after(5), [], id="suspended: none"),
    pytest.param({"status": DONE}, START + HALF - timedelta(seconds=1), [], id="not before the slot"),
    pytest.param({"status": DONE}, START + HALF, [f"{AT}83000"], id="at the slot"),
    pytest.param(
        {"status": DONE}, START + 7 * HALF + timedelta(minutes=4), ["parts-20261121113000"], id="made up once"
    ),
    pytest.param({"status": DONE, "suspend": True}, START + HALF, [], id="suspended: no slot"),
    pytest.param({"status": DONE, "schedule": "0 3 * * *"}, START + 7 * HALF, [], id="another schedule"),
    pytest.param({"status": DONE, "annotations": {SYNC: "now"}}, after(90), [f"{AT}80130"], id="somebody asks"),
    pytest.param(
        {"status": DONE, "annotations": {SYNC: "now@2"}, "suspend": True},
        after(90),
        [f"{AT}80130"],
        id="somebody asks while it is suspended",
    ),
    pytest.param(
        {"status": DONE | {"synced": ["now@2"]}, "annotations": {SYNC: "now@2"}}, after(90), [], id="asked before"
    ),
    pytest.param({"status": DONE, "annotations": {SYNC: "v3"}}, after(90), [], id="asked for something else"),
    pytest.param({"status": DONE, "generation": 2}, after(90), [], id="a changed spec waits for the slot"),
    pytest.param({"status": BROKEN, "generation": 2}, after(90), [f"{AT}80130"], id="but after a failure it is tried"),
    pytest.param({"status": BROKEN}, after(90), [], id="a failed one waits for the slot"),
    pytest.param({"status": BROKEN}, START + HALF, [f"{AT}83000"], id="a failed one is tried again at the slot"),
    pytest.param({"deleting": True}, after(5), [], id="being deleted"),
]


@pytest.mark.parametrize(("fields", "now", "names"), STARTS)
def test_when_a_sync_starts(fields: Json, now: Any, names: list[str]):
    assert created(look(dataset(**fields), now=now)) == names


LONG = "https://ci.example/" + "x" * 300


def test_a_command_of_any_length_acts_once():
    """A status keeps 256 characters of it."""
    annotations = {SYNC: f"now@{LONG}1"}
    started = look(dataset(status=DONE, annotations=annotations), now=after(90))
    assert created(started) == [f"{AT}80130"]
    (create,) = (each for each in started.actions if isinstance(each, Create))
    asked_for = create.manifest["metadata"]["annotations"]["modelfleet.dev/sync-command"]
    ended = (job(after(90), ended=after(95), command=asked_for), (pod(report()),))
    done = look(dataset(status=DONE, annotations=annotations), ended, now=after(100))
    assert created(done) == []
    assert done.status is not None
    again = dataset(status=done.status.to_dict(), annotations={SYNC: f"now@{LONG}2"})
    assert len(created(look(again, now=after(110)))) == 1, "another one"


def test_a_wrong_command_of_any_length_is_spoken_of_once():
    annotations = {SYNC: f"v3@{LONG}"}
    first = look(dataset(status=DONE, annotations=annotations), now=after(90))
    assert events(first) == [("Warning", "CommandIgnored")]
    assert first.status is not None
    again = look(dataset(status=first.status.to_dict(), annotations=annotations), now=after(91))
    assert (events(again), again.status) == ([], first.status)


@pytest.mark.parametrize("annotations", [{}, {SYNC: "now@1"}])
def test_one_job_at_a_time(annotations: Json):
    decision = look(dataset(status=DONE, annotations=annotations), (job(START + HALF), (pod(),)), now=START + 3 * HALF)
    assert decision.actions == ()


def test_a_job_that_somebody_deletes_is_waited_for_and_made_again():
    going = look(dataset(status=DONE), (job(START + HALF, deleting=True), ()), now=START + HALF)
    assert going.actions == ()
    assert created(look(dataset(status=DONE), now=START + HALF)) == ["parts-20261121083000"]


def test_the_clock_going_back_makes_no_moment_twice():
    asked = dataset(status=DONE, annotations={SYNC: "now"})
    assert created(look(asked, now=START - HALF)) == ["parts-20261121080001"]


DECADE = timedelta(days=3652)


@pytest.mark.parametrize(
    ("at", "now", "names"),
    [
        pytest.param(after(60), START + HALF, ["parts-20361120080001"], id="the operator's clock was ahead: the slot"),
        pytest.param(after(60), after(90), [], id="the operator's clock was ahead: not before the slot"),
        pytest.param(after(60) + DECADE, after(90), ["parts-20361120080001"], id="every clock was: at once"),
    ],
)
def test_nothing_waits_for_a_time_that_a_clock_has_dated_that_was_ahead(at: Any, now: Any, names: list[str]):
    """The moments go on from there, so that the next Job counts as newer than the last."""
    dated = DONE | {"lastSync": DONE["lastSync"] | {"due": wire(START + DECADE), "at": wire(at)}}
    decision = look(dataset(status=dated), now=now)
    assert created(decision) == names
    assert decision.requeue_after is not None
    assert decision.requeue_after <= HALF
    assert decision.status is not None
    assert decision.status.next_sync <= START + HALF


def test_the_next_slot_is_shown_and_waited_for_and_nothing_is_written_until_then():
    first = look(dataset(), GOOD)
    assert first.status is not None
    assert first.status.next_sync == START + HALF
    stored = dataset(status=first.status.to_dict())
    for seconds in (80, 600, 1799):
        again = look(stored, GOOD, now=after(seconds))
        assert (again.actions, again.announcements) == ((), ())
        assert again.status == first.status
        assert again.requeue_after == START + HALF - after(seconds)


# --- what a sync found ------------------------------------------------------------------------------------------------


def test_what_was_found_is_taken_in_with_one_write():
    decision = look(dataset(), GOOD)
    status = decision.status
    assert status is not None
    assert (status.waiting, status.in_review, status.reviewed, str(status.edited_share)) == (12, 40, 700, "0.12")
    assert status.latest is not None
    assert (status.latest.number, status.latest.images) == (12, 640)
    assert [(each.number, each.parent) for each in status.versions] == [(12, 11), (11, 10)]
    assert status.last_sync is not None
    assert (status.last_sync.result, status.last_sync.at, status.last_sync.failures) == ("Succeeded", after(60), 0)
    assert shown(decision) == "True/Synced"
    assert message(decision) == "12 images wait to be asked about, 40 in review, version 12 has 640 images."
    assert events(decision) == [], "version 12 is not news to a Dataset that was just created"


SENTENCES = [
    pytest.param(
        {},
        {"latest": None, "versions": [], "pending": 37, "waiting": 1, "inReview": 0},
        "1 image waits to be asked about, 0 in review, no version yet: 37 of the 50 images that the first one takes "
        "are reviewed.",
        id="no version yet",
    ),
    pytest.param(
        {},
        {"pending": 9},
        "12 images wait to be asked about, 40 in review, version 12 has 640 images. 9 of the 50 images that the next "
        "version takes are reviewed.",
        id="the next version",
    ),
    pytest.param(
        {"labelling": FILES},
        {"inReview": 0},
        "12 images wait for labels, version 12 has 640 images.",
        id="labels from files",
    ),
    pytest.param(
        {"suspend": True},
        {},
        "12 images wait to be asked about, 40 in review, version 12 has 640 images. spec.suspend is true: no sync "
        "starts.",
        id="suspended",
    ),
    pytest.param(
        {},
        {
            "review": {
                "version": "v2",
                "frames": 320,
                "nodeDays": 60,
                "precision": {"value": "0.93", "low": "0.90", "high": "0.95"},
                "recall": None,
            }
        },
        "12 images wait to be asked about, 40 in review, version 12 has 640 images. v2 in production: precision 0.93 "
        "(0.90 to 0.95), by 320 reviewed frames.",
        id="reviewed frames",
    ),
    pytest.param(
        {},
        {
            "notes": [
                "spec.classes lacks bolt (35): so many reviewed objects are left out",
                "left out: 3 things",
                "else",
            ]
        },
        "12 images wait to be asked about, 40 in review, version 12 has 640 images. Note: spec.classes lacks bolt "
        "(35): so many reviewed objects are left out. status.notes has 2 more.",
        id="a class was taken out",
    ),
    pytest.param(
        {},
        {"notes": ["There are no captures."]},
        "12 images wait to be asked about, 40 in review, version 12 has 640 images. Note: There are no captures.",
        id="one note",
    ),
]


@pytest.mark.parametrize(("spec", "found", "says"), SENTENCES)
def test_what_people_at_the_line_read(spec: Json, found: Json, says: str):
    decision = look(dataset(**spec), (job(START, ended=after(60)), (pod(report(**found)),)))
    assert message(decision) == says
    assert shown(decision).startswith("True/")


def test_a_class_that_is_called_otherwise_on_the_nodes_is_named():
    done = (job(START, ended=after(60)), (pod(report()),))
    deployed = (Deployed("v1", "a" * 64, ("bolt", "nut")), Deployed("v2", "b" * 64, ("bolt", "nut", "washer")))
    seen = snapshot(dataset(classes=["blot", "nut", "screw"]), done, deployed=deployed)
    assert message(decide(seen, after(70))).endswith(
        "version 12 has 640 images. spec.classes lacks bolt, washer, which v2 finds on the nodes: images on which "
        "people leave such a box are left out."
    )
    assert "lacks" not in message(decide(snapshot(dataset(), done, deployed=deployed[:1]), after(70)))


FAILURES = [
    pytest.param(
        (job(START, ended=after(60), succeeded=False), (pod(failure(), exit_code=64),)),
        "False/LabelStudioRefused Stalled",
        "The token is not valid: replace it. It is tried again at 2026-11-21 08:30 UTC, and when the spec is changed. "
        "To have it tried at once, annotate it: modelfleet.dev/sync=now --overwrite --field-manager=modelfleet-cli.",
        id="the labeler says why",
    ),
    pytest.param(
        (
            job(START, ended=after(60), succeeded=False, reason="BackoffLimitExceeded"),
            (pod(failure("StoreUnreachable", "No answer."), exit_code=1),),
        ),
        "False/StoreUnreachable Reconciling",
        "No answer. It is tried again",
        id="what may pass without help",
    ),
    pytest.param(
        (job(START, ended=after(60), succeeded=False), (pod("", exit_code=137, why="OOMKilled"),)),
        "False/OutOfMemory Stalled",
        "raise resources.limits.memory of container labeler",
        id="out of memory",
    ),
    pytest.param(
        (job(START, ended=after(60), succeeded=False), (pod("Traceback: boom", exit_code=1),)),
        "False/LabelerCrashed Stalled",
        "exit code 1: Traceback: boom; see kubectl logs parts-1",
        id="a crash",
    ),
    pytest.param(
        (job(START, ended=after(60), succeeded=False), (pod(report(), exit_code=1),)),
        "False/LabelerCrashed Stalled",
        "exit code 1",
        id="success, and then a crash",
    ),
    pytest.param(
        (job(START, ended=after(60)), (pod("no JSON"),)),
        "False/ResultInvalid Stalled",
        "The sync succeeded, but the labeler's termination message is not valid JSON: no JSON.",
        id="success that nobody understands",
    ),
    pytest.param(
        (job(START, ended=after(30)), ()),
        "False/ResultLost Stalled",
        "its pod is gone",
        id="its pod is gone",
    ),
    pytest.param(
        (job(START, ended=after(30), succeeded=False, reason="DeadlineExceeded"), ()),
        "False/DeadlineExceeded Stalled",
        "longer than spec.activeDeadline",
        id="too long",
    ),
    pytest.param(
        (job(START, ended=after(30), succeeded=False, reason="PodFailurePolicy"), ()),
        "False/JobFailed Stalled",
        "the Job controller says PodFailurePolicy",
        id="Kubernetes' own reason",
    ),
]


@pytest.mark.parametrize(("ended", "conditions", "says"), FAILURES)
def test_why_a_sync_failed_is_said(ended: Any, conditions: str, says: str):
    decision = look(dataset(), ended)
    assert shown(decision) == conditions
    assert says in message(decision)
    assert events(decision) == [("Warning", "SyncFailed")]
    assert created(decision) == []
    assert decision.requeue_after == START + HALF - after(70)


def test_a_schedule_without_a_date_is_said():
    never = dataset(schedule="0 3 31 2 *")
    assert shown(look(never)) == "False/Syncing Reconciling", "the first sync asks for no slot"
    decision = look(never, GOOD)
    assert shown(decision) == "False/InvalidSchedule Stalled"
    assert message(decision) == (
        "spec.schedule '0 3 31 2 *' names no date that ever comes: correct it. No sync starts until then. "
        "12 images wait to be asked about, 40 in review, version 12 has 640 images."
    )
    assert (created(decision), decision.requeue_after) == ([], None)
    assert shown(look(never, BAD)) == "False/InvalidSchedule Stalled"
    assert "The token is not valid: replace it." in message(look(never, BAD))
    assert shown(look(dataset(schedule="0 3 31 2 *", suspend=True), GOOD)) == "True/Suspended"
    decision = look(dataset(schedule="0 3 * * SAT-SUN"), GOOD)
    assert shown(decision) == "True/Synced"
    assert decision.status is not None
    assert decision.status.next_sync is not None
    assert (decision.status.next_sync.isoweekday() in (6, 7), decision.status.next_sync.hour) == (True, 3)


def test_figures_outlive_a_failure_and_failures_are_counted():
    failed_again = (
        job(START + HALF, ended=START + HALF + timedelta(seconds=60), succeeded=False),
        (pod(failure(), exit_code=64),),
    )
    decision = look(dataset(status=BROKEN), BAD, failed_again, now=START + HALF + timedelta(seconds=70))
    status = decision.status
    assert status is not None
    assert status.last_sync is not None
    assert (status.last_sync.failures, status.waiting) == (3, 12)
    assert "3 syncs in a row failed." in message(decision)
    assert events(decision) == [], "the same reason is announced once"
    assert removed(decision) == ["parts-20261121080000"], "the last failed one stays"


def test_a_sync_that_succeeds_again_is_announced():
    good = (job(START + HALF, ended=START + HALF + timedelta(seconds=60)), (pod(report(latest=latest(13))),))
    decision = look(dataset(status=BROKEN), BAD, good, now=START + HALF + timedelta(seconds=70))
    assert shown(decision) == "True/Synced"
    assert events(decision) == [("Normal", "Synced"), ("Normal", "DatasetVersionCreated")]
    assert removed(decision) == [], "the last good one and the last failed one stay"


@pytest.mark.parametrize(("changed", "says"), [({}, ""), ({"changed": 0}, ""), ({"changed": 3}, ", 3 corrected")])
def test_a_new_version_is_announced(changed, says):
    versions = [entry(13, added=52, **changed), entry(12)]
    good = (
        job(START + HALF, ended=START + HALF + timedelta(seconds=60)),
        (pod(report(latest=latest(13, images=692), versions=versions)),),
    )
    decision = look(dataset(status=DONE), GOOD, good, now=START + HALF + timedelta(seconds=70))
    (announced,) = decision.announcements
    assert announced.reason == "DatasetVersionCreated"
    assert announced.message == "Version 13 was created: 692 images with 1900 objects, 52 images new" + f"{says}."
    assert removed(decision) == ["parts-20261121080000"]


# --- while a Job goes on ----------------------------------------------------------------------------------------------

GOING = [
    pytest.param({}, RUNNING, 70, "False/Syncing Reconciling", "lists what the fleet has captured", id="the first"),
    pytest.param(
        {},
        (job(START), (pod(failure("LabelStudioUnreachable", "Nobody is at http://ls."), exit_code=1), pod(number=2))),
        50,
        "False/Syncing Reconciling",
        "LabelStudioUnreachable: Nobody is at http://ls. Job parts-20261121080000 tries again.",
        id="the first, its first try failed",
    ),
    pytest.param(
        {},
        (job(START), (pod("", exit_code=137, why="OOMKilled"), pod(number=2))),
        50,
        "False/Syncing Reconciling",
        "raise resources.limits.memory of container labeler in spec.template. Job",
        id="the first, its first try was killed",
    ),
    pytest.param(
        {},
        (job(START), (pod(failure(), exit_code=64),)),
        50,
        "False/Syncing Reconciling",
        "lists what the fleet has captured",
        id="the first, just over",
    ),
    pytest.param({}, (job(START), ()), 30, "False/Syncing Reconciling", "", id="no pod, for a moment"),
    pytest.param({}, (job(START), ()), 70, "False/NoPods Reconciling", "has created no pod", id="no pod"),
    pytest.param(
        {"status": DONE | {"lastSync": DONE["lastSync"] | {"due": wire(START - HALF)}}},
        (job(START), (pod(waiting=("ImagePullBackOff", "not found")),)),
        70,
        "False/ImagePullFailed Reconciling",
        "Container labeler can't start (ImagePullBackOff): not found (Job parts-20261121080000).",
        id="no image",
    ),
    pytest.param(
        {},
        (job(START), (pod(unschedulable="0/3 nodes are available"),)),
        70,
        "False/Unschedulable Reconciling",
        "No node takes the pod: 0/3 nodes are available",
        id="no node",
    ),
    pytest.param(
        {"status": DONE | {"lastSync": DONE["lastSync"] | {"due": wire(START - HALF)}}},
        RUNNING,
        70,
        "True/Synced",
        "12 images wait",
        id="a later one changes nothing until it ends",
    ),
    pytest.param(
        {}, (job(START, ended=after(60)), ()), 70, "False/Syncing Reconciling", "", id="its pod is not seen yet"
    ),
]


@pytest.mark.parametrize(("fields", "going", "seconds", "conditions", "says"), GOING)
def test_what_is_said_while_a_job_goes_on(fields: Json, going: Any, seconds: int, conditions: str, says: str):
    decision = look(dataset(**fields), going, now=after(seconds))
    assert decision.actions == ()
    assert shown(decision) == conditions
    assert says in message(decision)


def test_what_says_nothing_by_itself_is_looked_at_again():
    assert look(dataset(), (job(START), ()), now=after(20)).requeue_after == timedelta(seconds=40)
    assert look(dataset(), (job(START, ended=after(60)), ()), now=after(70)).requeue_after == timedelta(seconds=20)
    assert look(dataset(), RUNNING).requeue_after is None


def test_suspended_before_the_first_sync():
    decision = look(dataset(suspend=True))
    assert shown(decision) == "False/Suspended"
    assert decision.requeue_after is None


# --- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_acts_once_and_a_wrong_one_is_spoken_of_once():
    asked = dataset(status=DONE, annotations={SYNC: "now@7"})
    (create,) = look(asked, now=after(90)).actions
    assert isinstance(create, Create)
    assert create.manifest["metadata"]["annotations"]["modelfleet.dev/sync-command"] == "now@7"
    ended = (job(after(90), ended=after(120), command="now@7"), (pod(report()),))
    taken = look(asked, GOOD, ended, now=after(130))
    assert taken.status is not None
    assert (created(taken), taken.status.synced) == ([], ("now@7",))
    wrong = look(dataset(status=DONE, annotations={SYNC: "yes"}), now=after(90))
    assert wrong.status is not None
    assert (events(wrong), wrong.status.synced) == ([("Warning", "CommandIgnored")], ("yes",))
    assert look(dataset(status=wrong.status.to_dict(), annotations={SYNC: "yes"}), now=after(91)).announcements == ()


# --- a status that is lost, and versions ------------------------------------------------------------------------------


def test_a_wiped_status_is_found_again_from_the_jobs_that_are_kept():
    later = (
        job(START + HALF, ended=START + HALF + timedelta(seconds=60), succeeded=False, command="now@1"),
        (pod(failure(), exit_code=64),),
    )
    status = look(dataset(status={}), GOOD, later, now=START + HALF + timedelta(seconds=70)).status
    assert status is not None
    assert status.last_sync is not None
    assert (status.waiting, status.last_sync.result, status.last_sync.failures) == (12, "Failed", 1)
    assert status.synced == ("now@1",)
    assert created(look(dataset(status={}), GOOD)) == []


VERSIONS = [
    pytest.param({"versions": ABSENT, "latest": latest(13)}, [13, 12, 11], id="the list did not fit"),
    pytest.param({"versions": ABSENT, "latest": latest(3)}, [3], id="another store, and the list did not fit"),
    pytest.param({"versions": [entry(3), entry(2)], "latest": latest(3)}, [3, 2], id="another store"),
    pytest.param({"versions": [entry(13)], "latest": latest(13)}, [13, 12, 11], id="only the newest did fit"),
    pytest.param({"versions": [entry(13), entry(12)], "latest": latest(13)}, [13, 12, 11], id="two of three did fit"),
    pytest.param(
        {"versions": [entry(20)], "latest": latest(20, uri="s3://new/versions/00020/version.json")},
        [20],
        id="another store, with more versions",
    ),
    pytest.param(
        {"versions": [entry(13), entry(12, sha256="f" * 64)], "latest": latest(13)}, [13, 12], id="a store made anew"
    ),
    pytest.param({"versions": ABSENT, "latest": latest(12, sha256="f" * 64)}, [12], id="made anew, and it did not fit"),
    pytest.param({"versions": [], "latest": None}, [], id="an empty store"),
    pytest.param({"versions": [entry(13), entry(14)], "latest": latest(13)}, [13, 12, 11], id="none is newer"),
]


@pytest.mark.parametrize(("found", "numbers"), VERSIONS)
def test_which_versions_are_listed(found: Json, numbers: list[int]):
    ended = (job(START + HALF, ended=START + HALF), (pod(report(**found)),))
    status = look(dataset(status=DONE), ended, now=START + HALF + timedelta(seconds=1)).status
    assert status is not None
    assert [each.number for each in status.versions] == numbers


def test_a_holdout_that_was_told_once_is_known_from_then_on():
    first = look(dataset(), (job(START, ended=after(60)), (pod(report(latest=latest(12, holdout="e" * 64))),))).status
    assert first is not None
    assert first.versions[0].holdout == "e" * 64
    ended = (job(START + HALF, ended=START + HALF), (pod(report(latest=latest(13), versions=[entry(13), entry(12)])),))
    status = look(dataset(status=first.to_dict()), ended, now=START + HALF + timedelta(seconds=1)).status
    assert status is not None
    assert [(each.number, each.holdout) for each in status.versions] == [(13, None), (12, "e" * 64), (11, None)]
    replaced = [entry(13), entry(12, sha256="f" * 64)]
    ended = (job(START + HALF, ended=START + HALF), (pod(report(latest=latest(13), versions=replaced)),))
    status = look(dataset(status=first.to_dict()), ended, now=START + HALF + timedelta(seconds=1)).status
    assert status is not None
    assert [each.holdout for each in status.versions] == [None, None], "not of another version of that number"


MOUNTS = [{"name": "data", "mountPath": "/data"}]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"store": {"uri": "file:///tmp/parts/"}}, "file:///tmp/parts/"),
        ({"captures": {"uri": "file:///captures/line/"}}, "file:///captures/line/"),
        ({"store": {"uri": "file:///data2/parts/"}}, "file:///data2/parts/"),
        ({"labelling": {"files": {"uri": "file:///labels/"}}}, "file:///labels/"),
    ],
)
def test_what_is_on_a_volume_that_the_job_does_not_have_is_named_and_nothing_starts(spec: Json, named: str):
    template = {"spec": {"containers": [{"name": "labeler", "volumeMounts": MOUNTS}]}}
    found = decide(snapshot(dataset(template=template, **spec)), START)
    assert (found.actions, found.requeue_after) == ((), None)
    assert isinstance(found.status, DatasetStatus)
    stalled = find(found.status.conditions, "Stalled")
    assert stalled is not None
    assert stalled.reason == "SourceNotMounted"
    assert stalled.message == (
        f"{named} is on a volume, which the Job does not have. Mount it in container labeler of spec.template."
    )
    on_data = {"store": {"uri": "file:///data/parts/"}, "captures": {"uri": "file:///data/captures/"}}
    assert decide(snapshot(dataset(template=template, **on_data)), START).actions


def test_instructions_that_no_process_can_be_started_with_are_said_and_no_job_is_made():
    """A pod with such a variable ends before its first line: exec fails, at each try of each sync."""
    names = [f"{number:04}".ljust(128, "x") for number in range(1000)]
    found = look(dataset(classes=names), now=START)
    assert (found.actions, found.requeue_after) == ((), None)
    assert found.status is not None
    stalled = find(found.status.conditions, "Stalled")
    assert stalled is not None
    assert stalled.reason == "RunTooLong"
    assert "bytes longer than an environment variable can be (128 KiB), and the 1000 names of spec.classes take" in (
        stalled.message
    )
    assert look(dataset(classes=names[:900]), now=START).actions
