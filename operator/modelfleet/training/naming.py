"""Which version a TrainingJob makes, and where its files go. Pure."""

import re

from modelfleet.api import TrainingJob
from modelfleet.api.names import LATEST

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class BadVersion(ValueError):
    """No usable version name follows from the TrainingJob; the text says what to do."""


def version_of(training: TrainingJob) -> str:
    """`spec.version`, else the job's name without a leading `<model>-`. Raises BadVersion."""
    spec, name = training.spec, training.metadata.name
    derived = name.removeprefix(f"{spec.model}-")
    version = spec.version or (derived if _DNS_LABEL.fullmatch(derived) else name)
    if not _DNS_LABEL.fullmatch(version):
        raise BadVersion(
            f"No version name follows from this TrainingJob's name {name!r}. Create a new one with spec.version set, "
            "for example to v1."
        )
    if version == LATEST:
        raise BadVersion(
            f"The version can't be called {LATEST}: that always means the newest Ready version. Create a new "
            "TrainingJob with another spec.version."
        )
    return version


def model_version_name(model: str, version: str) -> str:
    """The name of the ModelVersion of a model's version."""
    return f"{model}-{version}"


def output_folder(training: TrainingJob, version: str) -> str:
    """Where the version's files go: its own folder below `spec.output.uri`, ending in "/"."""
    return f"{training.spec.output.uri.rstrip('/')}/{training.spec.model}/{version}/"
