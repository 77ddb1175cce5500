"""The state of Rollouts and TrainingJobs in the operator's metrics."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from modelfleet.kube import ROLLOUT, Store
from modelfleet.observability.objects import ObjectStates

AT = "2026-11-29T12:00:00Z"
UNIX = 1795953600.0


def condition(type: str, status: str, reason: str) -> dict[str, Any]:
    return {"type": type, "status": status, "reason": reason, "message": "", "lastTransitionTime": AT}


def obj(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any], version: str = "1") -> dict[str, Any]:
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": kind,
        "metadata": {"namespace": "factory", "name": name, "uid": f"{name}-uid", "resourceVersion": version},
        "spec": spec,
        "status": status,
    }


def rollout(**status: Any) -> dict[str, Any]:
    spec = {
        "model": {"name": "parts", "version": "v1"},
        "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"a": "b"}}}],
        "delivery": {"container": "app"},
        "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}},
    }
    return obj("Rollout", "line", spec, status)


def training(**status: Any) -> dict[str, Any]:
    spec = {
        "model": "parts",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "dataset": {"sources": [{"uri": "s3://data/parts/"}]},
        "output": {"uri": "s3://models/"},
    }
    return obj("TrainingJob", "parts-v2", spec, status)


def shown(*objects: dict[str, Any]) -> dict[str, float]:
    """All samples, as lines have them."""
    store, registry = Store(), CollectorRegistry()
    registry.register(ObjectStates(store))
    for each in objects:
        store.put(each)
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


LINE = 'namespace="factory",rollout="line"'


def test_conditions_with_their_reason_also_those_that_are_false() -> None:
    found = shown(
        rollout(
            conditions=[condition("Ready", "False", "InvalidWindow"), condition("Stalled", "True", "InvalidWindow")]
        )
    )
    assert (
        found[
            f'modelfleet_rollout_condition{{namespace="factory",reason="InvalidWindow",{LINE.split(",")[1]},type="Ready"}}'
        ]
        == 0
    )
    assert (
        found[
            f'modelfleet_rollout_condition{{namespace="factory",reason="InvalidWindow",{LINE.split(",")[1]},type="Stalled"}}'
        ]
        == 1
    )


def test_groups_and_what_they_should_run() -> None:
    groups = [
        {"name": "fleet", "version": "v1", "nodes": 9, "updated": 8, "ready": 7, "unreachable": 1},
        {"name": "new"},
    ]
    found = shown(rollout(groups=groups, stableVersion="v1", candidateVersion="v2"))
    of = f'{{group="fleet",{LINE}}}'
    figures = [found[f"modelfleet_rollout_nodes{part}{of}"] for part in ("", "_updated", "_ready", "_unreachable")]
    assert figures == [9, 8, 7, 1]
    assert found[f'modelfleet_rollout_group_version_info{{group="fleet",{LINE},version="v1"}}'] == 1
    assert not any('group="new"' in name for name in found if "version_info" in name)
    assert {name for name in found if "rollout_version_info" in name} == {
        f'modelfleet_rollout_version_info{{namespace="factory",role="{role}",rollout="line",version="{version}"}}'
        for role, version in (("stable", "v1"), ("candidate", "v2"))
    }


def test_a_version_that_failed_twice_is_one_series_with_the_newest_time() -> None:
    quarantined = [
        {"version": "v2", "reason": "GateFailed: worse", "at": AT},
        {"version": "v2", "reason": "GateFailed: before", "at": "2026-11-28T12:00:00Z"},
    ]
    history = [
        {"version": "v1", "result": "Promoted", "finishedAt": "2026-11-20T12:00:00Z"},
        {"version": "v1", "result": "Promoted", "finishedAt": AT},
        {"version": "v3", "result": "Superseded"},
    ]
    found = shown(rollout(quarantined=quarantined, history=history))
    quarantine = "modelfleet_rollout_quarantined_timestamp_seconds"
    assert found[f'{quarantine}{{cause="GateFailed",{LINE},version="v2"}}'] == UNIX
    ends = {name: value for name, value in found.items() if "rollout_end" in name}
    assert list(ends.values()) == [UNIX]


def test_a_training_that_ended() -> None:
    failed = shown(training(conditions=[condition("Failed", "True", "OutOfMemory")], finishedAt=AT))
    of = 'model="parts",namespace="factory",result="Failed",training_job="parts-v2"'
    assert failed[f"modelfleet_trainingjob_end_timestamp_seconds{{{of}}}"] == UNIX
    running = shown(training(conditions=[condition("Reconciling", "True", "Training")]))
    assert not any("end_timestamp" in name for name in running)
    assert sum(running.values()) == 1


def test_what_is_gone_is_not_shown() -> None:
    store, registry = Store(), CollectorRegistry()
    registry.register(ObjectStates(store))
    store.put(rollout(stableVersion="v1"))
    assert b'rollout="line"' in generate_latest(registry)
    store.forget(ROLLOUT, "factory", "line", "line-uid")
    assert b'rollout="line"' not in generate_latest(registry)


def test_an_object_that_cant_be_read_breaks_no_scrape() -> None:
    bad = rollout() | {
        "spec": {"model": "parts"},
        "metadata": {**rollout()["metadata"], "name": "bad", "uid": "bad-uid"},
    }
    found = shown(bad, rollout(stableVersion="v1"), training(attempts="many"))
    assert [name for name in found if "version_info" in name]
    assert not any("bad" in name for name in found)


def test_what_the_operator_says_of_an_object_that_cant_be_read_is_shown() -> None:
    """ModelfleetRolloutStuck goes by it. What else is in such a status may be anything."""
    told = [
        condition("Stalled", "True", "Unreadable"),
        {"type": "Ready"},
        "Ready",
        condition("A", "True", "B") | {"reason": 3},
    ]
    bad = rollout(conditions=told) | {"spec": {"model": "parts"}}
    assert shown(bad) == {
        'modelfleet_rollout_condition{namespace="factory",reason="Unreadable",rollout="line",type="Stalled"}': 1
    }
    wrong = training(conditions=told) | {"spec": {"model": "parts", "mode": "Scratch"}}
    of = 'namespace="factory",reason="Unreadable",training_job="parts-v2",type="Stalled"'
    assert shown(wrong) == {f"modelfleet_trainingjob_condition{{{of}}}": 1}
    for status in ({"conditions": "none"}, {"conditions": []}, None, "none"):
        assert shown(bad | {"status": status}) == {}


def test_the_last_replay() -> None:
    replay = {
        "stable": "v1",
        "candidate": "v2",
        "result": "Replayed",
        "reason": "Replayed",
        "message": "",
        "finishedAt": AT,
        "found": {"frames": 9, "nodeDays": 3, "oldest": AT, "disagreements": 4, "agreement": {"value": "0.91"}},
    }
    found = shown(rollout(replay=replay))
    pair = f'{{{LINE},stable="v1",version="v2"}}'
    assert found[f"modelfleet_rollout_replay_agreement_ratio{pair}"] == 0.91
    assert found[f"modelfleet_rollout_replay_disagreements{pair}"] == 4
    ended = "modelfleet_rollout_replay_end_timestamp_seconds"
    assert found[f'{ended}{{namespace="factory",result="Replayed",rollout="line",version="v2"}}'] == UNIX
    failed = shown(rollout(replay={**replay, "result": "Failed", "found": None}))
    assert [name for name in failed if "replay" in name] == [
        f'{ended}{{namespace="factory",result="Failed",rollout="line",version="v2"}}'
    ]
    running = shown(rollout(replay={"candidate": "v2", "reason": "Replaying", "message": ""}))
    assert not [name for name in running if "replay" in name]
