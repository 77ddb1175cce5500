"""A dataset, from addresses to a checked folder that ultralytics can read. Needs no torch and no trainer.

fetch -> (archive) -> layout -> check -> assemble. Everything wrong with the data is found before anybody trains on it,
with counts and the first offending files.
"""

from detectiondata.assemble import Assembled, assemble, assemble_holdout
from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched, Format, Source, fetch
from detectiondata.source import CheckedSource, check_source

__all__ = [
    "Assembled",
    "CheckedSource",
    "DatasetError",
    "Fetched",
    "Format",
    "Source",
    "assemble",
    "assemble_holdout",
    "check_source",
    "fetch",
]
