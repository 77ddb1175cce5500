"""The chain of decisions about a TrainingJob, as tables: what is seen, and what follows."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from modelfleet.api.conditions import find
from modelfleet.decision import Create, Delete, Patch
from modelfleet.kinds import JOB
from modelfleet.training.decide import decide
from modelfleet.training.jobs import Interruptions
from modelfleet.training.modelversion import TRAINING_JOB_SPEC, TRAINING_JOB_UID
from modelfleet.training.snapshot import Detail
from modelfleet.versions.resolve import Missing
from unit.training.builders import (
    DETAIL,
    START,
    UID,
    after,
    condition,
    ended,
    epoch_line,
    failed_pod,
    fine_tune,
    job,
    model_version,
    pod,
    snapshot,
    succeeded_pod,
    training_job,
    versions,
)

KUEUE = {"kueue.x-k8s.io/queue-name": "gpus"}
OURS = {TRAINING_JOB_UID: UID}
REJECTED = {"result": "Failed", "message": "recall fell"}
SUSPENDED_BY_US = {"modelfleet.dev/suspended": "true"}


def look(*args, now=None, **kwargs):
    return decide(snapshot(*args, **kwargs), now or after(10))


def shown(decision):
    """The conditions in short: "Ready=False/Training Reconciling"."""
    parts = []
    for entry in decision.status.conditions:
        parts.append(f"Ready={entry.status}/{entry.reason}" if entry.type == "Ready" else entry.type)
    return " ".join(parts)


def message(decision):
    return find(decision.status.conditions, "Ready").message


def counted(preempted, stopped, uid):
    made = {"uid-pod-1": after(60), "uid-pod-2": after(120)}
    return Interruptions(preempted, stopped, frozenset({uid}), made[uid]).to_text()


def events(decision):
    return [(entry.type, entry.reason) for entry in decision.announcements]


# --- before there is a Job --------------------------------------------------------------------------------------------


def test_a_job_is_made_when_all_is_there():
    decision = look()
    (create,) = decision.actions
    assert isinstance(create, Create)
    assert (create.manifest["kind"], create.manifest["metadata"]["name"]) == ("Job", "parts-v4")
    assert shown(decision) == "Ready=False/Starting Reconciling"
    assert decision.status.phase == "Pending"
    assert decision.status.observed_generation == 1


def test_the_resolved_parent_goes_into_the_job():
    (parent,) = versions(model_version("v3"))
    decision = look(fine_tune({"tag": "latest"}), parent=parent)
    trainer = decision.actions[0].manifest["spec"]["template"]["spec"]["containers"][0]
    assert '"version":"v3"' in next(entry["value"] for entry in trainer["env"] if entry["name"] == "TRAINER_RUN")


@pytest.mark.parametrize(
    ("training", "seen", "reason", "says"),
    [
        (
            fine_tune({"version": "v3"}),
            {"parent": Missing("NotFound", "ModelVersion parts-v3 does not exist")},
            "ParentNotFound",
            "spec.from: ModelVersion parts-v3 does not exist. The run starts automatically when it can be used.",
        ),
        (
            fine_tune({"version": "v3"}),
            {"parent": Missing("NotReady", "ModelVersion parts-v3 is not Ready: x")},
            "ParentNotReady",
            "parts-v3 is not Ready",
        ),
        (
            fine_tune({"version": "v3"}),
            {"parent": versions(model_version("v3", formats=("onnx",)))[0]},
            "ParentWithoutWeights",
            "parts-v3 has no file of format pytorch (it has onnx)",
        ),
        (
            training_job(evaluation={"dataset": {"uri": "s3://d/h"}, "baseline": {"rollout": "line"}}),
            {"baseline": Missing("NotFound", "Rollout line has no stable version yet")},
            "BaselineNotFound",
            "spec.evaluation.baseline: Rollout line has no stable version yet",
        ),
        (training_job(), {"version": model_version("v4")}, "VersionExists", "ModelVersion parts-v4 exists already"),
        (
            training_job(),
            {"version": model_version("v4", annotations={TRAINING_JOB_UID: "uid-of-another"})},
            "VersionExists",
            "another spec.version",
        ),
        (training_job("parts-latest"), {}, "InvalidVersion", "can't be called latest"),
        (training_job(), {"job": job(owner="uid-of-another")}, "NameConflict", "Delete that Job"),
        (training_job(), {"job": job(owner="uid-of-another", deleting=True)}, "NameConflict", "being deleted"),
        # who made the Job comes before all that is only asked to make one
        (
            fine_tune({"version": "v3"}),
            {"job": job(owner="uid-of-another"), "parent": Missing("NotFound", "x")},
            "NameConflict",
            "",
        ),
    ],
)
def test_what_is_missing_stalls_with_its_name_and_makes_no_job(training, seen, reason, says):
    decision = look(training, **seen)
    assert decision.actions == ()
    assert shown(decision) == f"Ready=False/{reason} Stalled"
    assert says in message(decision)
    assert decision.status.phase == "Pending"
    assert events(decision) == [("Warning", reason)]
    stored = {**training, "status": {"conditions": [condition("Ready", "False", reason)]}}
    assert events(look(stored, **seen)) == []


@pytest.mark.parametrize(
    ("name", "version", "made"),
    [
        ("parts-v4", None, "v4"),
        ("parts-2026-11-20", None, "2026-11-20"),
        ("nightly", None, "nightly"),
        ("parts", None, "parts"),
        ("parts--x", None, "parts--x"),
        ("nightly", "v9", "v9"),
    ],
)
def test_the_version_follows_from_the_jobs_name(name, version, made):
    decision = look(training_job(name, version=version))
    assert decision.actions[0].manifest["metadata"]["labels"]["modelfleet.dev/version"] == made


def test_suspended_from_the_start_makes_no_job():
    decision = look(training_job(suspend=True))
    assert decision.actions == ()
    assert shown(decision) == "Ready=False/Suspended"
    assert decision.status.phase == "Suspended"


def test_a_job_that_is_not_watched_is_looked_at_again():
    assert look(job=job(owner="uid-of-another")).requeue_after == timedelta(seconds=60)


def test_a_training_job_that_is_being_deleted_is_left_alone():
    decision = look(training_job(deleting=True), job=job(), pods=(failed_pod(),))
    assert (decision.actions, decision.status) == ((), None)


# --- while the Job runs -----------------------------------------------------------------------------------------------

WARN = "Warning"


@pytest.mark.parametrize(
    ("seen", "phase", "reason", "says", "event"),
    [
        ({}, "Pending", "Starting", "is creating its pod", None),
        ({"pods": (pod(phase="Pending", started=False),)}, "Pending", "Starting", "on node node-1", None),
        (
            {"pods": (pod(phase="Pending", waiting=("ContainerCreating", "")),)},
            "Pending",
            "Starting",
            "Pod parts-v4-1 is starting",
            None,
        ),
        (
            {"pods": (pod(phase="Pending", waiting=("ImagePullBackOff", "not found")),)},
            "Pending",
            "ImagePullFailed",
            "Container trainer can't start (ImagePullBackOff): not found",
            WARN,
        ),
        (
            {"pods": (pod(phase="Pending", waiting=("CreateContainerConfigError", 'secret "s3" not found')),)},
            "Pending",
            "CreateContainerConfigError",
            'secret "s3" not found',
            WARN,
        ),
        (
            {"pods": (pod(phase="Pending", unschedulable="0/3 nodes: no nvidia.com/gpu"),)},
            "Pending",
            "Unschedulable",
            "No node takes the pod: 0/3 nodes: no nvidia.com/gpu",
            WARN,
        ),
        ({"pods": (pod(),)}, "Running", "Training", "on node node-1; no epoch is done yet", "Normal"),
        (
            {"pods": (pod(),), "lines": (epoch_line(2),)},
            "Running",
            "Training",
            "Epoch 2 of 3 is done on node node-1, about 1m left.",
            "Normal",
        ),
        (
            {"pods": (failed_pod(1), pod(2))},
            "Running",
            "Training",
            "This is attempt 2; the one before ended with TrainingFailed: loss is NaN",
            "Normal",
        ),
        (
            {"pods": (pod(),), "lines": ('{"event": "warning", "message": "3 corrupt images"}',)},
            "Running",
            "Training",
            "Warning: 3 corrupt images",
            "Normal",
        ),
        (
            {"pods": (pod(),), "lines": (epoch_line(3), '{"event": "uploading"}')},
            "Evaluating",
            "Evaluating",
            "uploading and verifying",
            "Normal",
        ),
        ({"pods": (succeeded_pod(),)}, "Evaluating", "Evaluating", "Training is done. The trainer", "Normal"),
        (
            {"pods": (pod(),), "lines": (epoch_line(3, epochs=9, bestEpoch=2), '{"event": "evaluating"}')},
            "Evaluating",
            "Evaluating",
            "Training is done after 3 epochs of at most 9; the best one was epoch 2. The trainer",
            "Normal",
        ),
        (
            {"pods": (failed_pod(),)},
            "Pending",
            "Retrying",
            "Attempt 1 failed (TrainingFailed): loss is NaN. It is tried again, up to 3 more times.",
            WARN,
        ),
        (
            {"pods": (pod(phase="Running", exit_code=137, why="OOMKilled"),)},
            "Pending",
            "Retrying",
            "Attempt 1 failed (OutOfMemory)",
            WARN,
        ),
        ({"pods": (failed_pod(exit_code=64),)}, "Pending", "Ending", "TrainingFailed: loss is NaN", None),
        ({"pods": tuple(failed_pod(number) for number in range(1, 5))}, "Pending", "Ending", "loss is NaN", None),
        (
            {"pods": (pod(phase="Failed", exit_code=143, disrupted=True),)},
            "Pending",
            "Preempted",
            "does not count as a failure",
            "Normal",
        ),
        (
            {"pods": (failed_pod(reason="Interrupted", exit_code=143),)},
            "Pending",
            "Stopped",
            "does not count as a failure",
            "Normal",
        ),
        ({"job": job(deleting=True), "pods": (pod(),)}, "Pending", "JobDeleted", "A new one is created", WARN),
        ({"job": job(suspend=True)}, "Queued", "Queued", "not by spec.suspend", "Normal"),
        (
            {"job": job(training_job(labels=KUEUE))},
            "Queued",
            "Queued",
            "Waiting for admission by Kueue queue gpus",
            "Normal",
        ),
        (
            {"job": job(training_job(labels=KUEUE), suspend=False), "pods": (pod(),)},
            "Running",
            "Training",
            "",
            "Normal",
        ),
    ],
)
def test_where_a_running_job_stands(seen, phase, reason, says, event):
    decision = look(**{"job": job(), **seen})
    assert shown(decision) == f"Ready=False/{reason} Reconciling"
    assert decision.status.phase == phase
    assert says in message(decision)
    assert not any(isinstance(action, Create | Delete) for action in decision.actions)
    created = [("Normal", "JobCreated")]
    assert events(decision) == created + ([(event, reason)] if event else [])


def test_a_job_without_pods_is_explained_after_a_minute():
    assert look(job=job(), now=after(55)).requeue_after == timedelta(seconds=5)
    decision = look(job=job(), now=after(61))
    assert "kubectl describe job parts-v4" in message(decision)
    assert shown(decision) == "Ready=False/NoPods Reconciling"


QUOTA = 'pods "parts-v4-" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0.'


@pytest.mark.parametrize("pods", [(), (failed_pod(),), (pod(1, phase="Failed", exit_code=1, disrupted=True),)])
def test_a_pod_that_is_refused_is_held_with_the_words_of_the_api_server(pods):
    """The first one, or one that follows on another."""
    decision = look(job=job(), pods=pods, no_pod=QUOTA, now=after(8))
    assert shown(decision) == "Ready=False/NoPods Reconciling"
    assert message(decision) == f"No pod was created for Job parts-v4: {QUOTA} It is retried automatically."
    assert decision.requeue_after == timedelta(seconds=10)
    assert ("Warning", "NoPods") in events(decision)


def test_a_run_that_never_had_a_pod_says_why_at_its_deadline():
    over = ended(False, reason="DeadlineExceeded")
    decision = look(job=job(status=over), no_pod=QUOTA)
    assert f"spec.activeDeadline, 24h. No pod was created for it: {QUOTA}" in message(decision)


def test_the_minute_counts_from_when_a_suspended_job_went_on():
    resumed = {
        "type": "Suspended",
        "status": "False",
        "reason": "JobResumed",
        "lastTransitionTime": "2026-11-21T08:10:00Z",
    }
    decision = look(job=job(status={"conditions": [resumed]}), now=after(10 * 60 + 20))
    assert decision.requeue_after == timedelta(seconds=10)
    assert "is creating its pod" in message(decision)


@pytest.mark.parametrize(
    ("wanted", "raw", "patch", "expected"),
    [
        (True, job(), True, "Ready=False/Suspended"),
        (True, job(suspend=True, annotations=SUSPENDED_BY_US), None, "Ready=False/Suspended"),
        (False, job(suspend=True, annotations=SUSPENDED_BY_US), False, "Ready=False/Starting Reconciling"),
        # Kueue, or an administrator, has suspended it: theirs to let go on
        (False, job(suspend=True), None, "Ready=False/Queued Reconciling"),
        (True, job(suspend=True), None, "Ready=False/Suspended"),
        (True, job(training_job(labels=KUEUE)), None, "Ready=False/Queued Reconciling UnsupportedFields"),
        (
            True,
            job(training_job(labels=KUEUE), suspend=False),
            None,
            "Ready=False/Starting Reconciling UnsupportedFields",
        ),
    ],
)
def test_suspend_is_passed_on_both_ways(wanted, raw, patch, expected):
    decision = look(training_job(suspend=wanted), job=raw)
    assert shown(decision) == expected
    if patch is None:
        assert decision.actions == ()
        return
    (action,) = decision.actions
    assert isinstance(action, Patch)
    assert action.body == {
        "spec": {"suspend": patch},
        "metadata": {"uid": "uid-job", "annotations": {"modelfleet.dev/suspended": "true" if patch else None}},
    }


def test_the_job_keeps_the_parent_it_was_told():
    """A tag may have moved on since; the status says what this run really started from."""
    raw = fine_tune({"tag": "latest"})
    decision = look(raw, job=job(raw, parent=model_version("v2")), pods=(pod(),))
    assert (decision.status.version, decision.status.parent) == ("v4", "v2")
    assert decision.actions == ()


def test_progress_stays_while_the_next_attempt_has_none():
    stored = {"progress": {"epoch": 2, "epochs": 3, "percent": 66}, "attempts": 1}
    decision = look(training_job(status=stored), job=job(), pods=(failed_pod(1), pod(2)))
    assert decision.status.progress.epoch == 2
    assert decision.status.attempts == 2


def test_a_resumed_attempt_is_announced_once():
    lines = ('{"event": "resumed", "resumedFromEpoch": 2, "epochs": 3}',)
    decision = look(job=job(), pods=(failed_pod(1), pod(2)), lines=lines)
    assert ("Normal", "Resumed") in events(decision)
    assert decision.status.resumed_from_epoch == 2
    assert "This is attempt 2, which resumed from epoch 2; the one before ended with" in message(decision)
    stored = training_job(status=decision.status.to_dict())
    assert events(look(stored, job=job(), pods=(failed_pod(1), pod(2)), lines=lines)) == []
    # the next attempt: unknown until it says, and announced though the epoch is the same
    pods = (failed_pod(1), failed_pod(2), pod(3))
    decision = look(stored, job=job(), pods=pods)
    assert decision.status.resumed_from_epoch is None
    assert decision.status.progress.epoch == 2
    stored = training_job(status=decision.status.to_dict())
    decision = look(stored, job=job(), pods=pods, lines=lines)
    assert events(decision) == [("Normal", "Resumed")]
    assert decision.status.resumed_from_epoch == 2


def test_progress_stands_where_the_newest_attempt_does():
    before = training_job(status=look(job=job(), pods=(pod(1),), lines=(epoch_line(2),)).status.to_dict())
    pods = (failed_pod(1), pod(2))
    assert look(before, job=job(), pods=pods).status.progress.epoch == 2  # it has said nothing yet
    resumed = ('{"event": "resumed", "resumedFromEpoch": 1, "epochs": 3}',)
    assert look(before, job=job(), pods=pods, lines=resumed).status.progress.epoch == 1
    decision = look(before, job=job(), pods=pods, lines=('{"event": "weights", "loadedShare": null}',))
    assert decision.status.progress is None
    assert decision.status.resumed_from_epoch is None


def test_a_pod_that_was_asked_to_stop_is_an_attempt_and_no_preemption():
    decision = look(job=job(), pods=(failed_pod(1, "Interrupted", exit_code=143), pod(2)))
    (note,) = decision.actions
    assert note.body["metadata"]["annotations"] == {"modelfleet.dev/interrupted-pods": counted(0, 1, "uid-pod-1")}
    assert (decision.status.attempts, decision.status.preemptions) == (2, 0)


def test_between_two_pods_an_older_failure_is_not_told_again():
    """The newest pod was deleted and is gone; the one before it, which crashed, is still there."""
    crashed = failed_pod(1)
    seen = look(job=job(), pods=(crashed, failed_pod(2, "Interrupted", exit_code=143)))
    annotations = seen.actions[0].body["metadata"]["annotations"]
    stored = training_job(status=seen.status.to_dict())
    for pods in ((crashed,), ()):
        decision = look(stored, job=job(annotations=annotations, status={"failed": 1}), pods=pods, now=after(3600))
        assert shown(decision) == "Ready=False/Starting Reconciling"
        assert "The last pod is gone, and Job parts-v4 creates the next one" in message(decision)
        assert events(decision) == []
        assert decision.status.attempts == 2
    decision = look(stored, job=job(annotations=annotations), pods=(crashed, pod(3)))
    assert shown(decision) == "Ready=False/Training Reconciling"


def test_preemptions_are_noted_on_the_job_and_survive_a_wiped_status():
    preempted = pod(1, phase="Failed", exit_code=143, disrupted=True)
    decision = look(job=job(), pods=(preempted, pod(2)))
    (note,) = decision.actions
    assert note.body == {
        "metadata": {
            "uid": "uid-job",
            "annotations": {"modelfleet.dev/interrupted-pods": counted(1, 0, "uid-pod-1")},
        }
    }
    assert (decision.status.attempts, decision.status.preemptions) == (2, 1)
    # the pod is gone, the status was wiped; another one is preempted
    noted = job(annotations=note.body["metadata"]["annotations"])
    decision = look(job=noted, pods=(pod(2),))
    assert decision.actions == ()
    assert (decision.status.attempts, decision.status.preemptions) == (2, 1)
    decision = look(job=noted, pods=(pod(2, phase="Failed", exit_code=143, disrupted=True), pod(3)))
    assert decision.actions[0].body["metadata"]["annotations"] == {
        "modelfleet.dev/interrupted-pods": counted(2, 0, "uid-pod-2")
    }
    assert (decision.status.attempts, decision.status.preemptions) == (3, 2)


def test_counts_never_go_down():
    """Somebody deleted the Job, and its counts with it."""
    decision = look(training_job(status={"attempts": 3, "preemptions": 1, "version": "v4"}))
    assert (decision.status.attempts, decision.status.preemptions, decision.status.version) == (3, 1, "v4")


# --- once the Job has ended -------------------------------------------------------------------------------------------


REREADS = job(status=ended(True, at=after(300)), annotations={"modelfleet.dev/rereads-result": "true"})


def done(**fields):
    """A Job that succeeded, with its pod and the detail."""
    return {
        "job": job(status=ended(True, at=after(300))),
        "pods": (succeeded_pod(),),
        "detail": Detail(DETAIL),
        **fields,
    }


def test_success_makes_the_model_version_and_is_not_complete_before_it_is_there():
    decision = look(**done())
    (create,) = decision.actions
    assert isinstance(create, Create)
    manifest = create.manifest
    assert manifest["metadata"].pop("annotations").keys() == {TRAINING_JOB_UID, TRAINING_JOB_SPEC}
    assert manifest["metadata"] == {
        "name": "parts-v4",
        "namespace": "factory",
        "labels": {"modelfleet.dev/model": "parts", "modelfleet.dev/training-job": "parts-v4"},
    }
    assert manifest["spec"]["artifact"]["uri"] == "s3://models/parts/v4/"
    assert shown(decision) == "Ready=False/Recording Reconciling"
    assert decision.status.model_version is None


def test_the_model_version_of_this_run_completes_it():
    decision = look(**done(version=model_version("v4", annotations=OURS), lines=(epoch_line(2),)))
    assert decision.actions == ()
    assert shown(decision) == "Ready=True/Complete Complete"
    status = decision.status
    assert (status.phase, status.model_version, status.finished_at) == ("Succeeded", "parts-v4", after(300))
    assert (status.progress.epoch, status.progress.percent, status.progress.remaining) == (2, 100, None)
    assert ("Normal", "Complete") in events(decision)


def test_a_failed_evaluation_makes_a_rejected_version_and_fails_the_run():
    evaluation = {"dataset": {"uri": "s3://d/h"}, "gates": [{"metric": "map50", "minimum": "0.9"}]}
    detail = {**DETAIL, "evaluation": {"candidate": {"map50": "0.8"}, "baseline": None}}
    raw = training_job(evaluation=evaluation)
    decision = look(raw, **done(pods=(succeeded_pod(detail=detail),), detail=Detail(detail)))
    verdict = {"result": "Failed", "message": "map50 is 0.8, below the minimum 0.9"}
    assert decision.actions[0].manifest["spec"]["evaluation"] == verdict
    made = model_version("v4", annotations=OURS, evaluation=verdict)
    decision = look(raw, **done(version=made))
    assert shown(decision) == "Ready=False/EvaluationFailed Stalled Failed"
    assert decision.status.model_version == "parts-v4"
    assert decision.status.evaluation.message == verdict["message"]
    assert verdict["message"] in message(decision)
    [said] = decision.announcements
    assert (said.reason, said.topic, said.version) == ("EvaluationFailed", "training.failed", "v4")


def test_only_a_failure_for_good_is_notified_as_one():
    """Whatever its reason is: Kubernetes' own stand in no catalogue, and may mean that nothing has failed yet."""
    failed = look(job=job(status=ended(False, reason="PodFailurePolicy", failed=1)))
    assert [(each.reason, each.topic) for each in failed.announcements] == [("PodFailurePolicy", "training.failed")]
    retried = look(job=job(), pods=(failed_pod(1), pod(2)))
    assert retried.announcements
    assert {each.topic for each in retried.announcements} == {None}


