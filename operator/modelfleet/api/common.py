"""What the four kinds share: names, references, label selectors, pod templates, object metadata."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from modelfleet.api import podshape, schemes
from modelfleet.api.base import Constraint, Rule, SpecModel, StatusModel
from modelfleet.api.names import LATEST
from modelfleet.api.quantities import Text, Time

_LABEL_SAYS = "must be lowercase letters, digits and '-', and start and end with a letter or digit"

DNSLabel = Annotated[str, Text(63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", _LABEL_SAYS)]
"""A name that becomes a label value and a part of other names: at most 63 of a-z, 0-9 and '-'."""

ObjectName = Annotated[
    str,
    Text(
        253, r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "must be the name of an object: lowercase letters, digits, '-', '.'"
    ),
]

FileFormat = Annotated[
    str, Text(32, r"^[a-z0-9][a-z0-9_]*$", "must be a lowercase format name such as onnx or pytorch")
]
"""The format of a model's file: onnx, pytorch, engine, openvino, ..."""

Sha256 = Annotated[str, Text(64, r"^[0-9a-f]{64}$", "must be a sha256 digest: 64 lowercase hexadecimal digits")]

SourceURI = Annotated[
    str,
    Text(1024, schemes.pattern(schemes.READABLE), f"must be an {schemes.listed(schemes.READABLE)} address"),
]
"""Where data is read from; file:// is a path inside a mounted volume."""

TargetURI = Annotated[
    str,
    Text(
        1024,
        schemes.pattern(schemes.WRITABLE),
        f"must be an {schemes.listed(schemes.WRITABLE)} address that can be written",
    ),
]

LabelValue = Annotated[
    str,
    Text(
        63,
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        "must be a label value: letters, digits, '-', '_' and '.', at most 63",
        min_length=0,
    ),
]

LabelKey = Annotated[
    str,
    Text(
        317,
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        "must be a label key such as site or example.com/site",
    ),
]


def _tag_allowed(value: str) -> str:
    if value == LATEST:
        raise ValueError(f"{LATEST!r} is reserved: it always means the newest Ready version")
    return value


# A tag that may be put on a version. (A reference may also say `latest`: that one is a DNSLabel.)
Tag = Annotated[
    DNSLabel,
    AfterValidator(_tag_allowed),
    Constraint(f"self != '{LATEST}'", "latest is reserved: it always means the newest Ready version of the model"),
]

Tags = Annotated[tuple[Tag, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})]


def _cron_pattern() -> str:
    """A cron expression of five fields with values, names, ranges, lists and steps that can occur."""
    months = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
    days = "SUN|MON|TUE|WED|THU|FRI|SAT"
    values = (
        "[0-5]?[0-9]",
        "2[0-3]|[01]?[0-9]",
        "3[01]|[12][0-9]|0?[1-9]",
        f"1[0-2]|0?[1-9]|{months}",
        f"[0-7]|{days}",
    )
    fields = []
    for value in values:
        item = rf"(\*|({value})(-({value}))?)(/[1-9][0-9]?)?"
        fields.append(f"{item}(,{item})*")
    return "^" + " +".join(fields) + "$"


CronSchedule = Annotated[
    str,
    Text(128, _cron_pattern(), "must be a cron expression of 5 fields within their ranges, such as '0 22 * * MON-FRI'"),
]
"""Minute, hour, day of month, month, day of week."""


class SecretRef(SpecModel):
    """A Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""


class VersionRef(SpecModel):
    """Points at a version of the model: by its name, by a tag, or as what a Rollout runs as stable."""

    rules = (
        Rule(
            "[has(self.version), has(self.tag), has(self.rollout)].filter(given, given).size() == 1",
            "set exactly one of version, tag or rollout",
        ),
    )

    version: DNSLabel | None = None
    """A version of the same model, for example v3."""
    tag: DNSLabel | None = None
    """The newest Ready version of the model that carries this tag; latest means the newest Ready version.
    A version without a file that is needed is passed over."""
    rollout: DNSLabel | None = None
    """The version that this Rollout of the same namespace has as stable."""

    def __str__(self) -> str:
        for kind in ("version", "tag", "rollout"):
            if value := getattr(self, kind):
                return f"{kind} {value}"
        return "nothing"


class LabelSelectorRequirement(SpecModel):
    """One condition on a label."""

    rules = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0"
            " : !has(self.values) || self.values.size() == 0",
            "values must be given for In and NotIn, and left out for Exists and DoesNotExist",
        ),
    )

    key: LabelKey
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared: In, NotIn, Exists or DoesNotExist."""
    values: Annotated[
        tuple[LabelValue, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """What In and NotIn compare with."""


class LabelSelector(SpecModel):
    """Selects objects by their labels; an empty selector selects all."""

    rules = (
        Rule(
            "!has(self.matchLabels) || self.matchLabels.all(key,"
            " key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
            "keys must be label keys such as site or example.com/site",
            field_path=".matchLabels",
        ),
    )

    match_labels: Annotated[Mapping[str, LabelValue], Field(max_length=32)] = Field(default_factory=dict)
    """Labels that must all be there with these values."""
    match_expressions: Annotated[
        tuple[LabelSelectorRequirement, ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Conditions that must all hold."""


_METADATA_SCHEMA = {
    "type": "object",
    "description": "Labels and annotations that the pods get beside those of modelfleet.",
    "x-kubernetes-preserve-unknown-fields": True,
}

_CONTAINERS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "description": "The pod's containers.",
    "maxItems": 32,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {
        "type": "object",
        "required": ["name"],
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"name": {"type": "string", "maxLength": 63, "description": "Name of the container."}},
    },
}

_PORTS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "description": "The container's ports.",
    "maxItems": 128,
    "x-kubernetes-list-type": "atomic",
    "items": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"hostPort": {"type": "integer", "description": "A port of the node."}},
    },
}


def _with_ports(containers: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The schema of containers whose host ports can be seen by rules."""
    items = containers["items"]
    return {**containers, "items": {**items, "properties": {**items["properties"], "ports": _PORTS_SCHEMA}}, **changes}


def _pod_template(**declared: dict[str, Any]) -> dict[str, Any]:
    """The schema of a pod template, of whose spec only the declared fields can be seen by rules."""
    return {
        "type": "object",
        "properties": {
            "metadata": _METADATA_SCHEMA,
            "spec": {
                "type": "object",
                "description": "A PodSpec. Its fields are checked when the pods are made, not here.",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"containers": _CONTAINERS_SCHEMA, **declared},
            },
        },
    }


# A pod template as Kubernetes has it, raw: modelfleet passes on what it does not know.
PodTemplate = Annotated[Mapping[str, Any], AfterValidator(podshape.checked), WithJsonSchema(_pod_template())]

# The same for pods on the fleet's nodes, with what the rules of a Rollout go by.
NodePodTemplate = Annotated[
    Mapping[str, Any],
    AfterValidator(podshape.checked),
    WithJsonSchema(
        _pod_template(
            hostNetwork={"type": "boolean", "description": "Use the network of the node."},
            containers=_with_ports(_CONTAINERS_SCHEMA),
            initContainers=_with_ports(_CONTAINERS_SCHEMA, description="What runs before them, or beside them."),
        )
    ),
]


class OwnerReference(StatusModel):
    """Who owns an object."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class ObjectMeta(StatusModel):
    """The metadata of an object, as far as modelfleet reads it."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
