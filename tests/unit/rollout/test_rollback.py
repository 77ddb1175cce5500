"""What fails goes back to stable, at once and everywhere, and is not tried again."""

import json
from datetime import timedelta

import pytest

from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION, NODE, POD
from unit.rollout import builders
from unit.rollout.simulation import World, fleet, installed, said


def fails(version: str, where: str = "canary"):
    """A gate that fails one version in one group, and lets everything else take its course."""

    def judge(plan, now):
        bad = plan.candidate_version == version and plan.group == where
        return said(plan, now, Verdict.FAIL, "finds 12% less than v1") if bad else None

    return judge


def rolled_back(world: World, version: str) -> bool:
    return world.reason("Stalled") == "RolledBack" and version not in world.versions


def test_a_failed_gate_rolls_back_and_the_fleet_never_ran_it():
    world = installed()
    world.judge = fails("v2")
    world.choose("v2")
    world.run(lambda: rolled_back(world, "v2"))
    assert {node for node, version in world.ran if version == "v2"} == {"canary-0"}
    assert world.phase == "RolledBack"
    assert "finds 12% less than v1" in world.message()
    assert world.reason("Ready") == "RolledBack"
    assert world.reason("Reconciling") is None
    assert (world.status["stableVersion"], world.status.get("candidateVersion")) == ("v1", None)
    entry = world.status["quarantined"][0]
    assert (entry["version"], entry["reason"]) == ("v2", "GateFailed: finds 12% less than v1")
    assert world.status["history"][0] | {"startedAt": "", "finishedAt": ""} == {
        "version": "v2",
        "model": "parts",
        "result": "RolledBack",
        "startedAt": "",
        "finishedAt": "",
        "message": "finds 12% less than v1",
    }
    assert world.status["gate"]["verdict"] == "Fail"
    assert world.events[-2:] == ["GateFailed", "RolledBack"]


def test_a_failure_in_the_last_group_rolls_all_groups_back():
    world = installed()
    world.judge = fails("v2", "fleet")
    world.choose("v2")
    world.run(lambda: world.versions == {"v2"})
    world.run(lambda: world.phase == "RollingBack")
    assert {group["phase"] for group in world.status["groups"]} == {"RollingBack"}
    world.run(lambda: rolled_back(world, "v2"))
    world.run(lambda: len(world.running) == 4)
    assert world.versions == {"v1"}


def test_what_failed_stays_out_until_the_spec_moves_on():
    world = installed()
    world.judge = fails("v2")
    world.choose("v2")
    world.run(lambda: rolled_back(world, "v2"))
    world.rest(3)
    writes, ran = world.writes, len(world.ran)
    world.rest()
    assert (world.writes, len(world.ran)) == (writes, ran)
    world.choose("v1")
    world.rest(2)
    assert world.is_at("v1")
    assert world.reason("Stalled") is None
    world.choose("v2")
    world.rest()
    assert world.reason("Stalled") == "RolledBack", "pinned again, it is still quarantined, and the reason says why"
    assert "finds 12% less" in world.message()
    world.put(builders.model_version("v3", created=world.now))
    world.choose("v3")
    world.run(lambda: world.is_at("v3"))


def test_a_quarantined_version_is_never_chosen_by_tag():
    world = World()
    world.add_nodes("canary", 1)
    world.add_nodes("fleet", 1)
    world.put(builders.model_version("v1"))
    world.put(builders.rollout(None))
    world.run(lambda: world.is_at("v1"))
    world.judge = fails("v3")
    began = world.now
    world.put(builders.model_version("v2", created=began, ready=False))
    world.put(builders.model_version("v3", created=began + timedelta(minutes=1)))
    world.run(lambda: rolled_back(world, "v3"))
    world.put(builders.model_version("v2", created=began, ready=True))
    world.rest()
    assert world.versions == {"v1"}, "what was passed over is not tried instead"
    world.put(builders.model_version("v4", created=world.now))
    world.run(lambda: world.is_at("v4"))


def test_where_only_the_template_changed_the_version_is_not_to_blame():
    world = installed()
    world.judge = fails("v1")
    world.spec(template=builders.template("app:broken"))
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert world.status["quarantined"][0]["revision"].startswith("line-")
    world.judge = lambda plan, now: None
    world.spec(template=builders.template("app:2"))
    world.run(lambda: world.is_at("v1"))


