"""What pods of ours may do: as little as the restricted Pod Security Standard allows. Pure.

They talk to no API server, and run as the user of their images.
"""

from collections.abc import Mapping
from typing import Any

USER = 65532
"""Of the images."""

Json = dict[str, Any]

_SECCOMP: Json = {"seccompProfile": {"type": "RuntimeDefault"}}


def pod() -> Json:
    """Fields of a pod's spec. Volumes of a user's own may need fsGroup in the template."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            **_SECCOMP,
        },
    }


def container(*, read_only: bool) -> Json:
    """A container's securityContext; `read_only`: nothing but its volumes can be written."""
    least: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return least | {"readOnlyRootFilesystem": True} if read_only else least


def guest(*, read_only: bool) -> Json:
    """The same for a container of ours in a user's pod, whose spec may say nothing of system calls."""
    return container(read_only=read_only) | _SECCOMP


def as_application(application: Mapping[str, Any], spec: Mapping[str, Any]) -> Json:
    """As whom a container of ours runs beside a user's: as that one does, as far as its pod's `spec` says."""
    own, shared = application.get("securityContext") or {}, spec.get("securityContext") or {}
    is_root = own.get("runAsUser", shared.get("runAsUser")) == 0
    return {"runAsNonRoot": not is_root} | {key: own[key] for key in ("runAsUser", "runAsGroup") if key in own}
