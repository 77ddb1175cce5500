"""The labeler: from captured images to reviewed labels to dataset versions, and what a review says of a model.

Its state is in the object store and in the label tool, nowhere else: a run may be killed after any write, and the next
one ends where it would have.
"""

__version__ = "0.1.0"
