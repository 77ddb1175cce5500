"""The chart's admission policy on the real API server: what impersonated users may have the operator make.

Requests are server-side dry runs, which pass admission like any other, but for those on what is older than the policy.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Cluster, ExistingCluster, binaries
from harness.lifetime import CommandFailed
from harness.paths import REPOSITORY
from harness.processes import wait_until
from worlds.ending import remove_namespaces

CHART = REPOSITORY / "charts/modelfleet"
RELEASE = "admission"
POLICY = f"{RELEASE}-modelfleet"

AUTHOR = "alice"  # may write our kinds, and nothing else
DEVELOPER = "dora"  # has the built-in role `edit` besides
FLUX = "system:serviceaccount:flux-system:kustomize-controller"  # cluster-admin, as Flux installs it
TENANT = "system:serviceaccount:line:team"  # what Flux impersonates for a tenant: may write our kinds, and nothing else
PEOPLE = (AUTHOR, DEVELOPER, FLUX, TENANT)
OPERATOR = f"system:serviceaccount:default:{POLICY}"  # has what the chart gives it, and no more

HOST_PATH = {"volumes": [{"name": "frames", "hostPath": {"path": "/var/lib/frames"}}]}
ON_OURS = {"nodeSelector": {"tenant": "a", "site": "x"}}

Json = dict[str, Any]


@dataclass(frozen=True)
class World:
    """Four namespaces under the policy; `old` is a Rollout that was there before it."""

    cluster: Cluster | ExistingCluster
    plain: str
    host: str
    nodes: str
    broken: str

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.plain, self.host, self.nodes, self.broken)

    def ask(self, user: str, where: str, manifest: Json) -> str:
        """What the API server says when a user creates it in the namespace that this field names; "" if it would."""
        namespace = getattr(self, where)
        return self.attempt(user, namespace, "create", "--dry-run=server", "--filename=-", input=json.dumps(manifest))

    def attempt(self, user: str, namespace: str, *arguments: str, input: str | None = None) -> str:
        """What the API server says when it refuses what kubectl is to do; "" when it does not."""
        try:
            self.cluster.kubectl(*arguments, f"--namespace={namespace}", f"--as={user}", input=input)
        except CommandFailed as error:
            return str(error)
        return ""


def helm(*arguments: str | Path, kubeconfig: Path | None = None) -> str:
    environment = dict(os.environ) if kubeconfig is None else {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(
        [binaries.path("helm"), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rollout(pod: Json | None = None, /, **spec: Any) -> Json:
    """A Rollout with this pod spec beside its container, and these fields of its spec."""
    template = {"containers": [{"name": "agent"}]} | (pod or {})
    groups = [{"name": "all", "nodeSelector": {"matchLabels": {"app": "line"}}}]
    whole = {"model": {"name": "parts", "tag": "latest"}, "groups": groups, "template": {"spec": template}} | spec
    return _object("Rollout", whole)


def training(pod: Json | None = None, /) -> Json:
    return _object("TrainingJob", _training_spec(pod))


def retraining(pod: Json | None = None, /) -> Json:
    return rollout(drift={"retrain": {"template": {"spec": _training_spec(pod)}}})


def replay(pod: Json | None = None, /) -> Json:
    capture = {"destination": "s3://captures/line/"}
    template = {} if pod is None else {"template": {"spec": pod}}
    return rollout(delivery={"capture": capture}, replay=template)


def dataset(pod: Json | None = None, /) -> Json:
    spec = {
        "model": "parts",
        "captures": {"uri": "s3://captures/line/"},
        "store": {"uri": "s3://data/parts/"},
        "classes": ["bolt"],
        "labelling": {"files": {"uri": "s3://reviewed/parts/"}},
    }
    return _object("Dataset", spec | ({} if pod is None else {"template": {"spec": pod}}))


def _training_spec(pod: Json | None) -> Json:
    spec = {
        "model": "parts",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "dataset": {"sources": [{"uri": "s3://data/parts/"}]},
        "output": {"uri": "s3://models/"},
    }
    return spec | ({} if pod is None else {"template": {"spec": pod}})


def _object(kind: str, spec: Json) -> Json:
    return {"apiVersion": "modelfleet.dev/v1alpha1", "kind": kind, "metadata": {"name": "new"}, "spec": spec}


def selecting(**labels: str) -> list[Json]:
    return [{"name": "all", "nodeSelector": {"matchLabels": labels}}]


def container(**security: Any) -> Json:
    return {"containers": [{"name": "agent", "securityContext": security}]}


@pytest.fixture(scope="module")
def world(crds: Cluster | ExistingCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    mark = secrets.token_hex(3)
    world = World(crds, *(f"{name}-{mark}" for name in ("plain", "host", "nodes", "broken")))
    annotations = {world.nodes: "tenant=a,site=x", world.broken: "tenant in (a, b)"}
    labels = {world.host: {"modelfleet.dev/pod-privileges": "host"}}
    objects = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": labels.get(name, {}),
                "annotations": {"modelfleet.dev/nodes": annotations[name]} if name in annotations else {},
            },
        }
        for name in world.namespaces
    ]
    old = rollout(HOST_PATH | {"hostNetwork": True}) | {"metadata": {"name": "old", "namespace": world.plain}}
    values = f"--set-json=watchNamespaces={json.dumps(world.namespaces)}"
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    shown = (f"--show-only=templates/{name}.yaml" for name in ("admissionpolicy", "rbac"))
    file.write_text(helm("template", RELEASE, CHART, "--namespace=default", *shown, values))
    try:
        before = [*objects, *_rights(world.namespaces), old]
        crds.kubectl("create", "--filename=-", input=yaml.safe_dump_all(before))
        crds.kubectl("create", f"--filename={file}")
        for where in (
            "plain",
            "host",
            "nodes",
            "broken",
        ):  # the API server takes a moment to learn of policy and rights
            assert wait_until(lambda where=where: POLICY in world.ask(AUTHOR, where, rollout()), 30)
            assert wait_until(lambda where=where: "cannot create" not in world.ask(OPERATOR, where, training()), 30)
        yield world
    finally:
        crds.kubectl("delete", "--ignore-not-found", f"--filename={file}")
        remove_namespaces(crds, *world.namespaces)


def _rights(namespaces: tuple[str, ...]) -> Iterator[Json]:
    rbac = "rbac.authorization.k8s.io"
    for namespace in namespaces:
        yield {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": {"name": "ours", "namespace": namespace},
            "rules": [{"apiGroups": ["modelfleet.dev"], "resources": ["*"], "verbs": ["*"]}],
        }
        for kind, role, users in (
            ("Role", "ours", PEOPLE),
            ("ClusterRole", "edit", (DEVELOPER,)),
            ("ClusterRole", "cluster-admin", (FLUX,)),
        ):
            yield {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{role}-{kind.lower()}", "namespace": namespace},
                "roleRef": {"apiGroup": rbac, "kind": kind, "name": role},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": user} for user in users],
            }


def refused(said: str, pattern: str) -> None:
    assert f"ValidatingAdmissionPolicy '{POLICY}' with binding '{POLICY}' denied request" in said
    assert re.search(pattern, said), said


# --- 1: whoever has pods made could make them themselves ------------------------------------------------------------

KINDS: Mapping[str, tuple[Json, str]] = {
    "Rollout": (rollout(), "daemonsets.apps"),
    "TrainingJob": (training(), "jobs.batch"),
    "Dataset": (dataset(), "jobs.batch"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user", [AUTHOR, TENANT])
def test_who_may_not_create_the_pods_may_not_have_them_created(world: World, user: str, kind: str) -> None:
    manifest, missing = KINDS[kind]
    refused(world.ask(user, "plain", manifest), rf"{user} may not create {missing} in namespace {world.plain}, .* edit")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("user", [DEVELOPER, FLUX])
def test_who_may_create_the_pods_may_have_them_created(world: World, user: str, kind: str) -> None:
    assert world.ask(user, "plain", KINDS[kind][0]) == ""


@pytest.mark.parametrize("manifest", [retraining(), replay()], ids=["retrain", "replay"])
def test_a_rollout_that_has_jobs_made_takes_the_right_to_make_jobs(world: World, manifest: Json) -> None:
    """Of somebody who may create DaemonSets, and no Jobs."""
    role = f"daemonsets-{secrets.token_hex(3)}"
    world.cluster.kubectl(
        "create", "role", role, f"--namespace={world.plain}", "--verb=create", "--resource=daemonsets.apps"
    )
    for each, kind in (("ours", "ours"), (role, "daemonsets")):
        world.cluster.kubectl(
            "create", "rolebinding", f"{role}-{kind}", f"--namespace={world.plain}", f"--role={each}", f"--user={role}"
        )
    assert wait_until(lambda: world.ask(role, "plain", rollout()) == "", 30)
    refused(world.ask(role, "plain", manifest), r"may not create jobs\.batch in namespace .*, and spec\.\w+\.")
    assert world.ask(DEVELOPER, "plain", manifest) == ""


# --- 2: what pods take of their node ----------------------------------------------------------------------------------

ON_THE_NODE: Mapping[str, tuple[Json, str]] = {
    "hostPath": (rollout(HOST_PATH), "spec.template has a hostPath volume"),
    "hostNetwork": (rollout({"hostNetwork": True}), "spec.template sets hostNetwork"),
    "hostPID": (rollout({"hostPID": True}), "spec.template sets hostPID"),
    "hostIPC": (rollout({"hostIPC": True}), "spec.template sets hostIPC"),
    "privileged": (rollout(container(privileged=True)), "spec.template has a privileged container"),
    "capabilities": (rollout(container(capabilities={"add": ["SYS_ADMIN"]})), "spec.template adds capabilities"),
    "init container": (
        rollout({"initContainers": [{"name": "x", "securityContext": {"privileged": True}}]}),
        "spec.template has a privileged container",
    ),
    "TrainingJob": (training(HOST_PATH), "spec.template has a hostPath volume"),
    "Dataset": (dataset({"hostPID": True}), "spec.template sets hostPID"),
    "replay": (replay(HOST_PATH), "spec.replay.template has a hostPath volume"),
    "retrain": (retraining(HOST_PATH), "spec.drift.retrain.template.spec.template has a hostPath volume"),
    "both": (rollout(HOST_PATH | {"hostPID": True}), "spec.template sets hostPID, spec.template has a hostPath volume"),
}


@pytest.mark.parametrize("user", [DEVELOPER, FLUX])
@pytest.mark.parametrize("case", ON_THE_NODE)
def test_what_pods_take_of_their_node_takes_the_namespaces_label(world: World, case: str, user: str) -> None:
    manifest, found = ON_THE_NODE[case]
    said = world.ask(user, "plain", manifest)
    refused(said, rf"{re.escape(found)}: leave it out, or have an administrator of the cluster label the namespace")
    assert f"kubectl label namespace {world.plain} modelfleet.dev/pod-privileges=host" in said
    assert world.ask(user, "host", manifest) == ""


def test_the_label_is_not_theirs_to_set_who_edit_the_namespace(world: World) -> None:
    said = world.attempt(
        DEVELOPER, world.plain, "label", "namespace", world.plain, "modelfleet.dev/pod-privileges=host"
    )
    assert "cannot" in said
    assert "namespaces" in said


def test_the_label_does_not_stand_in_for_the_right_to_create_pods(world: World) -> None:
    refused(world.ask(AUTHOR, "host", rollout(HOST_PATH)), "may not create daemonsets.apps")


HARMLESS: Mapping[str, Json] = {
    "the operator's own cache on the node": rollout(delivery={"cache": "Node"}),
    "a volume of the pod": rollout({"volumes": [{"name": "x", "emptyDir": {}}]}),
    "all switched off": rollout({"hostNetwork": False, "hostPID": False} | container(privileged=False)),
    "nulls, which take out what is there": training(
        {"volumes": [{"name": "x", "hostPath": None}], "initContainers": None, "tolerations": None}
    ),
    "a security context of null": rollout({"containers": [{"name": "agent", "securityContext": None}]}),
    "capabilities of null": rollout(container(capabilities=None)),
    "capabilities dropped": rollout(container(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_takes_nothing_of_the_node_takes_no_label(world: World, case: str) -> None:
    assert world.ask(DEVELOPER, "plain", HARMLESS[case]) == ""


@pytest.mark.parametrize("file", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_need_no_label(world: World, file: Path) -> None:
    said = world.attempt(DEVELOPER, world.plain, "create", "--dry-run=server", f"--filename={file}")
    assert said == ""


def test_the_demo_needs_the_label_for_its_cameras_alone(world: World) -> None:
    files = sorted((REPOSITORY / "examples/demo").glob("*.yaml"))

    def refused_in(namespace: str) -> set[str]:
        create = ("create", "--dry-run=server")
        return {file.name for file in files if world.attempt(DEVELOPER, namespace, *create, f"--filename={file}")}

    assert refused_in(world.plain) == {"2-rollout.yaml", "5-watch-for-drift.yaml"}
    assert refused_in(world.host) == set()


# --- 3: nodes of a namespace's own ------------------------------------------------------------------------------------

ELSEWHERE: Mapping[str, tuple[Json, str]] = {
    "no label": (rollout(), "nodeSelector.matchLabels of each of spec.groups"),
    "one of two labels": (rollout(groups=selecting(tenant="a")), "of each of spec.groups"),
    "another value": (rollout(groups=selecting(tenant="b", site="x")), "of each of spec.groups"),
    "all nodes": (rollout(groups=[{"name": "all", "nodeSelector": {}}]), "of each of spec.groups"),
    "one group of two": (
        rollout(groups=[*selecting(tenant="a", site="x"), {"name": "rest", "nodeSelector": {}}]),
        "of each of spec.groups",
    ),
    "too many values": (
        rollout(
            groups=[
                {
                    "name": "all",
                    "nodeSelector": {
                        "matchLabels": {"site": "x"},
                        "matchExpressions": [{"key": "tenant", "operator": "In", "values": ["a", "b"]}],
                    },
                }
            ]
        ),
        "of each of spec.groups",
    ),
    "a training": (training(), "spec.nodeSelector of spec.template"),
    "a training on other nodes": (training({"nodeSelector": {"tenant": "b", "site": "x"}}), "of spec.template"),
    "a dataset": (dataset(), "spec.nodeSelector of spec.template"),
    "a node by its name": (training(ON_OURS | {"nodeName": "other"}), "may have no nodeName"),
    "all taints": (training(ON_OURS | {"tolerations": [{"operator": "Exists"}]}), "no toleration without a key"),
    "before others": (training(ON_OURS | {"priorityClassName": "system-node-critical"}), "no priorityClassName sys"),
}  # fmt: skip

OURS: Mapping[str, Json] = {
    "labels": rollout(groups=selecting(tenant="a", site="x", app="line")),
    "expressions": rollout(
        groups=[
            {
                "name": "all",
                "nodeSelector": {
                    "matchLabels": {"site": "x"},
                    "matchExpressions": [{"key": "tenant", "operator": "In", "values": ["a"]}],
                },
            }
        ]
    ),
    "a training": training(ON_OURS),
    "a dataset": dataset(ON_OURS),
    "nulls": training(ON_OURS | {"nodeName": None, "tolerations": None, "priorityClassName": None}),
    "a toleration, a priority": training(
        ON_OURS | {"tolerations": [{"key": "edge", "operator": "Exists"}], "priorityClassName": "high"}
    ),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_pods_stay_on_the_nodes_of_their_namespace(world: World, case: str) -> None:
    manifest, says = ELSEWHERE[case]
    refused(world.ask(DEVELOPER, "nodes", manifest), says)


@pytest.mark.parametrize("case", OURS)
def test_on_the_nodes_of_their_namespace_pods_are_let_in(world: World, case: str) -> None:
    assert world.ask(DEVELOPER, "nodes", OURS[case]) == ""


@pytest.mark.parametrize(
    ("make", "field"), [(retraining, "spec.drift.retrain.template.spec.template"), (replay, "spec.replay.template")]
)
def test_jobs_of_a_rollout_stay_there_too(world: World, make: Any, field: str) -> None:
    def in_the_groups(manifest: Json) -> Json:
        return manifest | {"spec": manifest["spec"] | {"groups": selecting(tenant="a", site="x")}}

    refused(world.ask(DEVELOPER, "nodes", in_the_groups(make())), re.escape(f"spec.nodeSelector of {field}"))
    assert world.ask(DEVELOPER, "nodes", in_the_groups(make(ON_OURS))) == ""


def test_an_annotation_that_says_nothing_lets_nothing_in(world: World) -> None:
    said = world.ask(DEVELOPER, "broken", rollout(groups=selecting(tenant="a")))
    refused(said, rf"modelfleet.dev/nodes of namespace {world.broken} is not key=value")


# --- 4: what is older than the policy ---------------------------------------------------------------------------------


def test_the_operator_may_start_a_retraining_and_nothing_that_its_rollouts_author_may_not_write(world: World) -> None:
    assert world.ask(OPERATOR, "plain", training()) == ""
    refused(world.ask(OPERATOR, "plain", training(HOST_PATH)), "spec.template has a hostPath volume")


def test_what_is_older_can_be_labelled_stopped_reported_on_and_deleted_but_not_changed(world: World) -> None:
    def patch(user: str, body: Json, *more: str) -> str:
        return world.attempt(
            user, world.plain, "patch", "rollout", "old", "--type=merge", f"-p={json.dumps(body)}", *more
        )

    assert patch(AUTHOR, {"metadata": {"labels": {"team": "vision"}}}) == ""
    assert patch(AUTHOR, {"metadata": {"annotations": {"modelfleet.dev/abort": "v2"}}}) == ""
    assert patch(AUTHOR, {"metadata": {"finalizers": ["example.com/wait"]}}) == ""
    assert patch(OPERATOR, {"status": {"observedGeneration": 1}}, "--subresource=status") == ""
    assert patch(AUTHOR, {"spec": {"paused": True}}) == ""
    assert patch(AUTHOR, {"spec": {"paused": False}}) == ""

    another = {"spec": {"revisionHistoryLimit": 3}}
    refused(patch(AUTHOR, another), "may not create daemonsets.apps")
    refused(patch(DEVELOPER, another), "spec.template sets hostNetwork, spec.template has a hostPath volume")
    refused(patch(DEVELOPER, {"spec": {"gate": {"onTimeout": "Rollback"}, "paused": True}}), "hostPath")
    found = json.loads(world.cluster.kubectl("get", "rollout", "old", f"--namespace={world.plain}", "-ojson"))
    assert found["status"]["observedGeneration"] == 1
    assert found["spec"].get("revisionHistoryLimit") != 3

    # without what is refused it can be changed again
    assert patch(DEVELOPER, {"spec": {"template": {"spec": {"volumes": None, "hostNetwork": None}}}}) == ""
    assert patch(DEVELOPER, another) == ""

    assert world.attempt(AUTHOR, world.plain, "delete", "rollout", "old", "--wait=false") == ""
    assert patch(AUTHOR, {"metadata": {"finalizers": None}}) == ""
    assert wait_until(lambda: "NotFound" in world.attempt(AUTHOR, world.plain, "get", "rollout", "old"), 30)


# --- the policy itself ------------------------------------------------------------------------------------------------


def test_whoever_looks_at_the_policy_sees_no_warnings(world: World) -> None:
    """Fields of our kinds are reached through `dyn`, and nobody but the tests above checks how they are spelled."""

    def status() -> Json:
        got = world.cluster.kubectl("get", "validatingadmissionpolicy", POLICY, "-ojson")
        return dict(json.loads(got).get("status") or {})

    assert wait_until(lambda: status().get("observedGeneration") == 1, 60)
    assert status()["typeChecking"] == {}


def test_the_api_server_counts_what_it_refused(world: World) -> None:
    world.ask(AUTHOR, "plain", rollout())
    metrics = world.cluster.kubectl("get", "--raw", "/metrics")
    [*lines] = re.findall(r"^apiserver_validating_admission_policy_check_total\{(.*)\} \d+", metrics, re.MULTILINE)
    assert any(f'policy="{POLICY}"' in line and 'enforcement_action="deny"' in line for line in lines)


def test_other_namespaces_than_the_operators_are_left_alone(world: World, namespace: str) -> None:
    manifest = json.dumps(rollout(HOST_PATH))
    world.cluster.kubectl("create", "--dry-run=server", f"--namespace={namespace}", "--filename=-", input=manifest)


def test_policies_come_and_go_with_their_releases(crds: Cluster | ExistingCluster, namespace: str) -> None:
    """Two releases side by side, as two teams have them. An upgrade takes a policy away, a rollback brings it back."""

    def release(verb: str, name: str, *more: str) -> None:
        helm(verb, name, *more, f"--namespace={namespace}", kubeconfig=crds.kubeconfig)

    def policies() -> set[str]:
        kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings"
        listed = crds.kubectl("get", kinds, "-ojson", "--selector=app.kubernetes.io/part-of=modelfleet")
        return {
            f"{o['kind'].removeprefix('ValidatingAdmission')} {o['metadata']['name']}"
            for o in json.loads(listed)["items"]
        }

    def of(*names: str) -> set[str]:
        return {f"{kind} {name}-modelfleet" for name in names for kind in ("Policy", "PolicyBinding")}

    before = policies()
    one, two = f"one-{namespace}", f"two-{namespace}"
    # CRDs are the fixture's, and of the whole cluster; so would a policy without namespaces be
    values = ("--set=crds.install=false", f"--set=watchNamespaces={{{namespace}}}")
    try:
        for name in (one, two):
            release("install", name, str(CHART), *values)
        assert policies() - before == of(one, two)
        release("upgrade", one, str(CHART), *values, "--set=admissionPolicy.enabled=false")
        assert policies() - before == of(two)
        release("rollback", one, "1")
        assert policies() - before == of(one, two)
    finally:
        for name in (one, two):
            release("uninstall", name, "--wait", "--ignore-not-found")
    assert policies() == before
