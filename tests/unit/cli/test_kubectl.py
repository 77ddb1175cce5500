"""What kubectl says on standard error, as a sentence that helps; and what a fake kubectl shows of the processes."""

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from kubectl_modelfleet import findings
from kubectl_modelfleet.failures import Failure, Forbidden, NotFound, ServerFault, Unreachable, near
from kubectl_modelfleet.kubectl import PODS, ROLLOUTS, Kubectl, failure
from kubectl_modelfleet.main import complete, complete_for_kubectl, run
from kubectl_modelfleet.session import Session
from kubectl_modelfleet.streams import Streams
from modelfleet.api import crd, names
from modelfleet.kinds import ROLLOUT
from unit.cli.stories import GATE, fails, recorded, story, undecided
from unit.rollout.simulation import fleet, installed

FORBIDDEN = (
    'Error from server (Forbidden): rollouts.modelfleet.dev "line" is forbidden: User "jane" cannot patch resource'
    ' "rollouts" in API group "modelfleet.dev" in the namespace "factory"'
)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (FORBIDDEN, Forbidden, r"jane may not patch rollouts\.modelfleet\.dev in namespace factory: .* built-in edit"),
        (
            'Error from server (Forbidden): nodes is forbidden: User "jane" cannot list resource "nodes" in API'
            ' group "" at the cluster scope',
            Forbidden,
            r"jane may not list nodes: .* built-in view",
        ),
        ('Error from server (NotFound): rollouts.modelfleet.dev "x" not found', NotFound, '"x" not found'),
        ('error: the server doesn\'t have a resource type "rollouts"', NotFound, "install the chart"),
        ("error: You must be logged in to the server (Unauthorized)", Forbidden, "log in again"),
        ("Unable to connect to the server: dial tcp: lookup x: no such host", Unreachable, "right --context"),
        ("The connection to the server 127.0.0.1:1 was refused - did you", Unreachable, "was refused"),
        ('error: context "x" does not exist', Failure, '^context "x" does not exist: kubectl config get-contexts'),
        (
            'Error from server: admission webhook "v.example" denied the request: team x does not exist',
            Failure,
            "team x does not exist$",
        ),
        (
            'The Rollout "line" is invalid: \n* spec.paused: Invalid value: "x": bad\n* spec.groups: Required value\n',
            Failure,
            '^The Rollout "line" is invalid: spec.paused: Invalid value: "x": bad; spec.groups: Required value$',
        ),
        ('The Rollout "line" is invalid: spec: Invalid value: bad', Failure, "is invalid: spec: Invalid value: bad$"),
        ("error: cannot locate context nope", Failure, "^cannot locate context nope: kubectl config get-contexts"),
        ("Error from server (BadRequest): the body is bad", Failure, "BadRequest"),
        ("Error from server (Conflict): the UID in the precondition", Failure, "Conflict"),
        (
            "Unable to connect to the server: getting credentials: exec: executable aws not found\n\nIt looks like you"
            " are trying to use a client-go credential plugin that is not installed.\n\nTo learn more, consult:\n"
            "      https://kubernetes.io/docs\n",
            Failure,
            "^the login of the kubeconfig failed: Unable to connect .* executable aws not found$",
        ),
        (
            'E1130 01:02:03.456789   12 memcache.go:265] "Unhandled Error" err="couldn\'t get"\n'
            "error: the body is bad\nSee 'kubectl get -h' for help and examples",
            Failure,
            "^the body is bad$",
        ),
        (
            "error: there is no need to specify a resource type as a separate argument when passing arguments in"
            " resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource",
            Failure,
            "^give the name alone",
        ),
        (
            "Error from server (ServiceUnavailable): the server is currently unable to handle the request (get"
            " rollouts.modelfleet.dev line)",
            Unreachable,
            r"^no answer now \(the server is currently unable .*\): try again$",
        ),
        ("Error from server (InternalError): an error on the server", ServerFault, "^no answer now, an error in the"),
        ("Error from server (Timeout): the server was unable to return a response", Unreachable, "^no answer now"),
        ("Error from server (TooManyRequests): the server has received too many", Unreachable, "^no answer now"),
        ("Error from server: etcdserver: leader changed", Unreachable, "etcdserver: leader changed"),
        ("", Failure, "said nothing"),
    ],
)
def test_words_of_kubectl(said: str, kind: type[Failure], message: str):
    found = failure(said)
    assert type(found) is kind
    with pytest.raises(kind, match=message):
        raise found


def test_near_names():
    assert near("lin", ["line", "yard"]) == " Did you mean line?"
    assert near("x", ["line"]) == " There is line."
    assert near("x", list("abcdefg")) == " There are a, b, c, d, e and 2 more."
    assert near("x", []) == ""


FAKE = """#!{python}
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
arguments = [a for a in sys.argv[1:] if not a.startswith("--kubeconfig")]
with open(here / "calls", "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
known = json.loads((here / "answers.json").read_text())
for words, answer in known:
    if all(any(word in argument for argument in arguments) for word in words):
        if "error" in answer:
            time.sleep(answer.get("sleep", 0))
            sys.exit(answer["error"])
        for line in answer["lines"]:
            print(line, flush=True)
        time.sleep(answer.get("sleep", 0))
        sys.exit(0)
sys.exit(f"error: nothing is known of {{arguments}}")
"""


def _answer(found: object) -> object:
    """Lines to print, or how it fails; anything else is one object in JSON."""
    if isinstance(found, dict) and found.keys() & {"lines", "error"}:
        return found
    return {"lines": [json.dumps(found)]}


