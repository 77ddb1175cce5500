"""How the model's file reaches the application, what comes back of what it sees (capture), and who may look (live)."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, JsonValue

from modelfleet.api.base import Constraint, Rule, SpecModel
from modelfleet.api.common import DNSLabel, FileFormat, ObjectName, TargetURI
from modelfleet.api.quantities import DecimalText, DurationText, Fraction, Text

MountPath = Annotated[str, Text(512, r"^/[A-Za-z0-9/._-]+$", "must be an absolute path such as /models")]

DiskSpace = Annotated[
    str,
    Text(
        12,
        "^([1-9][0-9]{1,8}(M|Mi)|[1-9][0-9]{0,5}(G|Gi)|[1-9][0-9]{0,2}(T|Ti))$",
        "must be an amount of disk of at least 10M, such as 512Mi or 2Gi",
    ),
]
ByteRate = Annotated[
    str, Text(12, "^[1-9][0-9]{0,5}(k|Ki|M|Mi)$", "must be a number of bytes a second, such as 500k or 2Mi")
]
Percent = Annotated[str, Text(4, r"^(100|[0-9]{1,2})%$", "must be a percentage such as 15%")]
Hourly = Annotated[int, Field(ge=0, le=3600)]

_ATOMIC: Final[dict[str, JsonValue]] = {"x-kubernetes-list-type": "atomic"}

RESERVED_RULES: Final = ("sample", "disagree")


def _rule_name_allowed(value: str) -> str:
    if value in RESERVED_RULES:
        raise ValueError(f"{value!r} is reserved")
    return value


RuleName = Annotated[
    DNSLabel,
    AfterValidator(_rule_name_allowed),
    Constraint(
        f"!(self in {list(RESERVED_RULES)})",
        "sample and disagree are reserved: sample is the random sample (capture.sample), disagree is for replays",
    ),
]


class CaptureRule(SpecModel):
    """Chooses frames: exactly one of every, below, empty and more says which."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.every), has(self.below), has(self.empty), has(self.more)].filter(given, given).size() == 1",
            "set exactly one of every (a time), below (a confidence), empty: true, or more (a number of detections):"
            " it is what the rule goes by",
        ),
        Rule("!has(self.classes) || has(self.below)", "classes goes with below only: other rules look at no class"),
        Rule(
            "!has(self.every) || !(has(self.cooldown) || has(self.perHour))",
            "every takes neither cooldown nor perHour: it already says how often",
        ),
    )

    name: RuleName
    """Name of the rule. It is written beside each image that the rule chose."""
    every: Annotated[timedelta, DurationText("1s", "168h")] | None = None
    """One frame in this time, whatever is on it."""
    below: Annotated[Decimal, DecimalText("0.01", "1")] | None = None
    """Frames with a detection of a lower confidence than this."""
    classes: (
        Annotated[
            tuple[Annotated[str, Text(128)], ...],
            Field(min_length=1, max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Only detections of these classes count for below; left out: all."""
    empty: Literal[True] | None = None
    """Frames without a detection."""
    more: Annotated[int, Field(ge=0, le=10000)] | None = None
    """Frames with more detections than this."""
    before: Annotated[timedelta, DurationText("0s", "10s")] | None = None
    """Also capture the frames of this long before. They are kept in memory, as JPEGs."""
    after: Annotated[timedelta, DurationText("0s", "30s")] | None = None
    """Also capture the frames of this long after."""
    cooldown: Annotated[timedelta, DurationText("0s", "168h")] | None = None
    """At least this long from one frame that the rule chose to the next; default: 1m."""
    per_hour: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Maximum number of frames that the rule chooses in an hour on one node, those before and after not counted;
    default: 60."""


# Atomic, not a map by name: of a map, the entries of the default would stay beside those that a later server-side apply
# gives, since no manager owns them.
_UNIQUE = Constraint(
    "self.all(rule, self.exists_one(other, other.name == rule.name))", "each rule must have a name of its own"
)
CaptureRules = Annotated[tuple[CaptureRule, ...], Field(max_length=16, json_schema_extra=_ATOMIC), _UNIQUE]
MoreRules = Annotated[tuple[CaptureRule, ...], Field(max_length=4, json_schema_extra=_ATOMIC), _UNIQUE]


class CaptureSample(SpecModel):
    """The random sample of one node, drawn with a known probability: what a model's errors are measured on."""

    per_hour: Hourly = 6
    """Number of frames with detections captured in an hour, on average; 0: none."""
    empty_per_hour: Hourly = 2
    """Number of frames without a detection captured in an hour, on average; 0: none."""


class CaptureSampleOverride(SpecModel):
    """What of the random sample differs."""

    per_hour: Hourly | None = None
    """Overrides capture.sample.perHour."""
    empty_per_hour: Hourly | None = None
    """Overrides capture.sample.emptyPerHour."""


Point = Annotated[tuple[Fraction, ...], Field(min_length=2, max_length=2, json_schema_extra=_ATOMIC)]
Polygon = Annotated[tuple[Point, ...], Field(min_length=3, max_length=32, json_schema_extra=_ATOMIC)]


class CaptureImage(SpecModel):
    """How frames are stored."""

    quality: Annotated[int, Field(ge=50, le=100)] = 90
    """Quality of the JPEG."""
    max_side: Annotated[int, Field(ge=64, le=8192)] = 1920
    """Larger frames are made smaller, to this many pixels on the longer side."""
    mask: Annotated[tuple[Polygon, ...], Field(max_length=16, json_schema_extra=_ATOMIC)] = ()
    """Areas that are filled with black before a frame is stored anywhere: polygons of points [x, y], as fractions of
    the frame's width and height from the upper left corner, such as ["0", "0"], ["0.25", "0"], ["0.25", "1"]."""


class WhenDrifting(SpecModel):
    """What is captured differently while drift is declared (condition DriftDetected)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.rules) && self.rules.size() > 0) || has(self.sample)",
            "set rules, sample or both: else nothing would change",
        ),
    )

    # pydantic would take `rules` for the CEL rules of the class
    capture_rules: MoreRules = Field(default=(), alias="rules")
    """Rules that take the place of those of the same name in capture.rules, or come in addition."""
    sample: CaptureSampleOverride | None = None
    """Overrides capture.sample, field by field."""


_RULES = (CaptureRule(name="unsure", below=Decimal("0.5"), per_hour=6),)


class Capture(SpecModel):
    """Captures frames on the nodes and uploads them with what the model found, to be labelled and trained on."""

    destination: TargetURI
    """The folder that images are uploaded to, as <rollout>/<node>/<yyyy>/<mm>/<dd>/ below it. file:// is a path inside
    a volume that delivery.container mounts."""
    credentials_secret: ObjectName | None = None
    """A Secret of this namespace whose keys become the environment of the container that uploads, and of no other:
    AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on. It should only allow writing. Left out: the node's own identity."""
    disk: DiskSpace = "2Gi"
    """Maximum disk space on the node for images waiting for upload. Beyond it the oldest are deleted."""
    keep_free: Percent = "15%"
    """Nothing is captured while less of the disk than this is free. Below 15% the kubelet begins to remove images, and
    below 10% to evict pods."""
    rate: ByteRate = "2Mi"
    """Maximum number of bytes uploaded a second."""
    capture_rules: CaptureRules = Field(
        default=_RULES,
        alias="rules",
        json_schema_extra={"default": [rule.to_dict() for rule in _RULES]},
    )
    """Which frames are captured, beside the random sample. Default: those of which the model is unsure. [] is none."""
    sample: CaptureSample = Field(default_factory=CaptureSample, json_schema_extra={"default": {}})
    """The random sample."""
    image: CaptureImage = Field(default_factory=CaptureImage, json_schema_extra={"default": {}})
    """How frames are stored."""
    suspend: bool = False
    """Capture nothing; what waits on the nodes is still uploaded."""
    when_drifting: WhenDrifting | None = None
    """What is captured differently while drift is declared; it needs spec.drift."""


class Live(SpecModel):
    """A page with what the model sees now, for who may forward a port of the pod: kubectl port-forward."""

    enabled: bool = False
    """Serve the page, on 127.0.0.1 of the pod only."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 9092
    """Its port."""
    rate: Annotated[int, Field(ge=1, le=30)] = 2
    """Maximum number of frames a second."""
    viewers: Annotated[int, Field(ge=1, le=16)] = 2
    """Maximum number of viewers at the same time."""
    mask: bool = True
    """Fill the areas of capture.image.mask with black here, too; while they can't be read, no picture is shown. Without
    capture it must be false."""


Backend = Literal["auto", "onnxruntime", "openvino", "openvino-bf16", "openvino-f16", "cuda", "tensorrt"]


class Delivery(SpecModel):
    """How the model's file reaches the application, and what comes back."""

    format: FileFormat = "onnx"
    """The format that the application loads."""
    mount_path: MountPath = "/models"
    """Where the models are mounted; MODEL_PATH is the file's path below it."""
    cache: Literal["Node", "Pod"] = "Node"
    """Node keeps files on the node across pods and reboots; Pod fetches them again for each pod."""
    container: DNSLabel = "agent"
    """The container that runs the model."""
    signed: bool = False
    """Nodes load only models that one of the keys in the operator's settings (signatures.publicKeys) has signed."""
    prefetch: bool = False
    """Fetch a version onto the next group's nodes while it soaks in the present one. It needs cache Node."""
    backend: Backend | None = None
    """What runs the model on the node, given to the application as BACKEND. auto is the fastest that the node has and
    that finds what onnxruntime finds. Left out: the application's own choice, which for the agent is auto."""
    capture: Capture | None = None
    """Capture frames on the nodes and upload them."""
    live: Live | None = None
    """A page with what the model sees now."""


class DeliveryOverride(SpecModel):
    """What one group has delivered differently, field by field."""

    format: FileFormat | None = None
    """Overrides spec.delivery.format."""
    mount_path: MountPath | None = None
    """Overrides spec.delivery.mountPath."""
    cache: Literal["Node", "Pod"] | None = None
    """Overrides spec.delivery.cache."""
    container: DNSLabel | None = None
    """Overrides spec.delivery.container."""
    backend: Backend | None = None
    """Overrides spec.delivery.backend."""
