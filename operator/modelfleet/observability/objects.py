"""The state of Rollouts and TrainingJobs as metrics, read from the store at each scrape.

An alert needs a state that lasts: an Event is over when it is sent, and a counter of a process forgets with it. What is
shown here is the objects' own status, so that a new operator process shows the same. Nothing grows with the number of
nodes: a Rollout has at most some 30 series and 5 for each of its groups, a TrainingJob at most 8. A scrape of a
thousand Rollouts with three groups (24,000 series) took 0.3 s on one busy core; it goes on the event loop, where the
store lives.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import TypeAdapter, ValidationError

from modelfleet.api import Rollout, TrainingJob
from modelfleet.api.conditions import Condition
from modelfleet.api.reasons import ConditionType
from modelfleet.api.rolloutstatus import GroupStatus
from modelfleet.kube import Object, Store, Unreadable, View, key_of
from modelfleet.views import ROLLOUTS, TRAININGS

T = TypeVar("T")

_CONDITION = TypeAdapter(Condition)

_GROUP_NODES: tuple[tuple[str, str, Callable[[GroupStatus], int]], ...] = (
    ("nodes", "Nodes that belong to a group.", lambda group: group.nodes),
    ("nodes_updated", "Nodes of a group with a pod of the revision that it should run.", lambda group: group.updated),
    ("nodes_ready", "Nodes of a group with a ready pod of the revision that it should run.", lambda group: group.ready),
    ("nodes_unreachable", "Nodes of a group that are out of reach.", lambda group: group.unreachable),
)


class ObjectStates(Collector):
    """Shows each Rollout and TrainingJob of the store as it is when Prometheus asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All metrics `modelfleet_rollout_...` and `modelfleet_trainingjob_...`."""
        yield from _rollouts(*self._read(ROLLOUTS))
        yield from _trainings(*self._read(TRAININGS))

    def _read(self, view: View[T]) -> tuple[list[T], list[Object]]:
        """The objects of a kind, and those that can't be read: of these there is what the operator said of them."""
        found: list[T] = []
        unreadable: list[Object] = []
        for obj in self._store.list(view.kind):
            try:
                found.append(self._store.read(view, obj))
            except Unreadable:
                unreadable.append(obj)
        return found, unreadable


def _rollouts(found: Iterable[Rollout], unreadable: Iterable[Object]) -> Iterator[GaugeMetricFamily]:
    condition = _family("rollout_condition", "1 while a condition is True, else 0.", "type", "reason")
    version = _family("rollout_version_info", "Always 1: the stable and the candidate version.", "role", "version")
    target = _family("rollout_group_version_info", "Always 1: what a group's nodes should run.", "group", "version")
    nodes = [_family(f"rollout_{name}", text, "group") for name, text, _ in _GROUP_NODES]
    ended = _family("rollout_end_timestamp_seconds", "When a version's last rollout ended so.", "version", "result")
    quarantined = _family(
        "rollout_quarantined_timestamp_seconds", "Since when a version is in quarantine.", "version", "cause"
    )
    replay_ended = _family("rollout_replay_end_timestamp_seconds", "When the replay ended so.", "version", "result")
    agreement = _family(
        "rollout_replay_agreement_ratio", "Share of boxes that both versions found.", "stable", "version"
    )
    differing = _family("rollout_replay_disagreements", "Frames on which the versions differ.", "stable", "version")
    _add_unreadable(condition, unreadable)
    for rollout in found:
        of, status = (rollout.metadata.namespace, rollout.metadata.name), rollout.status
        _add_conditions(condition, of, status.conditions)
        for role, name in (("stable", status.stable_version), ("candidate", status.candidate_version)):
            if name is not None:
                version.add_metric((*of, role, name), 1)
        for group in status.groups:
            if group.version is not None:
                target.add_metric((*of, group.name, group.version), 1)
            for family, (_, _, count) in zip(nodes, _GROUP_NODES, strict=True):
                family.add_metric((*of, group.name), count(group))
        _add_newest(ended, of, (((each.version, each.result), each.finished_at) for each in status.history))
        _add_newest(
            quarantined,
            of,
            (((each.version, each.reason.partition(":")[0]), each.at) for each in status.quarantined),
        )
        if (replay := status.replay) is not None and replay.result is not None and replay.finished_at is not None:
            replay_ended.add_metric((*of, replay.candidate, replay.result), replay.finished_at.timestamp())
            if replay.found is not None:
                pair = (*of, replay.stable or "", replay.candidate)
                differing.add_metric(pair, replay.found.disagreements)
                if replay.found.agreement is not None:
                    agreement.add_metric(pair, float(replay.found.agreement.value))
    return iter((condition, version, target, *nodes, ended, quarantined, replay_ended, agreement, differing))


def _trainings(found: Iterable[TrainingJob], unreadable: Iterable[Object]) -> Iterator[GaugeMetricFamily]:
    labels = ("namespace", "training_job")
    condition = _family("trainingjob_condition", "1 while a condition is True, else 0.", "type", "reason", of=labels)
    finished = _family(
        "trainingjob_end_timestamp_seconds", "When a TrainingJob ended so.", "model", "result", of=labels
    )
    _add_unreadable(condition, unreadable)
    for job in found:
        of = (job.metadata.namespace, job.metadata.name)
        _add_conditions(condition, of, job.status.conditions)
        held = {each.type for each in job.status.conditions if each.is_true}
        for result in (ConditionType.COMPLETE, ConditionType.FAILED):
            if result in held and job.status.finished_at is not None:
                finished.add_metric((*of, job.spec.model, result.value), job.status.finished_at.timestamp())
    return iter((condition, finished))


def _add_conditions(family: GaugeMetricFamily, of: tuple[str, ...], found: Iterable[Condition]) -> None:
    for each in found:
        family.add_metric((*of, each.type, each.reason), float(each.is_true))


def _add_unreadable(family: GaugeMetricFamily, objects: Iterable[Object]) -> None:
    for obj in objects:
        key, status = key_of(obj), obj.get("status")
        raw = status.get("conditions") if isinstance(status, Mapping) else None
        _add_conditions(family, (key.namespace, key.name), _conditions(raw if isinstance(raw, list) else ()))


def _conditions(raw: Iterable[object]) -> Iterator[Condition]:
    """Those that are conditions: in a status that nobody can answer for, there may be anything."""
    for each in raw:
        try:
            yield _CONDITION.validate_python(each)
        except ValidationError:
            continue


def _add_newest(
    family: GaugeMetricFamily, of: tuple[str, ...], found: Iterable[tuple[tuple[str, str], datetime | None]]
) -> None:
    """The newest time for each pair of labels: Prometheus refuses a scrape in which a series comes twice."""
    newest: dict[tuple[str, str], float] = {}
    for labels, at in found:
        if at is not None:
            newest[labels] = max(at.timestamp(), newest.get(labels, 0.0))
    for labels, moment in newest.items():
        family.add_metric((*of, *labels), moment)


def _family(name: str, text: str, *labels: str, of: tuple[str, ...] = ("namespace", "rollout")) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"modelfleet_{name}", text, labels=(*of, *labels))
