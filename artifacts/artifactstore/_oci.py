"""Reading files out of OCI registries: the distribution protocol's GET, over httpx.

What is trusted follows from one digest. The address pins the manifest: its bytes are compared with that digest before
they are read. The manifest names a file's blob by digest and size: no more bytes than that are taken from the registry,
and what they hash to is for the caller to compare, who knows the file's own digest.

A download that breaks goes on where it broke. Failures in a row are bounded, as they are for the object stores: six
tries, or a minute; every piece that arrives starts that again.

Redirects are followed to https only (and from a registry that is spoken to in plain http, to where that is allowed, see
`plain_http`), and never with the registry's credentials: blobs are commonly elsewhere, behind signed addresses.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from . import _oci_credentials, _oci_reference
from ._errors import ArtifactError, error
from ._oci_credentials import Credential
from ._oci_reference import Layer, Reference

_TRIES, _PATIENCE = 6, 60.0  # failures in a row, and seconds that they may take
_FIRST_WAIT, _LAST_WAIT = 0.2, 10.0  # seconds
_HOPS = 5
_TIMEOUT = httpx.Timeout(60, connect=5)  # of silence on the line: a whole download takes as long as it takes
_CREDENTIALS = (
    "was refused by the registry; give the pod its credentials as a docker configuration, in DOCKER_AUTH_CONFIG or in "
    "the folder that DOCKER_CONFIG names (credential helpers are not run)"
)


@dataclass(frozen=True, slots=True)
class Blob:
    """One file in a registry. `chunks(offset)` reads its content from that byte on."""

    layer: Layer
    chunks: Callable[[int], Iterator[bytes]]


@contextlib.contextmanager
def opened(uri: str) -> Iterator[Blob]:
    """Find a file through its manifest. Nothing of the file is read before its chunks are, inside the block.

    Raises ArtifactError NotFound, AccessDenied, DigestMismatch (a manifest that is not the pinned one), Unreachable,
    Unsupported.
    """
    reference = _oci_reference.parse(uri)
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=False, headers={"User-Agent": "modelfleet"}) as client:
        session = _Session(client, reference)
        layer = _find(session, reference)
        yield Blob(layer, lambda offset: session.blob(layer, offset))


def _find(session: _Session, reference: Reference) -> Layer:
    top = _oci_reference.decoded(reference, session.manifest(reference.digest))
    among = [top]
    if inner := _oci_reference.manifests(reference, top):
        among = [_oci_reference.decoded(reference, session.manifest(digest)) for digest in inner]
    found = [layer for each in among if (layer := _oci_reference.layer(reference, each)) is not None]
    if not found:
        has = sorted({name for each in among for name in _oci_reference.names(each)})
        hint = f"is not there: the manifest has no file of that name, but {', '.join(has[:5]) or 'none with a name'}"
        raise error("NotFound", reference.uri, hint=hint)
    if any(other.sha256 != found[0].sha256 for other in found):
        hint = "is in several manifests of that index, each another file; pin the one manifest instead of the index"
        raise error("Unsupported", reference.uri, hint=hint)
    return found[0]


@dataclass
class _Session:
    """One conversation with a registry about one repository, and the token that it was given for it.

    `_ours` are the credentials that have not been refused, None before the registry asks for any.
    """

    client: httpx.Client
    reference: Reference
    _authorization: str | None = field(default=None, repr=False)
    _ours: list[Credential] | None = field(default=None, repr=False)

    def manifest(self, digest: str) -> bytes:
        """The bytes of a manifest or index, which have this digest."""
        path = f"manifests/{digest}"
        raw = self._patiently(lambda: self._read(path, {"Accept": _oci_reference.ACCEPT}))
        found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if found != digest:
            hint = f"is not what was pinned: the registry's manifest for {digest} has the digest {found}"
            raise error("DigestMismatch", self.reference.uri, hint=hint)
        return raw

    def _read(self, path: str, headers: dict[str, str]) -> bytes:
        with self._answer(path, headers) as response:
            return _limited(self.reference.uri, response, _oci_reference.MANIFEST_LIMIT)

    def blob(self, layer: Layer, offset: int) -> Iterator[bytes]:
        """The content of a layer from `offset` on, gone on with where the line breaks."""
        patience = _Patience(self.reference.uri)
        path, ranged = f"blobs/sha256:{layer.sha256}", True
        while offset < layer.size:
            with patience.bearing():
                with self._answer(path, {"Range": f"bytes={offset}-"} if ranged and offset else {}) as response:
                    if response.status_code == 416:
                        ranged = False  # a registry that can't: the whole file again, without what we have
                        patience.failed("the registry does not give a part of the file")
                        continue
                    skip = offset - _begins(response, offset)
                    for chunk in response.iter_raw():  # as it arrives: of a larger piece the begun one would be lost
                        new = chunk[skip:] if skip > 0 else chunk
                        skip -= len(chunk)
                        if new:
                            patience.progressed()
                            offset += len(new)
                            yield new  # also what is too much: whoever counts it says so
                        if offset > layer.size:
                            return
                if offset < layer.size:
                    patience.failed("the answer ended early")

    def _patiently(self, ask: Callable[[], bytes]) -> bytes:
        patience = _Patience(self.reference.uri)
        while True:
            with patience.bearing():
                return ask()

    @contextlib.contextmanager
    def _answer(self, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """A good answer (200, 206) or a 416, to be read inside the block. A token that ended is replaced once; where
        credentials are refused, the next that fit are tried, as the kubelet does.

        Only the registry itself refuses credentials. Who a redirect leads to gets none, and does not say where they go.
        """
        told = None
        while True:
            with self._sent(path, headers) as (response, redirected):
                refused = not redirected and response.status_code in ((401,) if told is None else (401, 403))
                if not refused or (told is not None and not self._has_others()):
                    self._check(response)
                    yield response
                    return
                if told is None:
                    told = response.headers.get("WWW-Authenticate", "")
                else:
                    self._drop()
            self._authorization = self._authorized(told)

    @contextlib.contextmanager
    def _sent(self, path: str, headers: dict[str, str]) -> Iterator[tuple[httpx.Response, bool]]:
        """The answer to a GET, redirects followed, and whether there were any."""
        host = _oci_reference.host(self.reference.registry)
        scheme = "http" if _oci_reference.plain_http(host) else "https"
        url = f"{scheme}://{host}/v2/{self.reference.repository}/{path}"
        sent = headers | ({"Authorization": self._authorization} if self._authorization else {})
        for hop in range(_HOPS):
            with self._stream(url, sent) as response:
                if response.status_code not in (301, 302, 303, 307, 308):
                    yield response, hop > 0
                    return
                location = response.headers.get("Location", "")
            try:
                url = urljoin(url, location)
            except ValueError:
                raise self._no_address() from None
            self._allowed(url, "it redirects to")
            sent = headers
        raise error("Unreachable", self.reference.uri, hint=f"was redirected more than {_HOPS} times")

    @contextlib.contextmanager
    def _stream(
        self, url: str, headers: dict[str, str], form: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer to a GET; to a POST where there is a form."""
        # what is compressed on the way would be counted and resumed wrongly
        sent = {"Accept-Encoding": "identity", **headers}
        try:
            with self.client.stream("GET" if form is None else "POST", url, headers=sent, data=form) as response:
                yield response
        except httpx.InvalidURL:
            raise self._no_address() from None

    def _no_address(self) -> ArtifactError:
        return error(
            "Unsupported", self.reference.uri, hint="can't be read: the registry names an address that is none"
        )

    def _allowed(self, url: str, what: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise self._no_address() from None
        # a registry that is spoken to by TLS sends nobody to this machine's own ports
        plainly = _oci_reference.plain_http(parts.netloc) and _oci_reference.plain_http(self.reference.registry)
        if parts.scheme == "https" or (parts.scheme == "http" and plainly):
            return
        hint = f"is not read: {what} {parts.scheme}://{parts.netloc}, and only https is followed (see OCI_PLAIN_HTTP)"
        raise error("Unsupported", self.reference.uri, hint=hint)

    def _credentials(self) -> list[Credential]:
        if self._ours is None:
            reference = self.reference
            found = _oci_credentials.fitting(reference.uri, reference.registry, reference.repository)
            self._ours = list(found) or [Credential()]  # tokens of what is public are given to everybody
        return self._ours

    def _has_others(self) -> bool:
        return len(self._credentials()) > 1

    def _drop(self) -> None:
        del self._credentials()[0]

    def _authorized(self, header: str) -> str:
        """The Authorization header that answers a challenge. Raises ArtifactError AccessDenied."""
        while True:
            try:
                return self._authorized_by(self._credentials()[0], header)
            except ArtifactError as refusal:
                if refusal.reason != "AccessDenied" or not self._has_others():
                    raise
            self._drop()

    def _authorized_by(self, ours: Credential, header: str) -> str:
        uri = self.reference.uri
        asked = _oci_credentials.challenge(header)
        if asked is None or (asked.scheme == "basic" and not ours.basic):
            raise error("AccessDenied", uri, hint=_CREDENTIALS)
        if asked.scheme == "basic":
            return f"Basic {ours.basic}"
        if ours.token:
            return f"Bearer {ours.token}"
        self._allowed(asked.realm, "its tokens come from")
        scope = asked.scope or f"repository:{self.reference.repository}:pull"
        wanted = {"service": asked.service, "scope": scope} if asked.service else {"scope": scope}
        if ours.identity:
            answer = self._exchanged(asked.realm, ours.identity, wanted)
        else:
            url = f"{asked.realm}{'&' if urlsplit(asked.realm).query else '?'}{urlencode(wanted)}"
            with self._stream(url, {"Authorization": f"Basic {ours.basic}"} if ours.basic else {}) as response:
                self._check(response)
                answer = _json(_limited(uri, response, 1 << 20))
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise error("AccessDenied", uri, hint="was refused: what gives out the registry's tokens gave none")
        return f"Bearer {token}"

    def _exchanged(self, realm: str, identity: str, wanted: Mapping[str, str]) -> dict[str, Any]:
        """What is given for an identity token, by OAuth2: it goes into the body, where no log of a proxy has it."""
        form = {"grant_type": "refresh_token", "refresh_token": identity, "client_id": "modelfleet", **wanted}
        with self._stream(realm, {}, form) as response:
            status = response.status_code
            if 400 <= status < 500 and status not in (408, 429):  # OAuth2 says 400 of a token that ended
                hint = (
                    f"was refused: {urlsplit(realm).netloc} does not take the identity token of the docker "
                    "configuration; log in to the registry again, and give the pod the new configuration"
                )
                raise error("AccessDenied", self.reference.uri, f"{status} {_code(response)}".strip(), hint=hint)
            self._check(response)
            return _json(_limited(self.reference.uri, response, 1 << 20))

    def _check(self, response: httpx.Response) -> None:
        """Raises ArtifactError for a bad status, with the registry's own code."""
        status, uri = response.status_code, self.reference.uri
        if status in (200, 206, 416):
            return
        detail = f"{status} {_code(response)}".strip()
        if status in (401, 403):
            found = error("AccessDenied", uri, detail, hint=_CREDENTIALS)
        elif status == 404:
            found = error("NotFound", uri, detail, hint="is not in the registry; check repository and digest")
        elif status >= 500 or status in (408, 429):
            found = error("Unreachable", uri, detail)
        else:
            found = error("Unsupported", uri, detail, hint="was refused by the registry")
        found.status = status
        raise found


class _Patience:
    """How often, and how long, failures in a row are borne."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self.progressed()

    @contextlib.contextmanager
    def bearing(self) -> Iterator[None]:
        """Bears what goes wrong inside and may pass. Raises ArtifactError for what may not, or when it is too much."""
        try:
            yield
        except httpx.HTTPError as caught:
            self.failed(_words(caught))
        except ArtifactError as caught:
            if not caught.retryable:
                raise
            self.failed(caught)

    def progressed(self) -> None:
        self._failures, self._until = 0, time.monotonic() + _PATIENCE

    def failed(self, why: str | ArtifactError) -> None:
        """Waits for the next try. Raises ArtifactError Unreachable when there is none."""
        wait = min(_FIRST_WAIT * 2**self._failures, _LAST_WAIT) * random.uniform(0.5, 1)
        self._failures += 1
        if self._failures > _TRIES or time.monotonic() + wait > self._until:
            raise why if isinstance(why, ArtifactError) else error("Unreachable", self._uri, why)
        time.sleep(wait)


def _begins(response: httpx.Response, offset: int) -> int:
    """The first byte of the file that the answer holds. Raises httpx.RemoteProtocolError where that is too late."""
    if response.status_code != 206:
        return 0
    found = re.match(r"bytes ([0-9]{1,19})-", response.headers.get("Content-Range", ""))
    if found is None or int(found[1]) > offset:
        raise httpx.RemoteProtocolError("an answer of status 206 is not the part that was asked for")
    return int(found[1])


def _limited(uri: str, response: httpx.Response, limit: int) -> bytes:
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > limit:
            raise error("Unsupported", uri, hint=f"is larger than the {limit} bytes expected of what describes it")
    return bytes(data)


def _json(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _code(response: httpx.Response) -> str:
    """The registry's own word for what is wrong, "" where it has none: MANIFEST_UNKNOWN, DENIED, TOOMANYREQUESTS."""
    with contextlib.suppress(httpx.HTTPError, ArtifactError):
        found = re.search(rb'"code"\s*:\s*"([A-Za-z_]{1,64})"', _limited("", response, 1 << 16))
        return found[1].decode() if found else ""
    return ""


def _words(caught: httpx.HTTPError) -> str:
    return f"{type(caught).__name__}: {caught}"
