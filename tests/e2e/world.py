"""The stage of the demo: a cluster with four real nodes, an object store, Prometheus, and the names of things on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from e2e.dataset import BENCH, Scene, archive, write_dataset, write_frames
from harness import Cluster
from harness.images import ImageRef

REPOSITORY = Path(__file__).parents[2]
MANIFESTS = REPOSITORY / "examples" / "demo"
SYSTEM = "modelfleet-system"  # where the operator lives
NAMESPACE = "factory"  # where the user's objects live

TRAINING_NODE = "training-0"
CANARY = "edge-canary"
FLEET = ("edge-1", "edge-2")
NODES: Mapping[str, Mapping[str, str]] = {
    TRAINING_NODE: {"modelfleet.dev/role": "training"},
    CANARY: {"modelfleet.dev/app": "line", "modelfleet.dev/group": "canary"},
    **{name: {"modelfleet.dev/app": "line"} for name in FLEET},
}

SCRAPED = timedelta(seconds=1)  # so that a part of the demo's window, which is a minute, has two or three scrapes
FRAMES = 150  # on each node: half a minute at five a second, then they begin again

Object = Mapping[str, Any]


@dataclass
class World:
    """What the chapters act on. `images` is filled by the first chapter."""

    cluster: Cluster
    images: dict[str, ImageRef] = field(default_factory=dict)

    def kubectl(self, *args: str, input: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", NAMESPACE, *args, input=input)

    def get(self, *what: str) -> dict[str, Any]:
        """`kubectl get` as parsed JSON: one object, or a List."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *what, "-o", "json"))
        return found

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object, or None while it does not exist."""
        out = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(out) if out.strip() else None

    def items(self, *what: str) -> list[Object]:
        items: list[Object] = self.get(*what)["items"]
        return items

    def apply(self, manifest: str) -> str:
        """Apply a manifest of examples/demo as it stands: what a user would copy."""
        return self.kubectl("apply", "-f", str(MANIFESTS / manifest)).strip()


def upload_dataset(
    world: World, name: str, *, images: int, seed: int, drop_class: str | None = None, scene: Scene = BENCH
) -> None:
    """Draw a dataset and put it into the object store as s3://data/<name>.tar."""
    folder = world.cluster.state / "datasets" / name
    write_dataset(folder, images=images, seed=seed, drop_class=drop_class, scene=scene)
    packed = archive(folder, folder.with_suffix(".tar"))
    world.cluster.object_store.put("data", f"{name}.tar", packed.read_bytes())


def place_frames(world: World, node: str, *, seed: int, scene: Scene = BENCH) -> None:
    """Give a node its production frames below /var/lib/modelfleet/frames, as a camera's recorder would."""
    write_frames(world.cluster.node(node).var_lib / "frames", count=FRAMES, seed=seed, scene=scene)
