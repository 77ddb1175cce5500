"""A project's labelling interface: what ours is, and whether one that somebody made will do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr


@dataclass(frozen=True)
class Interface:
    """The names by which tasks and results refer to the interface's parts."""

    image_field: str  # of a task's data
    image: str
    rectangles: str


class Unsuitable(ValueError):
    """The interface won't do; the message says what to change."""


def compose(classes: Sequence[str]) -> str:
    """The interface of a new project: boxes of these classes, in their order."""
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in classes)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}\n  </RectangleLabels>\n</View>'
    )


def check(config: str, classes: Sequence[str]) -> Interface:
    """The parts of a project's interface, where it is one image with boxes of exactly these classes.

    Raises Unsuitable.
    """
    try:
        root = ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise Unsuitable(f"it can't be read as XML ({error}); paste this: {compose(classes)}") from None
    images = {tag.get("name", ""): tag.get("value", "") for tag in root.iter("Image")}
    rectangles = list(root.iter("RectangleLabels"))
    if not images:
        raise Unsuitable(
            f'it shows no image; add <Image name="image" value="$image"/>, or paste this: {compose(classes)}'
        )
    if len(rectangles) != 1:
        raise Unsuitable(
            f"it has {len(rectangles)} RectangleLabels and must have one, which holds all classes; for example: "
            f"{compose(classes)}"
        )
    name, target = rectangles[0].get("name", ""), rectangles[0].get("toName", "")
    if target not in images or not images[target].startswith("$"):
        raise Unsuitable(
            f'RectangleLabels {name!r} must have as toName an <Image> with value="$image", and has {target!r}'
        )
    # an alias is what Label Studio writes into results in place of the value
    labels = [tag.get("alias") or tag.get("value") or "" for tag in rectangles[0].iter("Label")]
    missing = [each for each in classes if each not in labels]
    foreign = [each for each in labels if each not in classes]
    if missing or foreign:
        changes = []
        if missing:
            changes.append("add " + ", ".join(f"<Label value={quoteattr(each)}/>" for each in missing))
        if foreign:
            changes.append(
                "remove the Label " + ", ".join(map(repr, foreign)) + " (or add it to the Dataset's classes)"
            )
        raise Unsuitable(f"its labels are not the Dataset's classes: {' and '.join(changes)}")
    return Interface(images[target].removeprefix("$"), target, name)
