"""Which models have to be signed before a node, or a replay, loads them, and by whom. Pure.

The signature lies beside the version's files (workloads/signature.py). The public keys are the
administrator's, in the operator's settings, and never in a Rollout. Where a signature is demanded the keys are part of
a revision, hash included: to demand signatures, or to change the keys, is a new revision, which goes through groups and
gates as any other, and each node verifies the model again. What ran before may still be gone back to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.api.rollout import Rollout
from modelfleet.workloads import signature
from modelfleet.workloads.env import variable

KEY = "signatureKeys"
"""In a revision's data."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Signing:
    """What the operator's settings say: public keys in PEM ("" for none), and whether all models must be signed."""

    public_keys: str = ""
    required: bool = False

    def demanded(self, rollout: Rollout) -> bool:
        """Whether this Rollout's models have to be signed."""
        return self.required or rollout.spec.delivery.signed

    def in_revision(self, rollout: Rollout) -> Json:
        """What of it is part of a revision; nothing where no signature is demanded."""
        return {KEY: self.public_keys} if self.demanded(rollout) else {}


UNSIGNED = Signing()


def of_revision(data: Mapping[str, Any]) -> Json:
    """The signature that the files of a revision with this data must have: {} or {"uri", "keys"}."""
    return signature.demanded(str(data["artifact"]["uri"]), data[KEY]) if KEY in data else {}


def environment(data: Mapping[str, Any]) -> list[Json]:
    """What the container that fetches is told, for a revision with this data."""
    return [variable(f"MODEL_SIGNATURE_{name.upper()}", value) for name, value in of_revision(data).items()]
