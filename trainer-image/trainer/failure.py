"""Why a run failed, in words fit for a condition, and whether trying again may help.

docs/trainer.md lists the reasons for users.
"""

from __future__ import annotations

from artifactstore import ArtifactError, printable

EXIT_DONE = 0
EXIT_MAY_BE_RETRIED = 1
EXIT_RETRYING_CANT_HELP = 64  # podFailurePolicy turns it into FailJob
EXIT_STOPPED = 143  # 128 + SIGTERM, as a shell says it; podFailurePolicy ignores it: being suspended is no failure

MESSAGE_LIMIT = 1024

# What may differ at the next try: the node, the network, the disk, luck. Everything else is final.
RETRYABLE = frozenset(
    {"StorageUnavailable", "DiskFull", "DiskError", "OutOfMemory", "GpuMissing", "TrainingFailed", "Interrupted"}
)


class Failure(Exception):
    """The run can't go on. `reason` is stable and CamelCase; `message` says what is wrong and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = shorten(message, MESSAGE_LIMIT)

    @property
    def exit_code(self) -> int:
        if self.reason == "Interrupted":
            return EXIT_STOPPED
        return EXIT_MAY_BE_RETRIED if self.reason in RETRYABLE else EXIT_RETRYING_CANT_HELP

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class Interrupted(BaseException):
    """The pod was asked to stop. Not an Exception, so that no library swallows it on its way up."""


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters that any reader can decode: names of files hold any bytes. Lines stay lines."""
    text = "\n".join(map(printable, text.split("\n")))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def from_artifact(error: ArtifactError, what: str, *, missing: str, unsupported: str) -> Failure:
    """The failure of moving `what` ("dataset", "parent v3", ...); the last two name the reasons that depend on it."""
    reasons = {
        "NotFound": missing,
        "Unsupported": unsupported,
        "AlreadyExists": "VersionExists",
        "Unreachable": "StorageUnavailable",
    }
    return Failure(reasons.get(error.reason, error.reason), f"{what}: {error.message}")
