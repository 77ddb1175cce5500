"""Revisions: what moves through the groups, kept as ControllerRevisions, and the facts that must outlive a wiped
status.

A revision is a model version, a pod template and a delivery. Its name ends in a hash over those, so that the same three
give the same revision, whenever and by whomever it is computed. Its data holds everything a DaemonSet is made from, the
artifact's digests included: going back restores the whole of what ran before, also where the ModelVersion is gone. The
data can't change (Kubernetes sees to that); what happens to a revision is written into annotations:

    promoted-at, promoted-reason         it went through all groups; the newest one that isn't quarantined is stable
    quarantined-at, -reason, -cause      it failed, or was aborted
    quarantined-scope                    Version: nothing with this model version is rolled out; Revision: only this one
    retried-at                           its quarantine was lifted: clocks of the new attempt start here
    passed                               the groups that it has left for the next one, for as long as they have it
    gate-started                         the group whose gate it is in, and when that started
    gate-passed                          the same, while that gate says Pass and the version waits for something else
    gate-anew                            the group whose gate began again, how often in a row, and why the last time
    commands                             the commands that were acted upon here, see commands.py
    retrainings                          the trainings that were started while it was stable, see retraining.py
    drift-baseline                       each node's figures in its first time on it, see drift/anchor.py
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from modelfleet.api import names
from modelfleet.api.commands import NOTED as COMMANDS
from modelfleet.api.delivery import Delivery, DeliveryOverride
from modelfleet.api.foreign import texts
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.reasons import Reason
from modelfleet.api.rollout import Rollout
from modelfleet.decision import Action, Apply
from modelfleet.kinds import CONTROLLER_REVISION, ROLLOUT
from modelfleet.rollout import capture_pods
from modelfleet.rollout.signatures import UNSIGNED, Signing
from modelfleet.times import parse_optional_time, parse_time, wire_time
from modelfleet.workloads.owners import controller_of, owner_reference

QUARANTINED_CAUSE = f"{names.GROUP}/quarantined-cause"
QUARANTINED_SCOPE = f"{names.GROUP}/quarantined-scope"
RETRIED_AT = f"{names.GROUP}/retried-at"
PASSED = f"{names.GROUP}/passed"
GATE_STARTED = f"{names.GROUP}/gate-started"
GATE_PASSED = f"{names.GROUP}/gate-passed"
GATE_ANEW = f"{names.GROUP}/gate-anew"
PROMOTED_REASON = f"{names.GROUP}/promoted-reason"
DRIFT_BASELINE = f"{names.GROUP}/drift-baseline"
RETRAININGS = f"{names.GROUP}/retrainings"

_QUARANTINE = (names.QUARANTINED_AT, names.QUARANTINED_REASON, QUARANTINED_CAUSE, QUARANTINED_SCOPE)
_MAX_REASON = 1024

Scope = Literal["Version", "Revision"]


@dataclass(frozen=True)
class Quarantine:
    """Why and since when a revision, or its whole model version, is not to be used. `cause` is a CamelCase word."""

    at: datetime
    cause: str
    reason: str
    scope: Scope


@dataclass(frozen=True)
class GateStart:
    """A gate: its group, and when it started (to the second)."""

    group: str
    started_at: datetime


@dataclass(frozen=True)
class Anew:
    """A group's gates that ended without anything to go by, one after the other: how many, and why the last of them."""

    group: str
    times: int
    why: str


