"""Operator and agent understand each other about capture and the live page: the agent's real code reads what the
operator's real code writes."""

import pytest

from agent import config
from agent.capture import settings as agent_settings
from modelfleet.api import Rollout
from modelfleet.api.delivery import Capture
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.names import UPLOAD_CONTAINER
from modelfleet.rollout import capture_pods, capture_settings, manifests
from modelfleet.rollout import revisions as revs
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START
from unit.rollout.test_contract import command, environment

CAPTURE = {"destination": "s3://captures/line/", "credentialsSecret": "captures-write"}
ALL = {
    **CAPTURE,
    "disk": "10M",
    "keepFree": "5%",
    "rate": "500k",
    "suspend": True,
    "sample": {"perHour": 0, "emptyPerHour": 3600},
    "image": {"quality": 50, "maxSide": 64, "mask": [[["0", "0"], ["1.0", "0"], ["0.123456789012345", "1"]]]},
    "rules": [
        {"name": "broad", "every": "10m"},
        {"name": "bolts", "below": "0.5", "classes": ["bolt"], "before": "10s", "after": "30s", "perHour": 3600},
        {"name": "nothing", "empty": True, "cooldown": "1h30m"},
        {"name": "many", "more": 0, "cooldown": "0s"},
    ],
}


def read(drifting=False, **capture):
    """What the agent makes of the ConfigMap."""
    owner = Rollout.model_validate(builders.rollout("v1", delivery={"capture": capture}))
    content = capture_settings.settings(Capture.model_validate(capture), drifting=drifting)
    data = capture_settings.manifest(owner, content)["data"]
    return agent_settings.parse(data[capture_pods.SETTINGS_KEY])


def test_the_defaults_are_read():
    found = read(**CAPTURE)
    assert (found.destination, found.disk, found.rate) == ("s3://captures/line/", 2 << 30, 2 << 20)
    assert (found.keep_free_share, found.suspend) == (0.15, False)
    assert found.reasons == ("sample", "unsure")
    assert (found.sample.per_hour, found.sample.empty_per_hour) == (6, 2)
    (rule,) = found.rules
    assert (rule.below, rule.cooldown, rule.per_hour) == (0.5, 60, 6)


def test_all_that_can_be_said_is_read():
    found = read(**ALL)
    assert (found.disk, found.rate, found.keep_free_share, found.suspend) == (10**7, 500_000, 0.05, True)
    assert (found.image.quality, found.image.max_side) == (50, 64)
    assert found.image.mask == (((0, 0), (1, 0), (0.123456789012345, 1)),)
    broad, bolts, nothing, many = found.rules
    assert (broad.every, broad.cooldown, broad.per_hour) == (600, 0, 3600), "it says how often by itself"
    assert (bolts.below, bolts.classes, bolts.before, bolts.after) == (0.5, {"bolt"}, 10, 30)
    assert (nothing.empty, nothing.cooldown, nothing.per_hour) == (True, 5400, 60)
    assert (many.more, many.cooldown) == (0, 0)


@pytest.mark.parametrize("text", ["999Ti", "999999Gi", "99999999M", "10M"])
def test_each_size_of_the_disk_is_read(text):
    assert read(**CAPTURE, disk=text).disk > 0


def test_as_many_rules_as_there_may_be_are_read():
    usual, more = ([{"name": f"{kind}{i}", "more": i} for i in range(n)] for kind, n in (("usual", 16), ("more", 4)))
    found = read(drifting=True, **CAPTURE, rules=usual, whenDrifting={"rules": more})
    assert len(found.rules) == 20


def pod(**delivery):
    container = {"name": "agent", "args": ["serve"], "env": [{"name": "FRAMES", "value": "camera://0"}]}
    owner = Rollout.model_validate(
        builders.rollout("v1", template={"spec": {"containers": [container]}}, delivery=delivery)
    )
    version = ModelVersion.model_validate(builders.model_version("v1"))
    revision = revs.desired(owner, version, (), AGENT_IMAGE, START)
    return manifests.daemon_set(owner, 0, revision, 1)["spec"]["template"]["spec"]


def test_the_agent_reads_where_captures_wait_and_who_captures():
    spec = pod(capture=CAPTURE)
    (serving,) = spec["containers"]
    (uploading,) = (entry for entry in spec["initContainers"] if entry["name"] == UPLOAD_CONTAINER)
    serve, upload = config.serve_config(environment(serving)), config.upload_config(environment(uploading))
    assert command(uploading) == "upload"
    assert serve.capture == upload.capture
    assert upload.identity == serve.identity
    assert serve.namespace == "factory"
    for container in (serving, uploading):
        mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        assert mounts[str(upload.capture.spool)] is False
        assert mounts[str(upload.capture.settings.parent)] is True
    assert upload.port == uploading["ports"][0]["containerPort"]
    assert config.serve_config(environment(pod()["containers"][0])).capture is None


def test_the_agent_reads_its_live_page():
    live = {"enabled": True, "port": 9300, "rate": 30, "viewers": 16}
    found = config.serve_config(environment(pod(capture=CAPTURE, live=live)["containers"][0])).live
    assert (found.port, found.rate, found.viewers, found.mask) == (9300, 30, 16, True)
    assert str(found.settings) == f"{capture_pods.SETTINGS}/{capture_pods.SETTINGS_KEY}"
    assert config.serve_config(environment(pod(live={"enabled": False})["containers"][0])).live is None
