"""A container beside the trainer that goes on or fails: the trainer's own end counts, and its last word is kept."""

import json

import pytest

from modelfleet.decision import Create, Delete, Patch
from modelfleet.kinds import JOB, POD
from modelfleet.training import last_end
from modelfleet.training.jobs import job_facts
from modelfleet.training.last_end import LAST_END, LastEnd
from modelfleet.training.pods import attempt, attempts
from modelfleet.training.snapshot import Detail
from unit.training.builders import (
    DETAIL,
    after,
    condition,
    ended,
    epoch_line,
    failed_pod,
    job,
    lingering_pod,
    pod,
    snapshot,
    succeeded_pod,
    success,
    training_job,
)
from unit.training.test_decide import look, message, shown

ENDED = 110  # when the trainer of the first pod ended
BAD = json.dumps({"result": "Failed", "reason": "DatasetInvalid", "message": "no labels"})
MISSING = json.dumps({"result": "Failed", "reason": "DatasetMissing", "message": "s3://data/1.tar is not there"})
INTERRUPTED = json.dumps({"result": "Failed", "reason": "Interrupted", "message": "the pod was asked to stop"})
ENDS_BADLY = {"mesh": {"terminated": {"exitCode": 1, "reason": "Error"}}}


def noted(raw, failures=1):
    """A Job with the note about this pod."""
    return {LAST_END: last_end.to_text(LastEnd(attempt(raw), failures))}


@pytest.mark.parametrize(
    ("raw", "lingers"),
    [
        (lingering_pod(), True),
        (lingering_pod(exit_code=64), True),
        (pod(exit_code=0, beside={"shipper": {"waiting": {"reason": "ImagePullBackOff"}}}), True),
        (pod(beside={"mesh": {"running": {}}}), False),  # the trainer runs
        (pod(exit_code=0), False),  # the kubelet has yet to say so of the pod
        (pod(exit_code=0, beside=ENDS_BADLY), False),
        (pod(phase="Failed", exit_code=0, beside={"mesh": {"running": {}}}), False),  # evicted
    ],
)
def test_a_pod_lingers_when_others_outlive_the_trainer(raw, lingers):
    assert attempt(raw).lingers is lingers


def test_a_sidecar_of_kubernetes_own_kind_is_the_kubelets_to_end():
    raw = pod(exit_code=0)
    raw["status"]["initContainerStatuses"] = [{"name": "mesh", "state": {"running": {}}}]
    assert not attempt(raw).lingers


@pytest.mark.parametrize(
    ("raw", "others"),
    [
        (lingering_pod(), {}),
        (pod(phase="Failed", exit_code=0, said=success(), beside=ENDS_BADLY), {}),
        (pod(phase="Failed", exit_code=0, said=success(), disrupted=True), {}),
        (succeeded_pod(), {"status": ended(False, at=after(300), reason="DeadlineExceeded")}),
        (succeeded_pod(), {"status": ended(False, at=after(300), reason="BackoffLimitExceeded", failed=1)}),
        # killed between its report and its exit
        (
            pod(phase="Failed", exit_code=137, said=success()),
            {"status": ended(False, at=after(300), reason="BackoffLimitExceeded", failed=1)},
        ),
    ],
)
def test_what_was_published_becomes_a_version_as_of_the_trainers_end(raw, others):
    decision = look(job=job(**others), pods=(raw,), detail=Detail(DETAIL))
    (create,) = (action for action in decision.actions if isinstance(action, Create))
    assert create.manifest["kind"] == "ModelVersion"
    assert create.manifest["spec"]["createdAt"] == "2026-11-21T08:01:50Z"
    assert shown(decision) == "Ready=False/Recording Reconciling"


def test_a_second_attempt_that_runs_already_does_not_hide_what_the_first_published():
    first = pod(1, phase="Failed", exit_code=0, said=success(), beside=ENDS_BADLY)
    decision = look(job=job(status={"failed": 1}), pods=(first, pod(2)), detail=Detail(DETAIL))
    assert isinstance(decision.actions[0], Create)


def test_a_pod_that_ends_as_it_should_is_waited_for():
    decision = look(job=job(), pods=(succeeded_pod(),), detail=None)
    assert shown(decision) == "Ready=False/Evaluating Reconciling"
    assert decision.actions == ()


def test_a_trainer_that_ends_well_without_a_report_fails_the_run():
    decision = look(job=job(), pods=(lingering_pod(said="{}"),))
    assert shown(decision) == "Ready=False/ResultInvalid Stalled Failed"


def test_its_last_word_is_noted_once_and_before_anything_is_deleted():
    raw = lingering_pod(exit_code=64, said=BAD)
    decision = look(job=job(), pods=(raw,), now=after(ENDED + 30))
    note, stop = decision.actions
    assert isinstance(note, Patch)
    assert note.body["metadata"] == {"annotations": noted(raw), "uid": "uid-job"}
    assert stop == Delete(POD, "factory", "parts-v4-1", "uid-pod-1")
    assert look(job=job(annotations=noted(raw)), pods=(raw,), now=after(ENDED + 30)).actions == (stop,)


