"""The client against a real API server: what is taken for granted everywhere else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster
from modelfleet.kinds import CONTROLLER_REVISION, JOB, MODEL_VERSION, POD, TRAINING_JOB
from modelfleet.kube import AlreadyExists, Client, Conflict, Connection, Forbidden, Invalid, NotFound, Store, resync
from modelfleet.kube.scope import Scope

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.fixture
async def client(crds: Cluster) -> AsyncIterator[Client]:
    connection = await Connection.open(crds.kubeconfig)
    found = Client(connection)
    yield found
    await found.close()
    await connection.close()


def revision(namespace: str, name: str, **data: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "modelfleet"}},
        "revision": 1,
        "data": data or {"x": 1},
    }


def training_job(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": "parts",
            "mode": "Scratch",
            "architecture": "yolo11n",
            "dataset": {"sources": [{"uri": "s3://data/parts.tar"}]},
            "output": {"uri": "s3://models/"},
        },
    }


async def test_apply_takes_back_the_fields_that_are_left_out(client: Client, namespace: str) -> None:
    manifest = revision(namespace, "a")
    manifest["metadata"]["annotations"] = {"mine": "1", "also-mine": "2"}
    await client.apply(manifest)
    await client.patch(CONTROLLER_REVISION, namespace, "a", {"metadata": {"annotations": {"theirs": "3"}}})
    del manifest["metadata"]["annotations"]["also-mine"]
    assert (await client.apply(manifest))["metadata"]["annotations"] == {"mine": "1", "theirs": "3"}


async def test_repeated_apply_changes_nothing(client: Client, namespace: str) -> None:
    first = await client.apply(revision(namespace, "a"))
    second = await client.apply(revision(namespace, "a"))
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


@pytest.mark.parametrize("make", ["apply", "create"])
async def test_immutable_data_survives_a_patch_of_the_metadata(client: Client, namespace: str, make: str) -> None:
    data = {"z": {"b": "1 < 2 && 3 > 2", "a": [1, "é\u2028"]}, "a": None, "f": 0.5, "m": 'a\\b"c\n'}
    await getattr(client, make)(revision(namespace, "a", **data))
    for number in range(2):
        patched = await client.patch(
            CONTROLLER_REVISION, namespace, "a", {"metadata": {"annotations": {"x": str(number)}}}
        )
    assert patched["data"] == data
    manifest = revision(namespace, "a", **data)
    manifest["metadata"]["annotations"] = {"x": "3"}
    assert (await client.apply(manifest))["metadata"]["annotations"]["x"] == "3"


async def test_refusals_are_typed_and_explain_themselves(client: Client, namespace: str) -> None:
    await client.create(revision(namespace, "a"))
    with pytest.raises(AlreadyExists):
        await client.create(revision(namespace, "a"))
    with pytest.raises(NotFound, match='"b" not found') as missing:
        await client.get(CONTROLLER_REVISION, namespace, "b")
    assert not missing.value.is_missing_type
    with pytest.raises(Invalid, match="field is immutable"):
        await client.patch(CONTROLLER_REVISION, namespace, "a", {"data": {"y": 1}})
    with pytest.raises(Invalid, match="unknown field"):
        await client.create({**revision(namespace, "b"), "nonsense": 1})
    with pytest.raises(Conflict, match="modified"):
        await client.patch(
            CONTROLLER_REVISION, namespace, "a", {"metadata": {"resourceVersion": "1", "labels": {"x": "y"}}}
        )
    with pytest.raises(NotFound):
        await client.read_log(namespace, "nobody", "main")


async def test_namespace_that_is_being_deleted_is_recognised(client: Client, crds: Cluster, namespace: str) -> None:
    name = f"{namespace}-going"
    crds.kubectl("create", "namespace", name)
    keeper = revision(name, "keeper")
    keeper["metadata"]["finalizers"] = ["modelfleet.dev/test"]
    await client.create(keeper)
    crds.kubectl("delete", "namespace", name, "--wait=false")
    with pytest.raises(Forbidden) as refused:
        await client.create(revision(name, "late"))
    assert refused.value.is_terminating
    await client.patch(CONTROLLER_REVISION, name, "keeper", {"metadata": {"finalizers": None}})


async def test_delete_takes_only_the_uid_meant(client: Client, namespace: str) -> None:
    first = await client.create(revision(namespace, "a"))
    uid = first["metadata"]["uid"]
    assert await client.delete(CONTROLLER_REVISION, namespace, "a", "11111111-2222-3333-4444-555555555555") is None
    assert (await client.get(CONTROLLER_REVISION, namespace, "a"))["metadata"]["uid"] == uid
    assert await client.delete(CONTROLLER_REVISION, namespace, "a", uid) is None
    assert await client.delete(CONTROLLER_REVISION, namespace, "a", uid) is None
    with pytest.raises(NotFound):
        await client.get(CONTROLLER_REVISION, namespace, "a")


async def test_delete_returns_what_a_finalizer_keeps(client: Client, namespace: str) -> None:
    kept = revision(namespace, "a")
    kept["metadata"]["finalizers"] = ["modelfleet.dev/test"]
    uid = (await client.create(kept))["metadata"]["uid"]
    rest = await client.delete(CONTROLLER_REVISION, namespace, "a", uid)
    assert rest is not None
    assert rest["metadata"]["deletionTimestamp"]
    await client.patch(CONTROLLER_REVISION, namespace, "a", {"metadata": {"finalizers": None}})


async def test_status_patch_clears_fields_and_is_guarded_by_the_version(client: Client, namespace: str) -> None:
    made = await client.create(training_job(namespace, "t"))
    version = made["metadata"]["resourceVersion"]
    body = {"metadata": {"resourceVersion": version}, "status": {"phase": "Running", "modelVersion": "parts-v1"}}
    patched = await client.patch_status(TRAINING_JOB, namespace, "t", body)
    with pytest.raises(Conflict):
        await client.patch_status(TRAINING_JOB, namespace, "t", body)
    cleared = await client.patch_status(TRAINING_JOB, namespace, "t", {"status": {"modelVersion": None}})
    assert patched["status"]["modelVersion"] == "parts-v1"
    assert "modelVersion" not in cleared["status"]
    assert cleared["metadata"]["generation"] == made["metadata"]["generation"]
    newer = await client.patch_status(TRAINING_JOB, namespace, "t", {"status": {"fieldOfANewerRelease": 1}})
    assert "fieldOfANewerRelease" not in newer["status"]  # dropped, not refused


async def test_list_in_pages_is_one_state(client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelfleet.kube.client._LIST_PAGE", 3)
    await asyncio.gather(*(client.create(revision(namespace, f"r{number}")) for number in range(8)))
    listing = await client.list(CONTROLLER_REVISION, namespace, selector="app.kubernetes.io/managed-by=modelfleet")
    assert [each["metadata"]["name"] for each in listing.items] == [f"r{number}" for number in range(8)]
    assert {each["kind"] for each in listing.items} == {"ControllerRevision"}
    assert all(int(each["metadata"]["resourceVersion"]) <= listing.version for each in listing.items)


async def test_resync_of_a_store_finds_what_was_missed(client: Client, namespace: str) -> None:
    store = Store()
    scope = Scope(CONTROLLER_REVISION, namespace)
    kept, gone = [await client.create(revision(namespace, name)) for name in ("kept", "gone")]
    for each in (kept, gone):
        store.put(each)
    await client.delete(CONTROLLER_REVISION, namespace, "gone", gone["metadata"]["uid"])
    await client.create(revision(namespace, "new"))
    assert await resync.fill(client, store, [scope]) == {scope: 2}
    assert [each["metadata"]["name"] for each in store.list(CONTROLLER_REVISION)] == ["kept", "new"]
    assert await resync.fill(client, store, [scope]) == {scope: 0}


async def test_event_shows_in_describe_and_counts_up(client: Client, crds: Cluster, namespace: str) -> None:
    made = await client.create(training_job(namespace, "t"))
    for _ in range(3):
        await client.post_event(made, "Warning", "DatasetMissing", "there is no s3://data/parts.tar", datetime.now(UTC))
    shown = crds.kubectl("describe", "trainingjob", "t", f"--namespace={namespace}")
    assert "Warning  DatasetMissing" in shown
    assert "(x3 over" in shown
    assert "there is no s3://data/parts.tar" in shown


async def test_events_of_one_second_are_shown_in_the_order_in_which_they_were_said(
    client: Client, crds: Cluster, namespace: str
) -> None:
    made = await client.create(training_job(namespace, "t"))
    said = [f"News{number:02}" for number in range(15)]  # Go's sort keeps the order of equals below 12 only
    now = datetime.now(UTC)
    for reason in reversed(said):  # names are hashes: neither their order nor that of reasons is that of time
        await client.post_event(made, "Normal", reason, "it happened", now)
    described = crds.kubectl("describe", "trainingjob", "t", f"--namespace={namespace}")
    columns = "--output=custom-columns=REASON:.reason"
    listed = crds.kubectl("get", "events", "--sort-by=.lastTimestamp", columns, f"--namespace={namespace}")
    for shown in (described, listed):
        assert re.findall(r"News\d\d", shown) == said[::-1]


async def test_everything_the_store_watches_can_be_listed(client: Client, namespace: str) -> None:
    scopes = [Scope(kind, namespace) for kind in (JOB, POD, MODEL_VERSION, TRAINING_JOB, CONTROLLER_REVISION)]
    assert await resync.check(client, scopes) == ()


async def test_server_name_of_the_kubeconfig_is_verified(crds: Cluster, tmp_path: Path) -> None:
    text = crds.kubeconfig.read_text()
    for name, works in (("localhost", True), ("elsewhere", False)):
        path = tmp_path / name
        path.write_text(text)
        crds_name = crds.kubectl("config", "view", f"--kubeconfig={path}", "-o=jsonpath={.clusters[0].name}")
        crds.kubectl("config", "set-cluster", crds_name, f"--tls-server-name={name}", f"--kubeconfig={path}")
        connection = await Connection.open(path)
        client = Client(connection)
        problems = await resync.check(client, [Scope(TRAINING_JOB)])
        await client.close()
        await connection.close()
        assert (problems == ()) is works
