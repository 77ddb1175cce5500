"""What was found of each file, kept from run to run, and how it is told."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test found out, as the lines that differ; `reached` is whether any test runs the function."""

    function: str
    before: str
    after: str
    reached: bool


@dataclass(frozen=True)
class Measured:
    """A file: its mutants, those tried of them, and how these ended. What neither survived nor timed out was killed."""

    file: str
    mutants: int
    tried: int
    timeouts: int
    survivors: list[Survivor]


def keep(found: Iterable[Measured], kept: Path) -> dict[str, Measured]:
    """Add to what earlier runs left in `kept`, the newest of each file; all of it, by file."""
    known = {}
    if kept.exists():
        for file, each in json.loads(kept.read_text()).items():
            known[file] = Measured(**{**each, "survivors": [Survivor(**one) for one in each["survivors"]]})
    known |= {each.file: each for each in found}
    kept.write_text(json.dumps({file: asdict(known[file]) for file in sorted(known)}, indent=1) + "\n")
    return dict(sorted(known.items()))


def table(found: Mapping[str, Measured]) -> str:
    """A row for each file, and their sum."""
    rows = [_row(file, [each]) for file, each in found.items() if each.tried]
    head = ("| file | mutants | tried | killed | survived | timeouts |", "|---|---|---|---|---|---|")
    return "\n".join((*head, *rows, _row("together", list(found.values()))))


def _row(name: str, found: list[Measured]) -> str:
    tried, timeouts = sum(each.tried for each in found), sum(each.timeouts for each in found)
    survived = sum(len(each.survivors) for each in found)
    mutants = sum(each.mutants for each in found)
    return f"| {name} | {mutants} | {tried} | {tried - survived - timeouts} | {survived} | {timeouts} |"


def page(found: Mapping[str, Measured]) -> str:
    """Table and survivors, each with what was written and what came in its place."""
    parts = [f"# Mutants, {datetime.now(UTC):%Y-%m-%d}", table(found)]
    for file, each in found.items():
        if each.survivors:
            parts.append("\n".join((f"## {file}", "", *map(_line, each.survivors))))
    return "\n\n".join(parts) + "\n"


def _line(survivor: Survivor) -> str:
    unreached = "" if survivor.reached else " (no test comes here)"
    return f"* `{survivor.function}`{unreached}: `{survivor.before}` → `{survivor.after}`"