def test_a_quarantined_version_stays_so_under_another_template():
    world = installed()
    world.judge = fails("v2")
    world.choose("v2")
    world.run(lambda: rolled_back(world, "v2"))
    world.spec(template=builders.template("app:2"))
    world.rest(3)
    assert world.reason("Stalled") == "RolledBack"
    assert len(world.store.list(CONTROLLER_REVISION)) == 2, "nothing is made of it"


@pytest.mark.parametrize("held", [{"paused": True}, {"windows": [{"cron": "0 3 * * *", "duration": "1m"}]}])
def test_a_rollback_waits_for_neither_windows_nor_pauses(held):
    world = installed()
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.spec(**held)
    world.rest(2)
    world.judge = fails("v2")
    world.run(lambda: rolled_back(world, "v2"), limit=20)


@pytest.mark.parametrize(
    "broken",
    [
        {"model": {"name": "parts", "version": "v9"}},
        {"windows": [{"cron": "0 22 31 2 *", "duration": "1h"}]},
        {"paused": True, "model": {"name": "parts", "version": "v1"}},
    ],
    ids=["no such version", "impossible window", "paused"],
)
def test_what_failed_goes_back_although_the_spec_can_not_be_used_any_more(broken):
    world = installed()
    world.judge = fails("v2")
    world.choose("v2")
    moments: list[World] = []

    def first_write():
        moments.append(world.killed())

    world.run(lambda: world.running.get("canary-0") == "v2" or bool(_start_to_note(world, first_write)))
    world.run(lambda: rolled_back(world, "v2"))
    quarantined = next(moment for moment in moments if _has_quarantine(moment))
    assert quarantined.running["canary-0"] == "v2", "killed after the quarantine was written, and before anything else"
    quarantined.spec(**broken)
    quarantined.run(lambda: quarantined.running.get("canary-0") == "v1")


def _start_to_note(world: World, note):
    world.after_write = note


def _has_quarantine(world: World) -> bool:
    return any(
        "modelfleet.dev/quarantined-at" in (raw["metadata"].get("annotations") or {})
        for raw in world.store.list(CONTROLLER_REVISION)
    )


@pytest.mark.parametrize("lost", ["window", "version"])
def test_what_is_on_its_way_is_judged_although_it_could_not_move_on(lost):
    world = installed()
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    if lost == "window":
        world.spec(windows=[{"cron": "0 22 31 2 *", "duration": "1h"}])
    else:
        world.put(builders.model_version("v2", deleting=True))
    world.rest(2)
    assert world.running["canary-0"] == "v2"
    world.judge = fails("v2")
    world.run(lambda: world.running.get("canary-0") == "v1")
    assert world.status["quarantined"][0]["version"] == "v2"


def test_without_rollback_on_failure_it_stops_where_it_is():
    world = installed(rollback={"onFailure": False})
    world.judge = fails("v2")
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "GateFailed")
    world.rest()
    assert world.running["canary-0"] == "v2"
    assert world.running["fleet-0"] == "v1"
    assert (world.status["candidateVersion"], world.status["currentGroup"]) == ("v2", "canary")
    assert [entry["version"] for entry in world.status["history"]] == ["v1"]
    assert "modelfleet.dev/abort=v2" in world.message()
    world.annotate("abort", "v2")
    world.run(lambda: rolled_back(world, "v2"))
    assert world.status["history"][0]["result"] == "Aborted"


def test_without_rollback_on_failure_it_can_be_tried_again():
    world = installed(rollback={"onFailure": False})
    world.judge = fails("v2")
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "GateFailed")
    started = world.status["gate"]["startedAt"]
    world.rest(1)
    world.judge = lambda plan, now: None
    world.annotate("retry", "v2@1")
    world.run(lambda: world.phase == "Soaking")
    assert world.status["gate"]["startedAt"] > started, "a new attempt is judged again"
    world.run(lambda: world.is_at("v2"))


def test_a_first_install_that_fails_stays_where_it_is():
    world = fleet()
    world.judge = fails("v1")
    world.run(lambda: world.reason("Stalled") == "InstallFailed")
    world.rest()
    assert world.running == {"canary-0": "v1"}, "there is nothing to go back to, and it goes no further"
    world.judge = lambda plan, now: None
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))


