"""One row of the catalogue of metrics."""

from dataclasses import dataclass
from typing import Literal

Type = Literal["counter", "gauge", "histogram"]
Exporter = Literal["agent", "upload", "trainer", "operator"]
Unit = Literal[
    "", "frames", "detections", "captures", "images", "seconds", "bytes", "nodes", "images/s", "share", "time"
]

NODE = ("rollout", "group", "node", "model", "version")
"""What every series of a node carries; Prometheus adds `namespace` and `pod`."""
GATE = ("namespace", "rollout", "group", "version")
DRIFT = ("namespace", "rollout", "version")
ROLLOUT = ("namespace", "rollout")
TRAINING = ("namespace", "training_job")
RUN = ("training_job", "model", "version")
DATASET = ("namespace", "dataset", "model")


@dataclass(frozen=True)
class Metric:
    """A metric as one part exports it.

    name     as it is queried: a counter with `_total`, a histogram without `_bucket`
    unit     "time": Unix time in seconds; "share": 0 to 1; "": a plain number
    labels   those that the exporter sets; a histogram's `le` left out
    meaning  one sentence, without the dot
    by       who exports it
    also     who else does, under the same name: for another process of the same pod
    """

    name: str
    type: Type
    unit: Unit
    labels: tuple[str, ...]
    meaning: str
    by: Exporter
    also: tuple[Exporter, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series, as queries have them."""
        if self.type != "histogram":
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
