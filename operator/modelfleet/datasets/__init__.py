"""Datasets: from captured frames to reviewed ones to versions: when the labeler's Job runs, and what it found."""

from modelfleet.datasets.observe import controller
from modelfleet.datasets.watch import WATCHES

__all__ = ["WATCHES", "controller"]
