"""What a label tool is asked and what it answers. Pure; everything in pixels of the image as it is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from detectiondata.version import Box

ReviewSource = Literal["label-studio", "files"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the node's model found."""

    box: Box
    confidence: float


@dataclass(frozen=True, slots=True)
class Task:
    """An image that a person is asked about. `key` is its name in the captures; a `blind` task shows no predictions."""

    key: str
    image_uri: str
    width: int
    height: int
    predictions: tuple[Prediction, ...]
    blind: bool
    reason: str
    captured_at: datetime
    node: str


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said is on an image; no boxes: nothing. `edited`: it is not what the model had said."""

    key: str
    boxes: tuple[Box, ...]
    by: str
    at: datetime
    source: ReviewSource
    blind: bool
    edited: bool


class LabelTool(Protocol):
    """A place where people label. Every method raises `failure.Failure` where the tool can't be used."""

    def ensure(self) -> None:
        """The project is there, and asks for these classes."""

    def asked(self) -> Mapping[str, datetime]:
        """The key of each image that has a task, and when the task was made (UTC)."""
        ...

    def push(self, tasks: Sequence[Task]) -> int:
        """Makes tasks in this order, and none for a key that has one. Returns how many are new."""
        ...

    def answered(self) -> Collection[str]:
        """The keys of those images that had an answer at the last `asked`, whether it can be used or not."""
        ...

    def reviews(self, since: datetime | None, also: Collection[str] = ()) -> Iterator[Review]:
        """The newest review of each image that was reviewed at `since` or later, at least; all where it is None. And
        of these keys, whenever that was, as far as they are not too many."""
        ...

    def notes(self) -> list[str]:
        """Sentences on what was left out so far, for people."""
        ...
