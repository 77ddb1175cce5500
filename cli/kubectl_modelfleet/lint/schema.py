"""Whether a value fits a structural schema, as the API server would say, with a word on what to do. Pure.

The schema is the CRD's. Defaults are filled in first, for the rules speak of what the API server stores.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from kubectl_modelfleet.failures import near
from kubectl_modelfleet.lint import scalars
from kubectl_modelfleet.lint.problem import Path

Schema = Mapping[str, Any]
Finding = tuple[Path, str]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),  # 1.0 is read as 1, see scalars.py
    "number": (int, float),
    "boolean": (bool,),
}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK: Final = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})")
_NAMES: Final = {dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", bool: "a boolean"}


def with_defaults(value: Any, schema: Schema) -> Any:
    """The value with the defaults of the schema where nothing is given; a null counts as nothing."""
    if isinstance(value, dict) and "properties" in schema:
        filled = {key: each for key, each in value.items() if each is not None}
        for name, part in schema["properties"].items():
            if name not in filled and "default" in part:
                filled[name] = copy.deepcopy(part["default"])
            if name in filled:
                filled[name] = with_defaults(filled[name], part)
        return filled
    if isinstance(value, dict) and isinstance(schema.get("additionalProperties"), Mapping):
        return {key: with_defaults(each, schema["additionalProperties"]) for key, each in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(each, schema["items"]) for each in value]
    return value


def check(value: Any, schema: Schema, path: Path = ()) -> Iterator[Finding]:
    """Everything in which the value does not fit, but for the rules in CEL."""
    if (unfit := _type(value, schema)) is not None:
        yield path, unfit
        return
    if "enum" in schema and value not in schema["enum"]:
        known = [str(each) for each in schema["enum"]]
        yield path, f"can't be {_shown(value)}: it is one of {', '.join(known)}.{_meant(str(value), known)}"
    match value:
        case bool():
            pass
        case str():
            yield from _text(value, schema, path)
        case int() | float():
            yield from _number(value, schema, path)
        case list():
            yield from _list(value, schema, path)
        case dict():
            yield from _object(value, schema, path)


def _type(value: Any, schema: Schema) -> str | None:
    """Why the type is wrong; None where it is right."""
    if schema.get("x-kubernetes-int-or-string"):
        fits = isinstance(value, (int, str)) and not isinstance(value, bool)
        return None if fits else f"must be a whole number or text, and is {_named(value)}"
    wanted = schema.get("type")
    if wanted is None:
        return None
    fits = isinstance(value, _TYPES[wanted]) and not (isinstance(value, bool) and wanted != "boolean")
    if fits:
        return None
    if wanted == "string" and isinstance(value, (int, float)):
        written = str(value).lower() if isinstance(value, bool) else value
        says = "; ".join(rule["message"] for rule in (schema.get("x-kubernetes-validations") or ())[:1])
        return f"must be text, and {written} is {_named(value)}: put it in quotes" + (f" ({says})" if says else "")
    if wanted == "integer" and isinstance(value, float):
        return f"must be a whole number (below 2**63), and is {value}"
    if wanted in ("integer", "number") and isinstance(value, str):
        plain = scalars.plain(value) if value else value
        if isinstance(plain, (int, float)) and not isinstance(plain, bool):
            return f"must be a number, and {scalars.shortened(value)} is text: leave the quotes out"
        return f"must be a number, and is the text {scalars.shortened(value)}"
    return f"must be {_NAMES[_TYPES[wanted][0]]}, and is {_named(value)}"


def _shown(value: Any) -> str:
    return scalars.shortened(value) if isinstance(value, str) else str(value)


def _named(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


def _text(value: str, schema: Schema, path: Path) -> Iterator[Finding]:
    if len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        yield path, "must not be empty" if least == 1 else f"must have at least {least} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield path, f"must have at most {schema['maxLength']} characters, and has {len(value)}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield path, f"must match {schema['pattern']}"
    if schema.get("format") == "date-time" and not _is_time(value):
        yield path, f"must be a time such as 2026-11-30T09:00:00Z, and is {scalars.shortened(value)}"


def _is_time(value: str) -> bool:
    """As kube-openapi has it: RFC 3339, without leap seconds, in letters of either size."""
    day, _, clock = value.lower().partition("t")
    found = _CLOCK.fullmatch(clock)
    if found is None or not _DAY.fullmatch(day) or found[1] > "23" or found[2] > "59" or found[3] > "59":
        return False
    try:
        date.fromisoformat(day)
    except ValueError:  # such as February 30th
        return False
    return True


def _number(value: float, schema: Schema, path: Path) -> Iterator[Finding]:
    if value < schema.get("minimum", value):
        yield path, f"must be at least {schema['minimum']}, and is {value}"
    if value > schema.get("maximum", value):
        yield path, f"must be at most {schema['maximum']}, and is {value}"


def _list(value: list[Any], schema: Schema, path: Path) -> Iterator[Finding]:
    if len(value) < schema.get("minItems", 0):
        yield path, f"must have at least {_items(schema['minItems'])}"
    if len(value) > schema.get("maxItems", len(value)):
        yield path, f"must have at most {_items(schema['maxItems'])}, and has {len(value)}"
    yield from _twice(value, schema, path)
    for index, item in enumerate(value):
        yield from check(item, schema.get("items") or {}, (*path, index))


def _items(number: int) -> str:
    return "one item" if number == 1 else f"{number} items"


def _twice(value: list[Any], schema: Schema, path: Path) -> Iterator[Finding]:
    """Items of a set, or of a map by its keys, that are there before."""
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or ()
    if kind not in ("set", "map"):
        return
    known: list[Any] = []
    for index, item in enumerate(value):
        what = [item.get(key) for key in keys] if kind == "map" and isinstance(item, dict) else item
        if what in known:
            shown = ", ".join(map(str, what)) if kind == "map" and isinstance(what, list) else what
            yield (*path, index), f"{shown} is there twice: each must be another one"
        known.append(what)


def _object(value: dict[str, Any], schema: Schema, path: Path) -> Iterator[Finding]:
    properties: Mapping[str, Schema] = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            about = properties.get(name, {}).get("description", "")
            yield (*path, name), "is missing" + (f": {about}" if about else "")
    if len(value) > schema.get("maxProperties", len(value)):
        yield path, f"must have at most {schema['maxProperties']} entries, and has {len(value)}"
    values = schema.get("additionalProperties")
    for name, each in value.items():
        here = (*path, name)
        if name in properties:
            yield from check(each, properties[name], here)
        elif isinstance(values, Mapping):
            yield from check(each, values, here)
        elif "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield here, f"there is no such field.{_elsewhere(name, properties) or near(name, properties)}"


def _elsewhere(name: str, properties: Mapping[str, Schema]) -> str:
    """Where a field of this name is, one step further down."""
    below = [outer for outer, part in properties.items() if name in (part.get("properties") or {})]
    return f" Is it {below[0]}.{name}?" if below else ""


def _meant(value: str, known: list[str]) -> str:
    said = near(value, known)
    same = next((each for each in known if each.lower() == value.lower()), None)
    if same is not None:
        return f" Did you mean {same}?"
    return said if said.startswith(" Did") else ""
