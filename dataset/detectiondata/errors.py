"""What is wrong with a dataset, as an exception fit for a condition."""

from __future__ import annotations

from typing import Literal

Reason = Literal["DatasetInvalid", "DigestMismatch", "DiskFull"]


class DatasetError(Exception):
    """The data can't be used. `message` says what is wrong and what to do; `reason` is stable and CamelCase."""

    def __init__(self, message: str, reason: Reason = "DatasetInvalid") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
