"""One picture that comes more than once, in two sources or twice in one: do its labels say the same? Pure.

A copy without any label file teaches that nothing is on it, while the other shows objects: it is left out. Two copies
whose labels differ can't both be right, and nobody knows which is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detectiondata.errors import DatasetError
from detectiondata.labels import TOLERANCE
from detectiondata.source import CheckedSample, CheckedSource


@dataclass(frozen=True)
class Item:
    """`indices` lead from the source's class index to the merged one; `source` is which of the sources."""

    sample: CheckedSample
    indices: tuple[int, ...]
    source: int


def bare_copies(items: Iterable[Item], sources: Sequence[CheckedSource]) -> frozenset[int]:
    """The ids of items without labels of which there is one with labels. Raises DatasetError for labels that differ."""
    copies: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        copies[item.sample.sha256].append(item)
    bare: set[int] = set()
    contradicting: list[tuple[Item, Item]] = []
    for same in copies.values():
        labelled = [item for item in same if item.sample.labelled]
        if labelled:
            bare.update(id(item) for item in same if not item.sample.labelled)
            contradicting.extend((labelled[0], item) for item in labelled[1:] if not _agree(labelled[0], item))
    if contradicting:
        one, other = contradicting[0]
        raise DatasetError(
            f"{len(contradicting)} pictures are in the data twice, with labels that differ, such as "
            f"{_named(one, sources)} and {_named(other, sources)}; keep the one that is right"
        )
    return frozenset(bare)


def _agree(one: Item, other: Item) -> bool:
    """Whether both show the same objects, as far as figures that were rounded tell."""
    left = _objects(other)
    for index, box in _objects(one):
        near = [at for at, each in enumerate(left) if each[0] == index and _near(each[1], box)]
        if not near:
            return False
        left.pop(near[0])
    return not left


def _objects(item: Item) -> list[tuple[int, tuple[float, float, float, float]]]:
    return [(item.indices[row.index], row.box) for row in item.sample.rows]


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(first - second) <= TOLERANCE for first, second in zip(one, other, strict=True))


def _named(item: Item, sources: Sequence[CheckedSource]) -> str:
    fetched = sources[item.source].fetched
    return f"{item.sample.image.relative_to(fetched.root).as_posix()} of {fetched.uri}"
