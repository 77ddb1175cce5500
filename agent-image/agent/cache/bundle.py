"""The signature of a version's files, where one is demanded: read at its source, and whether it counts for a file."""

from __future__ import annotations

from agent.cache import signature
from agent.cache.signature import Key
from agent.config import ConfigError, Demanded
from agent.termination import Refused
from artifactstore import ArtifactError, read_bytes


def trusted(demanded: Demanded) -> tuple[Key, ...]:
    """The keys of which one must have made it. Raises ConfigError."""
    try:
        return signature.keys(demanded.keys)
    except ValueError as error:
        raise ConfigError(demanded.variable, f"has {error}") from None


def read(demanded: Demanded) -> bytes:
    """The signature at its source. Raises Refused(SignatureMissing), and ArtifactError where that can't be read."""
    try:
        return read_bytes(demanded.uri, limit=signature.LIMIT)
    except ArtifactError as error:
        if error.reason != "NotFound":
            raise
        message = f"{demanded.uri} is not there, and only signed models are to run: sign the version's files"
        raise Refused("SignatureMissing", message) from None


def require(demanded: Demanded, content: bytes, name: str, sha256: str, uri: str) -> None:
    """Raises Refused(SignatureInvalid) unless what was read is of the file of this name and digest, which is at `uri`;
    ConfigError where the keys are none."""
    try:
        signature.verify(content, trusted(demanded), name, sha256)
    except signature.Invalid as error:
        raise Refused("SignatureInvalid", f"{demanded.uri} does not sign {uri}: {error}") from None
