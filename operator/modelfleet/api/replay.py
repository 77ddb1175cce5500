"""Replays: two versions over the same captured frames, before the newer one runs on any node."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from modelfleet.api.base import SpecModel, StatusModel
from modelfleet.api.common import ObjectName, PodTemplate
from modelfleet.api.quantities import DurationText, Fraction, Message, ShortText, Time, clip_list

Count = Annotated[int, Field(ge=0, le=10**12)]

_ATOMIC: Final[dict[str, JsonValue]] = {"x-kubernetes-list-type": "atomic"}


class Replay(SpecModel):
    """Compares a new version with the stable one on captured frames, in a Job, before it enters the first group. It is
    advice: no result keeps a version from its groups."""

    frames: Annotated[int, Field(ge=1, le=10000)] = 200
    """Maximum number of frames compared: the newest of the random sample, about as many from every node."""
    timeout: Annotated[timedelta, DurationText("1m", "24h")] = timedelta(minutes=30)
    """How long a new version waits for the result. Then the Job ends, and the rollout continues without."""
    credentials_secret: ObjectName | None = None
    """A Secret of this namespace whose keys become the environment of the Job. It should allow reading the models, the
    captures and the Dataset's store, and writing below replay/ in the captures. Left out: the Secret object-store,
    where there is one."""
    template: PodTemplate = Field(default_factory=dict)
    """A partial pod template that is merged into that of the Job: node selector, volumes, service account. A container
    named replay is merged into its own: image, resources, volume mounts."""
    suspend: bool = False
    """Make no replay, and wait for none."""


class ReplayEstimate(StatusModel):
    """A share. Without an interval too few node-days are known for one."""

    value: Fraction
    """The estimate."""
    low: Fraction | None = None
    """Lower end of the 95% interval."""
    high: Fraction | None = None
    """Upper end of the interval."""


class ReplayClass(StatusModel):
    """The boxes of one class."""

    name: ShortText
    """The class."""
    both: Count
    """Boxes that both versions found."""
    only_stable: Count
    """Boxes that only the stable version found."""
    only_candidate: Count
    """Boxes that only the new version found."""


class ReplayQuality(StatusModel):
    """How right one version is on the reviewed frames."""

    precision: Fraction | None = None
    """The share of its boxes that are right."""
    recall: Fraction | None = None
    """The share of the objects that it found."""


class ReplayReview(StatusModel):
    """What people's labels say of both versions."""

    frames: Count
    """Frames with labels that neither version was trained on."""
    stable: ReplayQuality
    """The stable version."""
    candidate: ReplayQuality
    """The new version."""
    in_favour: Count
    """Disagreements in which the new version is right."""
    against: Count
    """Disagreements in which the stable version is right."""
    favour: ReplayEstimate | None = None
    """The share of the former in both. With all of its interval above 0.5 the new version is better here."""


class ReplayFound(StatusModel):
    """The figures of a replay."""

    frames: Annotated[int, Field(ge=1, le=10000)]
    """Frames that were compared."""
    node_days: Annotated[int, Field(ge=1, le=10000)]
    """Days of nodes that they come from: this many independent pieces of evidence there are."""
    oldest: Time
    """When the oldest of them was captured."""
    agreement: ReplayEstimate | None = None
    """The share of boxes that both versions found, among all that any did."""
    per_class: Annotated[tuple[ReplayClass, ...], Field(max_length=10, json_schema_extra=_ATOMIC), clip_list(10)] = ()
    """The classes with most disagreements, at most 10."""
    reviewed: ReplayReview | None = None
    """What people's labels say; left out where nobody has labelled any of the frames."""
    disagreements: Count
    """Frames on which the versions differ. The labeler asks about them first."""
    notes: Annotated[tuple[Message, ...], Field(max_length=5, json_schema_extra=_ATOMIC), clip_list(5)] = ()
    """What else there is to say, at most 5 sentences."""


class ReplayStatus(StatusModel):
    """The replay of the version that is on its way, or of the last one that was."""

    stable: ShortText | None = None
    """The stable version that was compared with."""
    candidate: ShortText
    """The new version."""
    result: Literal["Replayed", "Failed", "Skipped"] | None = None
    """How it ended; left out while the Job goes on."""
    reason: ShortText
    """Why, as a CamelCase word."""
    message: Message
    """What was found, or why nothing was, in words."""
    job: ShortText | None = None
    """The Job."""
    started_at: Time | None = None
    """When the Job was made."""
    finished_at: Time | None = None
    """When it ended."""
    found: ReplayFound | None = None
    """The figures."""
