"""The Job: what it is told, how it may fail, and what of it the user's template can and can't change."""

import json

from modelfleet.api import TrainingJob
from modelfleet.training import manifests, trainer_run
from trainer.metrics import PORT
from unit.training.builders import IMAGE, fine_tune, model_version, training_job, versions


def job_of(training, version="v4", parent=None, baseline=None):
    parsed = TrainingJob.model_validate(training)
    return manifests.create_job(parsed, IMAGE, version, parent, baseline).manifest


def trainer_of(job):
    return next(entry for entry in job["spec"]["template"]["spec"]["containers"] if entry["name"] == "trainer")


def env_of(job):
    return {entry["name"]: entry.get("value") for entry in trainer_of(job)["env"]}


def document_of(job):
    return json.loads(env_of(job)["TRAINER_RUN"])


def test_the_whole_job():
    job = job_of(training_job(backoffLimit=5, activeDeadline="90s"))
    labels = {
        "app.kubernetes.io/managed-by": "modelfleet",
        "modelfleet.dev/training-job": "parts-v4",
        "modelfleet.dev/model": "parts",
        "modelfleet.dev/version": "v4",
    }
    assert job["metadata"]["name"] == "parts-v4"
    assert job["metadata"]["labels"] == labels
    assert job["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "modelfleet.dev/v1alpha1",
            "kind": "TrainingJob",
            "name": "parts-v4",
            "uid": "uid-parts-v4",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    spec = job["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["suspend"]) == (5, 90, False)
    assert "ttlSecondsAfterFinished" not in spec  # the operator removes it, after the result is recorded
    ignore, fail, stopped = spec["podFailurePolicy"]["rules"]
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert fail["onExitCodes"] == {"containerName": "trainer", "operator": "In", "values": [64]}
    assert (stopped["action"], stopped["onExitCodes"]["values"]) == ("Ignore", [143])
    pod = spec["template"]
    assert pod["metadata"]["labels"] == labels
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["automountServiceAccountToken"] is False
    trainer = trainer_of(job)
    assert trainer["image"] == IMAGE
    assert trainer["terminationMessagePath"] == "/dev/termination-log"
    assert trainer["terminationMessagePolicy"] == "File"
    assert trainer["workingDir"] == "/work"
    assert "resources" not in trainer
    assert env_of(job)["YOLO_CONFIG_DIR"] == "/work/.ultralytics"


def test_no_template_lets_a_trainer_speak_to_the_api_server():
    job = job_of(training_job(template={"spec": {"automountServiceAccountToken": True, "serviceAccountName": "mine"}}))
    pod = job["spec"]["template"]["spec"]
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (False, "mine")


def test_the_run_says_only_what_the_user_gave():
    document = document_of(
        job_of(training_job(hyperparameters={"epochs": 3, "augmentation": {"degrees": "10"}}), version="v4")
    )
    assert document == {
        "trainingJob": "parts-v4",
        "uid": "uid-parts-v4",
        "model": "parts",
        "version": "v4",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "parent": None,
        "dataset": {"sources": [{"uri": "s3://data/1.tar", "format": "Auto"}], "validationSplit": "0.2"},
        "hyperparameters": {"epochs": 3, "augmentation": {"degrees": "10"}, "extra": {}},
        "output": {"uri": "s3://models/parts/v4/", "formats": ["onnx"]},
        "checkpoint": {"everyEpochs": 5},
        "evaluation": None,
    }


def test_parent_and_baseline_are_told_in_full():
    lineage = {"hyperparameters": {"epochs": "9", "cfg": ""}}
    parent, baseline = versions(model_version("v3", lineage=lineage, metrics={"map50": "0.9"}), model_version("v2"))
    training = fine_tune(
        {"version": "v3"}, evaluation={"dataset": {"uri": "s3://data/holdout.tar"}, "baseline": {"rollout": "line"}}
    )
    document = document_of(job_of(training, parent=parent, baseline=baseline))
    assert document["parent"] == {
        "version": "v3",
        "uri": "s3://models/parts/v3/",
        "files": [
            {
                "name": "best.onnx",
                "format": "onnx",
                "sha256": document["parent"]["files"][0]["sha256"],
                "sizeBytes": 1000,
            },
            {
                "name": "best.pt",
                "format": "pytorch",
                "sha256": document["parent"]["files"][1]["sha256"],
                "sizeBytes": 1000,
            },
        ],
        "classes": ["bolt", "nut"],
        "imageSize": 320,
        "hyperparameters": {"epochs": "9"},
        "metrics": {"map50": "0.9"},
    }
    assert document["evaluation"]["dataset"] == {"uri": "s3://data/holdout.tar", "format": "Auto"}
    assert document["evaluation"]["baseline"]["version"] == "v2"


def test_trackers_are_told_to_the_trainer_and_their_secrets_are_in_its_environment():
    tracking = {
        "mlflow": {"uri": "https://mlflow", "secretRef": {"name": "ml"}},
        "wandb": {"project": "parts", "entity": "team", "secretRef": {"name": "wb"}},
    }
    template = {"spec": {"containers": [{"name": "trainer", "envFrom": [{"secretRef": {"name": "object-store"}}]}]}}
    job = job_of(training_job(tracking=tracking, template=template))
    assert document_of(job)["tracking"] == {
        "mlflow": {"uri": "https://mlflow"},
        "wandb": {"project": "parts", "entity": "team"},
    }
    references = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in trainer_of(job)["env"] if "valueFrom" in entry
    }
    assert references == {
        name: {"name": secret, "key": name, "optional": True}
        for name, secret in (
            ("MLFLOW_TRACKING_USERNAME", "ml"),
            ("MLFLOW_TRACKING_PASSWORD", "ml"),
            ("MLFLOW_TRACKING_TOKEN", "ml"),
            ("WANDB_API_KEY", "wb"),
        )
    }
    assert trainer_of(job)["envFrom"] == [{"secretRef": {"name": "object-store"}}]


def test_a_tracker_without_a_secret_gets_none():
    job = job_of(training_job(tracking={"mlflow": {"uri": "http://mlflow", "experiment": "lines"}}))
    assert document_of(job)["tracking"] == {"mlflow": {"uri": "http://mlflow", "experiment": "lines"}}
    assert all("valueFrom" not in entry for entry in trainer_of(job)["env"])


def test_the_run_is_read_back_from_the_job_as_it_was_written():
    (parent,) = versions(model_version("v3", classes=["$(HOME)", "a$$b", "ü"]))
    job = job_of(fine_tune({"version": "v3"}), parent=parent)
    assert trainer_run.read(job) == trainer_run.Run("v4", "v3", None, "s3://models/parts/v4/")
    # What the kubelet makes of it: `$$` is `$`, and nothing is expanded.
    text = env_of(job)["TRAINER_RUN"].replace("$$", "\0")
    assert "$" not in text
    assert json.loads(text.replace("\0", "$"))["parent"]["classes"] == ["$(HOME)", "a$$b", "ü"]


def test_a_job_of_somebody_else_holds_no_run():
    job = job_of(training_job())
    trainer_of(job)["env"] = [{"name": "TRAINER_RUN", "value": '{"version": "v4"}'}]
    assert trainer_run.read(job) is None
    trainer_of(job)["env"] = []
    assert trainer_run.read(job) is None


def test_gpus_and_resources():
    job = job_of(training_job(resources={"gpus": 2, "requests": {"cpu": 4}, "limits": {"memory": "16Gi"}}))
    assert trainer_of(job)["resources"] == {
        "requests": {"cpu": "4"},
        "limits": {"memory": "16Gi", "nvidia.com/gpu": "2"},
    }


def test_the_template_reaches_the_pod():
    template = {
        "metadata": {"annotations": {"note": "x"}, "labels": {"team": "vision"}},
        "spec": {
            "nodeSelector": {"gpu": "yes"},
            "runtimeClassName": "nvidia",
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "volumes": [{"name": "data", "hostPath": {"path": "/data"}}],
            "containers": [
                {
                    "name": "trainer",
                    "image": "mine:2",
                    "envFrom": [{"secretRef": {"name": "object-store"}}],
                    "env": [{"name": "AWS_REGION", "value": "eu"}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
        },
    }
    job = job_of(training_job(template=template))
    pod, trainer = job["spec"]["template"], trainer_of(job)
    assert pod["metadata"]["annotations"] == {"note": "x"}
    assert pod["metadata"]["labels"]["team"] == "vision"
    assert pod["metadata"]["labels"]["modelfleet.dev/training-job"] == "parts-v4"
    assert pod["spec"]["nodeSelector"] == {"gpu": "yes"}
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    assert pod["spec"]["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert [entry["name"] for entry in pod["spec"]["volumes"]] == ["modelfleet-work", "modelfleet-shm", "data"]
    assert trainer["image"] == "mine:2"
    assert trainer["envFrom"] == [{"secretRef": {"name": "object-store"}}]
    assert env_of(job) | {"AWS_REGION": "eu", "HOME": "/work"} == env_of(job)
    assert [entry["mountPath"] for entry in trainer["volumeMounts"]] == ["/work", "/dev/shm", "/data"]


def test_what_the_operator_relies_on_is_not_the_templates():
    template = {
        "metadata": {"labels": {"modelfleet.dev/training-job": "other", "app.kubernetes.io/managed-by": None}},
        "spec": {
            "restartPolicy": "OnFailure",
            "containers": [
                {
                    "name": "trainer",
                    "env": [{"name": "TRAINER_RUN", "value": "{}"}],
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }
    job = job_of(training_job(template=template))
    pod = job["spec"]["template"]
    assert pod["metadata"]["labels"]["modelfleet.dev/training-job"] == "parts-v4"
    assert pod["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "modelfleet"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert document_of(job)["version"] == "v4"
    assert trainer_of(job)["terminationMessagePolicy"] == "File"


def test_a_template_can_not_take_the_trainer_away():
    job = job_of(training_job(template={"spec": {"containers": [{"name": "trainer", "$patch": "delete"}]}}))
    assert trainer_of(job)["image"] == IMAGE


def test_the_queue_of_kueue_is_passed_on_and_the_job_starts_suspended():
    job = job_of(training_job(labels={"kueue.x-k8s.io/queue-name": "gpus", "team": "vision"}))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "team" not in job["metadata"]["labels"]
    assert job["spec"]["suspend"] is True


def test_the_pod_fits_the_restricted_pod_security_standard():
    job = job_of(training_job())
    pod, trainer = job["spec"]["template"]["spec"], trainer_of(job)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert trainer["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert all("emptyDir" in volume for volume in pod["volumes"])


def test_the_trainer_listens_where_prometheus_is_told_to_look():
    """The chart's PodMonitor goes by the port's name; docs/trainer.md names the series."""
    job = job_of(training_job())
    (port,) = [entry["containerPort"] for entry in trainer_of(job)["ports"] if entry["name"] == "metrics"]
    assert env_of(job)[PORT] == str(port)