@pytest.mark.parametrize(
    ("seen", "reason", "says"),
    [
        (
            {"job": job(status=ended(False, reason="PodFailurePolicy", failed=1)), "pods": (failed_pod(exit_code=64),)},
            "TrainingFailed",
            "loss is NaN. TrainingJobs run once",
        ),
        (
            {
                "job": job(status=ended(False, reason="BackoffLimitExceeded", failed=2)),
                "pods": (failed_pod(1), failed_pod(2, "DiskFull", "no space left.")),
            },
            "DiskFull",
            "All 2 attempts failed, the last one: no space left. TrainingJobs run once",
        ),
        (
            {"job": job(status=ended(False, reason="DeadlineExceeded")), "pods": (failed_pod(1, "Interrupted"),)},
            "DeadlineExceeded",
            "longer than spec.activeDeadline, 24h",
        ),
        # the pods are gone
        ({"job": job(status=ended(False, reason="BackoffLimitExceeded"))}, "BackoffLimitExceeded", "controller says"),
        # a preempted pod says nothing about the failure
        (
            {
                "job": job(status=ended(False, reason="BackoffLimitExceeded", failed=1)),
                "pods": (failed_pod(1, "DiskFull"), pod(2, phase="Failed", exit_code=143, disrupted=True)),
            },
            "DiskFull",
            "",
        ),
        (done(pods=(pod(phase="Succeeded", exit_code=0, said="{}"),)), "ResultInvalid", "has no result"),
        (done(version=model_version("v4")), "VersionExists", "files are at s3://models/parts/v4/"),
        (done(detail=Detail({**DETAIL, "classes": []})), "ResultInvalid", "classes"),
        (done(detail=Detail({})), "ResultInvalid", "classes"),
        (done(job=REREADS, pods=()), "ResultLost", "create ModelVersion parts-v4 from that by hand"),
        (done(job=REREADS, detail=Detail(problem="no such line", lost=True)), "ResultLost", "but no such line"),
        (
            done(job=REREADS, detail=Detail(problem="node is out of reach")),
            "ResultLost",
            "s3://models/parts/v4/, where manifest.json",
        ),
    ],
)
def test_a_run_that_failed_says_why_and_what_to_do(seen, reason, says):
    decision = look(**seen, now=after(3 * 3600))
    assert shown(decision) == f"Ready=False/{reason} Stalled Failed"
    assert decision.status.phase == "Failed"
    assert decision.status.finished_at is not None
    assert decision.status.model_version is None
    assert says in message(decision)
    assert not any(isinstance(action, Create) for action in decision.actions)
    assert ("Warning", reason) in events(decision)


