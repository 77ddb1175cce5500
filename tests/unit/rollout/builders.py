"""Raw objects for the tests of rollouts, in a few words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from modelfleet.settings import Images, Settings

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
AGENT_IMAGE = "registry.example/agent:1"
SETTINGS = Settings(images=Images(trainer="trainer:1", agent=AGENT_IMAGE, labeler="labeler:1"))

Json = dict[str, Any]


def wire(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def model_version(
    version: str,
    *,
    model: str = "parts",
    tags: tuple[str, ...] = (),
    created: datetime = START,
    ready: bool = True,
    formats: tuple[str, ...] = ("onnx",),
    deleting: bool = False,
    **spec: Any,
) -> Json:
    metadata: Json = {
        "name": f"{model}-{version}",
        "namespace": "factory",
        "uid": f"uid-{model}-{version}",
        "creationTimestamp": wire(created),
    }
    if deleting:
        metadata["deletionTimestamp"] = wire(created)
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {
            "model": model,
            "version": version,
            "tags": list(tags),
            "artifact": {
                "uri": f"s3://models/{model}/{version}/",
                "files": [
                    {
                        "name": f"best.{format}",
                        "format": format,
                        "sha256": (version.encode().hex() * 64)[:64],
                        "sizeBytes": 7,
                    }
                    for format in formats
                ],
            },
            "classes": ["bolt", "nut"],
            **spec,
        },
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "reason": "Verified", "message": "as checked"}
            ]
        },
    }


def group(name: str, **fields: Any) -> Json:
    return {"name": name, "nodeSelector": {"matchLabels": {"group": name}}, **fields}


def template(image: str = "app:1", **spec: Any) -> Json:
    return {"spec": {"containers": [{"name": "agent", "image": image}], **spec}}


def rollout(
    version: str | None = None,
    *,
    name: str = "line",
    groups: tuple[Json, ...] = (),
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> Json:
    model: Json = {"name": "parts"} | ({"version": version} if version else {"tag": "latest"})
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {
            "name": name,
            "namespace": "factory",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": wire(START),
            "annotations": dict(annotations or {}),
        },
        "spec": {
            "model": model,
            "groups": list(groups) or [group("canary"), group("fleet")],
            "template": template(),
            "gate": {"soak": "5m", "interval": "1m", "timeout": "1h"},
            **spec,
        },
    }


def node(name: str, labels: Mapping[str, str], *, reachable: bool = True, since: datetime = START, **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": dict(labels), "creationTimestamp": wire(START)},
        "spec": spec,
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True" if reachable else "Unknown", "lastTransitionTime": wire(since)}
            ]
        },
    }
