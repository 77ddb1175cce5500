"""The resolved rules of one gate: what the Rollout's spec says, with the group's own words laid over it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from modelfleet.api.gatespec import Check as CheckSpec
from modelfleet.api.gatespec import Comparison as ComparisonSpec
from modelfleet.api.gatespec import (
    ComparisonMethod,
    ComparisonOverride,
    Gate,
    GateOverride,
    NoDataPolicy,
    TimeoutPolicy,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Comparison:
    """Canary against control nodes (design: gate.md).

    margin          how much worse the expected precision may be and still count as no worse (0..1)
    alpha           error rate of the Permutation method, per gate
    min_detections  enough to judge by: per side for Threshold, per node for Permutation
    min_nodes       fewest nodes on either side
    stratify_by     key of the node label within whose values canaries were chosen (Permutation); None: anywhere
    """

    margin: float = 0.03
    alpha: float = 0.05
    min_detections: int = 300
    min_nodes: int = 1
    method: ComparisonMethod = ComparisonMethod.AUTO
    stratify_by: str | None = None


@dataclass(frozen=True)
class Check:
    """A PromQL guardrail: a look at which any of its series lies outside minimum..maximum is a failure."""

    name: str
    query: str
    minimum: float | None = None
    maximum: float | None = None
    failure_limit: int = 0


@dataclass(frozen=True)
class Policy:
    """One gate's rules. `comparison` None: judged by checks alone. The `on_...` words are for the Rollout to act on.

    `provider` is the name of the metrics provider in the operator's settings; None: the operator's default.
    """

    soak: timedelta = timedelta(hours=1)
    interval: timedelta = timedelta(minutes=1)
    timeout: timedelta = timedelta(hours=6)
    comparison: Comparison | None = None
    checks: tuple[Check, ...] = ()
    on_no_data: NoDataPolicy = NoDataPolicy.HOLD
    on_provider_down: str = "Hold"
    on_timeout: TimeoutPolicy = TimeoutPolicy.PAUSE
    provider: str | None = None

    def __post_init__(self) -> None:
        if self.interval <= timedelta(0):
            raise ValueError(f"the interval between looks must be positive, and is {self.interval}")

    @property
    def deadline(self) -> timedelta:
        """Time after which the gate gives up: the timeout, but never before the soak is over."""
        return max(self.timeout, self.soak)


def resolve(spec: Gate, group: GateOverride | None = None) -> Policy:
    """The policy of a group from the Rollout's `spec.gate` and the group's own `gate`.

    A field that the group sets replaces the Rollout's, also within `comparison`; its list of checks replaces the whole
    list. A group that sets a comparison where the Rollout has none gets one, with the defaults for what it leaves out.
    """
    checks: tuple[CheckSpec, ...] = _pick("checks", group, spec)
    return Policy(
        soak=_pick("soak", group, spec),
        interval=_pick("interval", group, spec),
        timeout=_pick("timeout", group, spec),
        comparison=_comparison(spec.comparison, None if group is None else group.comparison),
        checks=tuple(_check(check) for check in checks),
        on_no_data=_pick("on_no_data", group, spec),
        on_provider_down=_pick("on_provider_down", group, spec),
        on_timeout=_pick("on_timeout", group, spec),
        provider=_pick("provider", group, spec),
    )


def _comparison(spec: ComparisonSpec | None, group: ComparisonOverride | None) -> Comparison | None:
    if spec is None and group is None:
        return None
    base = spec if spec is not None else ComparisonSpec()
    return Comparison(
        margin=_pick("margin", group, base, float),
        alpha=_pick("alpha", group, base, float),
        min_detections=_pick("min_detections", group, base),
        min_nodes=_pick("min_nodes", group, base),
        method=_pick("method", group, base),
        stratify_by=_pick("stratify_by", group, base),
    )


def _check(check: CheckSpec) -> Check:
    return Check(
        name=check.name,
        query=check.query,
        minimum=None if check.min is None else float(check.min),
        maximum=None if check.max is None else float(check.max),
        failure_limit=check.failure_limit,
    )


def _pick(name: str, override: object | None, base: object, convert: Callable[[Any], T] | None = None) -> T:
    """The field from the override where it is set there, else from the base."""
    value = None if override is None else getattr(override, name)
    if value is None:
        value = getattr(base, name)
    return convert(value) if convert is not None else cast(T, value)
