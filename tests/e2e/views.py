"""What the demo shows of the cluster: tables made of the objects' own status, nothing computed beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from e2e.story import Took, duration

Object = Mapping[str, Any]


def condition(obj: Object, kind: str) -> Mapping[str, Any]:
    """The condition of that type, or an empty mapping."""
    found = (c for c in obj.get("status", {}).get("conditions", ()) if c["type"] == kind)
    return next(found, {})


def training(job: Object) -> tuple[RenderableType, str]:
    """A TrainingJob as (picture, line)."""
    status = job.get("status", {})
    progress = status.get("progress", {})
    phase = status.get("phase", "Pending")
    epoch = f"epoch {progress['epoch']}/{progress['epochs']}" if progress.get("epoch") else ""
    map50 = progress.get("metrics", {}).get("map50")
    figures = ", ".join(
        part for part in (epoch, f"mAP50 {map50}" if map50 else "", _left(progress.get("remaining"))) if part
    )
    message = condition(job, "Ready").get("message", "")
    table = Table("TrainingJob", "phase", "progress", "says")
    table.add_row(job["metadata"]["name"], phase, figures, message)
    return table, " · ".join(part for part in (job["metadata"]["name"], phase, figures or message) if part)


def fleet(rollout: Object, pods: Iterable[Object]) -> tuple[RenderableType, str]:
    """A Rollout and its pods as (picture, line): nodes x version, and the gate's figures."""
    status = rollout.get("status", {})
    nodes = Table("node", "group", "version", "pod")
    cells = []
    for pod in sorted(pods, key=lambda p: str(p["spec"].get("nodeName"))):
        if pod["metadata"].get("deletionTimestamp"):
            continue
        labels = pod["metadata"]["labels"]
        version = labels.get("modelfleet.dev/version", "?")
        ready = condition(pod, "Ready").get("status") == "True"
        node = pod["spec"].get("nodeName", "unscheduled")
        state = Text("ready", style="green") if ready else Text(pod["status"].get("phase", "?"), style="yellow")
        nodes.add_row(node, labels.get("modelfleet.dev/group", "?"), version, state)
        cells.append(f"{node}={version}{'' if ready else '…'}")
    gate = status.get("gate") or {}
    figures = Table("gate", "verdict", "looks", "canary nodes", "control nodes", "detections", "estimate", "interval")
    figures.add_row(*(_cell(gate.get(key)) for key in _GATE_FIELDS))
    message = condition(rollout, "Ready").get("message", "")
    head = Text(f"Rollout {rollout['metadata']['name']}: {status.get('phase', 'Pending')}  ", style="bold")
    picture = Group(head + Text(message, style="dim"), nodes, figures, Text(_cell(gate.get("message")), style="dim"))
    verdict = f"gate {gate.get('group')}: {gate.get('verdict', 'not judged')}" if gate.get("group") else ""
    return picture, " · ".join(p for p in (status.get("phase", "Pending"), " ".join(cells), verdict) if p)


def drift(status: Object) -> tuple[RenderableType, str]:
    """A Rollout's status.drift as (picture, line)."""
    table = Table("drift", "version", "nodes", "down", "signal", "change", "threshold")
    signals = status.get("signals") or [{}]
    for number, signal in enumerate(signals):
        head = (
            [_cell(status.get(key)) for key in ("state", "version", "nodes", "nodesDown")] if not number else [""] * 4
        )
        table.add_row(*head, *(_cell(signal.get(key)) for key in ("name", "change", "threshold")))
    changes = " ".join(f"{signal['name']} {signal.get('change', '?')}" for signal in signals if signal)
    message = status.get("message", "")
    return Group(table, Text(message, style="dim")), f"{status.get('state', 'not watched')} · {changes or message}"


_GATE_FIELDS = ("group", "verdict", "looks", "canaryNodes", "controlNodes", "detections", "estimate", "interval")


def timings(took: Sequence[Took]) -> Table:
    """The time of every step, and the sum."""
    table = Table("step", "time", "", title="How long it took", title_justify="left")
    for step in took:
        table.add_row(step.title, duration(step.seconds), "" if step.happened else "[red]did not happen[/]")
    table.add_section()
    table.add_row("all", duration(sum(step.seconds for step in took)), "")
    return table


def versions(model_versions: Iterable[Object], rollout: Object | None) -> Table:
    """Each version's validation metrics beside what production said of it."""
    status = (rollout or {}).get("status", {})
    history = {entry["version"]: entry for entry in reversed(status.get("history", ()))}
    table = Table(
        "version", "mode", "mAP50", "mAP50-95", "recall", "production verdict", "why",
        title="Validation beside production", title_justify="left",
    )  # fmt: skip
    for item in sorted(model_versions, key=lambda v: v["metadata"]["name"]):
        spec = item["spec"]
        metrics = spec.get("metrics", {})
        entry = history.get(spec["version"], {})
        table.add_row(
            spec["version"], spec.get("lineage", {}).get("mode", ""), metrics.get("map50", ""),
            metrics.get("map50-95", ""), metrics.get("recall", ""), entry.get("result", "not rolled out"),
            entry.get("message", ""),
        )  # fmt: skip
    return table


def _left(remaining: str | None) -> str:
    return f"{remaining} left" if remaining else ""


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return " … ".join(str(part) for part in value)
    return str(value)
