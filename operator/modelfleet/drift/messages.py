"""What a judgement says in words: for somebody at the line, who knows the cameras and not the statistics. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import expm1

import numpy as np

from modelfleet.api.quantities import format_duration
from modelfleet.drift.hours import PASSED, Hours
from modelfleet.drift.judgement import Judgement, State
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import LEAST_WINDOWS, Figure, Signal
from modelfleet.times import to_minute
from modelfleet.wording import LISTED, counted, listed

SAME = 0.20
"""A change of what is found of less than a fifth is called the same amount: traffic differs from day to day."""

EACH_NODE = "the dashboard Drift shows each node beside its own past"
"""Where all nodes are, of which a message names but some."""

_NAMES = {
    Figure.CONFIDENCE: "expected precision",
    Figure.LOW: "the share of detections with low confidence",
    Figure.RATE: "expected true detections per frame",
    Figure.EMPTY: "the share of frames without a detection",
}


@dataclass(frozen=True)
class Facts:
    """What a message is made from, besides the judgement.

    worst      the signal that tells most
    depth      the change of that signal on the median of the nodes that have drifted; None: none has
    held       for how long the rule has held without a break
    found      relative change of what is found per frame, of the nodes that have drifted; None: not known yet
    lacking    what is asked for in the spec and is not there, in words
    """

    plan: Plan
    judgement: Judgement
    worst: Signal
    depth: float | None
    held: timedelta
    found: float | None
    lacking: str = ""


def nothing_seen(version: str, set_aside: int) -> str:
    """No hour of any node is known."""
    if set_aside:
        return (
            f"{counted(set_aside, 'node')} with {version} have figures, but none that can be used: scraped less than "
            "80% of the time, or counts that do not add up."
        )
    return f"There are no figures of {version} yet. Nodes must run it for a whole part of the window first."


def learning(plan: Plan, hours: Hours, begun: datetime, until: datetime) -> str:
    """There is no baseline yet. `begun`: from when on the nodes have figures."""
    nodes = counted(len(hours.nodes), "node")
    said = (
        f"Learning how {plan.version} behaves on {nodes}, until {to_minute(until)} at least. Drift can't be seen "
        "before."
    )
    if begun - hours.start >= plan.policy.window:
        kept = format_duration(plan.policy.parts * plan.policy.part)
        said += (
            f" It has been stable since {to_minute(plan.begins)}, and Prometheus has no figures of it before "
            f"{to_minute(begun)}: it did not scrape the nodes, or does not keep figures for {kept}."
        )
    return said + lacking(plan, hours)


def too_little(plan: Plan, hours: Hours, least: int) -> str:
    """There should be a baseline by now, and is none."""
    nodes = counted(len(hours.nodes), "node")
    return (
        f"Learning: {nodes} with figures of {plan.version}, but too few with at least {least} "
        f"detections in enough parts of {LEAST_WINDOWS} windows. Check that they are scraped without gaps, or choose a "
        "longer drift.window."
    ) + lacking(plan, hours)


def no_figures(plan: Plan, since: datetime) -> str:
    """There were figures, and now there are none."""
    return (
        f"Paused: too few nodes have had figures of {plan.version} since {to_minute(since)}. Check that the nodes run "
        "and that Prometheus scrapes them."
    )


def paused(why: str) -> str:
    """Nothing is judged for another reason."""
    return f"Paused: {why}"


def of(facts: Facts) -> str:
    """The message of a judgement with figures."""
    said = {
        State.STEADY: _steady,
        State.SUSPECTED: _suspected,
        State.DRIFTING: _drifting,
        State.MORE_CONFIDENT: _more_confident,
        State.FEWER_OBJECTS: _fewer_objects,
    }[facts.judgement.state](facts)
    raw = "" if facts.plan.calibrated else f" {facts.plan.version} has no calibration: raw confidence was used."
    return said + _basis(facts) + raw + facts.lacking


def _steady(facts: Facts) -> str:
    alone = len(facts.judgement.lone)
    said = (
        f"{facts.plan.version} behaves as in its baseline: {_of_median(facts)} on the median of "
        f"{counted(facts.judgement.nodes, 'node')} (drift: {_threshold(facts)})."
    )
    if alone:
        names, has = listed(facts.judgement.lone), "has" if alone == 1 else "have"
        in_all = f" ({alone} in all; {EACH_NODE})" if alone > LISTED else ""
        said += f" {names} {has} drifted alone{in_all}: was the camera moved, or is its lens dirty?"
    return said


def _suspected(facts: Facts) -> str:
    sustain = format_duration(facts.plan.policy.sustain)
    return (
        f"{_sentence(facts, 'may be drifting')} It must last for {sustain} to be called drift; so far it has for "
        f"{format_duration(facts.held)}."
    )


def _drifting(facts: Facts) -> str:
    return f"{_sentence(facts, 'has drifted')} {_advice(facts)}"


def _more_confident(facts: Facts) -> str:
    return (
        f"{facts.plan.version} is surer of what it finds than in its baseline ({_of_median(facts)} on the median "
        "node): the scene has become easier, or it misses the hard objects. Review some frames; nothing is retrained "
        "for this unless low-confidence-rate is listed in drift.signals with minDrop."
    )


def _fewer_objects(facts: Facts) -> str:
    return (
        f"{facts.plan.version} finds less than in its baseline ({_of_median(facts)} on the median node), and is as "
        "sure as before: less traffic, or objects that it misses. Compare with a count from elsewhere, or review some "
        "frames; nothing is retrained for this alone."
    )


def _sentence(facts: Facts, what: str) -> str:
    judgement = facts.judgement
    down = f"{judgement.nodes_down:,} of {counted(judgement.nodes, 'node')}"
    where = f" ({listed(judgement.examples, total=judgement.nodes_down)})" if judgement.examples else ""
    strata = ", ".join(f"{each.name}: {each.nodes_down} of {each.nodes}" for each in judgement.strata)
    return (
        f"{facts.plan.version} {what} on {down}{where}: {_of_these(facts)} on the median of these (drift: "
        f"{_threshold(facts)})." + (f" By {facts.plan.policy.stratify_by}: {strata}." if strata else "")
    )


def _advice(facts: Facts) -> str:
    if facts.worst.figure is Figure.RATE:
        return "It finds fewer of the objects that passed: review frames, label what was missed, and retrain."
    if facts.worst.figure is Figure.LOW and facts.worst.change < 0:
        return "It may miss the hard objects: review frames, label what was missed, and retrain."
    if facts.found is None:
        return "Look at frames of these nodes, label them, and retrain."
    if facts.found <= -SAME:
        return (
            f"It also detects {-facts.found:.0%} less per frame than a week before: it misses objects, or there are "
            "fewer. Compare with a count from elsewhere; label frames of these nodes, and retrain."
        )
    if facts.found >= SAME:
        return (
            f"It detects {facts.found:.0%} more per frame than a week before: more traffic, or things that it takes "
            "for objects. Look at frames of these nodes, label them, and retrain."
        )
    return (
        "It detects about as much as before: the scene has changed (light, background, dirt, a new kind of object). "
        "Label frames of these nodes, and retrain."
    )


def _of_median(facts: Facts) -> str:
    found = next(each for each in facts.judgement.signals if each.name == facts.worst.figure.value)
    if found.change is None:
        return _NAMES[facts.worst.figure]
    return f"{_NAMES[facts.worst.figure]} {_moved(facts.worst.figure, found.change)}"


def _of_these(facts: Facts) -> str:
    figure = facts.worst.figure
    if facts.depth is None:
        return _NAMES[figure]
    return f"{_NAMES[figure]} {_moved(figure, expm1(facts.depth) if figure is Figure.RATE else facts.depth)}"


def _threshold(facts: Facts) -> str:
    found = next(each for each in facts.judgement.signals if each.name == facts.worst.figure.value)
    threshold = found.threshold if found.threshold is not None else facts.worst.change
    return f"a {'fall' if threshold < 0 else 'rise'} of {_size(facts.worst.figure, threshold)}"


def _moved(figure: Figure, value: float) -> str:
    size = _size(figure, value)
    return f"{'fell' if value < 0 else 'rose'} by {size}" if size.strip("0.%") else "is the same"


def _size(figure: Figure, value: float) -> str:
    return f"{abs(value):.0%}" if figure is Figure.RATE else f"{abs(value):.3f}"


def _basis(facts: Facts) -> str:
    begins = facts.judgement.baseline_from
    return f" Compared with each node itself since {to_minute(begins)}." if begins is not None else ""


def lacking(plan: Plan, hours: Hours) -> str:
    """What can't be used, and what the spec asks for and nothing has: a name that is misspelt shows here."""
    aside, key = hours.set_aside, plan.policy.stratify_by
    said = f" {counted(aside, 'node')} with figures that can't be used." if aside else ""
    if key is not None and not plan.strata:
        said += f" No node has the label {key} (drift.stratifyBy), so that the fleet is judged as one."
    if plan.policy.exposure is not None and not np.isfinite(hours.counts[:, :, PASSED]).any():
        said += (
            " drift.exposure.query has given no count for any of these nodes, so that detection-rate can't be judged: "
            "it must have one value for each of them, under the label node."
        )
    return said
