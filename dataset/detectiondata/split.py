"""Which images are held back for validation where a dataset has no validation part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal


def held_back(digests: Sequence[str], share: Decimal, seed: int) -> frozenset[str]:
    """The content digests whose images go to validation: the first `share` of them in an order drawn from `seed`.

    The order depends on content alone, not on names or on the order of files, so that the same data splits the same way
    everywhere, and copies of an image stay on one side. At least one image is left on each side (of two or more).
    """
    distinct = sorted(set(digests), key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
    if len(distinct) < 2:
        return frozenset()
    count = int((len(distinct) * share).quantize(Decimal(1), ROUND_HALF_UP))
    return frozenset(distinct[: min(max(count, 1), len(distinct) - 1)])