@dataclass(frozen=True)
class Revision:
    """One ControllerRevision. `uid` is empty while it exists only in a decision.

    orphan    it is there without its owner
    data      what the DaemonSets are made from, JSON values only
    passed    groups that it is through with
    gate      the gate that it is in
    waiting   the same, once it has passed it and waits behind it
    anew      the gates before it in the same group, where those had nothing to go by
    commands  commands seen: "approve=v4@2" -> where it counts ("" for nowhere any more)
    baseline  what the watch for drift keeps, packed
    retrained trainings that were started while it was stable: name -> what for, and when
    """

    name: str
    hash: str
    number: int
    data: Mapping[str, Any]
    created: datetime
    uid: str = ""
    orphan: bool = False
    promoted_at: datetime | None = None
    promoted_reason: str = ""
    retried_at: datetime | None = None
    quarantine: Quarantine | None = None
    passed: tuple[str, ...] = ()
    gate: GateStart | None = None
    waiting: GateStart | None = None
    anew: Anew | None = None
    commands: Mapping[str, str] = field(default_factory=dict)
    baseline: str = ""
    retrained: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model, for example parts-detector."""
        return str(self.data["model"])

    @property
    def version(self) -> str:
        """The model version, for example v4. It names nothing without its model: a Rollout can go to another one."""
        return str(self.data["version"])

    @property
    def model_version(self) -> str:
        """The name of the ModelVersion, for example parts-detector-v4."""
        return str(self.data["modelVersion"])

    def beside(self, other: "Revision") -> str:
        """Its version, with its model where the other one is of another: both may be called v1."""
        return self.version if self.model == other.model else f"{self.version} of {self.model}"

    def is_of(self, model: str, version: str) -> bool:
        """Whether this is what it was made from."""
        return (self.model, self.version) == (model, version)

    def delivery(self, group: str) -> Delivery:
        """How the model is delivered in a group: the Rollout's delivery with the group's own words laid over it."""
        override = self.data["groupDelivery"].get(group) or {}
        return Delivery.model_validate({**self.data["delivery"], **override})


def missing_formats(rollout: Rollout, version: ModelVersion) -> dict[str, str]:
    """Groups for which the version has no file of the wanted format: group -> format."""
    wanted = {group.name: delivery_of(rollout, group.delivery).format for group in rollout.spec.groups}
    return {group: format for group, format in wanted.items() if version.spec.artifact.file(format) is None}


def delivery_of(rollout: Rollout, override: DeliveryOverride | None) -> Delivery:
    """The delivery of a group as the spec has it now."""
    own = override.model_dump(exclude_none=True) if override is not None else {}
    return rollout.spec.delivery.replace(**own)


def content(rollout: Rollout, version: ModelVersion, signing: Signing = UNSIGNED) -> dict[str, Any]:
    """What the Rollout's spec and a version come to: the identity of a revision. The version must have the formats."""
    overrides = {
        group.name: own
        for group in rollout.spec.groups
        if group.delivery is not None and (own := group.delivery.to_dict())
    }
    formats = {delivery_of(rollout, group.delivery).format for group in rollout.spec.groups}
    files = {format: file.to_dict() for format in sorted(formats) if (file := version.spec.artifact.file(format))}
    return {
        "model": version.spec.model,
        "version": version.spec.version,
        "modelVersion": version.metadata.name,
        "task": version.spec.task,
        "classes": list(version.spec.classes),
        "imageSize": version.spec.image_size,
        "artifact": {"uri": version.spec.artifact.uri, "files": files},
        "template": json.loads(json.dumps(rollout.spec.template)),
        # Defaults left out: a default that a later release adds does not make a new revision of everything.
        "delivery": rollout.spec.delivery.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude={"capture", "live", "prefetch", "signed"}
        ),
        "groupDelivery": overrides,
        **capture_pods.in_revision(rollout.spec.delivery, rollout.spec.template),
        **signing.in_revision(rollout),
    }


def digest(content: Mapping[str, Any]) -> str:
    """The hash that names a revision: 10 hexadecimal digits over the content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def desired(
    rollout: Rollout,
    version: ModelVersion,
    revisions: Sequence[Revision],
    agent_image: str,
    now: datetime,
    signing: Signing = UNSIGNED,
) -> Revision:
    """The revision that the spec and this version come to: the one there is, or a new one.

    The agent image is remembered with the revision and is no part of its hash: another operator release, with another
    image, restarts nothing; what is rolled out from then on takes the new image.
    """
    what = content(rollout, version, signing)
    hash = digest(what)
    for revision in revisions:
        if revision.hash == hash:
            return revision
    return Revision(
        name=f"{rollout.metadata.name}-{hash}",
        hash=hash,
        number=max((revision.number for revision in revisions), default=0) + 1,
        data=what | {"agentImage": agent_image},
        created=now,
    )


def stable(revisions: Iterable[Revision]) -> Revision | None:
    """The newest promoted revision that is not quarantined: what the fleet is known to be well on."""
    return next(iter(promoted(revisions)), None)


def promoted(revisions: Iterable[Revision]) -> list[Revision]:
    """The promoted revisions that are not quarantined, newest promotion first."""
    found = [
        (revision.promoted_at, revision.number, revision)
        for revision in revisions
        if revision.promoted_at is not None and revision.quarantine is None
    ]
    return [revision for _, _, revision in sorted(found, key=lambda entry: entry[:2], reverse=True)]


def promotion_time(revisions: Iterable[Revision], now: datetime) -> datetime:
    """When a promotion that is made now counts as made: after all that were, whatever the clock said of those. It may
    have been ahead, or another operator's. (Annotations know no parts of a second.)"""
    before = [revision.promoted_at for revision in revisions if revision.promoted_at is not None]
    return max([now, *(moment + timedelta(seconds=1) for moment in before)])


