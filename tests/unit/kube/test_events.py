"""Kubernetes Events: the same news has the same name."""

from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.kinds import NODE, TRAINING_JOB
from modelfleet.kube import events
from unit.kube.raw import obj

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def test_event_points_at_its_object():
    event = events.build(obj(TRAINING_JOB, "t", 7), "Normal", "Started", "it began", NOW)
    assert event["involvedObject"] == {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "TrainingJob",
        "namespace": "ns",
        "name": "t",
        "uid": "uid-t",
        "resourceVersion": "7",
    }
    assert event["metadata"]["namespace"] == "ns"
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Normal", "Started", "it began", 1)
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-21T10:00:00Z"


def test_same_news_has_the_same_name_and_other_news_another():
    def name(uid="u", type="Normal", reason="R", message="m", now=NOW):
        return events.build(obj(TRAINING_JOB, "t", 1, uid=uid), type, reason, message, now)["metadata"]["name"]

    assert name() == name(now=NOW + timedelta(hours=1))
    assert len({name(), name(uid="v"), name(type="Warning"), name(reason="S"), name(message="n")}) == 5


def test_names_and_messages_stay_within_the_limits():
    event = events.build(obj(TRAINING_JOB, "t" * 253, 1), "Normal", "R", "m" * 5000, NOW)
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["message"]) == 1024


def test_cluster_scoped_objects_have_their_events_in_the_default_namespace():
    event = events.build(obj(NODE, "n", 1), "Normal", "R", "m", NOW)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


@pytest.mark.parametrize(
    ("said", "stamps"),
    [
        ([("a", 0)], [0]),
        ([("a", 0.2), ("a", 0.3), ("a", 0.9)], [0, 1, 2]),
        ([("a", 0), ("a", 0), ("a", 1), ("a", 1)], [0, 1, 2, 3]),  # still ahead of the clock
        ([("a", 0), ("a", 0), ("a", 2)], [0, 1, 2]),
        ([("a", 0), ("a", 1.5)], [0, 1]),
        ([("a", 0), ("b", 0), ("a", 0.5), ("b", 9)], [0, 0, 1, 9]),  # each object for itself
    ],
)
def test_what_is_said_in_one_second_has_a_second_each_in_that_order(said, stamps):
    of = events.Stamps()
    found = [of.next(uid, NOW + timedelta(seconds=second)) for uid, second in said]
    assert found == [NOW + timedelta(seconds=second) for second in stamps]


def test_objects_of_which_nothing_is_said_are_forgotten():
    of = events.Stamps()
    for number in range(1000):
        of.next(f"uid-{number}", NOW + timedelta(seconds=number))
    assert len(of._last) == 1


def test_repeat_counts_up_under_the_version_that_was_read():
    patch = events.repeat({"metadata": {"resourceVersion": "9"}, "count": 3}, NOW)
    assert patch == {"metadata": {"resourceVersion": "9"}, "count": 4, "lastTimestamp": "2026-11-21T10:00:00Z"}
