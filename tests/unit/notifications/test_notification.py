"""What becomes a notification, and when two are one."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from modelfleet.api.reasons import ConditionType, Reason, catalogue
from modelfleet.api.reasons.entry import EVENT, Topic
from modelfleet.decision import Announce
from modelfleet.kinds import ROLLOUT, TRAINING_JOB
from modelfleet.notifications import notification
from modelfleet.notifications.notification import Notification
from unit.kube.raw import obj
from unit.notifications.samples import NOW, PROMOTED

LINE = obj(ROLLOUT, "line", 7, labels={"team": "vision"})
ENTRIES = [(kind, entry) for kind, entries in catalogue.CATALOGUE.items() for entry in entries]


def made(*announcements, owner=LINE, kind="Rollout", cluster=""):
    return notification.of(owner, kind, announcements, cluster, NOW)


def test_an_announcement_with_a_topic_becomes_a_notification():
    [it] = made(Announce("Normal", Reason.PROMOTED, "v2 is stable now", version="v2"), cluster="plant-3")
    assert it == Notification(
        id=it.id,
        topic="rollout.promoted",
        reason="Promoted",
        severity="Normal",
        time=NOW,
        cluster="plant-3",
        kind="Rollout",
        namespace="ns",
        name="line",
        uid="uid-line",
        labels={"team": "vision"},
        version="v2",
        message="v2 is stable now",
    )


@pytest.mark.parametrize("reason", [Reason.ROLLOUT_STARTED, Reason.GATE_PASSED, "CreateContainerConfigError"])
def test_one_without_a_topic_does_not(reason):
    assert made(Announce("Warning", reason, "x")) == ()


def test_what_a_reason_does_not_tell_the_announcement_does():
    said = Announce("Warning", "BackoffLimitExceeded", "it failed", topic=Topic.TRAINING_FAILED)
    [it] = made(said, owner=obj(TRAINING_JOB, "t", 1), kind="TrainingJob")
    assert (it.topic, it.reason) == ("training.failed", "BackoffLimitExceeded")


def test_what_is_said_with_one_reason_in_one_decision_is_one_notification():
    said = [
        Announce("Normal", Reason.GATE_FAILED, "the gate failed v2"),
        Announce("Warning", Reason.GATE_FAILED, "v2 stays where it is", version="v2"),
        Announce("Warning", Reason.ROLLED_BACK, "v2 failed"),
        Announce("Warning", Reason.GATE_FAILED, "v2 stays where it is"),
    ]
    failed, back = made(*said)
    assert (failed.message, failed.severity) == ("the gate failed v2\nv2 stays where it is", "Warning")
    assert back.reason == "RolledBack"
    assert (failed.version, back.version) == ("v2", None)
    assert failed.id != back.id


def test_the_id_tells_transitions_apart_and_stays_with_one():
    said = Announce("Normal", Reason.WAITING_FOR_APPROVAL, "v2 awaits approval")
    [first], [again] = made(said), notification.of(LINE, "Rollout", [said], "", NOW + timedelta(minutes=1))
    [later] = made(said, owner=obj(ROLLOUT, "line", 8))
    [other] = made(said, owner=obj(ROLLOUT, "line", 7, uid="another"))
    assert first.id == again.id
    assert len({first.id, later.id, other.id}) == 3
    assert len(first.id) == 32


def test_messages_are_bounded():
    [it] = made(Announce("Normal", Reason.PROMOTED, "x" * 5000))
    assert len(it.message) == 4096


def test_it_survives_json():
    text = json.dumps(PROMOTED.to_dict())
    assert Notification.from_dict(json.loads(text)) == PROMOTED
    assert json.loads(text)["time"] == "2026-11-29T10:00:00.250Z"
    moved = Notification.from_dict({**PROMOTED.to_dict(), "time": "2026-11-29T11:00:00+01:00"})
    assert moved.time == datetime(2026, 11, 29, 11, 0, tzinfo=timezone(timedelta(hours=1)))
    assert moved.time.astimezone(UTC).hour == 10


@pytest.mark.parametrize("change", [{"id": None}, {"time": "soon"}])
def test_what_is_none_raises(change):
    data = {**PROMOTED.to_dict(), **change}
    missing = {name: value for name, value in data.items() if value is not None}
    with pytest.raises((KeyError, ValueError)):
        Notification.from_dict(missing)


@pytest.mark.parametrize(("kind", "entry"), ENTRIES, ids=lambda each: getattr(each, "reason", each))
def test_only_events_are_notifications(kind, entry):
    if entry.topic is not None:
        assert EVENT in entry.where
        assert catalogue.topic_of(kind, entry.reason) is entry.topic
        assert any("notification" in place for place in entry.shown_in)


@pytest.mark.parametrize("topic", Topic)
def test_every_topic_has_a_reason(topic):
    """Failed trainings aside, which have many: there the announcement gives it."""
    found = {kind for kind, entry in ENTRIES if entry.topic is topic}
    assert found or topic is Topic.TRAINING_FAILED
    kinds = {"rollout": "Rollout", "training": "TrainingJob", "dataset": "Dataset"}
    assert found <= {kinds[topic.partition(".")[0]]}


def test_what_ends_a_training_is_shown_as_a_notification():
    ends = [entry for _, entry in ENTRIES if ConditionType.FAILED in entry.where and EVENT in entry.where]
    assert ends
    assert all("notification `training.failed`" in entry.shown_in for entry in ends)
