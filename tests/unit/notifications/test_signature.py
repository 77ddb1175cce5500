"""Signatures against what the specification's own library (standardwebhooks 1.1.0 of PyPI) makes of the same input."""

import base64
from datetime import UTC, datetime

import pytest

from modelfleet.notifications import signature

AT = datetime.fromtimestamp(1614265330, UTC)
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
BODY = b'{"test": 2432232314}'


def test_it_is_that_of_standard_webhooks():
    assert signature.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, AT, signature.read_keys(KEY)) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNED,
    }


def test_without_a_key_there_is_no_signature():
    assert signature.headers("a", BODY, AT, ()) == {"webhook-id": "a", "webhook-timestamp": "1614265330"}


def test_while_a_key_is_replaced_both_sign():
    other = "whsec_" + base64.b64encode(b"k" * 32).decode()
    keys = signature.read_keys(f"{other}\n{KEY}\n")
    [first, second] = signature.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, AT, keys)["webhook-signature"].split(" ")
    assert second == SIGNED
    assert first.startswith("v1,")
    assert first != second


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("topsecret", "must be whsec_ and base64"),
        ("whsec_topsecret!", "is not base64 behind whsec_"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "has 23 bytes behind whsec_, not 24 to 64"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "has 65 bytes behind whsec_, not 24 to 64"),
        (f"{KEY} topsecret", "must be whsec_ and base64"),
    ],
)
def test_what_is_no_key_is_said_and_not_shown(text, says):
    with pytest.raises(ValueError, match=says) as raised:
        signature.read_keys(text)
    assert "topsecret" not in str(raised.value)
