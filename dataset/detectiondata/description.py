"""What a dataset says of itself: data.yaml or obj.data (class names, paths of the parts), and plain lists of classes.

Nothing in a data.yaml is ever executed or downloaded, and its paths lead nowhere but into the dataset. Every scalar is
the text that was written: YAML 1.1 makes True of `yes`, 8 of `0010` and 750 of `12:30`, and none of these is the name
of a class.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from detectiondata.errors import DatasetError
from detectiondata.texts import read_text

NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt", "class_names.txt")
_NAME_SUFFIXES = (".names", ".labels")
_NOTES = "notes.json"  # Label Studio lists its classes there, too
_KEYS: Mapping[str, Literal["train", "val", "test"]] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_ABSENT = ("", "~", "null", "Null", "NULL")
_USUAL = ("data", "dataset")  # what descriptions are called
_SIZE_LIMIT = 1 << 20  # bytes
_ROW = re.compile(r"\s*\d+(\s+[-+.\deE]+){4,}\s*$")
_DIGITS = re.compile(r"\d+")
_SPEAKS_OF_DATA = re.compile(r"^(names|train|val)\s*:", re.MULTILINE)

Parts = Mapping[Literal["train", "val", "test"], tuple[str, ...]]


@dataclass(frozen=True)
class Description:
    """`file` is where the parts were read, relative to the root, and `path` what it calls its own place; `parts` are
    the paths as written. `keypoints` is how many points of how many numbers follow each box (kpt_shape). `counts` is
    how many classes there are, by what says so ("data.yaml says nc: 3"). `files` are all files that describe,
    `twins` those that say the same as `file`, each of its own place.
    """

    file: str | None = None
    path: str = ""
    names: tuple[str, ...] | None = None
    parts: Parts = field(default_factory=dict)
    keypoints: tuple[int, int] | None = None
    files: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    twins: tuple[str, ...] = ()


def read_descriptions(root: Path, files: Iterable[str], uri: str) -> Description:
    """What the description among `files` says. Raises DatasetError for several that differ, for class lists that
    differ, and for one that makes no sense."""
    listed = list(files)
    found = _yaml(root, listed, uri)
    darknet = _darknet(root, listed, uri)
    described = [each for each in (found, darknet) if each is not None]
    base = next((each for each in described if each.parts), described[0] if described else Description())
    named = {each.file or "": each.names for each in described if each.names is not None}
    lists = _name_files(root, listed, uri)
    names = _one_list({**named, **lists}, uri)
    counts = {said: count for each in described for said, count in each.counts.items()}
    if names is not None:
        given = "gives" if base.names else f"{next(iter(lists), 'another')} gives"
        check_counts(counts, names, f"and {given} {len(names)} names; correct one of them", uri)
    used = {*(file for each in described for file in each.files), *lists}
    return replace(base, names=names, files=tuple(sorted(used)), counts=counts)


def check_counts(counts: Mapping[str, int], names: Sequence[str], why: str, uri: str) -> None:
    """Raises DatasetError, which says `why`, where another number of classes is meant than there are names: these are
    not what the labels count through."""
    for said, count in counts.items():
        if count != len(names):
            raise DatasetError(f"{uri}: {said} {why}")


def _one_list(lists: dict[str, tuple[str, ...]], uri: str) -> tuple[str, ...] | None:
    """Which of two lists is right changes every label, so nobody guesses."""
    distinct = {names: file for file, names in reversed(lists.items())}
    if len(distinct) > 1:
        shown = "; ".join(f"{file}: {_shown(names)}" for names, file in reversed(distinct.items()))
        raise DatasetError(f"{uri} holds class lists that differ ({shown}); keep the one that is right")
    return next(iter(distinct), None)


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(name[:30] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# --- data.yaml --------------------------------------------------------------------------------------------------------


def _yaml(root: Path, files: Iterable[str], uri: str) -> Description | None:
    found: dict[str, Description] = {}
    broken: dict[str, str] = {}
    for name in files:
        if PurePosixPath(name).suffix.lower() not in (".yaml", ".yml") or (root / name).stat().st_size > _SIZE_LIMIT:
            continue
        content = (root / name).read_bytes()
        try:
            document, twice = _load(content)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            usual = PurePosixPath(name).stem.lower() in _USUAL
            if usual or _SPEAKS_OF_DATA.search(_roughly(content)):
                text = isinstance(error, UnicodeDecodeError)
                said = "UTF-8 text; save it as UTF-8" if text else f"YAML: {' '.join(str(error).split())}"
                broken[name] = said
            continue
        if isinstance(document, dict) and _describes(document):
            if twice:
                raise DatasetError(f"{uri}: {name} has {twice}: twice; remove the one that is wrong")
            found[name] = _from_yaml(name, document, uri)
    if broken:
        name, reason = next(iter(broken.items()))
        other = f"; correct it, or remove it where {next(iter(found))} counts" if found else ""
        raise DatasetError(f"{uri}: {name} is not {reason}{other}")
    distinct = {(each.path, each.names, tuple(each.parts.items()), each.keypoints): each for each in found.values()}
    if len(distinct) > 1:
        raise DatasetError(
            f"{uri} holds {len(distinct)} descriptions ({', '.join(found)}) that differ; keep the one that is right"
        )
    if not found:
        return None
    nearest = min(found, key=lambda name: (name.count("/"), name))  # copies say the same; the topmost counts
    counts = {said: count for each in found.values() for said, count in each.counts.items()}
    twins = tuple(name for name in found if name != nearest)
    return replace(found[nearest], files=tuple(found), counts=counts, twins=twins)


class _Loader(yaml.BaseLoader):
    """Every scalar as it was written, and `twice`, a key that is there twice: the last one counts without a word."""

    twice: str = ""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        self.twice = next((key for key, count in keys.items() if count > 1), self.twice)
        return super().construct_mapping(node, deep)


def _load(content: bytes) -> tuple[Any, str]:
    """The document, and a key that is there twice, if any is. Raises YAMLError for several documents, too."""
    loader = _Loader(content.decode("utf-8-sig"))
    try:
        return loader.get_single_data(), loader.twice
    finally:
        loader.dispose()


def _roughly(content: bytes) -> str:
    """What is ASCII of a text in any encoding; PowerShell writes UTF-16."""
    return content.replace(b"\0", b"").decode("ascii", "ignore")


def _describes(document: Mapping[Any, Any]) -> bool:
    """Others have `train` as well: parameters of a training (a mapping)."""
    return "names" in document or isinstance(document.get("train"), (str, list))


def _from_yaml(file: str, document: Mapping[Any, Any], uri: str) -> Description:
    where = f"{uri}: {file}"
    names = document.get("names")
    described = None if names is None or names in _ABSENT else _names(names, where)
    path = document.get("path")
    parts: dict[Literal["train", "val", "test"], tuple[str, ...]] = {}
    for key, part in _KEYS.items():
        value = document.get(key)
        entries = value if isinstance(value, list) else [value]
        if any(entry is not None and not isinstance(entry, str) for entry in entries):
            raise DatasetError(f"{where} has a {key} that is neither a path nor a list of paths")
        given = [entry.strip() for entry in entries if entry is not None and entry not in _ABSENT]
        if given:
            parts[part] = (*parts.get(part, ()), *given)
    keypoints = _keypoints(document.get("kpt_shape"), where)
    place = path if isinstance(path, str) and path not in _ABSENT else ""
    counts = _count(document.get("nc"), f"{file} says nc:", uri)
    return Description(file, place, described, parts, keypoints, (file,), counts)


def _count(value: Any, said: str, uri: str) -> Mapping[str, int]:
    if not isinstance(value, str) or value in _ABSENT:
        return {}
    try:
        return {f"{said} {value}": int(value)}
    except ValueError:
        raise DatasetError(f"{uri}: {said} {value}, which is not a number of classes; correct it") from None


def _keypoints(value: Any, where: str) -> tuple[int, int] | None:
    if value is None or value in _ABSENT:
        return None
    try:
        points, numbers = (int(each) for each in value) if isinstance(value, list) else (0, 0)
    except (TypeError, ValueError):
        points, numbers = 0, 0
    if points < 1 or numbers < 1:
        raise DatasetError(f"{where} has a kpt_shape that is not two whole numbers, such as [17, 3]")
    return points, numbers


def _names(names: Any, where: str) -> tuple[str, ...]:
    if isinstance(names, dict):
        try:
            by_index = {int(index): name for index, name in names.items()}
        except (TypeError, ValueError):
            raise DatasetError(f"{where} has names whose keys are not class indices") from None
        if len(by_index) < len(names):
            raise DatasetError(f"{where} has several names for one index; correct it")
        if sorted(by_index) != list(range(len(by_index))):
            raise DatasetError(f"{where} has names for the indices {sorted(by_index)}; they must count up from 0")
        names = [by_index[index] for index in range(len(by_index))]
    if not isinstance(names, list):
        raise DatasetError(f"{where} has names that are neither a list nor a mapping")
    if not all(isinstance(name, str) for name in names):
        raise DatasetError(f"{where} has names that are lists or mappings themselves; each name is one text")
    return _checked([name.strip() for name in names], where)


# --- darknet, and lists of names --------------------------------------------------------------------------------------


def _darknet(root: Path, files: Iterable[str], uri: str) -> Description | None:
    """obj.data: lines `train = data/train.txt`. Its `names` is a path, and the file it leads to is read as a list."""
    found: dict[str, Description] = {}
    for name in files:
        if PurePosixPath(name).suffix.lower() != ".data" or (root / name).stat().st_size > _SIZE_LIMIT:
            continue
        lines = (line.partition("=") for line in (root / name).read_bytes().decode("utf-8", "replace").splitlines())
        says = {key.strip().lower(): value.strip() for key, equals, value in lines if equals and value.strip()}
        parts = {part: (says[key],) for key, part in _KEYS.items() if key in says}
        if parts:
            said = says.get("classes", "")
            leading = _DIGITS.match(said)  # darknet reads no further (atoi): `2 # nuts and bolts` is 2
            counts = _count(leading.group() if leading else said, f"{name} says classes =", uri)
            here = Description(name, "", None, parts, None, (name,), counts)
            same = found.setdefault(str((parts, counts.values())), here)
            if same is not here:
                found[str((parts, counts.values()))] = replace(
                    same, files=(*same.files, name), twins=(*same.twins, name), counts={**same.counts, **counts}
                )
    if len(found) > 1:
        raise DatasetError(
            f"{uri} holds {len(found)} descriptions ({', '.join(each.files[0] for each in found.values())}) that "
            "differ; keep the one that is right"
        )
    return next(iter(found.values()), None)


def _name_files(root: Path, files: Iterable[str], uri: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for name in files:
        base = PurePosixPath(name).name.lower()
        if base in NAME_FILES or base.endswith(_NAME_SUFFIXES):
            lines = [line.strip() for line in read_text(root, name, uri).rstrip().splitlines()]
            if lines and _ROW.match(lines[0]):  # the labels of an image called names.jpg
                continue
            if "" in lines:
                raise DatasetError(
                    f"{uri}: {name} has an empty line {lines.index('') + 1}, which some tools count as a class and "
                    "some do not; remove it, or name that class"
                )
            found[name] = _checked(lines, f"{uri}: {name}")
        elif base == _NOTES:
            names = _noted(root / name)
            if names is not None:
                found[name] = _checked(names, f"{uri}: {name}")
    return found


def _noted(path: Path) -> list[str] | None:
    """The classes in Label Studio's notes.json, by their ids; None for a file of another kind."""
    if path.stat().st_size > _SIZE_LIMIT:
        return None
    try:
        categories = json.loads(path.read_bytes())["categories"]
        by_id = {int(each["id"]): str(each["name"]).strip() for each in categories}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return [by_id[number] for number in sorted(by_id)] if sorted(by_id) == list(range(len(by_id))) else None


def _checked(names: list[str], where: str) -> tuple[str, ...]:
    if not names or not all(names):
        raise DatasetError(f"{where} has an empty class name, or none at all")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{where} gives the class name {twice[0]!r} twice")
    return tuple(names)
