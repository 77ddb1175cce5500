"""What can go wrong with an artifact, in one type, and how the library's errors become it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

Reason = Literal[
    "NotFound",
    "AccessDenied",
    "DigestMismatch",
    "Unreachable",
    "Unsupported",
    "AlreadyExists",
    "DiskFull",
    "DiskError",
]

_HINTS: dict[Reason, str] = {
    "NotFound": "is not there; check the address",
    "AccessDenied": "was refused; check the credentials given to the pod and their rights on this bucket",
    "Unreachable": "could not be reached; check the endpoint and the network",
    "AlreadyExists": "exists already and is never overwritten",
    "Unsupported": "is not possible with this store",
    "DiskFull": "does not fit on the disk; give the volume more space",
    "DiskError": "could not be moved; check the disk of this machine and what is mounted there",
    "DigestMismatch": "is not the file that was pinned",
}


class ArtifactError(Exception):
    """One artifact could not be moved or verified.

    `reason` is stable and fit for a condition; `message` names the address and what to do, never a credential;
    `retryable` says whether the same call may succeed later with nothing changed by a person. `status` is the store's
    HTTP status where it answered with one that means what it says (S3 answers 400 to a client that was slow).
    """

    def __init__(self, reason: Reason, message: str, retryable: bool, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason: Reason = reason
        self.message = message
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def error(reason: Reason, uri: str, detail: str = "", *, hint: str | None = None) -> ArtifactError:
    """An ArtifactError about `uri`: address, what to do, then the store's own words."""
    message = f"{printable(redact(uri))} {_HINTS[reason] if hint is None else hint}"
    if detail := _brief(detail):
        message += f" ({printable(detail)})"
    return ArtifactError(reason, message, reason in ("Unreachable", "DiskFull"))


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OF_THE_PATH = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
"""No file can have this path here, whatever the disk does. What else goes wrong with a local file is the machine's."""


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turns every error of obstore and of the file system inside the block into an ArtifactError about `uri`."""
    try:
        yield
    except ArtifactError:
        raise
    except (BaseError, OSError, ValueError) as caught:
        found = _translate(uri, caught)
        found.status = _status(str(caught))
        raise found from None  # the library's text may hold signed requests


def _translate(uri: str, caught: Exception) -> ArtifactError:
    if isinstance(caught, OSError) and caught.errno is not None:  # Python's own: about a file on this machine
        return _translate_local(uri, caught)
    text = str(caught)
    code = _store_code(text)
    if (local := _of_this_machine(uri, text)) is not None:
        return local
    if code == "NoSuchBucket":
        return error("NotFound", uri, hint="is not there: the bucket does not exist; create it or correct the address")
    if code in _CREDENTIAL_CODES or isinstance(caught, (PermissionDeniedError, UnauthenticatedError, PermissionError)):
        return error("AccessDenied", uri, code or text)
    if "169.254.169.254" in text or "metadata.google.internal" in text:  # the last place each library looks
        hint = "was refused: the pod has no credentials; set them in the environment through spec.template"
        return error("AccessDenied", uri, hint=hint)
    if isinstance(caught, (AlreadyExistsError, PreconditionError, FileExistsError)):
        return error("AlreadyExists", uri)
    if isinstance(caught, FileNotFoundError) or code in ("NoSuchKey", "BlobNotFound"):
        return error("NotFound", uri, hint=_absent(uri))
    if isinstance(caught, (NotSupportedError, NotImplementedError)) or "501 Not Implemented" in text:
        return error("Unsupported", uri, text)
    if isinstance(caught, (InvalidPathError, ValueError, IsADirectoryError, NotADirectoryError)):
        return _impossible(uri, text)
    if "HTTP error: builder error" in text:  # a plain http:// endpoint, refused before anything is sent
        hint = "can't be used as configured: its endpoint is plain http; set AWS_ALLOW_HTTP=true where that is meant"
        return error("Unsupported", uri, hint=hint)
    if "Account must be specified" in text or "Unable to recognise URL" in text:
        return error("Unsupported", uri, text, hint="can't be used as configured")
    return error("Unreachable", uri, text, hint=_refusal(text))


def _of_this_machine(uri: str, text: str) -> ArtifactError | None:
    """For what the library says of a file here."""
    if any(f"(os error {number})" in text for number in _DISK_FULL):
        return error("DiskFull", uri)
    if f"(os error {errno.EACCES})" in text:
        place = re.search(r"IO error for operation on (.+?): ", text)
        named = f": {place[1]}" if place else ""
        return error(
            "AccessDenied",
            uri,
            hint=f"can't be read or written{named}: it is not for the user of this container (fsGroup, runAsUser)",
        )
    return None


# What obstore says of a key in a listing that it can't make a path of; the whole listing ends there.
_LISTED_PATH = re.compile(
    r'^Encountered object with invalid path: .*?Path "(.*?)"(?: contained empty path segment|: Encountered illegal)',
    re.DOTALL,
)


NO_ADDRESS = "which no address can mean"


def _impossible(uri: str, text: str) -> ArtifactError:
    listed = _LISTED_PATH.search(text)
    if listed is None:
        return error("Unsupported", uri, text, hint="is not an address that can be read or written")
    hint = (
        f"holds the key '{printable(listed[1])}', {NO_ADDRESS} (//, /./, /../ or a control character in it); rename or "
        "remove that object"
    )
    return error("Unsupported", uri, hint=hint)


def _absent(uri: str) -> str | None:
    """What to add where the address may mean another key than its writer thinks."""
    scheme, _, rest = uri.partition("://")
    if re.search(r"%[0-9A-Fa-f]{2}", rest):
        return f"{_HINTS['NotFound']}; in it %XX stands for a character, and %25 for a % itself"
    if scheme in ("s3", "gs", "az") and "//" in rest:
        return f"{_HINTS['NotFound']}; keys that begin or end with / can't be asked for, rename such an object"
    return None


def _refusal(text: str) -> str | None:
    """What to say of a store that was reached and said no in a way that is no reason of its own."""
    status = _status(text)
    refused = status is not None and 400 <= status < 500 and status not in (408, 429)
    return "was refused by the store" if refused else None


def _translate_local(uri: str, caught: OSError) -> ArtifactError:
    place = caught.filename or "a local file"
    if caught.errno in _DISK_FULL:
        return error("DiskFull", uri)
    reason: Reason = "DiskError"
    if isinstance(caught, FileNotFoundError):
        reason = "NotFound"
    elif isinstance(caught, PermissionError):
        reason = "AccessDenied"
    elif caught.errno in _OF_THE_PATH:
        reason = "Unsupported"
    if reason == "DiskError":
        return error(reason, uri, f"{place}: {caught.strerror}")
    return error(reason, uri, hint=f"could not be moved: {place}: {caught.strerror}")


# S3-like stores answer some of these with status 404, which would read as "no such object".
_CREDENTIAL_CODES = frozenset(
    {
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
        "XAdminUserNotFound",
        "AuthenticationFailed",
        "AuthorizationFailure",
        "AccountProblem",
        "AllAccessDisabled",
    }
)


_NO_PART = re.compile(
    "Requested range was invalid"  # a folder's words
    "|non-partial response when range requested"  # of a server, or a proxy before it, that knows nothing of ranges
    r"|(Content-Range|CONTENT_RANGE) header|Requested [0-9]+\.\.[0-9]+, got "  # of one that gives another part
)
"""What obstore says where the part that was asked for isn't given, which a store may say by status 416."""