POD_ENDED = 110  # when the container of the first pod ended
ENDED_THEN = job(status=ended(True, at=after(POD_ENDED)))


@pytest.mark.parametrize(
    ("seen", "until"),
    [
        (done(pods=()), 300 + 120),
        (done(detail=Detail(problem="no such line", lost=True), job=ENDED_THEN), POD_ENDED + 120),
        (done(detail=Detail(problem="node is out of reach"), job=ENDED_THEN), POD_ENDED + 600),
        (done(detail=None, job=ENDED_THEN), POD_ENDED + 600),
    ],
)
def test_a_result_that_can_not_be_read_is_asked_for_again_visibly_and_not_for_ever(seen, until):
    """Bounded by times that the API server keeps, and so by the same moment after a restart."""
    decision = look(**seen, now=after(until - 1))
    assert shown(decision) == "Ready=False/ReadingResult Reconciling"
    assert "It is tried again until" in message(decision)
    assert decision.requeue_after <= timedelta(seconds=5)
    decision = look(**seen, now=after(until))
    assert shown(decision) == "Ready=False/RereadingResult Reconciling"
    assert decision.actions == (Delete(JOB, "factory", "parts-v4", "uid-job"),)


@pytest.mark.parametrize("reason", ["ReadingResult", "RereadingResult"])
def test_a_job_that_is_made_after_a_lost_report_is_marked(reason):
    """So that a report that is lost again ends the run, and does not go on for ever."""
    decision = look(training_job(status={"conditions": [condition("Ready", "False", reason)]}))
    assert decision.actions[0].manifest["metadata"]["annotations"] == {"modelfleet.dev/rereads-result": "true"}
    assert "annotations" not in look().actions[0].manifest["metadata"]


