"""The facts of one moment, as gathered: what the newest looks see, and what the checks saw."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet.gate.checks import Outcome
from modelfleet.gate.permutation_look import Trial
from modelfleet.measurement.backends import Backends
from modelfleet.measurement.node_table import Table
from modelfleet.prometheus.results import ProviderDown


@dataclass(frozen=True)
class Look:
    """Look `number`, at `at`, and what Prometheus showed there."""

    number: int
    at: datetime
    table: Table


@dataclass(frozen=True)
class Asked:
    """One query as it was sent: at one moment (`step` None, start = end), or from start to end by step."""

    query: str
    start: datetime
    end: datetime
    step: timedelta | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything `judge` goes by.

    looks     the newest looks, at most three, oldest first; empty before the first, and where none was asked for
    checks    every check of the policy with its outcome so far; empty before the first look
    down      the comparison's queries had no answer
    hint      where figures of this Rollout are to be found instead, when there are none
    queries   the PromQL as sent and for when, for audit; as many for any number of nodes
    past      the nodes before the update, over as long as the newest look sees; None where it was not asked for
    large     the policy wants a permutation test, and (for Auto) the fleet is large enough for one
    trial     the newest permutation test's facts; None where there is none, or the first is not yet due
    backends  what the nodes of both sides ran at the newest look; None where nothing is compared
    again     the last look had nothing to go by, and now there is something
    """

    looks: tuple[Look, ...] = ()
    checks: tuple[Outcome, ...] = ()
    down: ProviderDown | None = None
    hint: str = ""
    queries: tuple[Asked, ...] = ()
    past: Table | None = None
    large: bool = False
    trial: Trial | None = None
    backends: Backends | None = None
    again: bool = False
