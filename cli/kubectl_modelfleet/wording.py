"""Times, ages, numbers and signs as the CLI shows them. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from kubectl_modelfleet.pods import NodeState
from kubectl_modelfleet.view import Standing
from modelfleet.times import to_minute


@dataclass(frozen=True)
class Signs:
    """One sign for each state; `arrow` stands between an old and a new value."""

    good: str
    bad: str
    busy: str
    warning: str
    waiting: str
    paused: str
    arrow: str


UNICODE = Signs("✔", "✖", "◌", "⚠", "◷", "‖", "→")
ASCII = Signs("[ok]", "[x]", "[..]", "[!]", "[wait]", "[||]", "->")


def signs(encoding: str) -> Signs:
    """Signs that can be written in this encoding."""
    try:
        "".join(vars(UNICODE).values()).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


_WAITING = {"WaitingForApproval", "WaitingForWindow"}
_WARNING = {"Holding", "Degraded", "RollingBack", "Empty"}
_BAD = {"RolledBack", "Failed", "Stalled"}


def of_replay(result: str | None, said: Signs) -> tuple[str, str]:
    """Sign and colour of how a replay ended; None: it goes on."""
    match result:
        case "Replayed":
            return said.good, "green"
        case "Failed":
            return said.warning, "yellow"
        case None:
            return said.busy, "blue"
    return said.waiting, "cyan"


def of_phase(phase: str | None, said: Signs) -> tuple[str, str]:
    """Sign and colour of the phase of a Rollout or a group."""
    if phase == "Ready":
        return said.good, "green"
    if phase in _BAD:
        return said.bad, "red"
    if phase in _WARNING:
        return said.warning, "yellow"
    if phase in _WAITING:
        return said.waiting, "cyan"
    return (said.paused, "cyan") if phase == "Paused" else (said.busy, "blue")


def of_node(state: NodeState, said: Signs) -> tuple[str, str]:
    """Sign and colour of a node."""
    match state:
        case NodeState.READY:
            return said.good, "green"
        case NodeState.PROBLEM:
            return said.bad, "red"
        case _:
            return said.busy, "blue"


def of_verdict(verdict: str | None, said: Signs) -> tuple[str, str]:
    """Sign and colour of a gate's verdict."""
    match verdict:
        case "Pass":
            return said.good, "green"
        case "Fail":
            return said.bad, "red"
        case "NoData" | "ProviderDown":
            return said.warning, "yellow"
        case _:
            return said.busy, "blue"


def of_standing(standing: Standing, said: Signs) -> tuple[str, str]:
    """Sign and colour of a Rollout as a whole."""
    match standing:
        case Standing.READY:
            return said.good, "green"
        case Standing.STALLED | Standing.DEGRADED:
            return said.bad, "red"
        case _:
            return said.busy, "blue"


def age(since: datetime, now: datetime) -> str:
    """`40s`, `5m`, `3h20m`, `12d`: as short as kubectl has it."""
    seconds = int(max(now - since, timedelta(0)).total_seconds())
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    return f"{hours // 24}d"


def since(moment: datetime, now: datetime) -> str:
    """`since 2026-11-29 12:04 UTC (3m)`."""
    return f"since {to_minute(moment)} ({age(moment, now)})"


def signed(value: Decimal) -> str:
    """`+0.012`, `-0.031`, `0`: at most four decimals."""
    rounded = round(value, 4).normalize()
    return f"{rounded:+f}" if rounded else "0"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 node`, `3 nodes`, `1,234 detections`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
