"""Which revisions `revisionHistoryLimit` takes away. It is 1 here, for a newer one that nothing needs."""

from dataclasses import replace

import pytest

from modelfleet.decision import Delete
from modelfleet.kinds import CONTROLLER_REVISION
from modelfleet.rollout.decide import decide
from modelfleet.rollout.revisions import Revision
from unit.rollout.positions import NOW, VERSIONS, failed, revision, rollout, snapshot, stable


def called(name: str, number: int, of: Revision) -> Revision:
    return replace(of, name=f"line-{name}", hash=name, uid=name, number=number)


V1 = stable()
FORMER = called("former", 3, failed("v2"))
LATTER = called("latter", 5, failed("v2"))
SPARE = called("spare", 9, replace(revision("v3"), created=NOW))


def taken_away(*revisions: Revision, versions: tuple[str, ...] = ("v1", "v2", "v3")) -> set[str]:
    there = tuple(VERSIONS[version] for version in versions)
    seen = snapshot(
        ("v1", "v1", "v1"),
        rollout("v1", revisionHistoryLimit=1),
        versions=there,
        revisions=(V1, *revisions, SPARE),
    )
    actions = decide(seen, NOW).actions
    return {each.uid for each in actions if isinstance(each, Delete) and each.kind == CONTROLLER_REVISION}


@pytest.mark.parametrize("order", [(FORMER, LATTER), (LATTER, FORMER)])
def test_of_a_versions_quarantines_the_newest_stays(order: tuple[Revision, ...]):
    assert taken_away(*order) == {"former"}


def test_a_quarantine_goes_with_its_version():
    assert taken_away(FORMER, LATTER, versions=("v1", "v3")) == {"former", "latter"}


def test_the_quarantine_of_one_revision_does_not_stay_for_its_version():
    assert taken_away(called("one", 4, failed("v3", scope="Revision"))) == {"one"}


def test_of_the_promoted_ones_the_last_two_stay():
    promoted = (called(f"promoted-{number}", number, V1) for number in (-1, 0))
    assert taken_away(*promoted) == {"promoted--1"}
