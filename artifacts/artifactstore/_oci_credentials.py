"""Who we are to a registry: the challenge of its 401, and the docker configuration that holds the answer. Pure but for
reading the configuration.

The configuration is that of docker, podman and oras: `config.json` in the folder DOCKER_CONFIG names, or its content in
DOCKER_AUTH_CONFIG. Both say to which registry each credential belongs, and it is sent to no other: whoever may write an
address must not be able to have credentials sent to a place of their own.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import error
from ._oci_reference import known

_LIMIT = 1 << 20  # bytes of a configuration
_PART = re.compile(
    r'(?P<name>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s,"]+))|(?P<scheme>[A-Za-z][A-Za-z0-9-]*)(?=\s|,|$)'
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for: `scheme` is "bearer" or "basic"; of a token, where (`realm`), for whom, and what for."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def challenge(header: str) -> Challenge | None:
    """The challenge of a WWW-Authenticate header; None where none can be answered.

    There may be several: a token is asked for rather than that name and password go with each request.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for part in _PART.finditer(header):
        if part["scheme"]:
            found.append((part["scheme"].lower(), {}))
        elif found:
            found[-1][1].setdefault(part["name"].lower(), part["quoted"] or part["bare"] or "")
    for scheme, given in found:
        if scheme == "bearer" and given.get("realm"):
            return Challenge("bearer", given["realm"], given.get("service", ""), given.get("scope", ""))
    return Challenge("basic") if any(scheme == "basic" for scheme, _ in found) else None


def basic(uri: str, registry: str, repository: str) -> str | None:
    """The value of an Authorization header for this repository; None where the configuration has none.

    Raises ArtifactError AccessDenied for a configuration that can't be read.
    """
    auths = _configuration(uri).get("auths")
    entries = auths.items() if isinstance(auths, dict) else ()
    place = f"{registry}/{repository}/"
    fitting = [(_host_and_path(name), entry) for name, entry in entries if place.startswith(_host_and_path(name))]
    for _, entry in sorted(fitting, key=lambda each: len(each[0]), reverse=True):  # the closest first
        if isinstance(entry, dict) and (found := _encoded(entry)):
            return f"Basic {found}"
    return None


def _host_and_path(name: str) -> str:
    """`https://registry/v1/` and `registry` are both the whole registry; `registry/team` is a part of it."""
    bare = re.sub(r"/v[12]/?$", "", re.sub(r"^https?://", "", name)).strip("/")
    host, slash, path = bare.partition("/")
    return f"{known(host.lower())}{slash}{path}/"


def _encoded(entry: Mapping[str, Any]) -> str:
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        return str(entry["auth"]) if re.fullmatch(r"[A-Za-z0-9+/=]+", entry["auth"]) else ""
    if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
        return base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()
    return ""


def _configuration(uri: str) -> Mapping[str, Any]:
    text, place = os.environ.get("DOCKER_AUTH_CONFIG", ""), "DOCKER_AUTH_CONFIG"
    if not text and (folder := os.environ.get("DOCKER_CONFIG")):
        path = Path(folder, "config.json")
        place = str(path)
        try:
            with path.open("rb") as file:
                text = file.read(_LIMIT).decode("utf-8", "replace")
        except OSError as caught:
            raise error("AccessDenied", uri, hint=f"needs {place}, which can't be read: {caught.strerror}") from None
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise error("AccessDenied", uri, hint=f"needs {place}, which is not a docker configuration in JSON")
    return value
