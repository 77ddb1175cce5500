"""From a version that nobody has looked at to one that is verified, or that says what is wrong; whatever happens."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet.api import ModelVersion
from modelfleet.api.names import VERIFICATION
from modelfleet.decision import Apply, Delete, Patch
from modelfleet.kinds import JOB, MODEL_VERSION, Key
from modelfleet.kube import Store
from modelfleet.settings import Images, Settings, Signatures
from modelfleet.versions import verification_record
from modelfleet.versions.decide import decide
from modelfleet.versions.observe import snapshot
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.verification import Verifier, look, wait_after
from modelfleet.versions.verify_job import Said, VerifyJob, read
from unit.training.builders import START, after, condition, model_version
from unit.versions.verifying import JOB_UID, VERIFIER, failure, job, pod, verified, version

PUBLIC = "-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n"
MISMATCH = "s3://models/parts/v3/best.onnx is not the file that was pinned: expected sha256 a, found b"


def seen(of, *pods, **of_job):
    """What one look sees of a Job and its pods."""
    return read(job(of, **of_job), pods)


def noted(finding, of):
    """The record that a finding writes down."""
    (patch,) = [each for each in finding.actions if isinstance(each, Patch)]
    assert (patch.kind, patch.name, patch.body["metadata"]["uid"]) == (MODEL_VERSION, "parts-v3", "uid-parts-v3")
    raw = of.to_dict()
    raw["metadata"]["annotations"] = dict(patch.body["metadata"]["annotations"])
    return verification_record.read(ModelVersion.model_validate(raw))


def test_a_version_that_is_new_gets_a_job():
    finding = look(version(), VERIFIER, None, START)
    (apply,) = finding.actions
    assert isinstance(apply, Apply)
    assert (apply.manifest["kind"], apply.manifest["metadata"]["ownerReferences"][0]["name"]) == ("Job", "parts-v3")
    assert (finding.reason, finding.ready, finding.stalled) == ("ArtifactUnverified", False, False)
    assert finding.message == "The digests of 2 files are being verified at the source: its Job is being created."
    assert finding.requeue_after is None  # the Job's own events wake it


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        ([], "has no pod yet (if that lasts, kubectl describe job says why)"),
        ([pod()], "is reading them"),
        ([pod(unschedulable="0/3 nodes are available")], "is waiting, no node takes its pod: 0/3 nodes are available"),
        (
            [pod(waiting=("ImagePullBackOff", "not found"))],
            "is waiting, container verify can't start (ImagePullBackOff): not found",
        ),
        ([pod(waiting=("CreateContainerConfigError", 'secret "x" not found'))], 'secret "x" not found'),
        ([pod(waiting=("ContainerCreating", ""))], "is reading them"),
        ([pod(exit_code=137, disrupted=True)], "is reading them"),  # the Job makes another pod
    ],
)
def test_a_job_that_goes_on_is_waited_for_and_says_what_it_waits_for(pods, says):
    of = version()
    finding = look(of, VERIFIER, seen(of, *pods), START)
    assert (finding.reason, finding.stalled, finding.actions) == ("ArtifactUnverified", False, ())
    assert says in finding.message


def test_a_job_whose_pod_is_refused_says_so_in_the_words_of_the_api_server():
    of = version()
    assert look(of, VERIFIER, seen(of), after(20)).requeue_after == timedelta(seconds=40), "nothing else wakes us"
    missing = seen(of)
    assert [missing.makes_no_pod(after(seconds)) for seconds in (59, 60)] == [False, True]
    assert not seen(of, pod()).makes_no_pod(after(600))
    finding = look(of, VERIFIER, replace(missing, refusal="pods is forbidden: exceeded quota: none."), after(60))
    assert (finding.reason, finding.stalled, finding.actions) == ("ArtifactUnverified", False, ())
    assert finding.message.endswith(
        f"No pod was created for Job {missing.name}: pods is forbidden: exceeded quota: none."
    )
    assert finding.requeue_after is not None


def test_only_so_many_are_verified_at_once():
    waiting = look(version(), VERIFIER, None, START, others=10)
    assert (waiting.reason, waiting.actions, waiting.requeue_after) == ("ArtifactUnverified", (), timedelta(seconds=30))
    assert "is waiting for its turn, 10 at once in a namespace (verification.parallel)" in waiting.message
    assert look(version(), VERIFIER, None, START, others=9).actions
    of = version()
    assert look(of, VERIFIER, seen(of), START, others=99).message.startswith(
        "The digests of 2 files are being verified at the source: Job"
    )


def test_what_is_seen_of_a_version_and_of_the_others():
    of, another = version(), version(version="v4")
    over = job(version(version="v5"), ended="Complete")
    its_pod = pod(exit_code=0, said=("Verified", "2 files"))
    its_pod["metadata"] |= {"namespace": "factory", "ownerReferences": [{"uid": JOB_UID}], "resourceVersion": "9"}
    others = [job(another), over]
    for number, each in enumerate(others):
        each["metadata"]["uid"] = f"uid-other-{number}"
    store = Store()
    for obj in (model_version(ready=None), job(of), its_pod, *others):
        store.put(obj)
    found = snapshot(
        store, Key("factory", "parts-v3"), Settings(images=Images(trainer="t", agent="agent:1", labeler="l"))
    )
    assert found.verifier == VERIFIER
    assert found.job == VerifyJob(
        job(of)["metadata"]["name"], JOB_UID, START, has_pod=True, said=Said("Verified", "2 files")
    )
    assert found.others == 1
    assert snapshot(Store(), Key("factory", "parts-v3"), None) is None


@pytest.mark.parametrize(("required", "keys"), [(True, PUBLIC), (False, "")])
def test_its_files_must_be_signed_where_all_must_be(required, keys):
    """A Rollout that demands it of its own models is not known here: its nodes see to that."""
    settings = Settings(
        images=Images(trainer="t", agent="agent:1", labeler="l"),
        signatures=Signatures(public_keys=PUBLIC, required=required),
    )
    store = Store()
    store.put(model_version(ready=None))
    found = snapshot(store, Key("factory", "parts-v3"), settings)
    assert found.verifier.keys == keys
    (apply,) = look(version(), found.verifier, None, START).actions
    (one,) = apply.manifest["spec"]["template"]["spec"]["containers"]
    told = json.loads(one["env"][0]["value"])
    assert told.get("signature", {}).get("keys", "") == keys


def test_a_job_that_found_all_as_declared_makes_it_ready_and_is_noted():
    of = version()
    finding = look(of, VERIFIER, seen(of, pod(exit_code=0, said=("Verified", "2 files, 2000 bytes"))), after(9))
    assert (finding.ready, finding.verified, finding.requeue_after) == (True, True, None)
    assert finding.message == "The digests of 2 files verified at the source at 2026-11-21 08:00:09 UTC."
    assert len(finding.actions) == 1  # the Job goes on its own
    new = noted(finding, of)
    assert (new.verified, new.attempts, new.job, new.at) == (True, 1, JOB_UID, after(9))
    again = look(version(noted=new), VERIFIER, seen(of, ended="Complete"), after(3600))
    assert (again.message, again.actions) == (finding.message, ())


@pytest.mark.parametrize(
    ("said", "code", "reason", "stalled", "says"),
    [
        (("DigestMismatch", MISMATCH), 1, "DigestMismatch", True, f"{MISMATCH}. A version never changes"),
        (
            ("NotFound", "best.pt is not there"),
            1,
            "ArtifactNotFound",
            True,
            "best.pt is not there. Put the files there.",
        ),
        (("SignatureMissing", "sign the version's files"), 1, "SignatureMissing", True, "sign the version's files."),
        (("SignatureInvalid", "by another key"), 1, "SignatureInvalid", True, "by another key. Find out who"),
        (("AccessDenied", "was refused"), 1, "SourceAccessDenied", True, "a Secret object-store in this namespace"),
        (("Unreachable", "was not reached"), 1, "SourceUnreachable", False, "was not reached. Attempt 2 follows"),
        (("Unsupported", "no such place"), 1, "VerificationFailed", True, "Unsupported: no such place"),
        (("Verified", "2 files"), 1, "VerificationFailed", True, "ended with exit code 1"),
        ("Traceback: boo", 2, "VerificationFailed", True, "exit code 2 and left this: Traceback: boo"),
        ("", 0, "VerificationFailed", True, "exit code 0 and left no word"),
        ("[]", 1, "VerificationFailed", True, "left this: []"),
    ],
)
def test_what_a_job_found_wrong_is_noted_and_told(said, code, reason, stalled, says):
    of = version()
    finding = look(of, VERIFIER, seen(of, pod(exit_code=code, said=said)), after(9))
    assert (finding.reason, finding.ready, finding.stalled) == (reason, False, stalled)
    assert says in finding.message
    new = noted(finding, of)
    assert (new.result, new.attempts, new.job) == (reason, 1, JOB_UID)
    assert finding.actions[1:] == (Delete(JOB, "factory", job(of)["metadata"]["name"], JOB_UID),)
    assert finding.requeue_after == wait_after(new)
    # what the next look finds, with the note and the Job not yet gone: the same words, and nothing counted twice
    again = look(version(noted=new), VERIFIER, seen(of, pod(exit_code=code, said=said)), after(10))
    assert again.message == finding.message
    assert again.actions == finding.actions[1:]


def test_memory_is_named():
    of = version()
    finding = look(of, VERIFIER, seen(of, pod(exit_code=137, why="OOMKilled")), START)
    assert "killed for using too much memory" in finding.message


@pytest.mark.parametrize(
    ("ended", "pods", "at", "says"),
    [
        ("DeadlineExceeded", [], 0, "did not end within 30m (verification.timeout)"),
        ("DeadlineExceeded", [pod(unschedulable="0/3 nodes")], 0, "(verification.timeout): no node takes its pod: 0/3"),
        ("BackoffLimitExceeded", [], 31, "the Job ended (BackoffLimitExceeded: as told), and its pod is gone"),
        ("Complete", [], 31, "and its pod is gone with what it found"),
    ],
)
def test_a_job_that_ended_without_a_word_failed(ended, pods, at, says):
    of = version()
    finding = look(of, VERIFIER, seen(of, *pods, ended=ended), after(at))
    assert finding.reason == "VerificationFailed"
    assert says in finding.message


def test_the_end_of_a_job_may_be_seen_before_that_of_its_pod():
    of = version()
    finding = look(of, VERIFIER, seen(of, pod(), ended="Complete"), after(2))
    assert (finding.reason, finding.actions, finding.requeue_after) == ("ArtifactUnverified", (), timedelta(seconds=5))


def test_the_next_attempt_follows_when_it_is_due():
    known = failure(attempts=2)
    of = version(noted=known)
    waiting = look(of, VERIFIER, None, after(5))
    assert (waiting.reason, waiting.stalled, waiting.actions) == ("SourceUnreachable", False, ())
    assert waiting.requeue_after == timedelta(seconds=15)
    assert "Attempt 2 to verify the files failed" in waiting.message
    assert "Attempt 3 follows automatically at 2026-11-21 08:00:20 UTC" in waiting.message
    due = look(of, VERIFIER, None, after(20))
    assert [type(action) for action in due.actions] == [Apply]
    assert due.reason == "SourceUnreachable"  # what is known stays until there is more
    assert due.message.endswith("Attempt 3: its Job is being created.")


def test_an_attempt_that_a_clock_dated_ahead_is_not_waited_for():
    finding = look(version(noted=failure(attempts=2)), VERIFIER, None, after(-3600))
    assert [type(action) for action in finding.actions] == [Apply]


def test_an_attempt_after_failures_may_succeed():
    known = failure("DigestMismatch", attempts=4)
    of = version(noted=known)
    finding = look(of, VERIFIER, seen(of, pod(exit_code=0, said=("Verified", "2 files"))), after(90))
    assert finding.ready
    assert noted(finding, of).attempts == 5


@pytest.mark.parametrize("noted_as", [None, failure()])
def test_a_job_that_is_being_deleted_is_waited_for(noted_as):
    of = version(noted=noted_as)
    finding = look(of, VERIFIER, seen(of, deleting=True), after(500))
    assert (finding.actions, finding.requeue_after) == ((), timedelta(seconds=5))
    assert not finding.ready


@pytest.mark.parametrize(
    ("result", "attempts", "seconds"),
    [
        ("SourceUnreachable", 1, 10),
        ("SourceUnreachable", 2, 20),
        ("SourceUnreachable", 8, 1280),
        ("SourceUnreachable", 9, 1800),
        ("SourceUnreachable", 10**6, 1800),
        ("ArtifactNotFound", 1, 10),
        ("DigestMismatch", 1, 3600),
        ("DigestMismatch", 2, 7200),
        ("DigestMismatch", 99, 86400),
    ],
)
def test_waits_double_up_to_a_bound(result, attempts, seconds):
    assert wait_after(failure(result, attempts)) == timedelta(seconds=seconds)


def test_a_wiped_status_costs_nothing():
    decision = decide(Snapshot(version(noted=verified(), status={}), verifier=VERIFIER), after(1000))
    assert decision.actions == ()
    assert [(entry.type, entry.status) for entry in decision.status.conditions] == [("Ready", "True")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"uid":"uid-parts-v3","result":"Verified","message":"","at":"yesterday","attempts":1,"job":"j"}',
        verification_record.to_text(
            verified(), ModelVersion.model_validate(model_version("v2"))
        ),  # copied from another object
    ],
)
def test_a_note_that_is_not_of_this_version_counts_for_nothing(text):
    of = ModelVersion.model_validate(model_version(annotations={VERIFICATION: text}))
    finding = look(of, VERIFIER, None, START)
    assert (finding.reason, len(finding.actions)) == ("ArtifactUnverified", 1)


# --- where no Job can help --------------------------------------------------------------------------------------------


def at(uri):
    raw = model_version(ready=None)
    raw["spec"]["artifact"]["uri"] = uri
    return ModelVersion.model_validate(raw)


def mounting(path, container="verify"):
    mount = {"name": "models", "mountPath": path}
    return Verifier("agent:1", {"spec": {"containers": [{"name": container, "volumeMounts": [mount]}]}})


@pytest.mark.parametrize(
    ("verifier", "reason"),
    [
        (VERIFIER, "SourceNotMounted"),
        (mounting("/data"), "SourceNotMounted"),
        (mounting("/mod"), "SourceNotMounted"),
        (mounting("/models", container="other"), "SourceNotMounted"),
        (mounting("/models"), "ArtifactUnverified"),
        (mounting("/models/parts/v3/"), "ArtifactUnverified"),
        (Verifier("agent:1", exempt=("file",)), "Available"),
        (Verifier("agent:1", exempt=("s3",)), "SourceNotMounted"),
        (None, "Available"),
    ],
)
def test_a_volume_must_be_mounted_or_exempt(verifier, reason):
    finding = look(at("file:///models/parts/v3/"), verifier, None, START)
    assert finding.reason == reason
    assert bool(finding.actions) == (reason == "ArtifactUnverified")
    if reason == "SourceNotMounted":
        assert finding.stalled
        assert "Mount it in container verify of verification.template" in finding.message
        assert "verification.exempt" in finding.message


def test_what_is_exempt_says_so():
    finding = look(at("file:///models/"), Verifier("agent:1", exempt=("file",)), None, START)
    assert "Not verified at the source: the operator's settings exempt file://" in finding.message


def test_a_tag_of_a_registry_is_no_address_of_a_version():
    finding = look(at("oci://registry/parts:v3"), VERIFIER, None, START)
    assert (finding.reason, finding.stalled, finding.actions) == ("SourceUnsupported", True, ())
    assert "oras resolve" in finding.message


def test_a_manifest_by_digest_is_verified_like_any_other_address():
    finding = look(at(f"oci://registry/parts:v3@sha256:{'a' * 64}"), VERIFIER, None, START)
    assert (finding.reason, len(finding.actions)) == ("ArtifactUnverified", 1)


# --- in the status ----------------------------------------------------------------------------------------------------


def shown(decision):
    return [(entry.type, entry.status, entry.reason) for entry in decision.status.conditions]


def test_under_way_is_reconciling_and_what_needs_somebody_is_stalled():
    of = version()
    assert shown(decide(Snapshot(of, verifier=VERIFIER), START)) == [
        ("Ready", "False", "ArtifactUnverified"),
        ("Reconciling", "True", "ArtifactUnverified"),
    ]
    wrong = VerifyJob("verify", JOB_UID, START, said=Said("DigestMismatch", MISMATCH))
    decision = decide(Snapshot(of, verifier=VERIFIER, job=wrong), START)
    assert shown(decision) == [("Ready", "False", "DigestMismatch"), ("Stalled", "True", "DigestMismatch")]
    assert [(entry.type, entry.reason) for entry in decision.announcements] == [("Warning", "DigestMismatch")]
    assert decision.status.tags == ()
    assert decision.requeue_after == timedelta(hours=1)


def test_it_is_announced_once_that_it_is_verified():
    fine = VerifyJob("verify", JOB_UID, START, said=Said("Verified", "2 files"))
    before = [condition("Ready", "False", "ArtifactUnverified")]
    decision = decide(Snapshot(version(status={"conditions": before}), verifier=VERIFIER, job=fine), START)
    assert [(entry.type, entry.reason) for entry in decision.announcements] == [("Normal", "Verified")]
    assert decision.status.tags == ("latest",)
    later = version(noted=verified(), ready=True)
    assert decide(Snapshot(later, verifier=VERIFIER), START).announcements == ()


@pytest.mark.parametrize("fields", [{"deleting": True, "finalizers": ("a/b",)}, {"evaluation": {"result": "Failed"}}])
def test_what_is_never_used_again_is_not_verified(fields):
    assert decide(Snapshot(version(**fields), verifier=VERIFIER), START).actions == ()
