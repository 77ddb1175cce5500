"""Looks within one reconcile: what actions bring about comes into the same status."""

from datetime import timedelta

import pytest

from modelfleet.api import TrainingJobStatus
from modelfleet.decision import Announce, Apply, Decision, Delete
from modelfleet.kinds import JOB, TRAINING_JOB
from modelfleet.kube import Forbidden, Unavailable
from unit.kube.raw import obj
from unit.reconciling import KEY, Bench, job


def looking_again():
    """A bench whose controller can look again before the status is written; its snapshots end in that status."""
    return Bench(with_status=lambda snapshot, status: (*snapshot[:2], status))


def in_steps(*decisions):
    """One decision after the other, whatever is observed."""
    waiting = iter(decisions)
    return lambda snapshot: next(waiting)


async def test_what_actions_bring_about_comes_into_the_same_status():
    bench = looking_again()
    first = Decision((Apply(job("a")),), (Announce("Normal", "First", ""),), TrainingJobStatus(phase="Pending"))
    second = Decision((), (Announce("Normal", "Second", ""),), TrainingJobStatus(phase="Running"), timedelta(seconds=9))
    bench.decision = in_steps(first, second)
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "status", "event", "event"]
    assert bench.store.get(TRAINING_JOB, *KEY)["status"]["phase"] == "Running"
    assert len(bench.seen[0]) == 2  # nothing had been decided
    assert [each["metadata"]["name"] for each in bench.seen[1][1]] == ["a"]  # it saw what was applied
    assert bench.seen[1][2] == first.status  # and what had been decided
    assert bench.queue.next_due() == 9


async def test_a_second_look_that_has_no_status_leaves_that_of_the_first():
    bench = looking_again()
    bench.decision = in_steps(Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending")), Decision())
    await bench.run()
    assert bench.store.get(TRAINING_JOB, *KEY)["status"]["phase"] == "Pending"


async def test_looks_within_one_reconcile_are_bounded():
    bench = looking_again()
    bench.decision = Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending"))
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "apply", "apply", "status"]


async def test_news_that_the_second_look_saw_does_not_bring_a_third():
    bench = looking_again()
    bench.store.subscribe(lambda kind, before, now: bench.queue.add(KEY) if kind == JOB else None)
    bench.decision = in_steps(Decision((Apply(job("a")),)), Decision())
    await bench.run()
    assert bench.queue.take() is None


async def test_news_of_the_last_look_is_left_to_the_queue():
    bench = looking_again()
    bench.store.subscribe(lambda kind, before, now: bench.queue.add(KEY) if kind == JOB else None)
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert bench.queue.take() == KEY


async def test_a_refusal_at_the_second_look_is_reported_and_retried():
    bench = looking_again()
    steps = in_steps(
        Decision(
            (Apply(job("a")),),
            status=TrainingJobStatus(phase="Pending"),
            announcements=(Announce("Normal", "Made", "made it"),),
        ),
        Decision((Delete(JOB, "ns", "a", "u"),), status=TrainingJobStatus(phase="Running")),
    )
    bench.decision = steps
    bench.api.fails["delete"] = Forbidden("no")
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "delete", "status", "event", "status"]
    assert bench.store.get(TRAINING_JOB, *KEY)["status"]["phase"] == "Pending"  # of the look whose writes were done
    stalled = bench.store.get(TRAINING_JOB, *KEY)["status"]["conditions"]
    assert {each["reason"] for each in stalled} == {"ApplyRejected"}
    assert bench.queue.failures(KEY) == 1


@pytest.mark.parametrize("breaks", ["read", "decision"])
async def test_what_the_first_look_found_is_said_where_the_second_comes_to_nothing(breaks):
    bench = looking_again()
    first = Decision((Apply(job("a")),), (Announce("Normal", "Made", "made it"),), TrainingJobStatus(phase="Pending"))
    second = Decision((Delete(JOB, "ns", "a", "u"),), status=TrainingJobStatus(phase="Running"))

    def decide(snapshot):
        if len(bench.seen) == 1:
            return first
        if breaks == "decision":
            raise ValueError("a bug")
        bench.api.fails["get"] = Unavailable("away")  # the owner is read before anything is deleted
        return second

    bench.decision = decide
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "status", "event"]
    assert bench.store.get(TRAINING_JOB, *KEY)["status"]["phase"] == "Pending"
    assert bench.queue.failures(KEY) == 1


async def test_an_owner_made_again_between_two_looks_gets_no_status_of_the_old_one():
    bench = looking_again()

    def first(snapshot):
        bench.store.remove(obj(TRAINING_JOB, "t", 11))
        bench.store.put(obj(TRAINING_JOB, "t", 12, uid="another"))
        return Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending"))

    bench.decision = first
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply"]
