"""What one look at a ModelVersion sees, as frozen values."""

from dataclasses import dataclass, field

from modelfleet.api import ModelVersion
from modelfleet.versions.retention import Family, Policy
from modelfleet.versions.usage import Uses
from modelfleet.versions.verification import Verifier
from modelfleet.versions.verify_job import VerifyJob


@dataclass(frozen=True)
class Snapshot:
    """Everything that a decision about one ModelVersion needs.

    family    its model in the namespace, this version included or not
    verifier  how its files are verified; None: they are not
    job       its verify Job
    others    how many other versions of the namespace are being verified
    policy    what retention keeps of its model; None: everything
    uses      the Rollouts that use it
    """

    version: ModelVersion
    family: Family = field(default_factory=Family)
    verifier: Verifier | None = None
    job: VerifyJob | None = None
    others: int = 0
    policy: Policy | None = None
    uses: Uses = field(default_factory=Uses)

    @property
    def deleting(self) -> bool:
        """Whether somebody has deleted it."""
        return self.version.metadata.deletion_timestamp is not None
