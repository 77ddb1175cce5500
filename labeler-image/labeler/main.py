"""From LABELER_RUN to an exit code, with a termination message whatever happens but a kill."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labeler import run, settings, termination
from labeler.failure import EXIT_DONE, EXIT_STOPPED, Failure
from labeler.label_studio import LabelStudio
from labeler.settings import LabelStudioSettings, Run
from labeler.tasks import LabelTool

TERMINATION_LOG = Path("/dev/termination-log")
_INTERRUPTED = Failure(
    "Interrupted", "the pod was asked to stop before the run was done; the next run continues from there"
)


def main() -> int:
    """Runs what the environment says and returns the exit code. SIGTERM is blocked already."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    log = Path(os.environ.get("LABELER_TERMINATION_LOG", str(TERMINATION_LOG)))
    _end_on_request(log)
    message, code = _outcome(os.environ, datetime.now(UTC))
    _say(log, message)
    return code


def _outcome(variables: Mapping[str, str], now: datetime) -> tuple[dict[str, Any], int]:
    try:
        wanted = settings.parse(variables.get("LABELER_RUN"))
        found = run.run(wanted, _tool(wanted, variables), now)
        return termination.success(found, wanted.store), EXIT_DONE
    except Failure as caught:
        failure = caught
    except Exception as error:  # noqa: BLE001  nothing may end this process without a message
        traceback.print_exc()
        failure = Failure("LabelerFailed", f"{type(error).__name__}: {' '.join(str(error).split())}")
    return termination.failed(failure), failure.exit_code


def _tool(wanted: Run, variables: Mapping[str, str]) -> LabelTool | None:
    if not isinstance(wanted.labelling, LabelStudioSettings):
        return None
    token = variables.get("LABEL_STUDIO_API_KEY")
    if not token:
        raise Failure(
            "InvalidConfiguration",
            "LABEL_STUDIO_API_KEY is empty: create the Secret that labelling.labelStudio.secretRef names, with an "
            "access token of Label Studio under the key token",
        )
    studio = wanted.labelling
    return LabelStudio(studio.url, token, studio.project, wanted.classes)


def _say(log: Path, message: Mapping[str, Any]) -> None:
    try:
        termination.write(log, message)
    except OSError as error:
        print(f"could not write the termination message to {log}: {error}", file=sys.stderr)
    print(termination.render(message).decode(), flush=True)


def _end_on_request(log: Path) -> None:
    """End as soon as SIGTERM comes, from the middle of anything: every write can be repeated, and none is half done.

    Python runs its signal handlers in the main thread, which may hang in a read; hence a thread that waits for the
    signal, which `__main__` has blocked for all.
    """

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        _say(log, termination.failed(_INTERRUPTED))
        os._exit(EXIT_STOPPED)

    threading.Thread(target=wait, name="signals", daemon=True).start()
