"""Operator and agent understand each other: each side's real code reads what the other's real code writes."""

import hashlib
import json
from pathlib import Path
from typing import get_args

import pytest

from agent import cli, config, metrics, termination
from agent.cache import verify
from modelfleet.api import ModelVersion, Rollout
from modelfleet.api.delivery import Backend
from modelfleet.measurement import endpoints
from modelfleet.rollout import fault, manifests
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.pods import pod_state
from modelfleet.rollout.signatures import Signing
from modelfleet.versions import verification_record
from modelfleet.versions import verify_job as read_side
from modelfleet.versions.manifests import verify_job
from modelfleet.versions.verification import Verifier
from modelfleet.versions.verify_job import Said
from modelfleet.workloads.pods import Problem
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START, wire

SIGNED = Path(__file__).parents[3] / "agent-image/tests/signed/parts"
PUBLIC = (SIGNED.parent / "key.pem").read_text()
OTHER = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEa0Y2Zh7XHwg4qi/bYP/Yv6usegJ4
t+F6PhYskJh50y4FvR4n/aGR19TIciNJ+DjuQYAjGmh5obPcaLFJ6nJ64g==
-----END PUBLIC KEY-----
"""
WEIGHTS = b"weights" * 1000
ODD = "$(HOME) $$ ünnamed"  # what the kubelet would expand, were it written as it is


def version(uri="s3://models/parts/v2/", content=WEIGHTS, **spec):
    """A version with one file of this content."""
    file = {"name": "best.onnx", "format": "onnx", "sha256": _digest(content), "sizeBytes": len(content)}
    raw = builders.model_version("v2", artifact={"uri": uri, "files": [file]}, **spec)
    return ModelVersion.model_validate(raw)


def _digest(content):
    return hashlib.sha256(content).hexdigest()


def rollout(agent, **delivery):
    """A Rollout whose pods run the reference agent, with these variables of the user's."""
    container = {"name": "agent", "args": ["serve"], "env": [{"name": name, "value": agent[name]} for name in agent]}
    raw = builders.rollout("v2", template={"spec": {"containers": [container]}}, delivery=delivery)
    return Rollout.model_validate(raw)


def pod_template(of, agent, **delivery):
    """The pods' template of the first group."""
    owner = rollout(agent, **delivery)
    revision = revs.desired(owner, of, (), AGENT_IMAGE, START)
    return manifests.daemon_set(owner, 0, revision, 1)["spec"]["template"]["spec"]


def environment(container, node="edge-1"):
    """What the kubelet makes of a container's variables: fields filled in, and `$$` as it expands them."""
    found = {}
    for entry in container["env"]:
        field = (entry.get("valueFrom") or {}).get("fieldRef", {}).get("fieldPath")
        assert field in (None, "spec.nodeName")
        value = node if field else entry["value"]
        assert "$(" not in value.replace("$$", ""), "the kubelet would expand it"
        found[entry["name"]] = value.replace("$$", "$")
    return found


def command(container):
    """The agent's subcommand, as its parser reads the container's arguments."""
    (name,) = container["args"]
    return name


# --- the operator writes, the agent reads -----------------------------------------------------------------------------


@pytest.mark.parametrize("mount", ["/models", "/var/models/"])
def test_the_agent_reads_which_model_it_is_to_fetch_and_to_run(mount):
    of = version(classes=["bolt", ODD], imageSize=320)
    agent = {"FRAMES": "camera://0", "FRAME_RATE": "2.5", "MODEL_SHA256": "mine"}
    spec = pod_template(of, agent, mountPath=mount)
    (fetching,), (serving,) = spec["initContainers"], spec["containers"]
    (file,) = of.spec.artifact.files

    fetch = config.fetch_config(environment(fetching))
    assert command(fetching) == "fetch"
    assert (fetch.uri, fetch.owner) == ("s3://models/parts/v2/best.onnx", "factory.line")
    assert (fetch.model.sha256, fetch.model.size) == (file.sha256, file.size_bytes)
    assert {str(fetch.model.cache)} == {entry["mountPath"].rstrip("/") for entry in fetching["volumeMounts"]}

    serve = config.serve_config(environment(serving))
    assert command(serving) == "serve"
    assert str(serve.model.cache) == mount.rstrip("/")
    seen = serve.model.path.relative_to(serve.model.cache)
    assert (seen, serve.model.size) == (fetch.model.path.relative_to(fetch.model.cache), fetch.model.size)
    assert serve.identity == metrics.Identity("line", "canary", "edge-1", "parts", "v2")
    assert (serve.classes, serve.image_size) == (("bolt", ODD), 320)
    assert (serve.frames, serve.frame_rate) == ("camera://0", 2.5)
    assert AGENT_IMAGE == fetching["image"] == serving["image"]


