"""What to capture: the JSON of `spec.delivery.capture` that the operator mounts beside the model's container.

Members that are not known here are ignored: an operator may be newer than the agent. Every other wrong value is named,
all of them at once, and a file with one is not used at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.capture import quantities
from agent.polygons import Polygon, polygons

SAMPLE = "sample"
"""The reserved name of the random sample, as a reason and among the rules of a capture."""
DISAGREE = "disagree"
"""The reserved name of what two versions disagree about."""

MAX_RULES = 20
MAX_WINDOW = 30.0
"""Seconds of frames before or after a trigger. What comes before is kept in memory, encoded, all the time."""

_RULE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TRIGGERS = ("every", "below", "empty", "more")


class SettingsInvalid(ValueError):
    """The settings can't be used; the message names every wrong value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Rule:
    """One reason to keep a frame. Exactly one of `every`, `below`, `empty` and `more` is its trigger.

    every     seconds: a frame each time so many have passed
    below     a detection (of `classes`, if there are any) less confident than this
    empty     nothing was found
    more      more detections than this
    cooldown  seconds after a capture of this rule in which it does not fire
    per_hour  captures of this rule in any 60 minutes; frames of a window around one are not counted
    before, after  seconds of frames around the one that fired, which are kept with it
    """

    name: str
    every: float | None = None
    below: float | None = None
    classes: frozenset[str] = frozenset()
    empty: bool = False
    more: int | None = None
    cooldown: float = 60.0
    per_hour: int = 60
    before: float = 0.0
    after: float = 0.0


@dataclass(frozen=True)
class Sample:
    """How many frames an hour the random sample wants of those with and of those without detections."""

    per_hour: float = 6.0
    empty_per_hour: float = 2.0


@dataclass(frozen=True)
class ImageSettings:
    """JPEG quality, the longest side in pixels, and polygons in fractions of the frame that are made black."""

    quality: int = 90
    max_side: int = 1920
    mask: tuple[Polygon, ...] = ()


@dataclass(frozen=True)
class Settings:
    """All of it. `disk` is in bytes, `rate` in bytes per second (None: no limit); of keepFree one is 0."""

    destination: str
    disk: int = 2 << 30
    keep_free_bytes: int = 0
    keep_free_share: float = 0.10
    rate: float | None = None
    rules: tuple[Rule, ...] = ()
    sample: Sample | None = None
    image: ImageSettings = ImageSettings()
    suspend: bool = False

    @property
    def reasons(self) -> tuple[str, ...]:
        """The names under which frames are kept, the sample first."""
        return ((SAMPLE,) if self.sample else ()) + tuple(rule.name for rule in self.rules)

    def keep_free(self, total: int) -> int:
        """Bytes that must stay free on a disk of `total` bytes."""
        return max(self.keep_free_bytes, int(self.keep_free_share * total))


