"""A cluster around a Dataset, in memory: that of the tests of training, with a stand-in for the labeler.

The Job controller, the pods and the clock are simulated in a few lines; store, observe, decide, reconcile and status
patches are the operator's real code.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from modelfleet import datasets
from modelfleet.kinds import DATASET, JOB, POD
from unit.datasets.builders import Json, entry, latest, report
from unit.training.builders import wire
from unit.training.simulation import World


def growing() -> Iterator[str]:
    """A version more at each sync."""
    for number in itertools.count(1):
        versions = [entry(each) for each in range(number, max(0, number - 3), -1)]
        yield report(latest=latest(number, images=600 + number), versions=versions)


@dataclass
class Line(World):
    """`said` are the termination messages of the labelers, one after the other; those that failed exit with 64."""

    said: Iterator[str] = field(default_factory=growing)
    capabilities: ClassVar[tuple[Any, ...]] = (datasets,)

    @property
    def training(self) -> Json:
        """The one Dataset."""
        (only,) = self.all(DATASET)
        return only

    @property
    def status(self) -> Json:
        """Its status."""
        found: Json = self.training.get("status") or {}
        return found

    @property
    def jobs(self) -> list[str]:
        """The names of the Jobs there are."""
        return [each["metadata"]["name"] for each in self.all(JOB)]

    def skip(self, time: timedelta) -> None:
        """Time passes while nobody looks, and Jobs go on."""
        self.tick()
        self.tick()
        self.tick()
        self.now += time

    def _drive(self, job: Json) -> None:
        """A pod, its end, and that of the Job: one step each."""
        pods = [pod for pod in self.all(POD) if pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]]
        if (job.get("status") or {}).get("conditions"):
            return
        if not pods:
            self._make_pod(job)
        elif pods[0]["status"]["phase"] == "Pending":
            said = next(self.said)
            code = 0 if '"Succeeded"' in said else 64
            state = {"terminated": {"exitCode": code, "reason": "Error", "message": said}}
            status = {
                "phase": "Failed" if code else "Succeeded",
                "containerStatuses": [{"name": "labeler", "state": state}],
            }
            self.change(pods[0], status=status)
        else:
            end = "Complete" if pods[0]["status"]["phase"] == "Succeeded" else "Failed"
            condition = {"type": end, "status": "True", "reason": "x", "lastTransitionTime": wire(self.now)}
            self.change(job, status={"conditions": [condition]})

    def annotate(self, name: str, value: str) -> None:
        """As `kubectl annotate` does."""
        raw = self.training
        raw["metadata"]["annotations"] = {**raw["metadata"]["annotations"], name: value}
        self.change(raw)
