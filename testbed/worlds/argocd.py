"""Argo CD's own Lua engine (testbed/tools/argocd) with the scripts of our chart, merged into an argocd-cm.

No controller of Argo CD runs here (harness/argocd.py has them). Its settings are read by its own code from the API
server, and its own sandbox and time limit hold.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import Cluster, ExistingCluster, binaries
from harness.lifetime import die_with_parent
from harness.paths import REPOSITORY

Json = dict[str, Any]

THEIRS = {
    "resource.customizations.health.example.com_Loop": "while true do end",
    "resource.customizations.health.example.com_Strings": "return {status = string.upper('healthy')}",
}
"""What the argocd-cm has before: scripts that do what Argo CD does not let them do."""

_DATA = '{"{\\"data\\":"}{.data}{"}"}'


class Refused(Exception):
    """What Argo CD says of a script that failed, or is not there."""


@dataclass(frozen=True)
class Run:
    """What an action makes of an object, and the merge patch by which Argo CD writes it."""

    object: Json
    patch: Json


class Engine:
    """The running engine. It has read argocd-cm when it answers for the first time, and does not read it again."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Answers over the pipes of ``process``."""
        self._process = process

    def health(self, object: Json) -> tuple[str, str]:
        """Status and message that Argo CD shows for an object. Raises Refused."""
        answer = self._ask({"object": object})
        return answer["status"], answer.get("message", "")

    def actions(self, object: Json) -> dict[str, Json]:
        """The actions in the menu of an object, by name. Raises Refused."""
        return {each["name"]: each for each in self._ask({"object": object, "discover": True}).get("actions", ())}

    def enabled(self, object: Json) -> set[str]:
        """The actions that can be chosen. Raises Refused."""
        return {name for name, action in self.actions(object).items() if not action.get("disabled")}

    def run(self, object: Json, action: str) -> Run:
        """Carry out an action. Raises Refused."""
        answer = self._ask({"object": object, "action": action})
        return Run(answer["object"], answer["patch"])

    def _ask(self, question: Mapping[str, Any]) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"argocd lua ended with exit code {self._process.wait(10)}"
        answer: Json = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer


@contextmanager
def engine(cluster: Cluster | ExistingCluster, folder: Path) -> Iterator[Engine]:
    """The engine with an argocd-cm in a namespace of its own. What it says beside its answers goes to ``folder``."""
    namespace = f"argocd-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", namespace)
    configure(cluster, namespace)
    command = [str(binaries.path("argocd")), "lua", str(cluster.kubeconfig), namespace]
    with (folder / "engine.log").open("w") as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            preexec_fn=die_with_parent,
        )
        try:
            yield Engine(process)
        finally:
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
            cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def configure(cluster: Cluster | ExistingCluster, namespace: str) -> None:
    """Merge our chart's ConfigMap into somebody's argocd-cm, by the commands of docs/argocd.md."""
    where = f"--namespace={namespace}"
    labels = {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"}
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "labels": labels}}
    cluster.kubectl("apply", where, "--filename=-", input=json.dumps({**theirs, "data": THEIRS}))
    ours = _rendered()
    cluster.kubectl("apply", where, "--filename=-", input=ours)
    patch = cluster.kubectl("get", "configmap", "modelfleet-argocd", where, f"--output=jsonpath={_DATA}")
    cluster.kubectl("patch", "configmap", "argocd-cm", where, "--type=merge", f"--patch={patch}")
    merged = json.loads(cluster.kubectl("get", "configmap", "argocd-cm", where, "--output=json"))
    assert merged["data"] == THEIRS | yaml.safe_load(ours)["data"]


def _rendered() -> str:
    values = ["--set=argocd.enabled=true", "--show-only=templates/argocd.yaml"]
    command = [str(binaries.path("helm")), "template", "modelfleet", str(REPOSITORY / "charts/modelfleet"), *values]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
