"""What is kept of the baseline comes back as it was, and is never larger than an annotation may be."""

import base64
import zlib

import numpy as np
import pytest

from modelfleet.drift import Anchor, Unreadable, pack, unpack
from modelfleet.drift.anchor import LIMIT
from unit.drift.fleets import START

SPREAD = np.array([0.01, 0.02, np.nan, 0.04], np.float32)


def made(nodes: int) -> Anchor:
    draw = np.random.default_rng(1)
    values = draw.uniform(0, 1, (nodes, 4)).astype(np.float16).astype(np.float32)
    return Anchor(START, "basis", SPREAD, {f"edge-{number:05}": values[number] for number in range(nodes)})


@pytest.mark.parametrize("nodes", [0, 1, 1000])
def test_there_and_back(nodes: int) -> None:
    before = made(nodes)
    after = unpack(pack(before))
    assert (after.begins, after.basis, list(after.means)) == (START, "basis", list(before.means))
    assert np.array_equal(after.spread, SPREAD, equal_nan=True)
    for name, values in before.means.items():
        assert np.array_equal(after.means[name], values)
    assert pack(after) == pack(before)


def test_of_a_huge_fleet_as_many_nodes_as_fit() -> None:
    text = pack(made(30_000))
    assert len(text) <= LIMIT
    assert len(unpack(text).means) > 10_000


def test_ten_thousand_nodes_fit() -> None:
    assert len(unpack(pack(made(10_000))).means) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        base64.b64encode(b"not compressed").decode(),
        base64.b64encode(zlib.compress(b"\0\0\0\0")).decode(),
        base64.b64encode(zlib.compress(b"\x02\0\0\0{}")).decode(),
        base64.b64encode(zlib.compress(b"\xff\xff\xff\xff")).decode(),
        pack(made(3))[:-8],
    ],
)
def test_what_is_damaged_is_named_so(text: str) -> None:
    with pytest.raises(Unreadable):
        unpack(text)
