"""Captured images in their bucket: keys, and what the sidecar beside each image says of it (docs/labels.md).

Anybody with rights on the bucket may put anything there. A file that is not as the format says is left out, counted
and named; it never ends a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Literal, cast

import artifactstore
from artifactstore import ArtifactError
from detectiondata.fields import Fields, Wrong
from detectiondata.problems import Problem

FORMAT = "modelfleet.dev/capture/v1"
SAMPLE = "sample"  # the rule that draws frames at random, with a probability that is known
DISAGREE = "disagree"  # two versions find different objects
REPLAY_LIST = re.compile(r"^replay/(?P<rollout>[^/]+)/[^/]+\.json$")  # lies among the captures and is none: replays.py
IMAGE_SUFFIX = ".jpg"
IMAGE_LIMIT = 64 << 20  # bytes of an image

_SIDECAR = ".json"
_SIDECAR_LIMIT = 4 << 20  # bytes
_AHEAD = timedelta(days=1)  # how far a node's clock may be ahead before nobody believes it
_DIGITS = 8  # of the image's digest, at the end of a name
_KEY = re.compile(
    r"[^/]+/[^/]+/([0-9]{4})/([0-9]{2})/([0-9]{2})/([0-9]{2})([0-9]{2})([0-9]{2})\.([0-9]{3})Z-[0-9a-f]{8}"
)
_BORDER = 2.0  # pixels that a box may stand out, from rounding; it is clipped
_SMALLEST = 10  # pixels a side; training refuses smaller pictures
_LARGEST = 65_535  # what a JPEG can have
_NAME_LIMIT = 253  # characters of a model's name
_MOST = 10_000  # detections, rules, classes; more are nobody's

Stratum = Literal["found", "empty"]


@dataclass(frozen=True, slots=True)
class Key:
    """A capture by the name of its image; `text` is the name without its suffix. Small: a bucket has a million."""

    text: str
    at: datetime

    @property
    def rollout(self) -> str:
        return self.text.split("/", 1)[0]

    @property
    def node(self) -> str:
        return self.text.split("/", 2)[1]

    @property
    def stem(self) -> str:
        """The last part of its name."""
        return self.text.rpartition("/")[2]

    @property
    def sha8(self) -> str:
        """The digits of the image's digest that its name ends with."""
        return self.text[-_DIGITS:]

    @property
    def day(self) -> str:
        """In UTC, "2026-11-29"."""
        return self.at.date().isoformat()

    @property
    def image(self) -> str:
        return self.text + IMAGE_SUFFIX


