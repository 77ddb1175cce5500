"""What is judged, one group of one Rollout against the groups on the stable version, and when it is looked at.

Looks are fixed by time when the gate starts: look k is at `started_at + k * interval` and sees the whole time since the
warm-up. Each is a function of the start and of what Prometheus holds, so that an operator that was restarted, at any
moment, finds the same looks again, and nothing about them needs to be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet.gate.policy import Policy
from modelfleet.gate.production import Production
from modelfleet.measurement.sides import Side, Sides

CONSECUTIVE = 3
"""Looks in a row that must agree (Threshold)."""

MOST_TESTS = 12
"""Looks of a permutation test, at most: the error is spread over them."""

_WARM_UP = timedelta(minutes=1)
_SETTLE = timedelta(seconds=30)


@dataclass(frozen=True)
class Plan:
    """One gate.

    control_groups    groups on the stable version; empty (first install, last group): nothing to compare with
    *_weights         expected precision of each of the 10 confidence buckets (`spec.calibration` of a version); None
                      for a version without a calibration, empty for one with other buckets than the metrics
    past_until        when the first node of the group got the candidate: what the nodes did on the stable version is
                      taken from before. For all of them, so that both sides are seen at the same hours
    started_at        when all pods of the group were updated and ready
    strata            each node's stratum (for example its site), if canary nodes could only have been chosen within
                      one; nodes that are not named form one together. Two plans are equal whatever their strata: a
                      node that gets another label counts so from the next look on, and makes no other gate
    production        what confidence of either version was worth in production when the gate started; None: not known
    """

    namespace: str
    rollout: str
    group: str
    control_groups: tuple[str, ...]
    model: str
    candidate_version: str
    stable_version: str | None
    candidate_weights: tuple[float, ...] | None
    stable_weights: tuple[float, ...] | None
    policy: Policy
    past_until: datetime
    started_at: datetime
    strata: Mapping[str, str] = field(default_factory=dict, compare=False)
    production: Production | None = None

    @property
    def compared(self) -> bool:
        """Whether there is a comparison to make: asked for, and with somebody to compare with."""
        return self.policy.comparison is not None and bool(self.control_groups) and self.stable_version is not None

    @property
    def sides(self) -> Sides:
        """Whose figures are read."""
        control = Side(self.control_groups, self.stable_version) if self.compared and self.stable_version else None
        return Sides(self.namespace, self.rollout, Side((self.group,), self.candidate_version), control)

    @property
    def measured_from(self) -> datetime:
        """Start of all windows: the first window after a start is dropped (caches, exposure, a camera waking up)."""
        return self.started_at + min(self.policy.interval, _WARM_UP)

    @property
    def settle(self) -> timedelta:
        """How long after its time a look is made: scrapes under way arrive, and clocks differ a little."""
        return min(self.policy.interval / 2, _SETTLE)

    @property
    def first_look(self) -> int:
        """The first look with a window of a positive length."""
        return (self.measured_from - self.started_at) // self.policy.interval + 1

    @property
    def last_look(self) -> int:
        """The look at the deadline; at least as many as must agree."""
        return max(self.policy.deadline // self.policy.interval, self.first_look + CONSECUTIVE - 1)

    @property
    def test_spacing(self) -> timedelta:
        """Time between two looks of a permutation test: some intervals, so that there are twelve looks at most."""
        intervals = -(-self.policy.deadline // (self.policy.interval * MOST_TESTS))
        return self.policy.interval * max(1, intervals)

    @property
    def tests(self) -> int:
        """How many looks a permutation test makes until the deadline; at least one."""
        return max(1, (self.policy.deadline - (self.measured_from - self.started_at)) // self.test_spacing)

    def test_time(self, number: int) -> datetime:
        """When test `number` (from 1) is: what it sees ends there."""
        return self.measured_from + number * self.test_spacing

    def newest_test(self, now: datetime) -> int:
        """The newest test that can be made at `now`; 0 where there is none yet."""
        return max(0, min(self.tests, (now - self.settle - self.measured_from) // self.test_spacing))

    def look_time(self, number: int) -> datetime:
        """When look `number` is: what it sees ends there."""
        return self.started_at + number * self.policy.interval

    def newest_look(self, now: datetime) -> int:
        """The newest look that can be made at `now`; smaller than `first_look` where there is none yet."""
        return max(0, min(self.last_look, (now - self.settle - self.started_at) // self.policy.interval))

    def timed_out(self, now: datetime) -> bool:
        """Whether the last look has been due."""
        return now >= self.look_time(self.last_look) + self.settle

    def next_look(self, now: datetime) -> datetime:
        """When to look again: at the next look, or one interval from now where all looks are over."""
        number = max(self.newest_look(now) + 1, self.first_look)
        due = self.look_time(number) + self.settle
        return due if number <= self.last_look and due > now else now + self.policy.interval
