"""Whom a change concerns: tags that move, and Rollouts that begin or cease to use a version."""

from modelfleet.kinds import CONTROLLER_REVISION, JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB
from modelfleet.times import wire_time
from modelfleet.versions import WATCHES
from unit.training.builders import after, condition, model_version, pod, rollout, training_job
from unit.versions import verifying
from unit.waking import delays, store_of, woken


def names(kind, obj, *objects):
    return woken(WATCHES, kind, obj, store_of(*objects))


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


def test_the_next_in_line_is_the_one_that_was_made_last_whenever_its_object_was_applied():
    first = model_version("v1", created=after(9), createdAt=wire_time(after(1)))
    second = model_version("v2", created=after(2), createdAt=wire_time(after(2)))
    gone = model_version("v3", created=after(3), createdAt=wire_time(after(3)), status={"tags": ["latest"]})
    assert names(MODEL_VERSION, gone, first, second) == ["parts-v2", "parts-v3"]


HELD = {"finalizers": ("modelfleet.dev/in-use",)}


def test_a_rollout_wakes_what_it_uses_and_what_it_used():
    store = store_of(model_version("v3"), model_version("v2"), model_version("v1"))
    assert woken(WATCHES, ROLLOUT, rollout(stableVersion="v3"), store) == ["parts-v3"]
    before = rollout(stableVersion="v2")
    assert woken(WATCHES, ROLLOUT, rollout(stableVersion="v3"), store, before=before) == ["parts-v2", "parts-v3"]


def test_a_rollout_that_uses_the_same_as_before_is_no_news():
    store = store_of(model_version("v3"))
    before, now = rollout(stableVersion="v3", phase="Ready"), rollout(stableVersion="v3", phase="Paused")
    assert woken(WATCHES, ROLLOUT, now, store, before=before) == []
    as_candidate = rollout(candidateVersion="v3")
    assert woken(WATCHES, ROLLOUT, now, store, before=as_candidate) == ["parts-v3"]


def test_the_first_use_is_noted_at_once_and_further_ones_wait_for_each_other():
    store = store_of(model_version("v3"), model_version("v2", **HELD))
    using = rollout(stableVersion="v2", candidateVersion="v3")
    assert delays(WATCHES, ROLLOUT, using, store) == {"parts-v2": 1.0, "parts-v3": 0.0}


def test_its_users_are_no_news_to_a_version():
    before = model_version("v1")
    used = model_version("v1", status={**before.get("status", {}), "usedBy": [{"rollout": "line", "role": "Stable"}]})
    bare = model_version("v1", status=before.get("status", {}))
    assert woken(WATCHES, MODEL_VERSION, used, store_of(used), before=bare) == []


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
    revision = {
        "metadata": {"name": "line-1", "namespace": "factory", "uid": "u"},
        "data": {"modelVersion": "parts-v1"},
    }
    assert names(CONTROLLER_REVISION, revision) == ["parts-v1"]
    assert names(CONTROLLER_REVISION, {**revision, "data": None}) == []
    assert woken(WATCHES, CONTROLLER_REVISION, revision, store_of(), before=revision) == []


def test_a_training_job_wakes_what_it_used_when_it_is_over_or_gone():
    used = {"parent": "v2", "baseline": "v3", "version": "v4"}
    running = training_job(status=used)
    over = training_job(status={**used, "conditions": [condition("Complete", "True", "Done")]})
    assert names(TRAINING_JOB, running, running) == []
    assert names(TRAINING_JOB, over, over) == ["parts-v2", "parts-v3", "parts-v4"]
    assert names(TRAINING_JOB, running) == ["parts-v2", "parts-v3", "parts-v4"]
