"""Addresses of cameras in logs: without what may be a secret, however it was written.

A password may be anywhere in an address: before the @ (with @, / or ? of its own, percent-encoded or not), in the
query, in the path (`/user=admin_password=x_channel=1`). So an address is not searched for what looks like a secret.
Shown is only what can't be one: the scheme, the host, the port, and the last part of a plain path. Where an @ leaves
open which part is the host, not even that.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "..."

_ADDRESS = re.compile(r"(?i)\b[a-z][a-z0-9+.-]*:/{1,2}[^\s'\"<>]+")
_SCHEME = re.compile(r"(?i)[a-z][a-z0-9+.-]{0,20}")
_HOST = re.compile(r"(?i)(?:[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::\d{1,5})?")
_PLAIN = re.compile(r"(?i)[a-z0-9._-]{1,12}")
_TELLING = re.compile(r"(?i)pass|pwd|user|auth|token|secret|key|login")
_SHORTEST_SECRET = 3  # of fewer characters nothing could be replaced without making the text unreadable


def host(address: str) -> str | None:
    """`host` or `host:port` that an address would be read to have; None where that is no host."""
    own = _split(address)[0].rpartition("@")[2]
    return own if _HOST.fullmatch(own) else None


def shown(address: str) -> str:
    """The address, fit for a log: `rtsp://cam.local:554/stream1`, `rtsp://cam.local/.../101`, `rtsp://...`, `...`."""
    scheme, separator, _ = address.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return HIDDEN
    own, (_, rest) = host(address), _split(address)
    return f"{scheme}://{own}{_path(rest)}" if own and "@" not in rest else f"{scheme}://{HIDDEN}"


def cleaned(text: str, address: str) -> str:
    """A text that somebody else wrote (FFmpeg, a camera), without secrets of `address` and of any address in it.

    `address` may be a path, which has none.
    """
    if "://" not in address:
        return text
    text = text.replace(address, shown(address))
    text = _ADDRESS.sub(lambda found: shown(found[0]), text)
    for secret in sorted(_secrets(address), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _split(address: str) -> tuple[str, str]:
    """What is between :// and the first of / ? # and what is from there on."""
    rest = address.partition(":")[2].removeprefix("//")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    return authority, rest[len(authority) :]


def _path(rest: str) -> str:
    """The last part of a plain path; parts before it may be user and password, a long one may be a token."""
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    *before, last = path.removesuffix("/").split("/")
    if not path.strip("/"):
        return ""
    if not _PLAIN.fullmatch(last) or _TELLING.search(path):
        return f"/{HIDDEN}"
    return f"/{HIDDEN}/{last}" if any(before) else f"/{last}"


def _secrets(address: str) -> set[str]:
    """Pieces of the address that may be secret, as written and decoded: all that `shown` leaves out."""
    open_words = set(re.split(r"[^A-Za-z0-9]+", shown(address)))
    authority, rest = _split(address)
    login, at, _ = authority.rpartition("@")
    parts = [login, *login.split(":", 1)] if at else []
    parts += re.split(r"[/?#&=;]", rest)
    if HIDDEN in shown(address):  # whichever way it is meant
        parts += re.split(r"[/?#&=;:@]", address)
    pieces = {piece for part in parts for piece in (part, unquote(part)) if len(piece) >= _SHORTEST_SECRET}
    return pieces - open_words
