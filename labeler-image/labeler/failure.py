"""Why a run failed, in words fit for a condition, and whether trying again may help."""

from __future__ import annotations

from artifactstore import ArtifactError

EXIT_DONE = 0
EXIT_MAY_BE_RETRIED = 1
EXIT_RETRYING_CANT_HELP = 64
EXIT_STOPPED = 143  # 128 + SIGTERM

MESSAGE_LIMIT = 1024  # characters

# What may differ at the next try: the network, the disk, another writer. Everything else is a person's to change.
RETRYABLE = frozenset(
    {
        "LabelStudioUnreachable",
        "CapturesUnreachable",
        "StoreUnreachable",
        "DiskFull",
        "DiskError",
        "VersionExists",
        "LabelerFailed",
    }
)


class Failure(Exception):
    """The run can't go on. `reason` is stable and CamelCase; `message` says what is wrong and what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"

    @property
    def exit_code(self) -> int:
        if self.reason == "Interrupted":
            return EXIT_STOPPED
        return EXIT_MAY_BE_RETRIED if self.reason in RETRYABLE else EXIT_RETRYING_CANT_HELP

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def from_artifact(error: ArtifactError, unreachable: str) -> Failure:
    """The failure of reading or writing a store; `unreachable` is the reason where it can't be reached."""
    reasons = {"Unreachable": unreachable, "AlreadyExists": "VersionExists"}
    return Failure(reasons.get(error.reason, error.reason), error.message)
