"""The page: one HTML document with its style and its script, and the policy that lets a browser run just these."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Page:
    """The document, and the Content-Security-Policy with which it is sent."""

    document: bytes
    policy: str


def load() -> Page:
    """The page, put together from the files beside this one."""
    folder = resources.files(__name__)
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    document = folder.joinpath("index.html").read_text("utf-8")
    document = document.replace("/*style*/", style).replace("/*script*/", script)
    rules = (
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
        f"style-src {_hash(style)}",
        f"script-src {_hash(script)}",
    )
    return Page(document.encode(), "; ".join(rules))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