class Fake:
    """A kubectl on the PATH that answers as told. The first answer whose words are all among the arguments counts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "kubectl"
        program.write_text(FAKE.format(python=sys.executable))
        program.chmod(0o755)
        self.answer()

    def answer(self, *known: tuple[list[str], object], config: object = None) -> None:
        answers = [(words, _answer(found)) for words, found in known]
        context = (["config", "view"], config or {"lines": ["factory"]})
        new = self._folder / f"answers.json.{threading.get_ident()}"  # a child may be reading, and others write
        new.write_text(json.dumps([context, *answers]))
        new.replace(self._folder / "answers.json")

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self._folder / "calls").read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Fake(tmp_path)


def items(*objects: object) -> dict[str, object]:
    return {"items": list(objects), "metadata": {"resourceVersion": "7"}}


def answers_of(name: str) -> list[tuple[list[str], object]]:
    recorded = story(name)
    return [
        (["get", ROLLOUTS, "line"], recorded.rollout),
        (["get", ROLLOUTS], items(recorded.rollout)),
        (["get", "modelversions"], items(*recorded.versions)),
        (["get", "controllerrevisions"], items(*recorded.revisions)),
        (["get", "pods"], items(*recorded.pods)),
        (["patch"], recorded.rollout),
    ]


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["status", "line"]) == 3
    assert "kubectl is not on the PATH" in capsys.readouterr().err


def test_in_a_pod_the_namespace_is_that_of_the_service_account(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fake.answer(config={"error": "error: current-context must exist in order to minify"})
    with pytest.raises(Failure, match="say --context or --kubeconfig, or set KUBECONFIG"):
        _ = Kubectl().namespace
    monkeypatch.setattr("kubectl_modelfleet.kubectl.SERVICE_ACCOUNT", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("factory\n")
    assert Kubectl().namespace == "factory"
    assert Kubectl(namespace="yard").namespace == "yard"


def test_kubectl_speaks_utf8_whatever_the_locale_says(fake: Fake):
    """A message may have any character; a locale of another encoding garbled it, or ended the command."""
    found = json.dumps(items(story("Ready").rollout), ensure_ascii=False).replace("is ready on", "→ läuft auf")
    fake.answer((["get", ROLLOUTS], {"lines": [found]}))
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "kubectl_modelfleet", "get", "rollout"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **locale},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "v2 → läuft auf 4 of 4 nodes" in done.stdout


def test_a_diff_from_another_model_finds_its_version(fake: Fake, capsys: pytest.CaptureFixture[str]):
    """spec.model.name was changed: what is stable is of the model before."""
    recorded = story("Ready")
    of_before = json.loads(json.dumps(recorded.rollout))
    of_before["spec"]["model"]["name"] = "bolts"
    of_before["status"]["stableModel"] = "parts"
    bolts = json.loads(json.dumps(recorded.versions[0]))
    bolts["spec"] |= {"model": "bolts", "version": "v9"}
    fake.answer((["get", ROLLOUTS], of_before), (["get", "modelversions"], items(*recorded.versions, bolts)))
    assert run(["diff", "line", "v9", "-o", "json"]) == 0
    assert not [note for note in json.loads(capsys.readouterr().out)["notes"] if "is gone" in note]


def test_the_lineage_of_a_node_is_of_pods_that_the_operator_made(fake: Fake, capsys: pytest.CaptureFixture[str]):
    """Somebody's copy of a pod, for a look into it, has the label of the Rollout that it was given, and no others."""
    recorded = story("Ready")
    copy = json.loads(json.dumps(recorded.pods[0]))
    copy["metadata"] |= {"name": "copy", "labels": {names.ROLLOUT: "line"}}
    trained = (["get", "trainingjobs"], items())
    fake.answer((["get", "pods"], items(copy, *recorded.pods)), trained, *answers_of("Ready"))
    assert run(["lineage", "--node", copy["spec"]["nodeName"], "-o", "json"]) == 0
    assert [[each["name"] for each in line] for line in json.loads(capsys.readouterr().out)] == [["parts-v2"]]


@pytest.mark.parametrize("words", ["-n yard get rollout", "get -n yard rollout", "get rollout -n yard"])
def test_a_namespace_may_stand_behind_any_word(fake: Fake, words: str):
    fake.answer((["get", ROLLOUTS], items(story("Ready").rollout)))
    assert run(words.split()) == 0
    assert "--namespace=yard" in fake.calls[-1]


