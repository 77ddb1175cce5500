"""Whether Flux, Argo CD or another applier will take back a field that is written here. Pure.

Seen on the real controllers (kustomize-controller 1.9, Argo CD 3.2): a field written by `modelfleet-cli` stays where
Git does not set it. Where Git does, Flux puts Git's value back at its next sync, and Argo CD does with selfHeal.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelfleet.api.names import CLI_FIELD_MANAGER

_FLUX = "kustomize.toolkit.fluxcd.io"
_HELM = "helm.toolkit.fluxcd.io"
_ARGO = "argocd.argoproj.io/tracking-id"
_KUBECTL = "kubectl.kubernetes.io/last-applied-configuration"


def warning(obj: Mapping[str, Any], path: Sequence[str]) -> str:
    """What happens to a field (("spec", "paused")) that this CLI writes; "" where nobody else applies the object."""
    field, who = ".".join(path), _applier(obj)
    setters = [manager for manager in _setters(obj, path) if manager != CLI_FIELD_MANAGER]
    if setters:
        by = f"{', '.join(setters)}" + (f" ({who})" if who else "")
        return (
            f"{field} is also set by {by}, which puts its own value back, or reports a conflict, when it applies again."
            f" To keep this, set {field} in the manifest (in Git) as well.{_suspend(obj)}"
        )
    if who:
        return f"{who} applies this object and does not set {field}: it stays as it is now."
    return ""


def _applier(obj: Mapping[str, Any]) -> str:
    metadata = obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if f"{_FLUX}/name" in labels:
        return f"Flux Kustomization {labels.get(f'{_FLUX}/namespace', '')}/{labels[f'{_FLUX}/name']}"
    if f"{_HELM}/name" in labels:
        return f"Flux HelmRelease {labels.get(f'{_HELM}/namespace', '')}/{labels[f'{_HELM}/name']}"
    if _ARGO in annotations:
        return f"Argo CD application {annotations[_ARGO].partition(':')[0]}"
    return ""


def _suspend(obj: Mapping[str, Any]) -> str:
    labels = obj["metadata"].get("labels") or {}
    if f"{_FLUX}/name" not in labels:
        return ""
    name, namespace = labels[f"{_FLUX}/name"], labels.get(f"{_FLUX}/namespace", "")
    return f" Or stop Flux for a while: flux suspend kustomization {name} -n {namespace}"


def _setters(obj: Mapping[str, Any], path: Sequence[str]) -> Iterator[str]:
    """The managers that own the field, from managedFields; kubectl apply of old keeps what it set in an annotation."""
    for entry in obj["metadata"].get("managedFields") or ():
        fields: Any = entry.get("fieldsV1") or {}
        for part in path:
            fields = fields.get(f"f:{part}") if isinstance(fields, Mapping) else None
        if fields is not None and not entry.get("subresource"):
            yield entry["manager"]