@pytest.mark.parametrize(
    ("reason", "created_before", "wait"),
    [
        ("DatasetMissing", 0, 60),
        ("DatasetMissing", 60, 60),
        ("DatasetMissing", 600, 300),
        ("CheckpointMissing", 0, 60),
        ("ParentMissing", 600, 300),
        ("OutputMissing", 86_400, 1800),
    ],
)
def test_missing_data_stalls_and_is_looked_for_again(reason, created_before, wait):
    """The longer it is missing, the rarer a Job looks for it."""
    end = START + timedelta(seconds=created_before)
    seen = {
        "job": job(status=ended(False, at=end, reason="PodFailurePolicy", failed=1)),
        "pods": (failed_pod(1, reason, "s3://data/1.tar does not exist", exit_code=64),),
    }
    decision = look(**seen, now=end + timedelta(seconds=wait - 1))
    assert shown(decision) == f"Ready=False/{reason} Stalled"
    assert decision.actions == ()
    assert decision.requeue_after == timedelta(seconds=1)
    assert "s3://data/1.tar does not exist. The run starts automatically when it is there" in message(decision)
    assert decision.status.finished_at is None
    decision = look(**seen, now=end + timedelta(seconds=wait))
    assert decision.actions == (Delete(JOB, "factory", "parts-v4", "uid-job"),)


