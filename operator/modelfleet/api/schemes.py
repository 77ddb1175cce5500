"""The kinds of address that files lie at, and the patterns and words that fields of the API make of them.

What the images can do about them is `artifactstore`'s; a test holds the two lists together.
"""

from collections.abc import Sequence

WRITABLE = ("s3", "gs", "az", "file")
"""Where a training can put its files."""

READABLE = ("s3", "gs", "az", "https", "file")
"""Where data and checkpoints are read from."""

ARTIFACT = ("s3", "gs", "az", "https", "oci", "file")
"""Where the files of a ModelVersion may lie. Nothing here reads oci:// yet: condition UnsupportedFields."""


def pattern(schemes: Sequence[str], rest: str = r"[^\s]+") -> str:
    """The regular expression of an address of one of these kinds; `rest` is what may follow `://`."""
    return rf"^({'|'.join(schemes)})://{rest}$"


def listed(schemes: Sequence[str]) -> str:
    """The kinds as a message names them: "s3://, gs:// or file://"."""
    *first, last = (f"{scheme}://" for scheme in schemes)
    return f"{', '.join(first)} or {last}"