def _status(text: str) -> int | None:
    if _NO_PART.search(text):
        return 416
    found = re.search(r"returned non-2xx status code: (\d{3})", text)
    return int(found.group(1)) if found and _store_code(text) != "RequestTimeout" else None


def _store_code(text: str) -> str:
    found = re.search(r"<Code>([A-Za-z0-9]{1,64})</Code>", text)
    return found.group(1) if found else ""


def _brief(text: str) -> str:
    """The library's first line, at most 200 characters, without its debug dump, XML and anything secret."""
    line = text.split("\n", 1)[0].split("<", 1)[0]
    # "Object at location k not found: Error performing GET http://... in 1.2ms - Server returned ...": keep the end
    line = line.rsplit(" - ", 1)[-1]
    return redact(line).strip(" :.")[:200]


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` as it can be logged, encoded and shown: names of files and objects hold any bytes.

    Control characters, ends of lines and what is no UTF-8 are written as \\xNN or \\uNNNN.
    """
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found.group())
    if 0xDC80 <= number <= 0xDCFF:  # a byte, as Python's file names carry it
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def redact(text: str) -> str:
    """`text` without user information and query strings of URLs and without values of secret environment variables."""
    text = re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)
    text = re.sub(r"(://[^\s?]*)\?\S*", r"\1", text)
    for name, value in os.environ.items():
        if len(value) >= 6 and any(mark in name for mark in ("SECRET", "TOKEN", "PASSWORD", "KEY", "SAS")):
            text = text.replace(value, "***")
    return text
