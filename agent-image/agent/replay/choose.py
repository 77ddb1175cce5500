"""Which captures are looked at, in which order: the newest of each node, as many of every node. Pure.

Whether the random sample chose a capture stands in its sidecar, so sidecars are read until enough are found.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from detectiondata.captures import Key

READ_LIMIT = 20_000
"""Sidecars that are read at most, so that a bucket full of other captures costs a bounded time."""
_PATIENCE = 20  # sidecars without a sampled one that cost a node its turn


class Turns:
    """Iterates over keys; the node of which fewest sampled frames were found comes next, and its newest capture.

    Call `found` for each capture that turned out to be sampled, at any time: keys are asked for ahead of the results.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._queues: dict[str, list[Key]] = defaultdict(list)
        for key in sorted(keys, key=lambda key: (key.at, key.text)):
            self._queues[key.node].append(key)
        self._found: Counter[str] = Counter()
        self._read: Counter[str] = Counter()
        self.read = 0

    def found(self, node: str) -> None:
        self._found[node] += 1

    def __iter__(self) -> Iterator[Key]:
        heap = [(self._turns(node), node) for node in sorted(self._queues)]
        while heap and self.read < READ_LIMIT:
            turns, node = heapq.heappop(heap)
            if turns != self._turns(node):  # a result came meanwhile
                heapq.heappush(heap, (self._turns(node), node))
                continue
            self._read[node] += 1
            self.read += 1
            key = self._queues[node].pop()
            if self._queues[node]:
                heapq.heappush(heap, (self._turns(node), node))
            yield key

    def _turns(self, node: str) -> tuple[int, int]:
        """Of two nodes with as many found the one with fewer read: what is under way may be found."""
        return max(self._found[node], self._read[node] // _PATIENCE), self._read[node]
