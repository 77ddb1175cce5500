"""Whether a program that was started answers already, by its page for that."""

import urllib.request


def answers(url: str, seconds: float = 2) -> bool:
    """Whether this page answers with HTTP 200. Whatever else comes of it is a no: it is asked again."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except OSError:  # URLError and HTTPError are such
        return False
