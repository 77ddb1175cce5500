"""The one door to the cluster: kubectl as a child process.

Whoever runs a plugin of kubectl has kubectl, with a kubeconfig that works, whatever logs in there (exec plugins, OIDC,
proxies, impersonation, several files). The price is some 50 ms a request; a library would take longer to import.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from kubectl_modelfleet.failures import Failure, Forbidden, NotFound, ServerFault, Unreachable
from modelfleet.api.names import API_VERSION, CLI_FIELD_MANAGER

Json = dict[str, Any]

TIMEOUT: Final = 30.0
"""Seconds that one request may take."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

ROLLOUTS: Final = "rollouts.modelfleet.dev"
MODEL_VERSIONS: Final = "modelversions.modelfleet.dev"
DATASETS: Final = "datasets.modelfleet.dev"
TRAINING_JOBS: Final = "trainingjobs.modelfleet.dev"
REVISIONS: Final = "controllerrevisions.apps"
PODS: Final = "pods"

_FROM_SERVER = re.compile(r"Error from server \((?P<reason>\w+)\): (?P<message>.*)", re.DOTALL)
_FORBIDDEN = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_BEGINS = ("error:", "Error", "Unable to connect", "The connection to the server")
"""Of the line that says what is wrong. Notes may come before it, and advice behind it."""
_BUSY = {"ServerTimeout", "ServiceUnavailable", "Timeout", "TooManyRequests"}
"""Reasons of an API server that is there and can't answer now: it restarts, or waits for etcd."""
_FAULT = "InternalError"
"""That of one that fails: as it starts, or for as long as a webhook fails or what is stored can't be read."""
_INVALID = re.compile(r'^The \S+ ".*" is invalid:', re.MULTILINE)
_NOT_IN_KUBECONFIG = re.compile(r'cannot locate context|(context|cluster|auth info) ".*" does not exist')
_ETCD = re.compile(r"Error from server: (?P<message>etcdserver: .*)")
_OF_SERVICE: Final = {
    "could not find the requested resource": "it answers 404 there: does the address lack a path in front of /api/v1?",
    "You must be logged in": "it answers 401: it asks for credentials, which are not sent through the API server",
}
"""What kubectl prints of an answer, and what it means where a Service gave it."""
_AWAY = ("Unable to connect to the server", "The connection to the server", "dial tcp", "i/o timeout", "EOF")


