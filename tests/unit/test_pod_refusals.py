"""Why a Job gets no pod, in the Job controller's words. Of the DaemonSet controller's: rollout/test_no_pods.py."""

from datetime import timedelta

import pytest

from modelfleet import pod_refusals
from modelfleet.kinds import JOB, Key
from modelfleet.kube import Forbidden
from modelfleet.kube.client import Listing
from modelfleet.workloads.job_run import job_run
from unit.datasets.builders import job, pod
from unit.training.builders import NAMESPACE, START, wire

KEY = Key(NAMESPACE, "parts-1")
QUOTA = 'pods "parts-1-" is forbidden: exceeded quota: none.'
LATER = START + timedelta(minutes=1)


class Client:
    """Lists these Events, or fails."""

    def __init__(self, *events, failure=None):
        self.events, self.failure, self.asked = events, failure, 0

    async def list(self, kind, namespace, *, fields):
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return Listing(self.events, 1)


def event(message, at):
    return {"metadata": {"creationTimestamp": wire(at)}, "message": f"Error creating: {message}"}


def run(*pods, **of_job):
    return job_run(job(START, **of_job), pods, "labeler")


async def test_words_from_before_are_not_taken():
    old, new = event("old", START), event("new", LATER)
    assert await pod_refusals.said(Client(old, new), JOB, KEY, "uid") == "new"
    assert await pod_refusals.said(Client(old), JOB, KEY, "uid", since=LATER) == ""
    assert await pod_refusals.said(Client(old, new), JOB, KEY, "uid", since=LATER) == "new"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (QUOTA, QUOTA),
        (
            'pods "parts-1-x7f2k" is forbidden: exceeded quota: none.',
            'pods "parts-1-…" is forbidden: exceeded quota: none.',
        ),
        ('priorityclasses "line-prtty" not found', 'priorityclasses "line-prtty" not found'),
    ],
    ids=["the name is not made yet", "the name is made", "a name that people gave"],
)
async def test_the_names_of_pods_that_never_were_do_not_change_the_words(message, said):
    assert await pod_refusals.said(Client(event(message, START)), JOB, KEY, "uid") == said


async def test_a_job_without_a_pod_is_explained_after_a_while():
    client = Client(event(QUOTA, START))
    assert (await pod_refusals.explained(run(), NAMESPACE, client, LATER)).problem.message == (
        f"No pod was created: {QUOTA.rstrip('.')}"
    )
    assert client.asked == 1


@pytest.mark.parametrize(
    ("found", "at"),
    [
        pytest.param(run(), LATER - timedelta(seconds=1), id="not yet"),
        pytest.param(run(pod()), LATER, id="it has one"),
        pytest.param(run(pod(unschedulable="no room")), LATER, id="it has one that waits"),
        pytest.param(run(ended=LATER, succeeded=False, reason="DeadlineExceeded"), LATER, id="it is over"),
    ],
)
async def test_events_are_not_read_otherwise(found, at):
    client = Client(event(QUOTA, START))
    assert await pod_refusals.explained(found, NAMESPACE, client, at) is found
    assert client.asked == 0


@pytest.mark.parametrize("client", [Client(), Client(failure=Forbidden("events is forbidden"))])
async def test_without_words_it_stays_as_it_was(client):
    assert (await pod_refusals.explained(run(), NAMESPACE, client, LATER)).problem == run().problem
