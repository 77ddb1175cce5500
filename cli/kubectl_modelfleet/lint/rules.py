"""The CEL rules of a CRD, evaluated here as the API server would (cel-python), on a value that fits the schema.

What the API server's CEL has beside the language, and our rules use: `isSorted`, `replace`. Rules about what was before
(`oldSelf`) are left out: a manifest has no past.
"""

import functools
import itertools
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from kubectl_modelfleet.lint.problem import Path
from kubectl_modelfleet.lint.schema import Finding, Schema

logging.getLogger("celpy").setLevel(logging.ERROR)


def check(value: Any, schema: Schema, path: Path = ()) -> Iterator[Finding]:
    """The rules that do not hold, of this value and of all in it."""
    for rule in schema.get("x-kubernetes-validations") or ():
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value):
            yield _place(path, rule.get("fieldPath", "")), _message(rule, value)
    if isinstance(value, dict):
        properties, values = schema.get("properties") or {}, schema.get("additionalProperties")
        for name, each in value.items():
            part = properties.get(name, values if isinstance(values, Mapping) else None)
            if part is not None:
                yield from check(each, part, (*path, name))
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from check(item, schema["items"], (*path, index))


def _place(path: Path, field: str) -> Path:
    return (*path, *(part for part in field.split(".") if part))


def _holds(rule: str, value: Any) -> bool:
    """Whether a rule holds. One that can't be evaluated on this value does not, as on the API server."""
    try:
        return bool(_program(rule).evaluate({"self": json_to_cel(value)}))
    except CELEvalError:
        return False


def _message(rule: Mapping[str, str], value: Any) -> str:
    expression = rule.get("messageExpression")
    if expression is not None:
        try:
            return str(_program(expression).evaluate({"self": json_to_cel(value)}))
        except CELEvalError:  # the plain message says it, too
            return rule["message"]
    return rule["message"]


@functools.cache
def _program(rule: str) -> celpy.Runner:
    return _environment().program(_environment().compile(rule), functions={"isSorted": _is_sorted, "replace": _replace})


@functools.cache
def _environment() -> celpy.Environment:
    """One for all: each new one sets the interpreter's recursion limit anew."""
    return celpy.Environment()


def _replace(text: celtypes.StringType, old: celtypes.StringType, new: celtypes.StringType) -> celtypes.StringType:
    return celtypes.StringType(text.replace(old, new))


def _is_sorted(values: Any) -> celtypes.BoolType:
    return celtypes.BoolType(all(one <= other for one, other in itertools.pairwise(values)))