def quarantine_of(revisions: Iterable[Revision], revision: Revision) -> Quarantine | None:
    """The quarantine that a revision is under: its own, or its model version's."""
    if revision.quarantine is not None:
        return revision.quarantine
    return version_quarantine(revisions, revision.model, revision.version)


def version_quarantine(revisions: Iterable[Revision], model: str, version: str) -> Quarantine | None:
    """The newest quarantine of a model version as a whole."""
    found = [
        quarantine
        for revision in revisions
        if (quarantine := revision.quarantine) is not None
        and quarantine.scope == "Version"
        and revision.is_of(model, version)
    ]
    return max(found, key=lambda quarantine: quarantine.at, default=None)


def with_changed(revisions: Iterable[Revision], changed: Revision) -> tuple[Revision, ...]:
    """The revisions with one replaced, or added."""
    rest = tuple(revisions)
    if any(revision.hash == changed.hash for revision in rest):
        return tuple(changed if revision.hash == changed.hash else revision for revision in rest)
    return (*rest, changed)


def superfluous(revisions: Sequence[Revision], keep: Iterable[str], limit: int) -> list[Revision]:
    """What `revisionHistoryLimit` no longer covers: oldest first, never one whose hash is in `keep`."""
    kept = set(keep)
    others = sorted((r for r in revisions if r.hash not in kept), key=lambda r: (r.promoted_at or r.created, r.number))
    return others[: max(0, len(others) - limit)]


def changes(before: Sequence[Revision], after: Sequence[Revision], owner: Rollout) -> list[Action]:
    """The writes that turn the revisions `before` into `after`, of which none is left out. Orphans are adopted.

    Each is a server-side apply of the whole. A patch of the annotations alone would be refused: the API server
    compares the immutable data byte by byte, and its own JSON is not ours (spaces, `<` as \\u003c). After an apply the
    bytes are always its own.
    """
    old = {revision.hash: revision for revision in before}
    return [
        Apply(manifest(revision, owner))
        for revision in after
        if revision.orphan or revision.hash not in old or annotations(revision) != annotations(old[revision.hash])
    ]


def settled(before: Sequence[Revision], after: Sequence[Revision]) -> bool:
    """Whether a revision is promoted or quarantined in `after` and was not so in `before`."""
    old = {revision.hash: (revision.promoted_at, revision.quarantine) for revision in before}
    return any(
        (revision.promoted_at, revision.quarantine) != old.get(revision.hash, (None, None)) for revision in after
    )


def annotations(revision: Revision) -> dict[str, str]:
    """The facts of a revision as annotations."""
    found: dict[str, str] = {}
    if revision.promoted_at is not None:
        found[names.PROMOTED_AT] = wire_time(revision.promoted_at)
        found[PROMOTED_REASON] = revision.promoted_reason[:_MAX_REASON]
    if revision.retried_at is not None:
        found[RETRIED_AT] = wire_time(revision.retried_at)
    if revision.quarantine is not None:
        given = (
            wire_time(revision.quarantine.at),
            revision.quarantine.reason[:_MAX_REASON],
            revision.quarantine.cause,
            revision.quarantine.scope,
        )
        found |= dict(zip(_QUARANTINE, given, strict=True))
    if revision.passed:
        found[PASSED] = ",".join(revision.passed)
    for name, gate in ((GATE_STARTED, revision.gate), (GATE_PASSED, revision.waiting)):
        if gate is not None:
            found[name] = f"{gate.group} {wire_time(gate.started_at)}"
    if revision.anew is not None:
        found[GATE_ANEW] = f"{revision.anew.group} {revision.anew.times} {revision.anew.why}"[:_MAX_REASON]
    if revision.commands:
        found[COMMANDS] = json.dumps(dict(revision.commands), separators=(",", ":"))
    if revision.baseline:
        found[DRIFT_BASELINE] = revision.baseline
    if revision.retrained:
        found[RETRAININGS] = json.dumps(dict(revision.retrained), separators=(",", ":"))
    return found


