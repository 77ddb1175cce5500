"""Which versions go: those beyond the newest few that nothing uses, and no others; and how they are removed."""

from datetime import timedelta

import pytest

from modelfleet import telemetry
from modelfleet.api import Rollout, TrainingJob
from modelfleet.decision import Delete
from modelfleet.kinds import MODEL_VERSION, Key
from modelfleet.kube import Store, Unavailable
from modelfleet.kube.client import Listing
from modelfleet.reconcile import Deps
from modelfleet.settings import Images, Retention, Settings, Verification
from modelfleet.versions import controller
from modelfleet.versions.decide import decide
from modelfleet.versions.retention import Family, Policy, next_due, surplus
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.usage import roles
from unit.training.builders import (
    NAMESPACE,
    after,
    condition,
    fine_tune,
    model_version,
    rollout,
    training_job,
    versions,
)

REJECTED = {"result": "Failed", "message": "recall fell"}
TWO = Policy(2, timedelta(0))


def v(number, **fields):
    """Version number n is made in second n."""
    return model_version(f"v{number}", created=after(number), **fields)


def going(*raw, policy=TWO, rollouts=(), held=(), trainings=(), now=1000):
    parsed = tuple(TrainingJob.model_validate(entry) for entry in trainings)
    used = {name.removeprefix("parts-") for entry in rollouts for name in roles(entry)}
    of_model = tuple(Rollout.model_validate(entry) for entry in rollouts)
    family = Family(versions(*raw), frozenset(used), of_model, frozenset(held), parsed)
    return [each.spec.version for each in surplus(policy, family, after(now))]


FOUR = (v(1), v(2), v(3), v(4))


def test_where_a_user_can_not_be_read_nothing_goes():
    assert surplus(TWO, Family(versions(*FOUR)), after(1000)) != ()
    assert surplus(TWO, Family(versions(*FOUR), complete=False), after(1000)) == ()


@pytest.mark.parametrize(
    ("raw", "goes"),
    [
        ((), []),
        ((v(1), v(2)), []),
        (FOUR, ["v1", "v2"]),
        ((v(4), v(2), v(3), v(1)), ["v1", "v2"]),
        # of the same second: by name, its numbers as numbers
        (tuple(model_version(name) for name in ("v9", "v10", "v11", "v8")), ["v8", "v9"]),
        # neither Ready nor rejected: left alone, and not counted
        ((v(1), v(2, ready=False), v(3, ready=None), v(4)), []),
        ((v(1), v(2), v(3), v(4, ready=False)), ["v1"]),
        # going already
        ((v(1, deleting=True), v(2), v(3)), []),
        # rejected ones are counted apart
        ((v(1), v(2), v(3, evaluation=REJECTED), v(4, evaluation=REJECTED), v(5, evaluation=REJECTED)), ["v3"]),
        ((v(1, evaluation=REJECTED), v(2), v(3), v(4)), ["v2"]),
        # in use by the word of the finalizer
        ((v(1, finalizers=("modelfleet.dev/in-use",)), v(2), v(3), v(4)), ["v2"]),
        ((v(1, finalizers=("example.com/mine",)), v(2), v(3)), ["v1"]),
        # tags that mean a version keep it; one that moved on does not
        ((v(1, tags=("gold",)), v(2), v(3), v(4)), ["v2"]),
        ((v(1, tags=("candidate",)), v(2, tags=("candidate",)), v(3, tags=("candidate",))), []),
        (tuple(v(n, tags=("candidate",)) for n in (1, 2, 3, 4)), ["v1"]),  # v4 is used: the tag means it
    ],
)
def test_the_newest_that_nothing_uses_stay(raw, goes):
    assert going(*raw) == goes


def over(type="Complete", **fields):
    return training_job(status={"conditions": [condition(type, "True", "Done")], **fields})


@pytest.mark.parametrize(
    ("used", "goes"),
    [
        ({"rollouts": [rollout(stableVersion="v1")]}, ["v2"]),
        ({"rollouts": [rollout(stableVersion="v4", candidateVersion="v1")]}, []),
        ({"rollouts": [rollout(groups=[{"name": "a", "version": "v2"}])]}, ["v1"]),
        ({"rollouts": [rollout(model="other", stableVersion="v1")]}, ["v1", "v2"]),
        ({"held": ["parts-v1"]}, ["v2"]),
        ({"held": ["other-v1"]}, ["v1", "v2"]),
        ({"trainings": [fine_tune({"version": "v1"})]}, ["v2"]),
        ({"trainings": [fine_tune({"tag": "gold"}, status={"parent": "v2", "version": "v5"})]}, ["v1"]),
        ({"trainings": [training_job(status={"baseline": "v1", "version": "v2"})]}, []),
        (
            {
                "trainings": [
                    training_job(
                        evaluation={
                            "dataset": {"uri": "s3://h"},
                            "baseline": {"version": "v1"},
                            "gates": [{"metric": "map50", "minimum": "0.5"}],
                        }
                    )
                ]
            },
            ["v2"],
        ),
    ],
)
def test_what_is_used_stays_and_takes_nobodys_place(used, goes):
    assert going(*FOUR, **used) == goes


def pinned(version):
    raw = rollout()
    raw["spec"]["model"] = {"name": "parts", "version": version}
    return raw


