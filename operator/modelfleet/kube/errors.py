"""What can go wrong at the API server, as types that callers can tell apart.

Every failure of `modelfleet.kube.Client` is an `ApiError`; whatever the HTTP library raises is translated.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from modelfleet.api.foreign import parsed


class ApiError(Exception):
    """A request to the API server failed. `message` is the server's own text where it sent one, fit to show a user."""

    def __init__(self, message: str, *, code: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class NotFound(ApiError):
    """404: no such object, or the type itself is not installed (`is_missing_type`)."""

    @property
    def is_missing_type(self) -> bool:
        """Whether the server does not know the resource type at all, as where a CRD is not installed."""
        return self.message.startswith("the server could not find the requested resource") or not self.reason


class Conflict(ApiError):
    """409: the object has changed since it was read, or is another one than was meant. Look again, then try again."""


class AlreadyExists(Conflict):
    """409 of a create: an object of this name is there."""


class Invalid(ApiError):
    """400, 422 and the like: the server refuses this content. Repeating it as it is can't help; the user must read
    it."""


class Forbidden(ApiError):
    """403: not allowed by RBAC, an admission webhook, or a quota. `message` says which."""

    @property
    def is_terminating(self) -> bool:
        """Whether the only reason is that the namespace is being deleted."""
        return "because it is being terminated" in self.message


class Expired(ApiError):
    """410: the list or watch position is too old; start again."""


class Unavailable(ApiError):
    """No answer, 401, 429 or 5xx: the server can't be reached or can't serve now. Try again later."""


def from_response(code: int, http_reason: str, text: str, retry_after: str | None = None) -> ApiError:
    """The error for a response of status >= 400, from its body: a `Status` object, or any other text."""
    try:
        found = parsed(text)
    except ValueError:
        found = None
    status: Mapping[str, Any] = found if isinstance(found, dict) else {}
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or "") or ("" if isinstance(found, dict | list) else text.strip()[:1024])
    message = message or f"the API server answered {code} {http_reason}".strip()
    if code == 500 and _UNTYPED in message:
        return Invalid(message, code=code, reason=reason)
    return _type_of(code, reason)(message, code=code, reason=reason, retry_after=_seconds(retry_after))


# How server-side apply (Kubernetes 1.35) answers to a field that the type does not have: as its own failure, with 500.
# It is the user's to fix: pod templates are not checked before they reach the API server inside a child.
_UNTYPED: Final = "failed to create typed patch object"


def _type_of(code: int, reason: str) -> type[ApiError]:
    if code == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    return _BY_CODE.get(code, Invalid if 400 <= code < 500 else Unavailable)


_BY_CODE: Final[Mapping[int, type[ApiError]]] = {
    401: Unavailable,  # the credentials are being renewed
    403: Forbidden,
    404: NotFound,
    410: Expired,
    429: Unavailable,
}


def _seconds(retry_after: str | None) -> float | None:
    """The delay of a Retry-After header, at most `_LONGEST`; its date form is not used by the API server and is
    ignored."""
    try:
        seconds = float(retry_after or "nan")
    except ValueError:
        return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), _LONGEST)


_LONGEST: Final = 300.0
"""Seconds. Whatever stands before the API server may write anything there; nobody is kept waiting for a year."""
