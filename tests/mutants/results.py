"""What was found of each file, kept from run to run, and how it is told."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

SURVIVED, UNREACHED, TIMEOUT = "survived", "no tests", "timeout"
"""How a mutant ends that is not killed: its tests pass, no test comes to the function, or they don't end."""


@dataclass(frozen=True)
class Left:
    """A mutant that no test found out, as the lines that differ. `end` is mutmut's word for how it ended."""

    function: str
    before: str
    after: str
    end: str


@dataclass(frozen=True)
class Measured:
    """A file: its mutants, how many of them were tried, and those of them that were not killed."""

    file: str
    mutants: int
    tried: int
    left: list[Left]


def keep(found: Iterable[Measured], kept: Path) -> dict[str, Measured]:
    """Add to what earlier runs left in `kept`, the newest of each file; all of it, by file."""
    known = {}
    if kept.exists():
        for file, each in json.loads(kept.read_text()).items():
            known[file] = Measured(**{**each, "left": [Left(**one) for one in each["left"]]})
    known |= {each.file: each for each in found}
    kept.write_text(json.dumps({file: asdict(known[file]) for file in sorted(known)}, indent=1) + "\n")
    return dict(sorted(known.items()))


def table(found: Mapping[str, Measured]) -> str:
    """A row for each file of which mutants were tried, and their sum."""
    tried = [each for each in found.values() if each.tried]
    head = ("| file | mutants | tried | killed | survived | timeouts |", "|---|---|---|---|---|---|")
    return "\n".join((*head, *(_row(each.file, [each]) for each in tried), _row("together", tried)))


def _row(name: str, found: list[Measured]) -> str:
    mutants, tried = sum(each.mutants for each in found), sum(each.tried for each in found)
    left = [one.end for each in found for one in each.left]
    timeouts = left.count(TIMEOUT)
    return f"| {name} | {mutants} | {tried} | {tried - len(left)} | {len(left) - timeouts} | {timeouts} |"


def page(found: Mapping[str, Measured]) -> str:
    """The table, and what was not killed, each with what was written and what came in its place."""
    parts = [f"# Mutants, {datetime.now(UTC):%Y-%m-%d}", table(found)]
    for file, each in found.items():
        if each.left:
            parts.append("\n".join((f"## {file}", "", *map(_line, each.left))))
    return "\n\n".join(parts) + "\n"


def _line(mutant: Left) -> str:
    said = "" if mutant.end == SURVIVED else f" ({mutant.end})"
    return f"* `{mutant.function}`{said}: `{mutant.before}` → `{mutant.after}`"
