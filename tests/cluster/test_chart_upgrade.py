"""From an old chart to this one and back, on a cluster of its own: with objects that were made under the old CRDs.

No version has been released yet. What stands for the last one is the chart as it was at commit af7ac84, packaged, and
that commit's examples: `data/` holds both, since a checkout need not have the history.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, OperatorProcess, binaries, definitions
from harness.paths import REPOSITORY
from harness.processes import wait_until

Json = dict[str, Any]
DATA = Path(__file__).parent / "data"
OLD = DATA / "modelfleet-af7ac84.tgz"
OBJECTS = DATA / "objects-af7ac84.yaml"
NEW = REPOSITORY / "charts" / "modelfleet"
NAMESPACE = "factory"
KINDS = "modelversions,rollouts,trainingjobs"
REPLAY: Json = {"spec": {"replay": {}, "delivery": {"capture": {"destination": "s3://captures/line/"}}}}


@dataclass(frozen=True)
class System:
    """A cluster, and the release in it."""

    cluster: Cluster

    def helm(self, *arguments: str | Path) -> str:
        command = [binaries.path("helm"), *arguments, "--namespace=modelfleet-system"]
        environment = os.environ | {"KUBECONFIG": str(self.cluster.kubeconfig)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self) -> dict[tuple[str, str], Json]:
        """What users have made, by kind and name."""
        listed = json.loads(self.cluster.kubectl("get", KINDS, f"--namespace={NAMESPACE}", "--output=json"))
        return {(each["kind"], each["metadata"]["name"]): each for each in listed["items"]}

    def specs(self) -> dict[tuple[str, str], Json]:
        return {name: each["spec"] for name, each in self.objects().items()}

    def crds(self) -> dict[str, bool]:
        """The kinds that are served, and whether their spec has the field replay."""
        listed = json.loads(self.cluster.kubectl("get", "customresourcedefinitions", "--output=json"))
        ours = [each for each in listed["items"] if each["spec"]["group"] == "modelfleet.dev"]
        return {each["spec"]["names"]["kind"]: "replay" in _fields(each) for each in ours}

    def established(self) -> None:
        definitions.await_served(self.cluster.kubectl, f"--filename={REPOSITORY}/crds")


@pytest.fixture
def system() -> Iterator[System]:
    """With the old chart, and its examples."""
    with Cluster() as cluster:
        found = System(cluster)
        found.helm("install", "modelfleet", OLD, "--create-namespace")
        definitions.await_served(cluster.kubectl, "customresourcedefinitions")
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("apply", "--server-side", f"--namespace={NAMESPACE}", f"--filename={OBJECTS}")
        yield found


def test_an_upgrade_keeps_what_is_there_and_serves_it_and_can_be_taken_back(system: System) -> None:
    before = system.objects()
    assert len(before) == 5
    assert system.crds() == {"ModelVersion": False, "Rollout": False, "TrainingJob": False}

    system.helm("upgrade", "modelfleet", NEW)
    system.established()
    assert system.crds().keys() == {"Dataset", "ModelVersion", "Rollout", "TrainingJob"}
    assert system.crds()["Rollout"]
    after = system.objects()
    assert {name: each["metadata"]["uid"] for name, each in after.items()} == {
        name: each["metadata"]["uid"] for name, each in before.items()
    }
    assert [name for name in before if not holds(after[name]["spec"], before[name]["spec"])] == []
    serves(system)
    system.cluster.kubectl(
        "patch", "rollout", "line", f"--namespace={NAMESPACE}", "--type=merge", f"--patch={json.dumps(REPLAY)}"
    )
    upgraded = system.specs()

    system.helm("rollback", "modelfleet", "1")
    assert wait_until(lambda: not system.crds()["Rollout"], 60)
    assert system.crds().keys() == {"Dataset", "ModelVersion", "Rollout", "TrainingJob"}, "no data is dropped"
    back = system.objects()
    assert back.keys() == before.keys()
    assert [name for name in before if not holds(back[name]["spec"], before[name]["spec"])] == []

    system.helm("upgrade", "modelfleet", NEW)
    system.established()
    assert wait_until(lambda: system.specs() == upgraded, 60), "what the old schema hid is there again"


def serves(system: System) -> None:
    """Today's operator says of each old object how it stands, and begins to work on it."""
    operator = OperatorProcess(system.cluster, namespaces=[NAMESPACE], name="operator-upgraded")
    operator.start()
    try:
        assert wait_until(lambda: all(map(is_seen, system.objects().values())), 60), system.objects()
        jobs = json.loads(system.cluster.kubectl("get", "jobs", f"--namespace={NAMESPACE}", "--output=json"))["items"]
        assert "parts-detector-v1" in {job["metadata"]["name"] for job in jobs}
        version = system.objects()["ModelVersion", "parts-detector-v0"]
        assert next(each for each in version["status"]["conditions"] if each["type"] == "Ready")["status"] == "True"
    finally:
        operator.stop()


def is_seen(object: Json) -> bool:
    """Whether the operator has judged the newest spec."""
    seen: bool = object.get("status", {}).get("observedGeneration") == object["metadata"]["generation"]
    return seen


def _fields(crd: Json) -> Json:
    found: Json = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return found


def holds(there: Any, made: Any) -> bool:
    """Whether all that was made is there as it was; defaults of newer fields may stand beside it."""
    if isinstance(made, dict):
        return isinstance(there, dict) and all(key in there and holds(there[key], value) for key, value in made.items())
    if isinstance(made, list):
        return isinstance(there, list) and len(there) == len(made) and all(map(holds, there, made))
    return bool(there == made)
