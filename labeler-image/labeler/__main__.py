"""`python -m labeler`: one run, as LABELER_RUN says. Exits with 0, 1 (trying again may help), 64 (it can't) or 143."""

import signal
import sys


def run() -> int:
    # before numpy starts threads: a signal goes to any thread that does not block it, and there it is lost or kills
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    from labeler.main import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