# --- when it is over --------------------------------------------------------------------------------------------------


def over(type="Complete", generation=1, **fields):
    conditions = [
        condition("Ready", "True" if type == "Complete" else "False", "Complete", "as it was"),
        condition(type, "True", "Complete", "as it was"),
    ]
    if type == "Failed":
        conditions.insert(1, condition("Stalled", "True", "Complete", "as it was"))
    status = {
        "observedGeneration": 1,
        "phase": "Succeeded",
        "conditions": conditions,
        "finishedAt": "2026-11-21T08:05:00Z",
        "attempts": 2,
        "modelVersion": "parts-v4",
    }
    return training_job(status=status, ttlAfterFinished="1h", generation=generation, **fields)


@pytest.mark.parametrize("type", ["Complete", "Failed"])
def test_what_is_over_stays_as_it_is(type):
    raw = over(type)
    for seen in ({}, {"version": model_version("v4")}, {"job": job(status=ended(False)), "pods": (failed_pod(),)}):
        decision = look(raw, **seen)
        assert decision.status.to_dict() == {**raw["status"], "preemptions": 0}
        assert decision.actions == ()
        assert decision.announcements == ()


def test_the_job_goes_when_its_time_to_live_is_over_and_the_record_stays():
    raw, seen = over(), {"job": job(status=ended(True)), "pods": (succeeded_pod(),)}
    decision = look(raw, **seen, now=after(300 + 3599))
    assert decision.actions == ()
    assert decision.requeue_after == timedelta(seconds=1)
    decision = look(raw, **seen, now=after(300 + 3600))
    assert decision.actions == (Delete(JOB, "factory", "parts-v4", "uid-job"),)
    assert look(raw, now=after(300 + 7200)).actions == ()


