"""What the verification of a ModelVersion found, kept in an annotation of the ModelVersion. Pure.

The Job is gone minutes after it ended, and a status may be wiped: the annotation is what lasts. It names the uid of the
version that it speaks of, and since all but the tags of a version is immutable, that binds it to the artifact too: an
annotation that was copied or restored onto another object counts for nothing, and that one is verified itself.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from modelfleet.api import ModelVersion
from modelfleet.api.foreign import parsed
from modelfleet.api.names import VERIFICATION
from modelfleet.api.reasons import Reason
from modelfleet.times import parse_time, wire_time

VERIFIED = Reason.VERIFIED

_MESSAGE = 900  # characters of a message that are kept


@dataclass(frozen=True)
class Record:
    """The outcome of the last attempt.

    result    Verified, or the CamelCase reason why not
    message   what was found, for people
    attempts  how many there were, this one included
    job       uid of the Job that found it, so that no Job counts twice
    """

    result: str
    message: str
    at: datetime
    attempts: int
    job: str

    @property
    def verified(self) -> bool:
        """Whether all files were found as declared."""
        return self.result == VERIFIED


def read(version: ModelVersion) -> Record | None:
    """The record of this very version; None when there is none, or none that can be read: it is verified again."""
    text = version.metadata.annotations.get(VERIFICATION)
    if text is None:
        return None
    try:
        value = parsed(text)
        if value["uid"] != version.metadata.uid:
            return None
        return Record(
            result=str(value["result"]),
            message=str(value["message"]),
            at=parse_time(value["at"]),
            attempts=int(value["attempts"]),
            job=str(value["job"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def to_text(record: Record, version: ModelVersion) -> str:
    """The annotation's value."""
    value = {
        "uid": version.metadata.uid,
        "result": record.result,
        "message": record.message[:_MESSAGE],
        "at": wire_time(record.at),
        "attempts": record.attempts,
        "job": record.job,
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
