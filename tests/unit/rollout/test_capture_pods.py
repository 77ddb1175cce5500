"""What pods get where frames are captured or shown, what of it makes a revision; and other pods stay as they are."""

import hashlib
import json

import pytest

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.rollout import capture_pods, revisions
from modelfleet.rollout.manifests import covers, daemon_set
from modelfleet.rollout.pods import pod_state
from modelfleet.workloads.pods import Problem
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START, wire
from unit.rollout.simulation import fleet

CAPTURE = {"destination": "s3://captures/line/", "credentialsSecret": "captures-write"}
OTHER_TEMPLATE = {
    "spec": {
        "containers": [
            {"name": "agent", "image": "app:1", "volumeMounts": [{"name": "certs", "mountPath": "/certs"}]},
        ],
        "initContainers": [{"name": "warm-up", "image": "warm:1"}],
        "volumes": [{"name": "certs", "secret": {"secretName": "certs"}}],
        "securityContext": {"runAsUser": 1000},
    }
}


def revision_of(**spec):
    rollout = Rollout.model_validate(builders.rollout("v1", **spec))
    version = ModelVersion.model_validate(builders.model_version("v1"))
    return rollout, revisions.desired(rollout, version, (), AGENT_IMAGE, START)


def template(**spec):
    rollout, revision = revision_of(**spec)
    return daemon_set(rollout, 0, revision, 1)["spec"]["template"]


def pod(**spec):
    return template(**spec)["spec"]


def capturing(template=None, cache="Node", live=None, **capture):
    """The pod of a Rollout that captures."""
    delivery = {"cache": cache, "capture": {**CAPTURE, **capture}, **({"live": live} if live else {})}
    return pod(delivery=delivery, **({"template": template} if template else {}))


def agent_template(pod=None, init_containers=(), **container):
    """A pod template whose one container is this one."""
    spec = {"containers": [{"name": "agent", **container}], **(pod or {})}
    return {"spec": spec | ({"initContainers": list(init_containers)} if init_containers else {})}


def named(entries, name):
    (found,) = (entry for entry in entries if entry["name"] == name)
    return found


def values(container):
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def uploader(spec):
    return named(spec["initContainers"], "upload-captures")


# --- those that use neither -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "hash", "pods"),
    [
        ({}, "ae58b38c32", "263376b8a6fd34c5"),
        (
            {"delivery": {"cache": "Pod", "mountPath": "/m"}, "template": OTHER_TEMPLATE},
            "848d572d91",
            "45e27d962c44b29a",
        ),
        ({"delivery": {"live": {"enabled": False, "port": 9999}}}, "ae58b38c32", "263376b8a6fd34c5"),
    ],
    ids=["defaults", "much is given", "a page that is off"],
)
def test_an_upgrade_of_the_operator_restarts_no_pod_that_captures_nothing(spec, hash, pods):
    """Other figures restart fleets: only for a good reason, said in CHANGELOG.md."""
    assert revision_of(**spec)[1].hash == hash
    text = json.dumps(template(**spec), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == pods


def test_a_revision_from_before_gives_the_pods_of_then():
    rollout, old = revision_of()
    assert not {"capture", "live"} & old.data.keys()
    now, _ = revision_of(delivery={"capture": CAPTURE, "live": {"enabled": True}})
    assert daemon_set(now, 0, old, 1) == daemon_set(rollout, 0, old, 1)


# --- what makes a revision --------------------------------------------------------------------------------------------

ON_DISK = {"destination": "file:///captures/line"}
MOUNTED = agent_template(volumeMounts=[{"name": "c", "mountPath": "/captures"}, {"name": "d", "mountPath": "/d"}])


def unmounted(template=MOUNTED, groups=None, **capture):
    spec = {"template": template, "delivery": {"capture": ON_DISK | capture}}
    of = Rollout.model_validate(builders.rollout("v1", groups=groups or (), **spec))
    return capture_pods.unmounted(of)


def test_a_destination_on_a_volume_that_the_pods_do_not_have_is_named():
    assert unmounted() == ""
    assert unmounted(destination="s3://captures/") == ""
    said = unmounted(destination="file:///capture/line")
    assert said.startswith("file:///capture/line is on a volume, which the pods of canary, fleet do not have: ")
    assert said.endswith("Mount it in container agent of spec.template.")
    of_its_own = (builders.group("canary"), builders.group("fleet", delivery={"container": "proxy"}))
    two = {"spec": {"containers": [*MOUNTED["spec"]["containers"], {"name": "proxy", "image": "proxy:1"}]}}
    assert "the pods of fleet do not have" in unmounted(two, of_its_own)
    upload = {"name": "upload-captures", "volumeMounts": [{"name": "c", "mountPath": "/captures"}]}
    assert unmounted({"spec": {**two["spec"], "initContainers": [upload]}}, of_its_own) == ""


def test_the_rollout_has_a_condition_that_says_so():
    world = fleet(delivery={"capture": ON_DISK})
    world.run(lambda: world.is_at("v1"))
    assert world.reason("CapturesNotMounted") == "SourceNotMounted"
    world.spec(template=MOUNTED)
    world.run(lambda: world.reason("CapturesNotMounted") is None)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({}, {"capture": CAPTURE}, False),
        ({}, {"live": {"enabled": True}}, False),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, "rules": [{"name": "x", "every": "1m"}]}}, True),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, "sample": {"perHour": 60}}}, True),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, "image": {"quality": 80}, "disk": "1Gi", "rate": "1Mi"}}, True),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, "suspend": True, "keepFree": "50%"}}, True),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, "destination": "gs://other/"}}, True),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, "credentialsSecret": "other"}}, False),
        ({"capture": CAPTURE}, {"capture": {**CAPTURE, **ON_DISK}}, False),
        ({"capture": ON_DISK}, {"capture": {"destination": "file:///captures/other"}}, True),
        ({"capture": ON_DISK}, {"capture": {"destination": "file:///d/other"}}, False),
        ({"live": {"enabled": True}}, {"live": {"enabled": True, "port": 9000}}, False),
        ({"live": {"enabled": True}}, {"live": {"enabled": True, "port": 9092}}, True),
    ],
    ids=str,
)
def test_what_pods_are_made_from_makes_a_revision_and_what_they_read_does_not(before, after, same):
    hashes = {revision_of(delivery=delivery, template=MOUNTED)[1].hash for delivery in (before, after)}
    assert (len(hashes) == 1) is same


