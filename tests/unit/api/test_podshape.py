"""Pod templates whose parts have another form than in Kubernetes: the CRDs pass them on, the operator says which."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from modelfleet.api import Rollout, TrainingJob
from modelfleet.api.podshape import checked
from unit.rollout import builders, simulation
from unit.training.builders import training_job

TERM = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
WHOLE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}},
    "spec": {
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "a"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]}}},
        "volumes": [{"name": "c", "hostPath": {"path": "/c"}}, {"name": "d", "emptyDir": {}}],
        "securityContext": {"fsGroup": 1},
        "imagePullSecrets": [{"name": "x"}],
        "initContainers": [{"name": "fetch-model", "env": [{"name": "A", "value": "b"}]}],
        "containers": [
            {
                "name": "agent",
                "env": [{"name": "A", "value": "b"}],
                "ports": [{"name": "metrics", "containerPort": 9090}],
                "volumeMounts": [{"name": "c", "mountPath": "/c"}],
                "resources": {"limits": {"cpu": "1"}},
            }
        ],
    },
}
NODE = "spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution"


def changed(path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(WHOLE)
    *before, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    part: Any = found
    for name in before:
        part = part[name]
    part[last] = value
    return found


def paths(value: Any, path: str = "") -> list[str]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(f"{path}/{name}".strip("/"), inner) for name, inner in entries]
    return [each for here, inner in found for each in (here, *paths(inner, here))]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("metadata/labels", "a", "metadata.labels must be an object"),
        ("spec/affinity", ["x"], "spec.affinity must be an object"),
        (f"{NODE}/nodeSelectorTerms", {"a": "b"}, "nodeSelectorTerms must be a list of objects"),
        (f"{NODE}/nodeSelectorTerms/0/matchExpressions", ["a"], "matchExpressions[0] must be an object"),
        ("spec/volumes", [{}], "spec.volumes[0].name must be a text"),
        ("spec/volumes", {"c": {}}, "spec.volumes must be a list of objects, each with a name"),
        ("spec/volumes/0/hostPath/path", 1, "spec.volumes[0].hostPath.path must be a text"),
        ("spec/securityContext", 1, "spec.securityContext must be an object"),
        ("spec/initContainers/0/env", [{"value": "x"}], "spec.initContainers[0].env[0].name must be a text"),
        ("spec/containers/0/env", {"LOG": "debug"}, "spec.containers[0].env must be a list of objects, each with"),
        ("spec/containers/0/env", ["LOG=debug"], "spec.containers[0].env[0] must be an object with a name"),
        ("spec/containers/0/volumeMounts/0/mountPath", None, "volumeMounts[0].mountPath must be a text"),
        ("spec/containers/0/volumeMounts/0/name", [], "volumeMounts[0].name must be a text"),
        ("spec/containers/0/resources", "1", "spec.containers[0].resources must be an object"),
    ],
)
def test_what_has_another_form_is_named(path: str, value: Any, says: str):
    template = changed(path, value)
    with pytest.raises(ValidationError) as error:
        Rollout.model_validate(builders.rollout("v1", template=template))
    assert says in str(error.value)
    with pytest.raises(ValidationError):
        TrainingJob.model_validate(training_job(template=template))


def may_be_absent(path: str) -> bool:
    name = path.rpartition("/")[2]
    return path not in ("spec", "spec/containers") and not name.isdigit() and name not in ("name", "mountPath")


@pytest.mark.parametrize("path", [each for each in paths(WHOLE) if may_be_absent(each)])
def test_null_is_as_good_as_absent_and_is_decided_on(path: str):
    template = changed(path, None)
    assert checked(template) is template
    assert simulation.fleet(template=template)._decide(None).actions


def test_what_is_whole_or_a_patch_passes():
    assert checked(WHOLE) is WHOLE
    assert checked({}) == {}
    patch = {"spec": {"containers": [{"name": "trainer", "env": [{"$patch": "replace"}, {"name": "A"}]}]}}
    assert checked(patch) == patch
