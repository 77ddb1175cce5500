"""Followed logs: lines once each, streams that break, ends that are found."""

import asyncio
from contextlib import asynccontextmanager

from modelfleet.kube import Client, LogTails
from modelfleet.kube.logs import KEPT
from unit.kube.apiserver import connected, hangs, refuses, serve, streams

FAST = (0.0, 0.001)


class Pod:
    """Whether the container has ended, as the store would say; `at` is the number of the look at which it has."""

    def __init__(self, at):
        self.at, self.looks = at, 0

    def ended(self, namespace, name, uid, container):
        self.looks += 1
        return self.looks > self.at


@asynccontextmanager
async def tails_of(folder, ended_at, *answers):
    async with serve(*answers) as server, connected(server, folder) as connection:
        client = Client(connection, timeout=5)
        tails = LogTails(client, Pod(ended_at).ended, backoff=FAST)
        try:
            yield tails, server
        finally:
            await tails.close()
            await client.close()


async def followed_to_its_end(tails):
    woken = []
    tails.follow("ns", "p", "u", "trainer", lambda: woken.append(len(tails.lines("u"))))
    async with asyncio.timeout(5):
        await asyncio.gather(*tails._tasks.values())
    return woken


def stamp(second, text):
    return f"2026-01-01T00:00:{second:02}.000000001Z {text}\n"


async def test_only_json_lines_are_kept_and_each_wakes_and_so_does_the_end(tmp_path):
    log = stamp(1, '{"event":"started"}') + stamp(2, "  5%|##   |") + stamp(3, '{"event":"epoch"}')
    async with tails_of(tmp_path, 0, streams(log)) as (tails, _):
        assert await followed_to_its_end(tails) == [1, 2, 2]
        assert tails.lines("u") == ('{"event":"started"}', '{"event":"epoch"}')


async def test_stream_that_breaks_goes_on_after_the_last_line_without_repeating_it(tmp_path):
    first = stamp(1, '{"n":1}') + stamp(2, '{"n":2}')
    again = stamp(2, '{"n":2}') + stamp(3, '{"n":3}')
    async with tails_of(tmp_path, 1, streams(first, breaks=True), streams(again)) as (tails, server):
        await followed_to_its_end(tails)
        assert tails.lines("u") == ('{"n":1}', '{"n":2}', '{"n":3}')
    assert "sinceTime" not in server.seen[0].query
    assert server.seen[1].query["sinceTime"] == "2026-01-01T00:00:02.000000001Z"


async def test_end_of_the_stream_of_a_running_container_is_not_its_end(tmp_path):
    answers = streams(stamp(1, '{"n":1}')), streams(stamp(2, '{"n":2}')), streams(stamp(3, '{"n":3}'))
    async with tails_of(tmp_path, 2, *answers) as (tails, server):
        await followed_to_its_end(tails)
        assert tails.lines("u") == ('{"n":1}', '{"n":2}', '{"n":3}')
    assert len(server.seen) == 3


async def test_container_that_is_being_created_is_waited_for(tmp_path):
    waiting = refuses(400, "BadRequest", "container is waiting to start: ContainerCreating")
    async with tails_of(tmp_path, 2, waiting, waiting, streams(stamp(1, '{"n":1}'))) as (tails, _):
        await followed_to_its_end(tails)
        assert tails.lines("u") == ('{"n":1}',)


async def test_pod_that_is_gone_ends_it(tmp_path):
    async with tails_of(tmp_path, 99, refuses(404, "NotFound", "no pod")) as (tails, server):
        assert await followed_to_its_end(tails) == [0]
    assert len(server.seen) == 1


async def test_log_of_an_ended_container_that_can_not_be_had_is_given_up(tmp_path):
    async with tails_of(tmp_path, 0, refuses(400, "BadRequest", "never started")) as (tails, server):
        await followed_to_its_end(tails)
    assert len(server.seen) <= len(FAST) + 1


async def test_only_the_last_lines_are_kept(tmp_path):
    log = "".join(f"2026-01-01T00:00:00.{number:09}Z {{{number}}}\n" for number in range(KEPT + 50))
    async with tails_of(tmp_path, 0, streams(log)) as (tails, _):
        await followed_to_its_end(tails)
        assert len(tails.lines("u")) == KEPT
        assert tails.lines("u")[-1] == f"{{{KEPT + 49}}}"


async def test_following_twice_is_following_once_also_after_the_end(tmp_path):
    async with tails_of(tmp_path, 0, streams(stamp(1, "{}"))) as (tails, server):
        for _ in range(3):
            await followed_to_its_end(tails)
        assert len(server.seen) == 1
        assert tails.followed() == ("u",)


async def test_forgotten_pod_has_no_lines_and_no_task(tmp_path):
    async with tails_of(tmp_path, 0, hangs()) as (tails, _):
        tails.follow("ns", "p", "u", "trainer", lambda: None)
        (task,) = tails._tasks.values()
        await asyncio.sleep(0.01)
        tails.forget("u")
        tails.forget("u")
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
        assert (tails.lines("u"), tails.followed()) == ((), ())
