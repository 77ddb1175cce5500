"""Who leads, on a small API server of one Lease and with terms of tenths of seconds; clocks are real."""

import asyncio
from datetime import timedelta

import pytest

from modelfleet.kube import AlreadyExists, ApiError, Conflict, NotFound, Unavailable
from modelfleet.kube.lease import Terms
from modelfleet.runtime import leadership
from modelfleet.runtime.leadership import Leadership, LeadershipLost, own_namespace

TERMS = Terms(timedelta(seconds=0.6), timedelta(seconds=0.4), timedelta(seconds=0.05))


class ApiServer:
    """Holds one Lease; `down` fails every request, `silent` never answers, `between` is done before the next patch."""

    def __init__(self):
        self.lease = None
        self.version = 0
        self.down = False
        self.silent = False
        self.writes = 0
        self.between = []

    async def _asked(self):
        await asyncio.sleep(0)
        if self.silent:
            await asyncio.sleep(3600)
        if self.down:
            raise Unavailable("down")

    def _put(self, lease):
        self.version += 1
        self.writes += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    async def get(self, kind, namespace, name):
        await self._asked()
        if self.lease is None:
            raise NotFound("no Lease")
        return self.lease

    async def create(self, manifest):
        await self._asked()
        if self.lease is not None:
            raise AlreadyExists("there")
        # whole seconds are all that a Lease can say
        return self._put({**manifest, "spec": {**manifest["spec"], "leaseDurationSeconds": 0.6}})

    async def patch(self, kind, namespace, name, body):
        await self._asked()
        if self.between:
            self.between.pop()()
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("newer")
        spec = {**self.lease["spec"], **body["spec"]}
        if spec["holderIdentity"]:
            spec["leaseDurationSeconds"] = 0.6
        return self._put({**self.lease, "spec": spec})


@pytest.fixture
def api():
    return ApiServer()


def candidate(api, name):
    return Leadership(api, "ops", "modelfleet", TERMS, identity=name)


async def within(seconds, awaitable):
    return await asyncio.wait_for(awaitable, seconds)


async def test_of_two_that_start_together_one_leads(api):
    both = [candidate(api, name) for name in "ab"]
    tasks = [asyncio.create_task(each.acquire()) for each in both]
    done, waiting = await asyncio.wait(tasks, timeout=0.3, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting)) == (1, 1)
    assert sorted(each.leading for each in both) == [False, True]
    for task in waiting:
        task.cancel()


async def test_a_leader_that_renews_is_not_taken_over(api):
    first, second = candidate(api, "a"), candidate(api, "b")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    with pytest.raises(TimeoutError):
        await within(1.5, second.acquire())
    assert first.leading
    assert not second.leading
    keeping.cancel()


async def test_a_leader_that_is_gone_is_taken_over_and_may_write_no_more_before(api):
    first, second = candidate(api, "a"), candidate(api, "b")
    await first.acquire()  # and is killed
    taking = asyncio.create_task(second.acquire())
    while not second.leading:
        await asyncio.sleep(0.01)
        assert not (first.leading and second.leading)
    await taking
    assert api.lease["spec"]["leaseTransitions"] == 1
    with pytest.raises(Unavailable, match="writes nothing"):
        first.check()
    with pytest.raises(LeadershipLost):
        await within(1, first.keep())


async def test_one_that_lets_go_is_followed_at_once(api):
    first, second = candidate(api, "a"), candidate(api, "b")
    await first.acquire()
    taking = asyncio.create_task(second.acquire())
    await asyncio.sleep(0.1)
    await first.release()
    assert not first.leading
    await within(0.3, taking)


@pytest.mark.parametrize("moment", ["before it reads", "after it has read"])
async def test_one_that_was_stopped_within_a_renewal_is_followed_at_once(api, moment):
    """Stopping cuts off a request whose answer it no longer hears; the API server may have done it all the same."""
    first, second = candidate(api, "a"), candidate(api, "b")
    await first.acquire()
    if moment == "before it reads":
        api._put(api.lease)
    else:
        api.between.append(lambda: api._put(api.lease))
    await first.release()
    await within(0.3, second.acquire())


async def test_a_lease_that_another_took_is_not_let_go(api):
    first = candidate(api, "a")
    await first.acquire()
    api._put({**api.lease, "spec": {**api.lease["spec"], "holderIdentity": "b"}})
    await first.release()
    assert api.lease["spec"]["holderIdentity"] == "b"


async def test_letting_go_takes_no_longer_than_a_retry(api, caplog):
    caplog.set_level("INFO")
    first = candidate(api, "a")
    await first.acquire()
    api.silent = True
    await within(0.3, first.release())
    assert "could not let the Lease go; it will expire: the API server did not answer in time" in caplog.text


@pytest.mark.parametrize("how", ["down", "silent"])
async def test_without_an_answer_it_is_lost_in_time(api, how):
    first = candidate(api, "a")
    await first.acquire()
    setattr(api, how, True)
    began = asyncio.get_running_loop().time()
    with pytest.raises(LeadershipLost, match="could not be renewed in time"):
        await first.keep()
    assert asyncio.get_running_loop().time() - began < 0.6  # before the Lease runs out for others
    assert not first.leading


async def test_a_short_outage_is_borne(api):
    first = candidate(api, "a")
    await first.acquire()
    keeping = asyncio.create_task(first.keep())
    api.down = True
    await asyncio.sleep(0.2)
    api.down = False
    await asyncio.sleep(0.5)
    assert first.leading
    assert not keeping.done()
    keeping.cancel()


@pytest.mark.parametrize("taken", [True, False])
async def test_a_lease_that_somebody_took_or_deleted_is_lost_at_once(api, taken):
    first = candidate(api, "a")
    await first.acquire()
    if taken:
        api._put({**api.lease, "spec": {**api.lease["spec"], "holderIdentity": "somebody"}})
    else:
        api.lease = None
    with pytest.raises(LeadershipLost, match="somebody holds" if taken else "was deleted"):
        await within(0.3, first.keep())
    with pytest.raises(ApiError):
        first.check()


async def test_letting_go_without_leading_writes_nothing(api):
    first, second = candidate(api, "a"), candidate(api, "b")
    await first.acquire()
    writes = api.writes
    await second.release()
    assert api.writes == writes


async def test_outside_of_a_pod_the_namespace_has_to_be_given(tmp_path, monkeypatch):
    monkeypatch.setattr(leadership, "_NAMESPACE", tmp_path / "namespace")
    with pytest.raises(ApiError, match=r"give leaderElection\.namespace"):
        own_namespace()
    (tmp_path / "namespace").write_text("ops\n")
    assert own_namespace() == "ops"


async def test_a_lease_that_cant_be_asked_for_is_a_warning_and_one_that_another_holds_is_none(api, caplog):
    """Where all stand by for want of rights, that line is what the alert's page sends people to."""
    caplog.set_level("INFO")
    api.down = True
    with pytest.raises(TimeoutError):
        await within(0.3, candidate(api, "a").acquire())
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "could not ask for the Lease ops/modelfleet: down")
    ]
    api.down = False
    await candidate(api, "a").acquire()
    caplog.clear()
    with pytest.raises(TimeoutError):
        await within(0.3, candidate(api, "b").acquire())
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [("INFO", "stands by: a leads")]