def test_a_job_of_somebody_else_is_never_removed():
    assert look(over(), job=job(owner="uid-of-another"), now=after(10 * 3600)).actions == ()


def test_a_changed_spec_is_acknowledged_when_it_is_over():
    decision = look(over(generation=2, suspend=True))
    assert decision.status.observed_generation == 2
    assert all(entry.observed_generation == 2 for entry in decision.status.conditions)
    assert shown(decision) == "Ready=True/Complete Complete"


def test_nothing_is_over_before_it_is_stored():
    """The Job, which holds the result, is removed only once the stored status says how it ended."""
    decision = look(
        training_job(ttlAfterFinished="0s"), **done(version=model_version("v4", annotations=OURS)), now=after(9999)
    )
    assert shown(decision) == "Ready=True/Complete Complete"
    assert decision.actions == ()


@pytest.mark.parametrize(
    ("finding", "said"),
    [("Overfitting", True), ("Underfitting", True), ("Diverged", True), ("Converged", False), ("SomethingNew", False)],
)
@pytest.mark.parametrize("result", ["Passed", "Failed"])
def test_what_the_curves_say_is_told_and_fails_nothing(finding, said, result):
    found = {"finding": finding, "message": "the validation loss rose by 20%"}
    links = {"mlflow": "http://mlflow/#/experiments/1/runs/2"}
    version = model_version(
        "v4",
        annotations=OURS,
        lineage={"trainingJob": "parts-v4", "diagnosis": found, "tracking": links},
        evaluation={"result": result, "message": "as measured"},
    )
    decision = look(training_job(), **done(version=version))
    assert shown(decision) == (
        "Ready=True/Complete Complete" if result == "Passed" else "Ready=False/EvaluationFailed Stalled Failed"
    )
    assert message(decision).endswith(f" {finding}: the validation loss rose by 20%.") is said
    assert decision.status.diagnosis.to_dict() == found
    assert decision.status.tracking.to_dict() == links


