"""Whether a container has the volume that a file:// address is on. Pure.

Addresses are read as `artifactstore` reads them, and not as the standard library does: the API takes anything without
white space behind `://`, and what is odd in there (`s3://[models]/parts`) is for whoever reads from it to say.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote


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


def scheme_of(uri: str) -> str:
    """What stands before `://`."""
    return uri.partition("://")[0]


def path_of(uri: str) -> PurePosixPath | None:
    """The path of a file:// address; None of any other."""
    scheme, _, rest = uri.partition("://")
    return PurePosixPath(unquote(rest)) if scheme == "file" else None


def unmounted(uris: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Those of the addresses that are files, and below none of these paths."""
    below = [PurePosixPath(path) for path in paths]
    return [
        uri
        for uri in uris
        if (file := path_of(uri)) is not None and not any(file.is_relative_to(path) for path in below)
    ]
