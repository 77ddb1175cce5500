"""One document of a kind of modelfleet.dev: what is wrong with it. Pure."""

import functools
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from kubectl_modelfleet.failures import near
from kubectl_modelfleet.lint import metadata, rules, scalars, schema
from kubectl_modelfleet.lint.files import Document
from kubectl_modelfleet.lint.ours import KINDS
from kubectl_modelfleet.lint.problem import Problem
from modelfleet.api import crd, names
from modelfleet.api.trainingjob import TrainingJob
from modelfleet.api.unsupported import unsupported_fields


def check(document: Document) -> Iterator[Problem]:
    """What the API server would refuse; then what this release would not act on."""
    content: dict[str, Any] = document.content
    kind, version = content.get("kind"), content.get("apiVersion")
    if version != names.API_VERSION:
        said = "is missing" if version is None else f"can't be {scalars.shortened(str(version))}"
        yield document.problem(("apiVersion",), f"{said}: it must be {names.API_VERSION}")
        return
    if kind is None:
        yield document.problem(("kind",), f"is missing: it is one of {', '.join(sorted(KINDS))}")
        return
    if not isinstance(kind, str) or kind not in KINDS:
        said = scalars.shortened(str(kind))
        yield document.problem(("kind",), f"there is no kind {said}.{near(str(kind), KINDS)}")
        return
    found = [*metadata.check(content.get("metadata")), *_refused(kind, content)]
    yield from (document.problem(path, message) for path, message in found)
    if not found:
        yield from (
            document.problem(tuple(field.partition(" ")[0].split(".")), "this release does not act on it")
            for field in _unsupported(kind, content)
        )


def _refused(kind: str, content: dict[str, Any]) -> list[schema.Finding]:
    """By the schema; and, where it fits, by the rules."""
    whole = _schema(kind)
    # of metadata the CRD declares the name alone; the rest is Kubernetes' own
    written = {key: content[key] for key in content if key not in ("metadata", "status")}
    filled = schema.with_defaults(written, whole)
    filled.pop("status", None)
    found = list(schema.check(filled, whole))
    name = metadata.name(content.get("metadata"))
    return found or list(rules.check(filled | {"metadata": {"name": name}}, whole))


def _unsupported(kind: str, content: dict[str, Any]) -> tuple[str, ...]:
    if kind != "TrainingJob":
        return ()
    try:
        return unsupported_fields(TrainingJob.model_validate(content))
    except ValidationError:  # of metadata, which a server would fill in
        return ()


@functools.cache
def _schema(kind: str) -> schema.Schema:
    resource = next(each for each in crd.RESOURCES if each.model.__name__ == kind)
    found: schema.Schema = crd.crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found
