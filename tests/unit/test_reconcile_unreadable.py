"""What the operator can't read, though the API server took it: it is said on the object, and harms no other."""

import pytest

from modelfleet.api import ModelVersion
from modelfleet.kinds import MODEL_VERSION, TRAINING_JOB
from modelfleet.kube import Conflict, Index, Store, Unreadable, View
from modelfleet.views import VERSIONS, versions_of
from unit.kube.raw import obj
from unit.reconciling import KEY, Bench
from unit.training.builders import NAMESPACE, model_version


def parse(raw):
    raise ValueError("what is this?")


OWN, OTHER = View(TRAINING_JOB, parse), View(MODEL_VERSION, parse)


@pytest.fixture
def bench():
    return Bench()


def reads(bench, view, raw):
    async def observe(key):
        bench.store.read(view, raw)

    bench.observe = observe


def stalled(bench):
    raw = bench.store.get(TRAINING_JOB, *KEY)
    return next(each for each in raw["status"]["conditions"] if each["type"] == "Stalled")


async def test_an_object_that_can_not_be_read_says_so_once_and_is_tried_again(bench):
    reads(bench, OWN, bench.store.get(TRAINING_JOB, *KEY))
    for _ in range(3):
        await bench.run()
    assert [call[0] for call in bench.api.calls] == ["status"]
    assert stalled(bench)["reason"] == "Unreadable"
    assert stalled(bench)["message"] == "The operator can't read this, though the API server took it: what is this?"
    assert bench.queue.failures(KEY) == 3
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Unreadable") == 3


async def test_another_one_is_named(bench):
    reads(bench, OTHER, obj(MODEL_VERSION, "parts-v1", 5))
    await bench.run()
    assert "can't read this of ModelVersion ns/parts-v1," in stalled(bench)["message"]


async def test_that_the_status_can_not_be_written_ends_no_worker(bench):
    bench.api.fails["status"] = Conflict("changed")
    reads(bench, OWN, bench.store.get(TRAINING_JOB, *KEY))
    await bench.run()
    assert bench.queue.next_due() is not None


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("createdAt", "0001-01-01T00:00:00+01:00", "a time in UTC must be of the years 1 to 9999"),
        ("createdAt", "2026-01-01T10:00:00+99:99", "datetime"),
        ("model", "Not A Name", "pattern"),
    ],
)
def test_a_version_that_can_not_be_read_is_none_of_its_model(field, value, why):
    store, good, bad = Store(), model_version("v1"), model_version("v2")
    bad = {**bad, "spec": {**bad["spec"], field: value}}
    for raw in (good, bad):
        store.put(raw)
    assert [each.spec.version for each in versions_of(store, NAMESPACE, "parts")] == ["v1"]
    with pytest.raises(Unreadable, match=why):
        store.read(VERSIONS, bad)


def test_what_is_unreadable_to_us_is_readable_to_the_store():
    """Indexes go by raw objects: an unreadable version is found, and its own reconcile comes to it."""
    store, bad = Store(), model_version("v2")
    store.put({**bad, "spec": {**bad["spec"], "createdAt": "soon"}})
    by_model = Index(MODEL_VERSION, lambda raw: [raw["spec"]["model"]])
    assert len(store.find(by_model, "parts")) == 1
    with pytest.raises(ValueError, match="createdAt"):
        ModelVersion.model_validate(store.list(MODEL_VERSION)[0])
