"""The Job that verifies a version: what it is told, what it may do, and what a template of the settings changes."""

import copy
import json
from datetime import timedelta

from modelfleet.api import ModelVersion
from modelfleet.versions.manifests import verify_job, verify_job_name
from unit.training.builders import model_version
from unit.versions.verifying import version


def job(template=None, **fields):
    return verify_job(version(**fields), "agent:1", template or {}, timedelta(minutes=30))


def container(template=None, **fields):
    (one,) = job(template, **fields)["spec"]["template"]["spec"]["containers"]
    return one


def env(one, name):
    return next(entry["value"] for entry in one["env"] if entry["name"] == name)


def test_it_is_told_the_artifact_and_nothing_else():
    one = container()
    assert (one["image"], one["args"]) == ("agent:1", ["verify"])
    assert json.loads(env(one, "ARTIFACT").replace("$$", "$")) == version().to_dict()["spec"]["artifact"]


def test_dollars_reach_the_container_as_they_are():
    raw = model_version(ready=None)
    raw["spec"]["artifact"]["uri"] = "s3://models/$(HOME)/$$/"
    parsed = ModelVersion.model_validate(raw)
    manifest = verify_job(parsed, "agent:1", {}, timedelta(minutes=1))
    (one,) = manifest["spec"]["template"]["spec"]["containers"]
    assert "s3://models/$$(HOME)/$$$$/" in env(one, "ARTIFACT")


def test_it_may_do_as_little_as_can_be():
    spec = job()["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container()["envFrom"] == [{"secretRef": {"name": "object-store", "optional": True}}]


def test_no_template_lets_it_speak_to_the_api_server():
    assert (
        job({"spec": {"automountServiceAccountToken": True}})["spec"]["template"]["spec"][
            "automountServiceAccountToken"
        ]
        is False
    )


def test_it_ends_by_itself_and_goes_by_itself():
    manifest = job()
    assert manifest["spec"]["activeDeadlineSeconds"] == 1800
    assert manifest["spec"]["ttlSecondsAfterFinished"] == 600
    assert manifest["spec"]["backoffLimit"] == 0
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ModelVersion", "uid-parts-v3", True)


def test_job_and_pods_can_be_found_and_say_whose_they_are():
    for metadata in (job()["metadata"], job()["spec"]["template"]["metadata"]):
        assert metadata["labels"] == {
            "app.kubernetes.io/managed-by": "modelfleet",
            "app.kubernetes.io/component": "verification",
            "modelfleet.dev/model": "parts",
            "modelfleet.dev/version": "v3",
        }
        assert metadata["annotations"] == {"modelfleet.dev/model-version": "parts-v3"}


def test_a_template_adds_what_reaches_the_source_and_takes_nothing_that_is_relied_upon():
    template = {
        "metadata": {"labels": {"team": "vision", "modelfleet.dev/model": "x"}, "annotations": {"a": "b"}},
        "spec": {
            "serviceAccountName": "reader",
            "nodeSelector": {"zone": "a"},
            "restartPolicy": "Always",
            "containers": [
                {
                    "name": "verify",
                    "image": "mine:1",
                    "args": ["serve"],
                    "env": [{"name": "AWS_REGION", "value": "eu"}, {"name": "ARTIFACT", "value": "{}"}],
                    "envFrom": [{"secretRef": {"name": "other"}}],
                    "volumeMounts": [{"name": "models", "mountPath": "/models"}],
                }
            ],
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        },
    }
    before = copy.deepcopy(template)
    pod = job(template)["spec"]["template"]
    assert template == before
    assert (pod["spec"]["serviceAccountName"], pod["spec"]["nodeSelector"]) == ("reader", {"zone": "a"})
    assert pod["spec"]["restartPolicy"] == "Never"
    assert (pod["metadata"]["labels"]["team"], pod["metadata"]["labels"]["modelfleet.dev/model"]) == ("vision", "parts")
    one = container(template)
    assert (one["image"], one["args"], env(one, "AWS_REGION")) == ("mine:1", ["verify"], "eu")
    assert one["envFrom"] == [{"secretRef": {"name": "other"}}]
    assert json.loads(env(one, "ARTIFACT"))["files"]
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_template_without_the_container_keeps_ours():
    names = [
        one["name"]
        for one in job({"spec": {"containers": [{"name": "proxy"}]}})["spec"]["template"]["spec"]["containers"]
    ]
    assert names == ["verify", "proxy"]


def test_the_name_is_of_this_very_object_and_fits():
    name = verify_job_name(version())
    assert name.startswith("verify-parts-v3-")
    assert name == verify_job_name(version())
    raw = model_version()
    raw["metadata"]["uid"] = "uid-another"
    assert verify_job_name(ModelVersion.model_validate(raw)) != name
    long = verify_job_name(version(version="v" * 60, model="m" * 60))
    assert len(long) <= 63
    assert not long.endswith("-")
