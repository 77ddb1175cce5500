"""Why there is no pod: the DaemonSet controller's words."""

from datetime import timedelta

import pytest

from modelfleet.kinds import DAEMON_SET, EVENT, Key
from modelfleet.kube import Forbidden
from modelfleet.kube.client import Listing
from modelfleet.rollout import no_pods
from modelfleet.rollout.observe import snapshot
from unit.rollout.builders import AGENT_IMAGE, wire
from unit.rollout.simulation import NAMESPACE, World, installed

QUOTA = 'pods "line-canary-" is forbidden: exceeded quota: none, requested: pods=1, used: pods=1, limited: pods=1'


class Deps:
    """What `look` uses of the operator's: the clock, and a list of Events."""

    def __init__(self, world, *events, failure=None):
        self.world, self.events, self.failure = world, events, failure
        self.asked = []
        self.client = self

    def clock(self):
        return self.world.now

    async def list(self, kind, namespace, *, fields):
        assert kind is EVENT
        self.asked.append(fields)
        if self.failure is not None:
            raise self.failure
        return Listing(self.events, 1)


def event(message, at, **fields):
    return {"metadata": {"name": "e", "creationTimestamp": wire(at)}, "message": message, **fields}


@pytest.fixture
def world():
    found: World = installed()
    found.no_pods.add("canary-0")
    found.choose("v2")
    found.run(lambda: found.reason("PodsMissing") is not None)
    return found


def seen(world):
    found = snapshot(world.store, Key(NAMESPACE, "line"), AGENT_IMAGE)
    assert found is not None
    return found


async def test_the_newest_words_of_the_group_that_misses_pods(world):
    old, new = world.now - timedelta(minutes=5), world.now
    deps = Deps(
        world,
        event("Error creating: older", old - timedelta(minutes=1)),
        event(f"Error creating: {QUOTA}", old, lastTimestamp=wire(new)),
        event("Error creating: old", old, lastTimestamp=None, eventTime=None),
    )
    words = await no_pods.look(None, seen(world), deps)
    assert words.by_group == {"canary": QUOTA}
    uid = world.get(DAEMON_SET, "line-canary")["metadata"]["uid"]
    assert deps.asked == [f"involvedObject.uid={uid},reason=FailedCreate"]


async def test_events_are_read_every_few_seconds_and_only_while_pods_are_missing(world):
    deps = Deps(world)
    words = await no_pods.look(None, seen(world), deps)
    assert words.by_group == {"canary": ""}
    assert await no_pods.look(words, seen(world), deps) is words
    world.now += no_pods.EVERY
    await no_pods.look(words, seen(world), deps)
    assert len(deps.asked) == 2
    assert await no_pods.look(words, seen(installed()), deps) is None
    assert len(deps.asked) == 2


async def test_events_that_may_not_be_read_cost_the_words_and_no_more(world, caplog):
    words = await no_pods.look(None, seen(world), Deps(world, failure=Forbidden("events is forbidden")))
    assert words.by_group == {"canary": ""}
    assert "could not read the events of DaemonSet factory/line-canary: events is forbidden" in caplog.text
