"""What differs between two ModelVersions, as far as it matters to a fleet. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One row: what it is, how it was, how it would be, and a word on the difference."""

    what: str
    before: str
    after: str
    note: str = ""


def changes(before: Json | None, after: Json, wanted: Mapping[str, str]) -> list[Change]:
    """From what is stable (None: nothing is) to another version. `wanted`: group -> format that it loads."""
    old: Json = before["spec"] if before is not None else {}
    new: Json = after["spec"]
    return [
        *_files(old, new, wanted),
        *_classes(old, new),
        *_plain("image size", old.get("imageSize"), new.get("imageSize")),
        *_plain("task", old.get("task"), new.get("task")),
        *_metrics(old, new),
        *_dataset(_lineage(old), _lineage(new)),
        *_training(_lineage(old), _lineage(new)),
        *_calibration(old.get("calibration"), new.get("calibration")),
        *_threshold(old, new),
        *_plain("evaluation", _result(old), _result(new)),
    ]


def _plain(what: str, old: Any, new: Any, note: str = "") -> Iterator[Change]:
    if old != new:
        yield Change(what, _text(old), _text(new), note)


def _text(value: Any) -> str:
    return "-" if value in (None, "", [], {}) else str(value)


def _result(spec: Json) -> Any:
    return (spec.get("evaluation") or {}).get("result")


def _files(old: Json, new: Json, wanted: Mapping[str, str]) -> Iterator[Change]:
    before, after = _by_format(old), _by_format(new)
    for format in sorted(before.keys() | after.keys() | set(wanted.values())):
        groups = [group for group, needed in wanted.items() if needed == format]
        was, will = before.get(format), after.get(format)
        if was is not None and will is not None and was["sha256"] == will["sha256"]:
            continue
        if will is None:
            note = f"group {', '.join(groups)} needs it" if groups else ""
            yield Change(f"{format} file", _file(was), "missing", note)
            continue
        note = ""
        if was is not None and will["sizeBytes"] != was["sizeBytes"]:
            note = f"{will['sizeBytes'] - was['sizeBytes']:+,} bytes"
        yield Change(f"{format} file", _file(was), _file(will), note)


def _by_format(spec: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for file in (spec.get("artifact") or {}).get("files") or ():
        found.setdefault(file["format"], file)
    return found


def _file(file: Json | None) -> str:
    return "-" if file is None else f"{file['name']} sha256 {file['sha256'][:12]}"


def _classes(old: Json, new: Json) -> Iterator[Change]:
    before, after = list(old.get("classes") or ()), list(new.get("classes") or ())
    if before == after:
        return
    added, gone = [c for c in after if c not in before], [c for c in before if c not in after]
    said = [f"+{', '.join(added)}"] if added and before else []
    said += [f"-{', '.join(gone)}"] if gone else []
    if not said and before:
        said = ["same classes in another order"]
    yield Change("classes", _text(len(before) or None), str(len(after)), "; ".join(said))


def _metrics(old: Json, new: Json) -> Iterator[Change]:
    before, after = old.get("metrics") or {}, new.get("metrics") or {}
    was, will = _lineage(old).get("holdout") or {}, _lineage(new).get("holdout") or {}
    same = was.get("sha256") == will.get("sha256")  # also where nothing is known of either
    for name in sorted(before.keys() | after.keys()):
        values = before.get(name), after.get(name)
        note = _difference(*values) if same or None in values else "on other data: not to be compared"
        yield from _plain(name, *values, note)
    if old and not same:
        yield Change("holdout", dataset(was), dataset(will), "figures compare on the same one only")


def _difference(old: Any, new: Any) -> str:
    try:
        return f"{Decimal(new) - Decimal(old):+f}"
    except (InvalidOperation, TypeError):
        return ""


def _lineage(spec: Json) -> Json:
    return spec.get("lineage") or {}


def _dataset(old: Json, new: Json) -> Iterator[Change]:
    before, after = old.get("dataset") or {}, new.get("dataset") or {}
    if before.get("sha256") == after.get("sha256") and before.get("uri") == after.get("uri"):
        return
    yield Change("dataset", dataset(before), dataset(after))
    for name in ("images", "labels"):
        was, will = before.get(name), after.get(name)
        note = f"{will - was:+,}" if was is not None and will is not None else ""
        yield from _plain(f"  {name}", was, will, note)
    known = {source["sha256"]: source["uri"] for source in before.get("sources") or ()}
    will_be = {source["sha256"]: source["uri"] for source in after.get("sources") or ()}
    for sha256 in [*(s for s in known if s not in will_be), *(s for s in will_be if s not in known)]:
        yield Change("  source", _text(known.get(sha256)), _text(will_be.get(sha256)), f"sha256 {sha256[:12]}")


def dataset(data: Json) -> str:
    """A lineage's dataset in a few words: `parts version 12`, or its address; and its digest."""
    name = data.get("uri") or ""
    if data.get("dataset"):
        name = f"{data['dataset']} version {data.get('version')}"
    elif not name and data.get("sources"):
        name = f"{len(data['sources'])} sources"
    digest = f" sha256 {data['sha256'][:12]}" if data.get("sha256") else ""
    return f"{name}{digest}".strip() or "-"


def _training(old: Json, new: Json) -> Iterator[Change]:
    yield from _plain("mode", old.get("mode"), new.get("mode"))
    yield from _plain("parent", old.get("parent"), new.get("parent"))
    yield from _plain("TrainingJob", old.get("trainingJob"), new.get("trainingJob"))
    before, after = old.get("software") or {}, new.get("software") or {}
    for name in sorted(before.keys() & after.keys()):
        yield from _plain(name, before[name], after[name])


def _calibration(old: Json | None, new: Json | None) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        note = "" if new is not None else "a gate compares raw confidence"
        yield Change("calibration", "-" if old is None else "yes", "-" if new is None else "yes", note)
        return
    if old["edges"] != new["edges"]:
        yield Change("calibration edges", " ".join(old["edges"]), " ".join(new["edges"]))
        return
    for low, high, was, will in zip(old["edges"], old["edges"][1:], old["precision"], new["precision"], strict=False):
        yield from _plain(f"precision at {low}-{high}", was, will, _difference(was, will))


def _threshold(old: Json, new: Json) -> Iterator[Change]:
    before, after = ((spec.get("threshold") or {}).get("best") or {} for spec in (old, new))
    yield from _plain(
        "best confidence", before.get("confidence"), after.get("confidence"), "advice: nothing is set by it"
    )
