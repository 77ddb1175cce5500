"""Which version the spec asks for: a pinned one, or the newest Ready one that carries a tag.

What the fleet runs as stable is never given up because its ModelVersion is no longer Ready: a version that can't be
verified for a moment must not send a fleet back to an older one. Only a version that is being deleted is let go, and
that only where the spec follows a tag.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.names import LATEST
from modelfleet.api.reasons import Reason
from modelfleet.api.rollout import Rollout
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Revision
from modelfleet.versions import resolve
from modelfleet.versions.resolve import FORMAT_NOT_FOUND, Missing

_REASONS = {
    Reason.NOT_FOUND: Reason.MODEL_VERSION_NOT_FOUND,
    Reason.NOT_READY: Reason.MODEL_VERSION_NOT_READY,
    Reason.BEING_DELETED: Reason.MODEL_VERSION_BEING_DELETED,
    Reason.REJECTED: Reason.MODEL_VERSION_REJECTED,
    FORMAT_NOT_FOUND: FORMAT_NOT_FOUND,
}
"""Why there is no version to use, by why it is missing."""


@dataclass(frozen=True)
class Stall:
    """Why nothing can be rolled out: for the Stalled condition. It goes away when its cause does."""

    reason: str
    message: str


def choose(
    rollout: Rollout, versions: Sequence[ModelVersion], stable: Revision | None, carried: Collection[str] = ()
) -> ModelVersion | Stall:
    """The ModelVersion that the spec asks for, or why there is none to use.

    `carried` names those that some group runs now: they are not new, and may be used although they are being deleted.
    """
    running = next((v for v in versions if stable is not None and v.metadata.name == stable.model_version), None)
    found = _selected(rollout, versions, running, carried)
    if isinstance(found, Missing):
        there = [v for v in versions if resolve.unusable(v) is None]
        others = f"; there are {_newest(there)}" if there else ""
        return Stall(
            _REASONS[found.reason],
            f"{found.message} (namespace {rollout.metadata.namespace}{others}). "
            "This continues automatically when that changes.",
        )
    return _misfit(rollout, found) or found


def _selected(
    rollout: Rollout, versions: Sequence[ModelVersion], running: ModelVersion | None, carried: Collection[str]
) -> ModelVersion | Missing:
    model = rollout.spec.model
    if model.version is not None:
        pinned = next((v for v in versions if v.metadata.name == f"{model.name}-{model.version}"), None)
        if pinned is not None and (pinned is running or pinned.metadata.name in carried):
            return pinned
        return resolve.by_version(model.version, model.name, versions)
    tag = model.tag or LATEST
    found = resolve.by_tag(tag, model.name, versions, _unfit(rollout))
    if running is None or running.spec.model != model.name or running.metadata.deletion_timestamp is not None:
        return found
    if tag != LATEST and tag not in running.spec.tags:
        return found
    return running if isinstance(found, Missing) or resolve.age(running) > resolve.age(found) else found


def passed_over(rollout: Rollout, versions: Sequence[ModelVersion]) -> str:
    """Which versions the tag would mean if some group could load them, and why none can; empty where there are none."""
    model = rollout.spec.model
    if model.version is not None:
        return ""
    return resolve.passed_over(model.tag or LATEST, model.name, versions, _unfit(rollout))


def _unfit(rollout: Rollout) -> resolve.Unfit:
    """A version that no group can load is not meant for this fleet. One that some groups can load is, and is said to be
    incomplete (`_misfit`): to leave it out in silence would hide that an export is missing."""

    def why(version: ModelVersion) -> str | None:
        missing = revs.missing_formats(rollout, version)
        if len(missing) < len(rollout.spec.groups):
            return None
        return "; ".join(_needs(format, missing) for format in sorted(set(missing.values())))

    return why


def _needs(format: str, missing: Mapping[str, str]) -> str:
    groups = [group for group, wanted in missing.items() if wanted == format]
    if len(groups) == 1:
        return f"it has no {format} file, which group {groups[0]} needs"
    return f"it has no {format} file, which groups {', '.join(groups)} need"


def _misfit(rollout: Rollout, version: ModelVersion) -> Stall | None:
    """Why the version does not fit the fleet: a file that some group needs is missing."""
    missing = revs.missing_formats(rollout, version)
    if not missing:
        return None
    wanted = ", ".join(f"group {group} wants {format}" for group, format in missing.items())
    has = ", ".join(sorted({file.format for file in version.spec.artifact.files}))
    return Stall(FORMAT_NOT_FOUND, f"ModelVersion {version.metadata.name} has {has}; {wanted}.")


def _newest(versions: Sequence[ModelVersion]) -> str:
    named = sorted(versions, key=resolve.age, reverse=True)[:5]
    return ", ".join(version.spec.version for version in named)
