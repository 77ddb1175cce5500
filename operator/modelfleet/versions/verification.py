"""Whether a ModelVersion's files are at their source as declared: the next step to find out, and what is known. Pure.

A short Job of the agent image reads every file and compares digest and size (`agent verify`); its word is kept in an
annotation of the version (see verification_record.py). Everything here follows from that annotation, the Job and its
pods:

    annotation says Verified              ->  Ready, for good
    Job that has ended and is not noted   ->  the outcome is noted; a Job that failed is deleted
    Job that has not ended                ->  wait for its pod
    no Job, failed attempts               ->  wait: longer after each, up to a bound; then the next Job
    no Job, no attempt                    ->  the Job is made

So it goes on automatically: nothing a user fixes at the source needs another word to modelfleet. Who is in a hurry
removes the annotation.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import ModelVersion, format_duration, schemes
from modelfleet.api.names import VERIFY_CONTAINER
from modelfleet.api.reasons import Reason
from modelfleet.decision import Action, Apply
from modelfleet.times import to_second
from modelfleet.versions import manifests, verification_record
from modelfleet.versions.verification_record import VERIFIED, Record
from modelfleet.versions.verify_job import FAILED, Said, VerifyJob
from modelfleet.workloads import mounts
from modelfleet.workloads.job_run import GRACE

_REASONS: Mapping[str, Reason] = {
    Reason.DIGEST_MISMATCH: Reason.DIGEST_MISMATCH,
    Reason.NOT_FOUND: Reason.ARTIFACT_NOT_FOUND,
    Reason.ACCESS_DENIED: Reason.SOURCE_ACCESS_DENIED,
    Reason.UNREACHABLE: Reason.SOURCE_UNREACHABLE,
    Reason.SIGNATURE_MISSING: Reason.SIGNATURE_MISSING,
    Reason.SIGNATURE_INVALID: Reason.SIGNATURE_INVALID,
}
"""The agent's reasons as ours; any other is FAILED."""

_TO_DO: Mapping[str, str] = {
    Reason.DIGEST_MISMATCH: "A version never changes: put the declared files back, or create another version of what "
    "is there.",
    Reason.ARTIFACT_NOT_FOUND: "Put the files there.",
    Reason.SOURCE_ACCESS_DENIED: "Give the verify Job credentials: a Secret {secret} in this namespace, or "
    "verification.template in the operator's settings.",
    Reason.SOURCE_UNREACHABLE: "",
    Reason.SIGNATURE_MISSING: "",
    Reason.SIGNATURE_INVALID: "Find out who put the files there, and sign them with a key of the operator's settings "
    "(signatures.publicKeys).",
    FAILED: "Fix the cause, or change verification.template in the operator's settings.",
}

_PATIENCE = timedelta(seconds=30)  # for the pod of a Job that is over to be seen
_LOOK_AGAIN = timedelta(seconds=5)
_TURN = timedelta(seconds=30)


@dataclass(frozen=True)
class Verifier:
    """How versions are verified here.

    image     of the agent
    template  a partial pod template, laid over ours
    timeout   of one Job
    parallel  about how many Jobs there may be at once in a namespace
    exempt    schemes of addresses whose versions count without a look at the source
    keys      public keys of which one must have signed the files; "": none has to
    """

    image: str
    template: Mapping[str, Any] = field(default_factory=dict)
    timeout: timedelta = timedelta(minutes=30)
    parallel: int = 10
    exempt: tuple[str, ...] = ()
    keys: str = ""


@dataclass(frozen=True)
class Finding:
    """What is known of a version's artifact, and what to do next.

    reason   of Ready; Reason.AVAILABLE means True
    stalled  somebody has to fix something; else, while not Ready, it is under way
    verified Ready because the files were found as declared
    """

    reason: str
    message: str
    stalled: bool = False
    verified: bool = False
    actions: tuple[Action, ...] = ()
    requeue_after: timedelta | None = None

    @property
    def ready(self) -> bool:
        """Whether the version may be used."""
        return self.reason == Reason.AVAILABLE


