"""Whether a container has the volume that a file:// address is on. Pure."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit


def mounts_of(template: Mapping[str, Any], *names: str) -> list[str]:
    """The paths at which containers of these names, init containers included, have volumes in a pod template."""
    spec = template.get("spec") or {}
    known = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return [
        str(mount["mountPath"])
        for each in known
        if each.get("name") in names
        for mount in each.get("volumeMounts") or ()
        if mount.get("mountPath")
    ]


def unmounted(uris: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Those of the addresses that are files, and below none of these paths."""
    below = [PurePosixPath(path) for path in paths]
    return [
        uri
        for uri in uris
        if (address := urlsplit(uri)).scheme == "file"
        and not any(PurePosixPath(unquote(address.path)).is_relative_to(path) for path in below)
    ]
