"""The DaemonSet of a group: what is added to the user's template, and when it needs no write."""

import copy
import json

import pytest

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.rollout import revisions
from modelfleet.rollout.manifests import covers, daemon_set, same_quantity
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START


def made(index=0, budget=1, version=None, **spec):
    rollout = Rollout.model_validate(builders.rollout("v1", **spec))
    mv = ModelVersion.model_validate(version or builders.model_version("v1"))
    revision = revisions.desired(rollout, mv, (), AGENT_IMAGE, START)
    return daemon_set(rollout, index, revision, budget)


def pod(manifest):
    return manifest["spec"]["template"]["spec"]


def env(container):
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_the_pods_are_told_which_model_to_run():
    fetch, agent = pod(made())["initContainers"][0], pod(made())["containers"][0]
    sha256 = (b"v1".hex() * 64)[:64]
    wanted = {
        "MODEL_NAME": "parts",
        "MODEL_VERSION": "v1",
        "MODEL_PATH": f"/models/{sha256}/best.onnx",
        "MODEL_URI": "s3://models/parts/v1/best.onnx",
        "MODEL_SHA256": sha256,
        "MODEL_SIZE": "7",
        "MODEL_CLASSES": '["bolt", "nut"]',
        "MODEL_IMAGE_SIZE": "640",
        "ROLLOUT": "line",
        "ROLLOUT_NAMESPACE": "factory",
        "GROUP": "canary",
        "NODE_NAME": {"fieldRef": {"fieldPath": "spec.nodeName"}},
    }
    assert env(agent) == wanted
    assert env(fetch) == wanted | {"MODEL_PATH": f"/var/lib/modelfleet/models/{sha256}/best.onnx"}


def test_labels_owner_and_selector():
    manifest = made()
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    assert labels == manifest["metadata"]["labels"]
    assert {key: labels[key] for key in labels if key != "modelfleet.dev/revision"} == {
        "app.kubernetes.io/managed-by": "modelfleet",
        "modelfleet.dev/rollout": "line",
        "modelfleet.dev/group": "canary",
        "modelfleet.dev/model": "parts",
        "modelfleet.dev/version": "v1",
    }
    assert manifest["spec"]["selector"]["matchLabels"] == {
        "modelfleet.dev/rollout": "line",
        "modelfleet.dev/group": "canary",
    }
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "uid-line"
    assert manifest["metadata"]["name"] == "line-canary"


def test_the_users_template_stays():
    template = {
        "metadata": {"labels": {"team": "vision", "modelfleet.dev/version": "mine"}, "annotations": {"a": "b"}},
        "spec": {
            "containers": [
                {"name": "sidecar", "image": "side:1"},
                {
                    "name": "agent",
                    "image": "app:1",
                    "env": [{"name": "FRAMES", "value": "camera://0"}, {"name": "MODEL_PATH", "value": "/mine"}],
                    "envFrom": [{"secretRef": {"name": "store"}}],
                    "volumeMounts": [{"name": "certs", "mountPath": "/certs"}],
                    "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "1Gi"}, "requests": {"cpu": "500m"}},
                },
            ],
            "initContainers": [{"name": "warm-up", "image": "warm:1"}],
            "volumes": [{"name": "certs", "secret": {"secretName": "certs"}}],
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"arch": "arm64"},
            "serviceAccountName": "vision",
        },
    }
    manifest = made(template=template)
    spec = pod(manifest)
    metadata = manifest["spec"]["template"]["metadata"]
    assert (metadata["labels"]["team"], metadata["annotations"]) == ("vision", {"a": "b"})
    assert metadata["labels"]["modelfleet.dev/version"] == "v1"
    assert [container["name"] for container in spec["containers"]] == ["sidecar", "agent"]
    assert spec["containers"][0] == {"name": "sidecar", "image": "side:1"}
    assert [container["name"] for container in spec["initContainers"]] == ["fetch-model", "warm-up"]
    assert [volume["name"] for volume in spec["volumes"]] == ["certs", "modelfleet-models"]
    assert (spec["tolerations"], spec["nodeSelector"]) == ([{"operator": "Exists"}], {"arch": "arm64"})
    assert (spec["serviceAccountName"], spec["automountServiceAccountToken"]) == ("vision", False)
    agent, fetch = spec["containers"][1], spec["initContainers"][0]
    assert agent["image"] == "app:1"
    assert env(agent)["FRAMES"] == "camera://0"
    assert env(agent)["MODEL_PATH"].startswith("/models/"), "where the model is, is not the user's to say"
    assert agent["volumeMounts"] == [
        {"name": "certs", "mountPath": "/certs"},
        {"name": "modelfleet-models", "mountPath": "/models", "readOnly": True},
    ]
    assert fetch["image"] == AGENT_IMAGE
    assert fetch["args"] == ["fetch"]
    assert fetch["envFrom"] == [{"secretRef": {"name": "store"}}], "credentials come that way"
    assert fetch["volumeMounts"] == [
        {"name": "certs", "mountPath": "/certs", "readOnly": True},
        {"name": "modelfleet-models", "mountPath": "/var/lib/modelfleet/models"},
    ]
    assert fetch["resources"] == {"limits": {"memory": "1Gi"}, "requests": {"cpu": "500m"}}


