"""A Rollout as a tree, and as one line. Pure: from a view, at a moment."""

from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text
from rich.tree import Tree

from kubectl_modelfleet import wording
from kubectl_modelfleet.pods import NodeState, NodeView
from kubectl_modelfleet.view import GroupView, RolloutView, Standing
from kubectl_modelfleet.wording import Signs, age, counted, signed, since
from modelfleet.api.quantities import format_decimal
from modelfleet.api.replay import ReplayStatus
from modelfleet.api.rolloutstatus import DriftStatus, GateStatus

NODES_SHOWN = 8
"""So many nodes of a group are shown where nothing else is asked for, those in trouble first."""


def tree(shown: RolloutView, now: datetime, signs: Signs, most: int = NODES_SHOWN) -> RenderableType:
    """The Rollout, its groups, their nodes; beneath the group that is judged the gate; at the end the drift."""
    sign, colour = _overall(shown, signs)
    head = _line((f"{sign} ", colour), (shown.name, "bold"), f"  {_phase(shown)}", f"  {_versions(shown, signs)}")
    root = Tree(Group(head, Text(shown.message, style="dim")) if shown.message else head, guide_style="dim")
    gate = shown.gate()
    for group in shown.groups:
        branch = root.add(_group(group, shown, now, signs))
        if group.status.reason:
            branch.add(Text(group.status.reason, style="yellow"))
        if gate is not None and gate.group == group.status.name:
            branch.add(_gate(gate, shown, now, signs))
        elif group.status.passed:
            branch.add(Text(f"gate: {group.status.passed}", style="dim"))
        for node in group.nodes[:most]:
            branch.add(_node(node, now, signs))
        if more := group.nodes[most:]:
            branch.add(Text(f"and {counted(len(more), 'more node')}: {_summed(more)}", style="dim"))
    if shown.status.replay is not None:
        root.add(_replay(shown.status.replay, shown, now, signs))
    if (drift := shown.drift()) is not None:
        root.add(_drift(drift, now, signs))
    if failed := tuple(dict.fromkeys(map(shown.called, shown.failures))):
        root.add(_line((f"{signs.bad} ", "red"), f"quarantined: {', '.join(failed)}"))
    return _Ascii(root) if signs is wording.ASCII else root


class _Ascii:
    """A tree whose guides are drawn in ASCII, whatever the console can do."""

    def __init__(self, root: Tree) -> None:
        self._root = root

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ascii_only = options.copy()
        ascii_only.encoding = "ascii"
        yield from console.render(self._root, ascii_only)


def line(shown: RolloutView, signs: Signs) -> str:
    """The same in one line without times: two that are equal show nothing new."""
    parts = [_phase(shown), _versions(shown, signs)]
    parts += [_counts(group, shown) for group in shown.groups]
    gate = shown.gate()
    if gate is not None and gate.verdict is not None and shown.standing is Standing.RECONCILING:
        parts.append(f"gate of {gate.group}: {_figures(gate, shown)}")
    if (drift := shown.drift()) is not None and drift.state:
        parts.append(f"drift {drift.state}")
    message = " ".join(shown.message.split())  # of a container runtime it may have several lines
    return f"{shown.name} {'; '.join(parts)}" + (f"; {message}" if message else "")


def _overall(shown: RolloutView, signs: Signs) -> tuple[str, str]:
    if shown.standing is Standing.RECONCILING:
        return wording.of_phase(shown.status.phase, signs)
    return wording.of_standing(shown.standing, signs)


def _phase(shown: RolloutView) -> str:
    phase = shown.status.phase or "Pending"
    if shown.standing in (Standing.PENDING, Standing.DELETING):
        phase = shown.standing.value
    return f"{phase} (paused)" if shown.paused and phase != "Paused" else phase


def _versions(shown: RolloutView, signs: Signs) -> str:
    status = shown.status
    follows = f"{shown.model} {shown.pinned}" if shown.pinned else f"{shown.model}, tag {shown.tag}"
    if shown.moving is None:
        return f"{shown.stable_called} is stable ({follows})"
    where = f" in group {status.current_group}" if status.current_group else ""
    if shown.moves_stable:
        return f"{shown.moving_called}{where}, another template ({follows})"
    return f"{shown.stable_called} {signs.arrow} {shown.moving_called}{where} ({follows})"


def _group(group: GroupView, shown: RolloutView, now: datetime, signs: Signs) -> Text:
    status = group.status
    sign, colour = wording.of_phase(status.phase, signs)
    manual = "  approval Manual" if group.approval == "Manual" else ""
    old = f"  {age(status.started_at, now)}" if status.started_at is not None else ""
    return _line(
        (f"{sign} ", colour),
        (status.name, "bold" if group.current else ""),
        f"  {status.phase or 'Pending'}  {shown.group_called(status)}  {_ready(group)}",
        (old, "dim"),
        (manual, "cyan"),
    )


