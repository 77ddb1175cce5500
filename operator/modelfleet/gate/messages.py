"""The wording of verdicts: for somebody who runs a production line, not for a statistician."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import expm1, isfinite

from modelfleet.gate.checks import Outcome
from modelfleet.gate.inference import Inference
from modelfleet.gate.judgement import SetAside
from modelfleet.gate.problem import Problem
from modelfleet.gate.threshold import Difference
from modelfleet.measurement.backends import Backends
from modelfleet.measurement.endpoints import RATE_MARGIN
from modelfleet.wording import clip, counted

LIMIT = 1000


def sentence(*parts: str) -> str:
    """The non-empty parts as one message, clipped to what a status may hold."""
    return clip(" ".join(part.strip() for part in parts if part.strip()), LIMIT)


def span(time: timedelta) -> str:
    """`90s`, `5m`, `1h30m`."""
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


def difference(found: Difference) -> str:
    """Both endpoints of one look of the Threshold method, canary against control, with their margins."""
    if not isfinite(found.rate):
        return "Canary nodes detected nothing, where control nodes did."
    past = "less what the nodes differed by before, " if found.adjusted else ""
    return (
        f"Expected precision {found.canary_precision:.3f} against {found.control_precision:.3f} "
        f"({past}{found.precision:+.3f}, margin -{found.margin:.3f}); "
        f"expected true detections per frame {expm1(found.rate):+.1%} (margin {expm1(-RATE_MARGIN):.0%})."
    )


def explain(found: Inference | Problem) -> str:
    """A permutation test in words: both endpoints with intervals and margins, or what is missing for it."""
    if isinstance(found, Problem):
        return f"{found.message[:1].upper()}{found.message[1:]}."
    (p_low, p_high), (r_low, r_high) = found.precision.interval, found.rate.interval
    return (
        f"Compared with the control nodes, relative to each node's own baseline, expected precision changed by "
        f"{found.precision.estimate:+.3f} ({1 - 2 * found.alpha:.0%} interval {p_low:+.3f} to {p_high:+.3f}, "
        f"margin -{found.precision.margin:.3f}), expected true detections per frame by "
        f"{expm1(found.rate.estimate):+.1%} ({expm1(r_low):+.1%} to {expm1(r_high):+.1%}, "
        f"margin {expm1(-found.rate.margin):.0%})."
    )


def basis(canaries: int, detections: int, controls: int, control_detections: int | None = None) -> str:
    """How much was looked at."""
    text = f"{counted(canaries, 'canary node')} with {counted(detections, 'detection')}"
    if controls:
        text += f", {counted(controls, 'control node')}"
        text += "" if control_detections is None else f" with {counted(control_detections, 'detection')}"
    return f"Measured on {text}."


def asides(aside: Iterable[SetAside]) -> str:
    """The nodes set aside, by side and reason; empty where none are."""
    parts = [
        f"{counted(each.nodes, f'{each.side} node')}: {each.reason} "
        f"({', '.join(each.examples)}{', …' if each.nodes > len(each.examples) else ''})"
        for each in aside
    ]
    return f"Set aside: {'; '.join(parts)}." if parts else ""


def labels(*, unnamed: bool, renamed: bool) -> str:
    """What is wrong with the `node` label, if anything."""
    if unnamed:
        return "There are series without a `node` label: the application or the scrape must set it."
    if renamed:
        return "The scrape renamed `node` to `exported_node`, which was used; set honorLabels on the scrape."
    return ""


def backends(found: Backends | None) -> str:
    """That the sides don't run the model alike, if so: the verdict is about what runs, and what runs is not the model
    alone."""
    if found is None or found.alike:
        return ""
    sides = (("canary", found.canary), ("control", found.control))
    both = "; ".join(f"{side}: {_running(its)}" for side, its in sides)
    return f"The nodes don't all run the model by the same backend ({both}), which may be a part of the difference."


def _running(nodes: Mapping[str, int]) -> str:
    if not nodes:
        return "not known"
    return ", ".join(f"{name or 'not known'} on {counted(number, 'node')}" for name, number in sorted(nodes.items()))


def check_failure(outcome: Outcome) -> str:
    """How a check failed."""
    return (
        f"Check {outcome.check.name} was {_bounds(outcome)} at {counted(outcome.failures, 'look')} of {outcome.looks}"
        + (f" ({outcome.check.failure_limit} allowed)." if outcome.check.failure_limit else ".")
    )


def _bounds(outcome: Outcome) -> str:
    check, worst = outcome.check, outcome.worst
    if worst is None:
        return "outside its bounds"
    if check.maximum is not None and worst > check.maximum:
        return f"above {check.maximum:g} (worst {worst:g})"
    return f"below {check.minimum:g} (worst {worst:g})"
