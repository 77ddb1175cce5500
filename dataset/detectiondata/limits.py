"""What a ModelVersion and the environment of a pod have room for, so that it is found out before a GPU is used.

A test of the operator's holds the figures to its API.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

from detectiondata.errors import DatasetError

CLASSES = 1024
NAME = 128  # characters of a class name
# Bytes of all names as JSON. TRAINER_RUN of a later run holds those of its parent and of its baseline, and Linux takes
# no variable of more than 128 KiB.
NAMES = 48 << 10

_UNPRINTED = ("Cc", "Cs")  # control characters; halves of characters, from names in other encodings


def check(names: Sequence[str], uri: str) -> None:
    """Raises DatasetError for classes that no ModelVersion can list."""
    if len(names) > CLASSES:
        raise DatasetError(
            f"{uri} has {len(names)} classes, and a ModelVersion lists {CLASSES} at most; merge classes, or train "
            "several models"
        )
    for name in names:
        if len(name) > NAME:
            raise DatasetError(
                f"{uri}: the class name {name[:40]!r}... has {len(name)} characters, and a ModelVersion takes {NAME}; "
                "shorten it"
            )
        if any(unicodedata.category(character) in _UNPRINTED for character in name):
            raise DatasetError(f"{uri}: the class name {name[:40]!r} has control characters; correct it")
    text = json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "replace"))
    if size > NAMES:
        raise DatasetError(
            f"{uri}: the class names have {size} bytes together, and a later run's environment takes {NAMES}; shorten "
            "them"
        )
