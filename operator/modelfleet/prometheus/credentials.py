"""How the operator shows who it is to a metrics provider: from files, which are read again when they change."""

import ssl
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True)
class Credentials:
    """Files as a mounted Secret gives them. Absent means not used; a token wins over name and password.

    `ca` is a PEM bundle in place of the system's; `certificate` and `key` are the client's own for mutual TLS.
    """

    bearer_token: Path | None = None
    username: Path | None = None
    password: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

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


class FileAuth(httpx.Auth):
    """Reads token or password at each request: a rotated Secret is used at once and never kept in memory for long."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the Authorization header. Raises OSError where a file can't be read."""
        files = self._credentials
        if files.bearer_token is not None:
            request.headers["Authorization"] = f"Bearer {_read(files.bearer_token)}"
        elif files.username is not None and files.password is not None:
            basic = httpx.BasicAuth(_read(files.username), _read(files.password))
            yield from basic.auth_flow(request)
            return
        yield request


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
