"""Which captures are in the bucket, without a listing of all of it at each sync.

Captures lie in folders of their day, below Rollout and node. Of a large bucket (`LARGE` objects) all is listed once a
day. In between each node's folder is listed from two days before the last sync on, and what is older is known from the
store: `listed/<day>.txt.gz` holds the keys of a day, `listed/state.json` says what they are worth and is written last,
so that a run that was killed is as one that never began.

What a node uploads late, of days that were listed already, is found once a day for that reason; what nobody uploads any
more and somebody removed is known until then, and reading it fails by name. A small bucket is listed as a whole.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import artifactstore
from artifactstore import ArtifactError, Entry
from detectiondata import captures, replays
from detectiondata.captures import Key, parse_key
from detectiondata.problems import Problem

LARGE = 20_000  # objects: twenty requests
WHOLE_AFTER = timedelta(hours=24)
OVERLAP = timedelta(days=2)  # before the last sync: uploads that were late by so much are found at once

ODD = "objects whose keys can't be asked for (//, /../, a control character in them: rename them)"

_FOLDER = "listed"
_REPLAYS = "replay"  # the folder of lists beside those of Rollouts
_KEPT = 10_000  # problems that are remembered between two listings of everything
_LIMIT = 64 << 20  # bytes of a day's file


@dataclass(frozen=True)
class Listing:
    """`lists` are the files of replays. So many `objects` were listed now: those of `day` on, or all (None)."""

    day: str | None
    keys: Sequence[Key]
    problems: tuple[Problem, ...]
    lists: tuple[Entry, ...]
    objects: int


@dataclass(frozen=True)
class State:
    """What the last sync knew: `whole` is when everything was listed last, and found `objects`; `at` the last sync;
    `days` how many captures each has."""

    captures: str
    objects: int
    whole: datetime
    at: datetime
    days: Mapping[str, int]
    problems: tuple[Problem, ...] = ()

    @property
    def again(self) -> str:
        """The first day that is listed again ("2026-11-29")."""
        return f"{self.at - OVERLAP:%Y-%m-%d}"

    def to_json(self) -> bytes:
        document = {
            "captures": self.captures,
            "objects": self.objects,
            "whole": self.whole.isoformat(),
            "at": self.at.isoformat(),
            "days": dict(self.days),
            "problems": [[each.kind, each.file, each.detail] for each in self.problems],
        }
        return json.dumps(document).encode()


def read_state(store: str) -> State | None:
    """None where there is none that can be used: then everything is listed. Raises ArtifactError."""
    try:
        document: Any = json.loads(artifactstore.read_bytes(_address(store, "state.json")))
        return State(
            str(document["captures"]),
            int(document["objects"]),
            datetime.fromisoformat(document["whole"]).astimezone(UTC),
            datetime.fromisoformat(document["at"]).astimezone(UTC),
            {str(day): int(count) for day, count in document["days"].items()},
            tuple(Problem(*map(str, each)) for each in document["problems"]),
        )
    except ArtifactError as error:
        if error.reason != "NotFound":
            raise
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def is_due(state: State | None, uri: str, now: datetime) -> bool:
    """Whether everything is to be listed. (A clock that was put back makes it so, too.)"""
    if state is None or state.captures != uri or state.objects < LARGE:
        return True
    return not timedelta(0) <= now - state.whole < WHOLE_AFTER or now < state.at


def known(store: str, state: State) -> list[Key] | None:
    """The captures of the days that aren't listed again; None where a file is gone or makes no sense.

    Raises ArtifactError."""

    def one(day: str) -> list[Key]:
        content = gzip.decompress(artifactstore.read_bytes(_address(store, f"{day}.txt.gz"), limit=_LIMIT)).decode()
        found = [key for line in content.splitlines() if (key := parse_key(line)) is not None]
        if len(found) != state.days[day]:
            raise ValueError(f"{len(found)} captures of {day}, and not {state.days[day]}")
        return found

    try:
        return list(
            chain.from_iterable(artifactstore.in_parallel(one, [day for day in state.days if day < state.again]))
        )
    except ArtifactError as error:
        if error.reason != "NotFound":
            raise
    except (OSError, EOFError, ValueError, zlib.error):
        pass
    return None


def everything(uri: str, now: datetime) -> Listing:
    """Raises ArtifactError."""
    odd: list[str] = []
    return _listing(None, artifactstore.scan(uri, odd=odd.append), (), (), odd, now)


def since(uri: str, state: State, older: Iterable[Key], now: datetime) -> Listing | None:
    """The captures of the last days, listed now, and the `older` ones that are known; None where an odd key among
    Rollouts or nodes keeps their names from being listed. Raises ArtifactError."""
    odd: list[str] = []
    day = state.again
    after = day.replace("-", "/")

    def nodes(rollout: str) -> list[str]:
        return [f"{rollout}/{node}" for node in artifactstore.folders(artifactstore.join(uri, rollout))]

    def one(folder: str) -> list[Entry]:
        found = artifactstore.entries(artifactstore.join(uri, folder), odd=odd.append, after=after)
        return [Entry(f"{folder}/{each.name}", each.size, each.modified) for each in found]

    try:
        rollouts = [name for name in artifactstore.folders(uri) if name != _REPLAYS]
        folders = list(chain.from_iterable(artifactstore.in_parallel(nodes, rollouts)))
    except ArtifactError as error:
        if error.reason != "Unsupported":
            raise
        return None
    entries = list(chain.from_iterable(artifactstore.in_parallel(one, folders)))
    lists = artifactstore.entries(artifactstore.join(uri, _REPLAYS), odd=odd.append)
    entries += [Entry(f"{_REPLAYS}/{each.name}", each.size, each.modified) for each in lists]
    kept = [each for each in state.problems if (key := parse_key(each.file)) is None or key.day < day]
    return _listing(day, entries, older, kept, odd, now)


def write(store: str, listing: Listing, state: State | None, uri: str, now: datetime) -> None:
    """Remember it for the next sync. `state` is what a listing of the last days goes on from, None where all was
    listed. Raises ArtifactError."""
    objects, whole = (listing.objects, now) if state is None else (state.objects, state.whole)
    if objects < LARGE:
        return  # it is listed as a whole the next time, too
    days: dict[str, list[Key]] = defaultdict(list)
    for key in listing.keys:  # which are sorted, and so are those of each day
        days[key.day].append(key)

    def one(name: str) -> None:
        content = gzip.compress("".join(f"{key.image}\n" for key in days[name]).encode(), 6, mtime=0)
        artifactstore.put_bytes(content, _address(store, f"{name}.txt.gz"), overwrite=True)

    for _ in artifactstore.in_parallel(one, [name for name in days if listing.day is None or name >= listing.day]):
        pass
    made = State(uri, objects, whole, now, {day: len(days[day]) for day in sorted(days)}, listing.problems[:_KEPT])
    artifactstore.put_bytes(made.to_json(), _address(store, "state.json"), overwrite=True)


def _listing(
    day: str | None,
    entries: Iterable[Entry],
    older: Iterable[Key],
    carried: Iterable[Problem],
    odd: Iterable[str],
    now: datetime,
) -> Listing:
    lists: list[Entry] = []
    objects = 0

    def names() -> Iterator[str]:
        nonlocal objects
        for entry in entries:
            objects += 1
            if replays.rollout_of(entry.name) is not None:
                lists.append(entry)
            yield entry.name

    keys, left_out = captures.pair(names(), now)
    found: Mapping[tuple[str, str], Problem] = {
        (each.kind, each.file): each for each in (*carried, *left_out, *(Problem(ODD, key, "") for key in odd))
    }
    together = sorted([*older, *keys], key=lambda key: key.text)
    return Listing(day, together, tuple(found.values()), tuple(lists), objects)


def _address(store: str, name: str) -> str:
    return f"{store.rstrip('/')}/{_FOLDER}/{name}"
