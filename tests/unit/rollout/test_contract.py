"""Operator and agent understand each other: each side's real code reads what the other's real code writes."""

import hashlib
import json

import pytest

from agent import cli, config, metrics, termination
from agent.cache import verify
from modelfleet.api import ModelVersion, Rollout
from modelfleet.measurement import endpoints
from modelfleet.rollout import manifests
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.pods import pod_state
from modelfleet.versions import verification_record
from modelfleet.versions import verify_job as read_side
from modelfleet.versions.manifests import verify_job
from modelfleet.versions.verification import Verifier
from modelfleet.versions.verify_job import Said
from modelfleet.workloads.pods import Problem
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START, wire

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
    assert serve.model == fetch.model
    assert serve.identity == metrics.Identity("line", "canary", "edge-1", "parts", "v2")
    assert (serve.classes, serve.image_size) == (("bolt", ODD), 320)
    assert (serve.frames, serve.frame_rate) == ("camera://0", 2.5)
    assert AGENT_IMAGE == fetching["image"] == serving["image"]


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
    spec = pod_template(version(f"file://{store}", declared or WEIGHTS), {}, mountPath=str(cache))
    (fetching,) = spec["initContainers"]
    ended = run(fetching, environment(fetching))
    problem = pod_state(pod(fetching["name"], ended, init=True)).problem
    if reason is None:
        assert (ended["exitCode"], problem) == (0, None)
        assert (cache / _digest(WEIGHTS) / "best.onnx").read_bytes() == WEIGHTS
    else:
        told = json.loads(ended["message"])
        assert problem == Problem(reason, f"fetch-model: {told['message']}")
        assert says in problem.message


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
    job["metadata"]["uid"] = "uid"
    found = read_side.attempt(job, [pod(container["name"], ended)])
    assert found.said == Said(reason, json.loads(ended["message"])["message"])
    assert says in found.said.message


def test_both_sides_call_it_verified():
    assert verify.VERIFIED == verification_record.VERIFIED


def test_the_longest_last_word_is_read_whole_and_with_its_reason():
    text = termination.render("ModelUnsupported", '"é"' * 5000)
    assert pod_state(pod("agent", {"exitCode": 1, "message": text.decode()})).problem == Problem(
        "ModelUnsupported", f"agent: {json.loads(text)['message']}"
    )
