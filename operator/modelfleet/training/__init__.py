"""TrainingJobs: from a spec to a batch Job, to progress, to a ModelVersion or a failure that says why."""

from modelfleet.training.observe import controller
from modelfleet.training.watch import WATCHES

__all__ = ["WATCHES", "controller"]
