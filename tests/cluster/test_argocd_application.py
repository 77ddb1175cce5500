"""Real Argo CD (application-controller, repo-server) applies a Rollout from a real Git repository.

Only what a test needs differs from examples/gitops/argocd: the repository's address, the namespaces, simulated nodes, a
short gate.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Cluster, OperatorProcess
from harness.argocd import argocd as controllers
from harness.argocd import install_crds
from harness.paths import REPOSITORY
from worlds.argocd import configure
from worlds.kube_watch import Watch
from worlds.rollout import ONLY_V2_IS_BAD, Fleet, model_version, nodes, rollout

Json = dict[str, Any]
EXAMPLE = REPOSITORY / "examples" / "gitops" / "argocd" / "application.yaml"
PATIENCE = 120.0


@dataclass(frozen=True)
class Repository:
    """A Git repository with the Rollout of one line."""

    fleet: Fleet
    folder: Path

    def create(self) -> None:
        (self.folder / "line").mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, version: str, **annotations: str) -> str:
        """The Rollout with this version, and with these commands. Returns the revision."""
        groups = [self.fleet.group("canary", approval="Manual"), self.fleet.group("fleet", maxUnavailable=2)]
        manifest = rollout(self.fleet.name, version, query=ONLY_V2_IS_BAD, groups=groups)
        commands = {f"modelfleet.dev/{verb}": value for verb, value in annotations.items()}
        manifest["metadata"]["annotations"] = commands
        (self.folder / "line" / "rollout.yaml").write_text(yaml.safe_dump(manifest))
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--message={version} {annotations}")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        who = ["-c", "user.name=platform", "-c", "user.email=platform@example.com"]
        command = ["git", *who, "-C", str(self.folder), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"HOME": "/"})
        return done.stdout.strip()


@dataclass
class Application:
    """The Application of the repository, in the namespace of the fleet."""

    repository: Repository

    def create(self) -> None:
        fleet, application = self.repository.fleet, yaml.safe_load(EXAMPLE.read_text())
        application["metadata"]["namespace"] = fleet.namespace
        application["spec"]["source"]["repoURL"] = f"file://{self.repository.folder}"
        application["spec"]["destination"]["namespace"] = fleet.namespace
        everything = {"group": "*", "kind": "*"}
        project = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AppProject",
            "metadata": {"name": "default"},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"namespace": "*", "server": "*"}],
                "clusterResourceWhitelist": [everything],
            },
        }
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "argocd-secret", "labels": {"app.kubernetes.io/part-of": "argocd"}},
            "stringData": {"server.secretkey": "of-a-test"},
        }
        fleet.apply(secret, project, application)

    @property
    def status(self) -> Json:
        found: Json = self.repository.fleet.get("applications.argoproj.io", "line").get("status") or {}
        return found

    def shown(self) -> tuple[str, str]:
        """Health and sync status, as Argo CD's list of applications has them."""
        status = self.status
        return status.get("health", {}).get("status", ""), status.get("sync", {}).get("status", "")

    def until(self, health: str, revision: str) -> None:
        """Wait until it shows this health, and is in sync with the commit."""

        def is_so() -> bool:
            at = self.status.get("sync", {}).get("revision")
            return at == revision and self.shown() == (health, "Synced")

        self.repository.fleet.wait(is_so, f"{health}; it shows {self.shown()}", patience=PATIENCE)

    def refresh(self) -> None:
        """Have it look at the cluster once more, and wait until it did."""
        fleet, asked = self.repository.fleet, "argocd.argoproj.io/refresh"
        where = ("applications.argoproj.io", "line", f"--namespace={fleet.namespace}")
        fleet.cluster.kubectl("annotate", *where, f"{asked}=normal")
        fleet.wait(
            lambda: asked not in fleet.get("applications.argoproj.io", "line")["metadata"].get("annotations", {}),
            "a fresh look",
        )

    def syncs(self) -> int:
        """How often it has applied something."""
        return len(self.status.get("history", ()))


@pytest.fixture(scope="module")
def argocd_crds(crds: Cluster) -> Cluster:
    install_crds(crds)
    return crds


