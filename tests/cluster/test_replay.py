"""Replays on a real API server and Job controller, with the real agent run by the test, since nodes are simulated."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from agent_processes import Agent
from replay_world import BOLT, CLASSES, NUT, SIDE, World, model

from harness import OperatorProcess
from harness.prometheus import Prometheus
from worlds.rollout import Fleet

Json = dict[str, Any]

OF_REPLAY = "modelfleet.dev/replay=line"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Captures in a folder, and two versions that differ on each: v1 finds bolts, v2 nuts as well."""
    found = World(tmp_path)
    found.fleet()
    return found


def version(world: World, name: str, content: bytes) -> Json:
    """A ModelVersion of a model file that is there."""
    made = world.model(name, content)
    file = {"name": "best.onnx", "format": "onnx", "sha256": made["sha256"], "sizeBytes": made["size"]}
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"parts-{name}"},
        "spec": {
            "model": "parts",
            "version": name,
            "artifact": {"uri": made["uri"].removesuffix("best.onnx"), "files": [file]},
            "classes": list(CLASSES),
            "imageSize": SIDE,
        },
    }


def mounted(container: str, world: World) -> Json:
    """A pod template with the folder in this container."""
    mounts = [{"name": "data", "mountPath": str(world.root)}]
    volumes = [{"name": "data", "hostPath": {"path": str(world.root)}}]
    return {"spec": {"volumes": volumes, "containers": [{"name": container, "volumeMounts": mounts}]}}