def test_a_first_install_that_failed_goes_on_with_another_template():
    world = fleet()
    world.judge = fails("v1")
    world.run(lambda: world.reason("Stalled") == "InstallFailed")
    world.judge = lambda plan, now: None
    world.spec(template=builders.template("app:fixed"))
    world.run(lambda: world.is_at("v1"))


# --- nodes that can't become ready ------------------------------------------------------------------------------------


def test_a_node_that_can_not_become_ready_fails_the_version():
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    world.choose("v2")
    world.run(lambda: rolled_back(world, "v2"))
    assert "canary-0" in world.message()
    assert "ProgressDeadlineExceeded" in world.message()
    assert {node for node, version in world.ran if version == "v2"} == {"canary-0"}


def test_a_digest_mismatch_says_which_file_and_where():
    def refuse(pod):
        said = '{"reason": "DigestMismatch", "message": "s3://models/parts/v2/best.onnx has digest 00.., not 76.."}'
        pod["status"]["initContainerStatuses"] = [
            {
                "name": "fetch-model",
                "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "message": said}},
            }
        ]

    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    world.problem = refuse
    world.choose("v2")
    world.run(lambda: "DigestMismatch" in world.message())
    assert world.phase == "Progressing"
    for message in (world.message(), world.status["groups"][0]["reason"]):
        assert "DigestMismatch on canary-0" in message
        assert "s3://models/parts/v2/best.onnx" in message
    world.run(lambda: rolled_back(world, "v2"))
    assert "s3://models/parts/v2/best.onnx" in world.message()


def test_a_first_install_waits_for_nodes_that_are_late():
    world = fleet(progressDeadline="3m")
    world.broken.add("v1")
    world.run(lambda: world.reason("Stalled") == "ProgressDeadlineExceeded")
    assert "canary-0" in world.message()
    world.broken.clear()
    world.run(lambda: world.is_at("v1"))
    assert world.reason("Stalled") is None


def test_pods_that_nobody_makes_are_not_held_against_the_version():
    world = installed(progressDeadline="3m")
    world.no_pods.add("canary-0")
    world.choose("v2")
    world.run(lambda: world.reason("PodsMissing") is not None)
    assert "canary-0" in world.message("PodsMissing")
    world.no_pods.clear()  # made by the time of the rollback
    world.run(lambda: world.reason("PodsMissing") is None)
    world.no_pods.add("canary-0")
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE)
    pod = next(raw for raw in world.store.list(POD) if raw["spec"]["nodeName"] == "canary-0")
    world.delete(POD, pod["metadata"]["name"])
    world.run(lambda: world.reason("Stalled") == "ClusterRefuses")
    assert "no pod was created on canary-0: see the events of DaemonSet line-canary" in world.message()
    world.rest(60)
    assert world.status["quarantined"] == []
    world.judge = lambda plan, now: None
    world.no_pods.clear()
    world.put(world.get(NODE, "canary-0"))  # the DaemonSet controller tries again
    world.run(lambda: world.is_at("v2"))


@pytest.mark.parametrize(
    ("waiting", "blamed"),
    [
        ({"reason": "ErrImagePull", "message": "pull access denied, may require authorization"}, False),
        ({"reason": "ErrImagePull", "message": "dial tcp 10.0.0.1:443: i/o timeout"}, False),
        ({"reason": "ErrImagePull", "message": "manifest for app:v9 not found: manifest unknown"}, True),
        ({"reason": "ErrImagePull", "message": "failed to pull: not found: no space left on device"}, False),
        ({"reason": "InvalidImageName", "message": "couldn't parse image name"}, True),
        ({"reason": "CreateContainerError", "message": "mkdir /var/lib/containerd/x: no space left on device"}, False),
        ({"reason": "CreateContainerError", "message": "open /var/lib/containerd/x: input/output error"}, False),
        ({"reason": "RunContainerError", "message": "context deadline exceeded"}, False),
        ({"reason": "RunContainerError", "message": 'exec: "detect": executable file not found in $PATH'}, True),
        ({"reason": "CreateContainerConfigError", "message": 'secret "camera" not found'}, True),
    ],
)
def test_a_pod_that_can_not_start_is_blamed_on_who_is_to_blame(waiting, blamed):
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    world.problem = lambda pod: pod["status"].update(
        containerStatuses=[{"name": "agent", "ready": False, "state": {"waiting": waiting}}]
    )
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") in ("ClusterRefuses", "RolledBack"))
    assert (world.reason("Stalled") == "RolledBack") is blamed
    assert waiting["message"] in world.message()
    assert bool(world.status["quarantined"]) is blamed