def _ready(group: GroupView) -> str:
    status = group.status
    text = f"{status.ready}/{status.nodes} ready"
    if status.updated < status.nodes:
        text += f", {status.updated} updated"
    return text + (f", {status.unreachable} unreachable" if status.unreachable else "")


def _counts(group: GroupView, shown: RolloutView) -> str:
    status = group.status
    return f"{status.name} {status.phase or 'Pending'} {shown.group_called(status)} {_ready(group)}"


def _node(node: NodeView, now: datetime, signs: Signs) -> Text:
    sign, colour = wording.of_node(node.state, signs)
    state = node.note if node.state is NodeState.PROBLEM else node.state.value
    return _line((f"{sign} ", colour), f"{node.name}  {node.version}  {state}", (f"  {age(node.since, now)}", "dim"))


def _summed(nodes: tuple[NodeView, ...]) -> str:
    """`188 Ready on v3, 2 Starting on v4`."""
    counts: dict[str, int] = {}
    for node in nodes:
        key = f"{node.state.value} on {node.version}"
        counts[key] = counts.get(key, 0) + 1
    return ", ".join(f"{number:,} {what}" for what, number in counts.items())


def _gate(gate: GateStatus, shown: RolloutView, now: datetime, signs: Signs) -> RenderableType:
    sign, colour = wording.of_verdict(gate.verdict, signs)
    when = f" {since(gate.since, now)}" if gate.since is not None else ""
    head = _line("gate: ", (f"{sign} {gate.verdict or 'not looked yet'}", colour), when)
    figures = _measured(gate, shown)
    lines: list[RenderableType] = [head]
    if figures:
        lines.append(Text(figures))
    if gate.message and gate.message != shown.message:
        lines.append(Text(gate.message, style="dim"))
    return Group(*lines)


def _figures(gate: GateStatus, shown: RolloutView) -> str:
    measured = _measured(gate, shown)
    return f"{gate.verdict}, {measured}" if measured else str(gate.verdict)


def _measured(gate: GateStatus, shown: RolloutView) -> str:
    """Estimate, interval and margin; then what they rest on."""
    parts = []
    if gate.estimate is not None:
        interval = f" [{signed(gate.interval[0])}, {signed(gate.interval[1])}]" if gate.interval is not None else ""
        parts.append(f"precision {signed(gate.estimate)}{interval}")
    if shown.margin is not None:
        parts.append(f"margin {format_decimal(shown.margin)}")
    if gate.looks:
        parts.append(f"look {gate.looks}")
    if gate.canary_nodes or gate.control_nodes:
        parts.append(f"{gate.canary_nodes:,} canary and {counted(gate.control_nodes, 'control node')}")
    if gate.detections:
        parts.append(counted(gate.detections, "detection"))
    if gate.method:
        parts.append(gate.method)
    return ", ".join(parts)


def _replay(replay: ReplayStatus, shown: RolloutView, now: datetime, signs: Signs) -> RenderableType:
    sign, colour = wording.of_replay(replay.result, signs)
    when = f" {since(replay.finished_at, now)}" if replay.finished_at is not None else ""
    of = f"{replay.candidate} beside {replay.stable}" if replay.stable is not None else replay.candidate
    head = _line("replay: ", (f"{sign} {replay.result or replay.reason}", colour), f" {of}{when}")
    return head if replay.message in shown.message else Group(head, Text(replay.message, style="dim"))


def _drift(drift: DriftStatus, now: datetime, signs: Signs) -> RenderableType:
    bad = drift.state == "Drifting"
    sign, colour = (signs.warning, "yellow") if bad or drift.state == "Suspected" else (signs.good, "green")
    if drift.state in (None, "Learning", "Paused"):
        sign, colour = signs.waiting, "cyan"
    when = f" {since(drift.since, now)}" if drift.since is not None else ""
    parts = [f"{drift.nodes_down:,} of {counted(drift.nodes, 'node')} drifted"] if drift.nodes else []
    for signal in drift.signals:
        if signal.change is not None and signal.name.startswith("reviewed-"):
            parts.append(f"{signal.name} {signal.change} (at least {signal.threshold})")
        elif signal.change is not None:
            asked = f" (drift: {signed(signal.threshold)})" if signal.threshold is not None else ""
            parts.append(f"{signal.name} {signed(signal.change)}{asked}")
    head = _line("drift: ", (f"{sign} {drift.state or 'not looked yet'}", colour), when)
    lines: list[RenderableType] = [head]
    if parts:
        lines.append(Text(", ".join(parts)))
    if drift.message:
        lines.append(Text(drift.message, style="dim"))
    if drift.retrain is not None and drift.retrain.message:
        lines.append(Text(f"retraining: {drift.retrain.message}", style="dim"))
    return Group(*lines)


def _line(*parts: str | tuple[str, str]) -> Text:
    """One line that is cut where the terminal ends."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
