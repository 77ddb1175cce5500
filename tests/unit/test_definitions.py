"""The test cluster waits for custom resource definitions as the API server writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import definitions
from harness.lifetime import CommandFailed

# what the API server of Kubernetes 1.35 says of a definition right after it was made, before its controller saw it
NEW = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": ["v1"]}
NAMED = {"conditions": [{"type": "NamesAccepted", "status": "True"}]}
INSTALLING = {"conditions": [{"type": "Established", "status": "False"}]}
SERVED = {"conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]}


class Answers:
    """kubectl, in whose answers the status of one definition goes from one to the next."""

    def __init__(self, *statuses: dict[str, Any] | None) -> None:
        self.left = list(statuses)
        self.commands: list[str] = []

    def __call__(self, *arguments: str | Path) -> str:
        self.commands.append(str(arguments[0]))
        if arguments[0] != "get":
            return ""
        status = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        other = {"metadata": {"name": "others"}, "status": SERVED}
        one = {"metadata": {"name": "lines"}} | ({} if status is None else {"status": status})
        return json.dumps({"items": [other, one]})


def test_a_definition_without_conditions_is_waited_for() -> None:
    kubectl = Answers(None, NEW, NAMED, INSTALLING, SERVED)
    definitions.install(kubectl, Path("crds"))
    assert kubectl.commands == ["apply", "get", "get", "get", "get", "get"]


def test_one_that_is_never_served_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "_PATIENCE", 0.2)
    with pytest.raises(CommandFailed, match=r"does not serve lines$"):
        definitions.await_served(Answers(NEW), "crd")


def test_a_single_one_comes_without_a_list() -> None:
    definitions.await_served(lambda *_: json.dumps({"metadata": {"name": "x"}, "status": SERVED}), "crd/x")
