"""The listing of an S3 folder that holds keys of which no address can be made: `//`, `/../`, control characters.

obstore makes a path of every key and gives up the whole page at the first that is none; it can't be asked for smaller
pages either. So the pages are asked for here, as AWS documents them (ListObjectsV2, Signature Version 4), where the
keys of the store are in the environment. Credentials of other kinds (a web identity, a metadata service) are the
library's alone: there the listing ends at the odd key, which is named.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

from ._errors import error

_TIMEOUT = 60  # seconds of silence
_NOTHING = hashlib.sha256(b"").hexdigest()
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Keys:
    """What signs a request."""

    access: str
    secret: str
    token: str
    region: str

    @staticmethod
    def of(environment: Mapping[str, str]) -> Keys | None:
        """None where the environment has none, which is no error: there are other ways to be known to a store."""
        access, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
        if not access or not secret:
            return None
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        return Keys(access, secret, environment.get("AWS_SESSION_TOKEN", ""), region)

    def headers(self, host: str, path: str, query: str, now: datetime) -> dict[str, str]:
        """Those of a GET without a body, signed. `path` and `query` are encoded, the query sorted."""
        time, scope = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}/{self.region}/s3/aws4_request"
        headers = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": time}
        if self.token:
            headers["x-amz-security-token"] = self.token
        signed = ";".join(headers)
        lines = ["GET", path, query, *(f"{name}:{value}" for name, value in headers.items()), "", signed, _NOTHING]
        request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        secret = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            secret = hmac.digest(secret, part.encode(), "sha256")
        text = "\n".join(["AWS4-HMAC-SHA256", time, scope, request])
        signature = hmac.new(secret, text.encode(), "sha256").hexdigest()
        credential = f"Credential={self.access}/{scope}, SignedHeaders={signed}, Signature={signature}"
        return headers | {"authorization": f"AWS4-HMAC-SHA256 {credential}"}


def every_key(keys: Keys, uri: str, bucket: str, prefix: str, after: str | None = None) -> Iterator[dict[str, Any]]:
    """Each object whose key begins with `prefix`, as obstore has it (path, size, last_modified), odd ones too.

    Of keys that sort behind `after`, where given. Raises ArtifactError Unreachable where the store doesn't answer, or
    not with a listing.
    """
    asked = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    if after is not None:
        asked["start-after"] = after
    token = ""
    while True:
        page = _page(uri, keys, bucket, asked | ({"continuation-token": token} if token else {}))
        encoded = _text(page, "EncodingType") == "url"
        for each in page.findall("{*}Contents"):
            key = _text(each, "Key")
            yield {
                "path": unquote(key) if encoded else key,
                "size": int(_text(each, "Size") or 0),
                "last_modified": datetime.fromisoformat(_text(each, "LastModified")),
            }
        token = _text(page, "NextContinuationToken")
        if not token:
            return


def is_odd(key: str) -> bool:
    """Whether no address can mean it. A slash at its end is a folder's."""
    steps = key.removesuffix("/").split("/")
    return any(step in ("", ".", "..") or _CONTROL.search(step) for step in steps)


def _page(uri: str, keys: Keys, bucket: str, asked: Mapping[str, str]) -> ElementTree.Element:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    endpoint = (endpoint or f"https://s3.{keys.region}.amazonaws.com").rstrip("/")
    parts = urlsplit(endpoint)
    path = quote(f"{parts.path}/{bucket}")
    query = "&".join(f"{name}={quote(value, safe='~')}" for name, value in sorted(asked.items()))
    headers = keys.headers(parts.netloc, path, query, datetime.now(UTC))
    request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}{path}?{query}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return ElementTree.fromstring(answer.read())
    except (OSError, ElementTree.ParseError) as caught:
        raise error("Unreachable", uri, str(caught), hint="could not be listed; check the endpoint") from None


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""
