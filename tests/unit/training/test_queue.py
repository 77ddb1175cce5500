"""A queue that nobody serves is named; one that can't be looked at is neither good nor bad."""

from datetime import timedelta

import pytest

from modelfleet import telemetry
from modelfleet.kinds import Key
from modelfleet.kube import Forbidden, Listing, NotFound, Store, Unavailable
from modelfleet.reconcile import Deps
from modelfleet.settings import Images, Settings
from modelfleet.training import controller, kueue
from modelfleet.training.kueue import Service
from unit.training.builders import IMAGE, NAMESPACE, after, job, training_job
from unit.training.test_decide import KUEUE, events, look, message, shown

WAITS = job(training_job(labels=KUEUE))
NO_KUEUE = NotFound("404 page not found", code=404)
NO_QUEUE = NotFound('localqueues.kueue.x-k8s.io "gpus" not found', code=404, reason="NotFound")
NOT_ALLOWED = Forbidden("localqueues is forbidden", code=403, reason="Forbidden")
DOWN = Unavailable("the API server could not be reached")


def queue(*conditions):
    return {"metadata": {"name": "gpus"}, "spec": {"clusterQueue": "all"}, "status": {"conditions": list(conditions)}}


ACTIVE = {"type": "Active", "status": "True", "reason": "Ready", "message": "Can submit new workloads"}
# both messages as Kueue 0.17 has them
NOT_SUBMITTED = "Can't submit new workloads to clusterQueue"
STOPPED = "LocalQueue is stopped"


def inactive(reason, message):
    return queue({"type": "Active", "status": "False", "reason": reason, "message": message})


def workload(evicted="", **conditions):
    """A Workload of which these conditions are False, each with its message; and evicted for a reason."""
    found = [{"type": type, "status": "False", "message": message} for type, message in conditions.items()]
    found.append({"type": "Evicted", "status": "True" if evicted else "False", "reason": evicted or "QuotaReserved"})
    return {"metadata": {"name": "job-parts-v4"}, "status": {"conditions": found}}


class Client:
    """Answers as told, and takes note of what it was asked."""

    def __init__(self, version="v1beta2", found=None, workloads=()):
        self.version, self.found, self.workloads, self.asked = version, found, workloads, []

    async def preferred_version(self, group):
        self.asked.append(group)
        return _or_raise(self.version)

    async def get(self, kind, namespace, name):
        self.asked.append(f"{kind.api_version} {kind.plural} {namespace}/{name}")
        return _or_raise(self.found)

    async def list(self, kind, namespace, *, selector):
        self.asked.append(f"{kind.api_version} {kind.plural} {namespace} {selector}")
        return Listing(_or_raise(self.workloads), 1)


def _or_raise(answer):
    if isinstance(answer, Exception):
        raise answer
    return answer


class Logs:
    def lines(self, uid):
        return ()


async def observe(client, raw=WAITS, seconds=60):
    store = Store()
    for number, obj in enumerate((training_job(labels=KUEUE), raw), start=1):
        store.put({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}})
    settings = Settings(images=Images(trainer=IMAGE, agent=IMAGE, labeler=IMAGE))
    deps = Deps(
        store, client, Logs(), None, settings, lambda *_: None, lambda: after(seconds), telemetry.Metrics("test")
    )
    return await controller(deps).observe(Key(NAMESPACE, "parts-v4"))


