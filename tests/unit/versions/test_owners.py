"""Whom a change concerns: tags that move, and Rollouts that begin or cease to use a version."""

from modelfleet.kinds import CONTROLLER_REVISION, JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB
from modelfleet.kube import Store
from modelfleet.versions import owners_of
from unit.training.builders import after, condition, model_version, pod, rollout, training_job
from unit.versions import verifying


def store_of(*objects):
    store = Store()
    for number, obj in enumerate(objects, start=1):
        store.put({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}})
    return store


def names(kind, obj, *objects):
    return [key.name for _, key in owners_of(kind, obj, store_of(*objects))]


def test_a_new_version_wakes_the_holder_of_latest_and_of_its_tags():
    gold = model_version("v1", created=after(1), tags=("gold",), status={"tags": ["gold"]})
    idle = model_version("v2", created=after(2))
    latest = model_version("v3", created=after(3), status={"tags": ["latest"]})
    other = model_version("v3", model="other", status={"tags": ["latest"]})
    new = model_version("v4", created=after(4), tags=("gold",), ready=None)
    woken = names(MODEL_VERSION, new, gold, idle, latest, other, new)
    assert woken == ["parts-v1", "parts-v3", "parts-v4"]


def test_a_version_that_is_gone_wakes_the_next_in_line():
    old = model_version("v1", created=after(1), tags=("gold",))
    next_one = model_version("v2", created=after(2), tags=("gold",))
    gone = model_version("v3", created=after(3), tags=("gold",), status={"tags": ["gold", "latest"]})
    assert names(MODEL_VERSION, gone, old, next_one) == ["parts-v2", "parts-v3"]


def test_a_rollout_wakes_what_it_uses_and_what_it_used():
    used = model_version("v3")
    was_used = model_version("v2", status={"usedBy": [{"rollout": "line", "role": "Stable"}]})
    of_another = model_version("v1", status={"usedBy": [{"rollout": "press", "role": "Stable"}]})
    line = rollout(stableVersion="v3")
    assert names(ROLLOUT, line, used, was_used, of_another, line) == ["parts-v2", "parts-v3"]


def test_a_pod_of_a_training_job_concerns_no_version():
    assert names(POD, pod(), model_version()) == []


def test_a_verify_job_and_its_pod_wake_their_version():
    of = verifying.version()
    job = verifying.job(of)
    template = job["spec"]["template"]
    its_pod = {**verifying.pod(), "metadata": {"name": "p", "namespace": "factory", **template["metadata"]}}
    assert names(JOB, job) == ["parts-v3"]
    assert names(POD, its_pod) == ["parts-v3"]


def test_a_revision_that_goes_wakes_the_version_that_it_held():
    revision = {"metadata": {"name": "line-1", "namespace": "factory"}, "data": {"modelVersion": "parts-v1"}}
    assert names(CONTROLLER_REVISION, revision) == ["parts-v1"]
    assert names(CONTROLLER_REVISION, {**revision, "data": None}) == []


def test_a_training_job_wakes_what_it_used_when_it_is_over_or_gone():
    used = {"parent": "v2", "baseline": "v3", "version": "v4"}
    running = training_job(status=used)
    over = training_job(status={**used, "conditions": [condition("Complete", "True", "Done")]})
    assert names(TRAINING_JOB, running, running) == []
    assert names(TRAINING_JOB, over, over) == ["parts-v2", "parts-v3", "parts-v4"]
    assert names(TRAINING_JOB, running) == ["parts-v2", "parts-v3", "parts-v4"]
