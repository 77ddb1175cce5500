"""How the operator shows who it is to a server of its settings, a metrics provider or a receiver of notifications: from
files, which are read again when they change."""

import re
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e]+)")


@dataclass(frozen=True)
class Credentials:
    """Files as a mounted Secret gives them. Absent means not used; a token wins over name and password.

    `ca` is a PEM bundle in place of the system's; `certificate` and `key` are the client's own for mutual TLS;
    `headers` has further headers of each request, a line `Name: value` each: a tenant, the key of a gateway.
    """

    bearer_token: Path | None = None
    username: Path | None = None
    password: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    headers: Path | None = None

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("basic authentication needs both a username and a password file")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("mutual TLS needs both a certificate and a key file")

    def tls(self) -> ssl.SSLContext:
        """The TLS context of these files. Raises OSError and ssl.SSLError where one of them is missing or broken."""
        context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context

    def tls_age(self) -> tuple[int, ...]:
        """Changes whenever a file of the TLS context was replaced, as Kubernetes does when a Secret is rotated."""
        return tuple(0 if path is None else path.stat().st_mtime_ns for path in (self.ca, self.certificate, self.key))


class HttpClient:
    """An HTTP client that goes by these credentials: it follows no redirect, and takes no proxy from the environment.

    `timeout` bounds one request, in seconds; `https` says whether the TLS files are needed; `transport` replaces the
    network in tests. Close it with `aclose`.
    """

    def __init__(
        self, credentials: Credentials, timeout: float, *, https: bool, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._credentials = credentials
        self._timeout = timeout
        self._https = https
        self._transport = transport
        self._http: httpx.AsyncClient | None = None
        self._tls_age: tuple[int, ...] = ()

    async def get(self) -> httpx.AsyncClient:
        """The client; a new one after the files of its TLS context were rotated. Raises OSError and ssl.SSLError where
        one of them is missing or broken."""
        age = self._credentials.tls_age()
        if self._http is not None and age != self._tls_age:
            await self.aclose()
        if self._http is None:
            self._tls_age = age
            self._http = httpx.AsyncClient(
                auth=FileAuth(self._credentials),
                follow_redirects=False,
                timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 5.0)),
                trust_env=False,
                transport=self._transport,
                verify=self._credentials.tls() if self._https else True,
            )
        return self._http

    async def aclose(self) -> None:
        """Close the connections; a later `get` opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()


class HeaderLineError(OSError):
    """A line of the file of headers is not `Name: value`. The text has no part of it: it may be a secret."""


class BearerTokenError(OSError):
    """A file of a token has none, or one that no header can carry. The text has no part of it."""


class FileAuth(httpx.Auth):
    """Reads headers, token or password at each request: a rotated Secret is used at once and not kept in memory.

    Without any of them, name and password are those in the address: given any `auth`, httpx leaves them out.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the headers. Raises OSError where a file can't be read or used."""
        files = self._credentials
        if files.headers is not None:
            request.headers.update(_headers(_read(files.headers)))
        if files.bearer_token is not None:
            request.headers["Authorization"] = f"Bearer {_token(_read(files.bearer_token))}"
        elif files.username is not None and files.password is not None:
            yield from httpx.BasicAuth(_read(files.username), _read(files.password)).auth_flow(request)
            return
        elif request.url.userinfo and "Authorization" not in request.headers:
            yield from httpx.BasicAuth(request.url.username, request.url.password).auth_flow(request)
            return
        yield request


def _headers(text: str) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (match := _HEADER.fullmatch(line.strip())):
            raise HeaderLineError(f"line {number} of the headers is not `Name: value`")
        found[match[1]] = match[2]
    return found


def _token(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise BearerTokenError("the token is empty, or has spaces or more than one line")
    return text


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
