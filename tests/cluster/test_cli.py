"""kubectl modelfleet on a real API server, with the operator running: what each command writes, and that it acts."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Cluster, OperatorProcess, binaries, debian
from harness.paths import REPOSITORY
from harness.ports import free_port
from harness.processes import wait_until
from harness.prometheus import Prometheus
from worlds.rollout import Fleet, model_version, nodes

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cli:
    """`kubectl modelfleet` as a user runs it, on a fleet's namespace."""

    fleet: Fleet
    kubeconfig: Path

    def __call__(self, *arguments: str, namespace: str | None = None) -> Answer:
        done = subprocess.run(
            self.command(*arguments, namespace=namespace),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: str, namespace: str | None = None) -> list[str]:
        where = [f"--kubeconfig={self.kubeconfig}", f"--namespace={namespace or self.fleet.namespace}"]
        return [sys.executable, "-m", "kubectl_modelfleet", *where, *arguments]

    def does(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        answer = self(*arguments)
        assert answer.code == 0, answer
        return answer.out

    def refuses(self, *arguments: str, code: int = 1) -> str:
        """What a command says that must not."""
        answer = self(*arguments)
        assert answer.code == code, answer
        assert "Traceback" not in answer.err
        return answer.err


def environment() -> dict[str, str]:
    """kubectl is the test cluster's own."""
    path = f"{Path(binaries.path('kubectl')).parent}:{os.environ['PATH']}"
    return {
        "PATH": path,
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'cli'}",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """One canary and three others, on v1 when `installed` has been called."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 3)
    return Fleet(crds, namespace, canary, rest)


@pytest.fixture
def cli(fleet: Fleet, crds: Cluster) -> Cli:
    return Cli(fleet, crds.kubeconfig)


def installed(fleet: Fleet, *versions: str, **spec: Any) -> None:
    """The first version on all nodes; gates of three seconds without a check, so that no Prometheus is asked."""
    fleet.apply(*(model_version(version) for version in versions))
    fleet.rollout(versions[0], query=None, **spec)
    fleet.wait(lambda: fleet.is_at(versions[0]), f"{versions[0]} on all nodes")


def patch(fleet: Fleet, spec: Json) -> None:
    """What a user changes in the spec."""
    where = [f"--namespace={fleet.namespace}", "--type=merge"]
    fleet.cluster.kubectl("patch", "rollout", fleet.name, *where, f"--patch={json.dumps({'spec': spec})}")


def choose(fleet: Fleet, version: str) -> None:
    patch(fleet, {"model": {"version": version}})


def manual(fleet: Fleet) -> list[Json]:
    return [fleet.group("canary", approval="Manual"), fleet.group("fleet", maxUnavailable=2)]


def waits(fleet: Fleet) -> bool:
    return fleet.status.get("phase") == "WaitingForApproval"


def annotation(fleet: Fleet, verb: str) -> str | None:
    found = fleet.get("rollout", fleet.name)["metadata"].get("annotations", {})
    return found.get(f"modelfleet.dev/{verb}")


def managers(fleet: Fleet, *path: str) -> set[str]:
    """Who owns a field."""
    said = fleet.cluster.kubectl(
        "get", "rollout", fleet.name, f"--namespace={fleet.namespace}", "--output=json", "--show-managed-fields"
    )
    owners = set()
    for entry in json.loads(said)["metadata"]["managedFields"]:
        fields = entry.get("fieldsV1")
        for part in path:
            fields = (fields or {}).get(f"f:{part}")
        if fields is not None:
            owners.add(entry["manager"])
    return owners


def test_status_approve_history_and_undo(fleet: Fleet, cli: Cli, operator: OperatorProcess) -> None:
    installed(fleet, "v1", "v2")
    patch(fleet, {"groups": manual(fleet)})
    assert cli.does("status", "line").startswith("line: Ready (Promoted). v1 is ready on 4 of 4 nodes")
    assert "nothing waits for approval: line is Ready" in cli.refuses("approve", "line")
    choose(fleet, "v2")
    fleet.wait(lambda: waits(fleet), "the question")
    answer = cli("status", "line", "--wait", "--timeout=2s")
    assert answer.code == 2
    assert answer.out.startswith("Timed out after 2s. line: WaitingForApproval")
    assert "v3 does not wait for approval, v2 does, in group canary" in cli.refuses("approve", "line", "v3")
    assert "Would write modelfleet.dev/approve=v2; this was a dry run" in cli.does("approve", "line", "--dry-run")
    assert annotation(fleet, "approve") is None
    assert cli.does("approve", "line") == "line: v2 may leave group canary.\nWrote modelfleet.dev/approve=v2.\n"
    assert managers(fleet, "metadata", "annotations", "modelfleet.dev/approve") == {"modelfleet-cli"}
    assert cli.does("status", "line", "--wait", "--timeout=60s", "--version=v2").startswith("line: Ready (Promoted)")
    assert fleet.is_at("v2")
    assert cli("status", "line", "--version=v1").code == 2
    history = cli.does("history", "line").splitlines()
    assert [each.split()[:2] for each in history] == [["VERSION", "RESULT"], ["v2", "Promoted"], ["v1", "Installed"]]

    assert "no version v9" in cli.refuses("undo", "line", "--to=v9", code=3)
    said = cli.does("undo", "line")
    assert "line: v1 is rolled out in place of v2, through all groups and gates." in said
    assert "Wrote spec.model.version: v1." in said
    fleet.wait(lambda: waits(fleet), "the question once more")
    assert "Wrote modelfleet.dev/approve=v1." in cli.does("approve", "line")
    fleet.wait(lambda: fleet.is_at("v1"), "v1 again")


def test_pause_abort_retry_promote_and_resume(fleet: Fleet, cli: Cli, operator: OperatorProcess) -> None:
    installed(fleet, "v1", "v2")
    patch(fleet, {"groups": manual(fleet)})
    assert "there is nothing to abort: line is Ready" in cli.refuses("abort", "line")
    assert "Would write spec.paused: true; this was a dry run." in cli.does("pause", "line", "--dry-run")
    assert "Wrote spec.paused: true." in cli.does("pause", "line")
    assert managers(fleet, "spec", "paused") == {"modelfleet-cli"}
    assert cli.does("pause", "line") == "line is paused already.\n"
    choose(fleet, "v2")
    fleet.wait(lambda: fleet.status["phase"] == "Paused", "the pause")
    assert set(fleet.running.values()) == {"v1"}
    assert "Wrote spec.paused: false." in cli.does("resume", "line")
    fleet.wait(lambda: waits(fleet), "v2 on the canary, and the question")

    assert "v1 is not on its way, v2 is" in cli.refuses("abort", "line", "v1")
    assert "Would write modelfleet.dev/abort=v2" in cli.does("abort", "line", "--dry-run")
    assert "1 node goes back to v1, and v2 is quarantined" in cli.does("abort", "line")
    fleet.wait(fleet.rolled_back, "the way back")
    answer = cli("status", "line")
    assert answer.code == 1
    assert "RolledBack" in answer.out
    assert fleet.status["history"][0]["result"] == "Aborted"

    assert "v3 is not quarantined. There is v2." in cli.refuses("retry", "line", "v3")
    assert "Wrote modelfleet.dev/retry=v2." in cli.does("retry", "line")
    fleet.wait(lambda: waits(fleet), "v2 on the canary again")
    said = cli.does("promote", "line")
    assert "v2 passes all remaining gates and approvals: of canary, fleet." in said
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    assert annotation(fleet, "promote") == "v2"


def test_commands_that_were_acted_on_get_a_number_and_repeated_ones_are_written_once(
    fleet: Fleet, cli: Cli, start_operator: Any
) -> None:
    operator = start_operator()
    installed(fleet, "v1", "v2")
    patch(fleet, {"gate": {"soak": "2m"}})  # on a busy machine the plugin takes longer to start than v2 to be promoted
    for number, value in enumerate(("v2", "v2@2"), 1):
        choose(fleet, "v2")
        fleet.wait(lambda: fleet.status.get("candidateVersion") == "v2" and "currentGroup" in fleet.status, "v2")
        assert f"Wrote modelfleet.dev/abort={value}." in cli.does("abort", "line")
        fleet.wait(fleet.rolled_back, "the way back")
        assert len(fleet.status["quarantined"]) == 1
        if number == 1:
            assert "Wrote modelfleet.dev/retry=v2." in cli.does("retry", "line", "v2")
    operator.stop()
    assert "Wrote modelfleet.dev/retry=v2@2." in cli.does("retry", "line")
    said = cli.does("retry", "line")
    assert "modelfleet.dev/retry=v2@2 is there already: the operator has not acted on it yet." in said


def test_retrain(fleet: Fleet, cli: Cli, operator: OperatorProcess) -> None:
    installed(fleet, "v1")
    assert "has no spec.drift.retrain" in cli.refuses("retrain", "line")
    training = {
        "model": "parts",
        "mode": "FineTune",
        "dataset": {"sources": [{"uri": "s3://data/parts/"}]},
        "output": {"uri": "s3://models/"},
    }
    patch(fleet, {"drift": {"retrain": {"template": {"spec": training}, "suspend": True}}})
    assert "a TrainingJob is created from spec.drift.retrain, starting from v1." in cli.does("retrain", "line")
    fleet.wait(lambda: bool(fleet.list("trainingjobs")), "the TrainingJob")
    (made,) = fleet.list("trainingjobs")
    assert made["metadata"]["annotations"]["modelfleet.dev/retrain-command"] == "now"


def test_a_pause_says_whether_flux_takes_it_back_and_it_is_so(fleet: Fleet, cli: Cli) -> None:
    fleet.apply(model_version("v1"))
    fleet.rollout("v1", query=None)
    flux = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
    manifest: Json = fleet.get("rollout", "line")
    manifest = {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "metadata": {"name": "line", "labels": flux},
        "spec": manifest["spec"],
    }

    def sync(**spec: Any) -> None:
        """What kustomize-controller does: a forced apply of what Git has."""
        fields = {key: value for key, value in manifest["spec"].items() if key != "paused"} | spec
        arguments = ["--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "--filename=-"]
        where = f"--namespace={fleet.namespace}"
        fleet.cluster.kubectl("apply", where, *arguments, input=json.dumps({**manifest, "spec": fields}))

    def is_paused() -> bool:
        return bool(fleet.get("rollout", "line")["spec"]["paused"])

    sync()
    said = cli.does("pause", "line")
    assert "Flux Kustomization flux-system/apps applies this object and does not set spec.paused: it stays" in said
    sync()
    assert is_paused(), "and so it did"
    cli.does("resume", "line")

    sync(paused=False)
    said = cli.does("pause", "line")
    assert "spec.paused is also set by kustomize-controller (Flux Kustomization flux-system/apps)" in said
    assert "flux suspend kustomization apps -n flux-system" in said
    sync(paused=False)
    assert not is_paused(), "and so it was"


def test_names_that_are_not_there_are_told_with_what_is_near(fleet: Fleet, cli: Cli) -> None:
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1", query=None)
    for command in ("status", "history", "approve", "pause"):
        assert f"no Rollout lin in namespace {fleet.namespace}. Did you mean line?" in cli.refuses(
            command, "lin", code=3
        )
    assert "There is none; another one with -n." in cli("status", "line", namespace="default").err
    assert "model parts has no version v22. Did you mean v2?" in cli.refuses("diff", "line", "v22", code=3)
    assert "no ModelVersion parts-v3" in cli.refuses("lineage", "parts-v3", code=3)
    assert "No such command 'aprove'" in cli.refuses("aprove", "line", code=3)


def test_who_may_not_is_told_verb_and_resource(fleet: Fleet, cli: Cli, crds: Cluster, tmp_path: Path) -> None:
    fleet.apply(model_version("v1"))
    fleet.rollout("v1", query=None)
    config = yaml.safe_load(crds.kubeconfig.read_text())
    for user in config["users"]:
        user["user"]["as"] = "jane"
    (tmp_path / "jane").write_text(yaml.safe_dump(config))
    jane = Cli(fleet, tmp_path / "jane")
    said = jane.refuses("status", "line", code=3)
    assert f"jane may not get rollouts.modelfleet.dev in namespace {fleet.namespace}" in said
    where = f"--namespace={fleet.namespace}"
    fleet.cluster.kubectl(
        "create", "role", "reader", where, "--verb=get,list", "--resource=rollouts,controllerrevisions"
    )
    fleet.cluster.kubectl("create", "rolebinding", "jane", where, "--role=reader", "--user=jane")
    said = jane.refuses("pause", "line", code=3)
    assert f"jane may not patch rollouts.modelfleet.dev in namespace {fleet.namespace}" in said
    assert "such as the built-in edit" in said
    answer = jane("check")
    assert answer.code == 1
    assert "✔ may list rollouts.modelfleet.dev" in answer.out
    assert "✖ may not patch rollouts.modelfleet.dev" in answer.out
    assert f"ask for the role edit in namespace {fleet.namespace}" in answer.out
    assert "⚠ Rollout: the version of the CRD" in answer.out, "what can't be read is not known, and not wrong"


def test_check(fleet: Fleet, cli: Cli, start_operator: Any, prometheus: Prometheus) -> None:
    fleet.apply(model_version("v1"))
    answer = cli("check", f"--prometheus={prometheus.url}")
    assert answer.code == 1
    for kind in ("Rollout", "ModelVersion", "TrainingJob"):
        assert f"✔ {kind}: the CRD is installed and of this version" in answer.out
    assert "✖ operator: no Deployment with the label app.kubernetes.io/part-of=modelfleet" in answer.out
    assert "✖ objects: not seen by an operator: ModelVersion parts-v1" in answer.out
    assert f"✔ Prometheus at {prometheus.url} answers" in answer.out
    assert "✖ Prometheus: no series modelfleet_frames_total of this namespace" in answer.out
    assert "✔ may create pods/portforward" in answer.out

    start_operator()
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "modelfleet",
            "labels": {"app.kubernetes.io/part-of": "modelfleet", "app.kubernetes.io/version": "0.0.9"},
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "operator"}},
            "template": {
                "metadata": {"labels": {"app": "operator"}},
                "spec": {"containers": [{"name": "operator", "image": "operator"}]},
            },
        },
    }
    fleet.apply(deployment)
    dead = f"http://127.0.0.1:{free_port()}"
    assert wait_until(lambda: "✔ objects: the operator has seen all 1" in cli("check").out, 20)
    answer = cli("check", f"--prometheus={dead}")
    assert f"✖ operator {fleet.namespace}/modelfleet: scaled to 0" in answer.out
    assert f"✖ operator {fleet.namespace}/modelfleet: version 0.0.9, and this CLI is 0.1.0" in answer.out
    assert f"⚠ Prometheus at {dead}: no answer from here" in answer.out
    found = {each["what"]: each["state"] for each in json.loads(cli("check", "-o", "json").out)}
    assert found["Rollout: the CRD is installed and of this version"] == "ok"


