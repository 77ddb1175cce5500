"""Why a server could not be reached: said so that one knows where to look, and without its address."""

import errno
import socket
import ssl

import httpx
import pytest

from modelfleet.unreachable import why


def certificate(code, said):
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, said
    return error


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 80)"), ": Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), ": Name or service not known"),
        (certificate(18, "self-signed certificate"), ": its certificate is not accepted, self-signed certificate"),
        (
            certificate(62, "Hostname mismatch, certificate is not valid for 'secret.example'."),
            ": its certificate is not accepted, issued to another name",
        ),
        (OSError("All connection attempts failed"), ""),
        (ValueError("secret.example"), ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("depth", [1, 3])
def test_the_deepest_cause_is_said(cause, says, depth):
    for _ in range(depth):
        above = httpx.ConnectError("secret.example")
        above.__context__, cause = cause, above
    assert why(cause) == f"ConnectError{says}"


def test_what_openssl_says_is_said():
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client = ssl.create_default_context().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="secret.example")
    with pytest.raises(ssl.SSLError) as raised:
        client.do_handshake()
    error = httpx.ConnectError("secret.example")
    error.__cause__ = raised.value
    assert why(error) == "ConnectError: wrong version number"
