"""What this release does not act on is named, field by field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelfleet.api import TrainingJob, unsupported_fields

EXAMPLES = Path(__file__).parents[3] / "examples"


def unsupported_with(name: str, **spec: Any) -> tuple[str, ...]:
    manifest = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    manifest["spec"] |= spec
    return unsupported_fields(TrainingJob.model_validate(manifest))


def test_the_example_uses_nothing_unsupported() -> None:
    assert unsupported_with("trainingjob-finetune") == ()


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
