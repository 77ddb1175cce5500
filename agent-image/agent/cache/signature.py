"""Whether somebody with a known key has signed a model file, as OpenSSF model-signing (1.x, `sign key`) writes it down.

The signature is a Sigstore bundle beside the files: a DSSE envelope around an in-toto statement, which lists the files'
names and digests, signed with an elliptic curve key. What is verified here is that envelope and that this file, by this
name and digest, is on its list; that the file has the digest is for whoever fetches it. model-signing itself would need
all files of the folder, and five times as much disk for libraries that talk to Sigstore's servers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LIMIT = 4 << 20  # bytes of a bundle: it has a line for each file

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_SIGNATURES = 8
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_END = "-----END PUBLIC KEY-----"

Key = ec.EllipticCurvePublicKey


class Invalid(ValueError):
    """The bundle does not say that this file is signed; the text says why not."""


def keys(pem: str) -> tuple[Key, ...]:
    """Public keys in PEM, one after the other. Raises ValueError."""
    found = []
    for each in pem.split(_END)[:-1]:
        try:
            key = serialization.load_pem_public_key(f"{each.strip()}\n{_END}\n".encode())
        except UnsupportedAlgorithm as error:  # a curve that is not known: no ValueError
            raise ValueError(f"a key of another kind than {', '.join(_HASHES)}: {error}") from None
        if not isinstance(key, Key) or key.curve.name not in _HASHES:
            raise ValueError(f"a key of another kind than {', '.join(_HASHES)}")
        found.append(key)
    if not found:
        raise ValueError("no public key in PEM (BEGIN PUBLIC KEY)")
    return tuple(found)


def verify(bundle: bytes, trusted: tuple[Key, ...], name: str, sha256: str) -> None:
    """Raises Invalid unless one of the keys has signed a file of this name and digest (lower-case hexadecimal)."""
    try:
        payload = _signed(json.loads(bundle), trusted)
        listed = dict(_files(json.loads(payload)))
    except Invalid:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"it is not a signature as model-signing makes it ({type(error).__name__}: {error})") from None
    if name not in listed:
        raise Invalid(f"it is of other files than {name}")
    if listed[name] != sha256:
        raise Invalid(f"it is of another {name}, with sha256 {listed[name]}")


def _signed(bundle: Any, trusted: tuple[Key, ...]) -> bytes:
    """What one of the keys has signed."""
    if bundle["mediaType"] != _BUNDLE:
        raise Invalid(f"it is a {str(bundle['mediaType'])[:80]}, and not a {_BUNDLE}")
    envelope = bundle["dsseEnvelope"]
    if envelope["payloadType"] != _PAYLOAD:
        raise Invalid(f"it holds a {str(envelope['payloadType'])[:80]}, and not a {_PAYLOAD}")
    payload = base64.b64decode(envelope["payload"], validate=True)
    # DSSE's pre-authentication encoding: what is signed says of what type it is
    encoded = b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)
    for entry in envelope["signatures"][:_SIGNATURES]:
        signature = base64.b64decode(entry["sig"], validate=True)
        if any(_is_of(key, signature, encoded) for key in trusted):
            return payload
    raise Invalid("none of the keys in the operator's settings (signatures.publicKeys) has made it")


def _is_of(key: Key, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def _files(statement: Any) -> Iterator[tuple[str, str]]:
    """Name and digest of each file that a statement lists."""
    if statement["_type"] != _STATEMENT or statement["predicateType"] != _PREDICATE:
        raise Invalid(f"it states a {str(statement['predicateType'])[:80]}, and not a {_PREDICATE}")
    predicate = statement["predicate"]
    if predicate["serialization"]["method"] != "files":
        raise Invalid("it lists parts of files (shards): sign with the default serialization, by files")
    root = hashlib.sha256()
    for resource in predicate["resources"]:
        if resource["algorithm"] != "sha256":
            raise Invalid(f"it lists digests by {str(resource['algorithm'])[:20]}: sign with the default, sha256")
        digest = bytes.fromhex(_text(resource["digest"]))
        root.update(digest)
        yield _text(resource["name"]), digest.hex()
    (subject,) = statement["subject"]
    if subject["digest"]["sha256"] != root.hexdigest():
        raise Invalid("its list and its subject contradict each other")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value
