"""What is gathered of a TrainingJob: when a request is made, when a log is read, and how lines wake the owner."""

import asyncio

import pytest

from modelfleet import telemetry
from modelfleet.kinds import TRAINING_JOB, Key
from modelfleet.kube import Invalid, NotFound, Store, Unavailable
from modelfleet.kube.client import Listing
from modelfleet.reconcile import Deps
from modelfleet.settings import Images, Settings
from modelfleet.training import controller, observe
from modelfleet.training.decide import decide
from unit.training.builders import (
    DETAIL,
    IMAGE,
    NAMESPACE,
    START,
    after,
    condition,
    detail_line,
    ended,
    failed_pod,
    fine_tune,
    job,
    model_version,
    pod,
    rollout,
    succeeded_pod,
    training_job,
    wire,
)

KEY = Key(NAMESPACE, "parts-v4")


class Client:
    """Answers as told, and takes note of what it was asked."""

    def __init__(self, job=None, log="", events=()):
        self.job, self.log, self.events, self.asked = job, log, events, []

    async def get(self, kind, namespace, name):
        self.asked.append(f"get {kind}")
        if self.job is None:
            raise NotFound("not found", code=404)
        return self.job

    async def read_log(self, namespace, pod, container, tail_lines=None):
        self.asked.append(f"log {pod}")
        if isinstance(self.log, Exception):
            raise self.log
        return self.log

    async def list(self, kind, namespace, *, fields):
        self.asked.append(f"list {kind} {namespace} {fields}")
        return Listing(self.events, 1)


class Logs:
    """Lines as told, for any pod."""

    def __init__(self, lines=()):
        self._lines, self.followed, self.forgotten, self.on_line = lines, [], [], None

    def follow(self, namespace, pod, uid, container, on_line):
        self.followed.append((namespace, pod, uid, container))
        self.on_line = on_line

    def lines(self, uid):
        return self._lines

    def forget(self, uid):
        self.forgotten.append(uid)


def owned(raw):
    """A pod of the Job."""
    return {**raw, "metadata": {**raw["metadata"], "ownerReferences": [{"uid": "uid-job"}]}}


async def look(*objects, client=None, logs=None, wake=lambda kind, key: None, now=START):
    store = Store()
    for number, obj in enumerate(objects, start=1):
        store.put({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}})
    settings = Settings(images=Images(trainer=IMAGE, agent=IMAGE, labeler=IMAGE))
    deps = Deps(store, client or Client(), logs or Logs(), None, settings, wake, lambda: now, telemetry.Metrics("test"))
    return await controller(deps).observe(KEY)


async def test_a_training_job_that_is_gone_is_nothing():
    assert await look() is None


async def test_references_are_resolved_while_there_is_no_job():
    line = rollout("line", stableVersion="v2")
    seen = await look(fine_tune({"rollout": "line"}), line, model_version("v2"), model_version("v3"))
    assert seen.parent.spec.version == "v2"
    assert seen.baseline is None
    assert seen.image == IMAGE


async def test_a_checkpoint_is_no_version_that_could_be_missing():
    public = {"uri": "s3://models/yolo11n.pt", "sha256": "a" * 64}
    seen = await look(fine_tune({"checkpoint": public}), model_version("v1"))
    assert seen.parent is None


@pytest.mark.parametrize("baseline", [None, {"tag": "latest"}])
async def test_a_tag_passes_over_what_has_no_weights(baseline):
    evaluation = None if baseline is None else {"dataset": {"uri": "s3://data/h.tar"}, "baseline": baseline}
    exported = model_version("v7", created=after(7), formats=("onnx",))
    seen = await look(fine_tune({"tag": "latest"}, evaluation=evaluation), model_version("v1"), exported)
    assert seen.parent.spec.version == "v1"
    assert baseline is None or seen.baseline.spec.version == "v1"
    assert seen.passed_over == "v7 was passed over: it has no pytorch file, which training needs"
    outcome = decide(seen, after(8))
    ready = next(each for each in outcome.status.conditions if each.type == "Ready")
    assert ready.message.endswith(f"The tag does not mean the newest Ready version: {seen.passed_over}.")
    assert [each.message for each in outcome.announcements] == [
        f"The tag does not mean the newest Ready version: {seen.passed_over}."
    ]


async def test_a_tag_that_only_versions_without_weights_carry():
    seen = await look(fine_tune({"tag": "latest"}), model_version("v7", formats=("onnx",)))
    ready = next(each for each in decide(seen, after(8)).status.conditions if each.type == "Ready")
    assert ready.reason == "ParentWithoutWeights"
    assert "v7 was passed over: it has no pytorch file, which training needs" in ready.message


@pytest.mark.parametrize(
    ("before", "meant"),
    [(None, "v3"), ("v2", "v2"), ("v1", "v3")],
)
async def test_a_reference_stays_what_an_earlier_job_of_the_run_was_told(before, meant):
    """Unless that version can't be used any more."""
    status = {} if before is None else {"version": "v4", "parent": before}
    training = fine_tune({"tag": "latest"}, status=status)
    seen = await look(training, model_version("v2"), model_version("v3"), model_version("v1", deleting=True))
    assert seen.parent.spec.version == meant


async def test_a_job_that_is_not_watched_is_asked_for():
    client = Client(job=job(owner="uid-of-another"))
    seen = await look(training_job(), client=client)
    assert client.asked == ["get Job"]
    assert seen.job is not None
    assert seen.own_job is None


