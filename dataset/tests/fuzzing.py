"""What the fuzz tests share: how many examples, of which values, and a good document with something wrong in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some


def examples(count: int = 60) -> Callable[[Any], Any]:
    """So many, derived from the test's code: a failure is the same everywhere."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


def scalars(*odd: Any, longest: int = 8) -> some.SearchStrategy[Any]:
    """What a JSON document may hold that is no object or list; and these, which are known to do harm."""
    return some.one_of(
        some.none(),
        some.booleans(),
        some.integers(),
        some.floats(),
        some.text(some.characters(), max_size=longest),
        some.sampled_from(odd),
    )


@some.composite
def spoiled(draw: Any, whole: Any, values: some.SearchStrategy[Any]) -> Any:
    """A good document in which a few members, however deep, are something else."""
    document = json.loads(json.dumps(whole))
    for _ in range(draw(some.integers(0, 3))):
        at = document
        while places := list(at.items() if isinstance(at, dict) else enumerate(at)):
            name, each = draw(some.sampled_from(places))
            if not isinstance(each, dict | list) or draw(some.booleans()):
                at[name] = draw(values)
                break
            at = each
    return document
