"""The init container that fetches: root on the node's folder of models, and nothing in it is the author's to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.rollout import fetching, revisions
from modelfleet.rollout.manifests import daemon_set
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START

ROOT = Path(__file__).parents[3]
LEAST = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
HOSTILE = {
    "LD_PRELOAD": "/models/evil.so",
    "LD_AUDIT": "/models/evil.so",
    "LD_DEBUG": "all",
    "LD_DEBUG_OUTPUT": "/models/debug",
    "LD_TRACE_LOADED_OBJECTS": "1",
    "GCONV_PATH": "/models",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "OPENSSL_CONF": "/models/openssl.cnf",
    "OPENSSL_MODULES": "/models",
    "PATH": "/models",
    "PYTHONPATH": "/models",
    "PYTHONHOME": "/models",
    "PYTHONSTARTUP": "/models/x.py",
    "TERMINATION_LOG": "/var/lib/modelfleet/models/other/best.onnx",
    "MODEL_PATH": "/mine",
}


def made(container=None, delivery=None, **spec):
    """The pod's spec, of a template with this container and these other fields."""
    template = {"spec": {"containers": [{"name": "agent", **(container or {})}], **spec}}
    rollout = Rollout.model_validate(builders.rollout("v1", template=template, delivery=delivery or {}))
    version = ModelVersion.model_validate(builders.model_version("v1"))
    revision = revisions.desired(rollout, version, (), AGENT_IMAGE, START)
    return daemon_set(rollout, 0, revision, 1)["spec"]["template"]["spec"]


def fetch(*args, **kwargs):
    return made(*args, **kwargs)["initContainers"][0]


def variables(container):
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def test_of_the_authors_variables_it_gets_what_a_store_takes():
    taken = {
        "AWS_ENDPOINT_URL": "http://store",
        "AZURE_STORAGE_ACCOUNT_NAME": "a",
        "GOOGLE_APPLICATION_CREDENTIALS": "/secrets/key.json",
        "HTTPS_PROXY": "http://proxy",
        "no_proxy": "store",
        "SSL_CERT_FILE": "/certs/ca.crt",
        "LOG_LEVEL": "DEBUG",
        "MODEL_CACHE_KEEP": "2",
    }
    given = taken | HOSTILE | {"FRAMES": "rtsp://me:secret@camera", "XAWS_KEY": "x", "AWS_KEY_\n": "x"}
    plain = variables(fetch())
    found = variables(fetch({"env": [{"name": name, "value": value} for name, value in given.items()]}))
    assert found == plain | taken


def test_a_secret_of_any_keys_is_taken_and_none_of_them_runs_anything(tmp_path):
    """The real process, with what the kubelet would make of the manifest: `env` over `envFrom` over the image."""
    container = fetch({"envFrom": [{"secretRef": {"name": "store"}}]})
    assert container["envFrom"] == [{"secretRef": {"name": "store"}}]
    (tmp_path / "sitecustomize.py").write_text("print('TAKEN OVER')")
    hostile = HOSTILE | {"PYTHONPATH": str(tmp_path)}
    del hostile["LD_TRACE_LOADED_OBJECTS"]  # runs nothing: the loader says what it would load, and ends
    env = {
        **os.environ,
        **hostile,
        **{name: value for name, value in variables(container).items() if value is not None},
    }
    python, *options, dash_m, module = container["command"]
    assert (python, dash_m, module) == ("/opt/agent/bin/python", "-m", "agent")
    code = (
        f"import sys; sys.path[:0] = {[str(ROOT / each) for each in ('agent-image', 'artifacts')]!r}; "
        "from agent import cli, config; import os; print(config.fetch_config(os.environ)); "
        "print(os.environ['TERMINATION_LOG'])"
    )

    def run(env, *options):
        done = subprocess.run([sys.executable, *options, "-c", code], env=env, capture_output=True, text=True)
        return done.stdout + done.stderr

    said = run(env, *options)
    assert "FetchConfig" in said
    assert "/dev/termination-log" in said
    assert not [word for word in ("TAKEN OVER", "evil", "file:") if word in said], said
    # and without what the manifest says, it does: so this would fail
    assert "TAKEN OVER" in run({**os.environ, "PYTHONPATH": str(tmp_path)})
    assert "evil" in run({**os.environ, "LD_PRELOAD": "/models/evil.so"}, "-I")


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/data", True),
        ("/var/run/secrets/aws", True),
        ("/opt/models", True),
        ("/etc/ssl/certs/ours.crt", True),
        ("/etc/secrets", True),
        ("/library", True),
        ("/", False),
        ("/opt", False),
        ("/opt/agent/lib", False),
        ("/opt/x/../agent", False),
        ("//usr//lib", False),
        ("/usr/lib/python3.12", False),
        ("/lib64", False),
        ("/etc", False),
        ("/etc/ld.so.preload", False),
        ("/etc/python3.11", False),
        ("/etc/ssl/../ld.so.preload", False),
        ("/var/lib", False),
        ("/var/lib/modelfleet/models", False),
        ("/var/lib/modelfleet/models/.locks", False),
    ],
)
def test_volumes_come_read_only_and_take_the_place_of_no_code(path, taken):
    mount = {"name": "mine", "mountPath": path, "mountPropagation": "Bidirectional"}
    *theirs, models = fetch({"volumeMounts": [mount]})["volumeMounts"]
    assert models == {"name": "modelfleet-models", "mountPath": fetching.MODELS}
    assert theirs == ([{"name": "mine", "mountPath": path, "readOnly": True}] if taken else [])


