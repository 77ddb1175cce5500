"""The command `agent`: `fetch` (init container), `serve` (the model's container), `verify` (a ModelVersion's Job)."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from agent import __version__, config, signals, termination


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns the exit status: 0, or 1 after a termination message was written that says why."""
    parser = argparse.ArgumentParser(
        prog="agent", description="Runs a model version of a modelfleet Rollout on a node."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="put the model file into the node's cache, verified, and end")
    commands.add_parser("verify", help="compare a model version's files with their digests at their source, and end")
    commands.add_parser("serve", help="run the model on a stream of frames and export its metrics")
    arguments = parser.parse_args(argv)

    termination_path = Path(os.environ.get("TERMINATION_LOG") or termination.DEFAULT_PATH)
    try:
        logging.basicConfig(
            level=config.log_level(os.environ), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        if arguments.command == "fetch":
            signals.end_at_once()
            from agent.cache import fetch  # an init container need not load the inference libraries

            fetch.run(config.fetch_config(os.environ))
        elif arguments.command == "verify":
            signals.end_at_once()
            from agent.cache import verify

            verified = verify.run(config.verify_config(os.environ))
            termination.write(termination_path, verify.VERIFIED, verified, logging.INFO)
        else:
            stop = signals.Stop()  # before the second or so that importing the inference libraries takes
            from agent.serve import service

            service.run(config.serve_config(os.environ), stop)
    except config.ConfigError as error:
        termination.write(termination_path, "InvalidConfiguration", str(error))
        return 1
    except termination.Refused as refusal:
        termination.write(termination_path, refusal.reason, refusal.message)
        return 1
    return 0