def retraining(version):
    raw = rollout()
    template = {"spec": fine_tune({"version": version})["spec"]}
    raw["spec"]["drift"] = {"signals": [{"name": "confidence", "minDrop": "0.05"}], "retrain": {"template": template}}
    return raw


@pytest.mark.parametrize("raw", [pinned("v1"), retraining("v1")])
def test_what_a_rollouts_spec_names_stays(raw):
    assert going(*FOUR, rollouts=[raw]) == ["v2"]


def test_a_version_whose_training_job_is_not_over_stays():
    made = v(1, lineage={"trainingJob": "parts-v4"})
    assert going(made, v(2), v(3), v(4), trainings=[training_job("parts-v4")]) == ["v2"]


def test_a_young_version_waits():
    policy = Policy(1, timedelta(seconds=100))
    family = Family(versions(v(1), v(50), v(60)))
    assert [each.spec.version for each in surplus(policy, family, after(101))] == ["v1"]
    first, second, newest = family.versions
    assert next_due(policy, family, first, after(101)) is None
    assert next_due(policy, family, second, after(101)) == timedelta(seconds=49)
    assert next_due(policy, family, newest, after(101)) is None


def test_any_version_of_the_model_sees_to_all_and_each_removal_is_bound_and_told():
    (newest,) = versions(v(4))
    decision = decide(Snapshot(newest, Family(versions(*FOUR)), policy=TWO), after(1000))
    assert decision.actions == (
        Delete(MODEL_VERSION, NAMESPACE, "parts-v1", "uid-parts-v1", "7"),
        Delete(MODEL_VERSION, NAMESPACE, "parts-v2", "uid-parts-v2", "7"),
    )
    assert [(entry.reason, entry.about["metadata"]["name"]) for entry in decision.announcements] == [
        ("VersionRemoved", "parts-v1"),
        ("VersionRemoved", "parts-v2"),
    ]
    assert "Its files stay at s3://models/parts/v1/" in decision.announcements[0].message


def test_nothing_is_removed_unless_it_is_asked_for():
    (newest,) = versions(v(4))
    assert decide(Snapshot(newest, Family(versions(*FOUR))), after(1000)).actions == ()


# --- what the decision is made upon -----------------------------------------------------------------------------------


class Api:
    """Lists what there is now."""

    def __init__(self, *objects, fails=False):
        self.store, self.fails, self.asked = filled(*objects), fails, []

    async def list(self, kind, namespace, *, selector=""):
        if self.fails:
            raise Unavailable("no answer")
        self.asked.append((kind.kind, namespace, selector))
        return Listing(self.store.list(kind, namespace), 100)


def filled(*objects):
    store = Store()
    for number, obj in enumerate(objects, start=1):
        store.put({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}})
    return store


async def look(store, api, **retention):
    settings = Settings(
        images=Images(trainer="t", agent="a", labeler="l"),
        verification=Verification(enabled=False),
        retention=Retention(**{"keep_versions": 2, "min_age": timedelta(0), **retention}),
    )
    deps = Deps(store, api, None, None, settings, None, lambda: after(1000), telemetry.Metrics("test"))
    here = controller(deps)
    return here.decide(await here.observe(Key(NAMESPACE, "parts-v4")), after(1000))


async def test_a_removal_is_decided_upon_what_the_api_server_says_now():
    """The store has not heard yet that a Rollout uses v1, and that v2 was tagged."""
    api = Api(v(1), v(2, tags=("gold",)), v(3), v(4), v(5), rollout(stableVersion="v1"))
    decision = await look(filled(*FOUR), api)
    assert [(action.name, action.resource_version) for action in decision.actions] == [("parts-v3", "3")]
    assert [kind for kind, _, _ in api.asked] == ["ModelVersion", "ControllerRevision", "TrainingJob", "Rollout"]


async def test_a_revision_holds_its_version():
    held = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "line-1", "namespace": NAMESPACE, "uid": "u", "labels": {"modelfleet.dev/model": "parts"}},
        "data": {"model": "parts", "modelVersion": "parts-v1"},
    }
    decision = await look(filled(*FOUR), Api(*FOUR, held))
    assert [action.name for action in decision.actions] == ["parts-v2"]


async def test_nothing_is_asked_while_nothing_is_to_go():
    api = Api()
    assert (await look(filled(v(3), v(4)), api)).actions == ()
    assert (await look(filled(*FOUR), api, keep_versions=0)).actions == ()
    assert (await look(filled(*FOUR), api, models={"parts": 0})).actions == ()
    assert api.asked == []


async def test_nothing_is_removed_while_the_api_server_does_not_answer():
    with pytest.raises(Unavailable):
        await look(filled(*FOUR), Api(fails=True))


@pytest.mark.parametrize("user", [rollout(), training_job()], ids=lambda each: each["kind"])
async def test_nothing_is_removed_while_what_may_use_it_can_not_be_read(user):
    unreadable = {**user, "spec": {**user["spec"], "nonsense": True}}
    assert (await look(filled(*FOUR), Api(*FOUR, user))).actions != ()
    assert (await look(filled(*FOUR), Api(*FOUR, unreadable))).actions == ()
    assert (await look(filled(*FOUR, unreadable), Api(fails=True))).actions == (), "nobody is asked"


async def test_a_model_may_have_a_number_of_its_own():
    decision = await look(filled(*FOUR), Api(*FOUR), keep_versions=0, models={"parts": 3})
    assert [action.name for action in decision.actions] == ["parts-v1"]
