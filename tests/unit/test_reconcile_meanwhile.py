"""What happens to the owner while it is looked at: a status never meets another owner, nor a newer status."""

import pytest

from modelfleet.decision import Decision
from modelfleet.kinds import TRAINING_JOB
from modelfleet.kube import Conflict
from unit.kube.raw import obj
from unit.reconciling import KEY, Bench, status


@pytest.fixture
def bench():
    return Bench()


async def test_status_changed_by_another_process_meanwhile_is_not_overwritten(bench):
    async def observe(key):
        snapshot = bench.store.get(TRAINING_JOB, *key)
        bench.store.put({**obj(TRAINING_JOB, "t", 11), "status": {"phase": "Running"}})  # it comes while we look
        bench.observe = bench._observe
        return snapshot, ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="conflict") == 1
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["status"]


async def test_conflict_is_looked_at_again(bench):
    bench.api.fails["status"] = Conflict("the object has been modified")
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.queue.next_due() == 1
    assert bench.queue.failures(KEY) == 1
    assert bench.counted("reconcile_total", kind="TrainingJob", result="conflict") == 1
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Conflict") == 1


async def test_a_status_that_is_empty_and_one_that_is_not_there_are_the_same(bench):
    async def observe(key):
        bench.store.put({**obj(TRAINING_JOB, "t", 11), "status": {}})
        return (), ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["status"]


async def test_another_owner_of_that_name_does_not_get_the_status_of_the_one_that_is_gone(bench):
    async def observe(key):
        bench.store.remove(obj(TRAINING_JOB, "t", 11))
        bench.store.put(obj(TRAINING_JOB, "t", 12, uid="uid-another"))
        return (), ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("status_writes_total", kind="TrainingJob") is None
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_owner_that_came_while_it_was_looked_at_is_left_to_the_next_look(bench):
    bench.store.remove(obj(TRAINING_JOB, "t", 10))

    async def observe(key):
        bench.store.put(obj(TRAINING_JOB, "t", 12, uid="uid-another"))
        return (), ()

    bench.observe = observe
    await bench.run()
    assert bench.seen == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_owner_deleted_while_it_was_looked_at_gets_no_status(bench):
    async def observe(key):
        bench.store.remove(obj(TRAINING_JOB, "t", 11))
        return None, ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_owner_that_is_gone_is_left_alone(bench):
    async def observe(key):
        return None

    bench.observe = observe
    await bench.run()
    assert bench.seen == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1