def test_the_rollouts_of_all_namespaces(fake: Fake, capsys: pytest.CaptureFixture[str]):
    fake.answer((["get", ROLLOUTS, "--all-namespaces"], items(story("Ready").rollout, story("RolledBack").rollout)))
    assert run(["get", "rollouts", "-A"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(";")[0] for line in lines] == ["factory/line Ready", "factory/line RolledBack"]
    assert run(["get", "rollout", "line", "-A"]) == 3
    assert "takes -n NAMESPACE" in capsys.readouterr().err


def test_a_login_that_waits_for_somebody_is_told(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An exec plugin of the kubeconfig asks on kubectl's standard error, which nobody sees meanwhile."""
    monkeypatch.setattr("kubectl_modelfleet.kubectl.TIMEOUT", 1.0)
    asks = "To sign in, open https://login.example and enter the code ABC"
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{asks}' >&2\nexec /bin/sleep 60\n")
    with pytest.raises(Unreachable, match=r"within 1 s, and kubectl says: To sign in, .* code ABC\. .*log in with"):
        Kubectl().list(PODS)


def test_a_name_that_is_not_there_where_names_may_not_be_listed(fake: Fake, capsys: pytest.CaptureFixture[str]):
    absent = {"error": 'Error from server (NotFound): rollouts.modelfleet.dev "lin" not found'}
    refused = {"error": FORBIDDEN.replace("cannot patch", "cannot list")}
    fake.answer((["get", ROLLOUTS, "lin"], absent), (["get", ROLLOUTS], refused))
    assert run(["status", "lin"]) == 3
    assert "no Rollout lin in namespace factory. Which there are, you may not list." in capsys.readouterr().err


def test_what_is_written_and_as_whom(fake: Fake, capsys: pytest.CaptureFixture[str]):
    fake.answer(*answers_of("WaitingForApproval"))
    assert run(["approve", "line", "-n", "factory", "--context=c"]) == 0
    assert capsys.readouterr().out == "line: v2 may leave group canary.\nWrote modelfleet.dev/approve=v2.\n"
    patch = fake.calls[-1]
    assert "--field-manager=modelfleet-cli" in patch
    assert "--context=c" in patch
    (body,) = [each.removeprefix("--patch=") for each in patch if each.startswith("--patch=")]
    uid = story("WaitingForApproval").rollout["metadata"]["uid"]
    assert json.loads(body) == {"metadata": {"uid": uid, "annotations": {"modelfleet.dev/approve": "v2"}}}
    assert run(["approve", "line", "--dry-run"]) == 0
    assert "--dry-run=server" in fake.calls[-1]


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("", ""),
        ("-n factory", " -n factory"),
        ("--context=line", " --context=line"),
        ("-n factory --context line --kubeconfig=/a/b", " -n factory --context=line --kubeconfig=/a/b"),
    ],
)
def test_a_command_that_is_advised_works_where_this_one_did(fake: Fake, given: str, where: str, capsys):
    """Copied from the terminal, it spoke of the context's own namespace, or of another cluster."""
    fake.answer(*answers_of("RolledBack"))
    options = given.split()
    assert run(["diff", "line", "v2", *options]) == 0
    assert f"kubectl modelfleet retry line v2{where} lifts that" in capsys.readouterr().out
    assert run(["undo", "line", "--to", "v2", *options]) == 1
    assert f"(kubectl modelfleet retry line v2{where})" in capsys.readouterr().err
    paused = json.loads(json.dumps(story("RolledBack").rollout))
    paused["spec"]["paused"] = True
    fake.answer((["get", ROLLOUTS, "line"], paused), *answers_of("RolledBack"))
    assert run(["retry", "line", *options]) == 0
    assert f"before kubectl modelfleet resume line{where}." in capsys.readouterr().out
    unseen = {**paused, "status": {}}
    fake.answer((["get", ROLLOUTS], items(unseen)))
    assert run(["get", "rollout", "-A", "--context=line"]) == 0
    assert "kubectl modelfleet check -n factory --context=line says" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["undo", "line", "--to", ""],
        ["status", "line", "--wait", "--version", ""],
        ["approve", "line", "", "--in-advance"],
        ["live", "n", "--rollout", ""],
        ["pause", " "],
    ],
)
def test_a_name_that_is_empty_is_no_name(fake: Fake, words: list[str], capsys: pytest.CaptureFixture[str]):
    """A script whose variable is not set went back to a version that nobody had named, or waited for none."""
    fake.answer(*answers_of("Ready"))
    assert run(words) == 3
    assert "it is empty: is the variable set that should have it?" in capsys.readouterr().err
    assert not (Path(os.environ["PATH"]) / "calls").exists()


def test_a_timeout_without_wait_is_refused(fake: Fake, capsys: pytest.CaptureFixture[str]):
    fake.answer(*answers_of("Ready"))
    assert run(["status", "line", "--timeout", "1h"]) == 3
    assert "--timeout says how long --wait waits: give --wait, too" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "code"), [("Ready", 0), ("RolledBack", 1), ("Soaking", 2)])
def test_exit_codes_come_out_of_the_process(fake: Fake, name: str, code: int, capsys: pytest.CaptureFixture[str]):
    fake.answer(*answers_of(name))
    assert run(["status", "line"]) == code
    assert run(["status", "line", "-o", "json"]) == code
    found = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert (found["phase"], found["exit"]) == (name, code)


def test_status_right_after_a_retry_is_not_that_of_the_failure_before_it(fake: Fake, capsys):
    """A pipeline that says `retry && status --wait` asks before the operator has looked."""

    def annotated(name: str, verb: str, value: str) -> list[tuple[list[str], object]]:
        rollout = json.loads(json.dumps(story(name).rollout))
        rollout["metadata"]["annotations"][f"modelfleet.dev/{verb}"] = value
        return [(["get", ROLLOUTS, "line"], rollout), *answers_of(name)]

    fake.answer(*annotated("RolledBack", "retry", "v2"))
    assert run(["status", "line"]) == 2
    assert "modelfleet.dev/retry=v2 is there, and the operator has not acted on it yet." in capsys.readouterr().out
    assert run(["status", "line", "--version", "v2"]) == 2
    fake.answer(*annotated("RolledBack", "retry", "v9"))
    assert run(["status", "line"]) == 1, "there is no v9: that waits for as long as there is none"
    fake.answer(*annotated("RolledBack", "promote", "v2"))
    assert run(["status", "line"]) == 1, "v2 is not on its way"
    fake.answer(*annotated("Failed", "promote", "v2"))
    assert run(["status", "line"]) == 2
    acted = json.loads(json.dumps(story("RolledBack").revisions))
    for each in acted:
        each["metadata"]["annotations"]["modelfleet.dev/commands"] = '{"retry=v2":""}'
    revisions = (["get", "controllerrevisions"], items(*acted))
    fake.answer(revisions, *annotated("RolledBack", "retry", "v2"))
    assert run(["status", "line"]) == 1, "it was, and it failed again"


