"""The catalogue of reasons goes both ways: what the code says stands in it, and what stands in it the code can say."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from agent.cache import verify
from artifactstore import ArtifactError
from artifactstore import _errors as artifact_errors
from detectiondata import errors as dataset_errors
from labeler import failure as labeler_failure
from labeler.label_studio import http
from modelfleet.api.reasons import ConditionType, Reason, catalogue
from modelfleet.api.reasons.entry import EVENT, GROUP, REPLAY, RETRAIN, TERMINATION, Entry
from modelfleet.rollout import selection
from modelfleet.training import starting
from modelfleet.versions import resolve
from trainer import failure

ROOT = Path(__file__).parents[3]
OPERATOR = ROOT / "operator/modelfleet"
PACKAGES = {"ModelVersion": "versions", "TrainingJob": "training", "Rollout": "rollout", "Dataset": "datasets"}
ENTRIES = [(kind, entry) for kind, entries in catalogue.CATALOGUE.items() for entry in entries]

# Where a reason (or, for the last ones, a condition type) is given: (index, keyword) of the argument.
REASON_AT = {
    "Announce": (1, "reason"),
    "Step": (2, "reason"),
    "Stall": (0, "reason"),
    "Problem": (0, "reason"),
    "Missing": (0, "reason"),
    "Failed": (0, "reason"),
    "Said": (0, "reason"),
    "Finding": (0, "reason"),
    "Held": (0, "reason"),
    "Outcome": (2, "reason"),
    "Standing": (1, "reason"),
    "failed": (0, "reason"),
    "ready": (0, "reason"),
    "reconciling": (0, "reason"),
    "stalled": (0, "reason"),
    "_working": (0, "reason"),
    "_end": (1, "reason"),
    "_quarantine": (2, "cause"),
    "Quarantine": (1, "cause"),
    "conditions_of": (1, "reason"),
    "true": (1, "reason"),
    "false": (1, "reason"),
    "unknown": (1, "reason"),
    "Condition": (2, "reason"),
}
ENUMS = ("Reason", "ConditionType")
TYPE_AT = {"true": (0, "type"), "false": (0, "type"), "unknown": (0, "type"), "Condition": (0, "type")}


@cache
def sources() -> dict[Path, ast.Module]:
    reasons = OPERATOR / "api/reasons"
    return {path: ast.parse(path.read_text()) for path in OPERATOR.rglob("*.py") if reasons not in path.parents}


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def argument(call: ast.Call, at: tuple[int, str]) -> ast.expr | None:
    index, keyword = at
    given = next((each.value for each in call.keywords if each.arg == keyword), None)
    return call.args[index] if given is None and len(call.args) > index else given


def results(value: ast.expr, module: ast.Module) -> Iterator[ast.expr]:
    """The expressions that `value` may be, through conditions, `or`, and names that are assigned in the module."""
    match value:
        case ast.IfExp():
            yield from (*results(value.body, module), *results(value.orelse, module))
        case ast.BoolOp():
            for each in value.values:
                yield from results(each, module)
        case ast.Name():
            for node in ast.walk(module):
                if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == value.id for t in node.targets):
                    yield node.value
        case _:
            yield value


def bare(module: ast.Module) -> list[str]:
    """Reasons and condition types that are written as text, or put together from pieces of it."""
    return [
        ast.unparse(found)
        for call in ast.walk(module)
        if isinstance(call, ast.Call)
        for table in (REASON_AT, TYPE_AT)
        if called(call) in table and (given := argument(call, table[called(call)])) is not None
        for found in results(given, module)
        if isinstance(found, ast.JoinedStr) or (isinstance(found, ast.Constant) and isinstance(found.value, str))
    ]


def aliases(module: ast.Module) -> dict[ast.expr, tuple[tuple[str, str], str]]:
    """Where the module only gives a member another name (`READY = ConditionType.READY`): the member and the name."""
    found: dict[ast.expr, tuple[tuple[str, str], str]] = {}
    for node in module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
        pairs = zip(target.elts, node.value.elts, strict=True) if several else [(target, node.value)]
        for name, value in pairs:
            if isinstance(value, ast.Attribute) and getattr(value.value, "id", "") in ENUMS:
                found[value] = ((value.value.id, value.attr), name.id)
    return found


def used() -> dict[tuple[str, str], set[str]]:
    """(enum, member) -> the top folders or files of operator/modelfleet where it is used, aliases followed."""
    places: dict[tuple[str, str], set[str]] = {}
    renamed = {path: aliases(module) for path, module in sources().items()}
    modules: dict[str, dict[str, tuple[str, str]]] = {}
    for path, found in renamed.items():
        modules.setdefault(path.stem, {}).update({alias: member for member, alias in found.values()})
    for path, module in sources().items():
        known = {alias: member for member, alias in renamed[path].values()}
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.module:
                there = modules.get(node.module.rpartition(".")[2], {})
                known |= {name.name: there[name.name] for name in node.names if name.name in there}
        for node in ast.walk(module):
            member = None
            if isinstance(node, ast.Attribute):
                owner = getattr(node.value, "id", "")
                if owner in ENUMS:
                    member = (owner, node.attr) if node not in renamed[path] else None
                else:
                    member = modules.get(owner, {}).get(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                member = known.get(node.id)
            if member is not None:
                places.setdefault(member, set()).add(path.relative_to(OPERATOR).parts[0])
    return places


USED = used()


@pytest.mark.parametrize(
    "code",
    [
        'Stall("Nope", "why")',
        'Step("Paused", "Stalled", "Nope", "why")',
        'Step("Paused", "Stalled", message="why", reason="Nope")',
        'Announce("Normal", Reason.PAUSED if it else "Nope", "why")',
        'Problem(status.get("reason") or "Nope", "why")',
        'stalled(f"Parent{what}", "why")',
        'conditions.true("Nope", Reason.PAUSED)',
        'cause = "Nope"\n_quarantine(position, hash, cause, "why", now)',
    ],
)
def test_a_reason_that_is_only_text_is_found(code: str) -> None:
    assert bare(ast.parse(code))


def test_a_member_is_no_text() -> None:
    code = 'Stall(Reason.PAUSED, "why")\nProblem(status.get("reason") or Reason.ERROR, f"{why}")'
    assert not bare(ast.parse(code))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(OPERATOR)))
def test_no_reason_is_only_text(path: Path) -> None:
    assert not bare(sources()[path])


@pytest.mark.parametrize("type", ConditionType)
def test_every_condition_type_is_used_and_explained(type: ConditionType) -> None:
    assert ("ConditionType", type.name) in USED
    assert any(type in entry.where for _, entry in ENTRIES)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert [entry for _, entry in ENTRIES if entry.reason is reason]


@pytest.mark.parametrize(("kind", "entry"), ENTRIES, ids=lambda each: getattr(each, "reason", each))
def test_what_the_operator_is_said_to_write_about_a_kind_it_can(kind: str, entry: Entry) -> None:
    if entry.source == "operator":
        assert USED.get(("Reason", entry.reason.name), set()) & {PACKAGES[kind], "api", "reconcile.py", "workloads"}


@pytest.mark.parametrize("kind", PACKAGES)
def test_what_a_capability_says_stands_under_its_kind(kind: str) -> None:
    said = {Reason[name] for (enum, name), where in USED.items() if enum == "Reason" and PACKAGES[kind] in where}
    listed = {entry.reason for entry in catalogue.CATALOGUE[kind]}
    assert said - listed - resolve.MISSING == set()


def places() -> set[tuple[str, Reason, str, str]]:
    """(package, reason, where, severity) of what is said with all of it in one call; severity "" where it isn't."""
    standings = {"Stalled": ConditionType.STALLED, "Reconciling": ConditionType.RECONCILING}
    found: set[tuple[str, Reason, str, str]] = set()
    for path, module in sources().items():
        package = path.relative_to(OPERATOR).parts[0]
        for call in (node for node in ast.walk(module) if isinstance(node, ast.Call)):
            given = argument(call, REASON_AT[called(call)]) if called(call) in REASON_AT else None
            members = [] if given is None else [each for each in results(given, module) if is_member(each)]
            first = call.args[0] if call.args else None
            for reason in (Reason[each.attr] for each in members if isinstance(each, ast.Attribute)):
                if called(call) == "Announce" and isinstance(first, ast.Constant):
                    found.add((package, reason, EVENT, str(first.value)))
                elif called(call) == "Step" and isinstance(call.args[1], ast.Constant):
                    standing = str(call.args[1].value)
                    found.add((package, reason, standings.get(standing, ConditionType.READY), ""))
                elif called(call) == "true" and isinstance(first, ast.Attribute) and of(first) == "ConditionType":
                    found.add((package, reason, ConditionType[first.attr], ""))
    return found


