"""Raw Kubernetes objects for tests, as the API server would send them."""

from typing import Any

from modelfleet.kinds import Kind


def obj(
    kind: Kind,
    name: str,
    version: int,
    *,
    namespace: str = "ns",
    uid: str | None = None,
    labels: dict[str, str] | None = None,
    owner: str | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """An object at a resource version; its uid follows from its name unless given."""
    metadata: dict[str, Any] = {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    if kind.namespaced:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    if owner:
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": owner}]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **rest}