def test_a_note_comes_back_as_the_attempt_it_was():
    seen = attempt(lingering_pod(exit_code=64, said=BAD, why="Error"))
    back = job_facts(job(annotations={LAST_END: last_end.to_text(LastEnd(seen, 2))})).noted
    assert back.failures == 2
    for field in ("name", "uid", "created", "finished", "exit_code", "why", "said", "disrupted", "others", "own_fault"):
        assert getattr(back.attempt, field) == getattr(seen, field)
    assert not back.attempt.lingers


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"exitCode": "x"}', '{"exitCode": 1, "pod": "p", "uid": "u"}'])
def test_a_note_that_somebody_edited_is_none(text):
    assert job_facts(job(annotations={LAST_END: text})).noted is None


def test_a_pod_that_is_there_counts_before_its_note():
    raw = lingering_pod(exit_code=1)
    note = LastEnd(attempt(raw), 1)
    assert last_end.with_noted(attempts([raw]), note) == attempts([raw])
    assert [each.name for each in last_end.with_noted(attempts([pod(2)]), note)] == ["parts-v4-1", "parts-v4-2"]


def test_the_rest_gets_half_a_minute_to_end_on_its_own():
    raw = lingering_pod(exit_code=1, said=BAD)
    decision = look(job=job(annotations=noted(raw)), pods=(raw,), now=after(ENDED + 10))
    assert decision.actions == ()
    assert decision.requeue_after.total_seconds() == 20
    assert "Still running beside it: mesh; what has not ended by 08:02:20 UTC is stopped." in message(decision)
    raw = lingering_pod(exit_code=1, said=BAD, deleting=True)
    decision = look(job=job(annotations=noted(raw)), pods=(raw,), now=after(ENDED + 40))
    assert decision.actions == ()
    assert "What is still running beside it is being stopped: mesh." in message(decision)


@pytest.mark.parametrize(
    ("exit_code", "said", "backoff_limit", "reason"),
    [
        (64, BAD, 3, "Ending"),
        (1, BAD, 0, "Ending"),
        (1, BAD, 3, "Retrying"),
        (143, "", 3, "Stopped"),
    ],
)
def test_where_it_stands_meanwhile(exit_code, said, backoff_limit, reason):
    raw = lingering_pod(exit_code=exit_code, said=said)
    decision = look(training_job(backoffLimit=backoff_limit), job=job(), pods=(raw,))
    assert shown(decision) == f"Ready=False/{reason} Reconciling"


@pytest.mark.parametrize(
    ("counted", "pods", "failures"),
    [
        (0, (lingering_pod(1, exit_code=1),), 1),
        (1, (lingering_pod(2, exit_code=1),), 2),  # the first was deleted, and counted
        (1, (lingering_pod(2, exit_code=1, deleting=True),), 2),
        (1, (failed_pod(1), lingering_pod(2, exit_code=1)), 2),
        (2, (failed_pod(1), failed_pod(2)), 2),
    ],
)
def test_each_failed_attempt_counts_once(counted, pods, failures):
    assert snapshot(job=job(status={"failed": counted}), pods=pods).failures() == failures


def test_the_note_counts_until_the_job_does():
    """The pod is gone, and the Job has not counted it yet."""
    annotations = noted(lingering_pod(2, exit_code=1), failures=2)
    assert snapshot(job=job(status={"failed": 1}, annotations=annotations)).failures() == 2


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("later", [(), (pod(2),)])
def test_a_noted_pod_that_the_job_counts_while_it_is_still_seen_counts_once(counted, later):
    """Job and pods come by two streams: the pod may be seen with the count that includes it already."""
    leaving = lingering_pod(1, exit_code=1, deleting=True)
    seen = snapshot(job=job(status={"failed": counted}, annotations=noted(leaving)), pods=(leaving, *later))
    assert (seen.failures(), seen.number()) == (1, 1 + len(later))


def test_where_its_log_is_to_be_found_while_it_is():
    raw = lingering_pod(exit_code=1, said="")
    assert "see kubectl logs parts-v4-1 -c trainer before the pod is deleted" in message(look(job=job(), pods=(raw,)))
    decision = look(job=job(status={"failed": 1}, annotations=noted(raw)), now=after(ENDED + 60))
    assert "(TrainerCrashed)" in message(decision)
    assert "its log went with pod parts-v4-1, which mesh kept from ending" in message(decision)
    assert shown(decision) == "Ready=False/Retrying Reconciling"


# --- the deadline -----------------------------------------------------------------------------------------------------


