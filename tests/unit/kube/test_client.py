"""The client: what it sends, and what it makes of what comes back."""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from modelfleet.kinds import DAEMON_SET, NODE, POD, TRAINING_JOB
from modelfleet.kube import AlreadyExists, ApiError, Client, Conflict, Connection, Invalid, NotFound, Unavailable
from modelfleet.kube.client import encode, path_of
from modelfleet.kube.rate_limit import TokenBucket
from unit.kube.apiserver import connected, hangs, refuses, says, serve, streams
from unit.kube.raw import obj

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@asynccontextmanager
async def client_of(folder, *answers, **options):
    async with serve(*answers) as server, connected(server, folder) as connection:
        client = Client(connection, **options)
        try:
            yield client, server
        finally:
            await client.close()


def page(items, version, token=""):
    return says({"kind": "PodList", "metadata": {"resourceVersion": version, "continue": token}, "items": items})


def bare(name, version):
    return {key: value for key, value in obj(POD, name, version).items() if key not in ("apiVersion", "kind")}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        (POD, "ns", "a", "/api/v1/namespaces/ns/pods/a"),
        (POD, "", "", "/api/v1/pods"),
        (POD, "ns", "a/log", "/api/v1/namespaces/ns/pods/a/log"),
        (DAEMON_SET, "ns", "", "/apis/apps/v1/namespaces/ns/daemonsets"),
        (NODE, "ignored", "n", "/api/v1/nodes/n"),
        (TRAINING_JOB, "ns", "a/status", "/apis/modelfleet.dev/v1alpha1/namespaces/ns/trainingjobs/a/status"),
        (POD, "ns", "a?b", "/api/v1/namespaces/ns/pods/a%3Fb"),
    ],
)
def test_paths(kind, namespace, name, path):
    assert path_of(kind, namespace, name) == path


def test_bodies_are_spelled_as_go_spells_them():
    body = {"b": {"z": 1, "a": "1 < 2 && é\u2028"}, "a": [1.5, None, True]}
    spelled = r'{"a":[1.5,null,true],"b":{"a":"1 \u003c 2 \u0026\u0026 é\u2028","z":1}}'
    assert encode(body) == spelled.encode()
    assert json.loads(encode(body)) == body
    assert encode("half \ud83d") == b'"half ?"'


async def test_apply_is_a_forced_server_side_apply(tmp_path):
    manifest = obj(POD, "a", 1)
    async with client_of(tmp_path, says(obj(POD, "a", 2))) as (client, server):
        assert (await client.apply(manifest))["metadata"]["resourceVersion"] == "2"
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.body) == ("PATCH", "/api/v1/namespaces/ns/pods/a", manifest)
    assert seen.headers["Content-Type"] == "application/apply-patch+yaml"
    assert seen.headers["Authorization"] == "Bearer t1"
    assert (seen.query["fieldManager"], seen.query["force"]) == ("modelfleet", "true")


async def test_patch_and_status_patch_are_merge_patches(tmp_path):
    async with client_of(tmp_path, says(obj(POD, "a", 2))) as (client, server):
        await client.patch(POD, "ns", "a", {"metadata": {"finalizers": None}})
        await client.patch_status(POD, "ns", "a", {"status": {"x": None}})
    assert [seen.path for seen in server.seen] == [
        "/api/v1/namespaces/ns/pods/a",
        "/api/v1/namespaces/ns/pods/a/status",
    ]
    assert {seen.headers["Content-Type"] for seen in server.seen} == {"application/merge-patch+json"}
    assert server.seen[0].body == {"metadata": {"finalizers": None}}


async def test_list_follows_the_pages_and_says_what_the_items_are(tmp_path):
    pages = page([bare("a", 1)], "50", "more"), page([bare("b", 2)], "50")
    async with client_of(tmp_path, *pages) as (client, server):
        listing = await client.list(POD, "ns", selector="a=b")
    assert [each["metadata"]["name"] for each in listing.items] == ["a", "b"]
    assert {(each["apiVersion"], each["kind"]) for each in listing.items} == {("v1", "Pod")}
    assert listing.version == 50
    assert server.seen[1].query == {"labelSelector": "a=b", "limit": "500", "continue": "more"}
    assert "resourceVersion" not in server.seen[0].query  # a consistent read, not whatever a cache holds


async def test_list_whose_pages_expire_begins_anew(tmp_path):
    answers = page([bare("a", 1)], "50", "more"), refuses(410, "Expired", "too old"), page([bare("b", 2)], "60")
    async with client_of(tmp_path, *answers) as (client, _):
        listing = await client.list(POD)
    assert [each["metadata"]["name"] for each in listing.items] == ["b"]
    assert listing.version == 60


