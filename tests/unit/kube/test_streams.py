"""The eye on kopf's watch streams, and the scopes they cover."""

import json
import logging

import aiohttp
import pytest

from modelfleet.kinds import CONTROLLER_REVISION, NODE, POD, ROLLOUT, WATCHED
from modelfleet.kube.client import Client
from modelfleet.kube.errors import Forbidden, NotFound, Unavailable
from modelfleet.kube.resync import check, explain, fill
from modelfleet.kube.scope import Scope, scopes
from modelfleet.kube.store import Store
from modelfleet.kube.streams import Streams
from unit.kube.apiserver import connected, refuses, says, serve
from unit.kube.raw import obj

PODS, NODES = Scope(POD, "ns"), Scope(NODE)


class Noted:
    """Streams with notes of what they report."""

    def __init__(self):
        self.gaps, self.lists = [], []
        self.streams = Streams((PODS, NODES), on_gap=self.gaps.append, on_list=self.lists.append)


@pytest.fixture
def noted():
    return Noted()


def test_scopes_are_cluster_wide_or_one_for_each_namespace_but_nodes_have_none():
    assert [scope.kind for scope in scopes(())] == list(WATCHED)
    assert all(scope.namespace is None for scope in scopes(()))
    named = scopes(("a", "b"))
    assert len(named) == 2 * (len(WATCHED) - 1) + 1
    assert Scope(NODE) in named


def test_children_are_selected_by_their_label_and_owners_are_not():
    assert PODS.selector == "app.kubernetes.io/managed-by=modelfleet"
    assert Scope(ROLLOUT).selector == NODES.selector == ""
    assert Scope(CONTROLLER_REVISION).selector == "app.kubernetes.io/managed-by=modelfleet,!controller-revision-hash"
    assert PODS.path == "/api/v1/namespaces/ns/pods"


def test_streams_are_live_when_each_watch_has_begun(noted):
    noted.streams.succeeded(PODS, watch=False)
    noted.streams.succeeded(PODS, watch=True)
    assert noted.streams.pending == (NODES,)
    noted.streams.succeeded(NODES, watch=False)
    noted.streams.succeeded(NODES, watch=True)
    assert noted.streams.pending == ()
    assert noted.lists == [PODS, NODES]
    assert noted.gaps == []


async def test_waiting_for_all_streams(noted):
    for scope in (PODS, NODES):
        noted.streams.succeeded(scope, watch=True)
    await noted.streams.wait_all_live()


def test_second_list_of_a_stream_is_a_gap_also_when_it_is_empty(noted):
    noted.streams.succeeded(PODS, watch=False)
    noted.streams.succeeded(PODS, watch=True)
    noted.streams.succeeded(PODS, watch=True)  # a watch that ended on its own and goes on where it was
    assert noted.gaps == []
    noted.streams.succeeded(PODS, watch=False)
    assert noted.gaps == [PODS]


def test_refusal_is_said_once_and_taken_back(noted, caplog):
    caplog.set_level(logging.INFO, "modelfleet")
    body = json.dumps({"reason": "Forbidden", "message": "pods is forbidden"})
    for _ in range(3):
        noted.streams.refused(PODS, True, 403, body)
    assert len(caplog.records) == 1
    assert "not allowed to watch pods in namespace ns" in noted.streams.refusals[0]
    noted.streams.succeeded(PODS, watch=True)
    assert noted.streams.refusals == ()