def parse(text: str | bytes) -> Settings:
    """Raises SettingsInvalid."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsInvalid([f"is not valid JSON ({error})"]) from None
    if not isinstance(data, dict):
        raise SettingsInvalid(["is not a JSON object"])
    reader = _Reader([])
    share, free = reader.keep_free(data)
    settings = Settings(
        destination=reader.read(data, "destination", _text, ""),
        disk=reader.read(data, "disk", _within(quantities.size, 1 << 20, 1 << 50), Settings.disk),
        keep_free_bytes=free,
        keep_free_share=share,
        rate=reader.read(data, "rate", _within(quantities.size, 1, 1 << 40), None),
        rules=reader.rules(data),
        sample=reader.sample(data),
        image=reader.image(data),
        suspend=reader.read(data, "suspend", _boolean, False),
    )
    if not settings.destination and "destination" not in " ".join(reader.problems):
        reader.problems.append("destination is missing: the address captures are sent to, such as s3://captures/line/")
    if reader.problems:
        raise SettingsInvalid(reader.problems)
    return settings


@dataclass(frozen=True)
class _Reader:
    """Reads members and collects what is wrong with them, by their path."""

    problems: list[str]
    path: str = ""

    def read(self, data: dict[str, Any], name: str, convert: Callable[[Any], Any], default: Any) -> Any:
        value = data.get(name)
        if value is None:
            return default
        try:
            return convert(value)
        except ValueError as problem:
            self.problems.append(f"{self.path}{name} is {json.dumps(value)[:100]}; it {problem}")
            return default

    def inside(self, name: str) -> _Reader:
        return _Reader(self.problems, f"{self.path}{name}.")

    def folder(self, data: dict[str, Any], name: str) -> dict[str, Any] | None:
        value: dict[str, Any] | None = self.read(data, name, _object, None)
        return value

    def keep_free(self, data: dict[str, Any]) -> tuple[float, int]:
        """(share of the disk, bytes): one of them is 0."""
        value = data.get("keepFree")
        if isinstance(value, str) and re.fullmatch(r"(100|[0-9]{1,2})%", value):
            return int(value[:-1]) / 100, 0
        free = self.read(data, "keepFree", _keep_free_bytes, None)
        return (Settings.keep_free_share, 0) if free is None else (0.0, free)

    def sample(self, data: dict[str, Any]) -> Sample | None:
        given, reader = self.folder(data, "sample"), self.inside("sample")
        if given is None:
            return None
        rate = _within(quantities.number, 0, 3600)
        return Sample(
            per_hour=reader.read(given, "perHour", rate, Sample.per_hour),
            empty_per_hour=reader.read(given, "emptyPerHour", rate, Sample.empty_per_hour),
        )

    def image(self, data: dict[str, Any]) -> ImageSettings:
        given, reader = self.folder(data, "image") or {}, self.inside("image")
        return ImageSettings(
            quality=reader.read(given, "quality", _within(_whole, 1, 100), ImageSettings.quality),
            max_side=reader.read(given, "maxSide", _within(_whole, 32, 16384), ImageSettings.max_side),
            mask=reader.read(given, "mask", polygons, ()),
        )

    def rules(self, data: dict[str, Any]) -> tuple[Rule, ...]:
        given = self.read(data, "rules", _list, [])
        if len(given) > MAX_RULES:
            self.problems.append(f"rules has {len(given)} members; at most {MAX_RULES} are allowed")
            return ()
        rules = [_Reader(self.problems, f"rules[{index}].").rule(each) for index, each in enumerate(given)]
        names = [rule.name for rule in rules if rule.name]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            self.problems.append(f"rules has names more than once: {', '.join(twice)}")
        return tuple(rules)

    def rule(self, given: Any) -> Rule:
        if not isinstance(given, dict):
            self.problems.append(f"{self.path[:-1]} is {json.dumps(given)[:100]}; it must be an object")
            return Rule("")
        window = _within(quantities.seconds, 0, MAX_WINDOW)
        by_time = "every" in given  # which says how often by itself
        rule = Rule(
            name=self.read(given, "name", _rule_name, ""),
            every=self.read(given, "every", _within(quantities.seconds, 1, 7 * 86400), None),
            below=self.read(given, "below", _within(quantities.number, 0, 1), None),
            classes=self.read(given, "classes", _names, frozenset()),
            empty=self.read(given, "empty", _boolean, False),
            more=self.read(given, "more", _within(_whole, 0, 10_000), None),
            cooldown=self.read(
                given, "cooldown", _within(quantities.seconds, 0, 7 * 86400), 0.0 if by_time else Rule.cooldown
            ),
            per_hour=self.read(given, "perHour", _within(_whole, 1, 3600), 3600 if by_time else Rule.per_hour),
            before=self.read(given, "before", window, 0.0),
            after=self.read(given, "after", window, 0.0),
        )
        if "name" not in given:
            self.problems.append(f"{self.path}name is missing")
        triggers = [name for name in _TRIGGERS if given.get(name) is not None and given[name] is not False]
        if len(triggers) != 1:
            found = " and ".join(triggers) or "none"
            self.problems.append(f"{self.path[:-1]} has {found} of {', '.join(_TRIGGERS)}; it must have exactly one")
        if rule.classes and "below" not in given:
            self.problems.append(f"{self.path}classes goes with `below` only")
        return rule


def _within(convert: Callable[[Any], Any], low: float, high: float) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        found = convert(value)
        if not low <= found <= high:
            raise ValueError(f"must be from {low:g} to {high:g}")
        return found

    return read


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be text")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("must be a list")
    return value


def _keep_free_bytes(value: Any) -> int:
    try:
        return quantities.size(value)
    except ValueError:
        raise ValueError("must be a percentage such as 10% or a quantity such as 5Gi") from None


def _rule_name(value: Any) -> str:
    if not isinstance(value, str) or not _RULE_NAME.fullmatch(value):
        raise ValueError("must be lower-case letters, digits and '-', at most 63 of them")
    if value in (SAMPLE, DISAGREE):
        raise ValueError("is a reserved name: choose another")
    return value


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise ValueError("must be a list of class names")
    return frozenset(value)
