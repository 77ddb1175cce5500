"""From an address to the store that holds it and the key inside that store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, from_url

from ._errors import error

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

OBJECT_SCHEMES = ("s3", "gs", "az")
READABLE = (*OBJECT_SCHEMES, "https", "file")
ARTIFACT = (*OBJECT_SCHEMES, "https", "oci", "file")  # where single files can be read; a registry has no folders
WRITABLE = (*OBJECT_SCHEMES, "file")
_LISTED = ", ".join(f"{scheme}://" for scheme in READABLE[:-1]) + f" or {READABLE[-1]}://"

# Six tries within a minute bridge a store's restart; a longer outage is the caller's to wait for (the Job's backoff).
_RETRY: RetryConfig = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
}
_ONCE: RetryConfig = {**_RETRY, "max_retries": 0}
_SILENCE = 60.0
"""Seconds without a byte of an answer after which a request counts as lost."""
_SLOWEST = 64 << 10
"""Bytes a second. While something is sent the store is silent: a request may take as long as it takes at this rate."""


def _client(silence: float) -> ClientConfig:
    # The library's default bounds a whole download to 30 s; what should be bounded is silence on the line.
    options: dict[str, Any] = {
        "timeout": timedelta(days=1),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=silence),
    }
    # Options given here replace the environment's, so this one is read by hand.
    names = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP")
    if any(os.environ.get(name, "").lower() in ("true", "1") for name in names):
        options["allow_http"] = True
    return options  # type: ignore[return-value]


@dataclass(frozen=True)
class Address:
    """One object, or one folder of objects, in one store."""

    uri: str
    scheme: str
    store: ObjectStore
    key: str

    @property
    def is_local(self) -> bool:
        return self.scheme == "file"

    @property
    def local_path(self) -> Path:
        return Path("/", self.key)


_SETTINGS = ("AWS_", "AZURE_", "GOOGLE_")  # what the environment's variables of the stores begin with


def _store(url: str, once: bool, sending: int) -> ObjectStore:
    """One client for each store and configuration: its connections serve thousands of small objects."""
    settings = sorted(item for item in os.environ.items() if item[0].startswith(_SETTINGS))
    return _opened(url, once, _patience(sending), repr((settings, _RETRY)))


def _patience(sending: int) -> float:
    """Seconds of silence that a request which sends so many bytes is given: _SILENCE, doubled until it is enough, so
    that few clients serve all sizes."""
    seconds = _SILENCE
    while seconds < _SILENCE + sending / _SLOWEST:
        seconds *= 2
    return seconds


@lru_cache(maxsize=16)
def _opened(url: str, once: bool, silence: float, configuration: str) -> ObjectStore:
    return from_url(url, retry_config=_ONCE if once else _RETRY, client_options=_client(silence))


def parse(uri: str, *, once: bool = False, sending: int = 0) -> Address:
    """`once`: no try but the first, for a caller that waits by itself. `sending`: bytes that are sent at a time.

    Raises ArtifactError Unsupported for an address of no known kind. Opens no connection."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise error("Unsupported", uri, hint=f"is not an address: it must start with {_LISTED}")
    if scheme in OBJECT_SCHEMES:
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise error("Unsupported", uri, hint="names no bucket")
        return Address(uri, scheme, _store(f"{scheme}://{bucket}", once, sending), _decoded(uri, key))
    if scheme == "https":
        parts = urlsplit(uri)
        if not parts.hostname:
            raise error("Unsupported", uri, hint="names no host")
        if parts.query or parts.username:
            hint = (
                "carries a query or a password, which this library does not send; use a plain https:// or s3:// address"
            )
            raise error("Unsupported", uri, hint=hint)
        return Address(
            uri, scheme, _store(f"https://{parts.netloc}", once, sending), _decoded(uri, parts.path).strip("/")
        )
    if scheme == "file":
        if not rest.startswith("/"):
            raise error("Unsupported", uri, hint="is not absolute: a file address has three slashes, file:///path")
        return Address(uri, scheme, LocalStore(), _decoded(uri, rest).lstrip("/"))
    if scheme == "oci":
        raise error(
            "Unsupported", uri, hint=f"is a registry's, which only files of a model are read from; use {_LISTED}"
        )
    raise error("Unsupported", uri, hint=f"is of a kind not known here ({scheme}://); use {_LISTED}")


def _decoded(uri: str, path: str) -> str:
    """The key or path that an address means: in all of them %XX stands for a byte of UTF-8, and %25 for a % itself."""
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise error("Unsupported", uri, hint="holds %XX that is not UTF-8; a % itself is written %25") from None


def join(uri: str, name: str) -> str:
    """The address of `name` inside the folder `uri`. `name` is relative and never climbs out of the folder; it is as
    the store lists it, and a % in it is none of an address."""
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise error("Unsupported", uri, hint=f"can't hold the name {name!r}")
    return f"{uri.rstrip('/')}/{name.replace('%', '%25')}"
