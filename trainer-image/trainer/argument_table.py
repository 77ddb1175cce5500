"""The table of training arguments: what `trainer.arguments` and the ultralytics of this image say about each, as data.

The operator has no ultralytics and checks a TrainingJob against this table before a GPU is taken. `make arguments` runs
this module inside the image and commits what it prints; a test inside the image fails when the two differ.

A row: `name`, `default`, `accepts` (alternatives, each with `type` and, where they are limited, `minimum`, `above`,
`maximum` or `choices`; an `int` may be written 10.0, a `whole` may not), and one of `place` (where a TrainingJob gives
it, below spec.hyperparameters), `refused` (why it is modelfleet's to set) and `unread` (why it would change nothing).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.arguments import AUGMENTATION, CHOICES, FIELDS, LEAST, NOT_READ, REFUSED, TRAINING, WHOLE

Form = dict[str, Any]
Row = dict[str, Any]

_COMMENT = re.compile(r"^(?P<name>\w+):.*?# \((?P<types>[^)]*)\)", re.MULTILINE)
_TYPES = {"bool": "bool", "int": "int", "float": "number", "str": "text", "list": "list", "tuple": "list"}
# What ultralytics checks by statements of its own, and not by one of its sets of names.
_SPECIAL: Mapping[str, tuple[Form, ...]] = {
    "batch": ({"type": "whole", "minimum": 1}, {"type": "whole", "choices": [-1]}),
    "fraction": ({"type": "number", "above": 0, "maximum": 1}, {"type": "whole", "minimum": 2}, {"type": "list"}),
    "scale": ({"type": "number", "minimum": 0, "maximum": 1}, {"type": "list"}),
    "cache": ({"type": "bool"}, {"type": "text", "choices": list(CHOICES["cache"])}),
    "amp": ({"type": "bool"}, {"type": "text", "choices": list(CHOICES["amp"])}),
    "compile": ({"type": "bool"}, {"type": "text"}),
}
_NEVER_NONE = ("amp", "cache")  # and what has a type and a default, but for:
_MAY_BE_NONE = "auto_augment"


def table() -> dict[str, Any]:
    """The version it is of, and a row for each argument, by name. Needs ultralytics."""
    from ultralytics import __version__
    from ultralytics.cfg import DEFAULT_CFG_DICT

    comments = _types_in_comments()
    rows = [_row(name, DEFAULT_CFG_DICT[name], comments.get(name, "")) for name in sorted(DEFAULT_CFG_DICT)]
    rows.append({"name": "save_dir", "default": None, "accepts": [{"type": "text"}], "refused": REFUSED["save_dir"]})
    return {"ultralytics": __version__, "arguments": sorted(rows, key=lambda row: str(row["name"]))}


def to_text(table: Mapping[str, Any]) -> str:
    """As it is committed: one line an argument, so that a change of one is a change of one line."""
    rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in table["arguments"])
    return f'{{"ultralytics": {json.dumps(table["ultralytics"])}, "arguments": [\n{rows}\n]}}\n'


def to_markdown(table: Mapping[str, Any]) -> str:
    """For readers: docs/training-arguments.md."""
    lines = [
        "# Training arguments",
        "",
        f"Of ultralytics {table['ultralytics']}, made by `make arguments`. The operator refuses a TrainingJob that",
        "goes beyond this before it makes a pod; [trainer.md](trainer.md#hyperparameters) says how, and what an image",
        "of your own changes. *Where* is below `spec.hyperparameters`; what is under `augmentation` may also be given",
        "under `extra`, which takes words and not numbers alone.",
        "",
        "| argument | where | takes | ultralytics' default |",
        "|---|---|---|---|",
    ]
    for row in table["arguments"]:
        if "place" in row:
            default = "" if row["default"] is None else f"`{json.dumps(row['default'])}`"
            lines.append(f"| `{row['name']}` | `{row['place']}` | {describe(row['accepts'])} | {default} |")
    lines += ["", "Refused:", "", "| argument | why |", "|---|---|"]
    reasons: dict[str, list[str]] = {}
    for row in table["arguments"]:
        if "place" not in row:
            reasons.setdefault(row.get("refused") or row["unread"], []).append(f"`{row['name']}`")
    lines += [
        f"| {', '.join(names)} | {why} |" for why, names in sorted(reasons.items(), key=lambda item: len(item[1]))
    ]
    return "\n".join(lines) + "\n"


def describe(accepts: list[Form]) -> str:
    """What may be given, in words."""
    return " or ".join(_describe(form) for form in accepts)


def _describe(form: Form) -> str:
    if "choices" in form:
        return ", ".join(str(choice) for choice in form["choices"])
    words = {"bool": "true or false", "number": "a number", "text": "a text", "list": "a list"}
    words |= {"int": "a whole number", "whole": "a whole number"}
    limits = []
    if "minimum" in form:
        limits.append(f"from {form['minimum']}" if "maximum" in form else f"of at least {form['minimum']}")
    if "above" in form:
        limits.append(f"above {form['above']}")
    if "maximum" in form:
        limits.append(f"to {form['maximum']}")
    return " ".join([words.get(form["type"], form["type"]), *limits])


def _row(name: str, default: Any, types: str) -> Row:
    row: Row = {"name": name, "default": default, "accepts": [_limited(name, form) for form in _forms(name, types)]}
    if _takes_none(name, default):
        row["accepts"].append({"type": "none"})
    if name in FIELDS:
        return row | {"place": FIELDS[name]}
    if name in AUGMENTATION:
        return row | {"place": "augmentation"}
    if name in TRAINING:
        return row | {"place": "extra"}
    return row | ({"refused": REFUSED[name]} if name in REFUSED else {"unread": NOT_READ})


def _forms(name: str, types: str) -> Iterator[Form]:
    """By ultralytics' own sets, which its check goes by; where it has none, by the comments of its defaults."""
    from ultralytics import cfg

    if name in _SPECIAL:
        yield from (dict(form) for form in _SPECIAL[name])
    elif name in cfg.CFG_FRACTION_KEYS:
        yield {"type": "number", "minimum": 0, "maximum": 1}
    elif name in WHOLE or name in cfg.CFG_INT_KEYS:
        least = {"minimum": cfg.CFG_INT_MIN[name]} if name in cfg.CFG_INT_MIN else {}
        yield {"type": "whole" if name in WHOLE else "int"} | least
    elif name in cfg.CFG_FLOAT_KEYS:
        yield {"type": "number"}
    elif name in cfg.CFG_BOOL_KEYS:
        yield {"type": "bool"}
    elif name in cfg.CFG_STR_KEYS:
        yield {"type": "text"}
    else:
        for type in dict.fromkeys(_TYPES[word] for word in re.findall(r"\w+", types) if word in _TYPES):
            yield {"type": type}


