"""What comes of a replay: when its Job is made, how long a version waits for it, and what status says of it."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from modelfleet.api import names
from modelfleet.api.dataset import Dataset
from modelfleet.api.replay import ReplayStatus
from modelfleet.decision import Create, Delete
from modelfleet.rollout import phases
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.position import Position
from modelfleet.rollout.replay import messages, outcome
from modelfleet.rollout.replay.job import replay_job
from modelfleet.rollout.replay.outcome import Outcome, look
from modelfleet.rollout.replay.pair import Side, pair
from modelfleet.rollout.revisions import Quarantine, Revision
from modelfleet.rollout.signatures import Signing
from modelfleet.rollout.snapshot import Refusal
from unit.datasets import builders as datasets
from unit.rollout import builders, positions
from unit.rollout.positions import NOW
from unit.rollout.replays import CAPTURE, FOUND, NO_CAPTURES, condition, raw_job, raw_pod, word

MINUTE = timedelta(minutes=1)


def standing(
    *jobs: Any,
    carry: tuple[str | None, ...] = ("v1", "v1", "v1"),
    version: str = "v2",
    spec: dict[str, Any] | None = None,
    old: ReplayStatus | None = None,
    revisions: tuple[Any, ...] | None = None,
    delivery: Any = CAPTURE,
    template: Any = None,
    **more: Any,
) -> Position:
    """v1 is stable, v2 is asked for."""
    changes: dict[str, Any] = {"replay": {} if spec is None else spec, "delivery": delivery}
    changes |= {} if template is None else {"template": template}
    rollout = positions.rollout(version, status={} if old is None else {"replay": old.to_dict()}, **changes)
    seen = positions.snapshot([None] * 3, rollout, replays=tuple(replay_job(*job) for job in jobs), **more)
    labels = [None if each is None else {names.REVISION: revised(each).hash} for each in carry]
    groups = tuple(
        replace(group, daemon_set=None if each is None else {"metadata": {"labels": each}})
        for group, each in zip(seen.groups, labels, strict=True)
    )
    return positions.locate(replace(seen, groups=groups), *((STABLE,) if revisions is None else revisions))


def revised(version: str, **facts: Any) -> Revision:
    """The ControllerRevision of a version whose nodes capture."""
    rollout = positions.rollout(version, delivery=CAPTURE)
    made = revs.desired(rollout, positions.VERSIONS[version], (), builders.AGENT_IMAGE, builders.START)
    return replace(made, uid=f"uid-{version}", number=int(version[1:]), **facts)


STABLE = revised("v1", promoted_at=builders.START)


def name_of(position: Position) -> str:
    compared = pair(position)
    assert compared is not None
    return compared.job_name("line", "uid-line")


NAME = name_of(standing())
RUNNING = (raw_job(NAME), [raw_pod()])
REPLAYED = (raw_job(NAME, end=condition("Complete", NOW + 2 * MINUTE)), [raw_pod(0, word())])
EMPTY = (raw_job(NAME, end=condition("Failed", NOW + 2 * MINUTE)), [raw_pod(1, NO_CAPTURES)])
FOREIGN = (raw_job("replay-line-0000000000"), [raw_pod()])


def test_what_a_wrong_key_refused_is_replayed_again_with_the_right_one() -> None:
    names_by_key = {name_of(standing(signing=Signing(key, required=True))) for key in ("one", "other")}
    assert len(names_by_key | {NAME}) == 3


def made(found: Outcome) -> Any:
    """The Job that is made."""
    (action,) = (each for each in found.actions if isinstance(each, Create))
    assert action.optional, "the rollout goes on where it is refused"
    return action.manifest


def removed(found: Outcome) -> list[str]:
    return [each.name for each in found.actions if isinstance(each, Delete)]


def said(found: Outcome) -> tuple[Any, ...]:
    assert found.status is not None
    return found.status.result, found.status.reason, found.status.job


def step(position: Position, now: Any = NOW) -> phases.Step:
    return phases.step(Assessment(position, now))


def test_the_job_is_made_before_the_first_group_and_the_version_waits():
    position = standing()
    found = look(position, NOW)
    job = made(found)
    assert job["metadata"]["name"] == NAME
    assert len(NAME) <= 63
    assert job["metadata"]["labels"] == {names.MANAGED_BY: "modelfleet", names.REPLAY: "line", names.MODEL: "parts"}
    assert job["metadata"]["annotations"] == {names.REPLAY_STABLE: "v1", names.REPLAY_CANDIDATE: "v2"}
    assert [(owner["kind"], owner["name"]) for owner in job["metadata"]["ownerReferences"]] == [("Rollout", "line")]
    assert {name: value for name, value in job["spec"].items() if name != "template"} == {
        "activeDeadlineSeconds": 1800,
        "backoffLimit": 1,
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
    }
    assert said(found) == (None, "Replaying", NAME)
    assert (found.until, found.wake) == (NOW + 30 * MINUTE, NOW + 30 * MINUTE)
    told = step(position)
    assert (told.phase, told.reason, told.advance) == ("Replaying", "Replaying", False)
    assert told.message.startswith("v2 enters group canary after its replay. ")


def test_while_the_job_runs_nothing_is_made_and_the_version_waits_for_so_long_and_no_longer():
    position = standing(RUNNING)
    found = look(position, NOW + MINUTE)
    assert (found.actions, said(found)) == ((), (None, "Replaying", NAME))
    assert found.status is not None
    assert found.status.started_at == NOW
    assert found.status.message.endswith("the rollout continues by 2026-11-21 10:30 UTC at the latest.")
    assert step(position, NOW + 29 * MINUTE).advance is False
    late = look(position, NOW + 30 * MINUTE)
    assert (late.until, late.actions, said(late)) == (None, (), (None, "Replaying", NAME))
    assert step(position, NOW + 30 * MINUTE).advance


def test_what_was_found_is_shown_and_the_version_goes_on():
    position = standing(REPLAYED)
    found = look(position, NOW + 2 * MINUTE)
    assert said(found) == ("Replayed", "Replayed", NAME)
    assert found.status is not None
    assert found.status.found is not None
    assert found.status.found.disagreements == FOUND["disagreements"]
    assert (found.status.started_at, found.status.finished_at) == (NOW, NOW + 2 * MINUTE)
    assert found.status.message == (
        "v2 and v1 agree on 91% (88% to 93%) of their boxes, on 200 frames of 34 node-days. 29 frames differ. On 60 "
        "reviewed frames: v1 precision 90%, recall 82%, v2 precision 89%, recall 99.6%. Where they differ there, v2 is "
        "right in 17 of 22 cases."
    )
    assert (found.until, found.actions) == (None, ())
    assert step(position, NOW + 2 * MINUTE).advance


@pytest.mark.parametrize("old", [None, look(standing(REPLAYED), NOW + 2 * MINUTE).status], ids=["lost", "known"])
def test_a_result_stays_whether_the_status_or_the_pod_is_lost(old: ReplayStatus | None):
    kept = look(standing(REPLAYED), NOW + 2 * MINUTE).status
    pods: list[Any] = [] if old is not None else REPLAYED[1]
    again = look(standing((REPLAYED[0], pods), old=old), NOW + 9 * MINUTE)
    assert (again.status, again.actions) == (kept, ())
    gone = look(standing(old=kept), NOW + 9 * MINUTE)
    assert (gone.status, gone.actions) == (kept, ()), "one Job for a pair, whatever became of it"


END = NOW + 2 * MINUTE
FAILED = condition("Failed", END, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
LATE = condition("Failed", END, "DeadlineExceeded", "Job was active longer than specified deadline")
HAD_A_POD = raw_job(NAME, end=LATE)
HAD_A_POD["status"]["failed"] = 1  # the one that went at the deadline
WAITING = {"containerStatuses": [{"name": "replay", "state": {"waiting": {"reason": "CreateContainerConfigError"}}}]}


@pytest.mark.parametrize(
    ("job", "reason", "says"),
    [
        (EMPTY, "NoCaptures", "none of 3 captured frames is of the sample"),
        ((raw_job(NAME, end=FAILED), [raw_pod(137, "", "OOMKilled")]), "OutOfMemory", "raise resources.limits.memory"),
        ((raw_job(NAME, end=FAILED), [raw_pod(139, "Segmentation fault")]), "ReplayCrashed", "kubectl logs replay-x"),
        ((raw_job(NAME, end=FAILED), [raw_pod(1, word())]), "ReplayCrashed", "exit code 1"),
        ((raw_job(NAME, end=FAILED), []), "JobFailed", "specified backoff limit"),
        ((HAD_A_POD, []), "DeadlineExceeded", "longer than spec.replay.timeout. Raise it"),
        ((raw_job(NAME, end=LATE), []), "DeadlineExceeded", "spec.replay.timeout: The Job has created no pod"),
        ((raw_job(NAME, end=LATE), [raw_pod(143)]), "DeadlineExceeded", "longer than spec.replay.timeout"),
        ((raw_job(NAME, end=LATE), [raw_pod(1, NO_CAPTURES)]), "NoCaptures", "none of 3"),
        ((raw_job(NAME, end=condition("Complete", END)), []), "ResultLost", "its pod is gone"),
        ((raw_job(NAME, end=condition("Complete", END)), [raw_pod(0, "{}")]), "ResultInvalid", "says neither"),
        ((raw_job(NAME, end=condition("Complete", END)), [raw_pod(0, NO_CAPTURES)]), "ReplayCrashed", "exit code 0"),
    ],
)
def test_why_it_came_to_nothing_is_said_and_the_version_goes_on(job: Any, reason: str, says: str):
    position = standing(job)
    found = look(position, END + MINUTE)
    assert said(found) == ("Failed", reason, NAME)
    assert found.status is not None
    assert says in found.status.message
    assert found.status.found is None
    assert step(position, END + MINUTE).advance


def test_a_pod_that_is_over_may_be_seen_a_moment_later():
    position = standing((raw_job(NAME, end=condition("Complete", END)), []))
    found = look(position, END)
    assert said(found)[0] is None
    assert found.wake == END + timedelta(seconds=30)


def test_what_keeps_its_pod_from_starting_is_said():
    waiting = raw_pod(**WAITING)
    waiting["status"]["phase"] = "Pending"
    waiting["status"]["containerStatuses"][0]["state"]["waiting"]["message"] = 'secret "captures-read" not found'
    position = standing((raw_job(NAME), [waiting]))
    assert said(look(position, NOW + MINUTE / 2))[1] == "Replaying", "a node may be on its way"
    found = look(position, NOW + 2 * MINUTE)
    assert said(found)[:2] == (None, "CreateContainerConfigError")
    assert found.status is not None
    assert 'can\'t start (CreateContainerConfigError): secret "captures-read" not found;' in found.status.message
    assert step(position, NOW + 2 * MINUTE).message.endswith("at the latest.")


def without_onnx(version: str) -> Any:
    raw = builders.model_version(version, formats=("engine",))
    return type(positions.VERSIONS[version]).model_validate(raw)


ENGINES = tuple(without_onnx(version) for version in ("v1", "v2"))
FILES = {"capture": {"destination": "file:///captures/line/"}}
NOWHERE = {"spec": {"containers": [{"name": "replay", "volumeMounts": [{"name": "x", "mountPath": "/capture"}]}]}}
MOUNTED = {"spec": {"containers": [{"name": "replay", "volumeMounts": [{"name": "x", "mountPath": "/captures"}]}]}}
PROMOTED = revised("v2", commands={"promote=v2": "gates"})
REFUSED = Refusal(NOW, "exceeded quota: jobs.", name=NAME)


@pytest.mark.parametrize(
    ("position", "reason", "says"),
    [
        (standing(spec={"suspend": True}), "Suspended", "spec.replay.suspend is true"),
        (standing(revisions=(STABLE, PROMOTED)), "GatesSkipped", "v2 skips its gates by annotation"),
        (standing(delivery=FILES), "SourceNotMounted", "file:///captures/line/ is on a volume"),
        (standing(delivery=FILES, spec={"template": NOWHERE}), "SourceNotMounted", "container replay of"),
        (standing(replay_refused=REFUSED), "ApplyRejected", "refused the Job: exceeded quota: jobs. Correct"),
        (standing(carry=(None,) * 3, revisions=()), "NoStableVersion", "v2 is the first version"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_stands_in_the_way_is_said_and_the_version_goes_on(position: Position, reason: str, says: str):
    found = look(position, NOW)
    assert said(found) == ("Skipped", reason, None)
    assert found.status is not None
    assert says in found.status.message
    assert (found.actions, found.until) == ((), None)
    assert step(position).advance
    told = outcome.announcements(None, found.status)
    assert [(each.type, each.reason) for each in told] == [("Normal", "ReplaySkipped")]
    assert outcome.announcements(found.status, found.status) == ()


@pytest.mark.parametrize("folder", ["s3://models/lineX", "s3://models/lineX/"])
def test_a_file_lies_below_its_artifact(folder: str):
    of = positions.revision("v1")
    side = Side(replace(of, data={**of.data, "artifact": {"uri": folder}}), {"name": "best.onnx"})
    assert side.uri == "s3://models/lineX/best.onnx"


def test_a_version_without_a_file_that_a_replay_takes_is_named():
    delivery = {**CAPTURE, "format": "engine"}
    rollout = positions.rollout("v2", replay={}, delivery=delivery)
    seen = positions.snapshot(("v1",) * 3, rollout, versions=ENGINES)
    data = {**positions.revision("v1").data, "artifact": {"uri": "s3://models/parts/v1/", "files": {}}}
    stable = positions.stable(data=data)
    found = look(positions.locate(seen, stable), NOW)
    assert said(found) == ("Skipped", "FormatNotFound", None)
    assert found.status is not None
    assert found.status.message.startswith("A replay takes files of format onnx, and there is none of v1 and v2.")
    both = tuple(
        type(ENGINES[0]).model_validate(builders.model_version(version, formats=("onnx", "engine")))
        for version in ("v1", "v2")
    )
    seen = positions.snapshot(("v1",) * 3, rollout, versions=both)
    assert made(look(positions.locate(seen, stable), NOW)), "a ModelVersion knows more files than its nodes load"


def test_a_volume_that_is_mounted_is_read():
    assert made(look(standing(delivery=FILES, spec={"template": MOUNTED}), NOW))


def test_a_paused_rollout_and_one_that_waits_for_its_window_replay_meanwhile():
    rollout = positions.rollout("v2", replay={}, delivery=CAPTURE, paused=True)
    position = positions.locate(positions.snapshot(("v1",) * 3, rollout), positions.stable())
    assert made(look(position, NOW))
    assert step(position).reason == "Paused"


def test_who_lets_the_version_past_its_gates_does_not_wait_for_the_job():
    position = standing(RUNNING, revisions=(STABLE, PROMOTED))
    found = look(position, NOW + MINUTE)
    assert (found.until, found.actions, said(found)) == (None, (), (None, "Replaying", NAME))
    assert step(position, NOW + MINUTE).advance


def test_a_version_in_its_first_group_gets_no_new_job_and_the_result_of_the_old_one():
    inside = ("v2", "v1", "v1")
    assert look(standing(carry=inside), NOW) == Outcome()
    found = look(standing(REPLAYED, carry=inside), NOW + 2 * MINUTE)
    assert said(found)[0] == "Replayed"
    skipped = look(standing(spec={"suspend": True}), NOW).status
    assert look(standing(carry=inside, old=skipped), NOW).status == skipped


def test_a_job_that_was_deleted_is_not_made_again():
    running = look(standing(RUNNING), NOW).status
    found = look(standing(old=running), NOW + MINUTE)
    assert said(found) == ("Failed", "JobDeleted", NAME)
    assert found.actions == ()
    assert said(look(standing(old=found.status), NOW + 2 * MINUTE)) == ("Failed", "JobDeleted", NAME)


def test_what_was_refused_is_no_job_that_was_deleted():
    running = look(standing(), NOW).status
    assert said(look(standing(old=running, replay_refused=REFUSED), NOW)) == ("Skipped", "ApplyRejected", None)
    assert made(look(standing(version="v3", replay_refused=REFUSED), NOW)), "that of another pair may be taken"


def test_the_job_of_another_pair_goes():
    assert removed(look(standing(FOREIGN, RUNNING), NOW)) == ["replay-line-0000000000"]
    third = look(standing(RUNNING, version="v3"), NOW)
    assert removed(third) == [NAME]
    assert made(third)["metadata"]["name"] != NAME


def test_when_nothing_is_on_its_way_the_last_result_stays_and_nothing_runs():
    promoted = (STABLE, revised("v2", promoted_at=NOW))
    at = {"carry": ("v2",) * 3, "revisions": promoted}
    kept = look(standing(REPLAYED), NOW + 2 * MINUTE).status
    assert look(standing(REPLAYED, old=kept, **at), NOW + 9 * MINUTE) == Outcome(status=kept)
    assert look(standing(REPLAYED, **at), NOW + 9 * MINUTE) == Outcome(status=kept), "found again after it was lost"
    assert removed(look(standing(FOREIGN, REPLAYED, old=kept, **at), NOW + 9 * MINUTE)) == ["replay-line-0000000000"]
    late = look(standing(RUNNING, old=look(standing(RUNNING), NOW).status, **at), NOW + 9 * MINUTE)
    assert (said(late), removed(late)) == (("Failed", "JobDeleted", NAME), [NAME])
    assert late.status is not None
    assert late.status.message == f"Job {NAME} was removed, since v2 is no longer on its way."


def test_a_version_that_failed_and_is_tried_again_is_not_replayed_again():
    kept = look(standing(REPLAYED), NOW + 2 * MINUTE).status
    failed = revised("v2", quarantine=Quarantine(builders.START, "GateFailed", "it was worse", "Version"))
    assert look(standing(REPLAYED, old=kept, revisions=(STABLE, failed)), NOW + 9 * MINUTE) == Outcome(status=kept)
    assert look(standing(REPLAYED, old=kept), NOW + 9 * MINUTE) == Outcome(status=kept)


def test_another_template_of_the_same_version_is_not_replayed():
    changed = positions.rollout("v1", replay={}, delivery=CAPTURE, template=builders.template("app:2"))
    position = positions.locate(positions.snapshot(("v1",) * 3, changed), positions.stable())
    assert position.candidate is not None
    assert look(position, NOW) == Outcome()


def test_a_spec_that_comes_to_nothing_for_a_moment_changes_nothing():
    running = look(standing(RUNNING), NOW).status
    assert look(standing(RUNNING, old=running, versions=()), NOW) == Outcome(status=running)


def test_without_spec_replay_there_is_no_job_and_nothing_is_said():
    rollout = positions.rollout("v2", delivery=CAPTURE)
    seen = positions.snapshot(("v1",) * 3, rollout, replays=(replay_job(*RUNNING),))
    position = positions.locate(seen, positions.stable())
    found = look(position, NOW)
    assert (found.status, removed(found)) == (None, [NAME])
    assert step(position).advance


def test_what_is_announced():
    running, done = look(standing(RUNNING), NOW).status, look(standing(REPLAYED), NOW + 2 * MINUTE).status
    empty = look(standing(EMPTY), NOW + 2 * MINUTE).status
    assert [each.reason for each in outcome.announcements(None, running)] == ["Replaying"]
    assert [each.reason for each in outcome.announcements(running, done)] == ["Replayed"]
    assert outcome.announcements(done, done) == outcome.announcements(done, None) == ()
    (told,) = outcome.announcements(running, empty)
    assert (told.type, told.reason) == ("Warning", "ReplayFailed")
    assert told.message.startswith("v2 was not replayed, and continues without. NoCaptures: none of 3")


def run_of(position: Position) -> Any:
    (container,) = made(look(position, NOW))["spec"]["template"]["spec"]["containers"]
    return json.loads(next(each["value"] for each in container["env"] if each["name"] == "REPLAY_RUN"))


def test_labels_of_the_dataset_are_asked():
    status = {"latest": datasets.latest(12)}
    of_model = Dataset.model_validate(datasets.dataset() | {"status": status})
    run = run_of(standing(datasets=(of_model,)))
    assert run["reviewed"] == {"uri": status["latest"]["uri"], "sha256": status["latest"]["sha256"]}
    assert "reviewed" not in run_of(standing())
    other = of_model.replace(metadata=of_model.metadata.replace(name="other"))
    assert "reviewed" not in run_of(standing(datasets=(of_model, other))), "nothing says which of two"


def test_no_template_lets_a_replay_speak_to_the_api_server():
    template = {"spec": {"automountServiceAccountToken": True, "serviceAccountName": "mine"}}
    pod = made(look(standing(spec={"template": template}), NOW))["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (False, "mine")


def test_the_pod():
    template = {
        "metadata": {"labels": {"team": "vision", names.REPLAY: "mine"}},
        "spec": {
            "nodeSelector": {"disk": "ssd"},
            "containers": [
                {"name": "replay", "image": "agent:2", "args": ["serve"], "resources": {"limits": {"memory": "4Gi"}}},
                {"name": "proxy", "image": "proxy:1"},
            ],
        },
    }
    job = made(look(standing(spec={"template": template, "credentialsSecret": "captures-read"}), NOW))
    pod = job["spec"]["template"]
    assert pod["metadata"]["labels"] == {
        "team": "vision",
        names.MANAGED_BY: "modelfleet",
        names.REPLAY: "line",
        names.MODEL: "parts",
    }
    assert names.ROLLOUT not in pod["metadata"]["labels"], "it is no pod of a group"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
    replay, proxy = pod["spec"]["containers"]
    assert (replay["image"], replay["args"], proxy["name"]) == ("agent:2", ["replay"], "proxy")
    assert replay["resources"] == {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "4Gi"}}
    assert replay["securityContext"]["readOnlyRootFilesystem"] is True
    assert replay["envFrom"] == [{"secretRef": {"name": "captures-read"}}]
    (own,) = made(look(standing(), NOW))["spec"]["template"]["spec"]["containers"]
    assert (own["image"], own["envFrom"]) == (
        builders.AGENT_IMAGE,
        [{"secretRef": {"name": "object-store", "optional": True}}],
    )


@pytest.mark.parametrize(
    ("share", "told"), [("1", "100%"), ("0", "0%"), ("0.914", "91%"), ("0.996", "99.6%"), ("0.004", "0.4%")]
)
def test_what_is_not_all_is_never_shown_as_all(share: str, told: str):
    assert messages.percent(Decimal(share)) == told