@pytest.mark.parametrize(
    ("client", "found"),
    [
        (Client(NO_KUEUE), kueue.NOT_INSTALLED),
        (Client(found=NO_QUEUE), Service("namespace factory has no LocalQueue gpus; create it")),
        (
            Client(found=inactive("ClusterQueueDoesNotExist", NOT_SUBMITTED)),
            Service("ClusterQueue all of LocalQueue gpus does not exist; create it"),
        ),
        (
            Client(found=inactive("ClusterQueueIsInactive", NOT_SUBMITTED)),
            Service(
                "ClusterQueue all of LocalQueue gpus is not active; fix what `kubectl describe clusterqueue all` says"
            ),
        ),
        (Client(found=inactive("Stopped", STOPPED)), Service("LocalQueue gpus is stopped; remove its spec.stopPolicy")),
        (
            Client(found=inactive("SomethingNew", "not today.")),
            Service("LocalQueue gpus is not active (not today); look at its ClusterQueue"),
        ),
        (
            Client(found=queue()),
            Service("Kueue has said nothing about LocalQueue gpus; check that Kueue's controller runs"),
        ),
        (Client(found=NOT_ALLOWED), Service(unknown="localqueues is forbidden")),
        (Client(DOWN), Service(unknown="the API server could not be reached")),
    ],
)
async def test_who_serves_the_queue_is_asked_after_a_minute(client, found):
    assert (await observe(client)).queue == found
    assert client.asked[0] == "kueue.x-k8s.io"
    assert client.asked[1:] in ([], ["kueue.x-k8s.io/v1beta2 localqueues factory/gpus"])


@pytest.mark.parametrize(
    ("workloads", "waits"),
    [
        ((), ""),  # Kueue has not seen the Job yet
        ((workload(),), ""),
        (
            (workload(QuotaReserved="insufficient unused quota for\nnvidia.com/gpu", Admitted="no reservation"),),
            "Kueue says: insufficient unused quota for nvidia.com/gpu",
        ),
        ((workload(QuotaReserved="", Admitted="waits for a check"),), "Kueue says: waits for a check"),
        (
            (workload(evicted="Preempted", QuotaReserved="1 more needed"),),
            "Kueue evicted it (Preempted) and says: 1 more needed",
        ),
        ((workload(evicted="Preempted"),), "Kueue evicted it (Preempted)."),
        (Forbidden("workloads is forbidden", code=403), "What it waits for can't be looked up: workloads is forbidden"),
    ],
)
async def test_what_it_waits_for_in_a_queue_that_is_served_is_said_in_kueues_words(workloads, waits):
    client = Client(found=queue(ACTIVE), workloads=workloads)
    seen = await observe(client)
    assert seen.queue == Service(waits=waits)
    assert client.asked[2:] == [f"kueue.x-k8s.io/v1beta2 workloads factory kueue.x-k8s.io/job-uid={seen.job.uid}"]
    decision = look(training_job(labels=KUEUE), job=WAITS, queue=seen.queue, now=after(60))
    assert message(decision) == f"Waiting for admission by Kueue queue gpus. {waits}".rstrip()


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (WAITS, 59),
        (job(training_job(labels=KUEUE), suspend=False), 4),  # it was let go on: its pod may come
        (job(suspend=True), 600),  # it is in no queue
        (job(training_job(labels=KUEUE), deleting=True), 600),
    ],
)
async def test_nobody_is_asked_before_it_has_waited(raw, seconds):
    client = Client()
    assert (await observe(client, raw, seconds)).queue is None
    assert client.asked == []


def test_a_queue_that_nobody_serves_is_said():
    decision = look(training_job(labels=KUEUE), job=WAITS, queue=kueue.NOT_INSTALLED, now=after(60))
    assert shown(decision) == "Ready=False/QueueNotServed Stalled"
    assert decision.status.phase == "Queued"
    assert "queue gpus, and nobody serves it: Kueue is not installed in this cluster; install it" in message(decision)
    assert ("Warning", "QueueNotServed") in events(decision)
    assert decision.requeue_after == timedelta(minutes=1)
    assert decision.actions == ()


@pytest.mark.parametrize(
    ("found", "seconds", "again"),
    [
        (None, 10, timedelta(seconds=50)),
        (Service(), 60, timedelta(minutes=10)),
        (Service(unknown="localqueues is forbidden"), 60, timedelta(minutes=10)),
    ],
)
def test_a_queue_that_nothing_speaks_against_is_waited_for(found, seconds, again):
    decision = look(training_job(labels=KUEUE), job=WAITS, queue=found, now=after(seconds))
    assert shown(decision) == "Ready=False/Queued Reconciling"
    assert ("can't be looked up: localqueues is forbidden" in message(decision)) is bool(found and found.unknown)
    assert decision.requeue_after == again
