"""Which nodes belong to which group of a Rollout, and which Rollouts a node belongs to, without a search of all.

A group's selector is a conjunction of requirements on labels. One of them is picked as the key under which nodes and
groups find each other: a label with its values, or else a label that must be there. Only a group that has neither must
look at every node, and every node at it.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelfleet.kube import NODE, ROLLOUT, Index, Key, Object, Store, View
from modelfleet.rollout import affinity, nodes
from modelfleet.rollout.affinity import Conjunction
from modelfleet.rollout.snapshot import NodeState

_ANY: tuple[str, ...] = ()


def selectors_of(rollout: Object) -> tuple[Conjunction, ...]:
    """The groups' node selectors of a raw Rollout, in order."""
    given = [group.get("nodeSelector") or {} for group in rollout["spec"]["groups"]]
    return tuple(
        affinity.requirements(each.get("matchLabels") or {}, each.get("matchExpressions") or []) for each in given
    )


def _labels(node: Object) -> Iterator[Hashable]:
    """Everything a group may look for on this node."""
    yield _ANY
    for key, value in nodes.labels_of(node).items():
        yield key, value
        yield (key,)


def _sought(selector: Conjunction) -> list[Hashable]:
    """What a group looks for: each node that matches has one of these."""
    one_of = [requirement for requirement in selector if requirement.operator == "In"]
    if one_of:
        best = min(one_of, key=lambda requirement: len(requirement.values))
        return [(best.key, value) for value in best.values]
    there = [requirement.key for requirement in selector if requirement.operator == "Exists"]
    return [(there[0],)] if there else [_ANY]


SELECTORS = View(ROLLOUT, selectors_of)
NODES_BY_LABEL = Index(NODE, _labels)
ROLLOUTS_BY_LABEL = Index(
    ROLLOUT, lambda rollout: {sought for selector in selectors_of(rollout) for sought in _sought(selector)}
)
"""Rollouts by what one of their groups looks for on a node."""


def rollouts_of(node: Object, store: Store, among: frozenset[Key] | set[Key] | None = None) -> list[Key]:
    """The Rollouts (`among` some) of which this raw node belongs to some group."""
    labels = nodes.labels_of(node)
    found: Iterable[Key] = store.keys(ROLLOUTS_BY_LABEL, *_labels(node))
    if among is not None:
        found = among.intersection(found)
    return [
        key
        for key in found
        if (raw := store.get(ROLLOUT, key.namespace, key.name)) is not None
        and nodes.first_match(labels, store.read(SELECTORS, raw)) is not None
    ]


def nodes_of(selectors: Sequence[Conjunction], store: Store) -> tuple[Object, ...]:
    """The raw nodes that may belong to any of the groups, by name; some may not."""
    return store.find(NODES_BY_LABEL, *{value for selector in selectors for value in _sought(selector)})


@dataclass(frozen=True)
class Members:
    """The nodes of one group, how many others match its selector and belong to an earlier group, and which would belong
    to this one if something did not keep its pods off: (node, what)."""

    nodes: tuple[NodeState, ...] = ()
    shadowed: int = 0
    kept_off: tuple[tuple[str, str], ...] = ()


@dataclass
class Memberships:
    """What is known of the nodes of one Rollout from one look to the next: a node that did not change is not asked
    again. Holds nothing that could not be found out again."""

    _by: object = None
    _known: dict[str, tuple[Object, "_Place"]] = field(default_factory=dict)

    def of(
        self,
        selectors: tuple[Conjunction, ...],
        pod_specs: Sequence[Mapping[str, Any] | None],
        candidates: Iterable[Object],
    ) -> tuple[Members, ...]:
        """The members of each group. `pod_specs` are those of the groups' DaemonSets, None where there is none yet:
        a node on which the pods may not run is no member."""
        by = selectors, [_scheduling(spec) for spec in pod_specs]
        before, self._known = (self._known if by == self._by else {}), {}
        self._by = by
        members: list[list[NodeState]] = [[] for _ in selectors]
        shadowed = [0] * len(selectors)
        kept_off: list[list[tuple[str, str]]] = [[] for _ in selectors]
        for raw in candidates:
            name = raw["metadata"]["name"]
            known = before.get(name)
            place = known[1] if known is not None and known[0] is raw else _place(raw, selectors, pod_specs)
            self._known[name] = (raw, place)
            if place.state is not None and place.group is not None:
                members[place.group].append(place.state)
            elif place.group is not None:
                kept_off[place.group].append((name, place.kept_off))
            for group in place.shadowed:
                shadowed[group] += 1
        return tuple(
            Members(tuple(found), number, tuple(off))
            for found, number, off in zip(members, shadowed, kept_off, strict=True)
        )


@dataclass(frozen=True)
class _Place:
    """Where a node belongs: its group, its state where the group's pods may run on it (else what keeps them off), and
    later groups it matches."""

    group: int | None = None
    state: NodeState | None = None
    shadowed: tuple[int, ...] = ()
    kept_off: str = ""


def _place(raw: Object, selectors: Sequence[Conjunction], pod_specs: Sequence[Mapping[str, Any] | None]) -> _Place:
    labels = nodes.labels_of(raw)
    matching = [index for index, selector in enumerate(selectors) if affinity.matches(selector, labels)]
    if not matching:
        return _Place()
    spec = pod_specs[matching[0]]
    off = "" if spec is None else nodes.kept_off(spec, raw)
    return _Place(matching[0], None if off else nodes.node_state(raw), tuple(matching[1:]), off)


def _scheduling(pod_spec: Mapping[str, Any] | None) -> object:
    """What of a pod spec decides about where it may run."""
    return None if pod_spec is None else [pod_spec.get(key) for key in ("nodeSelector", "affinity", "tolerations")]
