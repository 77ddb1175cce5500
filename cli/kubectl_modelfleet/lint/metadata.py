"""Metadata as the API server takes it, and a strict kubectl: its fields, names, labels and annotations. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Final

from kubectl_modelfleet.lint import schema
from kubectl_modelfleet.lint.problem import Path

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer"}
_BOOLEAN: Final = {"type": "boolean"}
_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}
_TIME: Final = {"type": "string", "format": "date-time"}
_OWNER: Final = {
    "type": "object",
    "required": ["apiVersion", "kind", "name", "uid"],
    "properties": {
        **dict.fromkeys(("apiVersion", "kind", "name", "uid"), _TEXT),
        **dict.fromkeys(("controller", "blockOwnerDeletion"), _BOOLEAN),
    },
}
_SCHEMA: Final[schema.Schema] = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "generateName", "namespace", "uid", "resourceVersion", "selfLink"), _TEXT),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _TIME),
        **dict.fromkeys(("generation", "deletionGracePeriodSeconds"), _NUMBER),
        **dict.fromkeys(("labels", "annotations"), _TEXTS),
        "finalizers": {"type": "array", "items": _TEXT},
        "ownerReferences": {"type": "array", "items": _OWNER},
        "managedFields": {"type": "array", "items": {"type": "object"}},
    },
}
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_WORD: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LETTERS: Final = "lower case letters, digits, '-' and '.', and begin and end with a letter or digit"
_SIGNS: Final = "letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
_LONGEST_NAME: Final = 253
_LONGEST_WORD: Final = 63
_ANNOTATIONS: Final = 256 * 1024
"""Bytes of all annotations together."""


def check(written: Any) -> Iterator[schema.Finding]:
    """What is to be put right in an object's `metadata`."""
    here: Path = ("metadata",)
    given = {key: each for key, each in written.items() if each is not None} if isinstance(written, dict) else written
    if given is None or (isinstance(given, dict) and not (given.get("name") or given.get("generateName"))):
        yield (*here, "name"), "is missing"
    if given is None:
        return
    if unfit := list(schema.check(_without_nulls(given), _SCHEMA, here)):
        yield from unfit
        return
    if given.get("name"):
        yield from _subdomain(given["name"], (*here, "name"))
    elif given.get("generateName"):
        yield from _subdomain(re.sub("-$", "x", given["generateName"]), (*here, "generateName"))
    if given.get("namespace") and not (
        len(given["namespace"]) <= _LONGEST_WORD and _LABEL.fullmatch(given["namespace"])
    ):
        yield (*here, "namespace"), "must be at most 63 lower case letters, digits and '-', no '-' at either end"
    for field in ("labels", "annotations"):
        for key, value in (given.get(field) or {}).items():
            # of annotations the API server takes no account of capitals
            yield from _key(key if field == "labels" else key.lower(), (*here, field, key))
            if field == "labels" and value:
                yield from _word(value, (*here, field, key))
    size = sum(len(f"{key}{value or ''}".encode()) for key, value in (given.get("annotations") or {}).items())
    if size > _ANNOTATIONS:
        yield (*here, "annotations"), f"must have at most {_ANNOTATIONS:,} bytes together, and have {size:,}"
    for index, finalizer in enumerate(given.get("finalizers") or ()):
        yield from _key(finalizer, (*here, "finalizers", index))


def name(written: Any) -> str:
    """The name as the rules of a CRD see it; of `generateName`, cut, and with the five signs that are put behind."""
    if not isinstance(written, dict):
        return "x"
    generated = written.get("generateName")
    return str(written.get("name") or (f"{str(generated)[: _LONGEST_WORD - 5]}xxxxx" if generated else "x"))


def _without_nulls(given: Any) -> Any:
    """A null in a map of texts is an empty text to the API server."""
    if not isinstance(given, dict):
        return given
    return {
        key: {name: "" if text is None else text for name, text in each.items()}
        if key in ("labels", "annotations") and isinstance(each, dict)
        else each
        for key, each in given.items()
    }


def _subdomain(value: str, path: Path) -> Iterator[schema.Finding]:
    if len(value) > _LONGEST_NAME:
        yield path, f"must have at most {_LONGEST_NAME} characters, and has {len(value)}"
    elif not _SUBDOMAIN.fullmatch(value):
        yield path, f"must consist of {_LETTERS}"


def _key(key: str, path: Path) -> Iterator[schema.Finding]:
    """`name`, or `prefix/name` with a DNS name before the slash."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(prefix)):
        yield path, f"before its '/' a key must have at most {_LONGEST_NAME} signs of {_LETTERS}"
    yield from _word(name, path)


def _word(value: str, path: Path) -> Iterator[schema.Finding]:
    if len(value) > _LONGEST_WORD:
        yield path, f"must have at most {_LONGEST_WORD} characters, and has {len(value)}"
    elif not _WORD.fullmatch(value):
        yield path, f"must consist of {_SIGNS}"
