"""What a rollout waits for: approval, windows, a pause, and figures to judge by."""

from datetime import timedelta

import pytest

from modelfleet.gate import Verdict
from unit.rollout.builders import START
from unit.rollout.simulation import installed, said


@pytest.mark.parametrize("verdict", [Verdict.NO_DATA, Verdict.PROVIDER_DOWN])
def test_who_can_not_see_neither_promotes_nor_rolls_back(verdict):
    world = installed()
    world.judge = lambda plan, now: said(plan, now, verdict, "nobody answers at prometheus:9090")
    world.choose("v2")
    world.run(lambda: world.phase == "Holding")
    since = world.status["gate"]["since"]
    world.rest(60)
    assert world.running["canary-0"] == "v2"
    assert world.running["fleet-0"] == "v1"
    assert world.reason("Reconciling") == verdict.value
    assert "nobody answers at prometheus:9090" in world.message()
    assert f"since {since[:10]} {since[11:19]}" in world.message()
    assert world.status["gate"]["since"] == since
    assert world.events.count("GateHeld") == 1
    world.judge = lambda plan, now: None
    world.run(lambda: world.is_at("v2"))


def test_a_pass_does_not_count_while_nobody_can_see():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.spec(paused=True)
    world.run(lambda: world.phase == "Paused")
    world.judge = lambda plan, now: said(plan, now, Verdict.PROVIDER_DOWN, "down")
    world.run(lambda: world.phase == "Holding")
    world.spec(paused=False)
    world.rest(6)
    assert world.running["fleet-0"] == "v1"


def test_a_pass_is_not_taken_back_by_a_later_look_that_can_not_decide():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.spec(paused=True)
    world.run(lambda: world.phase == "Paused")
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE, "unsure", timed_out=True)
    world.rest()
    assert world.phase == "Paused"
    world.spec(paused=False)
    world.run(lambda: world.status.get("currentGroup") == "fleet", limit=3)


def test_a_version_that_waits_is_still_watched():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.spec(paused=True)
    world.run(lambda: world.phase == "Paused")
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "went bad while it waited")
    world.run(lambda: world.reason("Stalled") == "RolledBack")


def test_a_pause_keeps_everything_where_it_is():
    world = installed()
    world.spec(paused=True)
    world.choose("v2")
    world.rest()
    assert world.versions == {"v1"}
    assert world.phase == "Paused"
    assert "spec.paused" in world.message()
    world.spec(paused=False)
    world.run(lambda: world.running.get("canary-0") == "v2")
    world.spec(paused=True)
    world.choose("v1")
    world.rest()
    assert world.running["canary-0"] == "v2", "neither forward nor back"
    assert world.phase == "Paused"
    world.spec(paused=False)
    world.run(lambda: world.is_at("v1"))


def test_a_pause_does_not_stop_the_watch_of_what_is_stable():
    world = installed()
    world.spec(paused=True)
    world.rest(2)
    assert world.is_at("v1")
    world.add_nodes("fleet", 1)
    world.run(lambda: len(world.running) == 5)
    assert world.versions == {"v1"}


def test_updates_start_in_windows_only():
    world = installed()
    opening = (START + timedelta(days=1)).replace(hour=22, minute=0)
    world.now = opening - timedelta(minutes=20)
    world.spec(windows=[{"cron": "0 22 * * *", "duration": "30m", "timeZone": "UTC"}])
    world.choose("v2")
    world.rest(2)
    assert world.phase == "WaitingForWindow"
    assert "22:00 UTC" in world.message()
    assert world.versions == {"v1"}
    world.run(lambda: world.running.get("canary-0") == "v2")
    assert world.now >= opening
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert world.now < opening + timedelta(minutes=30)


def test_a_group_that_is_done_after_the_window_waits_for_the_next_one():
    world = installed()
    world.now = START.replace(hour=21, minute=59)
    world.spec(windows=[{"cron": "0 22 * * *", "duration": "2m"}])
    world.choose("v2")
    world.run(lambda: world.running.get("canary-0") == "v2")
    world.run(lambda: world.phase == "WaitingForWindow")
    world.rest()
    assert world.running["fleet-0"] == "v1"
    assert f"{START + timedelta(days=1):%Y-%m-%d} 22:00 UTC" in world.message()
    world.now = (START + timedelta(days=1)).replace(hour=21, minute=59, second=55)
    world.run(lambda: world.is_at("v2"))


def test_an_impossible_window_is_named():
    world = installed(windows=[])
    world.spec(windows=[{"cron": "0 22 31 2 *", "duration": "1h"}])
    world.choose("v2")
    world.rest(2)
    assert world.reason("Stalled") == "InvalidWindow"
    assert "0 22 31 2 *" in world.message()
    assert world.versions == {"v1"}
