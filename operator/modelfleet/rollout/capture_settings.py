"""The ConfigMap `<rollout>-capture`: how frames are captured now, which running pods read again when it changes. Pure.

It is made from the spec as it stands, and from whether drift is declared; so it is written again after any change of
these, after somebody changed it by hand, and after a new operator process found it to differ. Where the spec no longer
has `delivery.capture` while some group's pods still capture, it says `suspend`: nothing is captured from then on, and
what waits on the nodes is still sent to where it was to go. It is deleted when the last such group is updated.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.api import names
from modelfleet.api.common import ObjectMeta
from modelfleet.api.delivery import Capture
from modelfleet.api.foreign import parsed
from modelfleet.api.rollout import Rollout
from modelfleet.decision import Action, Apply, Delete
from modelfleet.kinds import CONFIG_MAP, ROLLOUT
from modelfleet.rollout.capture_pods import SETTINGS_KEY, SETTINGS_VOLUME, settings_name
from modelfleet.workloads.owners import owner_reference, owner_uids

_LIMITS = {"cooldown": "1m", "perHour": 60}
"""Of a rule that says none."""
_UNLIMITED = {"perHour": 3600}
"""Of `every`, which already says how often."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What is to be done about the ConfigMap: `first` before the DaemonSets, so that no pod starts without it, and
    `last` after them."""

    first: tuple[Action, ...] = ()
    last: tuple[Action, ...] = ()


def is_of(rollout: ObjectMeta, found: Mapping[str, Any]) -> bool:
    """Whether a raw ConfigMap is the one of this Rollout: by its owner or, after a restore from a backup, its label."""
    labels = found["metadata"].get("labels") or {}
    return rollout.uid in owner_uids(found) or labels.get(names.ROLLOUT) == rollout.name


def outcome(
    rollout: Rollout,
    known: Mapping[str, Any] | None,
    daemon_sets: Iterable[Mapping[str, Any]],
    *,
    drifting: bool,
    taken: bool = False,
) -> Outcome:
    """What is to be done. `known` is the ConfigMap as it is, `daemon_sets` those of the groups as they are; `taken`:
    the name is that of somebody else's."""
    capture = rollout.spec.delivery.capture
    if taken:
        return Outcome()
    if capture is not None:
        wanted = manifest(rollout, settings(capture, drifting=drifting))
        return Outcome() if known is not None and _says(known, wanted) else Outcome(first=(Apply(wanted),))
    if known is None or known["metadata"].get("deletionTimestamp") or not is_of(rollout.metadata, known):
        return Outcome()
    if not any(_captures(daemon_set) for daemon_set in daemon_sets):
        metadata = known["metadata"]
        return Outcome(last=(Delete(CONFIG_MAP, metadata["namespace"], metadata["name"], metadata["uid"]),))
    before = _read(known)
    if before is None or before.get("suspend") is True:
        return Outcome()
    return Outcome(first=(Apply(manifest(rollout, before | {"suspend": True})),))


def settings(capture: Capture, *, drifting: bool) -> Json:
    """What the pods read: the spec's words with all defaults, and `whenDrifting` laid over them while drift is
    declared. Points of the mask are numbers there. Neither credentials nor what is for later is in it."""
    found = capture.to_dict()
    found.pop("credentialsSecret", None)
    over = found.pop("whenDrifting", {})
    rules = {rule["name"]: rule for rule in found["rules"]}
    if drifting:
        rules |= {rule["name"]: rule for rule in over.get("rules", ())}
        found["sample"] |= over.get("sample", {})
    found["rules"] = [(_UNLIMITED if "every" in rule else _LIMITS) | rule for rule in rules.values()]
    found["image"]["mask"] = [[[float(each) for each in point] for point in area] for area in capture.image.mask]
    return found


def manifest(rollout: Rollout, content: Json) -> Json:
    """The ConfigMap to apply."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {
            "name": settings_name(rollout.metadata.name),
            "namespace": rollout.metadata.namespace,
            "labels": {names.MANAGED_BY: names.MANAGED_BY_VALUE, names.ROLLOUT: rollout.metadata.name},
            "ownerReferences": [owner_reference(ROLLOUT, rollout.metadata)],
        },
        "data": {SETTINGS_KEY: json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False) + "\n"},
    }


def _says(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether it says already what it should; what others have added to it stays."""
    text = (known.get("data") or {}).get(SETTINGS_KEY)
    labels = known["metadata"].get("labels") or {}
    return (
        text == wanted["data"][SETTINGS_KEY]
        and wanted["metadata"]["labels"].items() <= labels.items()
        and wanted["metadata"]["ownerReferences"][0]["uid"] in owner_uids(known)
    )


def _captures(daemon_set: Mapping[str, Any]) -> bool:
    volumes = daemon_set["spec"]["template"]["spec"].get("volumes") or ()
    return any(volume["name"] == SETTINGS_VOLUME for volume in volumes)


def _read(known: Mapping[str, Any]) -> Json | None:
    """What the ConfigMap says; None where that is no JSON object, which no pod could read either."""
    try:
        found = parsed((known.get("data") or {}).get(SETTINGS_KEY, ""))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