def look(
    version: ModelVersion, verifier: Verifier | None, job: VerifyJob | None, now: datetime, *, others: int = 0
) -> Finding:
    """The next step for a version that is neither rejected nor being deleted.

    `verifier` None: switched off; `others` is how many versions of the namespace are being verified now.
    """
    known = verification_record.read(version)
    if known is not None and known.verified:
        return Finding(
            Reason.AVAILABLE, f"{_files(version)} verified at the source at {to_second(known.at)}.", verified=True
        )
    if verifier is None:
        return Finding(
            Reason.AVAILABLE, f"{_declared(version)} Not verified at the source: verification is switched off."
        )
    scheme = mounts.scheme_of(version.spec.artifact.uri)
    if scheme in verifier.exempt:
        told = f"the operator's settings exempt {scheme}:// (verification.exempt)"
        return Finding(Reason.AVAILABLE, f"{_declared(version)} Not verified at the source: {told}.")
    found = _not_verifiable(version, verifier) or _step(version, job, known, verifier, now)
    return found or _begin(version, known, verifier, others)


def _step(
    version: ModelVersion, job: VerifyJob | None, known: Record | None, verifier: Verifier, now: datetime
) -> Finding | None:
    """What follows from the attempt there is, and from those there were; None when it is time for the next."""
    noted = job is not None and known is not None and job.uid == known.job
    if job is not None and not noted and not job.deleting:
        said = _outcome(job, verifier, now)
        return _running(version, job, known, now) if said is None else _note(version, job, said, known, now)
    if job is not None:  # its name is taken until it is gone
        remove = () if job.deleting else (manifests.remove_job(version, job),)
        return _failed(version, known, now, actions=remove, requeue_after=_LOOK_AGAIN)
    due = now if known is None else known.at + wait_after(known)
    if now < due and (known is None or known.at <= now):  # else the clock was ahead: not a time to wait for
        return _failed(version, known, now, requeue_after=due - now)
    return None


def _begin(version: ModelVersion, known: Record | None, verifier: Verifier, others: int) -> Finding:
    if others >= verifier.parallel:
        turn = f"it is waiting for its turn, {verifier.parallel} at once in a namespace (verification.parallel)"
        return _under_way(version, known, turn, requeue_after=_TURN)
    create = Apply(manifests.verify_job(version, verifier.image, verifier.template, verifier.timeout, verifier.keys))
    return _under_way(version, known, "its Job is being created", actions=(create,))


def _outcome(job: VerifyJob, verifier: Verifier, now: datetime) -> Said | None:
    """How the attempt ended; None while it goes on."""
    if job.said is not None:
        return job.said
    if job.ended_at is None:
        return None
    if job.why.startswith("DeadlineExceeded"):
        held = f": {job.problem}" if job.problem else ""
        return Said(FAILED, f"it did not end within {format_duration(verifier.timeout)} (verification.timeout){held}")
    if now < job.ended_at + _PATIENCE:
        return None
    return Said(FAILED, f"the Job ended ({job.why or 'no reason given'}), and its pod is gone with what it found")


def _note(version: ModelVersion, job: VerifyJob, said: Said, known: Record | None, now: datetime) -> Finding:
    """Write the outcome down. Only then may the Job go: a crash in between finds it again."""
    result = VERIFIED if said.reason == VERIFIED else _REASONS.get(said.reason, FAILED)
    message = said.message if result != FAILED or said.reason == FAILED else f"{said.reason}: {said.message}"
    attempts = 1 + (known.attempts if known is not None else 0)
    new = Record(result, message, now, attempts, job.uid)
    note = manifests.note(version, verification_record.to_text(new, version))
    if new.verified:
        text = f"{_files(version)} verified at the source at {to_second(now)}."
        return Finding(Reason.AVAILABLE, text, verified=True, actions=(note,))
    remove = manifests.remove_job(version, job)
    return _failed(version, new, now, actions=(note, remove), requeue_after=wait_after(new))


def _running(version: ModelVersion, job: VerifyJob, known: Record | None, now: datetime) -> Finding:
    what = f"Job {job.name} is reading them"
    if job.refusal:
        what = f"No pod was created for Job {job.name}: {job.refusal.rstrip('.')}"
    elif not job.has_pod:
        what = f"Job {job.name} has no pod yet (if that lasts, kubectl describe job says why)"
    elif job.problem:
        what = f"Job {job.name} is waiting, {job.problem}"
    return _under_way(version, known, what, requeue_after=_look_again(job, now))


