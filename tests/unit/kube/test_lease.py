"""What to do about a Lease, from what was read and when."""

from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.kube import lease
from modelfleet.kube.lease import Create, Lost, Record, Renew, Seen, Take, Terms, Wait

ME, OTHER = "a_1", "b_2"
NOW = datetime(2026, 11, 29, 12, 0, 0, 250_000, tzinfo=UTC)


def record(holder=OTHER, renewed="1", duration=15.0, version="7"):
    return Record(holder, timedelta(seconds=duration), renewed, 3, version)


@pytest.mark.parametrize(
    ("found", "since", "leading", "wanted"),
    [
        # standing by
        (None, 0.0, False, Create),
        (record(), 0.0, False, Wait),
        (record(), -14.9, False, Wait),
        (record(), -15.0, False, Take),
        (record(duration=60), -15.0, False, Wait),  # the holder's own word counts, not our settings
        (record(holder=""), 0.0, False, Take),  # released
        (record(holder=ME), 0.0, False, Take),  # this very process, from before it said that it stands by
        # leading
        (record(holder=ME), -99.0, True, Renew),
        (record(holder=OTHER), 0.0, True, Lost),
        (record(holder=""), 0.0, True, Lost),
        (None, 0.0, True, Lost),
    ],
)
def test_the_next_step(found, since, leading, wanted):
    assert type(lease.step(ME, Seen(found, since), 0.0, leading)) is wanted


def test_others_are_judged_by_our_own_clock_since_their_record_changed():
    seen = lease.saw(None, record(renewed="2031-01-01T00:00:00.000000Z"), 100.0)  # a clock that is years ahead
    again = lease.saw(seen, record(renewed="2031-01-01T00:00:00.000000Z", version="9"), 114.0)  # somebody set a label
    assert again.since == 100.0
    assert again.record.version == "9"
    assert type(lease.step(ME, again, 115.0, False)) is Take
    renewed = lease.saw(again, record(renewed="2031-01-01T00:00:02.000000Z"), 114.5)
    assert type(lease.step(ME, renewed, 115.0, False)) is Wait


def test_a_new_holder_starts_its_time_anew():
    seen = lease.saw(lease.saw(None, record(), 0.0), record(holder="c_3"), 14.0)
    assert type(lease.step(ME, seen, 20.0, False)) is Wait


def test_what_is_written():
    terms = Terms(timedelta(seconds=15), timedelta(seconds=10), timedelta(seconds=2))
    made = lease.manifest("ops", "modelfleet", ME, terms, NOW)
    assert made["spec"] == {
        "holderIdentity": ME,
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-29T12:00:00.250000Z",
        "renewTime": "2026-11-29T12:00:00.250000Z",
        "leaseTransitions": 0,
    }
    took = lease.taken(record(), ME, terms, NOW)
    assert took["metadata"] == {"resourceVersion": "7"}  # only if it is still as it was read
    assert (took["spec"]["leaseTransitions"], took["spec"]["holderIdentity"]) == (4, ME)
    kept = lease.renewed(record(ME), ME, terms, NOW)
    assert kept["metadata"] == {"resourceVersion": "7"}
    assert "acquireTime" not in kept["spec"]
    assert lease.released(record(ME), NOW)["spec"]["holderIdentity"] == ""


def test_a_lease_that_somebody_made_by_hand_is_read():
    found = lease.read({"metadata": {"resourceVersion": "5"}})
    assert found == Record("", timedelta(0), "", 0, "5")
