"""TrainingJobs: from a spec to a batch Job, to progress, to a ModelVersion or a failure that says why."""

from modelfleet.training.observe import controller, owners_of

__all__ = ["controller", "owners_of"]
