"""Which captures a person is asked about next. Pure.

The random sample is what the review figures are made of, so it is asked in an order that depends on nothing that is on
the images: by a hash. Whatever part of it the budget allows is then a random part. All other reasons take turns between
the nodes, so that one noisy node does not fill the day.

The order never depends on where the last run stopped: a run that was killed halfway is continued as it would have been.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain, islice, zip_longest

from detectiondata.captures import DISAGREE, SAMPLE, Capture, Key, parse_key

DAY = timedelta(hours=24)
WINDOW = timedelta(days=30)  # older captures are not asked about any more
READ_LIMIT = 20_000  # sidecars read in one run


@dataclass(frozen=True)
class Chosen:
    """`reason` is the rule that it is asked for; a `blind` one is shown without what the model found."""

    capture: Capture
    reason: str
    blind: bool


def waiting(keys: Iterable[Key], known: Container[str], now: datetime) -> list[Key]:
    """The captures of the last 30 days that nobody was asked about.

    `known` are the keys (of images) that have a task or a review.
    """
    return [key for key in keys if key.at > now - WINDOW and key.image not in known]


def worth_reading(keys: Iterable[Key]) -> list[Key]:
    """Those of them whose sidecars are read now: the newest of each node, as many of every node, so that a large heap
    costs a bounded time."""
    by_node: dict[str, list[Key]] = defaultdict(list)
    for key in sorted(keys, key=lambda key: key.at, reverse=True):
        by_node[key.node].append(key)
    in_turns = (key for turn in zip_longest(*by_node.values()) for key in turn if key is not None)
    return list(islice(in_turns, READ_LIMIT))


def distinct(captures: Iterable[Capture], seen: Iterable[str]) -> Iterator[Capture]:
    """Less those whose image is, byte for byte, one that somebody was asked about, or one that came before.

    A camera that hangs gives the same image for hours, and one answer is enough. The random sample keeps all of its
    own: each stands for as many frames as it was drawn from. `seen` are keys (of images).
    """
    images = {key.sha8 for text in seen if (key := parse_key(text)) is not None}
    for capture in captures:
        if capture.weight is None:
            if capture.key.sha8 in images:
                continue
            images.add(capture.key.sha8)
        yield capture


def recent(asked: Mapping[str, datetime], now: datetime) -> Counter[str]:
    """How many images of each node were asked about in the last 24 hours, by their keys. What is dated later than a day
    from now, a clock has dated that was wrong then."""
    found: Counter[str] = Counter()
    for text, at in asked.items():
        if now - DAY < at <= now + DAY:
            key = parse_key(text)
            found[key.node if key else ""] += 1
    return found


def choose(
    candidates: Iterable[Capture],
    already: Mapping[str, int],
    per_day: int,
    priority: Sequence[str],
    blind: Decimal,
    ranks: Mapping[str, int] | None = None,
) -> list[Chosen]:
    """At most what is left of `per_day`, most important first; `already` is what `recent` counted.

    `ranks` are places in lists of disagreements, by the keys of images: the first come first.
    """
    left = per_day - sum(already.values())
    by_reason: dict[str, list[Capture]] = defaultdict(list)
    for capture in candidates:
        by_reason[_reason(capture, priority)].append(capture)
    turns = Counter(already)
    chosen: list[Chosen] = []
    for reason in sorted(by_reason, key=lambda name: _rank(name, priority)):
        for capture in _order(reason, by_reason[reason], turns, ranks or {}):
            if len(chosen) >= left:
                return chosen
            turns[capture.key.node] += 1
            chosen.append(Chosen(capture, reason, is_blind(capture.key.image, blind)))
    return chosen


def is_blind(key: str, share: Decimal) -> bool:
    return fraction(f"blind:{key}") < share


def fraction(text: str) -> float:
    """A number from 0 to 1 (excluded) that `text` alone decides, and nobody can foresee."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _reason(capture: Capture, priority: Sequence[str]) -> str:
    """The sample, if that chose it: were it asked for another rule's sake, the sample's part would not be random.

    The half of the disagreements that does not count as sample is the exception.
    """
    if capture.weight is not None:
        return SAMPLE
    if capture.sample is not None:
        return DISAGREE
    return min(capture.rules, key=lambda name: _rank(name, priority))


def _rank(reason: str, priority: Sequence[str]) -> tuple[int, str]:
    """The sample first where nobody says otherwise, then what is listed, then the others by name."""
    if reason in priority:
        return priority.index(reason), reason
    return (-1, reason) if reason == SAMPLE else (len(priority), reason)


def _order(
    reason: str, captures: Sequence[Capture], turns: Mapping[str, int], ranks: Mapping[str, int]
) -> Iterator[Capture]:
    if reason == SAMPLE:
        return iter(_by_hash(captures))
    ranked = [capture for capture in captures if reason == DISAGREE and capture.key.image in ranks]
    ranked.sort(key=lambda capture: (ranks[capture.key.image], capture.key.text))
    rest = [capture for capture in captures if reason != DISAGREE or capture.key.image not in ranks]
    return chain(ranked, _in_turns(rest, turns))


def _by_hash(captures: Iterable[Capture]) -> list[Capture]:
    return sorted(captures, key=lambda capture: fraction(f"ask:{capture.key.text}"))


def _in_turns(captures: Iterable[Capture], turns: Mapping[str, int]) -> Iterator[Capture]:
    """The node that was asked about least comes next; of a node's, triggers of sequences first, then the newest.

    `turns` changes while this runs: the caller counts what it takes.
    """
    queues: dict[str, list[Capture]] = defaultdict(list)
    for capture in sorted(captures, key=_least_wanted_first):
        queues[capture.key.node].append(capture)
    heap = [(turns.get(node, 0), fraction(f"turn:{node}"), node) for node in queues]
    heapq.heapify(heap)
    while heap:
        _, order, node = heapq.heappop(heap)
        yield queues[node].pop()
        if queues[node]:
            heapq.heappush(heap, (turns.get(node, 0), order, node))


def _least_wanted_first(capture: Capture) -> tuple[bool, datetime, str]:
    return capture.role in (None, "trigger"), capture.key.at, capture.key.text
