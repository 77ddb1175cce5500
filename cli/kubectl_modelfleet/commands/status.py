"""`status ROLLOUT [--wait]`: where it stands, as an exit code for pipelines."""

import time
from datetime import timedelta

import click

from kubectl_modelfleet import completing, documents
from kubectl_modelfleet.failures import FAULTY, Exit, ServerFault, Unreachable
from kubectl_modelfleet.kubectl import REVISIONS
from kubectl_modelfleet.naming import NAME
from kubectl_modelfleet.outcome import Outcome, commanded, outcome, to_come
from kubectl_modelfleet.output import tell
from kubectl_modelfleet.session import Session, options
from kubectl_modelfleet.view import RolloutView
from modelfleet.api import names
from modelfleet.api.quantities import format_duration, parse_duration

_LOOK = 2.0  # seconds between two looks


class DurationType(click.ParamType[timedelta]):
    """A duration as in the API: 90s, 10m, 1h30m."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it; a click error says what is allowed."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("rollout", type=NAME, shell_complete=completing.rollouts)
@click.option("--version", type=NAME, shell_complete=completing.versions, help="Done means: this version is stable.")
@click.option("--wait", is_flag=True, help="Wait until it is done or has failed.")
@click.option("--timeout", type=DurationType(), default="30m", show_default=True, help="How long --wait waits.")
@options
def status(session: Session, rollout: str, version: str | None, wait: bool, timeout: timedelta) -> int:
    """Where a Rollout stands. Exit code 0: done and healthy; 1: failed, rolled back, stalled, degraded or
    being deleted; 2: in progress, or timed out; 3: could not be found out."""
    given = click.get_current_context().get_parameter_source("timeout")
    if not wait and given is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("--timeout says how long --wait waits: give --wait, too")
    until, told = time.monotonic() + timeout.total_seconds(), ""
    while True:
        shown, found = _look(session, rollout, version, until if wait else None)
        if not wait or found.exit is not Exit.IN_PROGRESS:
            break
        if found.message != told and not session.output:
            told = found.message
            tell(told)
        left = until - time.monotonic()
        if left <= 0:
            found = Outcome(Exit.IN_PROGRESS, f"Timed out after {format_duration(timeout)}. {found.message}")
            break
        time.sleep(min(_LOOK, left))
    session.show({**documents.rollout(shown), "exit": int(found.exit)}, lambda: found.message)
    return found.exit


def _found(session: Session, rollout: str, version: str | None) -> tuple[RolloutView, Outcome]:
    """What is found now. A command that was given a moment ago does not change the spec: that the status is of before
    it shows on the ControllerRevisions alone."""
    raw = session.rollout(rollout)
    shown = session.seen(raw)
    found, commands = outcome(shown, version), commanded(raw)
    if found.exit is not Exit.BAD or not commands:
        return shown, found
    revisions = session.kubectl.list(REVISIONS, f"{names.ROLLOUT}={rollout}")
    return shown, to_come(shown, commands, revisions) or found


def _look(session: Session, rollout: str, version: str | None, until: float | None) -> tuple[RolloutView, Outcome]:
    """One look; while waiting, an API server that does not answer is asked again, and what it says is told. One that
    answers with an error of its own is not waited for to the end: it need not ever be over."""
    told, since = "", time.monotonic()
    while True:
        try:
            return _found(session, rollout, version)
        except Unreachable as failure:
            now = time.monotonic()
            if not isinstance(failure, ServerFault):
                since = now
            if until is None or now > until or now - since > FAULTY:
                raise
            if str(failure) != told:
                told = str(failure)
                tell(f"Waiting: {told}")
            time.sleep(_LOOK)