@pytest.mark.parametrize(
    ("delivery", "own", "backend"),
    [
        ({}, {}, "auto"),
        ({}, {"BACKEND": "openvino"}, "openvino"),  # the user's, where the Rollout doesn't say
        ({"backend": "onnxruntime"}, {}, "onnxruntime"),
        ({"backend": "onnxruntime"}, {"BACKEND": "openvino"}, "onnxruntime"),
    ],
)
def test_the_agent_reads_what_is_to_run_the_model(delivery, own, backend):
    spec = pod_template(version(), {"FRAMES": "camera://0", **own}, **delivery)
    (serving,) = spec["containers"]
    assert config.serve_config(environment(serving)).backend == backend


def test_a_group_has_a_backend_of_its_own():
    raw = builders.rollout("v2", delivery={"backend": "onnxruntime"})
    raw["spec"]["groups"][0]["delivery"] = {"backend": "cuda"}
    owner = Rollout.model_validate(raw)
    revision = revs.desired(owner, version(), (), AGENT_IMAGE, START)
    found = []
    for index in range(len(owner.spec.groups)):
        (serving,) = manifests.daemon_set(owner, index, revision, 1)["spec"]["template"]["spec"]["containers"]
        found.append(environment(serving)["BACKEND"])
    assert found == ["cuda", *["onnxruntime"] * (len(owner.spec.groups) - 1)]


def test_both_sides_know_the_same_backends():
    assert set(get_args(Backend)) == set(config.BACKENDS)


def verifying(of):
    verifier = Verifier("agent:1")
    job = verify_job(of, verifier.image, verifier.template, verifier.timeout)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return job, container


@pytest.mark.parametrize("uri", ["s3://models/parts/v2/", "s3://models/parts/v2", "s3://$(HOME)/$$/v2"])
def test_the_agent_reads_which_files_it_is_to_verify(uri):
    of = version(uri)
    _, container = verifying(of)
    (file,) = of.spec.artifact.files
    assert command(container) == "verify"
    assert config.verify_config(environment(container)).files == (
        config.PinnedFile("best.onnx", of.spec.artifact.uri_of(file), file.sha256, file.size_bytes),
    )


def test_the_agent_reads_by_whom_the_files_that_it_verifies_must_be_signed():
    of = version("s3://models/parts/v2/")
    job = verify_job(of, "agent:1", {}, Verifier("agent:1").timeout, PUBLIC)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    found = config.verify_config(environment(container)).signature
    assert found is not None
    assert (found.uri, found.keys) == ("s3://models/parts/v2/model.sig", PUBLIC)
    assert config.verify_config(environment(verifying(of)[1])).signature is None


def test_the_gate_reads_the_buckets_that_the_agent_fills():
    assert endpoints.EDGES == metrics.CONFIDENCE_EDGES


