"""The CRDs: they are what the models say, structural, bounded and explained."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celpy
import pytest
import yaml
from celpy.adapter import json_to_cel

from modelfleet.api import crd

CRDS = Path(__file__).parents[3] / "crds"

Node = tuple[str, dict[str, Any]]


def schemas(resource: crd.Resource) -> Iterator[Node]:
    """Every schema in the CRD with its path, but for what is kept as unknown fields inside pod templates."""
    (version,) = crd.crd(resource)["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        yield from _below(part, root["properties"][part])


def _below(path: str, schema: dict[str, Any]) -> Iterator[Node]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from _below(f"{path}.{name}", part)
    if "items" in schema:
        yield from _below(f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from _below(f"{path}[*]", schema["additionalProperties"])


each_kind = pytest.mark.parametrize("resource", crd.RESOURCES, ids=lambda resource: resource.plural)


def test_the_committed_crds_are_what_the_models_say() -> None:
    committed = {path.name: path.read_text() for path in CRDS.iterdir()}
    assert committed == crd.files(), "run `make crds` and commit the result"


def test_the_output_is_the_same_every_time_and_reads_back(tmp_path: Path) -> None:
    crd.main([str(tmp_path / "crds")])
    written = {path.name: path.read_text() for path in (tmp_path / "crds").iterdir()}
    assert written == crd.files()
    assert [yaml.safe_load(written[name]) for name in written] == [
        crd.crd(resource) for name in written for resource in crd.RESOURCES if resource.plural in name
    ]


@each_kind
def test_every_schema_is_structural_and_bounded(resource: crd.Resource) -> None:
    forbidden = {
        "$ref",
        "$defs",
        "anyOf",
        "allOf",
        "oneOf",
        "title",
        "const",
        "nullable",
        "prefixItems",
        "propertyNames",
    }
    for path, schema in schemas(resource):
        assert not forbidden & schema.keys(), path
        assert is_bounded(schema), f"{path}: {schema}"


def is_bounded(schema: dict[str, Any]) -> bool:
    """Whether the API server knows how large a value can get."""
    match schema.get("type"):
        case "string":
            return "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        case "array":
            return "maxItems" in schema and "x-kubernetes-list-type" in schema
        case "object" if "additionalProperties" in schema:
            return "maxProperties" in schema
        case "object":
            return "properties" in schema or schema.get("x-kubernetes-preserve-unknown-fields") is True
        case "integer" | "boolean":
            return True
        case _:
            return schema.get("x-kubernetes-int-or-string") is True and "maxLength" in schema


@each_kind
def test_every_field_is_explained_in_a_sentence(resource: crd.Resource) -> None:
    fields = [(path, schema.get("description", "")) for path, schema in schemas(resource) if not path.endswith("]")]
    assert [path for path, text in fields if not (text[:1].isupper() and text.endswith("."))] == []


@each_kind
def test_columns_and_selectors_point_at_fields(resource: crd.Resource) -> None:
    known = {f".{path}" for path, _ in schemas(resource)}
    maps = {path.removesuffix("[*]") for path in known if path.endswith("[*]")}
    for path in (*(column.path for column in resource.columns), *resource.selectable):
        plain = re.sub(r"\[\?\(@\.type=='Ready'\)\]", "[]", path)
        assert plain in known or plain.rsplit(".", 1)[0] in maps or plain == ".metadata.creationTimestamp", path


@each_kind
def test_no_column_is_shown_twice(resource: crd.Resource) -> None:
    names = [column.name for column in resource.columns]
    assert len(set(names)) == len(names)


def test_what_a_structural_schema_can_not_say_is_an_error() -> None:
    with pytest.raises(ValueError, match="can't hold exclusiveMinimum"):
        crd.structural({"type": "integer", "exclusiveMinimum": 0}, {})


@pytest.mark.parametrize(
    ("captures", "store", "apart"),
    [
        ("s3://fleet/line", "s3://fleet/line-data", True),  # neighbours, whose names begin alike
        ("s3://fleet/line-captures", "s3://fleet/line", True),
        ("s3://fleet/line/", "s3://fleet/line-data/", True),
        ("s3://fleet/line", "s3://fleet/line", False),
        ("s3://fleet/line", "s3://fleet/line/", False),
        ("s3://fleet/", "s3://fleet/data", False),
        ("s3://fleet/line/captures", "s3://fleet/line", False),
    ],
)
def test_captures_and_store_of_a_dataset_lie_apart(captures: str, store: str, apart: bool) -> None:
    """As the API server evaluates it."""
    [dataset] = [each for each in crd.RESOURCES if each.plural == "datasets"]
    schema = dict(schemas(dataset))["spec"]
    [rule] = [each["rule"] for each in schema["x-kubernetes-validations"] if "different folders" in each["message"]]
    environment = celpy.Environment()
    program = environment.program(environment.compile(rule))
    spec = {"captures": {"uri": captures}, "store": {"uri": store}}
    assert bool(program.evaluate({"self": json_to_cel(spec)})) is apart
