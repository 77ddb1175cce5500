"""What can't be taken back is decided on the owner as the API server has it now."""

from datetime import timedelta

import pytest

from modelfleet.decision import Apply, Decision, Delete
from modelfleet.kinds import POD, TRAINING_JOB
from modelfleet.kube import NotFound, Unavailable
from unit.kube.raw import obj
from unit.reconciling import Bench, job, status


@pytest.fixture
def bench():
    return Bench()


def newer(bench, version=20, **spec):
    """Somebody changes the owner, and no watch has said so."""
    bench.api.newest = {**obj(TRAINING_JOB, "t", version), "spec": spec}


def by_the_owner(irrevocable):
    """A decision that is taken back where the owner says stop."""
    return lambda snapshot: Decision() if (snapshot[0].get("spec") or {}).get("stop") else irrevocable


FURTHER = Decision((Apply(job("a")),), status=status(), irrevocable=True)
GONE = Decision((Delete(POD, "ns", "p", "u"),))


@pytest.mark.parametrize("decision", [FURTHER, GONE])
async def test_what_was_set_meanwhile_is_obeyed(bench, decision):
    newer(bench, stop=True)
    bench.decision = by_the_owner(decision)
    await bench.run()
    assert bench.api.reads == ["t"]
    assert bench.api.calls == []
    assert bench.store.get(TRAINING_JOB, "ns", "t")["spec"] == {"stop": True}
    assert len(bench.seen) == 2


async def test_it_is_carried_out_when_nothing_has_changed(bench):
    bench.decision = FURTHER
    await bench.run()
    assert bench.api.reads == ["t"]
    assert [call[0] for call in bench.api.calls] == ["apply", "status"]
    assert len(bench.seen) == 1


async def test_it_is_carried_out_when_something_else_has_changed(bench):
    newer(bench, other=1)
    bench.decision = by_the_owner(FURTHER)
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "status"]
    assert len(bench.seen) == 2


async def test_what_can_be_taken_back_asks_nothing(bench):
    bench.decision = Decision((Apply(job("a")),), status=status())
    await bench.run()
    assert bench.api.reads == []


async def test_further_looks_at_the_same_version_ask_nothing_more():
    bench = Bench(with_status=lambda snapshot, status: snapshot)
    bench.decision = FURTHER
    await bench.run()
    assert len(bench.seen) == 3
    assert bench.api.reads == ["t"]


async def test_an_owner_that_is_gone_needs_nothing(bench):
    bench.api.newest = None
    bench.api.fails["get"] = NotFound("gone")
    bench.decision = FURTHER
    await bench.run()
    assert bench.api.calls == []
    assert bench.queue.next_due() is None


async def test_without_an_answer_nothing_is_done_and_it_comes_back(bench):
    bench.api.fails["get"] = Unavailable("away")
    bench.decision = FURTHER
    await bench.run()
    assert bench.api.calls == []
    bench.clock.now = timedelta(minutes=2).total_seconds()
    assert bench.queue.take() is not None
