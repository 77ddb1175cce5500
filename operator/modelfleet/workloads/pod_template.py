"""Merges a user's partial pod template into ours, as a strategic merge patch of Kubernetes does. Pure.

Maps are merged key by key, null removes a key, and other values replace. A list whose entries have a merge key (the API
type's `patchMergeKey`) is merged entry by entry: known keys are merged in place, new ones follow. Any other list
replaces (tolerations and envFrom too: Kubernetes calls them atomic). `$patch: replace` in a map and `$patch: delete` in
an entry work as in Kubernetes. Entries of `env` and `volumes` are unions (a value or a reference, one kind of volume),
where a merge of both kinds would be refused; there the user's entry takes the place of ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
}

_UNIONS = frozenset({"env", "volumes"})

_DIRECTIVE = "$patch"

Json = dict[str, Any]


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    """`base` with `patch` laid over it. Neither is changed."""
    if patch.get(_DIRECTIVE) == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    merged: Json = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            known = merged.get(key)
            merged[key] = merge(known if isinstance(known, Mapping) else {}, value)
        elif _mergeable(key, value):
            merged[key] = _merge_list(key, merged.get(key) or (), value)
        else:
            merged[key] = value
    return merged


def _mergeable(key: str, value: Any) -> bool:
    merge_key = _MERGE_KEYS.get(key)
    if merge_key is None or not isinstance(value, Sequence) or isinstance(value, str):
        return False
    # a key that is neither is none to Kubernetes: the list goes on as it is, and the API server says what is wrong
    return all(isinstance(entry, Mapping) and isinstance(entry.get(merge_key), str | int) for entry in value)


def _merge_list(key: str, base: Sequence[Mapping[str, Any]], patch: Sequence[Mapping[str, Any]]) -> list[Json]:
    merge_key = _MERGE_KEYS[key]
    merged = {entry[merge_key]: dict(entry) for entry in base}
    for entry in patch:
        name = entry[merge_key]
        if entry.get(_DIRECTIVE) == "delete":
            merged.pop(name, None)
        elif key in _UNIONS:
            merged[name] = merge({}, entry)
        else:
            merged[name] = merge(merged.get(name, {}), entry)
    return list(merged.values())
