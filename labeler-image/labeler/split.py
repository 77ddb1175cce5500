"""Which part of the dataset a day of a node belongs to. Pure.

Images of one node and one day resemble each other, and with some on either side a validation would only say how well
the day was learnt by heart. So whole node-days are drawn, by a hash. A day's side is written down by the first version
that has it (in the manifest), and never changes after that, whatever the shares become later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from detectiondata.version import Split
from labeler.choose import fraction
from labeler.settings import Split as Shares

NodeDay = tuple[str, str]


class Sides:
    """`known` are the sides that versions have written down."""

    def __init__(self, known: Mapping[NodeDay, Split], shares: Shares) -> None:
        self._known = dict(known)
        self._shares = shares

    def of(self, node_day: NodeDay) -> Split:
        found = self._known.get(node_day)
        if found is not None:
            return found
        drawn = fraction("split:" + "/".join(node_day))
        if drawn < self._shares.holdout:
            return "holdout"
        return "val" if drawn >= 1 - self._shares.validation else "train"

    def with_training(self, images: Iterable[NodeDay]) -> Sides:
        """These sides, or where none of `images` would be trained on: with the day that has most of them on that side.

        So a fleet of one camera has a first version after a day, whatever the hash says of it.
        """
        counts: dict[NodeDay, int] = {}
        for node_day in images:
            counts[node_day] = counts.get(node_day, 0) + 1
        drawn = [node_day for node_day in counts if node_day not in self._known]
        if not drawn or "train" in self._known.values() or any(self.of(node_day) == "train" for node_day in drawn):
            return self
        largest = max(drawn, key=lambda node_day: (counts[node_day], node_day))
        return Sides({**self._known, largest: "train"}, self._shares)
