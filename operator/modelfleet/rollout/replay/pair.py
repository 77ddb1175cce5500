"""The two versions that a replay compares, and the files that it runs. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.rollout.position import Position
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.signatures import KEY

FORMAT = "onnx"
"""What `agent replay` can run, whatever the nodes load."""


@dataclass(frozen=True)
class Side:
    """One version: `file` is its entry in the artifact, None where it has no file in the format."""

    revision: Revision
    file: Mapping[str, Any] | None

    @property
    def version(self) -> str:
        """The model version."""
        return self.revision.version

    @property
    def uri(self) -> str:
        """Where its file is. There must be one."""
        assert self.file is not None
        return f"{str(self.revision.data['artifact']['uri']).rstrip('/')}/{self.file['name']}"


@dataclass(frozen=True)
class Pair:
    """What is compared."""

    stable: Side
    candidate: Side

    def job_name(self, rollout: str, uid: str) -> str:
        """The name of the one Job for these files in this Rollout, and for the keys that must have signed them."""
        sides = [f"{side.version} {side.file['sha256'] if side.file else ''}" for side in (self.stable, self.candidate)]
        keys = [side.revision.data[KEY] for side in (self.stable, self.candidate) if KEY in side.revision.data]
        digest = hashlib.sha256("\n".join([uid, *sides, *keys]).encode()).hexdigest()[:10]
        return f"replay-{rollout[:44].rstrip('-')}-{digest}"


def pair(position: Position) -> Pair | None:
    """The stable version and the one on its way; None where none is, or where only the template differs."""
    stable, candidate = position.stable, position.candidate
    if stable is None or candidate is None or stable.is_of(candidate.model, candidate.version):
        return None
    return Pair(_side(position, stable), _side(position, candidate))


def _side(position: Position, revision: Revision) -> Side:
    """A revision knows the files that its groups load, and its ModelVersion all of them."""
    known = revision.data["artifact"]["files"].get(FORMAT)
    if known is None:
        of = (each for each in position.snapshot.versions if each.metadata.name == revision.model_version)
        found = next((file for each in of if (file := each.spec.artifact.file(FORMAT)) is not None), None)
        known = None if found is None else found.to_dict()
    return Side(revision, known)