def overdue(at, decided=None, **fields):
    status = ended(False, at=after(at), reason="DeadlineExceeded")
    if decided is not None:
        target = {"type": "FailureTarget", "status": "True", "lastTransitionTime": after(decided).isoformat()}
        status["conditions"].insert(0, target)
    return job(status=status, **fields)


@pytest.mark.parametrize(
    ("raw", "pods", "reason"),
    [
        (overdue(ENDED + 9, annotations=noted(lingering_pod(exit_code=64, said=BAD))), (), "DatasetInvalid"),
        (overdue(ENDED + 9), (failed_pod(reason="DatasetInvalid", exit_code=64),), "DatasetInvalid"),
        # the deadline itself ended it: killed when its time to stop was over
        (overdue(ENDED + 1, decided=ENDED - 30), (pod(phase="Failed", exit_code=137),), "DeadlineExceeded"),
        (overdue(ENDED + 9), (failed_pod(exit_code=1), pod(2)), "DeadlineExceeded"),
        # the node's clock is ahead
        (overdue(ENDED - 2), (failed_pod(reason="DatasetInvalid", exit_code=64),), "DatasetInvalid"),
        (overdue(ENDED - 2), (pod(phase="Failed", exit_code=137, said=INTERRUPTED),), "DeadlineExceeded"),
        (overdue(ENDED - 2), (pod(phase="Failed", exit_code=143, said=INTERRUPTED),), "DeadlineExceeded"),
    ],
)
def test_a_cause_that_was_known_before_the_deadline_stays(raw, pods, reason):
    decision = look(training_job(backoffLimit=0 if reason == "DeadlineExceeded" else 3), job=raw, pods=pods)
    assert shown(decision) == f"Ready=False/{reason} Stalled Failed"


@pytest.mark.parametrize(("retries", "reason"), [(0, "DatasetInvalid"), (3, "DeadlineExceeded")])
def test_a_cause_that_was_said_before_the_trainer_was_killed_at_the_deadline_is_in_the_message(retries, reason):
    killed = pod(phase="Failed", exit_code=137, said=BAD)
    decision = look(training_job(backoffLimit=retries), job=overdue(ENDED - 2), pods=(killed,))
    assert shown(decision) == f"Ready=False/{reason} Stalled Failed"
    assert "no labels" in message(decision)


def test_where_nobody_saw_the_trainers_end_before_the_deadline_that_is_said():
    """The operator was away, and the Job deleted the pod that a container beside the trainer kept running."""
    beside = training_job(template={"spec": {"containers": [{"name": "mesh", "image": "mesh:1"}]}})
    decision = look(beside, job=overdue(ENDED + 9, training=beside))
    assert shown(decision) == "Ready=False/DeadlineExceeded Stalled Failed"
    assert "Whether its trainer had ended before is not known: its pod is gone, and mesh may have" in message(decision)
    assert "If s3://models/parts/v4/manifest.json is there, the version was published" in message(decision)
    alone = look(job=overdue(ENDED + 9))
    assert message(alone).startswith("The run took longer than spec.activeDeadline, 24h. TrainingJobs run once")
    seen = look(beside, job=overdue(ENDED + 9, training=beside), pods=(pod(phase="Failed", exit_code=143),))
    assert "is not known" not in message(seen)


def test_data_that_was_missing_before_the_deadline_is_waited_for_all_the_same():
    raw = overdue(ENDED + 9, annotations=noted(lingering_pod(exit_code=64, said=MISSING)))
    decision = look(job=raw, now=after(ENDED + 10))
    assert shown(decision) == "Ready=False/DatasetMissing Stalled"
    assert "The run starts automatically when it is there" in message(decision)


def test_a_deadline_between_two_attempts_names_the_one_that_failed():
    decision = look(job=overdue(ENDED + 9), pods=(failed_pod(reason="StorageUnavailable", message="timed out"),))
    assert shown(decision) == "Ready=False/DeadlineExceeded Stalled Failed"
    assert "The last attempt that failed before that ended with StorageUnavailable: timed out." in message(decision)


# --- when it is over --------------------------------------------------------------------------------------------------


def test_a_job_that_can_not_end_goes_after_half_a_minute():
    over = training_job(
        status={
            "observedGeneration": 1,
            "conditions": [condition("Ready", "True", "Complete"), condition("Complete", "True", "Complete")],
            "finishedAt": "2026-11-21T08:01:50Z",
        }
    )
    seen = {"job": job(), "pods": (lingering_pod(),), "lines": (epoch_line(1),)}
    decision = look(over, **seen, now=after(ENDED + 29))
    assert (decision.actions, decision.requeue_after.total_seconds()) == ((), 1)
    assert look(over, **seen, now=after(ENDED + 30)).actions == (Delete(JOB, "factory", "parts-v4", "uid-job"),)
    done = {**seen, "job": job(status=ended(True))}
    assert look(over, **done, now=after(ENDED + 30)).actions == ()
