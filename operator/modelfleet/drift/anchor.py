"""What each node's figures were in its baseline, kept where Prometheus forgets: against slow changes.

A rolling baseline follows a model that gets worse by a little every day. So the means of each node's baseline are kept
once it is complete, with the spread of its days. They are small: four numbers a node.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from modelfleet.api.foreign import parsed
from modelfleet.drift.policy import FIGURES
from modelfleet.times import parse_time

LIMIT = 200_000
"""Characters that a packed anchor may have: the annotations of an object hold 256 KiB together."""

_VERSION = 1
_MOST = 16 << 20  # bytes; of 10,000 nodes it is less than one MiB


@dataclass(frozen=True, eq=False)
class Anchor:
    """`means`: node -> its figures in the baseline, (4,) in the order of FIGURES, NaN where one was not known.

    spread  (4,) standard deviation of a node's mean of one window, around its own mean: the fleet's, frozen
    begins  when the first baseline in it began
    basis   what the figures were made by (lengths, weights): an anchor of another basis can't be compared with
    """

    begins: datetime
    basis: str
    spread: NDArray[np.float32]
    means: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Unreadable(ValueError):
    """The text is not an anchor of this release: it is built again from what Prometheus has."""


def pack(anchor: Anchor) -> str:
    """The anchor as text; with as many of its nodes as fit, in the order of their names."""
    names = sorted(anchor.means)
    while True:
        text = _pack(anchor, names)
        if len(text) <= LIMIT:
            return text
        names = names[: len(names) * LIMIT // len(text) - 1]


def _pack(anchor: Anchor, names: list[str]) -> str:
    head = json.dumps(
        {
            "version": _VERSION,
            "begins": anchor.begins.astimezone(UTC).isoformat(),
            "basis": anchor.basis,
            "nodes": names,
        },
        separators=(",", ":"),
    ).encode()
    figures = np.array([anchor.means[name] for name in names], np.float16).reshape(len(names), len(FIGURES))
    body = anchor.spread.astype("<f4").tobytes() + figures.astype("<f2").tobytes()
    packed = zlib.compress(len(head).to_bytes(4, "little") + head + body, 9)
    return base64.b64encode(packed).decode()


def unpack(text: str) -> Anchor:
    """Raises Unreadable."""
    try:
        content = _inflated(base64.b64decode(text, validate=True))
        size = int.from_bytes(content[:4], "little")
        head = parsed(content[4 : 4 + size])
        body = content[4 + size :]
        names = head["nodes"]
        if head["version"] != _VERSION:
            raise Unreadable(f"version {head['version']}")
        spread = np.frombuffer(body[:16], "<f4").astype(np.float32)
        if spread.shape != (4,) or not all(isinstance(name, str) for name in names):
            raise Unreadable("its head or its spread is not as it should be")
        figures = np.frombuffer(body[16:], "<f2").astype(np.float32).reshape(len(names), len(FIGURES))
        begins, means = parse_time(head["begins"]), dict(zip(names, figures, strict=True))
        return Anchor(begins, str(head["basis"]), spread, means)
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, binascii.Error) as error:
        raise Unreadable(str(error)) from error


def _inflated(packed: bytes) -> bytes:
    """Raises Unreadable: an annotation holds 256 KiB, of which somebody could make more than there is memory."""
    inflater = zlib.decompressobj()
    content = inflater.decompress(packed, _MOST)
    if not inflater.eof:
        raise Unreadable(f"it is cut off, or unpacks to more than {_MOST} bytes")
    return content
