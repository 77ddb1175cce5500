"""Signatures of model files: what model-signing made counts, and nothing else does.

`signed/` holds two files that `python -m model_signing sign key parts --private_key ... --signature parts/model.sig`
of model-signing 1.1.1 has signed, and the public key; the private one is gone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_processes import Stored
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.cache import fetch, signature
from agent.config import ConfigError, fetch_config
from agent.termination import Refused

SIGNED = Path(__file__).parent / "signed"
BUNDLE = (SIGNED / "parts/model.sig").read_bytes()
PUBLIC = (SIGNED / "key.pem").read_text()
DIGEST = hashlib.sha256((SIGNED / "parts/best.onnx").read_bytes()).hexdigest()
HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
OURS = ec.generate_private_key(ec.SECP256R1())


def pem(private: Any) -> str:
    public = private.public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form).decode()


def statement(*files: tuple[str, str], **changed: Any) -> dict[str, Any]:
    """As model-signing writes it."""
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in files)).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "parts", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256"},
            "resources": [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in files],
        },
    } | changed


def signed(states: Any, private: ec.EllipticCurvePrivateKey = OURS, **changed: Any) -> bytes:
    """A bundle that `private` has made of it; `changed` are members of the envelope that were changed afterwards."""
    content = states if isinstance(states, bytes) else json.dumps(states).encode()
    kind = "application/vnd.in-toto+json"
    encoded = f"DSSEv1 {len(kind)} {kind} {len(content)} ".encode() + content
    made = private.sign(encoded, ec.ECDSA(HASHES[private.curve.key_size]))
    envelope = {
        "payload": base64.b64encode(content).decode(),
        "payloadType": kind,
        "signatures": [{"sig": base64.b64encode(made).decode(), "keyid": ""}],
    } | changed
    return json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope}).encode()


def refusal(bundle: bytes, keys: str = PUBLIC, name: str = "best.onnx", sha256: str = DIGEST) -> str:
    with pytest.raises(signature.Invalid) as caught:
        signature.verify(bundle, signature.keys(keys), name, sha256)
    return str(caught.value)


def test_what_model_signing_made_counts_for_each_of_its_files() -> None:
    trusted = signature.keys(PUBLIC)
    for name in ("best.onnx", "best.pt"):
        content = (SIGNED / "parts" / name).read_bytes()
        signature.verify(BUNDLE, trusted, name, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_one_of_several_keys_of_each_kind(curve: ec.EllipticCurve) -> None:
    private = ec.generate_private_key(curve)
    trusted = signature.keys(PUBLIC + "\n" + pem(private))
    signature.verify(signed(statement(("best.onnx", DIGEST)), private), trusted, "best.onnx", DIGEST)
    signature.verify(BUNDLE, trusted, "best.onnx", DIGEST)


@pytest.mark.parametrize(
    ("name", "sha256", "says"),
    [("best.onnx", "0" * 64, "another best.onnx"), ("other.onnx", DIGEST, "other files than other.onnx")],
)
def test_another_file_is_not_signed_by_it(name: str, sha256: str, says: str) -> None:
    assert says in refusal(BUNDLE, name=name, sha256=sha256)


def test_another_key_has_not_made_it() -> None:
    assert "none of the keys" in refusal(BUNDLE, pem(OURS))


def test_a_list_that_was_changed_after_signing_is_not_signed() -> None:
    bundle = json.loads(BUNDLE)
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    assert "none of the keys" in refusal(json.dumps(bundle).encode(), sha256="0" * 64)


RSA = pem(rsa.generate_private_key(65537, 2048))
FILE = ("best.onnx", DIGEST)
SHARDS = statement(FILE)["predicate"] | {"serialization": {"method": "shards"}}
BLAKE = {"serialization": {"method": "files"}, "resources": [{"name": "a", "algorithm": "blake2b", "digest": "00"}]}


@pytest.mark.parametrize(
    ("bundle", "says"),
    [
        (b"", "not a signature"),
        (b"[" * 5000, "not a signature"),
        (b"{}", "mediaType"),
        (signed(statement(FILE), payload="?"), "not a signature"),
        (signed(statement(FILE), payloadType="text/plain"), "text/plain"),
        (signed(statement(FILE), signatures=[]), "none of the keys"),
        (signed(b"not json"), "not a signature"),
        (signed(statement(FILE, predicateType="https://slsa.dev/provenance/v1")), "slsa.dev"),
        (signed(statement(FILE, _type="other")), "it states"),
        (signed(statement(FILE, subject=[{"digest": {"sha256": "0" * 64}}])), "contradict"),
        (signed(statement(FILE, predicate=SHARDS)), "shards"),
        (signed(statement(FILE, predicate=BLAKE)), "blake2b"),
    ],
)
def test_what_is_no_signature_by_the_book_is_refused_with_the_reason(bundle: bytes, says: str) -> None:
    assert says in refusal(bundle, pem(OURS))


UNKNOWN_CURVE = """-----BEGIN PUBLIC KEY-----
MFUwEwYHKoZIzj0CAQYIKoZIzj0DAQQDPgAEWN8jgwWk5lVVRe7Jdx8AMo4jlGgD
5nPKdJy5tnKDUCnVeWxHE1jPM+hQhR+e0UzmoWyrBbTenDcYKZ97
-----END PUBLIC KEY-----
"""
"""Of openssl's prime239v1."""


