"""Several at once that create the same file."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import artifactstore
from artifactstore import ArtifactError


def race(address: str, times: int = 1) -> None:
    """Eight create `address`, each with a content of its own, repeated `times`: one wins, and what is there is its."""
    barrier = threading.Barrier(8)

    def content(number: int) -> bytes:
        return str(number).encode() * times

    def create(number: int) -> bool:
        barrier.wait()
        try:
            artifactstore.put_bytes(content(number), address)
        except ArtifactError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert artifactstore.read_bytes(address) == content(won.index(True))
