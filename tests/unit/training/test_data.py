"""Which version of a Dataset a TrainingJob means: resolved once, pinned, and what is said where it is not there."""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet.api import Dataset, PinnedData, TrainingJob
from modelfleet.decision import Create
from modelfleet.kinds import DATASET
from modelfleet.training import data, modelversion
from modelfleet.training.data import NOTHING, Data
from modelfleet.training.decide import decide
from modelfleet.training.jobs import job_facts
from modelfleet.training.snapshot import Detail
from modelfleet.training.watch import WATCHES
from modelfleet.versions.resolve import Missing
from modelfleet.views import DATASETS
from trainer import run as trainer_side
from unit.training.builders import DETAIL, NAMESPACE, after, ended, snapshot, succeeded_pod, training_job
from unit.training.builders import job as raw_job
from unit.waking import store_of, woken

Json = dict[str, Any]
A, B, H = "a" * 64, "b" * 64, "e" * 64
HOLDOUT = {"uri": "s3://data/parts/versions/00012/holdout.json", "sha256": H, "images": 60}
LATEST = {"number": 12, "uri": "s3://data/parts/versions/00012/version.json", "sha256": A, "holdout": HOLDOUT}
VERSIONS = [{"number": 12, "sha256": A}, {"number": 11, "sha256": B}]
PINNED = PinnedData(dataset="parts", version=12, uri=LATEST["uri"], sha256=A)
FROZEN = PinnedData(dataset="parts", version=12, uri=HOLDOUT["uri"], sha256=H)


def dataset(name: str = "parts", **status: Any) -> Json:
    fields = {"latest": LATEST, "versions": VERSIONS, **status}
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": 1},
        "spec": {
            "model": "parts",
            "captures": {"uri": "s3://captures/line/"},
            "store": {"uri": f"s3://data/{name}"},
            "classes": ["bolt"],
            "labelling": {"files": {"uri": "s3://reviewed/"}},
        },
        "status": {key: value for key, value in fields.items() if value is not None},
    }


def training(number: int | None = None, *, holdout: str = "", plain: bool = False, **spec: Any) -> Json:
    reference: Json = {"dataset": "parts"} | ({} if number is None else {"version": number})
    sources = {"sources": [{"uri": "s3://data/old.tar"}]} if plain else {}
    judged = {"evaluation": {"dataset": {"from": {"dataset": holdout}}}} if holdout else {}
    return training_job(dataset={"from": reference, **sources}, **judged, **spec)


def resolved(raw: Json, *datasets: Json, before: Data = NOTHING) -> Data:
    known = {each["metadata"]["name"]: Dataset.model_validate(each) for each in datasets}
    return data.resolve(TrainingJob.model_validate(raw).spec, before, known)


@pytest.mark.parametrize(
    ("raw", "datasets", "version", "holdout"),
    [
        pytest.param(training(), [dataset()], PINNED, None, id="the newest"),
        pytest.param(training(12), [dataset()], PINNED, None, id="by number"),
        pytest.param(training(holdout="parts"), [dataset()], PINNED, FROZEN, id="its holdout"),
        pytest.param(
            training(11, holdout="parts"),
            [dataset(versions=[VERSIONS[0], VERSIONS[1] | {"holdout": B}])],
            PinnedData(dataset="parts", version=11, uri="s3://data/parts/versions/00011/version.json", sha256=B),
            PinnedData(dataset="parts", version=11, uri="s3://data/parts/versions/00011/holdout.json", sha256=B),
            id="the holdout of the version that is trained on, not of the newest",
        ),
        pytest.param(
            training(holdout="other"),
            [dataset(), dataset("other", latest=LATEST | {"uri": "s3://data/other/versions/00012/version.json"})],
            PINNED,
            PinnedData(dataset="other", version=12, uri="s3://data/other/versions/00012/holdout.json", sha256=H),
            id="the holdout of another Dataset: its newest",
        ),
        pytest.param(training(), [dataset(versions=None)], PINNED, None, id="the newest alone is known"),
    ],
)
def test_what_a_reference_means(raw: Json, datasets: list[Json], version: PinnedData, holdout: PinnedData | None):
    assert resolved(raw, *datasets) == Data(version, holdout)


def test_a_version_is_where_the_status_found_it_though_the_store_is_another_one_since():
    """spec.store was changed and no sync has looked there yet: version 12 lies where it lay."""
    moved = dataset()
    moved["spec"]["store"] = {"uri": "s3://new/parts/"}
    assert resolved(training(holdout="parts"), moved) == Data(PINNED, FROZEN)
    foreign = dataset(latest=LATEST | {"uri": "s3://data/parts/twelve.json"})
    assert resolved(training(), foreign) == Data(PINNED), "a labeler of somebody's own may call it otherwise"


CASES = [
    pytest.param(training(), [], "DatasetNotFound", "Dataset parts does not exist in this namespace", id="none"),
    pytest.param(
        training(),
        [
            dataset(
                latest=None, conditions=[{"type": "Ready", "status": "True", "reason": "Synced", "message": "9 wait"}]
            )
        ],
        "DatasetVersionNotFound",
        "Dataset parts has no version yet: 9 wait. The run starts automatically",
        id="no version yet",
    ),
    pytest.param(training(13), [dataset()], "DatasetVersionNotFound", "has no version 13 yet", id="still to come"),
    pytest.param(
        training(3), [dataset()], "DatasetVersionNotFound", "s3://data/parts/versions/00003/version.json", id="too old"
    ),
    pytest.param(
        training(holdout="parts"),
        [dataset(latest=LATEST | {"holdout": None})],
        "HoldoutNotFound",
        "spec.evaluation.dataset.from: version 12 of Dataset parts has no holdout that is known",
        id="no holdout",
    ),
    pytest.param(training(11, holdout="parts"), [dataset()], "HoldoutNotFound", "version 11", id="of an older version"),
]