def choose(fleet: Fleet, world: World, name: str, **replay: Any) -> None:
    template = mounted("agent", world)
    template["spec"] |= {"terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}]}
    fleet.rollout(
        name,
        template=template,
        delivery={"capture": {"destination": f"file://{world.captures}/"}},
        replay={"template": mounted("replay", world), **replay},
    )


def installed(fleet: Fleet, world: World, **replay: Any) -> None:
    contents = {"v1": model(BOLT), "v2": model(BOLT, NUT)}
    fleet.apply(*(version(world, name, content) for name, content in contents.items()))
    choose(fleet, world, "v1", **replay)
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")


def replay(fleet: Fleet) -> Json:
    found: Json = fleet.status.get("replay") or {}
    return found


def jobs(fleet: Fleet) -> list[Json]:
    return fleet.list("jobs", OF_REPLAY)


def until_running(fleet: Fleet) -> Json:
    """The pod of the replay, once it runs."""
    found: list[Json] = []

    def running() -> bool:
        found[:] = [pod for pod in fleet.list("pods", OF_REPLAY) if pod["status"]["phase"] == "Running"]
        return bool(found)

    fleet.wait(running, "the replay's pod")
    return found[0]


def agent(pod: Json, folder: Path) -> Agent:
    """The real agent, with what its container is told."""
    (container,) = pod["spec"]["containers"]
    told = {entry["name"]: entry["value"].replace("$$", "$") for entry in container["env"] if entry["name"] != "HOME"}
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    started = Agent(folder / "agent", container["args"][0], told | {"TMPDIR": str(scratch), "HOME": str(scratch)})
    assert started.process.wait(60) == 0, started.log.read_text()
    return started


def finish(fleet: Fleet, pod: Json, exit_code: int = 0, message: str = "") -> None:
    fleet.cluster.kwok.finish_pod(fleet.namespace, pod["metadata"]["name"], exit_code=exit_code, message=message)


def test_two_versions_are_replayed_before_the_first_group_once_whenever_the_operator_is_killed(
    fleet: Fleet, world: World, prometheus: Prometheus, operator: OperatorProcess, tmp_path: Path
) -> None:
    installed(fleet, world)
    assert (replay(fleet)["result"], replay(fleet)["reason"]) == ("Skipped", "NoStableVersion")
    choose(fleet, world, "v2")
    fleet.wait(lambda: len(jobs(fleet)) == 1, "the Job")
    operator.kill9()
    (job,) = jobs(fleet)
    operator.start()
    fleet.wait(lambda: fleet.status.get("phase") == "Replaying", "the phase")
    assert fleet.condition("Ready")["message"].startswith("v2 enters group canary after its replay. Job replay-")
    pod = until_running(fleet)
    assert set(fleet.running.values()) == {"v1"}
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Rollout", "line", True)
    _is_restricted(fleet, job)
    fleet.wipe_status()
    fleet.wait(lambda: replay(fleet).get("job") == job["metadata"]["name"], "its status")
    assert set(fleet.running.values()) == {"v1"}

    word = agent(pod, tmp_path).termination.read_text()
    operator.kill9()
    finish(fleet, pod, message=word)
    operator.start()
    fleet.wait(lambda: replay(fleet).get("result") == "Replayed", "the result")
    found = replay(fleet)
    assert (found["stable"], found["candidate"]) == ("v1", "v2")
    assert (found["found"]["frames"], found["found"]["disagreements"]) == (12, 12)
    assert found["found"]["agreement"]["value"] == "0.5"
    assert found["found"]["perClass"][0] == {"name": "nut", "both": 0, "onlyStable": 0, "onlyCandidate": 12}
    assert found["message"].startswith("v2 and v1 agree on 50% (")
    assert len(world.list()["keys"]) == 12, "people are asked about these first"
    wide = fleet.cluster.kubectl("get", "rollout", "line", f"--namespace={fleet.namespace}", "--output=wide")
    assert "REPLAY" in wide.splitlines()[0]
    assert "Replayed" in wide.splitlines()[1]
    described = fleet.cluster.kubectl("describe", "rollout", "line", f"--namespace={fleet.namespace}")
    assert "v2 and v1 agree on 50%" in described

    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    fleet.wipe_status()
    fleet.wait(lambda: replay(fleet).get("found") == found["found"], "the result, found again")
    assert [each["metadata"]["uid"] for each in jobs(fleet)] == [job["metadata"]["uid"]]
    # An Event whose status was written just before a kill is lost: Replaying may be. The next test has no kill.
    fleet.hears("Replayed", "RolloutStarted", "Promoted")
    fleet.wait(lambda: fleet.is_at("v2"), "the rest of the status")
    before = fleet.get("rollout", "line")
    time.sleep(4)
    assert fleet.get("rollout", "line") == before, "the steady state writes nothing"

    fleet.cluster.kubectl("delete", "rollout", "line", f"--namespace={fleet.namespace}")
    fleet.wait(lambda: not jobs(fleet) and not fleet.list("pods", OF_REPLAY), "their removal")


def _is_restricted(fleet: Fleet, job: Json) -> None:
    """Its pod may run where the Pod Security Standard `restricted` is enforced; but for the test's own volume."""
    name = f"{fleet.namespace}-restricted"
    fleet.cluster.kubectl("create", "namespace", name)
    try:
        label = "pod-security.kubernetes.io/enforce=restricted"
        fleet.cluster.kubectl("label", "namespace", name, label)
        spec = job["spec"]["template"]["spec"]
        volumes = [{**each, "hostPath": None, "emptyDir": {}} for each in spec["volumes"]]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "replay"}, "spec": {**spec, "volumes": volumes}}
        document = json.dumps(pod)
        fleet.cluster.kubectl("create", "--dry-run=server", f"--namespace={name}", "--filename=-", input=document)
    finally:
        fleet.cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_a_replay_that_comes_to_nothing_fails_no_version(
    fleet: Fleet, world: World, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet, world, timeout="1m")
    choose(fleet, world, "v2", timeout="1m")
    pod = until_running(fleet)
    word = json.dumps({"reason": "NoCaptures", "message": "none of 3 captured frames is of the random sample"})
    finish(fleet, pod, 1, word)
    fleet.wait(lambda: len(fleet.list("pods", OF_REPLAY)) == 2, "the second try")
    (other,) = (each for each in fleet.list("pods", OF_REPLAY) if each["metadata"]["name"] != pod["metadata"]["name"])
    finish(fleet, other, 1, word)
    fleet.wait(lambda: replay(fleet).get("result") == "Failed", "its end")
    assert replay(fleet)["reason"] == "NoCaptures"
    assert replay(fleet)["message"] == "none of 3 captured frames is of the random sample"
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    fleet.hears("Replaying", "ReplayFailed")


def test_what_the_api_server_refuses_is_said_and_the_version_goes_on(
    fleet: Fleet, world: World, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    wrong = mounted("replay", world)
    wrong["spec"]["volumes"] = []
    installed(fleet, world, template=wrong)
    choose(fleet, world, "v2", template=wrong)
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    found = replay(fleet)
    assert (found["result"], found["reason"]) == ("Skipped", "ApplyRejected")
    assert 'Not found: "data"' in found["message"]
    assert not jobs(fleet)
    fleet.hears("ReplaySkipped")


def test_a_replay_that_never_ends_is_ended_by_the_job_controller_and_the_version_goes_on(
    fleet: Fleet, world: World, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet, world, timeout="1m")
    choose(fleet, world, "v2", timeout="1m")
    until_running(fleet)
    fleet.wait(lambda: fleet.status.get("currentGroup") == "canary", "the canary", patience=100)
    fleet.wait(lambda: replay(fleet).get("reason") == "DeadlineExceeded", "the reason", patience=60)
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")


def test_a_replay_without_captures_is_refused(fleet: Fleet) -> None:
    with pytest.raises(Exception, match=r"there is no delivery\.capture: set it, or leave out replay"):
        fleet.rollout("v1", replay={})
