"""The stage of the demo: a cluster (its own, with four real nodes, or one that is there), an object store, Prometheus,
Label Studio, and the names of things on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from e2e.borrowed.cluster import BorrowedCluster
from e2e.dataset import BENCH, Scene, archive, write_dataset, write_frames
from e2e.reviewer import Truth
from harness import Cluster

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
FRAMES = 149  # on each node: half a minute at five a second, then they begin again; a prime, so that whoever takes
# every so manieth of them sees all of them in time

Object = Mapping[str, Any]


@dataclass
class World:
    """What the chapters act on. `images` are names by what they are; `truth` is filled as frames are placed, `planted`
    (secrets by what they are) as the operator is installed.

    `edge` are the nodes of the fleet, the canary first. The operator lives in namespace `system`, the user's objects in
    `namespace`.
    """

    cluster: Cluster | BorrowedCluster
    images: dict[str, str] = field(default_factory=dict)
    truth: Truth = field(default_factory=Truth)
    planted: dict[str, str] = field(default_factory=dict)
    edge: Sequence[str] = (CANARY, *FLEET)
    namespace: str = NAMESPACE
    system: str = SYSTEM

    @property
    def fleet(self) -> Sequence[str]:
        """The edge nodes without the canary."""
        return self.edge[1:]

    def kubectl(self, *args: str, input: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *args, input=input)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object. Raises LookupError where there is none."""
        found = self.find(kind, name)
        if found is None:
            raise LookupError(f"there is no {kind} {name}")
        return found

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object, or None while it does not exist."""
        return self.cluster.objects.get(kind, name, self.namespace)

    def items(self, kind: str, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        """The objects that the selectors choose."""
        return self.cluster.objects.list(kind, self.namespace, labels=labels, fields=fields)

    def apply(self, manifest: str) -> str:
        """Apply a manifest of examples/demo as it stands: what a user would copy."""
        return self.kubectl("apply", "-f", str(MANIFESTS / manifest)).strip()

    def apply_with(self, manifest: str, placeholder: str, value: str) -> str:
        """Apply a manifest of examples/demo in which one address is known only now."""
        text = (MANIFESTS / manifest).read_text()
        if text.count(placeholder) != 1:
            raise ValueError(f"{manifest} should have {placeholder} once")
        return self.kubectl("apply", "-f", "-", input=text.replace(placeholder, value)).strip()


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
    borrowed = isinstance(world.cluster, BorrowedCluster)
    folder = world.cluster.state / "frames" / node if borrowed else world.cluster.node(node).var_lib / "frames"
    for picture, boxes in write_frames(folder, count=FRAMES, seed=seed, scene=scene):
        world.truth.add(picture, boxes)
    if borrowed:
        world.cluster.put_frames(node, folder)