def test_no_container_of_theirs_writes_into_the_nodes_models():
    mount = {"name": "modelfleet-models", "mountPath": "/all", "subPath": "x", "readOnly": False}
    theirs = {"name": "other", "image": "i", "securityContext": {"runAsUser": 0}, "volumeMounts": [mount]}
    uploads = {"name": "upload-captures", "volumeMounts": [mount]}
    capture = {"capture": {"destination": "s3://captures/"}}
    containers = [{"name": "agent", "volumeMounts": [mount]}, theirs]
    spec = made(delivery=capture, containers=containers, initContainers=[theirs, uploads])
    others = [c for c in (*spec["initContainers"], *spec["containers"]) if c["name"] != "fetch-model"]
    mounted = [m for c in others for m in c.get("volumeMounts") or () if m["name"] == "modelfleet-models"]
    assert len(mounted) == 4
    assert all(m["readOnly"] is True and "subPath" not in m for m in mounted)


def test_it_may_do_as_little_as_can_be():
    hostile = {"privileged": True, "runAsUser": 0, "readOnlyRootFilesystem": False}
    own = {"name": "fetch-model", "image": "mine", "command": ["/mine"], "securityContext": hostile}
    container = fetch({"securityContext": hostile}, initContainers=[own])
    assert container["securityContext"] == LEAST | {"runAsUser": 0, "runAsNonRoot": False}
    assert (container["image"], container["args"]) == (AGENT_IMAGE, ["fetch"])
    assert container["command"][:2] == ["/opt/agent/bin/python", "-I"]


@pytest.mark.parametrize(
    ("container", "pod", "user"),
    [
        ({}, {}, {"runAsNonRoot": True}),
        ({"securityContext": {"runAsUser": 1000}}, {}, {"runAsNonRoot": True, "runAsUser": 1000}),
        ({}, {"securityContext": {"runAsUser": 0}}, {"runAsNonRoot": False}),
    ],
)
def test_in_a_cache_of_the_pods_own_it_is_whoever_the_application_is(container, pod, user):
    found = fetch(container, {"cache": "Pod"}, **pod)["securityContext"]
    assert found == LEAST | user


def test_credentials_need_not_be_where_the_model_runs():
    own = {
        "name": "fetch-model",
        "envFrom": [{"secretRef": {"name": "models-read"}}],
        "env": [{"name": "AWS_REGION", "value": "eu"}],
        "resources": {"limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}},
        "imagePullPolicy": "Always",
    }
    application = {"env": [{"name": "AWS_REGION", "value": "us"}], "volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    spec = made(application, initContainers=[own])
    (fetching_,), (agent,) = spec["initContainers"], spec["containers"]
    assert fetching_["envFrom"] == own["envFrom"]
    assert variables(fetching_)["AWS_REGION"] == "eu"
    assert fetching_["volumeMounts"][0]["mountPath"] == "/d", "what it does not say itself is the application's"
    assert fetching_["resources"] == {"limits": {"memory": "1Gi"}}
    assert fetching_["imagePullPolicy"] == "Always"
    assert "envFrom" not in agent
