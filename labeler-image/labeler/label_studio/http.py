"""Requests to Label Studio: both kinds of tokens, bounded retries, and errors that say what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from labeler.failure import Failure

UNREACHABLE = "LabelStudioUnreachable"  # may pass by itself
REFUSED = "LabelStudioRefused"  # somebody has to change something

_BUSY = (429, 502, 503, 504)
_ATTEMPTS = 6  # half a minute: Label Studio restarts within
_LONGEST_WAIT = 60.0  # seconds, also where Retry-After asks for more
_SAME_TIME = timedelta(minutes=5)  # by which two clocks may differ and are right
_WORDS = 400  # of what the server says, at most


class LabelStudioError(Failure):
    """Label Studio can't be used; `message` says why and what to do, `reason` is one of the two above."""


class Uncertain(LabelStudioError):
    """No answer came to a request that writes: it may have been carried out, or may yet be."""


class _NoTokenYet(Exception):
    """An access token can't be had now; nothing was asked with one."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Http:
    """One Label Studio and the token for it.

    ahead  by how much its clock is ahead of ours, by the last answer; 0 where that is little, or not told
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe it; nothing is asked yet. `transport` and `sleep` are for tests."""
        self.url = url.rstrip("/")
        self._token = token.strip()
        if not re.fullmatch(r"[!-~]+", self._token):
            raise LabelStudioError(
                REFUSED,
                "the token in key `token` of labelStudio.secretRef is empty, or has spaces or the like in it: put "
                "a valid one there (Label Studio: Account & Settings)",
            )
        self._personal = self._token.count(".") == 2  # a JWT, which buys access tokens of 5 minutes
        self._access: str | None = None
        self._sleep = sleep
        self.ahead = timedelta(0)
        try:
            usable = httpx.URL(self.url).scheme in ("http", "https") and httpx.URL(self.url).host
        except httpx.InvalidURL:
            usable = ""
        if not usable:
            raise LabelStudioError(REFUSED, f"labelStudio.url must be as http://label-studio:8080, and is {url!r}")
        self._client = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(120, connect=10),
            # one connection a request: of a kept one it isn't known whether it broke before or after a write
            limits=httpx.Limits(max_keepalive_connections=0),
            transport=transport,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read. Raises LabelStudioError."""
        return self._json(self._answered("GET", path, params=params))

    def post(self, path: str, body: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Write. Raises LabelStudioError, of which Uncertain where it may have been carried out all the same."""
        return self._json(self._answered("POST", path, params=params, body=body))

    def head_of(self, path: str) -> int:
        """The status of a file's first byte, as a browser would ask for the file. Raises LabelStudioError."""
        return self._send("GET", path, {"Range": "bytes=0-0"}, None, None).status_code

    def wait(self, attempt: int) -> None:
        """Wait before the attempt after this one (counted from 0)."""
        self._sleep(_backoff(attempt))

    def _answered(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> httpx.Response:
        response = self._send(method, path, {}, params, body)
        if response.status_code >= 500 and method == "POST":
            raise Uncertain(UNREACHABLE, _failed(self.url, response))
        if response.status_code in _BUSY or response.status_code >= 500:
            raise LabelStudioError(UNREACHABLE, _failed(self.url, response))
        if response.status_code >= 300:
            raise LabelStudioError(REFUSED, _refused(self.url, response))
        return response

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None,
        body: Any,
    ) -> httpx.Response:
        """Ask, again where that is harmless and may help, and with a new access token where the old one expired."""
        attempt = 0
        renewed = False
        while True:
            last = attempt == _ATTEMPTS - 1
            try:
                response = self._client.request(
                    method, path, headers={**headers, "Authorization": self._authorization()}, params=params, json=body
                )
            except _NoTokenYet as busy:
                if last:
                    raise LabelStudioError(UNREACHABLE, _failed(self.url, busy.response)) from None
                self._sleep(_retry_after(busy.response) or _backoff(attempt))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # it never saw the request
                if last:
                    raise LabelStudioError(UNREACHABLE, _no_answer(self.url, error)) from None
                self._sleep(_backoff(attempt))
            except httpx.TransportError as error:
                if method == "POST":
                    raise Uncertain(UNREACHABLE, _no_answer(self.url, error)) from None
                if last:
                    raise LabelStudioError(UNREACHABLE, _no_answer(self.url, error)) from None
                self._sleep(_backoff(attempt))
            else:
                self.ahead = _ahead(response.headers.get("date"), datetime.now(UTC))
                if response.status_code == 401 and self._personal and not renewed:
                    self._access, renewed = None, True
                    continue
                # of a write, only these two answers mean for certain that nothing was done
                harmless = method != "POST" or response.status_code in (429, 503)
                if last or response.status_code not in _BUSY or not harmless:
                    return response
                self._sleep(_retry_after(response) or _backoff(attempt))
            attempt += 1

    def _authorization(self) -> str:
        if not self._personal:
            return f"Token {self._token}"
        if self._access is None:
            response = self._client.post("/api/token/refresh/", json={"refresh": self._token})
            if response.status_code in _BUSY:
                raise _NoTokenYet(response)
            if response.status_code >= 500:
                raise LabelStudioError(UNREACHABLE, _failed(self.url, response))
            if response.status_code != 200:
                raise LabelStudioError(REFUSED, _refused(self.url, response))
            access = self._json(response)
            if not isinstance(access, dict) or not isinstance(access.get("access"), str):
                raise LabelStudioError(REFUSED, f"{self.url} gave no access token; is it a Label Studio?")
            self._access = access["access"]
        return f"Bearer {self._access}"

    def _json(self, response: httpx.Response) -> Any:
        if response.status_code == 204:
            return None
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise LabelStudioError(
                REFUSED,
                f"{self.url} answers, but not as Label Studio does ({response.headers.get('content-type', 'no type')} "
                f"at {response.request.url.path}); labelStudio.url must be where Label Studio's own page starts",
            ) from None


def _backoff(attempt: int) -> float:
    return float(2**attempt)


def _ahead(date: str | None, now: datetime) -> timedelta:
    try:
        found = parsedate_to_datetime(date or "") - now
    except (ValueError, TypeError):  # none, or one without a time zone
        return timedelta(0)
    return found if abs(found) > _SAME_TIME else timedelta(0)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks for; None where it doesn't, or by a date."""
    try:
        return min(_LONGEST_WAIT, max(0.0, float(response.headers.get("Retry-After", ""))))
    except ValueError:
        return None


def words(response: httpx.Response) -> str:
    """What the server says of an error: its detail and the fields that it names, or the start of its text."""
    try:
        said = response.json()
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        parts = [str(said[name]) for name in ("detail", "validation_errors") if said.get(name)]
        text = " ".join(parts) or str(said)
    elif "html" in response.headers.get("content-type", ""):
        text = response.reason_phrase
    else:
        text = response.text or response.reason_phrase
    return " ".join(text.split())[:_WORDS]


def _no_answer(url: str, error: Exception) -> str:
    return (
        f"Label Studio does not answer at {url} ({error or type(error).__name__}); it is tried again at the next run. "
        "If that stays so: does labelStudio.url lead there from a pod of the Dataset's namespace, and does no "
        "NetworkPolicy stop it?"
    )


def _failed(url: str, response: httpx.Response) -> str:
    return (
        f"Label Studio at {url} answered {response.status_code} to {_asked(response)}: {words(response)}. It is tried "
        "again at the next run; if that stays so, its log has the cause"
    )


def _refused(url: str, response: httpx.Response) -> str:
    said = f"Label Studio at {url} answered {response.status_code} to {_asked(response)}: {words(response)}"
    if not response.headers.get("content-type", "").startswith("application/json") and response.status_code >= 400:
        return f"{said}. Label Studio would say that in JSON: is labelStudio.url where its own page starts?"
    match response.status_code:
        case 401:
            return (
                f"{said}. The token in key `token` of labelStudio.secretRef is wrong, was revoked, or is a legacy one "
                "where those are off (Organization > API Tokens Settings): put a valid one there"
            )
        case 403:
            return f"{said}. The token's user may not do that: give that user access to the project"
        case 404:
            return f"{said}. Was the project deleted during this run?"
        case status if 300 <= status < 400:
            where = response.headers.get("location", "elsewhere")
            return f"{said}. It sends us to {where}: if that is its address, make it labelStudio.url"
    return said


def _asked(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.path}"
