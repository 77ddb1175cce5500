"""Why a server could not be reached, in the words of what failed and without the server's address. Pure."""

import os
import socket
import ssl

import httpx

# X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH, whose words have the address
_OTHER_NAME = (62, 64)


def why(error: httpx.RequestError) -> str:
    """`ConnectError: Connection refused`: what httpx calls it, and what the system or OpenSSL says, if it is known.

    A server whose certificate is not accepted is there: without that, one would look for it on the network.
    """
    cause: BaseException = error
    while (below := cause.__cause__ or cause.__context__) is not None:
        cause = below
    said = _said(cause)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _said(cause: BaseException) -> str:
    match cause:
        case ssl.SSLCertVerificationError():
            said = "issued to another name" if cause.verify_code in _OTHER_NAME else cause.verify_message
            return f"its certificate is not accepted, {said}"
        case ssl.SSLError():
            return str(cause.reason or "").replace("_", " ").lower()
        case socket.gaierror():
            return cause.strerror or ""
        case OSError(errno=int(number)):
            return os.strerror(number)
    return ""
