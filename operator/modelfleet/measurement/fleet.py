"""What a permutation test goes by: each node's counts since the start, at every look, and as long before it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelfleet.measurement.endpoints import BUCKETS, Array


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of L windows and n nodes: `detections` (L, n, 10) by confidence bucket, `frames` (L, n).

    All windows begin (those of the past: end) at the same moment, and none is shorter than the one before it: counts
    never fall from look to look.
    """

    detections: Array
    frames: Array

    def __post_init__(self) -> None:
        looks, nodes = self.frames.shape
        if self.detections.shape != (looks, nodes, BUCKETS):
            wanted = (looks, nodes, BUCKETS)
            raise ValueError(f"detections must be (looks, nodes, {BUCKETS}) = {wanted}, not {self.detections.shape}")
        if not (np.isfinite(self.detections).all() and np.isfinite(self.frames).all()):
            raise ValueError("counts must be finite")
        if (self.detections < 0).any() or (self.frames < 0).any():
            raise ValueError("counts must not be negative")

    def of(self, nodes: NDArray[np.bool_]) -> "Counts":
        """The same for some of the nodes."""
        return Counts(self.detections[:, nodes], self.frames[:, nodes])


@dataclass(frozen=True, eq=False)
class Fleet:
    """n nodes in order: names, which are canaries, their stratum, and their counts.

    after    windows from the start of the gate to each look
    before   windows of the same lengths, or of as much as is known, that end when the first node was updated: until
             then every node ran the stable version
    strata   (n,) names of strata, within which a canary could as well have been another node; None: anywhere
    """

    names: tuple[str, ...]
    canary: NDArray[np.bool_]
    after: Counts
    before: Counts
    strata: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        number = len(self.names)
        if self.canary.shape != (number,) or self.canary.dtype != np.bool_:
            raise ValueError(f"canary must be {number} booleans")
        if self.strata is not None and len(self.strata) != number:
            raise ValueError(f"strata must be {number} names")
        for counts in (self.after, self.before):
            if counts.frames.shape != self.after.frames.shape or counts.frames.shape[1] != number:
                raise ValueError(f"after and before must have the same looks and {number} nodes")
        if not len(self.after.frames):
            raise ValueError("there must be at least one look")

    @property
    def groups(self) -> NDArray[np.int64]:
        """The stratum of each node, as a number."""
        if self.strata is None:
            return np.zeros(len(self.names), np.int64)
        return np.unique(np.array(self.strata), return_inverse=True)[1].astype(np.int64)

    def only(self, nodes: NDArray[np.bool_]) -> "Fleet":
        """The fleet without the other nodes."""
        kept = np.flatnonzero(nodes)
        strata = None if self.strata is None else tuple(self.strata[i] for i in kept)
        names = tuple(self.names[i] for i in kept)
        return Fleet(names, self.canary[nodes], self.after.of(nodes), self.before.of(nodes), strata)