@pytest.mark.parametrize(
    "text", ["", "nonsense", RSA, UNKNOWN_CURVE, PUBLIC + UNKNOWN_CURVE, PUBLIC[:60] + PUBLIC[70:]]
)
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the last in the words of cryptography
        signature.keys(text)


# --- in the cache -----------------------------------------------------------------------------------------------------

Make = Callable[..., Stored]


def demanding(model: Stored, bundle: bytes | None = None, keys: str = pem(OURS)) -> Any:
    """What `agent fetch` is told where signatures are demanded; `bundle` is what lies beside the model."""
    beside = Path(model.uri.removeprefix("file://")).with_name("model.sig")
    beside.unlink(missing_ok=True)
    if bundle is not None:
        beside.write_bytes(bundle)
    return fetch_config(model.env | {"MODEL_SIGNATURE_URI": f"file://{beside}", "MODEL_SIGNATURE_KEYS": keys})


def of(model: Stored) -> bytes:
    return signed(statement(("best.onnx", model.env["MODEL_SHA256"])))


def test_a_signed_model_gets_into_the_cache_and_needs_no_network_again(stored: Make) -> None:
    model = stored(b"one")
    fetch.run(demanding(model, of(model)))
    assert model.path.read_bytes() == b"one"
    Path(model.uri.removeprefix("file://")).unlink()
    fetch.run(demanding(model))


@pytest.mark.parametrize(
    ("bundle", "reason", "says"),
    [(None, "SignatureMissing", "sign the version's files"), (BUNDLE, "SignatureInvalid", "none of the keys")],
)
def test_an_unsigned_model_never_gets_into_the_cache(
    stored: Make, bundle: bytes | None, reason: str, says: str
) -> None:
    model = stored(b"one")
    with pytest.raises(Refused) as caught:
        fetch.run(demanding(model, bundle))
    assert caught.value.reason == reason
    assert says in caught.value.message
    assert not model.path.exists()


def test_a_model_that_came_unsigned_is_not_run_once_signatures_are_demanded(stored: Make) -> None:
    model = stored(b"one")
    fetch.run(fetch_config(model.env))
    with pytest.raises(Refused, match="SignatureMissing"):
        fetch.run(demanding(model))


def test_a_key_that_was_withdrawn_counts_no_more(stored: Make) -> None:
    model = stored(b"one")
    fetch.run(demanding(model, of(model)))
    with pytest.raises(Refused, match="SignatureInvalid"):
        fetch.run(demanding(model, of(model), keys=PUBLIC))


def test_a_signed_list_does_not_make_another_file_right(stored: Make) -> None:
    model = stored(b"one")
    config = demanding(model, of(model))
    Path(model.uri.removeprefix("file://")).write_bytes(b"ono")
    with pytest.raises(Refused, match="DigestMismatch"):
        fetch.run(config)
    assert not model.path.exists()


def test_keys_that_are_none_are_the_settings_fault(stored: Make) -> None:
    model = stored(b"one")
    with pytest.raises(ConfigError, match="MODEL_SIGNATURE_KEYS"):
        fetch.run(demanding(model, of(model), keys="nonsense"))
    with pytest.raises(ConfigError, match="MODEL_SIGNATURE_KEYS is not set"):
        fetch_config(model.env | {"MODEL_SIGNATURE_URI": "file:///x"})
    assert replace(demanding(model, None), signature=None) == fetch_config(model.env)
