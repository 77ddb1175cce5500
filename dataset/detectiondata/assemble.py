"""Merges checked sources into one folder that ultralytics reads: train and val, images linked, labels rewritten.

Classes are reconciled by name: the list is the first source's, then what later sources add. Images are told apart by
content, across all sources: one that is both trained on and validated with stays in validation only; one that is in the
holdout too is an error.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import yaml

from detectiondata import conflicts, limits
from detectiondata.balance import Balance
from detectiondata.conflicts import Item
from detectiondata.errors import DatasetError
from detectiondata.source import CheckedSource
from detectiondata.split import held_back
from detectiondata.version import place

_BARE = "without labels, and with labels in the data too"
_UNSAID = re.compile(r"[\s_-]+")  # what names of one thing differ by, from tool to tool, beside capitals
_NAMED = 5  # such names in notes
_URI_LIMIT = 1024  # characters; what a ModelVersion's lineage holds


@dataclass(frozen=True)
class Contribution:
    """What one source gave to the merged whole: its images and objects that are trained or validated with."""

    uri: str
    sha256: str
    images: int
    labels: int
    balance: Balance

    def to_json(self) -> dict[str, Any]:
        counts = {"uri": self.uri, "sha256": self.sha256, "images": self.images, "labels": self.labels}
        return counts | {"balance": self.balance.to_json()}


@dataclass(frozen=True)
class Assembled:
    """`yaml` is what ultralytics is given; `sha256` of one source is its own, of several that of their list.

    `trained_on` and `validated_with` are the digests of the images.
    """

    yaml: Path
    classes: tuple[str, ...]
    uri: str
    sha256: str
    images: int
    labels: int
    counts: dict[str, Any]
    notes: tuple[str, ...]
    trained_on: frozenset[str]
    validated_with: frozenset[str]
    validation_images: tuple[Path, ...]
    held_back: str | None
    sources: tuple[Contribution, ...]

    @property
    def seen(self) -> Mapping[str, frozenset[str]]:
        """The digests of all images, by what they are used for."""
        return {"trained on": self.trained_on, "validated with": self.validated_with}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth a look; that a share was held back, as is usual, is not."""
        return tuple(note for note in self.notes if note != self.held_back)

    @property
    def left_out(self) -> tuple[str, ...]:
        """In words, what the sources hold that is not used."""
        return tuple(f"{source.uri}: {what}" for source in self.sources for what in source.balance.left_out)


def assemble(sources: Sequence[CheckedSource], share: Decimal, seed: int, folder: Path) -> Assembled:
    """Writes `folder`. Raises DatasetError when a source, or a side of the split, would be empty."""
    _refuse_unusable(sources)
    _refuse_several_versions([source.fetched.uri for source in sources])
    classes = tuple(dict.fromkeys(name for source in sources for name in source.names))
    limits.check(classes, _addresses(sources))
    notes = [note for source in sources for note in source.notes]
    train, val = _items(sources, classes, "train"), _items(sources, classes, "val")
    balances = [source.balance for source in sources]
    held = None
    bare = conflicts.bare_copies([*train, *val], sources)
    if bare:
        notes.append(f"{len(bare)} images without labels are in the data with labels, too; left out")
        for part, items in (("train", train), ("val", val)):
            balances = _without(balances, part, _BARE, [item for item in items if id(item) in bare])
        train, val = ([item for item in items if id(item) not in bare] for items in (train, val))
    if not val:
        chosen = held_back([item.sample.sha256 for item in train], share, seed)
        val = [item for item in train if item.sample.sha256 in chosen]
        train = [item for item in train if item.sample.sha256 not in chosen]
        held = f"no validation part: {len(val)} of {len(val) + len(train)} images held back, seed {seed}"
        notes.append(held)
        counts = Counter(item.source for item in val)
        balances = [balance.moved("train", "val", counts[number]) for number, balance in enumerate(balances)]
    else:
        validated = {item.sample.sha256 for item in val}
        twice = [item for item in train if item.sample.sha256 in validated]
        if twice:
            notes.append(f"{len(twice)} images are in both train and val; left out of train")
            balances = _without(balances, "train", "in both train and val", twice)
        train = [item for item in train if item.sample.sha256 not in validated]
    uri = _addresses(sources)
    for name, items in (("train", train), ("val", val)):
        if not any(item.sample.rows for item in items):
            raise DatasetError(f"{uri}: nothing labelled is left for {name} ({len(items)} images); add images")
    notes.extend(_observations(train, classes, uri))
    _write_part(folder / "train", train)
    validation_images = _write_part(folder / "val", val)
    return Assembled(
        yaml=_write_yaml(folder, classes, {"train": "train/images", "val": "val/images"}),
        classes=classes,
        uri=uri,
        sha256=_digest(sources),
        images=len(train) + len(val),
        labels=_objects(train) + _objects(val),
        counts={"train": _counts(train, classes), "val": _counts(val, classes)},
        notes=tuple(notes),
        trained_on=frozenset(item.sample.sha256 for item in train),
        validated_with=frozenset(item.sample.sha256 for item in val),
        validation_images=validation_images,
        held_back=held,
        sources=_contributions(sources, [*train, *val], balances),
    )


