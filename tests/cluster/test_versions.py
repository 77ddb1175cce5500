"""ModelVersions made by hand: verified at their source, found wrong, out of reach and back; and how many are kept.

API server, Job controller, scheduler, object store and operator are real. No container runs on a simulated node, so the
test plays the kubelet of the verify Job: it runs the real `agent verify` with the pod's own environment, and hands its
exit code and termination message back.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, OperatorProcess, StartOperator
from harness.paths import REPOSITORY
from harness.timing import within
from worlds.training import Space, model_version

ANNOTATION = "modelfleet.dev/verification"
COMPONENT = "app.kubernetes.io/component=verification"
ON = {"verification": {"enabled": True}}
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
WEIGHTS = {"best.onnx": b"onnx" * 1000, "best.pt": b"torch" * 1000}


@pytest.fixture
def space(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Space:
    """A namespace that admits restricted pods only, a node, and credentials for the object store in a Secret."""
    (node,) = kwok_nodes(1, labels={"for": namespace}, prefix="edge")
    here = Space(crds, namespace, node)
    crds.kubectl("label", "namespace", namespace, RESTRICTED)
    store = crds.object_store
    store.create_bucket(namespace)
    values = {
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }
    literals = [f"--from-literal={name}={value}" for name, value in values.items()]
    here.kubectl("create", "secret", "generic", "object-store", *literals)
    return here


def by_hand(space: Space, version: str = "v1", contents: Mapping[str, bytes] = WEIGHTS, **spec: Any) -> dict[str, Any]:
    """A version whose files are in the namespace's bucket."""
    files = [
        {"name": name, "format": format, "sha256": hashlib.sha256(data).hexdigest(), "sizeBytes": len(data)}
        for (name, data), format in zip(contents.items(), ("onnx", "pytorch"), strict=True)
    ]
    return model_version(version, artifact={"uri": f"s3://{space.namespace}/parts/{version}/", "files": files}, **spec)


def upload(space: Space, version: str = "v1", contents: Mapping[str, bytes] = WEIGHTS) -> None:
    for name, data in contents.items():
        space.cluster.object_store.put(space.namespace, f"parts/{version}/{name}", data)


def ready(space: Space, name: str = "parts-v1") -> dict[str, Any]:
    return space.ready(name, "modelversion")


def until_reason(space: Space, reason: str, name: str = "parts-v1") -> str:
    """The message of Ready once it has this reason."""
    space.until(lambda: ready(space, name)["reason"] == reason)
    return str(ready(space, name)["message"])


def verify_jobs(space: Space) -> list[dict[str, Any]]:
    return space.list("jobs", f"{COMPONENT}")


def until_pod(space: Space, *besides: str) -> dict[str, Any]:
    """The verify Job's pod that runs."""

    def running() -> dict[str, Any] | None:
        pods = space.list("pods", f"{COMPONENT}")
        return next(
            (p for p in pods if p["status"]["phase"] == "Running" and p["metadata"]["name"] not in besides), None
        )

    pod = space.until(running)
    assert pod is not None
    return pod


