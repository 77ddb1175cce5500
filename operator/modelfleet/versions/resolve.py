"""Which ModelVersion a reference means: by version, by tag, or as what a Rollout has as stable. Pure.

A version that is being deleted, was rejected, or is not Ready is never chosen for anything new. Where nothing can be
chosen, `Missing` names what is missing, in words that a condition can carry.

A tag resolves only to versions that whoever asks can use: one without a file of a format that it needs is passed over,
and `passed_over` says so.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from modelfleet.api import ModelVersion, Rollout, VersionRef, conditions
from modelfleet.api.names import LATEST
from modelfleet.api.reasons import Reason
from modelfleet.api.rolloutstatus import is_of_model
from modelfleet.wording import clauses

FORMAT_NOT_FOUND = Reason.FORMAT_NOT_FOUND
"""The reason of a Missing where versions carry the tag, and none has a file that is needed."""

Unfit = Callable[[ModelVersion], str | None]
"""Why a version is of no use to whoever asks ("it has no onnx file, which group canary needs"); None where it is."""

_SHOWN = 3  # versions that were passed over, in one message
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


MISSING = frozenset({Reason.NOT_FOUND, Reason.NOT_READY, Reason.BEING_DELETED, Reason.REJECTED, FORMAT_NOT_FOUND})
"""Why a version can't be chosen."""


@dataclass(frozen=True)
class Missing:
    """Nothing can be chosen. `reason` is one of MISSING; whoever asked has a reason of its own for each."""

    reason: Reason
    message: str


def resolve(
    reference: VersionRef,
    model: str,
    versions: Iterable[ModelVersion],
    rollout: Rollout | None,
    unfit: Unfit | None = None,
) -> ModelVersion | Missing:
    """The version of `model` that `reference` means now.

    versions  ModelVersions of the namespace; those of other models are passed over
    rollout   the Rollout that the reference names, None where it names none or there is none
    unfit     what a tag must not resolve to; a version that is named is not asked
    """
    if reference.rollout is not None:
        return by_rollout(reference.rollout, model, versions, rollout)
    if reference.tag is not None:
        return by_tag(reference.tag, model, versions, unfit)
    return by_version(reference.version or "", model, versions)


def by_version(version: str, model: str, versions: Iterable[ModelVersion]) -> ModelVersion | Missing:
    """The version of this name, when it may be used for something new."""
    found = next((entry for entry in _of(model, versions) if entry.spec.version == version), None)
    if found is None:
        return Missing(Reason.NOT_FOUND, f"ModelVersion {model}-{version} does not exist")
    return unusable(found) or found


def by_tag(
    tag: str, model: str, versions: Iterable[ModelVersion], unfit: Unfit | None = None
) -> ModelVersion | Missing:
    """The newest Ready version that carries the tag and is not `unfit`; `latest` is carried by all."""
    tagged = _tagged(tag, model, versions)
    found = newest(entry for entry in tagged if unfit is None or unfit(entry) is None)
    if found is not None:
        return found
    if unfit is not None and (passed := passed_over(tag, model, tagged, unfit)):
        return Missing(FORMAT_NOT_FOUND, f"no version of model {model} with tag {tag} can be used: {passed}")
    if tagged:
        last = max(tagged, key=age)
        what = unusable(last)
        why = f": {what.message}" if what else ""
        return Missing(Reason.NOT_READY, f"no version of model {model} with tag {tag} is Ready{why}")
    if tag == LATEST:
        return Missing(Reason.NOT_FOUND, f"model {model} has no versions yet")
    return Missing(Reason.NOT_FOUND, f"no version of model {model} has the tag {tag}")


def passed_over(tag: str, model: str, versions: Iterable[ModelVersion], unfit: Unfit) -> str:
    """Which versions would have been what the tag means but for `unfit`, newest first, and why; empty where none."""
    usable = (entry for entry in _tagged(tag, model, versions) if unusable(entry) is None)
    told: list[str] = []
    for entry in sorted(usable, key=age, reverse=True):
        why = unfit(entry)
        if why is None:
            break
        told.append(f"{entry.spec.version} was passed over: {why}")
    return clauses(told, _SHOWN)


def by_rollout(
    name: str, model: str, versions: Iterable[ModelVersion], rollout: Rollout | None
) -> ModelVersion | Missing:
    """What the Rollout has as stable. It must be a Rollout of the same model: a version's name says nothing alone."""
    if rollout is None:
        return Missing(Reason.NOT_FOUND, f"Rollout {name} does not exist")
    if rollout.spec.model.name != model:
        return Missing(Reason.NOT_FOUND, f"Rollout {name} is of model {rollout.spec.model.name}, not of {model}")
    if rollout.status.stable_version is None:
        return Missing(Reason.NOT_FOUND, f"Rollout {name} has no stable version yet")
    if not is_of_model(rollout.status.stable_model, model):
        stable = f"{rollout.status.stable_model}-{rollout.status.stable_version}"
        return Missing(Reason.NOT_FOUND, f"Rollout {name} has no stable version of {model} yet: {stable} is stable")
    return by_version(rollout.status.stable_version, model, versions)


def newest(versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """The newest of those that may be used for something new."""
    return max((entry for entry in versions if unusable(entry) is None), key=age, default=None)


def unusable(version: ModelVersion) -> Missing | None:
    """Why a version may not be used for anything new, or None."""
    name = version.metadata.name
    if version.metadata.deletion_timestamp is not None:
        return Missing(Reason.BEING_DELETED, f"ModelVersion {name} is being deleted")
    if version.spec.evaluation is not None and version.spec.evaluation.result == "Failed":
        return Missing(Reason.REJECTED, f"ModelVersion {name} was rejected: {version.spec.evaluation.message}")
    ready = conditions.find(version.status.conditions, conditions.READY)
    if ready is None or not ready.is_true:
        why = f": {ready.message}" if ready is not None and ready.message else ""
        return Missing(Reason.NOT_READY, f"ModelVersion {name} is not Ready{why}")
    return None


def tags_of(version: ModelVersion, siblings: Iterable[ModelVersion]) -> tuple[str, ...]:
    """The tags that resolve to `version` now, sorted, `latest` last. `siblings` are all versions of its model.

    This is what a tag means to whoever can use every format: files are not looked at here.
    """
    if unusable(version) is not None:
        return ()
    others = [entry for entry in siblings if entry.metadata.name != version.metadata.name and unusable(entry) is None]
    own = [
        tag
        for tag in (*sorted(version.spec.tags), LATEST)
        if not any(age(entry) > age(version) for entry in others if tag == LATEST or tag in entry.spec.tags)
    ]
    return tuple(own)


def _tagged(tag: str, model: str, versions: Iterable[ModelVersion]) -> list[ModelVersion]:
    return [entry for entry in _of(model, versions) if tag == LATEST or tag in entry.spec.tags]


def _of(model: str, versions: Iterable[ModelVersion]) -> Iterable[ModelVersion]:
    return (entry for entry in versions if entry.spec.model == model)


def age(version: ModelVersion) -> tuple[datetime, list[tuple[int, int | str]]]:
    """By when the model was made, as spec.createdAt says, else by the object's creation; two of the same second by
    name, numbers in it as numbers (v10 is newer than v9)."""
    made = version.spec.created_at or version.metadata.creation_timestamp
    return made or _EPOCH, _natural(version.spec.version)


def _natural(text: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]
