"""JSON that others wrote: pods, people who edit annotations, servers. It may be anything."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError


def parsed(text: str | bytes) -> Any:
    """The value. Raises ValueError where it is not JSON, or so deeply nested (a few KiB of `[` do) that Python's parser
    gives up, which it does with another error."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def texts(text: str | bytes) -> Mapping[str, str]:
    """The members of an object that are texts; none where it is not JSON or no object."""
    try:
        value = parsed(text)
    except ValueError:
        return {}
    return {name: each for name, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}


def first_error(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as "path: message"."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']}" if path else first["msg"]