def of(node: ast.Attribute) -> str:
    """What an attribute is of, where that is a plain name."""
    return str(getattr(node.value, "id", ""))


def is_member(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and of(node) == "Reason"


@pytest.mark.parametrize(("package", "reason", "where", "severity"), sorted(places()))
def test_where_and_how_severe_is_as_the_code_says(package: str, reason: Reason, where: str, severity: str) -> None:
    kind = next(kind for kind, name in PACKAGES.items() if name == package)
    listed = [entry for entry in catalogue.CATALOGUE[kind] if entry.reason is reason and where in entry.where]
    assert listed
    assert severity in ("", listed[0].severity)


@pytest.mark.parametrize("table", [selection._REASONS, starting._PARENT, starting._BASELINE])
def test_every_way_to_miss_a_version_has_its_reason(table: dict[Reason, Reason]) -> None:
    assert table.keys() == resolve.MISSING


def test_no_reason_stands_twice_under_a_kind_and_place() -> None:
    seen = Counter((kind, entry.reason, place) for kind, entry in ENTRIES for place in entry.where)
    assert not [row for row, times in seen.items() if times > 1]


@pytest.mark.parametrize(("kind", "entry"), ENTRIES, ids=lambda each: getattr(each, "reason", each))
def test_an_entry_is_fit_for_the_page(kind: str, entry: Entry) -> None:
    assert set(entry.where) <= {*ConditionType, EVENT, GROUP, RETRAIN, REPLAY, *TERMINATION}
    for text in (entry.meaning, entry.to_do):
        assert text.endswith(".")
        assert "|" not in text


def literals(package: str, function: str) -> set[str]:
    """What is given first to `function`, as text, anywhere in a package of the images."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        module = ast.parse(path.read_text())
        for call in ast.walk(module):
            if isinstance(call, ast.Call) and called(call) == function and call.args:
                values = results(call.args[0], module)
                found |= {each.value for each in values if isinstance(each, ast.Constant)}
    return found


def test_the_reasons_of_the_agent_are_listed() -> None:
    stores = set(get_args(artifact_errors.Reason)) - {"AlreadyExists"}  # it only writes what may be replaced
    said = literals("agent-image/agent", "Refused") | stores | {"InvalidConfiguration"}
    assert '"InvalidConfiguration"' in (ROOT / "agent-image/agent/cli.py").read_text()
    assert said == {entry.reason.value for _, entry in ENTRIES if entry.source == "agent"}
    assert verify.VERIFIED == Reason.VERIFIED


def test_the_reasons_of_the_trainer_are_listed() -> None:
    moves = {
        tuple(each.value.value for each in call.keywords)
        for path in (ROOT / "trainer-image/trainer").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and called(call) == "from_artifact"
    }
    moved = {
        failure.from_artifact(ArtifactError(reason, "", False), "", missing=missing, unsupported=unsupported).reason
        for missing, unsupported in moves
        for reason in get_args(artifact_errors.Reason)
    }
    said = literals("trainer-image/trainer", "Failure") | moved | failure.RETRYABLE
    listed = catalogue.CATALOGUE["TrainingJob"]
    assert said <= {entry.reason.value for entry in listed}
    assert {entry.reason.value for entry in listed if entry.source == "trainer"} <= said


def test_the_reasons_of_the_labeler_are_listed() -> None:
    stores = {
        labeler_failure.from_artifact(ArtifactError(reason, "", False), unreachable).reason
        for unreachable in literals("labeler-image/labeler", "_told")
        for reason in get_args(artifact_errors.Reason)
    }
    data = set(get_args(dataset_errors.Reason))
    said = literals("labeler-image/labeler", "Failure") | stores | data | {http.UNREACHABLE, http.REFUSED}
    assert said == {entry.reason.value for entry in catalogue.CATALOGUE["Dataset"] if entry.source == "labeler"}
    assert said >= labeler_failure.RETRYABLE


def test_the_labeler_gives_no_reason_that_is_not_looked_at_here() -> None:
    known = {"Failure": {"error.reason", "reasons.get(error.reason, error.reason)"}}
    known["LabelStudioError"] = {"REFUSED", "UNREACHABLE", "error.reason"}
    for path in (ROOT / "labeler-image/labeler").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if (function := called(call)) in known and not isinstance(call.args[0], ast.Constant):
                assert ast.unparse(call.args[0]) in known[function], path


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs/reasons.md").read_text() == catalogue.page(), "run `make reasons`"
