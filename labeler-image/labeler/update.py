"""What the next version holds: the latest one's images, and what people have said since. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from detectiondata import captures
from detectiondata.captures import Capture
from detectiondata.fields import Fields
from detectiondata.problems import Problem
from detectiondata.version import Box, Image, Split, rounded, same
from labeler.settings import Split as Shares
from labeler.split import NodeDay, Sides
from labeler.tasks import Review

_NAMED = 5  # classes named in a sentence


@dataclass(frozen=True)
class Judged:
    """A capture and the newest review of it; either its sidecar's facts, or those that a version has kept."""

    capture: Capture
    review: Review


@dataclass(frozen=True)
class Next:
    """All images, by digest, with those that are set aside, and those that differ from what the latest version has.
    `reserved` are in no version."""

    images: Mapping[str, Image]
    changed: Mapping[str, Image]
    reserved: int
    problems: tuple[Problem, ...]


def sides(images: Iterable[Image], shares: Shares) -> Sides:
    """With what the latest version has written down."""
    return Sides({_node_day(image): image.split for image in images}, shares)


def newest(reviews: Iterable[Review]) -> dict[str, Review]:
    """The newest review of each key."""
    found: dict[str, Review] = {}
    for review in reviews:
        if review.key not in found or review.at >= found[review.key].at:
            found[review.key] = review
    return found


def next_content(
    before: Mapping[str, Image], judged: Sequence[Judged], shares: Shares, classes: Sequence[str], now: datetime
) -> Next:
    """`before` are all images of the latest version, holdout included; `judged` may hold what it has already."""
    problems: list[Problem] = []
    usable = [(each, boxes) for each in _one_an_image(judged) if (boxes := _boxes(each, problems)) is not None]
    drawn = [
        each.capture.node_day
        for each, boxes in usable
        if each.capture.sha256 not in before and not _outside(boxes, classes)
    ]
    known = sides(before.values(), shares).with_training(drawn)
    images = {digest: _of_classes(image, classes) for digest, image in before.items()}
    reserved = 0
    for each, boxes in usable:
        digest = each.capture.sha256
        earlier = images.get(digest)
        side = known.of(each.capture.node_day) if earlier is None else earlier.split
        if earlier is None and side == "holdout" and each.capture.weight is None:
            reserved += 1
            continue
        if earlier is None:
            images[digest] = _image(each, boxes, side, classes)
        elif earlier.reviewed == boxes:
            continue  # known, or confirmed: the line stays as it is, so that nothing said again makes no new manifest
        elif not each.review.at <= _reviewed_at(earlier) <= now:  # a clock that was ahead has dated the one after now
            image = _image(each, boxes, side, classes)
            if image.piece == "aside" and earlier.piece != "aside":
                problems.append(_unknown(image, classes))  # the version keeps what was said before
            else:
                images[digest] = image
        elif _reviewed_at(earlier) == each.review.at and set(earlier.reviewed) < set(boxes):
            # The same review, and a part is missing: older releases struck out the boxes of a class that was taken out.
            images[digest] = _of_classes(replace(earlier, boxes=boxes, aside=()), classes)
    problems.extend(_unknown(image, classes) for image in images.values() if image.piece == "aside")
    changed = {digest: image for digest, image in images.items() if _differs(image, before.get(digest))}
    return Next(images, changed, reserved, tuple(problems))


def last_review(images: Iterable[Image], now: datetime) -> datetime | None:
    """When the newest of the reviews was made that a version holds; but for those that a clock has dated that was
    ahead, which would have all that people say until then passed over."""
    return max((at for image in images if (at := _reviewed_at(image)) <= now), default=None)


def capture_of(image: Image) -> Capture:
    """The facts of a capture that a version has kept. Raises Wrong."""
    return captures.from_manifest(
        image.capture, width=image.width, height=image.height, sha256=image.sha256, size=image.size
    )


def _one_an_image(judged: Sequence[Judged]) -> Iterator[Judged]:
    """Two captures may be the same picture, byte for byte: the newest review of either holds."""
    latest: dict[str, Judged] = {}
    for each in sorted(judged, key=lambda each: (each.review.at, each.review.key)):
        latest[each.capture.sha256] = each
    yield from latest.values()