def test_an_api_server_that_is_away(fleet: Fleet, cli: Cli, crds: Cluster, tmp_path: Path) -> None:
    config = yaml.safe_load(crds.kubeconfig.read_text())
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    (tmp_path / "away").write_text(yaml.safe_dump(config))
    said = Cli(fleet, tmp_path / "away").refuses("status", "line", code=3)
    assert "was refused" in said
    assert "Is it the right --context?" in said


def test_diff_lineage_and_documents_for_programs(fleet: Fleet, cli: Cli, operator: OperatorProcess) -> None:
    second = model_version("v2")
    second["spec"] |= {
        "classes": ["bolt", "nut", "washer"],
        "metrics": {"map50": "0.91"},
        "lineage": {
            "parent": "v1",
            "mode": "FineTune",
            "trainingJob": "parts-v2",
            "dataset": {"uri": "s3://data/parts/versions/00012/version.json", "sha256": "a" * 64, "images": 1200},
        },
    }
    fleet.apply(second)
    installed(fleet, "v1")
    said = cli.does("diff", "line", "v2")
    assert "+washer" in said
    assert "map50" in said
    assert "best.onnx sha256 763276327632" in said
    changes = {each["what"]: each for each in json.loads(cli.does("diff", "line", "v2", "-o", "json"))["changes"]}
    assert changes["classes"] == {"what": "classes", "before": "2", "after": "3", "note": "+washer"}

    said = cli.does("lineage", "parts-v2")
    assert "TrainingJob parts-v2 (gone)" in said
    assert "data dataset version 12 of s3://data/parts/ sha256 aaaaaaaaaaaa, 1,200 images" in said
    assert "parent parts-v1" in said
    assert f"node {fleet.canary[0]}: parts-v1" in cli.does("lineage", "--node", fleet.canary[0])
    assert "has a pod on node nowhere" in cli.refuses("lineage", "--node", "nowhere", code=3)

    found = yaml.safe_load(cli.does("get", "rollout", "line", "-o", "yaml"))
    assert (found["standing"], found["stableVersion"], len(found["groups"][1]["nodeList"])) == ("Ready", "v1", 3)
    assert cli.does("get", "rollouts").startswith("line Ready; v1 is stable (parts v1)")
    assert "has no live page (no LIVE_PORT in its environment)" in cli.refuses("live", fleet.canary[0])


