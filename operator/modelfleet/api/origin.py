"""What a training starts from, where that is not the architecture alone."""

from typing import Annotated

from modelfleet.api import schemes
from modelfleet.api.base import Rule, SpecModel
from modelfleet.api.common import Sha256, VersionRef
from modelfleet.api.quantities import Text


class SourceCheckpoint(SpecModel):
    """A PyTorch checkpoint that ultralytics wrote, such as yolo11n.pt. It is read as data: no code in it is run."""

    uri: Annotated[
        str,
        Text(
            1024,
            schemes.pattern(schemes.READABLE, f"{schemes.no_space()}*{schemes.no_space('/')}"),
            f"must be the {schemes.listed(schemes.READABLE)} address of a file, such as s3://models/yolo11n.pt",
        ),
    ]
    """Address of the file: s3://, gs://, az://, https://, or file:// for a volume mounted by spec.template."""
    sha256: Sha256
    """Its digest, which `sha256sum yolo11n.pt` prints. Another file is refused."""


class Origin(VersionRef):
    """What a training starts from: a version of the model, or a checkpoint that is not a version."""

    rules = (
        Rule(
            "[has(self.version), has(self.tag), has(self.rollout), has(self.checkpoint)]"
            ".filter(given, given).size() == 1",
            "set exactly one of version, tag, rollout or checkpoint",
        ),
    )

    checkpoint: SourceCheckpoint | None = None
    """A checkpoint from elsewhere, for the first version of a model, in modes FineTune and Transfer. No ModelVersion is
    made of it, so that no Rollout ever delivers it."""
