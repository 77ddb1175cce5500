"""What one look at a Dataset sees, as frozen values: what everything pure in this folder works on."""

from dataclasses import dataclass

from modelfleet.api import Dataset
from modelfleet.datasets.sync_job import SyncJob


@dataclass(frozen=True, order=True)
class Deployed:
    """A version of the model that a Rollout runs, by the file that its nodes load, and the classes that it finds."""

    version: str
    sha256: str
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """Everything a decision about one Dataset needs.

    image     the labeler's image, where the template names none
    jobs      its Jobs, in the order of the moments for which they were made
    deployed  what Rollouts of its model run
    """

    dataset: Dataset
    image: str
    jobs: tuple[SyncJob, ...] = ()
    deployed: tuple[Deployed, ...] = ()
