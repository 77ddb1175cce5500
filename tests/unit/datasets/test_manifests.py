"""The Job of a Dataset: what the labeler is told, what it may do, and what the user can change."""

import json
from typing import Any

from modelfleet.datasets import manifests
from modelfleet.datasets.schedule import Due
from modelfleet.datasets.snapshot import Deployed
from unit.datasets.builders import FILES, IMAGE, UID, Json, dataset, snapshot
from unit.training.builders import START


def job(*, command: str = "", deployed: tuple[Deployed, ...] = (), **spec: Any) -> Json:
    made = manifests.create_job(snapshot(dataset(generation=3, **spec), deployed=deployed), Due(START, command))
    return dict(made.manifest)


def labeler(manifest: Json) -> Json:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def environment(manifest: Json) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in labeler(manifest)["env"]}


def test_what_the_labeler_is_told():
    told = environment(job(deployed=(Deployed("v2", "a" * 64),), minNewImages=70))["LABELER_RUN"]
    assert json.loads(told) == {
        "dataset": "parts",
        "namespace": "factory",
        "model": "parts",
        "captures": "s3://captures/line/",
        "store": "s3://data/parts/",
        "classes": ["bolt", "nut"],
        "minNewImages": 70,
        "split": {"validation": "0.15", "holdout": "0.10"},
        "labelling": {
            "perDay": 200,
            "priority": ["disagree", "sample"],
            "blind": "0.10",
            "labelStudio": {"url": "http://ls", "project": "parts"},
        },
        "deployed": [{"version": "v2", "sha256": "a" * 64}],
    }


def test_labels_from_files():
    made = job(labelling=FILES | {"perDay": 5, "blind": "0%"})
    assert json.loads(environment(made)["LABELER_RUN"])["labelling"] == {
        "perDay": 5,
        "priority": ["disagree", "sample"],
        "blind": "0.00",
        "files": {"uri": "s3://reviewed/parts/", "format": "Auto"},
    }
    assert "LABEL_STUDIO_API_KEY" not in environment(made)


def test_the_token_is_a_reference_and_a_dollar_stays_one():
    made = job(captures={"uri": "s3://captures/$(HOME)/"})
    assert environment(made)["LABEL_STUDIO_API_KEY"] == {
        "secretKeyRef": {"name": "ls", "key": "token", "optional": True}
    }
    assert "s3://captures/$$(HOME)/" in environment(made)["LABELER_RUN"]


def test_the_job_is_bounded_and_its_dataset_owns_it():
    made = job(activeDeadline="90s", command="now@3")
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("parts-20261121080000", "factory")
    assert made["metadata"]["annotations"] == {
        "modelfleet.dev/sync-due": "2026-11-21T08:00:00Z",
        "modelfleet.dev/sync-generation": "3",
        "modelfleet.dev/sync-command": "now@3",
    }
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Dataset", "parts", UID, True)
    spec = made["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["podReplacementPolicy"]) == (90, 2, "Failed")
    assert spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"] == [manifests.RETRYING_CANT_HELP]
    labels = {
        "app.kubernetes.io/managed-by": "modelfleet",
        "modelfleet.dev/dataset": "parts",
        "modelfleet.dev/model": "parts",
    }
    assert made["metadata"]["labels"] == spec["template"]["metadata"]["labels"] == labels


def test_the_longest_name_is_a_jobs_name():
    raw = dataset()
    raw["metadata"]["name"] = "x" * 48
    assert len(manifests.create_job(snapshot(raw), Due(START)).manifest["metadata"]["name"]) == 63


def test_the_pod_is_fit_for_the_restricted_standard():
    pod = job()["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["restartPolicy"]) == (False, "Never")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["volumeMounts"] == [{"name": "modelfleet-work", "mountPath": "/tmp"}]
    assert pod["volumes"] == [{"name": "modelfleet-work", "emptyDir": {}}], "the only place that it can write to"
    assert container["resources"]["limits"] == {"memory": "1Gi"}


def test_no_template_lets_a_labeler_speak_to_the_api_server():
    made = job(template={"spec": {"automountServiceAccountToken": True, "serviceAccountName": "mine"}})
    pod = made["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (False, "mine")


def test_the_users_template_is_laid_over_it_but_not_over_what_is_relied_on():
    container = {
        "name": "labeler",
        "image": "mine:1",
        "envFrom": [{"secretRef": {"name": "object-store"}}],
        "env": [{"name": "LABELER_RUN", "value": "{}"}, {"name": "AWS_REGION", "value": "x"}],
        "resources": {"limits": {"memory": "4Gi"}},
    }
    made = job(
        template={
            "metadata": {"labels": {"team": "vision", "modelfleet.dev/dataset": "other"}},
            "spec": {"nodeSelector": {"zone": "a"}, "restartPolicy": "OnFailure", "containers": [container]},
        }
    )
    template = made["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "vision"
    assert template["metadata"]["labels"]["modelfleet.dev/dataset"] == "parts"
    assert (template["spec"]["nodeSelector"], template["spec"]["restartPolicy"]) == ({"zone": "a"}, "Never")
    ours = labeler(made)
    assert (ours["image"], ours["envFrom"]) == ("mine:1", [{"secretRef": {"name": "object-store"}}])
    assert ours["resources"]["limits"] == {"memory": "4Gi"}
    assert (environment(made)["AWS_REGION"], json.loads(environment(made)["LABELER_RUN"])["model"]) == ("x", "parts")