def test_a_container_without_an_image_is_the_agent():
    (agent,) = pod(made(template={"spec": {"containers": [{"name": "agent"}]}}))["containers"]
    assert agent["image"] == AGENT_IMAGE
    assert agent["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_what_the_user_says_of_its_rights_or_its_image_stays():
    said = {"privileged": True}
    (agent,) = pod(made(template={"spec": {"containers": [{"name": "agent", "securityContext": said}]}}))["containers"]
    assert agent["securityContext"] == said
    (other,) = pod(made(template={"spec": {"containers": [{"name": "agent", "image": "mine"}]}}))["containers"]
    assert "securityContext" not in other


def test_the_token_stays_mounted_where_the_user_wants_it():
    template = builders.template(automountServiceAccountToken=True)
    assert pod(made(template=template))["automountServiceAccountToken"] is True


@pytest.mark.parametrize(
    ("cache", "volume", "user"),
    [
        ("Node", {"hostPath": {"path": "/var/lib/modelfleet/models", "type": "DirectoryOrCreate"}}, 0),
        ("Pod", {"emptyDir": {}}, None),
    ],
)
def test_the_cache(cache, volume, user):
    spec = pod(made(delivery={"cache": cache, "mountPath": "/srv/models/"}))
    assert spec["volumes"] == [{"name": "modelfleet-models", **volume}]
    security = spec["initContainers"][0]["securityContext"]
    assert security.get("runAsUser") == user
    assert security["allowPrivilegeEscalation"] is False
    assert env(spec["containers"][0])["MODEL_PATH"].startswith("/srv/models/7631")


def test_a_group_may_have_another_delivery():
    groups = (builders.group("canary"), builders.group("fleet", delivery={"format": "engine", "container": "app"}))
    template = {"spec": {"containers": [{"name": "agent", "image": "a"}, {"name": "app", "image": "b"}]}}
    spec = pod(
        made(1, groups=groups, template=template, version=builders.model_version("v1", formats=("onnx", "engine")))
    )
    assert env(spec["containers"][1])["MODEL_URI"].endswith("best.engine")
    assert "env" not in spec["containers"][0]


def test_dollars_in_names_are_taken_literally():
    version = builders.model_version("v1", classes=["$(HOME)"])
    assert env(pod(made(version=version))["containers"][0])["MODEL_CLASSES"] == '["$$(HOME)"]'


def test_the_order_of_the_groups_becomes_affinity():
    groups = (builders.group("canary"), {"name": "fleet", "nodeSelector": {"matchLabels": {"app": "line"}}})
    terms = pod(made(1, groups=groups))["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms == {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["line"]},
                    {"key": "group", "operator": "NotIn", "values": ["canary"]},
                ]
            }
        ]
    }


def test_the_template_in_the_revision_is_not_touched():
    rollout = Rollout.model_validate(builders.rollout("v1"))
    version = ModelVersion.model_validate(builders.model_version("v1"))
    revision = revisions.desired(rollout, version, (), AGENT_IMAGE, START)
    before = copy.deepcopy(revision.data)
    daemon_set(rollout, 0, revision, 1)
    assert revision.data == before


# --- does it need a write? --------------------------------------------------------------------------------------------


def server_side(manifest):
    """What an API server makes of it: defaults added, empty things left out, quantities and lists its own way."""
    obj = json.loads(json.dumps(manifest))
    obj["status"] = {}
    spec = pod(obj)
    spec["dnsPolicy"] = "ClusterFirst"
    for container in spec["containers"]:
        container["terminationMessagePath"] = "/dev/termination-log"
        container["env"].reverse()
        container["resources"] = {"limits": {"memory": "1Gi", "cpu": "500m"}}
    spec["tolerations"] = []
    spec.pop("tolerations")
    return obj


TEMPLATE = {
    "spec": {
        "containers": [
            {"name": "agent", "image": "a", "resources": {"limits": {"memory": "1024Mi", "cpu": 0.5}}, "command": []}
        ],
        "tolerations": [],
        "hostNetwork": False,
    }
}


def test_what_the_server_says_otherwise_is_the_same():
    manifest = made(template=TEMPLATE)
    assert covers(server_side(manifest), manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda obj: obj["metadata"]["labels"].pop("modelfleet.dev/revision"),
        lambda obj: obj["spec"]["updateStrategy"]["rollingUpdate"].update(maxUnavailable=2),
        lambda obj: pod(obj)["containers"][0].update(image="b"),
        lambda obj: pod(obj)["containers"][0]["env"].pop(),
        lambda obj: pod(obj)["containers"][0]["resources"]["limits"].update(cpu="600m"),
        lambda obj: pod(obj).pop("affinity"),
        lambda obj: pod(obj).update(hostNetwork=True),
    ],
)
def test_a_difference_is_seen(change):
    manifest = made(template=TEMPLATE)
    observed = server_side(manifest)
    change(observed)
    assert not covers(observed, manifest)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("500m", 0.5, True),
        ("1Gi", "1024Mi", True),
        ("1", 1, True),
        ("1k", "1000", True),
        ("100m", "100M", False),
        ("abc", "abd", False),
        (True, 1, False),
        ("", "0", False),
    ],
)
def test_quantities(one, other, same):
    assert same_quantity(one, other) is same