@pytest.mark.parametrize(
    ("scope", "error", "words"),
    [
        (
            Scope(ROLLOUT),
            NotFound("404 page not found"),
            ["rollouts.modelfleet.dev", "v1alpha1", "not installed", "crds/"],
        ),
        (PODS, NotFound("no"), ["does not serve v1 pods"]),
        (PODS, Forbidden("why"), ["pods in namespace ns", "Role in namespace ns", "get, list and watch", "why"]),
        (NODES, Forbidden("why"), ["nodes", "the ClusterRole"]),
        (NODES, Unavailable("down"), ["can't list nodes: down"]),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(scope, error, words):
    assert all(word in explain(scope, error) for word in words)


async def test_middleware_tells_lists_from_watches_and_other_requests(noted):
    answers = says({"items": []}), says({"items": []}), refuses(403, "Forbidden", "no"), says({}), says({})
    async with serve(*answers) as server, aiohttp.ClientSession(middlewares=(noted.streams.middleware,)) as session:
        url = f"http://127.0.0.1:{server.port}/api/v1"
        await session.get(f"{url}/nodes?labelSelector=a")
        assert noted.lists == [NODES]
        await session.get(f"{url}/nodes?watch=true&resourceVersion=5")
        assert noted.streams.pending == (PODS,)
        response = await session.get(f"{url}/namespaces/ns/pods?watch=true")
        assert (await response.json())["message"] == "no"  # kopf reads the body again
        assert len(noted.streams.refusals) == 1
        await session.get(f"{url}/nodes/n1")
        await session.post(f"{url}/nodes")
    assert noted.lists == [NODES]


async def test_check_names_every_problem_and_asks_for_one_object_each(tmp_path):
    answers = refuses(403, "Forbidden", "no"), says({"metadata": {"resourceVersion": "5"}, "items": []})
    async with serve(*answers) as server, connected(server, tmp_path) as connection:
        client = Client(connection)
        problems = await check(client, (PODS, NODES))
        await client.close()
    assert [problem.scope for problem in problems] == [PODS]
    assert {seen.query["limit"] for seen in server.seen} == {"1"}


async def test_fill_lists_each_scope_with_its_selector_and_prunes_only_there(tmp_path):
    store = Store()
    store.put(obj(POD, "gone", 3))
    store.put(obj(POD, "elsewhere", 3, namespace="other"))

    def listing(*items):
        return says({"metadata": {"resourceVersion": "50"}, "items": items})

    answers = listing(obj(POD, "a", 5)), listing(obj(NODE, "n", 6))
    async with serve(*answers) as server, connected(server, tmp_path) as connection:
        client = Client(connection)
        changes = await fill(client, store, (PODS, NODES))
        await client.close()
    assert changes == {PODS: 2, NODES: 1}
    assert [each["metadata"]["name"] for each in store.list(POD)] == ["a", "elsewhere"]
    assert [seen.query.get("labelSelector") for seen in server.seen] == [PODS.selector, None]


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("modelfleet.kube.streams._clock", lambda: now[0])
    return now


def test_a_cut_is_told_when_it_lasts_and_taken_back(noted, clock, caplog):
    caplog.set_level(logging.INFO, "modelfleet")
    noted.streams.cut(PODS, "HTTP 503")
    clock[0] = 4.0
    noted.streams.cut(PODS, "HTTP 503")
    assert noted.streams.cuts == ()  # an API server that restarts
    clock[0] = 90.0
    assert noted.streams.cuts == (f"the API server has not served the watch of {PODS} for 90 s",)
    noted.streams.succeeded(PODS, watch=True)
    assert noted.streams.cuts == ()
    assert [record.message for record in caplog.records] == [
        f"the watch of {PODS} is cut: HTTP 503",
        f"the API server serves {PODS} again after 90 s",
    ]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_answer_that_is_none_is_a_cut(noted, clock, status):
    answer = refuses(status, "", "no")
    async with serve(answer) as server, aiohttp.ClientSession(middlewares=(noted.streams.middleware,)) as session:
        for kind in ("nodes", "secrets"):  # the latter is no stream
            await session.get(f"http://127.0.0.1:{server.port}/api/v1/{kind}?watch=true")
    clock[0] = 60.0
    assert noted.streams.cuts == (f"the API server has not served the watch of {NODES} for 60 s",)


async def test_an_api_server_that_is_away_is_a_cut(noted, clock):
    async with aiohttp.ClientSession(middlewares=(noted.streams.middleware,)) as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("http://127.0.0.1:9/api/v1/nodes?watch=true")
    clock[0] = 60.0
    assert noted.streams.cuts