def point(f1: str, confidence: str = "0.25") -> dict[str, str]:
    return {"confidence": confidence, "precision": "0.5", "recall": "0.9", "f1": f1}


@pytest.mark.parametrize(("best", "said"), [("0.80", True), ("0.72", True), ("0.71", False), ("0.70", False)])
def test_a_threshold_that_would_do_clearly_better_is_told(best, said):
    found = {"best": point(best, "0.62"), "present": point("0.70")}
    version = model_version("v4", annotations=OURS, lineage={"trainingJob": "parts-v4"}, threshold=found)
    decision = look(training_job(), **done(version=version))
    assert ("best taken from confidence 0.62 on" in message(decision)) is said
    assert decision.status.threshold.best.confidence == Decimal("0.62")


def test_where_a_tracker_shows_the_run_is_told_while_it_runs_and_kept():
    line = json.dumps({"event": "tracking", "tracker": "mlflow", "url": "http://mlflow/#/experiments/1/runs/2"})
    seen = {"job": job(), "pods": (pod(),)}
    decision = look(training_job(), **seen, lines=(line,))
    assert decision.status.tracking.to_dict() == {"mlflow": "http://mlflow/#/experiments/1/runs/2"}
    assert decision.status.diagnosis is None
    later = look(training_job(status=decision.status.to_dict()), **seen)
    assert later.status.tracking == decision.status.tracking


def test_a_wiped_status_is_found_again_without_the_job():
    lineage = {"trainingJob": "parts-v4", "parent": "v3"}
    decision = look(version=model_version("v4", created=after(400), annotations=OURS, lineage=lineage))
    assert shown(decision) == "Ready=True/Complete Complete"
    status = decision.status
    assert (status.version, status.parent, status.model_version) == ("v4", "v3", "parts-v4")
    assert status.finished_at == after(400)


def test_fields_that_are_not_acted_on_are_named():
    raw = training_job(output={"uri": "s3://models/", "formats": ["onnx", "engine"]})
    for seen in ({}, {"job": job(), "pods": (pod(),)}):
        decision = look(raw, **seen)
        assert "spec.output.formats (engine)" in find(decision.status.conditions, "UnsupportedFields").message
