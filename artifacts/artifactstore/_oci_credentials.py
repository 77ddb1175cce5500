"""Who we are to a registry: the challenge of its 401, and the docker configuration that holds the answer. Pure but for
reading the configuration.

The configuration is that of docker, podman and oras: `config.json` in the folder DOCKER_CONFIG names, or its content in
DOCKER_AUTH_CONFIG; a pull secret holds the same. Both say to which registry each credential belongs, and it is sent to
no other: whoever may write an address must not be able to have credentials sent to a place of their own.

Names of registries are read as the kubelet reads them: `*.registry.example` is one label more than `registry.example`,
a port is compared, and a path is a part of the registry. Where several fit, they are tried in turn.
"""

from __future__ import annotations

import base64
import fnmatch
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Credential:
    """What an entry of the configuration has: `basic`, name and password as a header has them; `identity`, what tokens
    are asked for with (`identitytoken`, an OAuth2 refresh token); `token`, what the registry itself takes
    (`registrytoken`). "" where it has none."""

    basic: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def fitting(uri: str, registry: str, repository: str) -> tuple[Credential, ...]:
    """What the configuration has for this repository, in the order in which it is tried: a registry by its name before
    a pattern of names, then the longest path. Raises ArtifactError AccessDenied for a configuration that can't be read.
    """
    auths = _configuration(uri).get("auths")
    found = []
    for name, entry in auths.items() if isinstance(auths, dict) else ():
        host, path = _host_and_path(name)
        named = host == registry
        fits = (named or _matches(host, registry)) and f"{repository}/".startswith(path)
        if fits and isinstance(entry, dict):
            found += [((named, len(path), len(host)), credential) for credential in _of_entry(entry)]
    found.sort(key=lambda each: each[0], reverse=True)
    return tuple(dict.fromkeys(credential for _, credential in found))


def _host_and_path(name: str) -> tuple[str, str]:
    """`https://registry/v1/` and `registry` are both the whole registry; `registry/team` is a part of it, "team/"."""
    host, _, path = re.sub(r"^https?://", "", name).partition("/")
    path = re.sub(r"^v[12](/|$)", "", path).strip("/")
    return known(host.lower()), f"{path}/" if path else ""


def _matches(pattern: str, registry: str) -> bool:
    """Whether a name with wildcards is that of the registry. Each stands for what is between two dots, at the most."""
    if not re.search(r"[*?]", pattern):  # a bracket alone is that of an IPv6 address
        return False
    theirs, _, their_port = pattern.partition(":")
    ours, _, our_port = registry.partition(":")
    labels, among = theirs.split("."), ours.split(".")
    return (
        their_port == our_port
        and len(labels) == len(among)
        # no name of a host begins with "!": Go negates with "^"
        and all(fnmatch.fnmatchcase(one, label.replace("[^", "[!")) for one, label in zip(among, labels, strict=True))
    )


def _of_entry(entry: Mapping[str, Any]) -> list[Credential]:
    """A password beside a token is tried, too: tokens end, and docker writes a name without a password beside them."""
    found = Credential(_basic(entry), _word(entry.get("identitytoken")), _word(entry.get("registrytoken")))
    if found == Credential():
        return []
    if (found.identity or found.token) and _has_password(found.basic):
        return [replace(found, basic=""), Credential(found.basic)]
    return [found]


def _has_password(basic: str) -> bool:
    try:
        return base64.b64decode(basic).partition(b":")[2].strip(b"\0") != b""  # docker pads with these
    except ValueError:
        return False


def _basic(entry: Mapping[str, Any]) -> str:
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        return str(entry["auth"]) if re.fullmatch(r"[A-Za-z0-9+/=]+", entry["auth"]) else ""
    if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
        return base64.b64encode(f"{entry['username']}:{entry['password']}".encode()).decode()
    return ""


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]+", value) else ""


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
