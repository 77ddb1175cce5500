"""What a dataset says of itself: data.yaml (class names, paths of the parts) or a plain list of class names.

Nothing in a data.yaml is ever executed or downloaded, and its paths lead nowhere but into the dataset.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from detectiondata.errors import DatasetError

NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
_KEYS: Mapping[str, Literal["train", "val", "test"]] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SIZE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Description:
    """`file` is where it was read, relative to the root; `parts` are the paths as written."""

    root: Path
    file: str | None = None
    path: str = ""
    names: tuple[str, ...] | None = None
    parts: Mapping[Literal["train", "val", "test"], tuple[str, ...]] = field(default_factory=dict)

    def candidates(self, entry: str) -> Iterator[str]:
        """Where `entry` may lead inside the root: by YOLO's rules, then as Roboflow writes it, then from the root."""
        here = posixpath.dirname(self.file or "")
        stripped = entry
        while stripped.startswith("../"):
            stripped = stripped[3:]
        for base in (posixpath.join(here, self.path), here, ""):
            for tail in (entry, stripped):
                joined = posixpath.normpath(posixpath.join(base, tail))
                if not joined.startswith(("/", "..")):
                    yield joined

    def listed(self, list_file: str, images: frozenset[str]) -> list[str]:
        """The images a text file names, one path a line."""
        found = []
        here = posixpath.dirname(list_file)
        for line in (self.root / list_file).read_text(encoding="utf-8-sig").splitlines():
            entry = line.strip()
            for base in (here, posixpath.dirname(self.file or ""), ""):
                joined = posixpath.normpath(posixpath.join(base, entry)) if entry else ""
                if joined in images:
                    found.append(joined)
                    break
        return found


def read_descriptions(root: Path, files: Iterable[str], uri: str) -> Description:
    """The one description among `files`. Raises DatasetError for several, or one that makes no sense."""
    listed = list(files)
    yamls = []
    for name in listed:
        if PurePosixPath(name).suffix.lower() in (".yaml", ".yml"):
            document = _load(root / name, name, uri)
            if isinstance(document, dict) and ("names" in document or "train" in document):
                yamls.append((name, document))
    if len(yamls) > 1:
        found = ", ".join(name for name, _ in yamls)
        raise DatasetError(f"{uri} holds {len(yamls)} descriptions ({found}); keep the one that is right")
    if yamls:
        return _from_yaml(root, *yamls[0], uri)
    return _from_name_files(root, [name for name in listed if PurePosixPath(name).name in NAME_FILES], uri)


def _load(path: Path, name: str, uri: str) -> Any:
    if path.stat().st_size > _SIZE_LIMIT:
        return None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{uri}: {name} is not YAML: {reason}") from None


def _from_yaml(root: Path, file: str, document: dict[str, Any], uri: str) -> Description:
    names = document.get("names")
    described = None if names is None else _names(names, f"{uri}: {file}")
    count = document.get("nc")
    if described is not None and count is not None and count != len(described):
        raise DatasetError(f"{uri}: {file} says nc: {count} and gives {len(described)} names; correct one of them")
    path = document.get("path")
    parts: dict[Literal["train", "val", "test"], tuple[str, ...]] = {}
    for key, part in _KEYS.items():
        value = document.get(key)
        if value is None:
            continue
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, str) for entry in entries):
            raise DatasetError(f"{uri}: {file} has a {key} that is neither a path nor a list of paths")
        parts[part] = (*parts.get(part, ()), *entries)
    return Description(root, file, path if isinstance(path, str) else "", described, parts)


def _names(names: Any, where: str) -> tuple[str, ...]:
    if isinstance(names, dict):
        try:
            by_index = {int(index): name for index, name in names.items()}
        except (TypeError, ValueError):
            raise DatasetError(f"{where} has names whose keys are not class indices") from None
        if sorted(by_index) != list(range(len(by_index))):
            raise DatasetError(f"{where} has names for the indices {sorted(by_index)}; they must count up from 0")
        names = [by_index[index] for index in range(len(by_index))]
    if not isinstance(names, list):
        raise DatasetError(f"{where} has names that are neither a list nor a mapping")
    return _checked([str(name).strip() for name in names], where)


def _from_name_files(root: Path, files: list[str], uri: str) -> Description:
    found: dict[tuple[str, ...], str] = {}
    for name in files:
        lines = (root / name).read_text(encoding="utf-8-sig").splitlines()
        found.setdefault(_checked([line.strip() for line in lines if line.strip()], f"{uri}: {name}"), name)
    if len(found) > 1:
        raise DatasetError(f"{uri} holds class lists that differ: {', '.join(found.values())}")
    return Description(root, names=next(iter(found), None))


def _checked(names: list[str], where: str) -> tuple[str, ...]:
    if not names or not all(names):
        raise DatasetError(f"{where} has an empty class name, or none at all")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{where} gives the class name {twice[0]!r} twice")
    return tuple(names)