@contextmanager
def watching(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """`get rollout line -w` into a pipe, which is no terminal."""
    process = subprocess.Popen(
        cli.command("get", "rollout", "line", "-w"),
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_watching_without_a_terminal_prints_a_line_for_each_change(
    fleet: Fleet, cli: Cli, operator: OperatorProcess
) -> None:
    installed(fleet, "v1", "v2")
    with watching(cli) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        choose(fleet, "v2")
        fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
        time.sleep(1)
        fleet.cluster.kubectl("delete", "rollout", "line", f"--namespace={fleet.namespace}")
        rest, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
    lines += rest.splitlines(keepends=True)
    texts = [line.partition(" ")[2] for line in lines]
    assert "line Ready; v1 is stable (parts v1)" in texts[0]
    assert any("v1 → v2 in group canary" in text for text in texts)
    assert any("v2 is stable (parts v2)" in text for text in texts)
    assert texts[-1] == "Rollout line is gone.\n"
    assert all(one != other for one, other in itertools.pairwise(texts)), "nothing is said twice"


@contextmanager
def terminal(cli: Cli, *arguments: str, columns: int = 110, rows: int = 32) -> Iterator[Callable[[], str]]:
    """A command in a real terminal (tmux), and what stands on its screen."""
    debian.ensure("tmux")
    tmux = [shutil.which("tmux") or "tmux", "-L", f"modelfleet-{os.getpid()}", "-u"]
    size = ["-x", str(columns), "-y", str(rows)]
    variables = [f"{name}={value}" for name, value in environment().items()]
    command = ["env", "-i", *variables, *cli.command(*arguments)]
    subprocess.run([*tmux, "-f", "/dev/null", "new-session", "-d", *size, "-s", "cli", *command], check=True)
    try:
        yield (
            lambda: (
                subprocess.run(
                    [*tmux, "capture-pane", "-p", "-t", "cli"], check=True, capture_output=True, text=True
                ).stdout
            )
        )
    finally:
        subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def test_the_live_tree_in_a_terminal(fleet: Fleet, cli: Cli, operator: OperatorProcess) -> None:
    installed(fleet, "v1", "v2")
    patch(fleet, {"groups": manual(fleet)})
    with terminal(cli, "get", "rollout", "line", "-w") as screen:
        assert wait_until(lambda: "✔ line  Ready  v1 is stable" in screen(), 30), screen()
        choose(fleet, "v2")
        assert wait_until(lambda: "◷ line  WaitingForApproval  v1 → v2 in group canary" in screen(), 60), screen()
        shown = screen()
        if kept := os.environ.get("MODELFLEET_KEEP_SCREEN"):
            Path(kept).write_text(shown)
        assert f"─ ✔ {fleet.canary[0]}  v2  Ready" in shown
        assert "─ ✔ fleet  Ready  v1  3/3 ready" in shown
        assert shown.count("◷ line") == 1, "the picture is drawn over, not below"
        assert max(map(len, shown.splitlines())) > 80, "as wide as the terminal"
        cli.does("approve", "line")
        assert wait_until(lambda: "✔ line  Ready  v2 is stable" in screen(), 60), screen()