def assemble_holdout(
    source: CheckedSource, classes: tuple[str, ...], seen: Mapping[str, frozenset[str]], folder: Path
) -> Assembled:
    """The holdout is all images of `source`, whatever its parts are called. Its `classes` are the model's.

    Raises DatasetError for a class the model does not know, for an image that is `seen` (`Assembled.seen` of
    the dataset), for copies of an image whose labels differ, and where nothing is labelled.
    """
    uri = source.fetched.uri
    unknown = [name for name in source.names if name not in classes]
    divided = {part: _items([source], (*classes, *unknown), part) for part in source.parts}
    bare = conflicts.bare_copies([item for each in divided.values() for item in each], [source])
    notes, balances = list(source.notes), [source.balance]
    if bare:
        notes.append(f"{uri}: {len(bare)} images without labels are in it with labels, too; left out")
        for part, each in divided.items():
            balances = _without(balances, part, _BARE, [item for item in each if id(item) in bare])
    items = [item for each in divided.values() for item in each if id(item) not in bare]
    used = {index for item in items for index in (item.indices[row.index] for row in item.sample.rows)}
    strangers = [name for number, name in enumerate([*classes, *unknown]) if number >= len(classes) and number in used]
    if strangers:
        raise DatasetError(
            f"{uri}: the evaluation holds the class {strangers[0]!r}, which the model is not trained on "
            f"({', '.join(classes)})",
        )
    if not used:
        raise DatasetError(f"{uri}: none of the {len(items)} images of the evaluation has a labelled object")
    _refuse_leaks(uri, items, seen)
    images = _write_part(folder / "val", items)
    return Assembled(
        yaml=_write_yaml(folder, classes, {"train": "val/images", "val": "val/images"}),
        classes=classes,
        uri=uri,
        sha256=source.fetched.sha256,
        images=len(items),
        labels=_objects(items),
        counts={"val": _counts(items, classes)},
        notes=tuple(notes),
        trained_on=frozenset(),
        validated_with=frozenset(item.sample.sha256 for item in items),
        validation_images=images,
        held_back=None,
        sources=_contributions([source], items, balances),
    )


def _refuse_unusable(sources: Sequence[CheckedSource]) -> None:
    """A source may bring only a train or only a val part, but not neither; and something must be trained on."""
    for source in sources:
        if "train" not in source.parts and ("val" not in source.parts or len(sources) == 1):
            found = ", ".join(f"{part} ({len(samples)})" for part, samples in source.parts.items())
            raise DatasetError(f"{source.fetched.uri} has no train part; found {found}")
    if not any("train" in source.parts for source in sources):
        raise DatasetError(f"{_addresses(sources)}: none of the sources has a train part")


def _refuse_several_versions(uris: Sequence[str]) -> None:
    """Each version holds all images, so that a second one would train on them twice, with their older labels too."""
    seen: dict[str, str] = {}
    for uri in uris:
        version = place(uri)
        if version is None:
            continue
        store, _ = version
        if store in seen:
            raise DatasetError(
                f"{seen[store]} and {uri} are versions of one dataset; give the newer one alone: it has the images of "
                "the older one, with their corrected labels",
            )
        seen[store] = uri


def _refuse_leaks(uri: str, items: Sequence[Item], seen: Mapping[str, frozenset[str]]) -> None:
    """The validation part chooses the epoch that is kept, and so can't judge it either."""
    for how, digests in seen.items():
        leaked = [item.sample.image.name for item in items if item.sample.sha256 in digests]
        if leaked:
            raise DatasetError(
                f"{uri}: {len(leaked)} images of the evaluation are also {how} ({', '.join(leaked[:3])}); a holdout "
                "shares no image with the dataset",
            )


def _without(balances: Sequence[Balance], part: str, why: str, items: Sequence[Item]) -> list[Balance]:
    """After `items` of `part` were left out of the sources that they come from."""
    return [
        balance.without(
            part,
            why,
            [item.sample.image.name for item in items if item.source == number],
            sum(len(item.sample.rows) for item in items if item.source == number),
            sum(item.sample.label is not None for item in items if item.source == number),
        )
        for number, balance in enumerate(balances)
    ]


