"""Containers of a pod, found by their names. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any


def named(containers: Iterable[Mapping[str, Any]] | None, name: str) -> Mapping[str, Any]:
    """The one of this name, of a pod's spec or of its status; {} where there is none."""
    return next((entry for entry in containers or () if entry["name"] == name), {})