@dataclass(frozen=True, slots=True)
class Detection:
    label: str
    confidence: float
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The random sample chose it, with this probability."""

    probability: float
    stratum: Stratum


@dataclass(frozen=True, slots=True)
class Capture:
    """One image and what its node knew of it. `role` is its place in a sequence: before, trigger or after."""

    key: Key
    width: int
    height: int
    sha256: str
    size: int  # bytes
    group: str
    version: str
    model_sha256: str
    rules: tuple[str, ...]
    role: str | None
    sample: Sample | None
    confidence: float  # thresholds of the model
    iou: float
    detections: tuple[Detection, ...]
    model: str | None = field(default=None, compare=False)
    """The name of the model that ran; None where the sidecar doesn't say. A manifest does not keep it."""

    @property
    def node_day(self) -> tuple[str, str]:
        return self.key.node, self.key.day

    @property
    def weight(self) -> float | None:
        """For how many frames it stands where the sample is measured (Horvitz and Thompson); None: it does not count.

        Of those on which two versions disagree one of two counts, and counts twice: `is_of_sample`.
        """
        disagrees = DISAGREE in self.rules
        if self.sample is None or not is_of_sample(disagrees, self.key.sha8):
            return None
        return (2 if disagrees else 1) / self.sample.probability

    def to_json(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        facts: dict[str, Any] = {
            "key": self.key.image,
            "node": self.key.node,
            "rollout": self.key.rollout,
            "group": self.group,
            "version": self.version,
            "modelSha256": self.model_sha256,
            "capturedAt": self.key.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "rules": list(self.rules),
            "thresholds": {"confidence": self.confidence, "iou": self.iou},
            "detections": [
                {
                    "class": found.label,
                    "confidence": found.confidence,
                    "box": [round(value, 2) for value in (found.x1, found.y1, found.x2, found.y2)],
                }
                for found in self.detections
            ],
        }
        if self.sample is not None:
            facts["sample"] = {"probability": self.sample.probability, "stratum": self.sample.stratum}
        return facts


def is_of_sample(disagrees: bool, sha8: str) -> bool:
    """Whether a sampled frame counts as one.

    Of sampled frames on which two versions disagree a half is asked about for that reason, out of turn, and can't
    count: with it the hard frames would be too many, without it too few. So the other half, asked in the sample's
    turn, counts twice. The image's digest decides, which nothing on it can be seen from.
    """
    return not (disagrees and int(sha8, 16) % 2)


def parse_key(name: str) -> Key | None:
    """The capture whose image or sidecar is called `name`; None for the name of anything else."""
    stem = name.removesuffix(IMAGE_SUFFIX).removesuffix(_SIDECAR)
    found = _KEY.fullmatch(stem)
    if found is None:
        return None
    year, month, day, hour, minute, second, thousandth = map(int, found.groups())
    try:
        return Key(stem, datetime(year, month, day, hour, minute, second, thousandth * 1000, UTC))
    except ValueError:  # the 31st of February
        return None


def pair(names: Iterable[str], now: datetime) -> tuple[list[Key], list[Problem]]:
    """The captures that are complete, ordered by key, and every file that belongs to none of them.

    Lists of replays are neither. A name may come twice. Where a capture's two files come one after the other, as they
    do from S3, no more is held than what is returned.
    """
    whole: list[Key] = []
    images: dict[str, Key] = {}  # whose sidecar has not come yet
    sidecars: set[str] = set()  # whose image has not
    problems = []
    for name in names:
        if REPLAY_LIST.match(name):
            continue
        key = parse_key(name)
        if key is None or not name.endswith((IMAGE_SUFFIX, _SIDECAR)):
            problems.append(Problem("files that are not captures", name, ""))
        elif name.endswith(IMAGE_SUFFIX):
            if key.text in sidecars:
                sidecars.remove(key.text)
                whole.append(key)
            else:
                images[key.text] = key
        elif images.pop(key.text, None) is not None:
            whole.append(key)
        else:
            sidecars.add(key.text)
    whole.sort(key=lambda key: key.text)
    for key in whole:  # the one file of it that came a second time
        images.pop(key.text, None)
        sidecars.discard(key.text)
    alone = "images without a sidecar (being uploaded, or cut off)"
    problems.extend(Problem(alone, images[text].image, "") for text in sorted(images))
    complete = []
    for key, _ in groupby(whole):
        if key.at > now + _AHEAD:
            problems.append(Problem("captures from the future (check the clock of the node)", key.image, ""))
        else:
            complete.append(key)
    problems.extend(Problem("sidecars without an image", text + _SIDECAR, "") for text in sorted(sidecars))
    return complete, problems


def read(uri: str, keys: Iterable[Key]) -> Iterator[Capture | Problem]:
    """What the sidecars say, side by side, in the order of `keys`.

    Raises ArtifactError where the store can't be read; a sidecar that is gone or makes no sense is a Problem.
    """

    def one(key: Key) -> Capture | Problem:
        try:
            content = artifactstore.read_bytes(artifactstore.join(uri, f"{key.text}{_SIDECAR}"), limit=_SIDECAR_LIMIT)
        except ArtifactError as error:
            if error.reason not in ("NotFound", "Unsupported"):
                raise
            return Problem("sidecars that can't be read", key.text + _SIDECAR, error.reason)
        return parse(content, key)

    return artifactstore.in_parallel(one, keys)


def parse(content: bytes, key: Key) -> Capture | Problem:
    """A sidecar. What does not belong to the name that it lies under is a Problem too."""
    try:
        document = json.loads(content)
        fields = Fields(document)
        if fields.text("format") != FORMAT:
            return Problem("sidecars of an unknown format", key.text + _SIDECAR, fields.text("format")[:80])
        image = fields.inner("image")
        capture = _capture(
            fields,
            key,
            width=fields.count("width", _SMALLEST, _LARGEST),
            height=fields.count("height", _SMALLEST, _LARGEST),
            sha256=image.sha256("sha256"),
            size=image.count("bytes", 1, IMAGE_LIMIT),
        )
    except (ValueError, RecursionError) as error:  # Wrong is one
        said = str(error) if isinstance(error, Wrong) else "not valid JSON"
        return Problem("sidecars that make no sense", key.text + _SIDECAR, said)
    if not capture.sha256.startswith(key.sha8):
        return Problem("sidecars that speak of another image", key.text + _SIDECAR, capture.sha256[:8])
    model = document.get("model")
    known = isinstance(model, str) and model.isprintable() and len(model) <= _NAME_LIMIT
    return replace(capture, model=model if known else None)


def from_manifest(facts: Mapping[str, Any], *, width: int, height: int, sha256: str, size: int) -> Capture:
    """What `to_json` kept. Raises Wrong."""
    fields = Fields(facts)
    key = parse_key(fields.text("key"))
    if key is None:
        raise Wrong("key is not the name of a capture")
    return _capture(fields, key, width=width, height=height, sha256=sha256, size=size)


def _capture(fields: Fields, key: Key, *, width: int, height: int, sha256: str, size: int) -> Capture:
    for name, expected in (("node", key.node), ("rollout", key.rollout)):
        if fields.text(name) != expected:
            raise Wrong(f"{name} is not the one in its name")
    if abs(fields.time("capturedAt") - key.at) >= timedelta(seconds=1):
        raise Wrong("capturedAt is not the time in its name")
    thresholds = fields.inner("thresholds")
    rules = fields.texts("rules", _MOST)
    sample = _sample(fields)
    if not rules or (SAMPLE in rules) != (sample is not None):
        raise Wrong("rules and sample contradict each other")
    detections = [_detection(found, width, height) for found in fields.entries("detections", _MOST)]
    return Capture(
        key=key,
        width=width,
        height=height,
        sha256=sha256,
        size=size,
        group=fields.text("group"),
        version=fields.text("version"),
        model_sha256=fields.sha256("modelSha256"),
        rules=rules,
        role=fields.inner("sequence").text("role") if fields.has("sequence") else None,
        sample=sample,
        confidence=thresholds.number("confidence", 0, 1),
        iou=thresholds.number("iou", 0, 1),
        detections=tuple(sorted(detections, key=lambda found: -found.confidence)),
    )


def _sample(fields: Fields) -> Sample | None:
    if not fields.has("sample"):
        return None
    inner = fields.inner("sample")
    probability, stratum = inner.number("probability", 0, 1), inner.text("stratum")
    if probability < 1e-9:
        raise Wrong("sample.probability is zero, and yet it was chosen")
    if stratum not in ("found", "empty"):
        raise Wrong("sample.stratum is neither found nor empty")
    return Sample(probability, cast("Stratum", stratum))


def _detection(fields: Fields, width: int, height: int) -> Detection:
    x1, y1, x2, y2 = _corners(fields.numbers("box", 4), width, height)
    return Detection(fields.text("class"), fields.number("confidence", 0, 1), x1, y1, x2, y2)


def _corners(values: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    limits = (width, height, width, height)
    if any(not -_BORDER <= value <= limit + _BORDER for value, limit in zip(values, limits, strict=True)):
        raise Wrong("a box is outside the image")
    x1, y1, x2, y2 = (min(max(value, 0.0), float(limit)) for value, limit in zip(values, limits, strict=True))
    if x1 > x2 or y1 > y2:
        raise Wrong("a box's corners are the wrong way round")
    return x1, y1, x2, y2
