"""One run of the CLI: where it works, as whom, and how it shows what it has; and the options that say so."""

import functools
import io
import json
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import click
import yaml
from rich.console import Console, RenderableType

from kubectl_modelfleet import wording
from kubectl_modelfleet.failures import Forbidden, NotFound, near
from kubectl_modelfleet.kubectl import MODEL_VERSIONS, PODS, ROLLOUTS, Json, Kubectl, namespaced
from kubectl_modelfleet.output import Harmless, put, tell
from kubectl_modelfleet.view import RolloutView, view
from modelfleet.api import names

Command = TypeVar("Command", bound=Callable[..., Any])

_WIDE = 10_000  # where there is no terminal, a line is as long as it is


@dataclass(frozen=True)
class Session:
    """`output`: "" for people, json or yaml for programs. `now` is asked for at each use."""

    namespace: str = ""
    context: str = ""
    kubeconfig: str = ""
    output: str = ""

    @cached_property
    def kubectl(self) -> Kubectl:
        """The door to the cluster."""
        return Kubectl(self._cluster, self.namespace)

    @property
    def _cluster(self) -> list[str]:
        """The options that choose the cluster and the user, as they were given."""
        flags = [f"--context={self.context}"] * bool(self.context)
        return flags + [f"--kubeconfig={self.kubeconfig}"] * bool(self.kubeconfig)

    @cached_property
    def console(self) -> Console:
        """Standard output: with colours and cut lines in a terminal, plain and whole elsewhere."""
        return Console(width=None if self.terminal else _WIDE, highlight=False, markup=False, emoji=False)

    @cached_property
    def terminal(self) -> bool:
        """Whether standard output is a terminal. rich takes any output for one where FORCE_COLOR is set."""
        return sys.stdout.isatty()

    @cached_property
    def signs(self) -> wording.Signs:
        """Signs that the terminal can show. Asked once: while a live picture is drawn, standard output is not it."""
        return wording.signs(sys.stdout.encoding or "ascii")

    @property
    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def say(self, what: RenderableType) -> bool:
        """Print for people; whether somebody still reads. Lines end where their text ends."""
        if self.terminal:
            self.console.print(Harmless(what))
            return True
        text = io.StringIO()
        Console(file=text, width=_WIDE, highlight=False, markup=False, emoji=False).print(what)
        return put("\n".join(line.rstrip() for line in text.getvalue().splitlines()))

    def show(self, document: Any, otherwise: Callable[[], RenderableType], *, one_of_many: bool = False) -> bool:
        """Print a document for programs if they ask for one, else `otherwise` for people; whether somebody reads.

        `one_of_many`: others may follow, from which YAML tells it by a line in front.
        """
        if self.output == "json":
            return put(json.dumps(document, indent=2, ensure_ascii=False))
        if self.output == "yaml":
            said = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, explicit_start=one_of_many)
            return put(said.removesuffix("\n"))
        return self.say(otherwise())

    def rollout(self, name: str, *, managed: bool = False) -> Json:
        """The Rollout. Raises NotFound, see `object`."""
        return self.object(ROLLOUTS, "Rollout", name, managed=managed)

    def object(self, resource: str, kind: str, name: str, *, managed: bool = False) -> Json:
        """One object; NotFound names those that are called nearly so, or says in which namespace was looked."""
        try:
            return self.kubectl.get(resource, name, managed=managed)
        except NotFound as error:
            if "modelfleet.dev" in str(error) and "not found" not in str(error):
                raise
            raise NotFound(
                f"no {kind} {name} in namespace {self.kubectl.namespace}.{self._near(resource, name)}"
            ) from error

    def _near(self, resource: str, name: str) -> str:
        try:
            known = [each["metadata"]["name"] for each in self.kubectl.list(resource)]
        except Forbidden:
            return " Which there are, you may not list."
        return near(name, known) or " There is none; another one with -n."

    def pods(self, rollout: str) -> list[Json] | None:
        """The pods of a Rollout; None where they may not be read, which is told: the rest of it may be."""
        try:
            return self.kubectl.list(PODS, f"{names.ROLLOUT}={rollout}")
        except Forbidden as error:
            self._without_nodes(error)
            return None

    def _without_nodes(self, error: Forbidden) -> None:
        tell(f"Its nodes are not shown: {error}")

    def sees_pods(self, rollout: str) -> bool:
        """Whether its pods may be read, from one of them: all are read by who follows them. What is refused is told."""
        path, selector = namespaced(PODS, self.kubectl.namespace), f"{names.ROLLOUT}={rollout}"
        try:
            self.kubectl.raw(path, labelSelector=selector, limit="1")
        except Forbidden as error:
            self._without_nodes(error)
            return False
        return True

    def view(self, name: str, *, pods: bool = True) -> RolloutView:
        """The Rollout as it is shown."""
        return self.seen(self.rollout(name), (self.pods(name) or ()) if pods else ())

    def seen(self, rollout: Json, pods: Iterable[Json] = (), *, everywhere: bool = False) -> RolloutView:
        """A raw Rollout as it is shown. `everywhere`: it was found in any of all namespaces."""
        cluster = "".join(f" {shlex.quote(flag)}" for flag in self._cluster)
        return view(rollout, pods, cluster, chosen=everywhere or bool(self.namespace))

    def versions(self, model: str) -> dict[str, Json]:
        """The ModelVersions of a model, by version."""
        found = [each for each in self.kubectl.list(MODEL_VERSIONS) if each["spec"]["model"] == model]
        return {each["spec"]["version"]: each for each in found}

    def version(self, model: str, version: str) -> Json:
        """One of them; NotFound names those that are called nearly so."""
        known = self.versions(model)
        if version not in known:
            raise NotFound(f"model {model} has no version {version}.{near(version, known)}")
        return known[version]


def options(function: Command) -> Command:
    """Give a command the options that all have; it gets a Session as its first argument."""

    @functools.wraps(function)
    def run(*arguments: Any, **given: Any) -> Any:
        chosen = chosen_in(click.get_current_context())
        for name in chosen:
            given.pop(name, None)
        return function(Session(**chosen, output=given.pop("output", None) or ""), *arguments, **given)

    output = click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Print for programs.")
    given: Command = where(output(run))
    return given


def chosen_in(context: click.Context) -> dict[str, str]:
    """Cluster, user and namespace as they were given, behind any of the words of a command: the last one counts."""
    found = dict.fromkeys(("namespace", "context", "kubeconfig"), "")
    word: click.Context | None = context
    while word is not None:
        found = {name: value or word.params.get(name) or "" for name, value in found.items()}
        word = word.parent
    return found


def where(function: Any) -> Any:
    """The options of kubectl that say which cluster, as whom, and in which namespace."""
    for names_, type, help in (
        (("--kubeconfig",), click.Path(), "The kubeconfig file."),
        (("--context",), click.STRING, "The context of the kubeconfig."),
        (("-n", "--namespace"), click.STRING, "The namespace; default: that of the context."),
    ):
        function = click.option(*names_, type=type, help=help)(function)
    return function
