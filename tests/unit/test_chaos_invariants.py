"""The invariants of the chaos tests on a real API server (testbed/worlds) find what they are for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worlds.chaos_invariants import BAD, Serving, broken, of

Json = dict[str, Any]
PROMOTED, QUARANTINED = "modelfleet.dev/promoted-at", "modelfleet.dev/quarantined-at"


def labels(version: str, group: str = "") -> Json:
    found = {
        "rollout": "line",
        "version": version,
        "revision": f"hash-{version}",
        **({"group": group} if group else {}),
    }
    return {f"modelfleet.dev/{key}": value for key, value in found.items()}


def daemon_set(group: str, version: str, nodes: int = 1) -> Json:
    metadata = {"name": f"line-{group}", "labels": labels(version, group)}
    return {"kind": "DaemonSet", "metadata": metadata, "status": {"desiredNumberScheduled": nodes}}


def revision(version: str, **notes: str) -> Json:
    named = {"promoted": PROMOTED, "quarantined": QUARANTINED}
    annotations = {named[key]: value for key, value in notes.items()}
    metadata = {"name": f"line-hash-{version}", "labels": labels(version), "annotations": annotations}
    return {"kind": "ControllerRevision", "metadata": metadata, "revision": 1}


def pod(group: str, version: str, seconds: float, name: str = "a", ready: str = "True") -> Json:
    since = f"{datetime.now(UTC) - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    metadata = {"name": f"{group}-{name}", "namespace": "n", "labels": labels(version, group)}
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": since}
    return {"metadata": metadata, "spec": {"nodeName": name}, "status": {"conditions": [condition]}}


def said(written: Json, *, revisions: list[Json], carried: str = "v2", seconds: float = 60, nodes: int = 1) -> str:
    """What is wrong with a write while the canary group has this version and the fleet has v1."""
    spec = {"groups": [{"name": "canary"}, {"name": "fleet"}], "gate": {"soak": "5s"}}
    there = of(
        {"metadata": {"name": "line"}, "spec": spec},
        {"items": [daemon_set("canary", carried, nodes), daemon_set("fleet", "v1")]},
        {"items": revisions},
        {"items": [pod("canary", carried, seconds)]},
    )
    return "; ".join(broken(written, there))


V1 = revision("v1", promoted="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("written", "given", "expected"),
    [
        (daemon_set("fleet", "v2"), {}, ""),
        (daemon_set("fleet", "v2"), {"seconds": 2}, "has to soak for"),
        (daemon_set("fleet", "v2"), {"nodes": 2}, "it is ready on 1 of 2 nodes of group canary"),
        (daemon_set("fleet", "v2"), {"carried": "v1"}, "group canary does not have it"),
        (daemon_set("fleet", BAD), {"carried": BAD}, f"group fleet gets {BAD}, which no gate can have passed"),
        (daemon_set("canary", BAD), {"carried": "v1"}, ""),
        (daemon_set("canary", "v1"), {"seconds": 0}, ""),
        (daemon_set("fleet", "v2"), {"revisions": [V1, revision("v2", quarantined="x")]}, "which is quarantined"),
        (revision("v2", promoted="2026-01-02T00:00:00Z"), {}, "v2 is promoted, and group fleet does not have it"),
        (revision("v1", promoted="2026-01-01T00:00:00Z"), {}, ""),
    ],
)
def test_a_write_that_must_not_be_is_found(written: Json, given: Json, expected: str) -> None:
    found = said(written, **{"revisions": [V1, revision("v2")], **given})
    assert expected in found
    assert bool(expected) == bool(found)


def test_a_group_with_too_few_ready_pods_is_found() -> None:
    serving = Serving({"fleet": 3}, {"fleet": 1}, "n")
    for name in ("a", "b", "c"):
        serving.on_change("ADDED", pod("fleet", "v1", 0, name, ready="False"))
        serving.on_change("MODIFIED", pod("fleet", "v1", 0, name))
    serving.on_change("DELETED", pod("fleet", "v1", 0, "a"))
    serving.check()
    other = pod("fleet", "v1", 0, "b", ready="False")
    serving.on_change("MODIFIED", {**other, "metadata": {**other["metadata"], "namespace": "elsewhere"}})
    serving.check()
    serving.on_change("MODIFIED", other)
    assert serving.broken == ["n: 1 of 3 nodes of fleet served"]
    with pytest.raises(AssertionError):
        serving.check()
