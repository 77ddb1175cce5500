"""Signatures as Standard Webhooks 1.0 has them, so that receivers can use its libraries. Pure.

webhook-id         the notification's id, the same at each try: a receiver drops what it has seen
webhook-timestamp  when this try was made, in seconds of Unix time: a receiver refuses what is old
webhook-signature  "v1," and the base64 of HMAC-SHA256 over "id.timestamp.body", one for each key, parted by spaces
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

_PREFIX = "whsec_"
_BYTES = range(24, 65)  # of a key, as the specification has it


def headers(id: str, body: bytes, now: datetime, keys: Iterable[bytes]) -> dict[str, str]:
    """The headers of one try; without keys there is no signature."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((id.encode(), timestamp.encode(), body))
    signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        **({"webhook-signature": " ".join(f"v1,{each}" for each in signatures)} if signatures else {}),
    }


def read_keys(text: str) -> tuple[bytes, ...]:
    """The keys in a file, one or several of them. Raises ValueError, without what it read, where there are none."""
    keys = tuple(_key(each) for each in text.split())
    if not keys:
        raise ValueError("is empty")
    return keys


def _key(text: str) -> bytes:
    if not text.startswith(_PREFIX):
        raise ValueError(f"must be {_PREFIX} and base64")
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"is not base64 behind {_PREFIX}") from None
    if len(key) not in _BYTES:
        raise ValueError(f"has {len(key)} bytes behind {_PREFIX}, not {_BYTES.start} to {_BYTES.stop - 1}")
    return key
