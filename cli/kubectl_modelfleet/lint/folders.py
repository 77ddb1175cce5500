"""Which files of a folder are manifests. What is none by itself is left out, and told: templates, patches."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubectl_modelfleet.lint import nodes
from kubectl_modelfleet.lint.problem import Problem
from kubectl_modelfleet.lint.reading import Reading

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_TEMPLATES: Final = "templates of a Helm chart: helm template NAME CHART | kubectl modelfleet lint -"
_PATCH: Final = "patch of a kustomization, no whole object: kubectl kustomize FOLDER | kubectl modelfleet lint -"


@dataclass(frozen=True)
class LeftOut:
    """What is not looked at, and how it is looked at."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: not checked: {self.why}"


def found(paths: tuple[str, ...]) -> Iterator[str | Problem | LeftOut]:
    """The files that are named, whatever they are, and the manifests in the folders that are; "-" is standard input."""
    for path in paths:
        if path == "-" or not Path(path).is_dir():
            yield path
        else:
            yield from _in(path)


def _in(top: str) -> Iterator[str | Problem | LeftOut]:
    whole = Path(top).resolve()
    if any(_is_templates(each) for each in (whole, *whole.parents)):
        yield LeftOut(top, _TEMPLATES)
        return
    unread: list[OSError] = []
    files: list[Path] = []
    patches: set[Path] = set()
    for folder, below, names in os.walk(top, onerror=unread.append):
        below.sort()
        here = Path(folder)
        if "templates" in below and _is_templates(here / "templates"):
            below.remove("templates")
            yield LeftOut(str(here / "templates"), _TEMPLATES)
        files += [here / name for name in sorted(names) if Path(name).suffix in _SUFFIXES]
        for name in set(names).intersection(_KUSTOMIZATIONS):
            patches.update((here / patch).resolve() for patch in _patches(here / name))
    for file in files:
        yield LeftOut(str(file), _PATCH) if file.resolve() in patches else str(file)
    yield from (Problem(str(error.filename), "", "", f"can't be read: {error.strerror}") for error in unread)


def _is_templates(folder: Path) -> bool:
    return folder.name == "templates" and (folder.parent / "Chart.yaml").is_file()


def _patches(kustomization: Path) -> Iterator[str]:
    """The files that it names as patches. One that can't be read names none: it is a problem of its own later."""
    try:
        text = kustomization.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return
    for root in nodes.roots(text):
        written = Reading(root.before).value(root.node, ()) if isinstance(root, nodes.Root) else None
        if isinstance(written, dict):
            yield from (patch for patch in _named(written) if patch and patch.isprintable())


def _named(written: Mapping[str, Any]) -> Iterator[str]:
    for field in ("patches", "patchesJson6902", "patchesStrategicMerge"):
        entries = written.get(field)
        for each in entries if isinstance(entries, list) else ():
            path = each.get("path") if isinstance(each, dict) else each
            if isinstance(path, str):
                yield path
