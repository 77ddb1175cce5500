"""A dataset, from addresses to a checked folder that ultralytics can read.

fetch -> (archive) -> layout -> check -> assemble. Everything wrong with the data ends the run before any training,
with counts and the first offending files.
"""

from trainer.dataset.assemble import Assembled, assemble, assemble_holdout
from trainer.dataset.fetch import Fetched, fetch
from trainer.dataset.source import CheckedSource, check_source

__all__ = ["Assembled", "CheckedSource", "Fetched", "assemble", "assemble_holdout", "check_source", "fetch"]
