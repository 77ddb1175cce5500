"""Checks hyperparameters against the table of ultralytics' training arguments, before a GPU is taken for them. Pure.

`hyperparameters.json` is made inside the trainer image from its ultralytics (`make arguments`); a test there
holds both together. What passes here may still be refused by the trainer, which asks ultralytics itself: the last word
is its. An image of the user's own may hold another ultralytics: then only what modelfleet sets itself is refused here.

This module needs nothing but Python, as the trainer's tests run it inside their image, against the real ultralytics.
"""

import difflib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("hyperparameters.json")
_GROUPS = ("augmentation", "extra")
_WORDS = {"bool": "true or false", "number": "a number", "text": "a text", "list": "a list"}
_WHOLE = {"int": "a whole number", "whole": "a whole number"}  # the first may be written 10.0

Row = Mapping[str, Any]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """What may be given: the version of ultralytics, and rows by name (trainer.argument_table says what is in one)."""

    ultralytics: str
    rows: Mapping[str, Row]


def read(text: str) -> Table:
    """A table as it is committed."""
    value = json.loads(text)
    return Table(value["ultralytics"], {row["name"]: row for row in value["arguments"]})


TABLE = read(_FILE.read_text(encoding="utf-8"))


def problems(given: Json, inherited: Mapping[str, str], gpus: int, *, own_image: bool = False) -> tuple[str, ...]:
    """All that is wrong with the hyperparameters of a TrainingJob, each as one sentence without its full stop.

    given      spec.hyperparameters on the wire
    inherited  the parent's arguments, where the mode takes what is not given from them
    own_image  the pod template names an image for the trainer
    """
    found = [*_given(given, own_image)]
    if not own_image:
        found += [*_inherited(given, inherited), *_batch(given, inherited, gpus)]
    return tuple(found)


def _given(given: Json, own_image: bool) -> Iterator[str]:
    for row in () if own_image else TABLE.rows.values():
        field = row.get("place", "")
        if field in given and field not in _GROUPS:
            yield from _value(f"spec.hyperparameters.{field}", row, given[field])
    for group in _GROUPS:
        for name, text in (given.get(group) or {}).items():
            problem = _place(group, name, own_image)
            if problem:
                yield f"spec.hyperparameters.{group}.{name} {problem}"
            elif not own_image:
                yield from _value(f"spec.hyperparameters.{group}.{name}", TABLE.rows[name], parse(text))


def _inherited(given: Json, inherited: Mapping[str, str]) -> Iterator[str]:
    """A version that was made by hand may say anything of itself. What the trainer does not take over is left alone."""
    for name, text in inherited.items():
        row = TABLE.rows.get(name)
        if row is None or "place" not in row or _is_given(given, name, row):
            continue
        for problem in _value(f"{name} of the parent's lineage.hyperparameters", row, parse(text)):
            yield f"{problem}; set it in spec.hyperparameters"


def _batch(given: Json, inherited: Mapping[str, str], gpus: int) -> Iterator[str]:
    batch = given.get("batch", parse(inherited.get("batch", "none")))
    if gpus < 2 or not isinstance(batch, int):
        return
    if batch == -1:
        yield (
            "spec.hyperparameters.batch is -1, which fits the batch to the memory of one GPU, and "
            f"spec.resources.gpus is {gpus}; give a batch for all of them, a multiple of {gpus}"
        )
    elif batch < gpus:
        yield f"spec.hyperparameters.batch is {batch}, less than one image for each of spec.resources.gpus {gpus}"


def _is_given(given: Json, name: str, row: Row) -> bool:
    return row["place"] in given if row["place"] not in _GROUPS else any(name in (given.get(g) or {}) for g in _GROUPS)


def _place(group: str, name: str, own_image: bool) -> str | None:
    """Why an argument can't be given in this group."""
    row = TABLE.rows.get(name)
    if row is not None and "refused" in row:
        return f"can't be given: {row['refused']}"
    if own_image:
        return None
    if row is None:
        allowed = [known for known, each in TABLE.rows.items() if "place" in each]
        near = difflib.get_close_matches(name, allowed, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"is not a training argument of ultralytics {TABLE.ultralytics}{hint}"
    if "unread" in row:
        return f"can't be given: {row['unread']}"
    if row["place"] not in _GROUPS:
        return f"has a field of its own: spec.hyperparameters.{row['place']}"
    if group == "augmentation" and row["place"] == "extra":
        return "is not an augmentation; give it under spec.hyperparameters.extra"
    return None


def _value(path: str, row: Row, value: Any) -> Iterator[str]:
    if not accepts(row, value):
        yield f"{path} is {json.dumps(value)} and must be {describe(row['accepts'])}"


def accepts(row: Row, value: Any) -> bool:
    """Whether the value is of one of the forms that the row lists."""
    return any(_is_of(form, value) for form in row["accepts"])


def _is_of(form: Json, value: Any) -> bool:
    if form["type"] == "number" or form["type"] in _WHOLE:
        return _is_number(form, value)
    if form["type"] == "text":
        choices = form.get("choices")
        return isinstance(value, str) and (choices is None or value.lower() in {word.lower() for word in choices})
    kinds = {"bool": bool, "list": list, "none": type(None)}
    return isinstance(value, kinds[form["type"]])


def _is_number(form: Json, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if form["type"] in _WHOLE and (value != int(value) or (form["type"] == "whole" and not isinstance(value, int))):
        return False
    above = "above" not in form or value > form["above"]
    within = form.get("minimum", value) <= value <= form.get("maximum", value)
    return above and within and value in form.get("choices", (value,))


def describe(forms: Sequence[Json]) -> str:
    """What may be given, in words: "a number from 0 to 1 or a list"."""
    return " or ".join(_describe(form) for form in forms)


def _describe(form: Json) -> str:
    if "choices" in form:
        return "one of " + ", ".join(form["choices"]) if len(form["choices"]) > 1 else str(form["choices"][0])
    limits = []
    if "minimum" in form:
        limits.append(f"from {form['minimum']}" if "maximum" in form else f"of at least {form['minimum']}")
    if "above" in form:
        limits.append(f"above {form['above']}")
    if "maximum" in form:
        limits.append(f"to {form['maximum']}" if "minimum" in form else f"up to {form['maximum']}")
    return " ".join([(_WORDS | _WHOLE).get(form["type"], str(form["type"])), *limits])


def parse(text: str) -> Any:
    """A value as people write it, read as the trainer reads it: 1e-3, 10, true, none, [1, 2], or a word."""
    lowered = text.strip().lower()
    words: dict[str, Any] = {"true": True, "false": False, "none": None, "null": None}
    if lowered in words:
        return words[lowered]
    for number in (int, float):
        try:
            return number(lowered)
        except ValueError:
            continue
    if lowered.startswith("["):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, list) else text
    return text
