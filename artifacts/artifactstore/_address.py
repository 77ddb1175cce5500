"""From an address to the store that holds it and the key inside that store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, from_url

from ._errors import error

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

OBJECT_SCHEMES = ("s3", "gs", "az")
READABLE = (*OBJECT_SCHEMES, "https", "file")
WRITABLE = (*OBJECT_SCHEMES, "file")
_LISTED = ", ".join(f"{scheme}://" for scheme in READABLE[:-1]) + f" or {READABLE[-1]}://"

# Six tries within a minute bridge a store's restart; a longer outage is the caller's to wait for (the Job's backoff).
_RETRY: RetryConfig = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
}


def _client() -> ClientConfig:
    # The library's default bounds a whole download to 30 s; what should be bounded is silence on the line.
    options: dict[str, Any] = {
        "timeout": timedelta(days=1),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=60),
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


def parse(uri: str) -> Address:
    """Raises ArtifactError Unsupported for an address of no known kind. Opens no connection."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise error("Unsupported", uri, hint=f"is not an address: it must start with {_LISTED}")
    if scheme in OBJECT_SCHEMES:
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise error("Unsupported", uri, hint="names no bucket")
        store = from_url(f"{scheme}://{bucket}", retry_config=_RETRY, client_options=_client())
        return Address(uri, scheme, store, key)
    if scheme == "https":
        parts = urlsplit(uri)
        if not parts.hostname:
            raise error("Unsupported", uri, hint="names no host")
        if parts.query or parts.username:
            hint = (
                "carries a query or a password, which this library does not send; use a plain https:// or s3:// address"
            )
            raise error("Unsupported", uri, hint=hint)
        store = from_url(f"https://{parts.netloc}", retry_config=_RETRY, client_options=_client())
        return Address(uri, scheme, store, unquote(parts.path).strip("/"))
    if scheme == "file":
        if not rest.startswith("/"):
            raise error("Unsupported", uri, hint="is not absolute: a file address has three slashes, file:///path")
        return Address(uri, scheme, LocalStore(), unquote(rest).lstrip("/"))
    raise error("Unsupported", uri, hint=f"is of a kind not known here ({scheme}://); use {_LISTED}")


def join(uri: str, name: str) -> str:
    """The address of `name` inside the folder `uri`. `name` is relative and never climbs out of the folder."""
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise error("Unsupported", uri, hint=f"can't hold the name {name!r}")
    return f"{uri.rstrip('/')}/{name}"
