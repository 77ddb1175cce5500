"""What `status` says of a Rollout: done, failed, or not decided yet. Pure."""

from dataclasses import dataclass

from kubectl_modelfleet.failures import Exit
from kubectl_modelfleet.view import RolloutView, Standing


@dataclass(frozen=True)
class Outcome:
    """The exit code, and a sentence for people."""

    exit: Exit
    message: str


def outcome(shown: RolloutView, version: str | None = None) -> Outcome:
    """Whether the Rollout is done and healthy; with `version`: on that one."""
    status = shown.status
    said = f"{shown.name}: {status.phase or 'Pending'} ({shown.reason}). {shown.message}"
    if shown.standing is Standing.PENDING:
        return Outcome(Exit.IN_PROGRESS, f"{shown.name}: Pending. {shown.message}")
    if version is not None and (failed := shown.stopped(version)) is not None:
        return Outcome(Exit.BAD, f"{shown.name}: {version} is quarantined. {failed.reason}")
    if shown.standing in (Standing.STALLED, Standing.DEGRADED):
        return Outcome(Exit.BAD, said)
    if shown.standing is Standing.RECONCILING:
        return Outcome(Exit.IN_PROGRESS, said)
    if version is not None and shown.stable != version:
        asked = shown.pinned or f"tag {shown.tag}"
        return Outcome(
            Exit.IN_PROGRESS,
            f"{shown.name}: {shown.stable_called} is stable, and {version} is not chosen (spec.model: {asked}).",
        )
    return Outcome(Exit.DONE, said)
