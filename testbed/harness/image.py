"""An image as nodes need it: its manifest, its configuration, and each layer as a folder of files.

Layers are never packed. buildah keeps each as a folder, in the form that overlay mounts take (a deleted file is a
device node, an opaque folder has an attribute); containerd wants the same. So an image gets into a node as hard links
(``containerd.Containerd.install``), and its gigabytes are written once, when it is built.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """A layer: the digest of its (uncompressed) tar, as the image's configuration lists it, and its files."""

    digest: str
    folder: Path


@dataclass(frozen=True)
class ImageRef:
    """An image on this machine. ``name`` is what goes into a Kubernetes manifest; layers go from the bottom up."""

    name: str
    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]

    def chain(self) -> tuple[str, ...]:
        """The names of the snapshots after each layer: a layer is known by all that lies below it too."""
        chain: list[str] = []
        for layer in self.layers:
            chain.append(digest_of(f"{chain[-1]} {layer.digest}".encode()) if chain else layer.digest)
        return tuple(chain)


def digest_of(content: bytes) -> str:
    """``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_program(name: str, program: Path) -> ImageRef:
    """The image that holds one static program at its root, which it runs as user 65532.

    Args:
        name: of the image.
        program: in a folder of its own, which becomes the layer and must stay.
    """
    packed = program.parent.with_suffix(".tar")
    with tarfile.open(packed, "w") as tar:
        tar.add(program, program.name)
    layer, size = digest_of(packed.read_bytes()), packed.stat().st_size
    packed.unlink()
    config = {
        "architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    }
    config_bytes = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config_bytes), "size": len(config_bytes)},
        "layers": [{"mediaType": LAYER, "digest": layer, "size": size}],
    }
    return ImageRef(name, json.dumps(manifest).encode(), config_bytes, (Layer(layer, program.parent),))
