"""The user's partial pod template, merged as Kubernetes would merge it."""

import copy

import pytest

from modelfleet.workloads.pod_template import merge

TRAINER = {"name": "trainer", "image": "ours", "env": [{"name": "HOME", "value": "/work"}]}


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"x": 1}}, {"a": {"$patch": "replace", "y": 2}}, {"a": {"y": 2}}),
        # containers by name, and inside them env by name
        (
            {"containers": [TRAINER]},
            {"containers": [{"name": "trainer", "env": [{"name": "KEY", "value": "k"}]}, {"name": "proxy"}]},
            {
                "containers": [
                    {**TRAINER, "env": [{"name": "HOME", "value": "/work"}, {"name": "KEY", "value": "k"}]},
                    {"name": "proxy"},
                ]
            },
        ),
        # a variable is a value or a reference: the user's takes the place of ours
        (
            {"env": [{"name": "HOME", "value": "/work"}]},
            {"env": [{"name": "HOME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            {"env": [{"name": "HOME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
        ),
        (
            {"volumes": [{"name": "work", "emptyDir": {}}]},
            {"volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "big"}}, {"name": "data"}]},
            {"volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "big"}}, {"name": "data"}]},
        ),
        (
            {"volumeMounts": [{"name": "work", "mountPath": "/work"}]},
            {"volumeMounts": [{"name": "data", "mountPath": "/data"}, {"mountPath": "/work", "subPath": "x"}]},
            {
                "volumeMounts": [
                    {"name": "work", "mountPath": "/work", "subPath": "x"},
                    {"name": "data", "mountPath": "/data"},
                ]
            },
        ),
        (
            {"initContainers": [{"name": "prepare", "image": "a"}]},
            {"initContainers": [{"name": "prepare", "$patch": "delete"}, {"name": "other"}]},
            {"initContainers": [{"name": "other"}]},
        ),
        # a key that can be none is for the API server to refuse
        (
            {"imagePullSecrets": [{"name": "ours"}]},
            {"imagePullSecrets": [{"name": ["theirs"]}]},
            {"imagePullSecrets": [{"name": ["theirs"]}]},
        ),
        # lists that Kubernetes calls atomic
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        ({"envFrom": [{"secretRef": {"name": "a"}}]}, {"envFrom": []}, {"envFrom": []}),
        ({"args": ["x"]}, {"args": ["y", "z"]}, {"args": ["y", "z"]}),
        # a map where there was none, or something else
        ({}, {"nodeSelector": {"gpu": "yes", "old": None}}, {"nodeSelector": {"gpu": "yes"}}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_merge(base, patch, merged):
    before = copy.deepcopy((base, patch))
    assert merge(base, patch) == merged
    assert (base, patch) == before
