"""Active gates and watches for drift, as metrics for dashboards: what each said at its last look.

Collectors and no gauges that are set: each scrape shows the gates and watches that there are now, so that no series
outlives its gate or its Rollout, and a new operator process shows them again as soon as it has looked. For each Rollout
with an active gate there are at most 20 series, and with a watch at most 30, however many nodes it has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelfleet.drift import Hours, Reviewed, State
from modelfleet.drift import Judgement as DriftJudgement
from modelfleet.gate import Judgement, Plan, Verdict
from modelfleet.gate.audit import Told
from modelfleet.kinds import Key
from modelfleet.rollout.snapshot import DriftSeen

_LABELS = ("namespace", "rollout", "group", "version")
_SIDES = ("canary", "control")


@dataclass(frozen=True)
class Look:
    """The last judgement of a gate, the verdict that stands after it, and what the audit was told last."""

    plan: Plan
    judgement: Judgement
    verdict: Verdict
    told: Told | None = None


@dataclass(frozen=True)
class Watch:
    """The last look of a watch for drift, and what it goes by.

    hours     those of the nodes
    paused    why there was no look; empty: there was
    figures   the judgement by the hours alone
    reviewed  what reviewed frames said, and which of their figures had declared drift before
    """

    seen: DriftSeen
    hours: Hours | None = None
    paused: str = ""
    figures: DriftJudgement | None = None
    reviewed: tuple[Reviewed, tuple[str, ...]] | None = None


class GateGauges(Collector):
    """Shows `looks`, the active gate of each Rollout that has one, as it is when Prometheus asks."""

    def __init__(self, looks: Mapping[Key, Look]) -> None:
        self._looks = looks

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All metrics `modelfleet_gate_...`; none has a series where no gate is active."""
        families = _Families()
        for look in self._looks.values():
            families.add(look)
        return iter(families.all)


class _Families:
    """The metrics of one scrape, while gates are added."""

    def __init__(self) -> None:
        self.all: list[GaugeMetricFamily] = []
        self.estimate = self._family(
            "estimate",
            "Canary beside control at the newest look: difference of expected precision (endpoint precision), relative "
            "change of expected true detections per frame (endpoint detections). Below -margin is worse.",
            "endpoint",
        )
        self.lower = self._family("interval_lower", "Lower bound of the estimate; none by Threshold.", "endpoint")
        self.upper = self._family("interval_upper", "Upper bound of the estimate; none by Threshold.", "endpoint")
        self.margin = self._family("margin", "The loss that is still no worse.", "endpoint")
        self.verdict = self._family("verdict", "1 for the verdict that stands, 0 for the others.", "verdict")
        self.nodes = self._family("nodes", "Nodes whose figures are used.", "side")
        self.aside = self._family("nodes_set_aside", "Nodes that were seen and are not used.", "side")
        self.detections = self._family("detections", "Detections of the canary nodes since the gate's start.")
        self.looks = self._family("looks", "Looks at the metrics so far.")
        self.started = self._family("start_timestamp_seconds", "Unix time of the gate's start.")

    def add(self, look: Look) -> None:
        """All series of one gate."""
        plan, judgement = look.plan, look.judgement
        of = (plan.namespace, plan.rollout, plan.group, plan.candidate_version)
        for figure in judgement.endpoints:
            name = (*of, figure.endpoint.value)
            self.estimate.add_metric(name, figure.estimate)
            self.margin.add_metric(name, figure.margin)
            if figure.interval is not None:
                self.lower.add_metric(name, figure.interval[0])
                self.upper.add_metric(name, figure.interval[1])
        for verdict in Verdict:
            self.verdict.add_metric((*of, verdict.value), float(verdict is look.verdict))
        for side, used in zip(_SIDES, (judgement.canary_nodes, judgement.control_nodes), strict=True):
            self.nodes.add_metric((*of, side), used)
            self.aside.add_metric((*of, side), sum(each.nodes for each in judgement.aside if each.side == side))
        self.detections.add_metric(of, judgement.detections)
        self.looks.add_metric(of, judgement.looks)
        self.started.add_metric(of, plan.started_at.timestamp())

    def _family(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"modelfleet_gate_{name}", text, labels=(*_LABELS, *labels))
        self.all.append(family)
        return family


class DriftGauges(Collector):
    """Shows `watches`, what is known of drift of each Rollout that is watched, as it is when Prometheus asks."""

    def __init__(self, watches: Mapping[Key, Watch]) -> None:
        self._watches = watches

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All metrics `modelfleet_drift_...`."""
        change = _drift_family(
            "change", "Change of the median node against its own baseline; of reviewed signals: the figure.", "signal"
        )
        threshold = _drift_family(
            "threshold",
            "The change from which on a node counts as drifted; of reviewed signals: the minimum.",
            "signal",
        )
        state = _drift_family("state", "1 for the state of the watch, 0 for the others.", "state")
        nodes = _drift_family("nodes", "Nodes with figures and a baseline.")
        down = _drift_family("nodes_down", "Nodes that have drifted.")
        looked = _drift_family("look_timestamp_seconds", "End of the newest figures that were looked at, Unix time.")
        for watch in list(self._watches.values()):
            plan, judgement = watch.seen.plan, watch.seen.judgement
            of = (plan.namespace, plan.rollout, plan.version)
            for signal in judgement.signals:
                if signal.change is not None:
                    change.add_metric((*of, signal.name), signal.change)
                if signal.threshold is not None:
                    threshold.add_metric((*of, signal.name), signal.threshold)
            for each in State:
                state.add_metric((*of, each.value), float(each is judgement.state))
            nodes.add_metric(of, judgement.nodes)
            down.add_metric(of, judgement.nodes_down)
            if judgement.looked_at is not None:
                looked.add_metric(of, judgement.looked_at.timestamp())
        return iter((change, threshold, state, nodes, down, looked))


def _drift_family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"modelfleet_drift_{name}", text, labels=("namespace", "rollout", "version", *labels))