class Kubectl:
    """Asks and tells the API server as the current user.

    `flags` choose the cluster and the user (--context, --kubeconfig); `namespace` "" is that of the context.
    """

    def __init__(self, flags: Sequence[str] = (), namespace: str = "", program: str | None = None) -> None:
        found = program or shutil.which("kubectl")
        if found is None:
            raise Unreachable("kubectl is not on the PATH: install it (https://kubernetes.io/docs/tasks/tools)")
        self._command = [found, *flags]
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        """The namespace that is worked in."""
        if not self._namespace:
            self._namespace = self._of_context() or "default"
        return self._namespace

    def _of_context(self) -> str:
        """That of the context; in a pod, where kubectl needs no kubeconfig, that of its service account."""
        path = "jsonpath={.contexts[0].context.namespace}"
        try:
            return self.run("config", "view", "--minify", f"--output={path}").strip()
        except Failure as error:
            if SERVICE_ACCOUNT.exists():
                return SERVICE_ACCOUNT.read_text().strip()
            if "current-context" in str(error):
                raise Failure(
                    "the kubeconfig is not there, or has no current context: say --context or --kubeconfig, or set"
                    " KUBECONFIG (kubectl config get-contexts lists what there is)"
                ) from error
            raise

    def command(self, *arguments: str) -> list[str]:
        """The whole command line of a kubectl call, for who starts the process himself."""
        return [*self._command, *arguments]

    def run(self, *arguments: str, input: str | None = None) -> str:
        """What kubectl prints. Raises a Failure that says what is wrong."""
        try:
            done = subprocess.run(
                self.command(*arguments),
                input=input,
                capture_output=True,
                encoding="utf-8",  # kubectl's, whatever the locale's is
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(_late(error.stderr or b"")) from error
        except OSError as error:
            raise Unreachable(f"{self._command[0]} can't be run: {error}") from error
        if done.returncode:
            raise failure(done.stderr)
        return done.stdout

    def get(self, resource: str, name: str, *, managed: bool = False) -> Json:
        """One object of the namespace; `managed` with who wrote which field. Raises NotFound."""
        more = ["--show-managed-fields"] if managed else []
        said = self.run("get", resource, name, f"--namespace={self.namespace}", "--output=json", *more)
        found: Json = json.loads(said)
        return found

    def list(self, resource: str, selector: str = "", *, everywhere: bool = False) -> list[Json]:
        """Objects of the namespace, or of all; ordered by name."""
        where = "--all-namespaces" if everywhere else f"--namespace={self.namespace}"
        chosen = [f"--selector={selector}"] if selector else []
        found: list[Json] = json.loads(self.run("get", resource, where, *chosen, "--output=json"))["items"]
        return found

    def patch(self, resource: str, name: str, body: Mapping[str, Any], *, dry_run: bool = False) -> Json:
        """Merge `body` into an object, as the field manager of this CLI. A dry run asks the server, and writes nothing.

        A merge patch and not an apply: what this CLI wrote before stays as it is, whatever is written now.
        """
        tried = ["--dry-run=server"] if dry_run else []
        said = self.run(
            "patch",
            resource,
            name,
            f"--namespace={self.namespace}",
            "--type=merge",
            f"--field-manager={CLI_FIELD_MANAGER}",
            f"--patch={json.dumps(body)}",
            "--output=json",
            *tried,
        )
        found: Json = json.loads(said)
        return found

    def raw(self, path: str, **query: str) -> Any:
        """The JSON that the API server answers to a GET of this path."""
        return json.loads(self.run("get", "--raw", _address(path, query)))

    def proxied(self, path: str) -> Any:
        """The JSON that a Service answers through the API server.

        A Failure is about the Service: of its 401 and 404 kubectl says what it says of the API server's own.
        """
        try:
            return self.raw(path)
        except Failure as error:
            told = next((words for sign, words in _OF_SERVICE.items() if sign in error.said), None)
            if told is None:
                raise
            raise type(error)(told, error.said) from error

    def create_raw(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that the API server answers to a POST, for what is asked that way (access reviews)."""
        return json.loads(self.run("create", "--raw", path, "--filename=-", input=json.dumps(body)))

    def watch(self, path: str, **query: str) -> subprocess.Popen[str]:
        """A child that prints one watch event a line; the caller ends it."""
        asked = _address(path, {**query, "watch": "true", "allowWatchBookmarks": "true"})
        return subprocess.Popen(
            self.command("get", "--raw", asked),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    @contextmanager
    def child(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A child that is ended with the block."""
        process = subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a child, at the latest after a few seconds."""
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def namespaced(resource: str, namespace: str) -> str:
    """The path of a kind of modelfleet.dev (`rollouts`) or of the core (`pods`) in a namespace."""
    base = "/api/v1" if resource == PODS else f"/apis/{API_VERSION}"
    return f"{base}/namespaces/{namespace}/{resource.partition('.')[0]}"


def failure(said: str) -> Failure:
    """What kubectl's words on stderr come to."""
    found = _failure(said.strip())
    found.said = said
    return found


def _failure(text: str) -> Failure:
    found = _FROM_SERVER.search(text)
    if found is not None and found["reason"] == "NotFound":
        if "could not find the requested resource" in text:
            return NotFound("the cluster does not know the kinds of modelfleet.dev: install the chart (CRDs), or check")
        return NotFound(found["message"])
    if found is not None and found["reason"] == "Forbidden":
        return Forbidden(_forbidden(found["message"]))
    if found is not None and found["reason"] == _FAULT:
        return ServerFault(
            f"no answer now, an error in the API server ({found['message']}): try again. Where that lasts, see to what"
            " it names (a webhook, an object that can't be read) and to the log of the API server"
        )
    busy = _ETCD.search(text) or (found if found is not None and found["reason"] in _BUSY else None)
    if busy is not None:
        return Unreachable(f"no answer now ({busy['message']}): try again")
    if "doesn't have a resource type" in text:
        return NotFound(
            "the cluster does not know the kinds of modelfleet.dev: install the chart, which brings the CRDs"
            " (kubectl modelfleet check says more)"
        )
    if "You must be logged in" in text or "Unauthorized" in text:
        return Forbidden(f"the API server does not accept the credentials of the kubeconfig: log in again ({text})")
    if "getting credentials" in text:
        return Failure(f"the login of the kubeconfig failed: {_told(text)}")
    if "arguments in resource/name form" in text:
        return Failure("give the name alone, without its kind: line, and not rollout/line")
    if _NOT_IN_KUBECONFIG.match(_told(text)):
        return Failure(f"{_told(text)}: kubectl config get-contexts lists what there is")
    if any(sign in text for sign in _AWAY):
        return Unreachable(f"{_told(text)} Is it the right --context?")
    return Failure(_told(text) if text else "kubectl failed and said nothing: try again with the same kubectl command")


def _forbidden(message: str) -> str:
    found = _FORBIDDEN.search(message)
    if found is None:
        return message
    resource = f"{found['resource']}.{found['group']}" if found["group"] else found["resource"]
    where = f" in namespace {found['namespace']}" if found["namespace"] else ""
    at = f" -n {found['namespace']}" if found["namespace"] else ""
    return (
        f"{found['user']} may not {found['verb']} {resource}{where}: ask for a role with this verb, such as the"
        f" built-in {'view' if found['verb'] in ('get', 'list', 'watch') else 'edit'}"
        f" (kubectl auth can-i {found['verb']} {resource}{at})"
    )


def _late(said: str | bytes) -> str:
    """What to do where kubectl does not end. A plugin of the kubeconfig that asks somebody to log in does it there."""
    text = (said.decode(errors="replace") if isinstance(said, bytes) else said).strip()
    late = f"the API server did not answer within {TIMEOUT:.0f} s"
    if not text:
        return f"{late}: try again"
    words = " ".join(text.split())
    return f"{late}, and kubectl says: {words}. Where it waits for you, log in with kubectl get pods first"


def _told(text: str) -> str:
    if (invalid := _INVALID.search(text)) is not None:
        return _causes(text[invalid.start() :])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = next((line for line in lines if line.startswith(_BEGINS)), lines[-1] if lines else "")
    return found.removeprefix("error: ").removeprefix("Error: ")


def _causes(text: str) -> str:
    """What an API server has against an object: of several causes kubectl makes a line each, under a head."""
    head, *causes = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join([head, "; ".join(cause.removeprefix("* ") for cause in causes)]).strip()


def _address(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