@pytest.mark.parametrize(
    "objects",
    [
        (training_job(), job()),
        (training_job(status={"conditions": [condition("Failed", "True", "DiskFull")]}),),
    ],
)
async def test_no_request_is_made_otherwise(objects):
    client = Client()
    await look(*objects, owned(pod()), client=client)
    assert client.asked == []


REFUSED = {"metadata": {"creationTimestamp": wire(after(1))}, "message": "Error creating: exceeded quota: none"}
ASKED = "list Event factory involvedObject.uid=uid-job,reason=FailedCreate"


@pytest.mark.parametrize(
    ("objects", "seconds", "no_pod"),
    [
        pytest.param((job(),), 4, None, id="its pod is on its way"),
        pytest.param((job(),), 5, "exceeded quota: none", id="the first one is missing"),
        pytest.param((job(), owned(pod())), 600, None, id="it has one"),
        pytest.param((job(), owned(failed_pod())), 600, "", id="the next one is missing, the words are of the first"),
        pytest.param((job(), owned(failed_pod(exit_code=64))), 600, None, id="no other follows"),
        pytest.param((job(suspend=True),), 600, None, id="suspended"),
        pytest.param((job(deleting=True),), 600, None, id="being deleted"),
        pytest.param((job(status=ended(False, reason="BackoffLimitExceeded")),), 600, None, id="over"),
        pytest.param(
            (job(status=ended(False, reason="DeadlineExceeded")),), 600, "exceeded quota: none", id="never had one"
        ),
        pytest.param((job(status=ended(False, reason="DeadlineExceeded", failed=1)),), 600, None, id="had one"),
    ],
)
async def test_events_are_read_while_a_pod_is_missing(objects, seconds, no_pod):
    client = Client(events=(REFUSED,))
    seen = await look(training_job(), *objects, client=client, now=after(seconds))
    assert (client.asked, seen.no_pod) == ([] if no_pod is None else [ASKED], no_pod or "")


async def test_only_pods_of_this_very_job_are_attempts():
    """One of an earlier Job of the same name may still be on its way out."""
    stranger = {**pod(1), "metadata": {**pod(1)["metadata"], "ownerReferences": [{"uid": "uid-of-an-earlier-job"}]}}
    seen = await look(training_job(), job(), stranger, owned(pod(2)))
    assert [attempt.name for attempt in seen.attempts] == ["parts-v4-2"]


async def test_logs_are_followed_once_the_trainer_runs_and_forgotten_at_the_end():
    logs = Logs(('{"event": "x"}',))
    seen = await look(training_job(), job(), owned(pod(1)), owned(pod(2, phase="Pending", started=False)), logs=logs)
    assert logs.followed == [(NAMESPACE, "parts-v4-1", "uid-pod-1", "trainer")]
    assert seen.lines == ('{"event": "x"}',)
    over = training_job(status={"conditions": [condition("Complete", "True", "Complete")]})
    logs = Logs()
    await look(over, job(), owned(pod(1)), logs=logs)
    assert (logs.followed, logs.forgotten) == ([], ["uid-pod-1"])


ENDED = (training_job(), job(status=ended(True)), owned(succeeded_pod()))


async def test_the_detail_comes_from_the_tail_without_a_request():
    client = Client()
    seen = await look(*ENDED, client=client, logs=Logs(("{}", detail_line())))
    assert seen.detail.content == DETAIL
    assert client.asked == []


async def test_the_detail_comes_from_the_log_where_the_tail_lacks_it():
    seen = await look(*ENDED, client=Client(log=f"chatter\n{detail_line()}\n"))
    assert seen.detail.content == DETAIL


@pytest.mark.parametrize(
    ("log", "lost", "says"),
    [
        ("chatter\n", True, "does not hold the details"),
        (NotFound("gone", code=404), True, "the pod is gone"),
        (Unavailable("dial tcp: timeout"), False, "can't be read: dial tcp: timeout"),
        (Invalid("container not found"), False, "container not found"),
    ],
)
async def test_a_detail_that_can_not_be_had_says_why(log, lost, says):
    seen = await look(*ENDED, client=Client(log=log))
    assert seen.detail.content is None
    assert seen.detail.lost is lost
    assert says in seen.detail.problem


@pytest.mark.parametrize(
    "objects",
    [
        (training_job(), job(), owned(succeeded_pod())),  # the Job has not ended yet
        (training_job(), job(status=ended(True)), owned(succeeded_pod(detailSha256="no digest"))),
        (training_job(status={"conditions": [condition("Complete", "True", "Complete")]}), *ENDED[1:]),
        (*ENDED, model_version("v4", annotations={"modelfleet.dev/training-job-uid": "uid-parts-v4"})),
    ],
)
async def test_no_log_is_read_while_its_detail_is_not_needed(objects):
    client = Client(log=detail_line())
    seen = await look(*objects, client=client)
    assert seen.detail is None
    assert client.asked == []


async def test_many_lines_wake_the_owner_once_and_a_moment_later(monkeypatch):
    monkeypatch.setattr(observe, "_NUDGE", 0.01)
    woken = []
    logs = Logs()
    await look(training_job(), job(), owned(pod()), logs=logs, wake=lambda kind, key: woken.append((kind, key)))
    for _ in range(100):
        logs.on_line()
    assert woken == []
    await asyncio.sleep(0.05)
    assert woken == [(TRAINING_JOB, KEY)]
    logs.on_line()
    await asyncio.sleep(0.05)
    assert len(woken) == 2
