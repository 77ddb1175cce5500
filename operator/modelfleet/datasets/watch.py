"""Whom a change wakes: Datasets, by their Jobs and pods. What is deployed is asked for when a Job is made."""

from modelfleet.api import names
from modelfleet.kinds import DATASET, JOB, POD
from modelfleet.watches import Watch, itself, labelled

_CHILD = labelled(names.DATASET)

WATCHES: tuple[Watch, ...] = (
    Watch(DATASET, DATASET, itself),
    Watch(DATASET, JOB, _CHILD),
    Watch(DATASET, POD, _CHILD),
)