def _contributions(
    sources: Sequence[CheckedSource], items: Sequence[Item], balances: Sequence[Balance]
) -> tuple[Contribution, ...]:
    images = Counter(item.source for item in items)
    labels: Counter[int] = Counter()
    for item in items:
        labels[item.source] += len(item.sample.rows)
    return tuple(
        Contribution(source.fetched.uri, source.fetched.sha256, images[number], labels[number], balances[number])
        for number, source in enumerate(sources)
    )


def _addresses(sources: Sequence[CheckedSource]) -> str:
    uris = [source.fetched.uri for source in sources]
    joined = ", ".join(uris)
    return joined if len(joined) <= _URI_LIMIT else f"{len(uris)} sources: {joined}"[: _URI_LIMIT - 1] + "…"


def _items(
    sources: Iterable[CheckedSource], classes: tuple[str, ...], part: Literal["train", "val", "test"]
) -> list[Item]:
    items: list[Item] = []
    for number, source in enumerate(sources):
        indices = tuple(classes.index(name) for name in source.names)
        items.extend(Item(sample, indices, number) for sample in source.parts.get(part, ()))
    return items


def _write_part(folder: Path, items: Sequence[Item]) -> tuple[Path, ...]:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    images = []
    for number, item in enumerate(items):
        stem = f"{number:06}_{_plain(item.sample.image.stem)}"
        image = folder / "images" / f"{stem}{item.sample.suffix or '.png'}"
        if item.sample.suffix is None:
            image.write_bytes(_as_png(item.sample.image.read_bytes()))
        elif item.sample.length < item.sample.image.stat().st_size:
            # ultralytics would rewrite such a picture in place, and the place may be someone's mounted volume
            image.write_bytes(item.sample.image.read_bytes()[: item.sample.length])
        else:
            image.symlink_to(item.sample.image.resolve())
        images.append(image)
        if item.sample.labelled:
            lines = [row.line(item.indices[row.index]) + "\n" for row in item.sample.rows]
            (folder / "labels" / f"{stem}.txt").write_text("".join(lines))
    return tuple(images)


def _plain(stem: str) -> str:
    """As much of a name as fits beside a number, with what is no UTF-8 in it replaced: cv2.imread dies of that."""
    return stem[:80].encode("utf-8", "replace")[:200].decode("utf-8", "ignore")


def _as_png(content: bytes) -> bytes:
    """What OpenCV sees in a picture, in a format that ultralytics takes."""
    picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # it was decoded before, smaller
    _, encoded = cv2.imencode(".png", picture)
    return encoded.tobytes()


def _write_yaml(folder: Path, classes: tuple[str, ...], parts: dict[str, str]) -> Path:
    path = folder / "data.yaml"
    document = {"path": str(folder.resolve()), **parts, "names": dict(enumerate(classes))}
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    return path


def _objects(items: Iterable[Item]) -> int:
    return sum(len(item.sample.rows) for item in items)


def _counts(items: Sequence[Item], classes: Sequence[str]) -> dict[str, Any]:
    per_class = Counter(item.indices[row.index] for item in items for row in item.sample.rows)
    return {
        "images": len(items),
        "labels": sum(per_class.values()),
        "withoutObjects": sum(not item.sample.rows for item in items),
        "withoutLabelFile": sum(not item.sample.labelled for item in items),
        "perClass": {name: per_class[index] for index, name in enumerate(classes)},
    }


def _observations(train: Sequence[Item], classes: tuple[str, ...], uri: str) -> list[str]:
    """What is no error and still worth a look before hours of training."""
    notes = []
    bare = [item.sample.image.name for item in train if not item.sample.labelled]
    if bare:
        notes.append(
            f"{uri}: {len(bare)} of {len(train)} training images have no label file and count as empty ({bare[0]}, ...)"
        )
    present = {item.indices[row.index] for item in train for row in item.sample.rows}
    absent = [name for index, name in enumerate(classes) if index not in present]
    if absent:
        notes.append(f"{uri}: no training image shows {', '.join(absent[:10])}")
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[_UNSAID.sub(" ", unicodedata.normalize("NFKC", name).casefold())].append(name)
    for names in [names for names in alike.values() if len(names) > 1][:_NAMED]:
        said = " and ".join(map(repr, names))
        notes.append(f"{uri}: {said} are classes of their own; give them one name if they are one thing")
    return notes


def _digest(sources: Sequence[CheckedSource]) -> str:
    if len(sources) == 1:
        return sources[0].fetched.sha256
    lines = "".join(f"{source.fetched.sha256}  {source.fetched.uri}\n" for source in sources)
    return hashlib.sha256(lines.encode()).hexdigest()
