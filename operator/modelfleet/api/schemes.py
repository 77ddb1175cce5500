"""The kinds of address that files lie at, and the patterns and words that fields of the API make of them.

What the images can do about them is `artifactstore`'s; a test holds the two lists together.
"""

from collections.abc import Sequence

WRITABLE = ("s3", "gs", "az", "file")
"""Where a training can put its files."""

READABLE = ("s3", "gs", "az", "https", "file")
"""Where data and checkpoints are read from."""

ARTIFACT = ("s3", "gs", "az", "https", "oci", "file")
"""Where the files of a ModelVersion may lie. A registry has no folders that could be listed or written to."""


def no_space(nor: str = "") -> str:
    r"""The pattern of a character that is no white space, nor one of these.

    `\s` would be another set to the API server (ASCII alone) than to pydantic (Unicode), and what only one of them
    takes can be applied and not be read.
    """
    return rf"[^ \t\n\f\r{nor}]"


ANY = f"^[a-z0-9]+://{no_space()}+$"
WEB = f"^https?://{no_space()}+$"
WEB_WITHOUT_USER = f"^https?://{no_space('@')}+$"

PINNED = r"^[^@]+@sha256:[0-9a-f]{64}/?$"
"""An oci:// address that says which manifest it means: a tag can be moved to another."""


def pattern(schemes: Sequence[str], rest: str = f"{no_space()}+") -> str:
    """The regular expression of an address of one of these kinds; `rest` is what may follow `://`."""
    return rf"^({'|'.join(schemes)})://{rest}$"


def listed(schemes: Sequence[str]) -> str:
    """The kinds as a message names them: "s3://, gs:// or file://"."""
    *first, last = (f"{scheme}://" for scheme in schemes)
    return f"{', '.join(first)} or {last}"
