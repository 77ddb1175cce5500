"""One HTTP request to one receiver. No address, key or body ever gets into a log or a message: an address may be all
that it takes to post.

Files (address, key, credentials) are read at each try, so that a rotated Secret needs no restart.
"""

import asyncio
import math
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from modelfleet.addresses import is_address
from modelfleet.credentials import HttpClient
from modelfleet.notifications import signature
from modelfleet.notifications.endpoint import Endpoint
from modelfleet.notifications.formats import FORMATS
from modelfleet.notifications.notification import Notification
from modelfleet.notifications.retry import Answered, Unanswered
from modelfleet.unreachable import why


class Sender:
    """Posts to one endpoint, called `name` in the settings. `transport` replaces the network in tests. Close it with
    `aclose`."""

    def __init__(self, name: str, endpoint: Endpoint, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._setting = f"notifications.endpoints.{name}"
        self._endpoint = endpoint
        self._timeout = endpoint.timeout.total_seconds()
        self._http = HttpClient(endpoint.credentials, self._timeout, https=True, transport=transport)

    async def aclose(self) -> None:
        """Close the connections; a later `post` opens new ones."""
        await self._http.aclose()

    async def post(self, it: Notification, now: datetime) -> Answered | Unanswered:
        """Try once. Never raises for what may go wrong on the way or at the receiver."""
        try:
            url, keys = self._address(), self._keys()
        except _UnusableError as error:
            return Unanswered("configuration", str(error))
        body = FORMATS[self._endpoint.format](it)
        headers = {
            "Content-Type": body.content_type,
            "User-Agent": "modelfleet",
            **signature.headers(it.id, body.content, now, keys),
        }
        try:
            async with asyncio.timeout(self._timeout):
                http = await self._http.get()
                async with http.stream("POST", url, content=body.content, headers=headers) as response:
                    return Answered(response.status_code, _seconds(response.headers.get("Retry-After"), now))
        except (TimeoutError, httpx.TimeoutException):
            return Unanswered("timeout", f"{self._setting} did not answer within {self._timeout:g} s")
        except httpx.RequestError as error:
            return Unanswered("unreachable", f"{self._setting} can't be reached ({why(error)})")
        except (OSError, UnicodeError, ssl.SSLError) as error:  # not the network: httpx wraps that
            said = f"{self._setting}.credentials can't be read ({type(error).__name__})"
            return Unanswered("configuration", said)

    def _address(self) -> str:
        path = self._endpoint.url_file
        if path is None:
            return self._endpoint.url
        url = self._read(path, "urlFile")
        if not is_address(url):
            raise _UnusableError(f"{self._setting}.urlFile must hold an http or https address")
        return url

    def _keys(self) -> tuple[bytes, ...]:
        path = self._endpoint.signing_key
        if path is None:
            return ()
        try:
            return signature.read_keys(self._read(path, "signingKey"))
        except ValueError as error:
            raise _UnusableError(f"{self._setting}.signingKey {error}") from None

    def _read(self, path: Path, setting: str) -> str:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise _UnusableError(f"{self._setting}.{setting} can't be read ({type(error).__name__})") from None


class _UnusableError(Exception):
    """What the settings name can't be used; the text says which setting, and not what is in it."""


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """What a Retry-After header asks for: seconds, or a date."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            moment = parsedate_to_datetime(retry_after)
        except (ValueError, OverflowError):  # the latter of a giant year
            return None
        seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    return seconds if math.isfinite(seconds) and seconds > 0 else None
