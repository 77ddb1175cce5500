"""Reads the text files of a dataset: UTF-8, with or without a byte order mark."""

from __future__ import annotations

from pathlib import Path

from detectiondata.errors import DatasetError


def read_text(root: Path, name: str, uri: str) -> str:
    """Raises DatasetError for a file in another encoding."""
    try:
        return (root / name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DatasetError(f"{uri}: {name} is not UTF-8 text; save it as UTF-8") from None