def test_status_does_not_wait_for_a_promote_that_the_operator_keeps_for_later(fake: Fake, capsys):
    """spec.model comes to nothing: `status --wait` would wait to its end."""
    world = installed(gate=GATE)
    world.judge = undecided
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.choose("v33")
    world.annotate("promote", "v2")
    world.rest(1)
    seen = recorded(world)
    fake.answer((["get", ROLLOUTS, "line"], seen.rollout), (["get", "controllerrevisions"], items(*seen.revisions)))
    assert run(["status", "line"]) == 1
    assert "parts-v33 does not exist" in capsys.readouterr().out


def test_the_history_of_a_first_install_that_failed_says_so(fake: Fake, capsys):
    world = fleet(gate=GATE)
    world.judge = fails
    world.run(lambda: world.phase == "Failed")
    fake.answer((["get", ROLLOUTS, "line"], world.get(ROLLOUT, "line")), (["get", "pods"], items()))
    assert run(["history", "line"]) == 0
    said = capsys.readouterr().out
    assert "line has no history yet: nothing was installed." in said
    assert "v1 (with the template of line-" in said
    assert "GateFailed: worse by 0.2" in said


def test_status_waits_no_longer_than_it_is_told(fake: Fake, capsys: pytest.CaptureFixture[str]):
    fake.answer(*answers_of("Soaking"))
    begun = time.monotonic()
    assert run(["status", "line", "--wait", "--timeout=500ms"]) == 2
    assert time.monotonic() - begun < 20
    said = capsys.readouterr()
    assert said.out.startswith("Timed out after 500ms. line: Soaking (Soaking).")
    assert run(["status", "line", "--timeout=soon"]) == 3
    assert "'soon' is not a duration such as 90s" in capsys.readouterr().err


def test_waiting_bears_an_api_server_that_restarts(fake: Fake, monkeypatch: pytest.MonkeyPatch):
    """A pipeline that waits for hours meets an upgrade of the control plane."""
    said = [
        "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
        "Error from server: etcdserver: request timed out",
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
    ]

    def answer() -> None:
        fake.answer(*([(["get", ROLLOUTS], {"error": said.pop()})] if said else answers_of("Ready")))

    answer()
    monkeypatch.setattr("kubectl_modelfleet.commands.status.time.sleep", lambda seconds: answer())
    assert run(["status", "line", "--wait"]) == 0
    assert not said


def test_waiting_does_not_bear_an_api_server_that_fails_for_ever(fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys):
    """An object that can't be decrypted, or a conversion webhook that is gone, is a 500 at each look."""
    fault = "Error from server (InternalError): Internal error occurred: unable to transform key"
    away = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
    said, clock = [fault] * 3 + [away] + [fault] * 900, [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        fake.answer((["get", ROLLOUTS], {"error": said.pop(0)}))

    fake.answer((["get", ROLLOUTS], {"error": fault}))
    # The module's own, and not everybody's: whoever waits for a child sleeps, too.
    clocked = SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0])
    monkeypatch.setattr("kubectl_modelfleet.commands.status.time", clocked)
    monkeypatch.setattr("kubectl_modelfleet.commands.status._LOOK", 10.0)
    assert run(["status", "line", "--wait", "--timeout=2h"]) == 3
    assert clock[0] == 110, "a minute of it, without one in which it was away"
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4, "each change, and how it ended"
    assert "unable to transform key" in told[0]
    assert "see to what it names" in told[-1]