@pytest.mark.parametrize(
    ("container", "reason", "blamed"),
    [
        ("fetch-model", "DiskFull", False),
        ("fetch-model", "Unreachable", False),
        ("fetch-model", "AccessDenied", False),
        ("fetch-model", "CacheNotWritable", False),
        ("fetch-model", "DiskError", False),
        ("agent", "DiskError", False),
        ("agent", "ModelMissing", False),  # it was fetched and verified a moment before
        ("fetch-model", "Unsupported", True),
        ("fetch-model", "DigestMismatch", True),
        ("fetch-model", "NotFound", True),
        ("agent", "Unreachable", True),  # whatever an application means by it
    ],
)
def test_a_model_that_can_not_be_fetched_is_blamed_on_who_is_to_blame(container, reason, blamed):
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    said = json.dumps({"reason": reason, "message": "s3://models/v2/best.onnx is so"})
    ended = {"state": {"terminated": {"exitCode": 1, "message": said}}}
    world.problem = lambda pod: pod["status"].update(
        initContainerStatuses=[{"name": container, "ready": False, **ended}]
    )
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") in ("ClusterRefuses", "RolledBack"))
    assert (world.reason("Stalled") == "RolledBack") is blamed
    assert f"{container}: s3://models/v2/best.onnx is so" in world.message()
    assert bool(world.status["quarantined"]) is blamed


CPU = "Pod was rejected: Node didn't have enough resource: cpu, requested: 500, used: 1900, capacity: 2000"
GPU = "Pod was rejected: Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 1, capacity: 1"


@pytest.mark.parametrize(
    ("reason", "message", "blamed"),
    [
        ("Evicted", "Pod was rejected: The node had condition: [DiskPressure]. ", False),
        ("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. ", False),
        ("Evicted", 'Container agent exceeded its local ephemeral storage limit "1Gi". ', True),
        ("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ", True),
        ("Evicted", 'Usage of EmptyDir volume "spool" exceeds the limit "2Gi". ', True),
        ("Preempting", "Preempted in order to admit critical pod", False),
        ("Terminated", "Pod was terminated in response to imminent node shutdown.", False),
        ("NodeShutdown", "Pod was rejected: Pod was rejected as the node is shutting down.", False),
        ("NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match affinity", False),
        ("TopologyAffinityError", "Pod was rejected: Resources cannot be allocated with Topology locality", False),
        ("OutOfcpu", CPU, False),
        ("OutOfnvidia.com/gpu", GPU, False),
        ("SomethingElse", "nobody knows", True),
    ],
)
def test_a_pod_that_the_kubelet_ends_is_blamed_on_who_is_to_blame(reason, message, blamed):
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    world.problem = lambda pod: pod["status"].update(phase="Failed", reason=reason, message=message)
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") in ("ClusterRefuses", "RolledBack"))
    assert (world.reason("Stalled") == "RolledBack") is blamed
    assert message.strip() in world.message()
    assert bool(world.status["quarantined"]) is blamed


@pytest.mark.parametrize("reason", ["Evicted", "Shutdown"])
def test_an_application_does_not_end_for_its_nodes_sake_by_saying_so(reason):
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    said = json.dumps({"reason": reason, "message": "The node had condition: [DiskPressure]"})
    ended = {"name": "agent", "state": {"terminated": {"exitCode": 1, "message": said}}}
    world.problem = lambda pod: pod["status"].update(containerStatuses=[ended])
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") in ("ClusterRefuses", "RolledBack"))
    assert world.reason("Stalled") == "RolledBack"


def waits(name, reason):
    return {"name": name, "restartCount": 0, "ready": False, "state": {"waiting": {"reason": reason}}}


UNSTARTED = {
    "phase": "Pending",
    "initContainerStatuses": [waits("fetch-model", "PodInitializing")],
    "containerStatuses": [waits("agent", "PodInitializing")],
}
NO_SANDBOX = {"type": "PodReadyToStartContainers", "status": "False"}


FETCHES = {"initContainerStatuses": [{"name": "fetch-model", "ready": False, "state": {"running": {}}}]}


