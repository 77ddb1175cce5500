"""What a look at a fleet says about drift."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from modelfleet.drift.anchor import Anchor

BY_FIGURES = "figures"


class State(StrEnum):
    """Where the watch stands."""

    LEARNING = "Learning"
    STEADY = "Steady"
    SUSPECTED = "Suspected"
    DRIFTING = "Drifting"
    MORE_CONFIDENT = "MoreConfident"
    FEWER_OBJECTS = "FewerObjects"
    PAUSED = "Paused"


@dataclass(frozen=True)
class SignalChange:
    """One figure of the median node: its change, and from which change on a node has drifted; None: not known. Of the
    detection rate both are relative."""

    name: str
    change: float | None
    threshold: float | None


@dataclass(frozen=True)
class Stratum:
    """A part of the fleet in which most nodes have drifted."""

    name: str
    nodes: int
    nodes_down: int


@dataclass(frozen=True)
class Before:
    """What is known from earlier looks at the same revision.

    declared        drift was by the figures of the nodes, and was not taken back
    reviewed        by which figures of reviewed frames it was, and was not taken back
    declared_since  since when drift has been declared without a break, by whichever; None: it is not
    """

    declared: bool = False
    state: str | None = None
    since: datetime | None = None
    reviewed: tuple[str, ...] = ()
    declared_since: datetime | None = None


@dataclass(frozen=True, eq=False)
class Judgement:
    """The judgement of one look.

    since        when the state was reached, as far as the figures tell
    older        drift may have been there before that, and nobody knows: the figures begin with it
    declared     drift is: so it is while the watch is paused, too
    by           where reviewed frames are watched: what declares it, BY_FIGURES or names of reviewed figures
    nodes        with figures and a baseline; `nodes_down` of them have drifted
    examples     of those that have, the worst first
    lone         nodes that have, on their own, for as long as makes a state
    looked_at    the end of the last hour that was looked at; None: there is none
    next_look    when to look again
    anchor       what is to be kept of the baseline from now on
    """

    state: State
    message: str
    since: datetime | None = None
    older: bool = False
    declared: bool = False
    by: tuple[str, ...] = ()
    learning_until: datetime | None = None
    baseline_from: datetime | None = None
    nodes: int = 0
    nodes_down: int = 0
    signals: tuple[SignalChange, ...] = ()
    strata: tuple[Stratum, ...] = ()
    examples: tuple[str, ...] = ()
    lone: tuple[str, ...] = ()
    looked_at: datetime | None = None
    next_look: datetime | None = None
    anchor: Anchor | None = None
