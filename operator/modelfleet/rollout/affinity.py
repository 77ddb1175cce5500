"""Which nodes belong to which group, written as node affinity: the group's selector and not an earlier group's.

A label selector is a conjunction of requirements. Node affinity is a disjunction of such conjunctions
(`nodeSelectorTerms`), and knows no "not". So "A and not B and not C" is multiplied out by De Morgan:

    not (b1 and b2) = not b1 or not b2        one term for each negated requirement
    A and (not b1 or not b2) and (not c1)  =  A,!b1,!c1  or  A,!b2,!c1

Every requirement has an exact negation (In <-> NotIn, Exists <-> DoesNotExist), since both label selectors and node
affinity let NotIn match a node that lacks the key. What A already implies is left out, and what A contradicts is
dropped, so that the usual fleet (one label with one value for each group) gives a single term. The product is bounded
by `MAX_TERMS`; beyond it `TooComplex` says so, rather than handing the API server a manifest of megabytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelfleet.api import names
from modelfleet.workloads.pods import REQUIRED

MAX_TERMS = 64

_NEGATION = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}


class TooComplex(ValueError):
    """The selectors multiply out to more than `MAX_TERMS` alternatives."""


@dataclass(frozen=True, order=True)
class Requirement:
    """One condition on one label. `values` is sorted, and empty for Exists and DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets it."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                return _compare(value, self)
        return False

    def negated(self) -> "Requirement":
        """The requirement that holds exactly where this one does not."""
        return Requirement(self.key, _NEGATION[self.operator], self.values)

    def implies(self, other: "Requirement") -> bool:
        """Whether every object that meets this one also meets `other`. May miss an implication, never invents one."""
        if self.key != other.key:
            return False
        mine, theirs = set(self.values), set(other.values)
        match self.operator, other.operator:
            case "In", "In":
                return mine <= theirs
            case "In", "NotIn":
                return not mine & theirs
            case "In", "Exists":
                return True
            case "NotIn", "NotIn":
                return mine >= theirs
            case "DoesNotExist", "NotIn" | "DoesNotExist":
                return True
            case "Exists", "Exists":
                return True
        return False

    def to_dict(self) -> dict[str, Any]:
        """The entry of `matchExpressions`."""
        entry: dict[str, Any] = {"key": self.key, "operator": self.operator}
        return entry | {"values": list(self.values)} if self.values else entry


def _compare(value: str | None, requirement: Requirement) -> bool:
    """Gt and Lt of node affinity: both sides must be integers, else it does not match."""
    try:
        mine, bound = int(value or ""), int(requirement.values[0])
    except (ValueError, IndexError):
        return False
    return mine > bound if requirement.operator == "Gt" else mine < bound


Conjunction = tuple[Requirement, ...]
"""Requirements that must all hold. The empty one holds everywhere."""


def requirements(match_labels: Mapping[str, str], expressions: Iterable[Mapping[str, Any]]) -> Conjunction:
    """A label selector as sorted requirements: `matchLabels` is In with one value."""
    given = {Requirement(key, "In", (value,)) for key, value in match_labels.items()}
    for entry in expressions:
        given.add(Requirement(entry["key"], entry["operator"], tuple(sorted(entry.get("values") or ()))))
    return tuple(sorted(given))


def matches(selector: Conjunction, labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement."""
    return all(requirement.matches(labels) for requirement in selector)


def group_terms(selector: Conjunction, earlier: Sequence[Conjunction]) -> tuple[Conjunction, ...]:
    """ "`selector` and none of `earlier`" as alternatives. () means that no node can match.

    Raises TooComplex above MAX_TERMS alternatives.
    """
    if _contradictory(selector):
        return ()
    terms: set[frozenset[Requirement]] = {frozenset(selector)}
    for other in earlier:
        clause = [requirement.negated() for requirement in other]
        grown: set[frozenset[Requirement]] = set()
        for term in terms:
            grown |= _with_any(term, clause)
        terms = _absorbed(grown)
        if len(terms) > MAX_TERMS:
            raise TooComplex(
                f"the node selectors of the groups multiply out to more than {MAX_TERMS} alternatives; "
                "give each group one label of its own, for example modelfleet.dev/group"
            )
    return tuple(sorted(tuple(sorted(term)) for term in terms))


def _with_any(term: frozenset[Requirement], clause: list[Requirement]) -> set[frozenset[Requirement]]:
    """`term` and (any of `clause`), with implied and impossible alternatives left out."""
    if any(mine.implies(literal) for literal in clause for mine in term):
        return {term}
    return {term | {literal} for literal in clause if not _contradictory((*term, literal))}


def _contradictory(requirements: Iterable[Requirement]) -> bool:
    """Whether no object can meet all of them. May miss a contradiction, never invents one."""
    given = tuple(requirements)
    return any(
        one.operator in _NEGATION and other.operator in _NEGATION and one.implies(other.negated())
        for one in given
        for other in given
    )


def _absorbed(terms: set[frozenset[Requirement]]) -> set[frozenset[Requirement]]:
    """Without the terms that a weaker one already covers."""
    return {term for term in terms if not any(other < term for other in terms)}


def node_affinity(terms: Sequence[Conjunction], template_affinity: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The pod's `affinity` with `terms` (alternatives) required on top of what the user's template requires.

    None where nothing at all is required. Raises TooComplex above MAX_TERMS alternatives.
    """
    affinity = dict(template_affinity or {})
    nodes = dict(affinity.get("nodeAffinity") or {})
    required = nodes.get(REQUIRED)
    # A term without any requirement matches no node in Kubernetes, although its conjunction is empty.
    theirs = [term for term in (required or {}).get("nodeSelectorTerms") or [] if any(term.values())]
    if not terms or (required is not None and not theirs):
        alternatives = [NOWHERE]
    elif required is None:
        alternatives = [{"matchExpressions": [entry.to_dict() for entry in term]} for term in terms if term]
        if len(alternatives) < len(terms):
            return affinity or None  # one alternative requires nothing
    else:
        alternatives = [_both(term, their) for their in theirs for term in terms]
    if len(alternatives) > MAX_TERMS:
        raise TooComplex(
            f"the template's node affinity and the groups' selectors multiply out to more than {MAX_TERMS} terms"
        )
    nodes[REQUIRED] = {"nodeSelectorTerms": alternatives}
    affinity["nodeAffinity"] = nodes
    return affinity


NOWHERE: dict[str, Any] = {
    "matchExpressions": [
        {"key": names.NODE_GROUP, "operator": "Exists"},
        {"key": names.NODE_GROUP, "operator": "DoesNotExist"},
    ]
}
"""A term that no node meets: what is left when an earlier group takes all of them."""


def _both(term: Conjunction, theirs: Mapping[str, Any]) -> dict[str, Any]:
    """One alternative of ours and one of the user's, both required."""
    ours = [entry.to_dict() for entry in term]
    expressions = ours + [entry for entry in theirs.get("matchExpressions") or [] if entry not in ours]
    merged: dict[str, Any] = {"matchExpressions": expressions} if expressions else {}
    if theirs.get("matchFields"):
        merged["matchFields"] = list(theirs["matchFields"])
    return merged