def _limited(name: str, form: Form) -> Form:
    """With what `trainer.arguments` adds."""
    if form["type"] == "text" and name in CHOICES:
        return form | {"choices": list(CHOICES[name])}
    if form["type"] in ("int", "whole", "number") and name in LEAST:
        return form | {"minimum": LEAST[name]}
    return form


def _takes_none(name: str, default: Any) -> bool:
    from ultralytics import cfg

    sets = (cfg.CFG_FLOAT_KEYS, cfg.CFG_FRACTION_KEYS, cfg.CFG_INT_KEYS, cfg.CFG_BOOL_KEYS, cfg.CFG_STR_KEYS)
    typed = any(name in names for names in sets) or name in ("scale", "compile")
    refused = name in WHOLE or name in _NEVER_NONE or (default is not None and typed and name != _MAY_BE_NONE)
    return not refused


def _types_in_comments() -> dict[str, str]:
    from ultralytics.utils import DEFAULT_CFG_PATH

    return {found["name"]: found["types"] for found in _COMMENT.finditer(DEFAULT_CFG_PATH.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            print(to_text(table()), end="")
        case ["page", file]:  # needs no ultralytics
            print(to_markdown(json.loads(Path(file).read_text(encoding="utf-8"))), end="")
        case _:
            raise SystemExit("usage: python -m trainer.argument_table [page TABLE]")
