"""`check`: is everything there that modelfleet needs, and may you use it?"""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from http.client import HTTPException
from urllib.parse import quote, urlencode

import click
from rich.console import Group
from rich.text import Text

from kubectl_modelfleet import __version__, findings
from kubectl_modelfleet.failures import Failure, Forbidden, NotFound
from kubectl_modelfleet.findings import RIGHTS, Address, Finding, SettingsError, State, unknown, wrong
from kubectl_modelfleet.session import Session, options
from modelfleet.api import crd, names
from modelfleet.wording import listed

_SELECTOR = "app.kubernetes.io/part-of=modelfleet"
_SECONDS = 10.0
_LARGEST = 1 << 26
"""Bytes of an answer: a series for each of a hundred thousand nodes is far less."""


@click.command()
@click.option("--prometheus", metavar="URL", help="Ask this Prometheus; default: that of the operator's settings.")
@options
def check(session: Session, prometheus: str | None) -> int:
    """Is all there: CRDs, operator, Prometheus, your rights?

    Each line is ok, or says what to do.

    Exit code 0: all ok; 1: something is wrong; 3: nothing is wrong, but something could not be found out.
    """
    found: list[Finding] = []
    found += _carefully("the CRDs", _crds(session))
    operators = _operators(session)
    found += _carefully("the operator", _operator(session, operators))
    found += _carefully("the objects", _objects(session))
    found += _carefully("Prometheus", _prometheus(session, operators, prometheus))
    found += _carefully("your rights", _rights(session))
    session.show([{**asdict(each), "state": each.state.value} for each in found], lambda: told(found, session))
    return findings.exit_of(found)


def _carefully(what: str, part: Iterator[Finding]) -> list[Finding]:
    """What a part finds; what it may not read is not known. An API server that does not answer ends the check."""
    found: list[Finding] = []
    try:
        found.extend(part)
    except (Forbidden, NotFound) as failure:
        found.append(unknown(f"{what}: not all could be read", str(failure)))
    return found


def _crds(session: Session) -> Iterator[Finding]:
    for resource in crd.RESOURCES:
        kind, ours = resource.model.__name__, crd.crd(resource)
        try:
            installed = session.kubectl.get("customresourcedefinitions", ours["metadata"]["name"])
        except NotFound:
            yield wrong(f"{kind}: no CRD", "kubectl apply --server-side -f crds/, or install the chart")
        except Forbidden as failure:
            yield unknown(f"{kind}: the version of the CRD", str(failure))
        else:
            yield findings.crd(kind, installed, ours)


def _operators(session: Session) -> list[findings.Json] | Forbidden:
    """The operators' Deployments, or why they may not be read."""
    try:
        return [*session.kubectl.list("deployments.apps", _SELECTOR, everywhere=True)]
    except Forbidden as failure:
        return failure


def _operator(session: Session, operators: list[findings.Json] | Forbidden) -> Iterator[Finding]:
    if isinstance(operators, Forbidden):
        yield unknown("operator: whether it runs", str(operators))
        return
    yield from findings.operator(operators, __version__, session.kubectl.namespace)


def _objects(session: Session) -> Iterator[Finding]:
    kinds = [f"{resource.plural}.{names.GROUP}" for resource in crd.RESOURCES]
    yield findings.seen(each for kind in kinds for each in session.kubectl.list(kind))


def _prometheus(session: Session, operators: list[findings.Json] | Forbidden, given: str | None) -> Iterator[Finding]:
    url = given or ""
    if not url:
        try:
            settings = session.kubectl.list("configmaps", _SELECTOR, everywhere=True)
        except Forbidden as failure:
            yield unknown("Prometheus: where it is", f"{failure}; or say it: --prometheus URL")
            return
        known = [] if isinstance(operators, Forbidden) else operators
        own = findings.settings_for(session.kubectl.namespace, known, settings)
        try:
            urls = findings.prometheus_urls(own)
        except SettingsError as error:
            advice = "correct the chart's values prometheus.*, or that ConfigMap; or --prometheus URL"
            yield wrong(f"Prometheus: the operator's settings can't be read: {error}", advice)
            return
        if len(urls) > 1:
            named = "; ".join(f"{listed(names)}: {_shown(each)}" for each, names in sorted(urls.items()))
            said = f"Prometheus: several settings may be those of this namespace's operator ({named})"
            yield unknown(said, "say which one it is: --prometheus URL")
            return
        url = next(iter(urls), "")
    if not url:
        yield wrong("Prometheus: the operator's settings name none", "chart value prometheus.url; or --prometheus URL")
        return
    query = f"count by ({', '.join(findings.LABELS)}, exported_namespace, exported_rollout, exported_node)" + (
        f'(modelfleet_frames_total{{namespace="{session.kubectl.namespace}"}}'
        f' or modelfleet_frames_total{{exported_namespace="{session.kubectl.namespace}"}})'
    )
    try:
        at = findings.address(url)
    except ValueError as error:
        yield wrong(
            f"Prometheus: its address can't be read: {error}", "chart value prometheus.url; or --prometheus URL"
        )
        return
    try:
        answer = _ask(session, at, query, direct=given is not None)
    except (Failure, OSError, ValueError, RecursionError) as error:
        yield unknown(
            f"Prometheus at {at.url}: no answer from here", f"{error}; or say how you reach it: --prometheus URL"
        )
        return
    yield findings.ok(f"Prometheus at {at.url} answers")
    yield from findings.series(answer)


def _shown(url: str) -> str:
    """An address without name and password."""
    try:
        return findings.address(url).url
    except ValueError:
        return "no address"


def _ask(session: Session, at: Address, query: str, *, direct: bool) -> findings.Json:
    """An instant query: through the API server where the address is a Service's, else directly.

    Where it may be a Service's: directly if there is none, or it may not be asked. Raises Failure, OSError, ValueError.
    """
    service = None if direct else findings.service_of(at.url)
    path = f"/api/v1/query?{urlencode({'query': query}, quote_via=quote)}"
    through = ""
    if service is not None:
        try:
            return findings.answer(session.kubectl.proxied(f"{service.proxy}{path}"))
        except (NotFound, Forbidden) as failure:
            if service.sure:
                raise
            through = f"as a Service, through the API server: {failure}; directly: "
    headers = {"Authorization": at.authorization} if at.authorization else {}
    try:
        request = urllib.request.Request(at.url.rstrip("/") + path, headers=headers)
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return findings.answer(json.loads(response.read(_LARGEST)))
    except (OSError, ValueError, HTTPException, RecursionError) as error:
        # HTTPException: what answers there does not speak HTTP, or not to the end
        raise Failure(f"{through}{error or type(error).__name__}".strip()) from error


def _rights(session: Session) -> Iterator[Finding]:
    namespace = session.kubectl.namespace
    for asked in RIGHTS:
        answer = session.kubectl.create_raw(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked.review(namespace)
        )
        yield findings.right(asked, namespace, answer)


def told(found: list[Finding], session: Session) -> Group:
    """One line each, with what to do beneath."""
    shown = {
        State.OK: (session.signs.good, "green"),
        State.WRONG: (session.signs.bad, "red"),
        State.UNKNOWN: (session.signs.warning, "yellow"),
    }
    lines: list[Text] = []
    for each in found:
        sign, colour = shown[each.state]
        lines.append(Text.assemble((f"{sign} ", colour), each.what))
        if each.advice:
            lines.append(Text(f"    {each.advice}", style="dim"))
    return Group(*lines)
