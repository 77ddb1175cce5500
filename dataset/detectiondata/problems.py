"""What is wrong with a dataset, collected and said at once: how many of each kind, and the first offenders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_NAMED = 3  # offenders named per kind of problem


@dataclass(frozen=True)
class Problem:
    """`kind` groups it with others alike ("boxes outside their image"); `file` and `detail` are about this one."""

    kind: str
    file: str
    detail: str


def summary(problems: Iterable[Problem]) -> str:
    """All kinds with their counts, the most frequent first: "images that can't be read: 7 (a.jpg empty; ...)"."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    texts = []
    for kind, group in sorted(kinds.items(), key=lambda item: -len(item[1])):
        shown = "; ".join(f"{problem.file} {problem.detail}".strip() for problem in group[:_NAMED])
        texts.append(f"{kind}: {len(group)} ({shown}{'; ...' if len(group) > _NAMED else ''})")
    return ", ".join(texts)