def _boxes(judged: Judged, problems: list[Problem]) -> tuple[Box, ...] | None:
    """Clipped to the image and in an order of their own; None where one can't be used, and then the image is left out:
    with a part of its objects it would teach that the others are none."""
    width, height = judged.capture.width, judged.capture.height
    found: list[Box] = []
    for box in judged.review.boxes:
        corners = (
            min(max(box.x1, 0.0), float(width)),
            min(max(box.y1, 0.0), float(height)),
            min(max(box.x2, 0.0), float(width)),
            min(max(box.y2, 0.0), float(height)),
        )
        clipped = rounded(Box(box.label, *corners))
        if not (clipped.x1 < clipped.x2 and clipped.y1 < clipped.y2):
            problems.append(Problem("reviews with a box without area", judged.review.key, box.label))
            return None
        found.append(clipped)
    return tuple(sorted(set(found)))


def _image(judged: Judged, boxes: tuple[Box, ...], split: Split, classes: Sequence[str]) -> Image:
    """Set aside where one of the boxes is of a class that the dataset does not have."""
    capture, review = judged.capture, judged.review
    usable = not _outside(boxes, classes)
    return Image(
        sha256=capture.sha256,
        suffix=captures.IMAGE_SUFFIX,
        size=capture.size,
        width=capture.width,
        height=capture.height,
        split=split,
        boxes=boxes if usable else (),
        aside=() if usable else boxes,
        capture=capture.to_json(),
        review={
            "by": review.by,
            "at": review.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "source": review.source,
            "blind": review.blind,
            "edited": review.edited,
        },
    )


def _of_classes(image: Image, classes: Sequence[str]) -> Image:
    """With the boxes of classes that the dataset has no more aside, and those back whose class is back.

    An image with no other box is set aside itself, and is back with the last of its classes.
    """
    outside = _outside(image.reviewed, classes)
    if outside == image.aside or (outside and image.piece == "aside"):
        return image
    return replace(image, boxes=tuple(box for box in image.reviewed if box.label in classes), aside=outside)


def _outside(boxes: Iterable[Box], classes: Sequence[str]) -> tuple[Box, ...]:
    return tuple(box for box in boxes if box.label not in classes)


def _unknown(image: Image, classes: Sequence[str]) -> Problem:
    label = _outside(image.aside, classes)[0].label
    return Problem("reviews with a class that the dataset does not have", str(image.capture["key"]), label)


def _differs(image: Image, earlier: Image | None) -> bool:
    """Whether a version with `image` teaches something else than one with `earlier`."""
    was = None if earlier is None or earlier.piece == "aside" else earlier
    if image.piece == "aside":
        return was is not None
    return was is None or not same(image, was)


def leaves_nothing(before: Mapping[str, Image], images: Mapping[str, Image]) -> bool:
    """Whether the classes that are gone leave nothing to train on: a slip, for which no version is made."""
    trained_on = (
        any(image.piece == "dataset" and image.split == "train" for image in each.values()) for each in (before, images)
    )
    return tuple(trained_on) == (True, False)


def other_classes(before: Mapping[str, Image], images: Mapping[str, Image], classes: Sequence[str]) -> str:
    """What reviews have of other classes, in some sentences; empty where there is nothing."""
    kept = images.values()
    objects = Counter(box.label for image in kept for box in _outside(image.aside, classes))
    if not objects:
        return ""
    lost = "No version is made, as no image would be left to train on. " if leaves_nothing(before, images) else ""
    named = ", ".join(f"{name} ({count:,})" for name, count in objects.most_common(_NAMED))
    more = f" and {len(objects) - _NAMED} classes more" if len(objects) > _NAMED else ""
    aside = sum(image.piece == "aside" for image in kept)
    images_too = f", and so {'is 1 image' if aside == 1 else f'are {aside:,} images'} that can't be used without them"
    return (
        f"{lost}spec.classes lacks {named}{more}: so many reviewed objects are left out of the versions"
        f"{images_too if aside else ''}. They are kept, and come back once spec.classes has the class."
    )


def _reviewed_at(image: Image) -> datetime:
    return Fields(image.review).time("at")


def _node_day(image: Image) -> NodeDay:
    fields = Fields(image.capture)
    return fields.text("node"), fields.time("capturedAt").date().isoformat()
