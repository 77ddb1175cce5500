"""The lists of frames on which two versions disagreed in a replay, from the captures' bucket (docs/replay.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import artifactstore
from artifactstore import ArtifactError, Entry
from detectiondata import replays
from detectiondata.problems import Problem

READ = 50  # lists; older ones are of versions that nobody compares any more


@dataclass(frozen=True)
class Disagreements:
    """Keys of images.

    ranks    of the newest list of each Rollout, by the place in it: 0 disagrees most. People are asked about these
    listed   of these and of older lists, for what was asked because of them
    """

    ranks: Mapping[str, int] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """The lists among the files of a bucket that are read, the newest first."""
    found = [entry for entry in entries if replays.rollout_of(entry.name) is not None]
    return sorted(found, key=lambda entry: (entry.modified, entry.name), reverse=True)[:READ]


def read(uri: str, entries: Iterable[Entry]) -> tuple[Disagreements, list[Problem]]:
    """Raises ArtifactError where the store can't be read; a list that is gone or makes no sense is a Problem, and then
    the one before it is no replacement."""

    def one(entry: Entry) -> tuple[str, ...] | Problem:
        try:
            content = artifactstore.read_bytes(artifactstore.join(uri, entry.name), limit=replays.LIMIT)
        except ArtifactError as error:
            if error.reason not in ("NotFound", "Unsupported"):
                raise
            return Problem("lists of disagreements that can't be read", entry.name, error.reason)
        return replays.parse(content, entry.name)

    lists = newest(entries)
    contents = list(artifactstore.in_parallel(one, lists))
    problems = [content for content in contents if isinstance(content, Problem)]
    ranks: dict[str, int] = {}
    listed: set[str] = set()
    rollouts: set[str | None] = set()
    for entry, content in zip(lists, contents, strict=True):
        keys: Sequence[str] = () if isinstance(content, Problem) else content
        listed.update(keys)
        rollout = replays.rollout_of(entry.name)
        if rollout not in rollouts:
            rollouts.add(rollout)
            for place, key in enumerate(keys):
                ranks.setdefault(key, place)
    return Disagreements(ranks, frozenset(listed)), problems