async def test_limited_list_is_one_page(tmp_path):
    async with client_of(tmp_path, page([], "50", "more")) as (client, server):
        await client.list(POD, limit=1)
    assert [seen.query for seen in server.seen] == [{"limit": "1"}]


async def test_the_version_of_an_api_that_the_server_prefers(tmp_path):
    group = {"kind": "APIGroup", "preferredVersion": {"groupVersion": "kueue.x-k8s.io/v1beta2", "version": "v1beta2"}}
    async with client_of(tmp_path, says(group), refuses(404, "", "404 page not found")) as (client, server):
        assert await client.preferred_version("kueue.x-k8s.io") == "v1beta2"
        assert server.seen[0].path == "/apis/kueue.x-k8s.io"
        with pytest.raises(NotFound):
            await client.preferred_version("kueue.x-k8s.io")


async def test_delete_names_the_uid_and_leaves_children_to_the_background(tmp_path):
    async with client_of(tmp_path, says({"kind": "Status", "status": "Success"})) as (client, server):
        assert await client.delete(POD, "ns", "a", "u1") is None
    (seen,) = server.seen
    assert seen.method == "DELETE"
    assert seen.body["preconditions"] == {"uid": "u1"}
    assert seen.body["propagationPolicy"] == "Background"


async def test_delete_returns_what_a_finalizer_keeps(tmp_path):
    async with client_of(tmp_path, says(obj(POD, "a", 9))) as (client, _):
        assert (await client.delete(POD, "ns", "a", "u1"))["metadata"]["resourceVersion"] == "9"


async def test_delete_of_what_has_changed_since_it_was_read_is_a_conflict(tmp_path):
    async with client_of(tmp_path, refuses(409, "Conflict", "it changed")) as (client, server):
        with pytest.raises(Conflict):
            await client.delete(POD, "ns", "a", "u1", "7")
    assert server.seen[0].body["preconditions"] == {"uid": "u1", "resourceVersion": "7"}


@pytest.mark.parametrize(
    "answers",
    [
        [refuses(404, "NotFound", "gone")],
        [refuses(409, "Conflict", "another uid"), says(obj(POD, "a", 9, uid="u2"))],
        [refuses(409, "Conflict", "another uid"), refuses(404, "NotFound", "gone")],
    ],
)
async def test_delete_of_what_is_gone_or_another_is_no_error(tmp_path, answers):
    async with client_of(tmp_path, *answers) as (client, _):
        assert await client.delete(POD, "ns", "a", "u1") is None


async def test_delete_that_is_refused_with_a_conflict_while_the_object_is_there_is_one(tmp_path):
    answers = refuses(409, "Conflict", "a webhook says so"), says(obj(POD, "a", 9, uid="u1"))
    async with client_of(tmp_path, *answers) as (client, _):
        with pytest.raises(Conflict, match="a webhook says so"):
            await client.delete(POD, "ns", "a", "u1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refuses(422, "Invalid", "spec.x: bad"), Invalid),
        (refuses(409, "AlreadyExists", "there"), AlreadyExists),
        (refuses(409, "Conflict", "changed"), Conflict),
        (refuses(404, "NotFound", "no"), NotFound),
        (refuses(500, "InternalError", "oops"), Unavailable),
    ],
)
async def test_refusals_are_typed(tmp_path, answer, kind):
    async with client_of(tmp_path, answer) as (client, _):
        with pytest.raises(kind):
            await client.create(obj(POD, "a", 1))


async def test_server_that_hangs_is_unavailable_in_time(tmp_path):
    async with client_of(tmp_path, hangs(), timeout=0.05) as (client, _):
        with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s"):
            await client.get(POD, "ns", "a")


async def test_server_that_is_not_there_is_unavailable(tmp_path):
    async with serve(hangs()) as server:
        kubeconfig = server.kubeconfig(tmp_path)
    connection = await Connection.open(kubeconfig)
    client = Client(connection)
    with pytest.raises(Unavailable, match="could not be reached"):
        await client.get(POD, "ns", "a")
    await client.close()
    await connection.close()


async def test_answer_that_is_no_json_is_unavailable(tmp_path):
    async with client_of(tmp_path, streams("<html>")) as (client, _):
        with pytest.raises(Unavailable):
            await client.get(POD, "ns", "a")


async def test_retry_after_is_kept(tmp_path):
    async with client_of(tmp_path, refuses(429, "TooManyRequests", "slow", **{"Retry-After": "3"})) as (client, _):
        with pytest.raises(Unavailable) as caught:
            await client.get(POD, "ns", "a")
    assert caught.value.retry_after == 3.0


