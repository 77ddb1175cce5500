"""What an address in the settings has to be: one that the HTTP client takes, and does not raise at when it is used."""

import urllib.parse

import httpx


def is_address(text: str) -> bool:
    """Whether it is an http or https address that can be asked."""
    try:
        url = httpx.URL(text)
        urllib.parse.urlsplit(text)  # it refuses brackets around what is no IPv6 address, which httpx takes
    except (httpx.InvalidURL, ValueError):
        return False
    port = 80 if url.port is None else url.port
    return url.scheme in ("http", "https") and bool(url.host) and 0 < port < 65536 and text.split() == [text]
