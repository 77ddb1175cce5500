"""Images on disk, as the OCI image layout has them: blobs named by their digest, and an index of names.

Layers are not compressed: they go from one folder of this machine to another. Equal layers of different images are one
file, so a change to an image's last layer costs that layer alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_BUFFER = 4 << 20


@dataclass(frozen=True)
class Image:
    """An image of a layout: its name, the digest of its manifest, and those of its layers from the bottom up."""

    name: str
    manifest: str
    config: str
    layers: tuple[str, ...]


class Layout:
    """A folder with images."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made if need be."""
        self.folder = folder
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True, exist_ok=True)
        if not (folder / "oci-layout").exists():
            (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def find(self, name: str) -> Image | None:
        """The image of that name, or None."""
        for entry in self._entries():
            if entry.get("annotations", {}).get(_NAME) == name:
                digest = entry["digest"].removeprefix("sha256:")
                manifest = json.loads((self.blobs / digest).read_text())
                layers = tuple(layer["digest"].removeprefix("sha256:") for layer in manifest["layers"])
                return Image(name, digest, manifest["config"]["digest"].removeprefix("sha256:"), layers)
        return None

    def add_program(self, name: str, program: Path) -> Image:
        """Make an image that holds one static program, and runs it as user 65532."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            entry = tarfile.TarInfo(program.name)
            entry.size, entry.mode = program.stat().st_size, 0o755
            with program.open("rb") as content:
                tar.addfile(entry, content)
        layer_digest = self._add_blob(layer.getvalue())
        config = {
            "architecture": os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64"),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65532:65532"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }
        parts = {_CONFIG: self._add_blob(json.dumps(config).encode()), _LAYER: layer_digest}
        described = {kind: self._describe(kind, digest) for kind, digest in parts.items()}
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": described[_CONFIG],
            "layers": [described[_LAYER]],
        }
        digest = self._add_blob(json.dumps(manifest).encode())
        others = [entry for entry in self._entries() if entry.get("annotations", {}).get(_NAME) != name]
        self._write_entries([*others, {**self._describe(_MANIFEST, digest), "annotations": {_NAME: name}}])
        image = self.find(name)
        assert image is not None
        return image

    def write_archive(self, images: Collection[Image], output: IO[bytes], without: Collection[str] = ()) -> None:
        """Write images as a tar stream that ``ctr images import`` reads; ``without`` names layers to leave out."""
        entries = [
            {**self._describe(_MANIFEST, image.manifest), "annotations": {_CONTAINERD_NAME: image.name}}
            for image in images
        ]
        digests = {each for image in images for each in (image.manifest, image.config, *image.layers)} - set(without)
        with tarfile.open(fileobj=output, mode="w|", bufsize=_BUFFER) as tar:
            tar.copybufsize = _BUFFER  # type: ignore[attr-defined] # an argument of TarFile that open() does not type
            _add(tar, "oci-layout", (self.folder / "oci-layout").read_bytes())
            _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
            for digest in sorted(digests):
                tar.add(self.blobs / digest, f"blobs/sha256/{digest}")

    def forget(self, name: str) -> None:
        """Remove an image's name; its blobs stay until ``collect``."""
        self._write_entries([entry for entry in self._entries() if entry.get("annotations", {}).get(_NAME) != name])

    def names(self) -> list[str]:
        """The names of all images."""
        return [entry["annotations"][_NAME] for entry in self._entries() if _NAME in entry.get("annotations", {})]

    def collect(self) -> None:
        """Remove the blobs that no image needs."""
        images = [image for name in self.names() if (image := self.find(name)) is not None]
        needed = {each for image in images for each in (image.manifest, image.config, *image.layers)}
        for blob in self.blobs.iterdir():
            if blob.name not in needed:
                blob.unlink()

    def _entries(self) -> list[dict[str, Any]]:
        index = self.folder / "index.json"
        return list(json.loads(index.read_text())["manifests"]) if index.exists() else []

    def _write_entries(self, entries: list[dict[str, Any]]) -> None:
        partial = self.folder / "index.partial"
        partial.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
        partial.rename(self.folder / "index.json")

    def _describe(self, kind: str, digest: str) -> dict[str, Any]:
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": (self.blobs / digest).stat().st_size}

    def _add_blob(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return digest


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