# --- the application --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        ("Node", {"hostPath": {"path": "/var/lib/modelfleet/spool/factory/line", "type": "DirectoryOrCreate"}}),
        ("Pod", {"emptyDir": {}}),
    ],
)
def test_the_application_writes_into_the_spool_and_reads_the_settings(cache, volume):
    spec = capturing(cache=cache)
    (agent,) = spec["containers"]
    assert agent["volumeMounts"][1:] == [
        {"name": "modelfleet-spool", "mountPath": "/var/lib/modelfleet/spool"},
        {"name": "modelfleet-capture", "mountPath": "/etc/modelfleet/capture", "readOnly": True},
    ]
    assert spec["volumes"][1:] == [
        {"name": "modelfleet-spool", **volume},
        {"name": "modelfleet-capture", "configMap": {"name": "line-capture", "optional": True}},
    ]
    assert values(agent)["CAPTURE_SPOOL"] == "/var/lib/modelfleet/spool"
    assert values(agent)["CAPTURE_SETTINGS"] == "/etc/modelfleet/capture/capture.json"
    assert "envFrom" not in agent, "the credentials are not the application's"
    assert "CAPTURE_SPOOL" not in values(named(spec["initContainers"], "fetch-model"))


def test_the_users_mounts_and_volumes_do_not_take_the_place_of_ours():
    mounts = [
        {"name": "mine", "mountPath": "/etc/modelfleet/capture/"},
        {"name": "modelfleet-spool", "mountPath": "/x"},
    ]
    volumes = [{"name": "mine", "emptyDir": {}}, {"name": "modelfleet-spool", "emptyDir": {}}]
    spec = capturing(agent_template({"volumes": volumes}, volumeMounts=mounts))
    assert [mount["name"] for mount in spec["containers"][0]["volumeMounts"]] == [
        "modelfleet-models",
        "modelfleet-spool",
        "modelfleet-capture",
    ]
    assert "hostPath" in named(spec["volumes"], "modelfleet-spool")
    assert [volume["name"] for volume in spec["volumes"]].count("modelfleet-spool") == 1


# --- the sidecar ------------------------------------------------------------------------------------------------------