def _look_again(job: VerifyJob, now: datetime) -> timedelta | None:
    """Where nothing wakes us: for the word of a pod that is over, and for a pod that is refused."""
    if job.ended_at is not None:
        return _LOOK_AGAIN
    return None if job.has_pod else max(job.created + GRACE - now, _LOOK_AGAIN)


def _under_way(
    version: ModelVersion,
    known: Record | None,
    what: str,
    *,
    actions: tuple[Action, ...] = (),
    requeue_after: timedelta | None = None,
) -> Finding:
    """An attempt goes on. After a failed one its reason stays until there is another: it still is what is known."""
    if known is None:
        message = f"{_files(version)} are being verified at the source: {what}."
        return Finding(Reason.ARTIFACT_UNVERIFIED, message, actions=actions, requeue_after=requeue_after)
    return _unsuccessful(known, f"Attempt {known.attempts + 1}: {what}.", actions, requeue_after)


def _failed(
    version: ModelVersion,
    known: Record | None,
    now: datetime,
    *,
    actions: tuple[Action, ...] = (),
    requeue_after: timedelta | None = None,
) -> Finding:
    """Between two attempts."""
    if known is None:  # somebody deletes the first Job, or has removed the annotation
        message = f"{_files(version)} are not verified at the source yet: an earlier Job is being deleted."
        return Finding(Reason.ARTIFACT_UNVERIFIED, message, actions=actions, requeue_after=requeue_after)
    due = known.at + wait_after(known)
    text = f"Attempt {known.attempts + 1} follows automatically at {to_second(due)}."
    return _unsuccessful(known, text, actions, requeue_after)


def _unsuccessful(known: Record, now: str, actions: tuple[Action, ...], requeue_after: timedelta | None) -> Finding:
    """What the last attempt found, what is to be done about it, and what goes on `now`."""
    to_do = _TO_DO.get(known.result, "").format(secret=manifests.SECRET)
    found = f"Attempt {known.attempts} to verify the files failed: {known.message.rstrip('.')}."
    message = " ".join(filter(None, (found, to_do, now)))
    return Finding(
        known.result, message, known.result != Reason.SOURCE_UNREACHABLE, actions=actions, requeue_after=requeue_after
    )


def wait_after(known: Record) -> timedelta:
    """From a failed attempt to the next: doubled each time. A source that fails may be back any moment; a wrong file
    is seldom put right, and may be gigabytes."""
    if known.result == Reason.DIGEST_MISMATCH:
        base, limit = timedelta(hours=1), timedelta(hours=24)
    else:
        base, limit = timedelta(seconds=10), timedelta(minutes=30)
    factor: int = 2 ** min(known.attempts - 1, 20)
    return min(base * factor, limit)


def _not_verifiable(version: ModelVersion, verifier: Verifier) -> Finding | None:
    """Why no Job could ever read the source; none is made then."""
    uri = version.spec.artifact.uri
    if uri.startswith("oci://") and not re.fullmatch(schemes.PINNED, uri):  # from before the API refused it
        message = (
            f"{uri} names no digest, and a tag can be moved to other files. Create another version whose address ends "
            "with the manifest's digest: oci://registry/repository@sha256:... (oras resolve registry/repository:tag "
            "prints it)."
        )
        return Finding(Reason.SOURCE_UNSUPPORTED, message, stalled=True)
    if mounts.unmounted([uri], mounts.mounts_of(verifier.template, VERIFY_CONTAINER)):
        message = (
            f"{uri} is on a volume, which the verify Job does not have. Mount it in container {VERIFY_CONTAINER} of "
            "verification.template in the operator's settings; or, where only the nodes have it, put file into "
            "verification.exempt there: nodes verify each file before they load it."
        )
        return Finding(Reason.SOURCE_NOT_MOUNTED, message, stalled=True)
    return None


def _files(version: ModelVersion) -> str:
    count = len(version.spec.artifact.files)
    return "The digest of 1 file" if count == 1 else f"The digests of {count} files"


def _declared(version: ModelVersion) -> str:
    count = len(version.spec.artifact.files)
    files = "1 file is" if count == 1 else f"{count} files are"
    return f"{files} declared with digests; every node verifies a file's digest before it loads it."
