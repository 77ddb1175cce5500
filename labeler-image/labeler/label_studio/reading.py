"""From a task of Label Studio to a review: whose word counts, and what is counted on the way. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labeler.label_studio.results import agreement, differ, to_shapes
from labeler.tasks import Review

AGREEING = 0.8  # two people who agree less than this are named
_EVER = datetime.min.replace(tzinfo=UTC)
_NAMED = 3  # examples in a sentence
_ACCEPTED = ("accepted", "fixed_and_accepted")  # by a reviewer; the community edition has annotators only


@dataclass
class Counts:
    """What was not simply taken over, for sentences."""

    skipped: int = 0
    foreign: int = 0  # tasks that aren't ours
    rejected: int = 0
    rotated: int = 0
    clipped: int = 0
    outside: int = 0
    twice: int = 0  # tasks beside another one of the same image
    unread: int = 0  # tasks with an older answer that no version has, which were not looked at
    disputed: list[str] = field(default_factory=list)
    unusable: dict[str, list[str]] = field(default_factory=dict)  # keys by why

    def sentences(self) -> list[str]:
        """One for each kind; the gravest first."""
        found = [
            f"{_images(len(keys))} left out for {why}, e.g. {_some(keys)}: correct that in Label Studio."
            for why, keys in sorted(self.unusable.items(), key=lambda each: -len(each[1]))
        ]
        if self.disputed:
            found.append(
                f"Two people disagree on {_images(len(self.disputed))}, e.g. {_some(self.disputed)}: the newer is used."
            )
        for number, what in (
            (self.rejected, "rejected by a reviewer and not used until corrected"),
            (self.skipped, "skipped and not counted as reviewed"),
            (self.twice, "in more than one task: the newest review is used"),
            (self.unread, "with older answers that are in no version, too, and were not looked at again"),
            (self.foreign, "in tasks without data.key, which are not ours and were left alone"),
        ):
            if number:
                found.append(f"{_images(number)} {what}.")
        for number, what in (
            (self.rotated, "rotated: the upright box around each is used"),
            (self.clipped, "clipped to the image"),
            (self.outside, "outside of the image and left out"),
        ):
            if number:
                found.append(f"{number} {'box' if number == 1 else 'boxes'} {what}.")
        return found


def _images(number: int) -> str:
    return f"{number} image{'' if number == 1 else 's'}"


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_NAMED])


def read(task: Mapping[str, Any], blind: bool, counts: Counts) -> Review | None:
    """What was said of one task's image; None where nothing usable was, which is counted.

    Drafts don't count, and skipping is no answer. Of several people's annotations the one that a reviewer accepted (or
    that is marked as ground truth) is used, else the newest. An annotation with anything but boxes is not used at all:
    the rest of it would say that there is nothing else. Its labels may be of any class.
    """
    data = _object(task.get("data"))
    key = data.get("key")
    if not isinstance(key, str) or not key:
        counts.foreign += 1
        return None
    annotations = [_object(each) for each in _list(task.get("annotations"))]
    said = [each for each in annotations if not each.get("was_cancelled")]
    standing = [each for each in said if each.get("last_action") != "rejected"]
    if not standing:
        counts.rejected += bool(said)
        counts.skipped += bool(annotations) and not said
        return None
    if not all(map(_when, standing)):
        counts.unusable.setdefault("an annotation without its time", []).append(key)
        return None
    size = _number(data.get("width")), _number(data.get("height"))
    ranked = sorted(standing, key=_rank, reverse=True)
    chosen = ranked[0]
    shapes = to_shapes(chosen.get("result"), *size)
    if shapes.unusable:
        for why in sorted(set(shapes.unusable)):
            counts.unusable.setdefault(why, []).append(key)
        return None
    counts.rotated += shapes.rotated
    counts.clipped += shapes.clipped
    counts.outside += shapes.outside
    others = [to_shapes(each.get("result"), *size) for each in ranked[1:]]
    if any(agreement(shapes.boxes, other.boxes) < AGREEING for other in others):
        counts.disputed.append(key)
    shown = _shown(task, chosen)
    edited = not blind and shown is not None and differ(shapes.boxes, to_shapes(shown.get("result"), *size).boxes)
    at = _when(chosen)
    assert at is not None
    return Review(key, shapes.boxes, _who(chosen), at, "label-studio", blind, edited)


def newest(reviews: Collection[Review], counts: Counts) -> Iterator[Review]:
    """One review an image, the newest, in the order of time."""
    times = Counter(review.key for review in reviews)
    counts.twice += sum(number > 1 for number in times.values())
    latest = {review.key: review for review in sorted(reviews, key=lambda each: each.at)}
    yield from sorted(latest.values(), key=lambda each: (each.at, each.key))


def _rank(annotation: Mapping[str, Any]) -> tuple[bool, datetime, int]:
    accepted = annotation.get("last_action") in _ACCEPTED or bool(annotation.get("ground_truth"))
    return accepted, _when(annotation) or _EVER, _number(annotation.get("id")) or 0


def _shown(task: Mapping[str, Any], annotation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The prediction that the annotator began with: the one named by the annotation, else the task's first."""
    predictions = sorted(
        (_object(each) for each in _list(task.get("predictions"))), key=lambda each: _number(each.get("id")) or 0
    )
    parent = annotation.get("parent_prediction")
    named = [each for each in predictions if parent is not None and each.get("id") == parent]
    return next(iter(named or predictions), None)


def _who(annotation: Mapping[str, Any]) -> str:
    """`created_username` is "name email, id"; in the Enterprise edition `completed_by` is an object."""
    author = annotation.get("completed_by")
    if isinstance(author, dict) and author.get("email"):
        return str(author["email"])
    name = str(annotation.get("created_username") or "").rpartition(",")[0].strip()
    return name or f"user {author}"


def _when(annotation: Mapping[str, Any]) -> datetime | None:
    """None where it makes no sense. Without a time zone it is UTC, as everything of Label Studio is."""
    try:
        at = datetime.fromisoformat(str(annotation.get("updated_at")))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
