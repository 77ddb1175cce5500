"""The Job's facts, and the count of interruptions that it carries."""

import pytest

from modelfleet.training.jobs import INTERRUPTED, Interruptions, count_interruptions, job_facts
from modelfleet.training.pods import attempts
from unit.training.builders import after, ended, job, pod


def preempted_pod(number):
    return pod(number, phase="Failed", exit_code=143, disrupted=True)


def test_a_new_preemption_is_counted_once():
    first = count_interruptions(Interruptions(), attempts([preempted_pod(1), pod(2)]))
    assert first == Interruptions(1, 0, frozenset({"uid-pod-1"}), after(60))
    assert count_interruptions(first, attempts([preempted_pod(1), pod(2)])) == first


def test_a_pod_that_was_asked_to_stop_is_counted_apart():
    stopped = pod(2, phase="Failed", exit_code=143)
    both = count_interruptions(Interruptions(), attempts([preempted_pod(1), stopped, pod(3)]))
    assert both == Interruptions(1, 1, frozenset({"uid-pod-1", "uid-pod-2"}), after(120))
    assert count_interruptions(both, attempts([stopped, pod(3)])) == both


def test_a_pod_that_is_gone_stays_counted_and_its_uid_goes_with_the_next():
    first = Interruptions(1, 0, frozenset({"uid-pod-1"}), after(60))
    assert count_interruptions(first, attempts([pod(2)])) == first
    assert count_interruptions(first, attempts([preempted_pod(2)])) == Interruptions(
        2, 0, frozenset({"uid-pod-2"}), after(120)
    )


@pytest.mark.parametrize(
    "raw",
    [
        pod(1, disrupted=True),  # asked to go, and still running
        pod(1, phase="Failed", exit_code=1),
        pod(1, phase="Succeeded", exit_code=0, disrupted=True),
        # it had failed on its own; its node was drained later
        pod(1, phase="Failed", exit_code=1, disrupted=True, disrupted_at=after(600)),
    ],
)
def test_what_is_no_interruption(raw):
    assert count_interruptions(Interruptions(), attempts([raw])) == Interruptions()


@pytest.mark.parametrize("text", ["", "x", "[]", '{"preempted": "many"}', '{"pods": 7}', '{"latest": "soon"}', "null"])
def test_an_annotation_that_somebody_edited_is_counted_anew(text):
    assert job_facts(job(annotations={INTERRUPTED: text})).interruptions == Interruptions()


def test_it_is_read_as_it_was_written():
    noted = Interruptions(3, 1, frozenset({"b", "a"}), after(60))
    assert job_facts(job(annotations={INTERRUPTED: noted.to_text()})).interruptions == noted


def test_how_a_job_ended():
    assert job_facts(job()).end is None
    end = job_facts(job(status=ended(True, at=after(5)))).end
    assert end is not None
    assert (end.succeeded, end.at) == (True, after(5))
    end = job_facts(job(status=ended(False, at=after(7), reason="DeadlineExceeded"))).end
    assert end is not None
    assert (end.succeeded, end.at, end.reason) == (False, after(7), "DeadlineExceeded")