# --- the agent writes, the operator reads -----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(container, env)`: the agent's command with the container's arguments; its exit code and last word."""

    def run(container, env):
        log = tmp_path / "termination-log"
        log.unlink(missing_ok=True)
        assert container.get("terminationMessagePath", str(termination.DEFAULT_PATH)) == str(termination.DEFAULT_PATH)
        for name, value in {**env, "TERMINATION_LOG": str(log)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("agent.signals.end_at_once", lambda: None)
        code = cli.main(container["args"])
        return {"exitCode": code, "message": log.read_text() if log.exists() else ""}

    return run


def pod(name, ended, init=False):
    """A pod whose container ended so."""
    status = {"name": name, "restartCount": 0, "ready": False, "state": {"terminated": ended}}
    return {
        "metadata": {"name": "p", "creationTimestamp": wire(START)},
        "spec": {"nodeName": "edge-1"},
        "status": {"initContainerStatuses" if init else "containerStatuses": [status]},
    }


@pytest.mark.parametrize(
    ("declared", "reason", "says"),
    [
        (WEIGHTS, None, ""),
        (b"x" * len(WEIGHTS), "DigestMismatch", "best.onnx is not the file that was pinned"),
        (None, "NotFound", "best.onnx"),
    ],
)
def test_the_operator_reads_why_the_model_could_not_be_fetched(run, tmp_path, declared, reason, says):
    store = tmp_path / "store"
    store.mkdir()
    (store / ("best.onnx" if declared else "other")).write_bytes(WEIGHTS)
    cache = tmp_path / "cache"
    cache.mkdir()
    (fetching,) = pod_template(version(f"file://{store}", declared or WEIGHTS), {})["initContainers"]
    env = environment(fetching)
    env["MODEL_PATH"] = env["MODEL_PATH"].replace(fetching["volumeMounts"][-1]["mountPath"], str(cache))
    ended = run(fetching, env)
    problem = pod_state(pod(fetching["name"], ended, init=True)).problem
    if reason is None:
        assert (ended["exitCode"], problem) == (0, None)
        assert (cache / _digest(WEIGHTS) / "best.onnx").read_bytes() == WEIGHTS
    else:
        told = json.loads(ended["message"])
        assert problem == Problem(reason, f"fetch-model: {told['message']}")
        assert says in problem.message


@pytest.mark.parametrize(
    ("keys", "signed", "reason"),
    [
        (PUBLIC, True, None),
        (PUBLIC, False, "SignatureMissing"),
        (OTHER, True, "SignatureInvalid"),
    ],
)
def test_a_model_that_no_known_key_has_signed_is_the_versions_fault(run, tmp_path, keys, signed, reason):
    content = (SIGNED / "best.onnx").read_bytes()
    for name in ("best.onnx", "model.sig") if signed else ("best.onnx",):
        (tmp_path / name).write_bytes((SIGNED / name).read_bytes())
    cache = tmp_path / "cache"
    cache.mkdir()
    owner = rollout({}, signed=True)
    of = version(f"file://{tmp_path}", content)
    revision = revs.desired(owner, of, (), AGENT_IMAGE, START, Signing(keys))
    (fetching,) = manifests.daemon_set(owner, 0, revision, 1)["spec"]["template"]["spec"]["initContainers"]
    env = environment(fetching)
    env["MODEL_PATH"] = env["MODEL_PATH"].replace(fetching["volumeMounts"][-1]["mountPath"], str(cache))
    problem = pod_state(pod(fetching["name"], run(fetching, env), init=True)).problem
    assert (cache / _digest(content) / "best.onnx").is_file() is (reason is None)
    if reason is None:
        assert problem is None
    else:
        assert problem.reason == reason
        assert not fault.is_clusters(problem)


def test_signatures_are_demanded_by_the_rollout_or_the_settings_and_of_the_container_that_fetches_alone():
    of = version()

    def told(signed, signing):
        owner = rollout({}, signed=signed)
        revision = revs.desired(owner, of, (), AGENT_IMAGE, START, signing)
        spec = manifests.daemon_set(owner, 0, revision, 1)["spec"]["template"]["spec"]
        assert "MODEL_SIGNATURE_KEYS" not in environment(spec["containers"][0])
        return revision.hash, config.fetch_config(environment(spec["initContainers"][0])).signature

    plain, nothing = told(False, Signing(PUBLIC))
    assert nothing is None
    assert told(False, Signing()) == (plain, None), "a key alone changes nothing"
    demanded = config.Demanded("s3://models/parts/v2/model.sig", PUBLIC)
    hash, found = told(True, Signing(PUBLIC))
    assert found == demanded
    assert told(False, Signing(PUBLIC, required=True)) == (hash, demanded)
    assert len({plain, hash, told(True, Signing(OTHER))[0]}) == 3, "other keys are another revision"


def test_the_operator_reads_that_the_agent_was_not_told_enough(run, monkeypatch):
    spec = pod_template(version(), {})
    (serving,) = spec["containers"]
    env = environment(serving)
    monkeypatch.delenv("FRAMES", raising=False)
    problem = pod_state(pod("agent", run(serving, env))).problem
    assert problem == Problem("InvalidConfiguration", "agent: environment variable FRAMES is not set")


@pytest.mark.parametrize(
    ("declared", "reason", "says"),
    [
        (WEIGHTS, "Verified", f"1 file, {len(WEIGHTS)} bytes"),
        (b"x" * len(WEIGHTS), "DigestMismatch", "best.onnx is not the file that was pinned"),
        (None, "NotFound", "best.onnx"),
    ],
)
def test_the_operator_reads_what_the_verification_found(run, tmp_path, declared, reason, says):
    (tmp_path / ("best.onnx" if declared else "other")).write_bytes(WEIGHTS)
    job, container = verifying(version(f"file://{tmp_path}", declared or WEIGHTS))
    ended = run(container, environment(container))
    job["metadata"] |= {"uid": "uid", "creationTimestamp": wire(START)}
    found = read_side.read(job, [pod(container["name"], ended)])
    assert found.said == Said(reason, json.loads(ended["message"])["message"])
    assert says in found.said.message


def test_both_sides_call_it_verified():
    assert verify.VERIFIED == verification_record.VERIFIED


def test_the_longest_last_word_is_read_whole_and_with_its_reason():
    text = termination.render("ModelUnsupported", '"é"' * 5000)
    assert pod_state(pod("agent", {"exitCode": 1, "message": text.decode()})).problem == Problem(
        "ModelUnsupported", f"agent: {json.loads(text)['message']}"
    )
