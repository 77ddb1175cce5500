"""What a watch for drift looks at, and when: follows from the stable revision and the time alone. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from zlib import crc32

from modelfleet.drift.policy import GAP, LEAST_WINDOWS, MIN_HOURS, PARTS, Policy
from modelfleet.measurement.endpoints import BUCKETS, MIDPOINTS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATE = 12
"""Figures of a part are asked for a twelfth of a part after its end: five minutes of an hour, for late scrapes."""

_TRIES = 12
"""Where they could not be had, it is tried again after a twelfth of a part."""


@dataclass(frozen=True)
class Plan:
    """One watch: of a revision, from the moment when it became stable.

    weights  expected precision of each confidence bucket; None: no calibration; empty: it has other buckets
    strata   the value of the policy's `stratify_by` on each node that has it
    members  nodes of the Rollout; figures of others are not judged, where there are figures of any of these
    """

    namespace: str
    rollout: str
    revision: str
    version: str
    begins: datetime
    weights: tuple[float, ...] | None = None
    policy: Policy = field(default_factory=Policy)
    strata: Mapping[str, str] = field(default_factory=dict, compare=False)
    members: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def calibrated(self) -> bool:
        """Whether detections are weighted by what was measured on the holdout, and not by their raw confidence."""
        return self.weights is not None and len(self.weights) == BUCKETS

    @property
    def detection_weights(self) -> tuple[float, ...]:
        """What a detection in each bucket counts."""
        return self.weights if self.weights is not None and self.calibrated else MIDPOINTS

    @property
    def basis(self) -> str:
        """What a figure of this watch is made by: an anchor of another basis can't be compared with."""
        spans = self.policy.window, self.policy.baseline
        marks = {"calibrated": self.calibrated, "exposed": self.policy.exposure is not None}
        words = [*(f"{span.total_seconds():g}s" for span in spans), *(mark for mark, holds in marks.items() if holds)]
        return " ".join(words)

    def first(self, last: datetime) -> datetime:
        """The end of the first part that counts when `last` is the end of the newest: one that began after the revision
        became stable, and not more of them than the policy needs."""
        part = self.policy.part
        own = _EPOCH + (-((_EPOCH - self.begins) // part) + 1) * part
        return max(own, last - (self.policy.parts - 1) * part)

    def last(self, now: datetime) -> datetime | None:
        """The end of the newest part whose figures can be asked for; None before there is one."""
        part = self.policy.part
        last = _EPOCH + ((now - part / _LATE - _EPOCH) // part) * part
        return last if last >= self.first(last) else None

    def next_look(self, now: datetime) -> datetime:
        """When to ask for the next part: soon after that is possible, each Rollout at a moment of its own, so that
        not all of them ask at once."""
        part = self.policy.part
        spread = crc32(f"{self.namespace}/{self.rollout}".encode()) / 2**32
        return _EPOCH + ((now - part / _LATE - _EPOCH) // part + 1) * part + part / _LATE * (1 + spread)

    def next_try(self, now: datetime) -> datetime:
        """When to ask again after there was no answer."""
        return min(self.next_look(now), now + max(self.policy.part / _TRIES, timedelta(seconds=5)))

    def learned(self, begun: datetime) -> datetime:
        """When a node that has figures since `begun` can be compared with itself, at the earliest."""
        return begun + (GAP + LEAST_WINDOWS - 1) * self.policy.window + ceil(MIN_HOURS * PARTS) * self.policy.part
