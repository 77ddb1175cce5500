"""What a query can say: samples, nothing, or no answer at all. Free of I/O, so that pure code may import it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Series: TypeAlias = tuple[Mapping[str, str], tuple[tuple[float, float], ...]]
"""One time series: its labels, and (Unix time in seconds, value) pairs, oldest first. Values may be NaN or infinite."""


@dataclass(frozen=True)
class Samples:
    """The provider answered, and there is at least one sample."""

    series: tuple[Series, ...]


@dataclass(frozen=True)
class NoData:
    """The provider answered, and nothing matches: no series, or none with a sample at that time."""


@dataclass(frozen=True)
class ProviderDown:
    """The provider did not answer, refused, or answered with something that can't be used.

    `message` says which and what to do, in a form fit for a status: one line, bounded, and never the whole body.
    `bad_query` is True where the provider is well and refused this one query (400 or 422): its author must fix it.
    """

    message: str
    bad_query: bool = False


Result: TypeAlias = Samples | NoData | ProviderDown
