"""What there is to know about a trained model beside its weights: what its curves say, and the report for people.

diagnosis and threshold are pure; pictures draws; report writes the folder that is uploaded beside the weights.
"""

from trainer.evaluation.curves import Curves, read_curves
from trainer.evaluation.diagnosis import Diagnosis, diagnose
from trainer.evaluation.report import Subject, write_report
from trainer.evaluation.threshold import Threshold, in_words, thresholds

__all__ = [
    "Curves",
    "Diagnosis",
    "Subject",
    "Threshold",
    "diagnose",
    "in_words",
    "read_curves",
    "thresholds",
    "write_report",
]
