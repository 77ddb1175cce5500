"""Whose an object is: of modelfleet.dev, or meant to be; all others are counted, and not looked at. Pure."""

import difflib
from collections.abc import Mapping
from typing import Final

from modelfleet.api import crd, names

KINDS: Final = frozenset(resource.model.__name__ for resource in crd.RESOURCES)


def is_ours(head: Mapping[str, str]) -> bool:
    """By `apiVersion` and `kind`: our group; or a kind of ours without a group, or in one that is nearly called so."""
    group, slash, _ = head.get("apiVersion", "").lower().partition("/")
    if group == names.GROUP:
        return True
    kind = head.get("kind", "")
    if not slash:
        return kind in KINDS
    return bool(_near(group, [names.GROUP]) and _near(kind, KINDS))


def _near(name: str, known: frozenset[str] | list[str]) -> bool:
    return bool(difflib.get_close_matches(name, known, n=1, cutoff=0.8))