@pytest.mark.parametrize(("raw", "datasets", "reason", "says"), CASES)
def test_what_is_not_there_is_named_and_waited_for(raw: Json, datasets: list[Json], reason: str, says: str):
    decision = decide(snapshot(raw, data=resolved(raw, *datasets)), after(10))
    assert decision.actions == ()
    assert decision.status is not None
    assert [(each.type, each.reason) for each in decision.status.conditions] == [("Ready", reason), ("Stalled", reason)]
    assert says in decision.status.conditions[0].message


def test_the_trainer_gets_plain_pinned_sources_and_the_job_remembers_what_they_are_of():
    raw = training(plain=True, holdout="parts")
    decision = decide(snapshot(raw, data=resolved(raw, dataset())), after(10))
    (create,) = decision.actions
    assert isinstance(create, Create)
    (container,) = create.manifest["spec"]["template"]["spec"]["containers"]
    run = trainer_side.parse(next(each["value"] for each in container["env"] if each["name"] == "TRAINER_RUN"))
    assert [(each.uri, each.sha256) for each in run.dataset.sources] == [
        (PINNED.uri, A),
        ("s3://data/old.tar", None),
    ]
    assert run.evaluation is not None
    assert (run.evaluation.dataset.uri, run.evaluation.dataset.sha256) == (FROZEN.uri, H)
    made = {
        **create.manifest,
        "metadata": {**create.manifest["metadata"], "uid": "j", "creationTimestamp": "2026-11-21"},
    }
    assert job_facts(made).data == Data(PINNED, FROZEN)


def told(raw: Json, data_: Data = Data(PINNED, FROZEN)) -> Json:  # noqa: B008
    """The Job that this TrainingJob made when version 12 was the newest."""
    job = raw_job(raw)
    job["metadata"]["annotations"] = {"modelfleet.dev/dataset-versions": data_.to_text()}
    return job


def test_a_newer_version_changes_nothing_of_a_run():
    raw = training(holdout="parts")
    decision = decide(snapshot(raw, job=told(raw)), after(10))
    assert decision.status is not None
    assert (decision.status.dataset, decision.status.holdout) == (PINNED, FROZEN)
    newer = dataset(latest=LATEST | {"number": 13, "sha256": B}, versions=None)
    assert resolved(raw, newer, before=Data(PINNED, FROZEN)) == Data(PINNED, FROZEN), "a Job that is made again"
    assert resolved(raw, before=Data(PINNED, FROZEN)) == Data(PINNED, FROZEN), "even where the Dataset is gone"


def test_the_lineage_says_which_version_of_which_dataset_it_was():
    raw = training()
    seen = snapshot(raw, job=told(raw, Data(PINNED)) | {"status": ended(True)}, pods=(succeeded_pod(),))
    (create,) = decide(replace(seen, detail=Detail(DETAIL)), after(600)).actions
    assert isinstance(create, Create)
    lineage = create.manifest["spec"]["lineage"]["dataset"]
    assert (lineage["dataset"], lineage["version"], lineage["images"]) == ("parts", 12, 120)
    unknown = modelversion._dataset({**DETAIL["dataset"], "dataset": "made up", "version": 99}, NOTHING)
    assert "dataset" not in unknown, "what the trainer says of it counts for nothing"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            {"uri": "s3://data/h.json", "sha256": H, "images": 60, "labels": 200, "of_another_release": 1},
            {"dataset": "parts", "version": 12, "uri": "s3://data/h.json", "sha256": H, "images": 60, "labels": 200},
        ),
        (None, None),
        ({"uri": "s3://data/h.json"}, None),  # no training is lost over it
        ([], None),
    ],
)
def test_the_lineage_says_which_holdout_the_figures_are_of(said: Any, found: Json | None):
    raw = training(holdout="parts")
    detail = {**DETAIL, "holdout": said}
    pods = (succeeded_pod(detail=detail),)
    seen = snapshot(raw, job=told(raw, Data(PINNED, FROZEN)) | {"status": ended(True)}, pods=pods)
    (create,) = decide(replace(seen, detail=Detail(detail)), after(600)).actions
    assert isinstance(create, Create)
    assert create.manifest["spec"]["lineage"].get("holdout") == found


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"version": {"dataset": "parts"}}', '{"version": 3}'])
def test_an_annotation_that_can_not_be_read_says_nothing(text: str | None):
    assert data.read(text) == NOTHING


def test_what_is_written_reads_back_equal():
    assert data.read(Data(PINNED, FROZEN).to_text()) == Data(PINNED, FROZEN)
    assert data.read(Data(PINNED, Missing("HoldoutNotFound", "x")).pinned.to_text()) == Data(PINNED)


def test_a_dataset_wakes_those_that_wait_for_it_by_its_versions_alone():
    over = {"conditions": [{"type": "Complete", "status": "True", "reason": "Complete"}]}
    store = store_of(
        training(name="a"),
        training_job("b", evaluation={"dataset": {"from": {"dataset": "parts"}}}),
        training_job("c"),
        training(name="d", status=over),
    )
    before = dataset(waiting=9)
    assert woken(WATCHES, DATASET, before, store) == ["a", "b"]
    assert woken(WATCHES, DATASET, dataset(waiting=10), store, before=before) == []
    assert woken(WATCHES, DATASET, dataset(latest=LATEST | {"number": 13}), store, before=before) == ["a", "b"]


def test_a_status_that_can_not_be_read_is_as_good_as_none():
    raw = dataset(latest={"number": "twelve"})
    store = store_of(raw)
    assert store.read(DATASETS, raw).status.latest is None