@pytest.fixture
def application(
    argocd_crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], prometheus: object, tmp_path: Path
) -> Application:
    """One canary and two others, versions v1 to v3, of which v2 is bad, and an empty repository."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 2)
    fleet = Fleet(argocd_crds, namespace, canary, rest)
    fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
    repository = Repository(fleet, tmp_path / "fleet-config")
    repository.create()
    configure(argocd_crds, namespace)
    return Application(repository)


def test_a_promotion_and_a_rollback_by_commits(application: Application, operator: OperatorProcess) -> None:
    repository, fleet = application.repository, application.repository.fleet
    seen: list[tuple[str, str]] = []

    def note(_: str, found: Json) -> None:
        status = found.get("status") or {}
        shown = status.get("health", {}).get("status", ""), status.get("sync", {}).get("status", "")
        if found["metadata"]["namespace"] == fleet.namespace and shown not in seen[-1:]:
            seen.append(shown)

    first = repository.commit("v1", approve="v1")
    with controllers(fleet.cluster, fleet.namespace), Watch(fleet.cluster, "applications.argoproj.io", note):
        application.create()
        application.until("Healthy", first)
        assert fleet.is_at("v1")

        asked = repository.commit("v3", approve="v1")
        application.until("Suspended", asked)
        assert ("Progressing", "Synced") in seen
        approved = repository.commit("v3", approve="v3")
        application.until("Healthy", approved)
        assert fleet.is_at("v3")
        assert "Degraded" not in {health for health, _ in seen}

        bad = repository.commit("v2", approve="v3")
        application.until("Degraded", bad)
        fleet.wait(lambda: fleet.rolled_back("v3"), "the way back")
        assert fleet.templates("fleet") == {"v1", "v3"}, "the bad version never left the canary"
        application.until("Degraded", bad)
        (shown,) = application.status["resources"]
        assert (shown["kind"], shown["status"]) == ("Rollout", "Synced")
        assert "v2" in shown["health"]["message"]
        assert stays(application), "nothing drifts between Git and cluster"

        again = repository.commit("v3", approve="v3")
        application.until("Healthy", again)


def test_what_people_write_beside_git(application: Application, operator: OperatorProcess) -> None:
    """Annotations stay and unsync nothing, and so does a field that Git does not set; one that it sets goes back."""
    repository, fleet = application.repository, application.repository.fleet
    first = repository.commit("v1", approve="v1")
    own = [f"--namespace={fleet.namespace}", "--field-manager=argocd-server"]
    with controllers(fleet.cluster, fleet.namespace):
        application.create()
        application.until("Healthy", first)
        asked = repository.commit("v3")
        application.until("Suspended", asked)
        version = {"spec": {"model": {"version": "v1"}}}
        fleet.cluster.kubectl("patch", "rollout", fleet.name, *own, "--type=merge", f"--patch={json.dumps(version)}")
        fleet.wait(lambda: fleet.get("rollout", fleet.name)["spec"]["model"]["version"] == "v3", "selfHeal")
        fleet.wait(
            lambda: is_observed(fleet) and fleet.status["phase"] == "WaitingForApproval",
            "v3 waits in its canary group again",
        )
        application.refresh()  # what it shows may be of before all that
        application.until("Suspended", asked)
        applied = application.syncs()
        fleet.cluster.kubectl("patch", "rollout", fleet.name, *own, "--type=merge", '--patch={"spec":{"paused":true}}')
        fleet.cluster.kubectl("annotate", "rollout", fleet.name, *own, "modelfleet.dev/note=looked at", "--overwrite")
        fleet.wait(lambda: is_observed(fleet), "the operator's look at the spec: until then it is Progressing")
        application.refresh()
        application.until("Suspended", asked)
        assert stays(application)
        assert application.syncs() == applied
        found = fleet.get("rollout", fleet.name)
        assert found["spec"]["paused"] is True
        assert found["metadata"]["annotations"]["modelfleet.dev/note"] == "looked at"
        fleet.cluster.kubectl("patch", "rollout", fleet.name, *own, "--type=merge", '--patch={"spec":{"paused":false}}')
        fleet.cluster.kubectl("annotate", "rollout", fleet.name, *own, "modelfleet.dev/approve=v3")
        application.until("Healthy", asked)
        assert fleet.is_at("v3")


def is_observed(fleet: Fleet) -> bool:
    """Whether the Rollout's status is of its present spec."""
    rollout = fleet.get("rollout", fleet.name)
    return bool(rollout["status"]["observedGeneration"] == rollout["metadata"]["generation"])


def stays(application: Application, seconds: float = 12) -> bool:
    """Whether it applies nothing and shows the same, over more than two looks at Git."""
    before = application.shown(), application.syncs()
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        if (application.shown(), application.syncs()) != before or application.shown()[1] != "Synced":
            return False
        time.sleep(0.5)
    return True
