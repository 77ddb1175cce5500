"""What the API server refuses is told the user, once; what may pass is not."""

import pytest

from modelfleet.decision import Announce, Apply, Create, Decision, Delete, Patch
from modelfleet.kinds import NODE, POD, TRAINING_JOB
from modelfleet.kube import Conflict, Forbidden, Invalid, Unavailable
from unit.kube.raw import obj
from unit.reconciling import Bench, job, status


@pytest.fixture
def bench():
    return Bench()


@pytest.mark.parametrize("error", [Invalid("spec.x: must not be"), Forbidden("exceeded quota: jobs")])
async def test_refusal_reaches_the_user_once(bench, error):
    bench.api.fails["apply"] = error
    bench.decision = Decision((Apply(job("a")),), (), status())
    for _ in range(3):
        await bench.run()
    written = [call[1]["status"] for call in bench.api.calls if call[0] == "status"]
    assert len(written) == 1
    stalled = next(each for each in written[0]["conditions"] if each["type"] == "Stalled")
    assert (stalled["reason"], stalled["message"], stalled["lastTransitionTime"]) == (
        "ApplyRejected",
        f"The API server refused Job ns/a: {error.message}",
        "2026-11-21T10:00:00Z",
    )
    assert bench.queue.next_due() is not None


@pytest.mark.parametrize(
    ("action", "named"),
    [
        (Create(job("a")), "Job ns/a"),
        (Create(obj(NODE, "n", 0)), "Node n"),
        (Patch(TRAINING_JOB, "ns", "t", {"metadata": {}}), "TrainingJob ns/t"),
        (Delete(POD, "ns", "p", "u"), "Pod ns/p"),
    ],
)
async def test_refusal_names_what_was_refused(bench, action, named):
    bench.api.fails[type(action).__name__.lower()] = Forbidden("not for you")
    bench.decision = Decision((action,), (Announce("Normal", "X", "x"),), status())
    await bench.run()
    (_, (_, written)) = bench.api.calls
    stalled = next(each for each in written["status"]["conditions"] if each["type"] == "Stalled")
    assert stalled["message"] == f"The API server refused {named}: not for you"


@pytest.mark.parametrize("error", [Unavailable("down"), Conflict("changed")])
async def test_what_is_no_refusal_is_not_told_the_user(bench, error):
    bench.api.fails["apply"] = error
    bench.decision = Decision((Apply(job("a")),), (), status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply"]


async def test_refusal_is_gone_once_the_apply_succeeds(bench):
    bench.api.fails["apply"] = Invalid("no")
    bench.decision = Decision((Apply(job("a")),), (), status())
    await bench.run()
    bench.api.fails.clear()
    await bench.run()
    found = bench.store.get(TRAINING_JOB, "ns", "t")["status"]["conditions"]
    assert [each["type"] for each in found] == ["Ready"]


async def test_namespace_that_is_being_deleted_is_not_the_users_mistake(bench):
    bench.api.fails["apply"] = Forbidden("unable to create new content in namespace ns because it is being terminated")
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply"]


async def test_refusal_that_can_not_be_reported_is_retried_all_the_same(bench):
    bench.api.fails.update(apply=Invalid("no"), status=Unavailable("down"))
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Invalid") == 1
    assert bench.queue.next_due() is not None
