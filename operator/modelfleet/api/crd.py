"""Generates the CustomResourceDefinitions from the models: `python -m modelfleet.api.crd crds/`.

pydantic's JSON schema becomes a structural schema as Kubernetes wants it: references inlined, optional fields plain
and not `anyOf` null, defaults as they are on the wire, CEL rules from the models. The output is the same at every run.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from modelfleet.api.dataset import Dataset
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.names import CATEGORY, GROUP, VERSION_V1ALPHA1
from modelfleet.api.quantities import IntOrPercent, Percent, format_decimal, format_duration
from modelfleet.api.reasons import ConditionType, Reason
from modelfleet.api.rollout import Rollout
from modelfleet.api.trainingjob import TrainingJob

HEADER: Final = "# Generated from operator/modelfleet/api by `make crds`. Do not edit.\n"

Schema = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` ones only show with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The entry of additionalPrinterColumns."""
        entry: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return entry | ({"priority": 1} if self.wide else {})


@dataclass(frozen=True)
class Resource:
    """What a CRD says about a kind beside its schema."""

    model: type[BaseModel]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]
    new_status: Mapping[str, Any]


def _condition(type: str, field: str) -> str:
    return f".status.conditions[?(@.type=='{type}')].{field}"


_READY = Column("Ready", _condition("Ready", "status"))
_REASON = Column("Reason", _condition("Ready", "reason"), wide=True)
_AGE = Column("Age", ".metadata.creationTimestamp", type="date")