def play(space: Space, pod: Mapping[str, Any], folder: Path) -> None:
    """Do as the pod is told, with the real agent, and report how it ended."""
    (container,) = pod["spec"]["containers"]
    environment = {"PATH": os.environ["PATH"], "TERMINATION_LOG": str(folder / "termination-log")}
    environment["PYTHONPATH"] = os.pathsep.join(str(REPOSITORY / part) for part in ("agent-image", "artifacts"))
    for source in container["envFrom"]:
        secret = space.get("secret", source["secretRef"]["name"])
        assert secret is not None
        environment |= {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    environment |= {entry["name"]: entry["value"].replace("$$", "$") for entry in container["env"]}
    done = subprocess.run([sys.executable, "-m", "agent", *container["args"]], env=environment, check=False)
    message = (folder / "termination-log").read_text()
    space.cluster.kwok.finish_pod(space.namespace, pod["metadata"]["name"], exit_code=done.returncode, message=message)


def test_a_version_made_by_hand_is_ready_once_its_files_were_verified(
    space: Space, start_operator: StartOperator, tmp_path: Path
):
    operator = start_operator(ON)
    upload(space)
    space.apply(by_hand(space))
    message = until_reason(space, "ArtifactUnverified")
    assert message.startswith("The digests of 2 files are being verified at the source: ")
    assert not space.status("parts-v1", "modelversion").get("tags"), "what is not verified is no version to choose"
    pod = until_pod(space)
    assert pod["spec"]["automountServiceAccountToken"] is False
    play(space, pod, tmp_path)
    assert "The digests of 2 files verified at the source at" in until_reason(space, "Available")
    space.until(lambda: space.status("parts-v1", "modelversion").get("tags") == ["latest"])
    events = space.list("events", fields="involvedObject.name=parts-v1")
    assert "Verified" in {event["reason"] for event in events}

    (job,) = verify_jobs(space)
    assert (job["spec"]["ttlSecondsAfterFinished"], job["metadata"]["ownerReferences"][0]["kind"]) == (
        600,
        "ModelVersion",
    )
    space.delete("job", job["metadata"]["name"])
    operator.kill9()
    space.kubectl(
        "patch", "modelversion", "parts-v1", "--subresource=status", "--type=json",
        '--patch=[{"op": "replace", "path": "/status", "value": {}}]',
    )  # fmt: skip
    operator.start()
    assert "verified at the source" in until_reason(space, "Available")
    assert verify_jobs(space) == [], "it was verified, and is not verified again"


def test_a_wrong_file_is_named_and_a_repaired_one_is_looked_at_again(
    space: Space, start_operator: StartOperator, tmp_path: Path
):
    start_operator(ON)
    upload(space, contents=WEIGHTS | {"best.pt": b"other" * 1000})
    space.apply(by_hand(space))
    pod = until_pod(space)
    play(space, pod, tmp_path)
    message = until_reason(space, "DigestMismatch")
    expected = hashlib.sha256(WEIGHTS["best.pt"]).hexdigest()
    assert (
        f"s3://{space.namespace}/parts/v1/best.pt is not the file that was pinned: expected sha256 {expected}"
        in message
    )
    assert "best.onnx" not in message
    assert "Attempt 2 follows automatically at" in message
    assert space.conditions("parts-v1", "modelversion")["Stalled"]["reason"] == "DigestMismatch"
    space.until(lambda: not verify_jobs(space))

    upload(space)
    space.kubectl("annotate", "modelversion", "parts-v1", f"{ANNOTATION}-")
    play(space, until_pod(space, pod["metadata"]["name"]), tmp_path)
    until_reason(space, "Available")
    assert "Stalled" not in space.conditions("parts-v1", "modelversion")


def test_a_source_out_of_reach_is_tried_again_and_one_that_no_job_can_see_is_told(
    space: Space, start_operator: StartOperator, tmp_path: Path
):
    start_operator(ON)
    space.apply(by_hand(space))
    pod = until_pod(space)
    said = json.dumps({"reason": "Unreachable", "message": "s3://models/best.onnx could not be reached"})
    space.cluster.kwok.finish_pod(space.namespace, pod["metadata"]["name"], exit_code=1, message=said)
    message = until_reason(space, "SourceUnreachable")
    failed = time.monotonic()
    assert "Attempt 1 to verify the files failed: s3://models/best.onnx could not be reached." in message
    assert space.conditions("parts-v1", "modelversion")["Reconciling"]["status"] == "True"
    on_a_volume = by_hand(space, "v2")
    on_a_volume["spec"]["artifact"]["uri"] = "file:///models/parts/v2/"
    space.apply(on_a_volume)
    upload(space)
    with within(40):  # the second attempt comes after 10 s
        again = until_pod(space, pod["metadata"]["name"])
    assert time.monotonic() - failed > 5
    space.until(lambda: "Attempt 2: Job verify-parts-v1-" in ready(space)["message"])
    assert ready(space)["reason"] == "SourceUnreachable"
    play(space, again, tmp_path)
    until_reason(space, "Available")

    assert "Mount it in container verify of verification.template" in until_reason(
        space, "SourceNotMounted", "parts-v2"
    )
    made = [job["metadata"]["annotations"]["modelfleet.dev/model-version"] for job in verify_jobs(space)]
    assert made == ["parts-v1"], "a Job that can't see the volume is not made"


def test_retention_removes_the_oldest_that_nothing_uses(space: Space, start_operator: StartOperator):
    operator: OperatorProcess = start_operator({"retention": {"keepVersions": 1, "minAge": "0s"}})
    space.apply(
        {
            "apiVersion": "modelfleet.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "line"},
            "spec": {
                "model": {"name": "parts", "version": "v1"},
                "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"for": space.namespace}}}],
                "gate": {"soak": "1s", "interval": "1s"},
                "template": {"spec": {"containers": [{"name": "agent"}]}},
            },
        }
    )
    space.apply(by_hand(space, "v1"))
    space.until(lambda: (space.status("parts-v1", "modelversion").get("usedBy") or []) != [])
    for version, tags in (("v2", []), ("v3", ["gold"]), ("v4", [])):
        space.apply(by_hand(space, version, tags=tags))
    space.until(lambda: space.get("modelversion", "parts-v2") is None)
    space.until(lambda: {"VersionRemoved"} <= reasons(space, "parts-v2"))
    space.apply(by_hand(space, "v5"))
    space.until(lambda: space.get("modelversion", "parts-v4") is None)
    names = [each["metadata"]["name"] for each in space.list("modelversions")]
    assert names == ["parts-v1", "parts-v3", "parts-v5"], operator.tail()


def reasons(space: Space, name: str) -> set[str]:
    events = space.list("events", fields=f"involvedObject.kind=ModelVersion,involvedObject.name={name}")
    return {str(event["reason"]) for event in events}