def test_a_tree_that_is_not_in_a_terminal_has_no_colours_and_no_cut_lines(fake: Fake, capsys):
    fake.answer(*answers_of("RolledBack"))
    assert run(["get", "rollout", "line"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert story("RolledBack").view.message in said
    assert all(line == line.rstrip() for line in said.splitlines())


def in_a_terminal(*arguments: str, **env: str) -> str:
    """What a command writes into a terminal (a pseudo-terminal of this process)."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", **env}
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "kubectl_modelfleet", *arguments],
        env=environment | {"PYTHONPATH": path},
        stdin=theirs,
        stdout=theirs,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(ours, 65536):
            said += chunk
    os.close(ours)
    assert done.returncode == 0
    return said.decode()


def test_a_terminal_gets_colours_and_signs_unless_it_says_no(fake: Fake):
    fake.answer(*answers_of("Ready"))
    said = in_a_terminal("get", "rollout", "line")
    assert "\x1b[32m✔ \x1b[0m" in said
    said = in_a_terminal("get", "rollout", "line", NO_COLOR="1")
    assert "✔" in said
    assert "\x1b[32m" not in said
    said = in_a_terminal("get", "rollout", "line", LANG="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert "[ok] " in said
    assert said.isascii()


def test_history_in_a_narrow_terminal_has_the_reasons_beneath(fake: Fake):
    fake.answer(*answers_of("RolledBack"))
    entry = story("RolledBack").view.status.history[0]
    wide = in_a_terminal("history", "line", COLUMNS="200", NO_COLOR="1")
    assert "WHY" in wide
    narrow = in_a_terminal("history", "line", COLUMNS="38", NO_COLOR="1")
    assert "…" not in narrow
    assert f"{entry.version}  {entry.result}  " in narrow
    assert " ".join(entry.message.split()) in " ".join(narrow.split())


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]):
    from kubectl_modelfleet.main import cli

    for name in cli.commands:
        assert run([name, "--help"]) == 0
    assert run(["lineage"]) == 3
    assert "name a ModelVersion, or a node with --node" in capsys.readouterr().err


def test_completion_of_commands_names_and_versions(fake: Fake):
    fake.answer(*answers_of("Ready"))
    assert [each.value for each in complete(["re"])] == ["retry", "resume", "retrain"]
    assert [each.value for each in complete(["approve", ""])] == ["line"]
    assert [each.value for each in complete(["approve", "line", ""])] == ["v1", "v2"]
    assert [each.value for each in complete(["lineage", "--node", "can"])] == ["canary-0"]
    assert [each.value for each in complete(["undo", "line", "--dry-run", "--to", ""])] == ["v1", "v2"]
    assert [each.value for each in complete(["status", "line", "--version=v2"])] == ["v2"]
    assert complete(["status", "--version", ""]) == [], "of which Rollout is not said yet"
    fake.answer((["get"], {"error": "Unable to connect to the server: EOF"}))
    assert complete(["approve", ""]) == [], "a shell gets no error in place of names"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lint", "ex"], ":0\n"),
        (["get", "rollout", "--kubeconfig", ""], ":0\n"),
        (["approve", "line", ""], "v1\nv2\n:4\n"),
        (["completion", "z"], "zsh\n:4\n"),
    ],
)
def test_kubectl_hears_where_a_shell_may_complete_files(
    fake: Fake, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    fake.answer(*answers_of("Ready"))
    monkeypatch.setattr("sys.argv", ["kubectl_complete-modelfleet", *words])
    with pytest.raises(SystemExit):
        complete_for_kubectl()
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]):
    assert run(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert "kubectl-modelfleet" in said
    assert f"_KUBECTL_MODELFLEET_COMPLETE={shell}_complete" in said


def live_pod(**env: str) -> dict[str, object]:
    pod = json.loads(json.dumps(story("Ready").pods[0]))
    pod["metadata"]["labels"] |= {names.ROLLOUT: "line"}
    variables = [{"name": name, "value": value} for name, value in env.items()]
    pod["spec"]["containers"] = [{"name": "agent", "env": variables}]
    pod["status"]["phase"] = "Running"
    return pod


def test_the_live_page_is_forwarded_and_its_address_printed(fake: Fake, capsys: pytest.CaptureFixture[str]):
    pod = live_pod(LIVE_PORT="9092")
    forward = {"lines": ["Forwarding from 127.0.0.1:40123 -> 9092", "error: lost connection to pod"]}
    fake.answer((["get", "pods"], items(pod)), (["port-forward"], forward))
    node = pod["spec"]["nodeName"]
    assert run(["live", node, "--no-browser"]) == 3
    said = capsys.readouterr()
    assert said.out == "http://127.0.0.1:40123/\n"
    assert "ended (error: lost connection to pod): run it again" in said.err
    assert fake.calls[-1][-1] == ":9092"
    assert f"pod/{pod['metadata']['name']}" in fake.calls[-1]


def test_a_live_page_that_is_killed_forwards_no_longer(fake: Fake):
    """`live NODE --no-browser &` in a script, and `kill`: kubectl port-forward went on behind it."""
    pod = live_pod(LIVE_PORT="9092")
    forward = {"lines": ["Forwarding from 127.0.0.1:40123 -> 9092"], "sleep": 600}
    fake.answer((["get", "pods"], items(pod)), (["port-forward"], forward))
    process = subprocess.Popen(
        [sys.executable, "-m", "kubectl_modelfleet", "live", pod["spec"]["nodeName"], "--no-browser"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"http://127.0.0.1:40123/\n"
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{child}").exists()


def test_the_live_page_refuses_what_can_not_work(fake: Fake, capsys: pytest.CaptureFixture[str]):
    pod = live_pod()
    other = live_pod(LIVE_PORT="9092")
    other["metadata"]["labels"] |= {names.ROLLOUT: "yard"}
    node = pod["spec"]["nodeName"]
    fake.answer((["get", "pods"], items(pod, other)))
    assert run(["live", "canary-9"]) == 3
    assert f"no Rollout has a pod on node canary-9. Did you mean {node}?" in capsys.readouterr().err
    assert run(["live", node]) == 1
    assert "line, yard have a pod on" in capsys.readouterr().err
    assert run(["live", node, "--rollout=line"]) == 1
    assert "set spec.delivery.live.enabled: true" in capsys.readouterr().err
    fake.answer((["get", "pods"], items(other)), (["port-forward"], {"error": "Unable to connect to the server: EOF"}))
    assert run(["live", node]) == 3


def good(**changed: object) -> list[tuple[list[str], object]]:
    """A cluster in which all is as it should be, for check; but for the answers that are `changed`."""
    operator = {
        "metadata": {"namespace": "system", "name": "op", "labels": {"app.kubernetes.io/version": "0.1.0"}},
        "spec": {"replicas": 1},
        "status": {"readyReplicas": 1},
    }
    settings = {"data": {"settings.yaml": "prometheus: {url: 'http://prometheus.monitoring.svc:9090'}"}}
    found = [{"metric": dict.fromkeys(findings.LABELS, "x")}]
    series = {"status": "success", "data": {"resultType": "vector", "result": found}}
    crds = [(["get", "customresourcedefinitions", f"{each.plural}."], crd.crd(each)) for each in crd.RESOURCES]
    answers: dict[str, tuple[list[str], object]] = {
        "deployments": (["get", "deployments.apps"], items(operator)),
        "configmaps": (["get", "configmaps"], items(settings)),
        "proxy": (["/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?"], series),
        "rollouts": (["get", "rollouts.modelfleet.dev"], items(story("Ready").rollout)),
        "others": (["get", ".modelfleet.dev"], items()),
        "review": (["create", "selfsubjectaccessreviews"], {"status": {"allowed": True}}),
    }
    found = {name: (words, changed.get(name, answer)) for name, (words, answer) in answers.items()}
    return [*crds, *found.values()]


def installed_for(namespace: str, settings: str) -> tuple[dict[str, object], dict[str, object]]:
    """An operator that serves one namespace, and its settings."""
    pod = {
        "containers": [{"name": "operator", "args": [f"--namespace={namespace}"]}],
        "volumes": [{"name": "settings", "configMap": {"name": "op"}}],
    }
    metadata = {"namespace": f"{namespace}-system", "name": "op"}
    operator = {
        "metadata": {**metadata, "labels": {"app.kubernetes.io/version": "0.1.0"}},
        "spec": {"replicas": 1, "template": {"spec": pod}},
        "status": {"readyReplicas": 1},
    }
    return operator, {"metadata": metadata, "data": {"settings.yaml": settings}}


def test_check_asks_the_prometheus_of_the_namespaces_own_operator(fake: Fake, capsys: pytest.CaptureFixture[str]):
    other = installed_for("apart", "prometheus: {url: 'http://prometheus.apart.svc:9090'}")
    own = installed_for("factory", "prometheus: {url: 'http://prometheus.monitoring.svc:9090'}")
    fake.answer(*good(deployments=items(other[0], own[0]), configmaps=items(other[1], own[1])))
    assert run(["-n", "factory", "check"]) == 0
    said = capsys.readouterr().out
    assert "✔ Prometheus at http://prometheus.monitoring.svc:9090 answers" in said
    assert "✔ operator apart-system/op: serves other namespaces (apart)" in said


def test_check_takes_none_where_several_may_be_meant(fake: Fake, capsys: pytest.CaptureFixture[str]):
    one = installed_for("apart", "prometheus: {url: 'http://name:secret@one'}")[1]
    two = installed_for("factory", "prometheus: {url: 'http://two'}")[1]
    fake.answer(*good(configmaps=items(one, two)))
    assert run(["-n", "factory", "check"]) == 3
    said = capsys.readouterr().out
    assert "several settings may be those of this namespace's operator (apart-system/op: http://one; factory" in said
    assert "say which one it is: --prometheus URL" in said
    assert "secret" not in said


def test_check_where_all_is_well(fake: Fake, capsys: pytest.CaptureFixture[str]):
    fake.answer(*good())
    assert run(["check"]) == 0
    said = capsys.readouterr().out
    assert "✖" not in said
    assert "✔ Prometheus at http://prometheus.monitoring.svc:9090 answers" in said
    assert "✔ operator system/op: ready (1 of 1)" in said


@pytest.mark.parametrize(
    ("what", "answer", "code", "said"),
    [
        ("review", {"status": {"allowed": False}}, 1, "✖ may not patch rollouts.modelfleet.dev"),
        (
            "proxy",
            {"error": FORBIDDEN},
            3,
            "⚠ Prometheus at http://prometheus.monitoring.svc:9090: no answer from here",
        ),
        (
            "proxy",
            {"error": "Error from server (NotFound): the server could not find the requested resource"},
            3,
            "it answers 404 there: does the address lack a path in front of /api/v1?",
        ),
        (
            "proxy",
            {"error": "error: You must be logged in to the server (the server has asked for the client to provide"},
            3,
            "it answers 401: it asks for credentials, which are not sent through the API server",
        ),
        ("proxy", ["not", "Prometheus"], 3, "is it the address of Prometheus?"),
        ("configmaps", {"error": FORBIDDEN}, 3, "⚠ Prometheus: where it is"),
        (
            "configmaps",
            items({"data": {"settings.yaml": "prometheus: {url: 'prometheus:9090'}"}}),
            1,
            "✖ Prometheus: its address can't be read: not an http:// or https:// address",
        ),
        (
            "configmaps",
            items({"data": {"settings.yaml": "prometheus: a"}}),
            1,
            "✖ Prometheus: the operator's settings can't",
        ),
        ("configmaps", {"items": []}, 1, "✖ Prometheus: the operator's settings name none"),
        ("others", {"error": FORBIDDEN}, 3, "⚠ the objects: not all could be read"),
    ],
)
def test_check_where_something_is_not(
    fake: Fake, what: str, answer: object, code: int, said: str, capsys: pytest.CaptureFixture[str]
):
    fake.answer(*good(**{what: answer}))
    assert run(["check"]) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("refused", ['Error from server (NotFound): services "mimir" not found', FORBIDDEN])
@pytest.mark.parametrize("answers", [True, False])
def test_a_host_that_is_no_service_is_asked_directly(
    fake: Fake, refused: str, answers: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The host is a fake: no name outside this machine is looked up in tests."""
    asked: list[str] = []

    def urlopen(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        asked.append(request.full_url)
        if not answers:
            raise OSError("Name or service not known")
        return io.BytesIO(json.dumps({"status": "success", "data": {"result": []}}).encode())

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    settings = {"data": {"settings.yaml": "prometheus: {url: 'https://mimir.example/prometheus'}"}}
    through = (["/namespaces/example/services/https:mimir:443/proxy/prometheus/api/v1/query?"], {"error": refused})
    fake.answer(through, *good(configmaps=items(settings)))
    assert run(["check"]) == (1 if answers else 3)
    said = capsys.readouterr().out
    (url,) = asked
    assert url.startswith("https://mimir.example/prometheus/api/v1/query?query=")
    if answers:
        assert "✔ Prometheus at https://mimir.example/prometheus answers" in said
    else:
        assert "⚠ Prometheus at https://mimir.example/prometheus: no answer from here" in said
        assert "as a Service, through the API server: " in said
        assert "directly: Name or service not known" in said


@pytest.mark.parametrize("output", [[], ["-o", "json"]])
def test_a_watch_ends_when_nobody_reads_on(fake: Fake, output: list[str], monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []

    def put(text: str) -> bool:
        told.append(text)
        return False

    monkeypatch.setattr("kubectl_modelfleet.session.put", put)
    rollout = story("Ready").rollout
    listed = items(rollout) | {"metadata": {"resourceVersion": "7"}}
    fake.answer(
        (["watch=true"], {"lines": [], "sleep": 60}),
        (["get", "rollouts.modelfleet.dev"], rollout),
        (["/rollouts?"], listed),
        (["/pods?"], items()),
    )
    assert run(["-n", "factory", "get", "rollout", rollout["metadata"]["name"], "-w", *output]) == 0
    assert len(told) == 1
    asked = [call[-1] for call in fake.calls if "/pods?" in call[-1] and "watch" not in call[-1]]
    assert len([each for each in asked if "limit=1" not in each]) <= 1, "all pods are listed once, to follow them"


class Scripted:
    """Streams that show a Rollout with one message after the other, and then that it is gone."""

    messages: tuple[str, ...] = ()
    trouble = ""

    def __init__(self, *_: object) -> None:
        rollout = story("Soaking").rollout
        ready = next(each for each in rollout["status"]["conditions"] if each["type"] == "Ready")
        self._left = []
        for message in self.messages:
            conditions = [
                {**each, "message": message} if each is ready else each for each in rollout["status"]["conditions"]
            ]
            self._left.append(rollout | {"status": rollout["status"] | {"conditions": conditions}})

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def objects(self, kind: str) -> list[object]:
        return self._left[:1] if kind == ROLLOUTS else []

    def seen(self, kind: str) -> bool:
        return True

    def wait(self, most: float) -> None:
        del self._left[:1]


@pytest.fixture
def scripted(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubectl_modelfleet.commands.get.Streams", Scripted)
    monkeypatch.setattr(Scripted, "messages", ("one", "two"))
    fake.answer((["get", "rollouts.modelfleet.dev"], story("Soaking").rollout), (["/pods?"], items()))


@pytest.mark.usefixtures("scripted")
def test_a_watch_for_programs_is_documents_and_nothing_else(capsys: pytest.CaptureFixture[str]):
    """YAML had no line between two of them; and the last line was no document, but that the Rollout is gone."""
    assert run(["get", "rollout", "line", "-w", "-o", "yaml"]) == 0
    said = capsys.readouterr()
    assert [each["message"] for each in yaml.safe_load_all(said.out)] == ["one", "two"]
    assert said.err.endswith(" Rollout line is gone.\n")
    assert run(["get", "rollout", "line", "-w", "-o", "json"]) == 0
    left, messages = capsys.readouterr().out, []
    while left:
        found, ends = json.JSONDecoder().raw_decode(left)
        messages.append(found["message"])
        left = left[ends:].lstrip()
    assert messages == ["one", "two"]


@pytest.mark.usefixtures("scripted")
def test_a_watch_in_a_terminal_that_can_draw_nothing_has_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """TERM=dumb (a shell in an editor, a CI service that gives a terminal): rich shows nothing before the end there."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert run(["get", "rollout", "line", "-w"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"Soaking;.*; one \S+ line Soaking;.*; two \S+ Rollout line is gone\.$", said), said


FAULT = "Error from server (InternalError): Internal error occurred: unable to transform key"
AWAY = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"


@contextlib.contextmanager
def followed(fake: Fake, monkeypatch: pytest.MonkeyPatch, error: str) -> Iterator[Streams]:
    """Pods that were listed once, and then the API server says this at each look. A minute is half a second."""
    monkeypatch.setattr("kubectl_modelfleet.streams._PAUSE", 0.05)
    monkeypatch.setattr("kubectl_modelfleet.streams.FAULTY", 0.5)
    fake.answer((["watch=true"], {"lines": []}), (["/pods"], items({"metadata": {"name": "one"}})))
    with Streams(Kubectl(), {PODS: ("/api/v1/pods", {})}) as streams:
        until(lambda: streams.seen(PODS), streams)
        assert streams.trouble == ""
        fake.answer((["/pods"], {"error": error}))
        until(lambda: bool(streams.trouble), streams)
        yield streams


def until(so: Callable[[], bool], streams: Streams) -> None:
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline
        streams.wait(0.2)


def test_what_keeps_a_stream_from_going_on_is_told_until_it_does(fake: Fake, monkeypatch: pytest.MonkeyPatch):
    with followed(fake, monkeypatch, AWAY) as streams:
        assert "was refused" in streams.trouble
        time.sleep(1)
        streams.wait(0.2)
        assert [each["metadata"]["name"] for each in streams.objects(PODS)] == ["one"], "as it was seen last"
        fake.answer((["watch=true"], {"lines": [], "sleep": 60}), (["/pods"], items({"metadata": {"name": "two"}})))
        until(lambda: [each["metadata"]["name"] for each in streams.objects(PODS)] == ["two"], streams)
        assert streams.trouble == ""


def test_a_stream_does_not_bear_an_api_server_that_fails_for_ever(fake: Fake, monkeypatch: pytest.MonkeyPatch):
    with followed(fake, monkeypatch, FAULT) as streams:
        assert "unable to transform key" in streams.trouble
        with pytest.raises(ServerFault, match="unable to transform key"):
            until(lambda: False, streams)


def test_watches_that_something_cuts_after_a_while_are_begun_again_for_ever(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
):
    """A load balancer cuts each after a minute or two: the API server was well in between."""
    monkeypatch.setattr("kubectl_modelfleet.streams._PAUSE", 0.05)
    monkeypatch.setattr("kubectl_modelfleet.streams._SERVED", 0.2)
    monkeypatch.setattr("kubectl_modelfleet.streams.FAULTY", 0.3)
    cut = {"lines": [], "sleep": 0.4, "error": "error: stream error: stream ID 1; INTERNAL_ERROR; received from peer"}
    fake.answer((["watch=true"], cut), (["/pods"], items({"metadata": {"name": "one"}})))
    with Streams(Kubectl(), {PODS: ("/api/v1/pods", {})}) as streams:
        until(lambda: streams.seen(PODS), streams)
        until(lambda: sum("watch=true" in call[-1] for call in fake.calls) > 3, streams)
        assert streams.trouble == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_a_watch_says_that_it_stands_still(
    fake: Fake, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("kubectl_modelfleet.streams._PAUSE", 0.05)
    monkeypatch.setattr("kubectl_modelfleet.streams.FAULTY", 4.0)
    monkeypatch.setattr(Session, "terminal", terminal)
    rollout = story("Ready").rollout
    known = [(["/pods?"], items()), (["get", "rollouts.modelfleet.dev"], rollout)]

    def read(streams: Streams, kind: str, child: object) -> None:
        if streams.seen(ROLLOUTS):  # a first list that fails would end it, and that of pods may come before it
            fake.answer((["/rollouts?"], {"lines": [], "error": FAULT}), *known)

    monkeypatch.setattr(Streams, "_read", read)
    fake.answer((["watch=true"], {"lines": []}), (["/rollouts?"], items(rollout)), *known)
    assert run(["-n", "factory", "get", "rollout", "line", "-w"]) == 3
    said = capsys.readouterr()
    assert "Not followed now: no answer now, an error in the API server" in (said.out if terminal else said.err)
    assert "see to what it names" in said.err


def test_the_same_trouble_is_told_once(fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys):
    """A watch that is refused after each list, which is read in between."""
    monkeypatch.setattr("kubectl_modelfleet.streams._PAUSE", 0.05)
    monkeypatch.setattr("kubectl_modelfleet.streams.FAULTY", 3.0)
    rollout = story("Ready").rollout
    fake.answer(
        (["watch=true"], {"error": FAULT}),
        (["/rollouts?"], items(rollout)),
        (["/pods?"], items()),
        (["get", "rollouts.modelfleet.dev"], rollout),
    )
    assert run(["-n", "factory", "get", "rollout", "line", "-w"]) == 3
    said = capsys.readouterr()
    assert said.err.count("Not followed now: ") == 1
    assert said.out.count("\n") == 1, "and the Rollout, which was seen"


def test_streams_follow_and_begin_again(fake: Fake, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("kubectl_modelfleet.streams._PAUSE", 0.05)
    one, two = ({"metadata": {"name": name}} for name in ("one", "two"))
    events = [
        {"type": "ADDED", "object": two},
        {"type": "BOOKMARK", "object": {"metadata": {}}},
        {"type": "DELETED", "object": one},
    ]
    watched = {"lines": [*(json.dumps(event) for event in events), '{"type": "ADD'], "sleep": 0.3}
    fake.answer((["watch=true"], watched), (["/pods"], items(one)))
    with Streams(Kubectl(), {PODS: ("/api/v1/pods", {"labelSelector": "a"})}) as streams:
        deadline = time.monotonic() + 20
        while [each["metadata"]["name"] for each in streams.objects(PODS)] != ["two"]:
            assert time.monotonic() < deadline
            streams.wait(0.2)
        while [each["metadata"]["name"] for each in streams.objects(PODS)] != ["one"]:
            assert time.monotonic() < deadline, "after the end of a watch comes a new list"
            streams.wait(0.2)
    assert any("resourceVersion=7" in call[-1] for call in fake.calls)


def test_a_stream_that_may_not_be_read_says_so(fake: Fake):
    fake.answer((["/pods"], {"error": FORBIDDEN}))
    with Streams(Kubectl(), {PODS: ("/api/v1/pods", {})}) as streams, pytest.raises(Forbidden, match="jane may not"):
        streams.wait(20)


def test_who_may_not_read_pods_sees_a_rollout_without_its_nodes(fake: Fake, capsys: pytest.CaptureFixture[str]):
    refused = (
        'Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in API group ""'
        ' in the namespace "factory"'
    )
    answers = [each for each in answers_of("Soaking") if each[0] != ["get", "pods"]]
    fake.answer(*answers, (["get", "pods"], {"error": refused}))
    assert run(["get", "rollout", "line"]) == 0
    said = capsys.readouterr()
    assert "canary" in said.out
    assert said.err.startswith("Its nodes are not shown: jane may not list pods in namespace factory: ask for a role")
    assert said.err.count("\n") == 1


def test_a_rollout_that_cant_be_read_hides_no_other_one(fake: Fake, capsys: pytest.CaptureFixture[str]):
    whole = story("Ready").rollout
    odd = whole | {"metadata": whole["metadata"] | {"name": "odd"}, "status": {"groups": "none"}}
    fake.answer((["get", ROLLOUTS], items(odd, whole)))
    assert run(["get", "rollout"]) == 3
    said = capsys.readouterr()
    assert said.out.startswith("line ")
    assert "the status of Rollout odd can't be read: " in said.err
    assert run(["get", "rollout", "-o", "json"]) == 3
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["line"]
    fake.answer((["get", ROLLOUTS], items(odd)))
    assert run(["get", "rollout"]) == 3
    assert capsys.readouterr().out == "", "there is one"
