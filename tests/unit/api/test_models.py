"""The models: examples are read and written unchanged, status is clipped, and nothing unknown passes in a spec."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from modelfleet import api
from modelfleet.api import (
    Artifact,
    Dataset,
    GateStatus,
    GroupStatus,
    IntOrPercent,
    ModelVersion,
    Rollout,
    RolloutStatus,
    TrainingJob,
    TrainingMode,
    Verdict,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
KINDS: dict[str, type[ModelVersion | TrainingJob | Rollout | Dataset]] = {
    "Dataset": Dataset,
    "ModelVersion": ModelVersion,
    "TrainingJob": TrainingJob,
    "Rollout": Rollout,
}


def manifests() -> list[Any]:
    found = [
        pytest.param(document, id=f"{path.relative_to(EXAMPLES)}-{document['metadata']['name']}")
        for path in sorted(EXAMPLES.rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document and document["kind"] in KINDS
    ]
    assert found
    return found


def example(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())


@pytest.mark.parametrize("manifest", manifests())
def test_an_example_is_read_and_written(manifest: dict[str, Any]) -> None:
    parsed = KINDS[manifest["kind"]].model_validate(manifest)
    written = parsed.to_dict()
    assert KINDS[manifest["kind"]].model_validate(written) == parsed
    assert is_within(manifest["spec"], written["spec"]), "what the user wrote is what is written"


def is_within(part: Any, whole: Any) -> bool:
    """Whether everything in `part` is in `whole`, which may have defaults besides."""
    if isinstance(part, dict):
        return all(key in whole and is_within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(is_within, part, whole))
    return bool(part == whole)


def test_values_have_python_types() -> None:
    rollout = Rollout.model_validate(example("rollout"))
    assert rollout.spec.gate.soak == timedelta(hours=1)
    assert rollout.spec.gate.comparison is not None
    assert rollout.spec.gate.comparison.margin == Decimal("0.03")
    assert rollout.spec.min_reachable == IntOrPercent(50, is_percent=True)
    assert rollout.spec.groups[0].node_selector.match_labels == {"modelfleet.dev/group": "canary"}
    assert rollout.status == RolloutStatus()
    job = TrainingJob.model_validate(example("trainingjob-finetune"))
    assert job.spec.mode is TrainingMode.FINE_TUNE
    assert job.spec.from_ is not None
    assert job.spec.from_.rollout == "line"
    assert job.spec.hyperparameters.image_size is None, "what the user left out stays absent"


def test_metadata_is_read_as_far_as_it_is_needed() -> None:
    manifest = example("modelversion")
    manifest["metadata"] |= {
        "namespace": "prod",
        "uid": "u",
        "generation": 3,
        "resourceVersion": "77",
        "creationTimestamp": "2026-11-21T03:00:00Z",
        "deletionTimestamp": None,
        "managedFields": [{"manager": "x"}],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "q", "blockOwnerDeletion": True}],
    }
    metadata = ModelVersion.model_validate(manifest).metadata
    assert (metadata.namespace, metadata.generation, metadata.resource_version) == ("prod", 3, "77")
    assert metadata.creation_timestamp == datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert metadata.owner_references[0].uid == "q"


@pytest.mark.parametrize("path", ["spec", "spec/artifact", "spec/calibration"])
def test_an_unknown_field_of_a_spec_is_refused(path: str) -> None:
    manifest = example("modelversion")
    place = manifest
    for part in path.split("/"):
        place = place[part]
    place["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        ModelVersion.model_validate(manifest)


def test_an_unknown_field_of_a_status_is_dropped() -> None:
    manifest = example("rollout") | {
        "status": {"phase": "Healthy", "ofALaterRelease": 1, "groups": [{"name": "a", "new": 2}]}
    }
    assert Rollout.model_validate(manifest).status == RolloutStatus(phase="Healthy", groups=(GroupStatus(name="a"),))


def test_a_status_is_clipped_and_not_refused() -> None:
    status = RolloutStatus(
        groups=(GroupStatus(name="a", reason="x" * 2000),), approved=tuple(str(number) for number in range(40))
    )
    assert len(status.groups[0].reason or "") == 1024
    assert status.approved == tuple(str(number) for number in range(16)), "the newest, which come first, are kept"
    assert len(status.replace(approved=tuple("abcdefghijklmnopqrstuvwxyz")).approved) == 16


def test_replace_knows_its_fields() -> None:
    with pytest.raises(TypeError, match="no field"):
        RolloutStatus().replace(stableVersion="v1")


def test_a_written_status_reads_back_equal() -> None:
    status = RolloutStatus(
        gate=GateStatus(
            group="canary",
            started_at=datetime(2026, 11, 21, 3, 0, 0, 123_456, UTC),
            verdict=Verdict.NO_DATA,
            estimate=Decimal("-0.01"),
            interval=(Decimal("-0.03"), Decimal("0.01")),
        )
    )
    assert RolloutStatus.model_validate(status.to_dict()) == status


def test_reserved_and_bad_names_are_refused() -> None:
    for field, value in (("tags", ["latest"]), ("version", "V1"), ("classes", []), ("imageSize", 8)):
        manifest = example("modelversion")
        manifest["spec"][field] = value
        with pytest.raises(ValidationError, match=field):
            ModelVersion.model_validate(manifest)


@pytest.mark.parametrize("uri", ["s3://models/parts/v1", "s3://models/parts/v1/"])
def test_the_address_of_a_file(uri: str) -> None:
    artifact = Artifact.model_validate(example("modelversion")["spec"]["artifact"] | {"uri": uri})
    onnx = artifact.file("onnx")
    assert onnx is not None
    assert artifact.uri_of(onnx) == "s3://models/parts/v1/best.onnx"
    assert artifact.file("engine") is None


def test_objects_are_frozen() -> None:
    version = ModelVersion.model_validate(example("modelversion"))
    with pytest.raises(ValidationError, match="frozen"):
        version.spec.version = "v9"  # type: ignore[misc]


def test_the_facade_exports_what_it_says() -> None:
    assert sorted(set(api.__all__)) == sorted(api.__all__)
    assert [name for name in api.__all__ if not hasattr(api, name)] == []
