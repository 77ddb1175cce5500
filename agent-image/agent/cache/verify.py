"""`agent verify`: read every file of a model version at its source, and compare it with its declared digest and size.
Where all models must be signed, their signature comes first: it is one small file, and without it no node loads them.

Nothing is kept: a file passes through in pieces, so that neither disk nor memory grows with it. What is wrong with a
file does not keep the others from being looked at, so that one run names all that must be fixed; what is wrong with
the source ends the run, since it would be the same for every file.
"""

from __future__ import annotations

import logging

from agent.config import Demanded, PinnedFile, VerifyConfig
from agent.termination import Refused
from artifactstore import ArtifactError
from artifactstore import verify as verify_file

VERIFIED = "Verified"
"""The termination message's reason where all is as declared."""

_OF_A_FILE = ("DigestMismatch", "NotFound")  # the worst first

_log = logging.getLogger(__name__)


def run(config: VerifyConfig) -> str:
    """Verify every file; a summary of what was read.

    Raises Refused: SignatureMissing or SignatureInvalid, or a reason of artifactstore: DigestMismatch or NotFound with
    every file that is so, or else what kept the source from being read (AccessDenied, Unreachable, Unsupported). A file
    known to be wrong is told first. ConfigError where the keys are none.
    """
    if config.signature is not None:
        _require_signature(config.files, config.signature)
    wrong: list[ArtifactError] = []
    for file in config.files:
        try:
            _verify(file)
        except ArtifactError as error:
            wrong.append(error)
            if error.reason not in _OF_A_FILE:
                break
    if wrong:
        reason = next(
            (reason for reason in _OF_A_FILE if any(each.reason == reason for each in wrong)), wrong[0].reason
        )
        raise Refused(reason, "; ".join(each.message for each in wrong))
    count = len(config.files)
    signed = ", signed" if config.signature is not None else ""
    return f"{count} file{'s' if count > 1 else ''}, {sum(file.size for file in config.files)} bytes{signed}"


def _require_signature(files: tuple[PinnedFile, ...], demanded: Demanded) -> None:
    """The same signature must be of every file."""
    from agent.cache import bundle  # its library is needed only where signatures are demanded

    try:
        content = bundle.read(demanded)
    except ArtifactError as error:
        raise Refused(error.reason, error.message) from error
    for file in files:
        bundle.require(demanded, content, file.name, file.sha256, file.uri)
        _log.info("%s is signed, by %s", file.uri, demanded.uri)


def _verify(file: PinnedFile) -> None:
    verify_file(file.uri, sha256=file.sha256, size=file.size)
    _log.info("%s (%d bytes): digest verified", file.uri, file.size)