async def test_credentials_are_loaded_again_after_a_401(tmp_path, monkeypatch):
    monkeypatch.setattr("modelfleet.kube.connection._RENEW_AT_MOST_EVERY", 0.0)
    async with client_of(tmp_path, refuses(401, "Unauthorized", "who?"), says(obj(POD, "a", 1))) as (client, server):
        server.kubeconfig(tmp_path, token="t2")
        with pytest.raises(Unavailable):
            await client.get(POD, "ns", "a")
        await client.get(POD, "ns", "a")
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("content", "says_"),
    [
        (None, "can't be read|does not exist|Invalid kube-config"),
        ("{]", "can't be read"),
        ("kind: Config", "credentials"),
    ],
)
async def test_kubeconfig_that_can_not_be_used_is_explained(tmp_path, content, says_):
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ApiError, match=says_):
        await Connection.open(path)


async def test_outside_of_a_pod_the_way_in_is_explained(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ApiError, match="--kubeconfig"):
        await Connection.open(None)


async def test_event_is_created_and_counted_up_when_it_is_there(tmp_path):
    known = {"metadata": {"resourceVersion": "5"}, "count": 2}
    answers = says({"kind": "Event"}, 201), refuses(409, "AlreadyExists", "there"), says(known), says({"kind": "Event"})
    async with client_of(tmp_path, *answers) as (client, server):
        for _ in range(2):
            await client.post_event(obj(TRAINING_JOB, "t", 1), "Normal", "Started", "it began", NOW)
    assert [seen.method for seen in server.seen] == ["POST", "POST", "GET", "PATCH"]
    assert server.seen[0].body["lastTimestamp"] < server.seen[3].body["lastTimestamp"], "it was said later"
    assert server.seen[3].body["count"] == 3
    assert server.seen[3].body["metadata"]["resourceVersion"] == "5"


async def test_log_is_read_and_followed_with_timestamps(tmp_path):
    answers = streams("one\ntwo\n"), streams("2026-01-01T00:00:00.5Z one two\n2026-01-01T00:00:01Z ", "three\n")
    async with client_of(tmp_path, *answers) as (client, server):
        assert await client.read_log("ns", "p", "main", tail_lines=2) == "one\ntwo\n"
        lines = [line async for line in client.follow_log("ns", "p", "main", since="2026-01-01T00:00:00Z")]
    assert lines == [("2026-01-01T00:00:00.5Z", "one two"), ("2026-01-01T00:00:01Z", "three")]
    assert server.seen[0].query == {"container": "main", "limitBytes": "16777216", "tailLines": "2"}
    assert server.seen[1].query == {
        "container": "main",
        "follow": "true",
        "timestamps": "true",
        "sinceTime": "2026-01-01T00:00:00Z",
    }


async def test_log_that_breaks_off_is_unavailable_after_its_lines(tmp_path):
    async with client_of(tmp_path, streams("t1 one\n", breaks=True)) as (client, _):
        lines = client.follow_log("ns", "p", "main")
        assert await anext(lines) == ("t1", "one")
        with pytest.raises(Unavailable):
            await anext(lines)


async def test_writes_wait_for_their_turn_and_reads_do_not(tmp_path, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    async with client_of(tmp_path, says(obj(POD, "a", 1)), writes=TokenBucket(0.1, 2)) as (client, _):
        monkeypatch.setattr("modelfleet.kube.client.asyncio.sleep", sleep)
        for _ in range(3):
            await client.patch(POD, "ns", "a", {})
            await client.get(POD, "ns", "a")
    (waited,) = [wait for wait in waits if wait]  # the server sleeps for 0 s now and then
    assert 0 < waited <= 10  # less what the requests themselves took


async def test_each_request_is_observed(tmp_path):
    seen = []
    answers = says(obj(POD, "a", 1)), refuses(404, "NotFound", "no"), hangs()
    observer = lambda verb, kind, code, seconds: seen.append((verb, kind.qualified, code))  # noqa: E731
    async with client_of(tmp_path, *answers, timeout=0.05, observer=observer) as (client, _):
        await client.apply(obj(POD, "a", 1))
        for _ in range(2):
            with pytest.raises(ApiError):
                await client.get(POD, "ns", "a")
    assert seen == [("apply", "pods", "200"), ("get", "pods", "404"), ("get", "pods", "timeout")]


async def test_nothing_is_written_where_it_may_not_be_and_reads_go_on(tmp_path):
    def not_the_leader():
        raise Unavailable("not the leader")

    pod = obj(POD, "a", 1)
    async with client_of(tmp_path, says(pod), may_write=not_the_leader) as (client, server):
        for write in (
            client.apply(pod),
            client.create(pod),
            client.patch(POD, "ns", "a", {}),
            client.patch_status(POD, "ns", "a", {}),
            client.delete(POD, "ns", "a", "u"),
            client.post_event(pod, "Normal", "Begun", "it began", NOW),
        ):
            with pytest.raises(Unavailable, match="not the leader"):
                await write
        assert server.seen == []
        await client.get(POD, "ns", "a")
        assert [seen.method for seen in server.seen] == ["GET"]
