"""The Job's facts, and the count of preemptions that it carries."""

import pytest

from modelfleet.training.jobs import PREEMPTED, Preempted, count_preempted, job_facts
from modelfleet.training.pods import attempts
from unit.training.builders import after, ended, job, pod


def preempted_pod(number):
    return pod(number, phase="Failed", exit_code=143, disrupted=True)


def test_a_new_preemption_is_counted_once():
    first = count_preempted(Preempted(), attempts([preempted_pod(1), pod(2)]))
    assert first == Preempted(1, frozenset({"uid-pod-1"}))
    assert count_preempted(first, attempts([preempted_pod(1), pod(2)])) == first


def test_a_pod_that_is_gone_stays_counted_and_its_uid_goes_with_the_next():
    first = Preempted(1, frozenset({"uid-pod-1"}))
    assert count_preempted(first, attempts([pod(2)])) == first
    assert count_preempted(first, attempts([preempted_pod(2)])) == Preempted(2, frozenset({"uid-pod-2"}))


@pytest.mark.parametrize(
    "raw",
    [
        pod(1, disrupted=True),  # asked to go, and still running
        pod(1, phase="Failed", exit_code=1),
        pod(1, phase="Succeeded", exit_code=0, disrupted=True),
    ],
)
def test_what_is_no_preemption(raw):
    assert count_preempted(Preempted(), attempts([raw])) == Preempted()


@pytest.mark.parametrize("text", ["", "x", "[]", '{"count": "many"}', '{"pods": 7}', "null"])
def test_an_annotation_that_somebody_edited_is_counted_anew(text):
    assert job_facts(job(annotations={PREEMPTED: text})).preempted == Preempted()


def test_it_is_read_as_it_was_written():
    noted = Preempted(3, frozenset({"b", "a"}))
    assert job_facts(job(annotations={PREEMPTED: noted.to_text()})).preempted == noted


def test_how_a_job_ended():
    assert job_facts(job()).end is None
    end = job_facts(job(status=ended(True, at=after(5)))).end
    assert end is not None
    assert (end.succeeded, end.at) == (True, after(5))
    end = job_facts(job(status=ended(False, at=after(7), reason="DeadlineExceeded"))).end
    assert end is not None
    assert (end.succeeded, end.at, end.reason) == (False, after(7), "DeadlineExceeded")
