"""The grammar of commands: annotations by which people steer a Rollout or a Dataset, and what writes them for people.

    modelfleet.dev/approve: v4      the version may leave the Manual group that it is in
    modelfleet.dev/promote: v4      the version may pass all remaining gates and approvals
    modelfleet.dev/abort: v4        back to stable, and quarantine the version
    modelfleet.dev/retry: v4@1      lift the version's quarantine
    modelfleet.dev/retrain: now@1   train a new version now, from spec.drift.retrain
    modelfleet.dev/sync: now@1      (of a Dataset) look for captures and reviewed labels now

A value names a version (`now` for `retrain` and `sync`). Each value acts once; to give the same command again, `@` and
anything that was not there before follow the version ("v4@2"). What follows from a command is decided in
modelfleet.rollout, and for `sync` in modelfleet.datasets.
"""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import StrEnum

from modelfleet.api import names
from modelfleet.api.foreign import texts

NOW = "now"
"""What `retrain` and `sync` name in place of a version."""

NOTED = f"{names.GROUP}/commands"
"""The annotation of a ControllerRevision in which the operator keeps the commands that it has seen: a JSON object of
`approve=v4@2` and where it counts."""

_AGAIN = "@"

_LONGEST = 256  # characters of a value that a status keeps


class Verb(StrEnum):
    """What can be commanded."""

    APPROVE = "approve"
    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"
    RETRAIN = "retrain"
    SYNC = "sync"

    @property
    def annotation(self) -> str:
        """The annotation that gives this command."""
        return f"{names.GROUP}/{self.value}"


@dataclass(frozen=True)
class Command:
    """One annotation as it stands: what to do, with which version; `value` is the whole of it."""

    verb: Verb
    version: str
    value: str

    @classmethod
    def parse(cls, verb: Verb, value: str) -> "Command | None":
        """The command that a value gives; None where it names nothing."""
        value = value.strip()
        version = value.partition(_AGAIN)[0].strip()
        return cls(verb, version, value) if version else None

    @classmethod
    def read(cls, annotations: Mapping[str, str], verb: Verb) -> "Command | None":
        """The command of this verb on a Rollout, if there is one."""
        return cls.parse(verb, annotations.get(verb.annotation, ""))

    @property
    def assignment(self) -> str:
        """Annotation and value, as `kubectl annotate` takes them."""
        return f"{self.verb.annotation}={self.value}"

    @property
    def remembered(self) -> str:
        """The value as a status keeps it, which cuts longer texts: with a digest of what it has no room for."""
        if len(self.value) <= _LONGEST:
            return self.value
        digest = hashlib.sha256(self.value.encode(errors="replace")).hexdigest()
        return f"{self.value[: _LONGEST - 1 - len(digest)]}…{digest}"

    @property
    def arguments(self) -> str:
        """What stands behind `kubectl annotate rollout NAME`, so that neither Flux nor an older value undoes it: that
        of the version before may stand there, which kubectl does not replace on its own."""
        return f"{self.assignment} --overwrite --field-manager={names.CLI_FIELD_MANAGER}"


def unused(verb: Verb, version: str, used: Container[str]) -> Command:
    """The command to give for a version, with a number behind it where its values were used before."""
    value, number = version, 1
    while value in used:
        number += 1
        value = f"{version}{_AGAIN}{number}"
    return Command(verb, version, value)


def noted(annotations: Mapping[str, str], verb: Verb) -> set[str]:
    """The values of this verb that the operator has noted on a ControllerRevision: they never act again."""
    keys = (key.partition("=") for key in texts(annotations.get(NOTED, "")))
    return {value for of, _, value in keys if of == verb}
