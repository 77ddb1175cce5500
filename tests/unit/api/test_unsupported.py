"""What this release does not act on is named, field by field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelfleet.api import ModelVersion, TrainingJob, unsupported_fields

EXAMPLES = Path(__file__).parents[3] / "examples"
KINDS: dict[str, type[ModelVersion | TrainingJob]] = {
    "modelversion": ModelVersion,
    "trainingjob-finetune": TrainingJob,
}


def unsupported_with(name: str, **spec: Any) -> tuple[str, ...]:
    manifest = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    manifest["spec"] |= spec
    return unsupported_fields(KINDS[name].model_validate(manifest))


@pytest.mark.parametrize("name", KINDS)
def test_the_examples_use_nothing_unsupported(name: str) -> None:
    assert unsupported_with(name) == ()


@pytest.mark.parametrize(
    ("name", "spec", "paths"),
    [
        ("trainingjob-finetune", {"checkpoint": {}}, ()),
        (
            "trainingjob-finetune",
            {"tracking": {"mlflow": {"uri": "http://mlflow"}, "wandb": {"project": "p", "secretRef": {"name": "s"}}}},
            (),
        ),
        (
            "trainingjob-finetune",
            {"output": {"uri": "s3://m/", "formats": ["onnx", "engine"]}},
            ("spec.output.formats (engine)",),
        ),
        (
            "trainingjob-finetune",
            {"dataset": {"sources": [{"uri": "s3://d/a.tar"}, {"uri": "s3://d/b.zip", "format": "COCO"}]}},
            (),
        ),
    ],
)
def test_unsupported_fields(name: str, spec: dict[str, Any], paths: tuple[str, ...]) -> None:
    assert unsupported_with(name, **spec) == paths


def test_an_oci_artifact_is_not_supported_yet() -> None:
    manifest = yaml.safe_load((EXAMPLES / "modelversion.yaml").read_text())
    manifest["spec"]["artifact"]["uri"] = "oci://models/parts"
    assert unsupported_fields(ModelVersion.model_validate(manifest)) == ("spec.artifact.uri (oci://)",)
