"""What runs the model on the nodes of either side: figures of two backends differ by more than the model. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelfleet.measurement.sides import CANARY, CONTROL, Sides
from modelfleet.prometheus.results import Samples

UNKNOWN = ""
"""Of nodes whose application doesn't say."""


@dataclass(frozen=True)
class Backends:
    """How many nodes of each side run which backend; nothing of a side that nothing is known of."""

    canary: Mapping[str, int] = field(default_factory=dict)
    control: Mapping[str, int] = field(default_factory=dict)

    @property
    def alike(self) -> bool:
        """Whether both sides run the same ones, as far as anybody says; also where nobody says anything at all."""
        return set(self.canary or {UNKNOWN: 0}) == set(self.control or {UNKNOWN: 0})


def read(sides: Sides, samples: Samples | None) -> Backends:
    """From the answer to `queries.backends`; None stands for an answer without data."""
    found: dict[int, Counter[str]] = {CANARY: Counter(), CONTROL: Counter()}
    for labels, values in () if samples is None else samples.series:
        side = sides.of(labels)
        if side is not None:
            found[side][labels.get("backend", UNKNOWN)] += round(values[-1][1])
    return Backends(dict(found[CANARY]), dict(found[CONTROL]))
