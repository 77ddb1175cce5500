"""Real Flux (source-controller, kustomize-controller) applies examples/gitops/flux from a real S3 store.

Only what a test needs differs from the example: the store's address, short intervals, simulated nodes, a short gate.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

import pytest
import yaml

from harness import Cluster, OperatorProcess, binaries
from harness.flux import flux, install_crds
from harness.lifetime import run
from harness.object_store import REGION
from harness.paths import REPOSITORY
from worlds.kube_watch import Watch
from worlds.rollout import LABEL, ONLY_V2_IS_BAD, Fleet, check, model_version, nodes

Json = dict[str, Any]
EXAMPLE = REPOSITORY / "examples" / "gitops" / "flux"
SECOND_APPLIER = "second-applier"
CANCEL = "CancelHealthCheckOnNewRevision=true"


def example(name: str) -> Json:
    manifest: Json = yaml.safe_load((EXAMPLE / name).read_text())
    return manifest


@dataclass
class Repository:
    """What Git is to Flux, here a bucket, and the Kustomization that applies it."""

    fleet: Fleet
    lock: Lock = field(default_factory=Lock)
    content: str = ""

    @property
    def bucket(self) -> str:
        return f"config-{self.fleet.namespace}"

    def commit(self, version: str, approve: str | None = None) -> None:
        """The example's Rollout with another version, and with or without the approval of one.

        Returns when Flux has it in hand, so that it and the other applier never apply two different commits.
        """
        manifest = example("line/rollout.yaml")
        spec = manifest["spec"]
        del manifest["metadata"]["annotations"]
        if approve is not None:
            manifest["metadata"]["annotations"] = {"modelfleet.dev/approve": approve}
        spec["model"] = {"name": "parts", "version": version}
        spec["gate"] = {"soak": "3s", "interval": "1s", "timeout": "5m", "checks": [check(ONLY_V2_IS_BAD)]}
        for group in spec["groups"]:
            mine = {LABEL: self.fleet.namespace}
            group["nodeSelector"]["matchLabels"] = mine | ({"group": "canary"} if group["name"] == "canary" else {})
        with self.lock:
            self.content = json.dumps(manifest)  # JSON is YAML
            before = self._attempted()
            self.fleet.cluster.object_store.put(self.bucket, "line/rollout.yaml", self.content.encode())
            if before is not None:
                self.fleet.wait(lambda: self._attempted() != before, "the attempt by Flux to apply the commit")

    def _attempted(self) -> str | None:
        """The revision that Flux applied last or is applying; None before the first."""
        [status] = [each.get("status", {}) for each in self.fleet.list("kustomizations")] or [{}]
        revision: str | None = status.get("lastAttemptedRevision")
        return revision

    def sync(self, **changes: Any) -> None:
        """Apply the Bucket and the Kustomization of the example, the latter with these changes of its spec."""
        store, namespace = self.fleet.cluster.object_store, self.fleet.namespace
        source, kustomization = example("source.yaml"), example("sync.yaml")
        source["spec"] |= {
            "interval": "2s",
            "bucketName": self.bucket,
            "endpoint": store.endpoint.removeprefix("http://"),
            "insecure": True,
            "region": REGION,
        }
        kustomization["spec"] |= {"interval": "10m", "retryInterval": "2s", "targetNamespace": namespace, **changes}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": source["spec"]["secretRef"]["name"]},
            "stringData": {"accesskey": store.access_key, "secretkey": store.secret_key},
        }
        for each in (source, kustomization):
            each["metadata"]["namespace"] = namespace
        self.fleet.apply(secret, source, kustomization)

    def condition(self, type: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition of the Kustomization."""
        conditions = self.fleet.get("kustomization", "line").get("status", {}).get("conditions", ())
        found: Json = next((each for each in conditions if each["type"] == type), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def is_installed(self) -> bool:
        """Whether v1 runs on all nodes; not before Flux has applied the Rollout."""
        return bool(self.fleet.list("rollouts")) and self.fleet.is_at("v1")

    def is_healthy_with_the_newest(self) -> bool:
        """Ready, and what was applied is what is in the bucket now."""
        if self.condition("Ready")[0] != "True":
            return False
        source = self.fleet.get("bucket", "line")["status"]["artifact"]["revision"]
        applied = self.fleet.get("kustomization", "line")["status"].get("lastAppliedRevision")
        stored = self.fleet.get("rollout", "line")["spec"]
        return bool(source == applied) and _agrees(json.loads(self.content)["spec"], stored)

    def reconcile(self) -> None:
        """What `flux reconcile kustomization line` does; returns when Flux has done it."""
        token = str(time.monotonic())
        self.fleet.cluster.kubectl(
            "annotate",
            "kustomization",
            "line",
            f"--namespace={self.fleet.namespace}",
            "--overwrite",
            f"reconcile.fluxcd.io/requestedAt={token}",
        )
        self.fleet.wait(
            lambda: self.fleet.get("kustomization", "line")["status"].get("lastHandledReconcileAt") == token,
            "the reconciliation by Flux",
        )

    @contextmanager
    def applied_by_another_too(self) -> Iterator[list[str]]:
        """Another manager applies what is in Git by force, again and again. Yields what kubectl said each time."""
        said: list[str] = []
        over = Event()

        def apply() -> None:
            while not over.wait(0.2):
                with self.lock:
                    said.append(
                        self.fleet.cluster.kubectl(
                            "apply",
                            "--server-side",
                            "--force-conflicts",
                            f"--field-manager={SECOND_APPLIER}",
                            f"--namespace={self.fleet.namespace}",
                            "--filename=-",
                            input=self.content,
                        )
                    )

        thread = Thread(target=apply, name=SECOND_APPLIER, daemon=True)
        thread.start()
        try:
            yield said
            assert thread.is_alive(), "an apply failed"
        finally:
            over.set()
            thread.join(30)


def _agrees(wanted: Any, there: Any) -> bool:
    """Whether all that Git sets stands so in the cluster, which adds defaults."""
    if isinstance(wanted, dict):
        return all(key in there and _agrees(value, there[key]) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(wanted) == len(there) and all(map(_agrees, wanted, there))
    return bool(wanted == there)


@pytest.fixture(scope="module")
def flux_crds(crds: Cluster) -> Cluster:
    install_crds(crds)
    return crds


@pytest.fixture
def repository(
    flux_crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], prometheus: object
) -> Repository:
    """One canary and two others, versions v1 to v3, of which v2 is bad, and an empty bucket."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 2)
    fleet = Fleet(flux_crds, namespace, canary, rest)
    fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
    found = Repository(fleet)
    flux_crds.object_store.create_bucket(found.bucket)
    return found


def test_the_kinds_take_the_example_as_it_is(flux_crds: Cluster, namespace: str) -> None:
    sync, option = example("sync.yaml"), example("people-hold-it.yaml")
    sync["spec"] |= option["spec"]
    assert option["metadata"] == sync["metadata"], "it is a patch of that one"
    for manifest in (example("source.yaml"), example("sync.yaml"), sync, example("line/rollout.yaml")):
        manifest["metadata"]["namespace"] = namespace
        where = ["--dry-run=server", "--server-side", "--validate=strict", "--filename=-"]
        flux_crds.kubectl("apply", *where, input=json.dumps(manifest))


def test_health_in_every_phase_approval_by_a_commit_and_nothing_drifts(
    repository: Repository, operator: OperatorProcess
) -> None:
    fleet = repository.fleet
    repository.commit("v1", approve="v1")
    specs: list[Json] = []

    def seen(_: str, rollout: Json) -> None:
        if rollout["metadata"]["namespace"] == fleet.namespace and rollout["spec"] not in specs[-1:]:
            specs.append(rollout["spec"])

    with (
        Watch(fleet.cluster, "rollouts.modelfleet.dev", seen),
        flux(fleet.cluster, fleet.namespace, [CANCEL]),
        repository.applied_by_another_too() as said,
    ):
        repository.sync()
        fleet.wait(lambda: repository.condition("Healthy")[:2] == ("Unknown", "Progressing"), "progress")
        fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
        fleet.wait(repository.is_healthy_with_the_newest, "health after the install")

        repository.commit("v3")
        fleet.wait(lambda: fleet.status["phase"] == "WaitingForApproval", "v3 waits in its canary group")
        assert repository.condition("Ready")[0] == "Unknown", "neither done nor failed"
        assert repository.condition("Healthy")[:2] == ("Unknown", "Progressing")
        assert {fleet.running[node] for node in fleet.rest} == {"v1"}
        repository.commit("v3", approve="v3")
        fleet.wait(lambda: fleet.is_at("v3"), "v3, approved by a commit")
        fleet.wait(repository.is_healthy_with_the_newest, "health after the upgrade")
        assert fleet.status["history"][0]["version"] == "v3"

        repository.commit("v2")
        fleet.wait(lambda: fleet.rolled_back("v3"), "the rollback of v2")
        fleet.wait(lambda: repository.condition("Ready")[:2] == ("False", "HealthCheckFailed"), "the failure")
        assert "stalled" in repository.condition("Ready")[2].lower()
        assert repository.condition("Healthy")[0] == "False"

        repository.commit("v3")
        fleet.wait(lambda: fleet.is_at("v3"), "v3 again")
        fleet.wait(repository.is_healthy_with_the_newest, "health after the revert")

    assert len(said) > 20
    rollout = json.loads(
        fleet.cluster.kubectl(
            "get", "rollout", "line", f"--namespace={fleet.namespace}", "--output=json", "--show-managed-fields"
        )
    )
    assert [spec["model"]["version"] for spec in specs] == ["v1", "v3", "v2", "v3"], "it changed by commits alone"
    assert rollout["metadata"]["generation"] == len(specs)
    owners = {each["manager"] for each in rollout["metadata"]["managedFields"] if "f:spec" in each["fieldsV1"]}
    assert owners == {"kustomize-controller", SECOND_APPLIER}, "the operator owns nothing of the spec"
    assert not any("timeout" in message for message in health_checks_failed(fleet))
    assert applied_by_flux(fleet) <= 5, "Flux found something to change after commits only"


def applied_by_flux(fleet: Fleet) -> int:
    """How often Flux reported that it created or changed the Rollout."""
    events = [each for each in fleet.list("events") if each["involvedObject"]["kind"] == "Kustomization"]
    assert events
    return sum(
        each.get("count") or 1
        for each in events
        if f"Rollout/{fleet.namespace}/line" in each["message"]
        and any(word in each["message"] for word in ("created", "configured"))
    )


def test_flux_takes_back_what_plain_kubectl_wrote_and_leaves_the_clis(
    repository: Repository, operator: OperatorProcess
) -> None:
    fleet = repository.fleet
    repository.commit("v1", approve="v1")
    with flux(fleet.cluster, fleet.namespace):
        repository.sync(wait=False)  # so that a pause does not keep the reconciliation waiting
        fleet.wait(repository.is_installed, "v1 on all nodes")
        repository.commit("v1")
        fleet.wait(lambda: written(fleet) == (None, False), "the approval goes with the commit")
        at = [f"--namespace={fleet.namespace}", "rollout", "line"]
        paused = ["patch", *at, "--type=merge", '--patch={"spec": {"paused": true}}']

        fleet.cluster.kubectl("annotate", *at, "modelfleet.dev/approve=v2")
        fleet.cluster.kubectl(*paused)
        assert written(fleet) == ("v2", True)
        repository.reconcile()
        assert written(fleet) == (None, False), "managers that are called kubectl-*"

        fleet.cluster.kubectl("annotate", *at, "modelfleet.dev/approve=v2", "--field-manager=modelfleet-cli")
        fleet.cluster.kubectl(*paused, "--field-manager=modelfleet-cli")
        repository.reconcile()
        assert written(fleet) == ("v2", True)

        cli(fleet, "resume", "line")
        cli(fleet, "approve", "line", "v3", "--in-advance")
        repository.reconcile()
        assert written(fleet) == ("v3", False)
        cli(fleet, "pause", "line")
        repository.reconcile()
        assert written(fleet) == ("v3", True)

        other = ["patch", *at, "--type=merge", '--patch={"spec": {"model": {"version": "v3"}}}']
        fleet.cluster.kubectl(*other, "--field-manager=modelfleet-cli")
        repository.reconcile()
        assert fleet.get("rollout", "line")["spec"]["model"]["version"] == "v1", "Git sets it"
        assert written(fleet) == ("v3", True)


def written(fleet: Fleet) -> tuple[str | None, bool]:
    """The approval and the pause that stand on the Rollout."""
    rollout = fleet.get("rollout", "line")
    approved: str | None = rollout["metadata"].get("annotations", {}).get("modelfleet.dev/approve")
    return approved, bool(rollout["spec"].get("paused", False))


def cli(fleet: Fleet, *arguments: str) -> None:
    where = [f"--kubeconfig={fleet.cluster.kubeconfig}", f"--namespace={fleet.namespace}"]
    path = f"{binaries.path('kubectl').parent}:{os.environ['PATH']}"
    source = f"{REPOSITORY / 'operator'}:{REPOSITORY / 'cli'}"
    command = [sys.executable, "-m", "kubectl_modelfleet", *where, *arguments]
    run(command, env=os.environ | {"PATH": path, "PYTHONPATH": source})


def test_what_waits_for_people_is_healthy_where_the_expressions_say_so(
    repository: Repository, operator: OperatorProcess
) -> None:
    fleet = repository.fleet
    repository.commit("v1", approve="v1")
    with flux(fleet.cluster, fleet.namespace):
        repository.sync(**example("people-hold-it.yaml")["spec"])
        fleet.wait(repository.is_installed, "v1 on all nodes")
        repository.commit("v3")
        fleet.wait(lambda: fleet.status["phase"] == "WaitingForApproval", "v3 waits in its canary group")
        fleet.wait(repository.is_healthy_with_the_newest, "health while v3 waits")
        assert fleet.status["phase"] == "WaitingForApproval"
        repository.commit("v2")
        fleet.wait(lambda: repository.condition("Ready")[:2] == ("False", "HealthCheckFailed"), "the failure of v2")
        repository.commit("v3", approve="v3")
        fleet.wait(lambda: fleet.is_at("v3"), "v3, approved by a commit")
        fleet.wait(repository.is_healthy_with_the_newest, "health after the upgrade")


def test_without_the_feature_gate_a_commit_waits_until_the_health_check_is_over(
    repository: Repository, operator: OperatorProcess
) -> None:
    """Why docs/flux.md asks for it."""
    fleet = repository.fleet
    repository.commit("v1", approve="v1")
    with flux(fleet.cluster, fleet.namespace):
        repository.sync(timeout="30s")
        fleet.wait(repository.is_healthy_with_the_newest, "health after the install")
        repository.commit("v3")
        fleet.wait(lambda: fleet.status["phase"] == "WaitingForApproval", "v3 waits in its canary group")
        repository.commit("v3", approve="v3")
        fleet.wait(lambda: fleet.is_at("v3"), "v3, once the wait has timed out", patience=150)
        fleet.wait(lambda: any("timeout" in said for said in health_checks_failed(fleet)), "the timeout")


def health_checks_failed(fleet: Fleet) -> list[str]:
    """What Flux said of health checks that failed."""
    return [each["message"] for each in fleet.list("events") if each["reason"] == "HealthCheckFailed"]