def manifest(revision: Revision, owner: Rollout) -> dict[str, Any]:
    """The ControllerRevision to apply. One that is known keeps its uid: another one of that name is not touched."""
    return {
        "apiVersion": CONTROLLER_REVISION.api_version,
        "kind": CONTROLLER_REVISION.kind,
        "metadata": {
            "name": revision.name,
            "namespace": owner.metadata.namespace,
            **({"uid": revision.uid} if revision.uid else {}),
            "labels": {
                names.MANAGED_BY: names.MANAGED_BY_VALUE,
                names.ROLLOUT: owner.metadata.name,
                names.MODEL: revision.model,
                names.VERSION: revision.version,
                names.REVISION: revision.hash,
            },
            "annotations": annotations(revision),
            "ownerReferences": [owner_reference(ROLLOUT, owner.metadata)],
        },
        "revision": revision.number,
        "data": dict(revision.data),
    }


def is_ours(raw: Mapping[str, Any], rollout: str) -> bool:
    """Whether a ControllerRevision with a Rollout's labels is one that was written for it: those are named by their
    hash. A copy that somebody made under another name, as for a backup, would be the same revision twice."""
    return bool(raw["metadata"]["name"] == f"{rollout}-{raw['metadata']['labels'].get(names.REVISION)}")


def read(raw: Mapping[str, Any]) -> Revision:
    """A ControllerRevision of ours as a `Revision`. Raises KeyError or ValueError for one that we did not write."""
    metadata = raw["metadata"]
    notes: Mapping[str, str] = metadata.get("annotations") or {}
    quarantine = None
    if names.QUARANTINED_AT in notes:
        quarantine = Quarantine(
            at=parse_time(notes[names.QUARANTINED_AT]),
            cause=notes.get(QUARANTINED_CAUSE, Reason.QUARANTINED),
            reason=notes.get(names.QUARANTINED_REASON, ""),
            scope="Revision" if notes.get(QUARANTINED_SCOPE) == "Revision" else "Version",
        )
    return Revision(
        name=metadata["name"],
        hash=metadata["labels"][names.REVISION],
        number=raw["revision"],
        data=raw["data"],
        created=parse_time(metadata["creationTimestamp"]),
        uid=metadata["uid"],
        orphan=not controller_of(raw),
        promoted_at=parse_optional_time(notes.get(names.PROMOTED_AT)),
        promoted_reason=notes.get(PROMOTED_REASON, ""),
        retried_at=parse_optional_time(notes.get(RETRIED_AT)),
        quarantine=quarantine,
        passed=tuple(filter(None, notes.get(PASSED, "").split(","))),
        gate=_gate(notes.get(GATE_STARTED)),
        waiting=_gate(notes.get(GATE_PASSED)),
        anew=_anew(notes.get(GATE_ANEW)),
        commands=texts(notes.get(COMMANDS, "")),
        baseline=notes.get(DRIFT_BASELINE, ""),
        retrained=texts(notes.get(RETRAININGS, "")),
    )


def _gate(note: str | None) -> GateStart | None:
    if note is None:
        return None
    group, _, started_at = note.partition(" ")
    return GateStart(group, parse_time(started_at))


def _anew(note: str | None) -> Anew | None:
    if note is None:
        return None
    group, _, rest = note.partition(" ")
    times, _, why = rest.partition(" ")
    return Anew(group, int(times), why)


def lifted(revision: Revision, now: datetime) -> Revision:
    """The revision without its quarantine, and with what was approved for the failed attempt to be asked for again."""
    return replace(
        revision,
        quarantine=None,
        retried_at=now,
        gate=None,
        waiting=None,
        anew=None,
        commands=dict.fromkeys(revision.commands, ""),
    )