def test_the_sidecar_alone_has_the_credentials_and_nothing_of_the_applications():
    user = agent_template(
        {"volumes": [{"name": "certs", "secret": {"secretName": "certs"}}]},
        image="app:1",
        env=[{"name": "AWS_ACCESS_KEY_ID", "value": "of the models"}],
        envFrom=[{"secretRef": {"name": "object-store"}}],
        volumeMounts=[{"name": "certs", "mountPath": "/certs"}],
    )
    sidecar = uploader(capturing(user))
    assert sidecar["envFrom"] == [{"secretRef": {"name": "captures-write"}}]
    assert values(sidecar) == {
        "MODEL_NAME": "parts",
        "MODEL_VERSION": "v1",
        "ROLLOUT": "line",
        "ROLLOUT_NAMESPACE": "factory",
        "GROUP": "canary",
        "CAPTURE_SPOOL": "/var/lib/modelfleet/spool",
        "CAPTURE_SETTINGS": "/etc/modelfleet/capture/capture.json",
        "UPLOAD_PORT": "9091",
    }
    assert {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}} in sidecar["env"]
    assert {mount["name"] for mount in sidecar["volumeMounts"]} == {"modelfleet-spool", "modelfleet-capture"}
    assert (sidecar["image"], sidecar["args"], sidecar["restartPolicy"]) == (AGENT_IMAGE, ["upload"], "Always")
    assert sidecar["ports"] == [{"name": "metrics-capture", "containerPort": 9091}]
    assert sidecar["resources"]["requests"] == sidecar["resources"]["limits"], "the pod keeps its QoS class"
    assert sidecar["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert "imagePullPolicy" not in sidecar


def test_without_a_secret_the_node_speaks_for_itself():
    assert "envFrom" not in uploader(pod(delivery={"capture": {"destination": "s3://captures/"}}))


@pytest.mark.parametrize(
    ("template", "user"),
    [
        (agent_template(), {"runAsNonRoot": True}),
        (agent_template(securityContext={"runAsUser": 7, "runAsGroup": 8}), {"runAsUser": 7, "runAsGroup": 8}),
        (agent_template({"securityContext": {"runAsUser": 7}}), {"runAsNonRoot": True}),
        (agent_template(securityContext={"runAsUser": 0}), {"runAsUser": 0, "runAsNonRoot": False}),
        (agent_template({"securityContext": {"runAsUser": 0}}), {"runAsNonRoot": False}),
        (
            agent_template({"securityContext": {"runAsUser": 0}}, securityContext={"runAsUser": 7}),
            {"runAsUser": 7, "runAsNonRoot": True},
        ),
    ],
    ids=str,
)
def test_the_sidecar_runs_as_the_application_does(template, user):
    security = uploader(capturing(template))["securityContext"]
    said = {key: security[key] for key in ("runAsUser", "runAsGroup") if key in security}
    assert said | {"runAsNonRoot": security["runAsNonRoot"]} == {"runAsNonRoot": True} | user


def test_the_folder_of_the_node_is_made_writable_for_the_pods_group():
    spec = capturing(agent_template({"securityContext": {"runAsUser": 7, "supplementalGroups": [44]}}))
    assert [entry["name"] for entry in spec["initContainers"]] == ["fetch-model", "prepare-spool", "upload-captures"]
    prepare = named(spec["initContainers"], "prepare-spool")
    security = prepare["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["capabilities"]) == (0, 65532, {"drop": ["ALL"]})
    assert prepare["command"][-1] == ("chgrp 65532 /var/lib/modelfleet/spool && chmod 2770 /var/lib/modelfleet/spool")
    assert prepare["volumeMounts"] == [{"name": "modelfleet-spool", "mountPath": "/var/lib/modelfleet/spool"}]
    assert spec["securityContext"] == {"runAsUser": 7, "supplementalGroups": [44, 65532]}


def test_nobody_is_root_where_the_spool_goes_with_the_pod():
    spec = capturing(cache="Pod")
    assert [entry["name"] for entry in spec["initContainers"]] == ["fetch-model", "upload-captures"]
    assert "securityContext" not in spec
    assert not [entry for entry in spec["initContainers"] if (entry["securityContext"]).get("runAsUser") == 0]


def test_the_users_entry_of_its_name_is_laid_over_the_sidecar():
    own = {
        "name": "upload-captures",
        "env": [{"name": "SSL_CERT_FILE", "value": "/certs/ca.crt"}],
        "volumeMounts": [{"name": "certs", "mountPath": "/certs", "readOnly": True}],
        "resources": {"limits": {"memory": "64Mi"}},
        "ports": [{"name": "metrics-capture", "containerPort": 9191}],
    }
    spec = capturing(agent_template(init_containers=[own, {"name": "warm-up", "image": "warm:1"}]))
    assert [entry["name"] for entry in spec["initContainers"]][-2:] == ["upload-captures", "warm-up"]
    sidecar = uploader(spec)
    assert values(sidecar)["SSL_CERT_FILE"] == "/certs/ca.crt"
    assert values(sidecar)["ROLLOUT"] == "line"
    assert [mount["mountPath"] for mount in sidecar["volumeMounts"]][-1] == "/certs"
    assert (sidecar["resources"], sidecar["ports"]) == (own["resources"], own["ports"]), "theirs as a whole"


def test_a_folder_as_destination_is_mounted_writable_from_the_innermost_volume():
    mounts = [
        {"name": "outer", "mountPath": "/srv", "readOnly": True},
        {"name": "inner", "mountPath": "/srv/captures", "subPath": "line", "readOnly": True},
        {"name": "other", "mountPath": "/srv/cap"},
    ]
    sidecar = uploader(capturing(agent_template(volumeMounts=mounts), destination="file:///srv/captures/a%20b"))
    assert sidecar["volumeMounts"][0] == {"name": "inner", "mountPath": "/srv/captures", "subPath": "line"}
    assert len(sidecar["volumeMounts"]) == 3


def test_the_agents_image_is_pulled_as_the_user_wants_it():
    spec = capturing(agent_template(imagePullPolicy="Never"))
    assert {entry.get("imagePullPolicy") for entry in spec["initContainers"]} == {"Never"}


# --- the live page ----------------------------------------------------------------------------------------------------


def test_the_page_is_told_to_the_application_alone():
    live = {"enabled": True, "rate": 5, "mask": False}
    spec = capturing(live=live)
    wanted = {"LIVE_PORT": "9092", "LIVE_RATE": "5", "LIVE_VIEWERS": "2", "LIVE_MASK": "false"}
    assert {key: value for key, value in values(spec["containers"][0]).items() if key.startswith("LIVE")} == wanted
    assert not [name for entry in spec["initContainers"] for name in values({"env": [], **entry}) if "LIVE" in name]
    assert values(capturing(live={"enabled": True})["containers"][0])["LIVE_MASK"] == "true"
    alone = pod(delivery={"live": {"enabled": True, "mask": False}})
    assert values(alone["containers"][0])["LIVE_MASK"] == "false"
    assert len(alone["initContainers"]) == len(alone["volumes"]) == 1


def test_a_page_that_is_off_is_not_told_of():
    assert not [name for name in values(capturing(live={"enabled": False})["containers"][0]) if "LIVE" in name]


# --- on the API server ------------------------------------------------------------------------------------------------


def test_with_the_defaults_of_the_server_it_needs_no_other_write():
    rollout, revision = revision_of(delivery={"capture": CAPTURE})
    manifest = daemon_set(rollout, 0, revision, 1)
    observed = json.loads(json.dumps(manifest))
    spec = observed["spec"]["template"]["spec"]
    for entry in spec["initContainers"]:
        entry["env"] = list(reversed(entry.get("env", [])))
        for port in entry.get("ports", ()):
            port["protocol"] = "TCP"
    spec["volumes"][-1]["configMap"]["defaultMode"] = 420
    assert covers(observed, manifest)
    named(spec["initContainers"], "upload-captures")["envFrom"][0]["secretRef"]["name"] = "other"
    assert not covers(observed, manifest)


def test_a_missing_secret_is_named():
    """What a kubelet says of a container whose Secret isn't there, and what the Rollout shows of it."""
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "captures-write" not found'}
    raw = {
        "metadata": {"name": "p", "creationTimestamp": wire(START)},
        "spec": {"nodeName": "edge-1"},
        "status": {
            "phase": "Pending",
            "initContainerStatuses": [
                {"name": "fetch-model", "ready": True, "state": {"terminated": {"exitCode": 0}}},
                {"name": "upload-captures", "ready": False, "state": {"waiting": waiting}},
            ],
            "containerStatuses": [
                {"name": "agent", "ready": False, "state": {"waiting": {"reason": "PodInitializing"}}},
            ],
        },
    }
    assert pod_state(raw).problem == Problem(
        "CreateContainerConfigError", 'container upload-captures: secret "captures-write" not found'
    )
