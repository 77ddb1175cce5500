"""An ordered chain of small questions, of which the first with an answer counts. Pure.

A chain is a tuple of functions, to be read from top to bottom. Which link fired is in the debug log, under the owner
that is being reconciled.
"""

import logging
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

Seen = ParamSpec("Seen")
Found = TypeVar("Found")

_log = logging.getLogger(__name__)


def first(chain: Iterable[Callable[Seen, Found | None]], *seen: Seen.args, **more: Seen.kwargs) -> Found:
    """The first answer. Raises LookupError where no link has one: the last link of a chain must always have."""
    for link in chain:
        found = link(*seen, **more)
        if found is not None:
            _log.debug("settled by %s.%s", link.__module__, link.__name__)
            return found
    raise LookupError("no link of the chain had an answer")
