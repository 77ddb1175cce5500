"""How the trainer ended in a pod that can't end: noted on the Job, so that it is known when the pod is gone. Pure.

A pod ends when all its containers have; one beside the trainer that goes on (a service mesh, a log shipper) keeps it
from that. It must be deleted then, by us or, at its deadline, by the Job, and the trainer's last word goes with it. So
that word is written into an annotation of the Job before anything is deleted. Once the pod is gone, the note stands for
it among the attempts. One note is enough: of the newest such pod, since there is no next one while it is there.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelfleet.api.foreign import parsed
from modelfleet.api.names import GROUP
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.training.pods import Attempt

LAST_END = f"{GROUP}/last-end"


@dataclass(frozen=True)
class LastEnd:
    """The attempt, and how many had failed through their own fault, it included: the Job counts it a moment after its
    pod is gone."""

    attempt: Attempt
    failures: int


def to_text(end: LastEnd) -> str:
    """The annotation's value."""
    attempt = end.attempt
    value: dict[str, Any] = {
        "pod": attempt.name,
        "uid": attempt.uid,
        "created": attempt.created.isoformat(),
        "finished": attempt.finished and attempt.finished.isoformat(),
        "exitCode": attempt.exit_code,
        "reason": attempt.why,
        "message": attempt.said,
        "disrupted": attempt.disrupted,
        "others": attempt.others,
        "failures": end.failures,
    }
    return json.dumps(value, separators=(",", ":"))


def read(text: str | None) -> LastEnd | None:
    """What was noted; None where there is no note, or none that makes sense (somebody edited it)."""
    if text is None:
        return None
    try:
        value = parsed(text)
        exit_code = int(value["exitCode"])
        attempt = Attempt(
            name=str(value["pod"]),
            uid=str(value["uid"]),
            created=parse_time(value["created"]),
            phase="Failed" if exit_code else "Succeeded",
            finished=parse_optional_time(value.get("finished")),
            exit_code=exit_code,
            why=str(value.get("reason") or ""),
            said=str(value.get("message") or ""),
            disrupted=bool(value.get("disrupted")),
            others=tuple(str(name) for name in value.get("others", ())),
        )
        return LastEnd(attempt, int(value.get("failures", 0)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def with_noted(attempts: Iterable[Attempt], noted: LastEnd | None) -> tuple[Attempt, ...]:
    """The attempts, oldest first, with the noted one where its pod is gone."""
    present = tuple(attempts)
    if noted is None or any(each.uid == noted.attempt.uid for each in present):
        return present
    return tuple(sorted((*present, noted.attempt), key=lambda entry: (entry.created, entry.name)))