# What a new object's status says before the operator has seen it. The time stands for "never" (conditions.NEVER).
_NEW_STATUS: Final = {
    "conditions": [
        {
            "type": ConditionType.READY.value,
            "status": "Unknown",
            "reason": Reason.PENDING.value,
            "message": "Waiting for the modelfleet operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ]
}

RESOURCES: Final = (
    Resource(
        ModelVersion,
        plural="modelversions",
        short_name="mv",
        columns=(
            Column("Model", ".spec.model"),
            Column("Version", ".spec.version"),
            Column("mAP50", ".spec.metrics.map50"),
            Column("Mode", ".spec.lineage.mode"),
            Column("Parent", ".spec.lineage.parent"),
            Column("Tags", ".status.tags"),
            _READY,
            _REASON,
            Column("URI", ".spec.artifact.uri", wide=True),
            _AGE,
        ),
        selectable=(".spec.model", ".spec.version"),
        new_status=_NEW_STATUS,
    ),
    Resource(
        TrainingJob,
        plural="trainingjobs",
        short_name="tj",
        columns=(
            Column("Model", ".spec.model"),
            Column("Version", ".status.version"),
            Column("Mode", ".spec.mode"),
            Column("Phase", ".status.phase"),
            Column("Epoch", ".status.progress.epoch", type="integer"),
            Column("Epochs", ".status.progress.epochs", type="integer"),
            Column("Percent", ".status.progress.percent", type="integer"),
            Column("Remaining", ".status.progress.remaining"),
            Column("mAP50", ".status.progress.metrics.map50"),
            _REASON,
            Column("Parent", ".status.parent", wide=True),
            Column("Attempts", ".status.attempts", type="integer", wide=True),
            _AGE,
        ),
        selectable=(".spec.model", ".spec.mode", ".status.phase"),
        new_status={"phase": "Pending"} | _NEW_STATUS,
    ),
    Resource(
        Rollout,
        plural="rollouts",
        short_name="mro",
        columns=(
            Column("Model", ".spec.model.name"),
            Column("Stable", ".status.stableVersion"),
            Column("Candidate", ".status.candidateVersion"),
            Column("Group", ".status.currentGroup"),
            Column("Gate", ".status.gate.verdict"),
            Column("Phase", ".status.phase"),
            Column("Summary", ".status.summary"),
            _READY,
            _REASON,
            Column("Drift", ".status.drift.state", wide=True),
            Column("Replay", ".status.replay.result", wide=True),
            Column("Message", _condition("Ready", "message"), wide=True),
            _AGE,
        ),
        selectable=(".spec.model.name", ".spec.model.version", ".spec.model.tag", ".status.phase"),
        new_status=_NEW_STATUS,
    ),
    Resource(
        Dataset,
        plural="datasets",
        short_name="mds",
        columns=(
            Column("Model", ".spec.model"),
            Column("Version", ".status.latest.number", type="integer"),
            Column("Images", ".status.latest.images", type="integer"),
            Column("Waiting", ".status.waiting", type="integer"),
            Column("InReview", ".status.inReview", type="integer"),
            Column("Reviewed", ".status.reviewed", type="integer"),
            Column("Precision", ".status.review.precision.value"),
            Column("Recall", ".status.review.recall.value"),
            _READY,
            _REASON,
            Column("Next", ".status.nextSync", wide=True),
            Column("Message", _condition("Ready", "message"), wide=True),
            _AGE,
        ),
        selectable=(".spec.model",),
        new_status=_NEW_STATUS,
    ),
)

_ORDER: Final = ("description", "type", "format", "enum", "default", "required", "properties", "items")


class _WireDefaults(GenerateJsonSchema):
    """pydantic's generator, with defaults as they stand in a manifest."""

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case timedelta():
                return format_duration(dft)
            case Decimal():
                return format_decimal(dft)
            case IntOrPercent() | Percent():
                return dft.to_wire()
            case _:
                return super().encode_default(dft)


def structural(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Turn a JSON schema of pydantic into a structural one: no $ref, no title, no null.

    Raises ValueError on what a structural schema can't say.
    """
    schema = dict(schema)
    if (reference := schema.pop("$ref", None)) is not None:
        return structural(definitions[reference.rsplit("/", 1)[1]] | schema, definitions)
    if (choices := schema.pop("anyOf", None)) is not None:
        (choice,) = (choice for choice in choices if choice.get("type") != "null")
        return structural(_over(choice, schema, definitions), definitions)
    schema.pop("title", None)
    if schema.get("additionalProperties") in (True, False):
        del schema["additionalProperties"]
    if "default" in schema and schema["default"] in (None, []):
        del schema["default"]
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "properties" in schema:
        schema["properties"] = {name: structural(part, definitions) for name, part in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in schema:
            schema[name] = structural(schema[name], definitions)
    for name in ("allOf", "oneOf", "prefixItems", "patternProperties", "exclusiveMinimum", "exclusiveMaximum"):
        if name in schema:
            raise ValueError(f"a structural schema can't hold {name}: {schema}")
    return {name: schema[name] for name in sorted(schema, key=_position)}


def _over(choice: Schema, siblings: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """An optional field's schema: what stands beside `anyOf` (description, default) wins over the type's own."""
    while "$ref" in choice:
        choice = definitions[choice["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in choice.items() if k != "$ref"}
    return choice | siblings


def _position(name: str) -> tuple[int, str]:
    return (_ORDER.index(name), "") if name in _ORDER else (len(_ORDER), name)


def crd(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    kind = resource.model.__name__
    root = resource.model.model_json_schema(by_alias=True, schema_generator=_WireDefaults)
    schema = structural(root, root.get("$defs", {}))
    del schema["$defs"]
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string", "description": "The version of the API: modelfleet.dev/v1alpha1."}
    properties["kind"] = {"type": "string", "description": f"The kind: {kind}."}
    # the name is declared so that rules can point at it
    properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}}
    properties["status"]["default"] = resource.new_status
    schema["required"] = ["spec"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "modelfleet"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": resource.plural,
                "singular": kind.lower(),
                "shortNames": [resource.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION_V1ALPHA1,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [column.to_dict() for column in resource.columns],
                    "selectableFields": [{"jsonPath": path} for path in resource.selectable],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: no anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def files() -> dict[str, str]:
    """Name and text of every file that `crds/` must hold."""
    return {
        f"{GROUP}_{resource.plural}.yaml": HEADER
        + yaml.dump(crd(resource), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for resource in RESOURCES
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the CRDs into the folder that is given."""
    parser = argparse.ArgumentParser(prog="python -m modelfleet.api.crd", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