@pytest.mark.parametrize(
    ("so", "said"),
    [(UNSTARTED, [NO_SANDBOX]), (UNSTARTED, []), (UNSTARTED | FETCHES, [])],
    ids=["no sandbox", "nothing said", "a slow line"],
)
def test_a_pod_that_its_node_does_not_start_is_not_held_against_the_version(so, said):
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    world.problem = lambda pod: pod["status"].update(
        so, conditions=[each for each in pod["status"].get("conditions", ()) if each not in said] + said
    )
    world.choose("v2")
    world.rest(1)
    assert "PodNotStarted" not in json.dumps(world.status)  # all pods begin so
    world.run(lambda: world.reason("Stalled") in ("ClusterRefuses", "RolledBack"))
    assert world.reason("Stalled") == "ClusterRefuses"
    assert "PodNotStarted on canary-0" in world.message()
    assert "kubectl describe pod" in world.message()
    assert world.status["quarantined"] == []
    world.broken.clear()
    world.run(lambda: world.is_at("v2"))


def test_a_backend_that_the_node_does_not_have_is_not_held_against_the_version():
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    last = json.dumps({"reason": "BackendUnavailable", "message": "BACKEND is cuda: no device"})
    world.problem = lambda pod: pod["status"].update(
        containerStatuses=[
            {
                "name": "agent",
                "ready": False,
                "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "message": last}},
            }
        ]
    )
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") in ("ClusterRefuses", "RolledBack"))
    assert world.reason("Stalled") == "ClusterRefuses"
    assert "BACKEND is cuda: no device" in world.message()
    assert world.status["quarantined"] == []


def test_no_room_is_not_held_against_the_version():
    world = installed(progressDeadline="3m")
    world.broken.add("v2")
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
    world.problem = lambda pod: pod["status"].update(conditions=[scheduled])
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "ClusterRefuses")
    assert "Insufficient cpu" in world.message()
    assert world.events[-1] != "RolledBack"
    world.annotate("abort", "v2")  # people may take it back all the same
    world.run(lambda: world.reason("Stalled") == "RolledBack")


def test_a_version_that_fails_beside_what_the_cluster_refuses_is_taken_back():
    world = installed(progressDeadline="3m", canary=2)
    world.broken.add("v2")
    world.choose("v2")
    world.rest(2)
    world.no_pods.add("canary-1")
    world.delete(POD, next(pod["metadata"]["name"] for pod in world.store.list(POD) if _is_on(pod, "canary-1")))
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert "canary-0" in world.message()
    assert "canary-1" not in world.message()


def _is_on(pod, node):
    return pod["spec"]["nodeName"] == node


def test_nodes_are_given_time_again_after_a_retry():
    world = installed(progressDeadline="3m", rollback={"onFailure": False})
    world.broken.add("v2")
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "ProgressDeadlineExceeded")
    world.annotate("retry", "v2@1")
    world.rest(6)
    assert world.reason("Stalled") is None
    world.run(lambda: world.reason("Stalled") == "ProgressDeadlineExceeded")


# --- no verdict -------------------------------------------------------------------------------------------------------


def test_no_verdict_in_time_pauses_and_asks():
    world = installed()
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE, "no verdict after 1h.", timed_out=True)
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "GateTimedOut")
    assert "modelfleet.dev/promote=v2" in world.message()
    assert "modelfleet.dev/abort=v2" in world.message()
    world.rest()
    assert world.running["canary-0"] == "v2"
    world.annotate("promote", "v2")
    world.run(lambda: world.is_at("v2"))


def test_no_verdict_in_time_rolls_back_where_the_policy_says_so():
    world = installed(gate={"soak": "5m", "interval": "1m", "timeout": "1h", "onTimeout": "Rollback"})
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE, "no verdict after 1h", timed_out=True)
    world.choose("v2")
    world.run(lambda: rolled_back(world, "v2"))
    assert "GateTimedOut" in world.message()


def test_no_data_rolls_back_where_the_policy_says_so_and_the_soak_is_over():
    world = installed(gate={"soak": "5m", "interval": "1m", "timeout": "1h", "onNoData": "Rollback"})
    world.judge = lambda plan, now: said(plan, now, Verdict.NO_DATA, "nothing is there")
    world.choose("v2")
    world.run(lambda: world.phase == "Holding")
    began = world.now
    world.run(lambda: rolled_back(world, "v2"))
    assert (world.now - began).total_seconds() >= 240
    assert "NoData" in world.message()
