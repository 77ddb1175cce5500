"""Addresses of files in OCI registries, and the manifests that name those files. Pure: nothing is asked here.

    oci://registry.example:5000/models/parts@sha256:<64 hex digits>/best.onnx

Only what is pinned by its manifest's digest is an address: a tag may stand before the `@` for people to read
(`parts:v3@sha256:...`), and is not asked for.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ._errors import error, printable

MANIFEST_LIMIT = 4 << 20
"""Bytes of a manifest; registries take no larger ones."""

_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.cncf.model.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ACCEPT = ", ".join((*_MANIFESTS, *_INDEXES))

# What names a layer's file: oras and most others, then the Model Spec of the CNCF (ModelPack) and its older prefix.
_NAMES = ("org.opencontainers.image.title", "org.cncf.model.filepath", "org.cnai.model.filepath")
_PACKED = re.compile(r"[.]tar\b|\+(?:gzip|zstd)\b")
_MANY = 16  # manifests of one index that are looked through

_REFERENCE = re.compile(
    r"(?P<registry>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
    r"(?:/(?P<file>.+))?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# Docker Hub's name is not where it answers, and docker files its credentials under a third name.
_HUB, _HUB_HOST = "docker.io", "registry-1.docker.io"
_HUB_NAMES = frozenset({_HUB, _HUB_HOST, "index.docker.io"})


@dataclass(frozen=True, slots=True)
class Reference:
    """One file of one manifest. `digest` is the manifest's, as `sha256:<64 hex digits>`."""

    uri: str
    registry: str
    repository: str
    digest: str
    file: str


def parse(uri: str) -> Reference:
    """Raises ArtifactError Unsupported, which says what the address lacks."""
    found = _REFERENCE.fullmatch(uri.removeprefix("oci://"))
    if found is None:
        hint = "is not the address of a file in a registry: oci://registry/repository@sha256:<digest>/<file>"
        raise error("Unsupported", uri, hint=hint)
    if found["digest"] is None:
        hint = (
            "names no digest, and a tag can be moved to other files: pin it, oci://registry/repository@sha256:<digest>/"
            "<file> (`oras resolve registry/repository:tag` prints the digest)"
        )
        raise error("Unsupported", uri, hint=hint)
    if found["file"] is None:
        raise error("Unsupported", uri, hint="names no file of the manifest: .../repository@sha256:<digest>/<file>")
    registry, repository = known(found["registry"].lower()), found["repository"]
    if registry == _HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(uri, registry, repository, found["digest"], unquote(found["file"]))


def known(registry: str) -> str:
    """The one name of a registry that has several."""
    return _HUB if registry in _HUB_NAMES else registry


def host(registry: str) -> str:
    """Where a registry answers."""
    return _HUB_HOST if registry == _HUB else registry


def plain_http(host: str) -> bool:
    """Whether `host` (with its port, if it has one) is spoken to without TLS: on this machine, and where
    OCI_PLAIN_HTTP, a list of hosts with commas between, names it."""
    name = host.rsplit(":", 1)[0] if re.search(r":[0-9]+$", host) else host
    try:
        loopback = ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        loopback = name == "localhost"
    listed = {entry.strip().lower() for entry in os.environ.get("OCI_PLAIN_HTTP", "").split(",")}
    return loopback or host.lower() in listed


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob of the registry that is one file. `sha256` is of its content, `size` in bytes, `media` its type."""

    sha256: str
    size: int
    media: str

    @property
    def is_packed(self) -> bool:
        """Whether its type says so. Not to be relied on: oras calls a plain file a tar unless it is told a type."""
        return _PACKED.search(self.media) is not None


def decoded(reference: Reference, raw: bytes) -> Mapping[str, Any]:
    """A manifest or an index. Raises ArtifactError Unsupported where it is neither."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        raise error("Unsupported", reference.uri, hint="is not an OCI manifest: what the registry has there is another")
    return value


def manifests(reference: Reference, index: Mapping[str, Any]) -> tuple[str, ...]:
    """The digests of an index's manifests; empty for what is no index. Attestations are passed over.

    Raises ArtifactError Unsupported where it has too many, or a broken one.
    """
    entries = index.get("manifests")
    if entries is None:
        return ()
    found = []
    for entry in entries if isinstance(entries, list) else [None]:
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise error("Unsupported", reference.uri, hint="is an index with an entry that has no sha256 digest")
        if "vnd.docker.reference.type" not in _annotations(entry):
            found.append(digest)
    if len(found) > _MANY:
        hint = f"is an index of {len(found)} manifests, more than the {_MANY} that are looked through: pin one of them"
        raise error("Unsupported", reference.uri, hint=hint)
    return tuple(dict.fromkeys(found))


def layer(reference: Reference, manifest: Mapping[str, Any]) -> Layer | None:
    """The layer that is the file of `reference`; None where there is none.

    Raises ArtifactError Unsupported for a broken entry, and for two files of that name.
    """
    layers = manifest.get("layers")
    found = [entry for entry in layers if _name(entry) == reference.file] if isinstance(layers, list) else []
    if not found:
        return None
    entry = found[0]
    digest, size = entry.get("digest"), entry.get("size")
    if len(found) > 1 and any(other.get("digest") != digest for other in found):
        raise error("Unsupported", reference.uri, hint=f"has {len(found)} layers of that name; push it again with one")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or type(size) is not int or size < 0:
        raise error("Unsupported", reference.uri, hint="has a layer of that name without a sha256 digest and a size")
    return Layer(digest.removeprefix("sha256:"), size, printable(str(entry.get("mediaType"))[:100]))


def names(manifest: Mapping[str, Any]) -> list[str]:
    """The files that a manifest's layers are."""
    layers = manifest.get("layers")
    return [name for entry in layers if (name := _name(entry))] if isinstance(layers, list) else []


def _name(entry: object) -> str:
    found = _annotations(entry)
    return next((name for key in _NAMES if isinstance(name := found.get(key), str) and name), "")


def _annotations(entry: object) -> Mapping[str, Any]:
    found = entry.get("annotations") if isinstance(entry, dict) else None
    return found if isinstance(found, dict) else {}
