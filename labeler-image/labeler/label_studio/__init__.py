"""Label Studio as the place where people correct labels: tasks go in with predictions, reviews come out as boxes."""

from labeler.label_studio.client import LabelStudio
from labeler.label_studio.http import LabelStudioError

__all__ = ["LabelStudio", "LabelStudioError"]
