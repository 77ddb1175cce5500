"""The command `agent`: `fetch` and `prefetch`, `serve` (the model), `upload` (beside it), `verify`, `replay`."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from agent import __version__, config, limits, signals, termination


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns the exit status: 0, or 1 after a termination message was written that says why."""
    parser = argparse.ArgumentParser(
        prog="agent", description="Runs a model version of a modelfleet Rollout on a node."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="put the model file into the node's cache, verified, and end")
    commands.add_parser(
        "prefetch", help="put the model file into the node's cache ahead of its use, and wait to be ended"
    )
    commands.add_parser("verify", help="compare a model version's files with their digests at their source, and end")
    commands.add_parser("serve", help="run the model on a stream of frames and export its metrics")
    commands.add_parser("upload", help="send captured frames from the node's spool to the store")
    commands.add_parser("replay", help="run two versions over captured frames, say where they differ, and end")
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
        elif arguments.command == "prefetch":
            signals.end_at_once()
            from agent.cache import fetch

            fetch.run_ahead(config.fetch_config(os.environ, spread=60.0))
            signals.wait_forever()
        elif arguments.command == "verify":
            signals.end_at_once()
            from agent.cache import verify

            verified = verify.run(config.verify_config(os.environ))
            termination.write(termination_path, verify.VERIFIED, verified, logging.INFO)
        elif arguments.command == "upload":
            stop = signals.Stop()
            from agent.capture import upload

            upload.run(config.upload_config(os.environ), stop)
        elif arguments.command == "replay":
            signals.end_at_once()
            from agent.replay import report, run, settings

            found = report.render(report.document(run.run(settings.parse(os.environ))))
            logging.getLogger(__name__).info("%s", found.decode())
            termination.put(termination_path, found)
        else:
            stop = signals.Stop()  # before the second or so that importing the inference libraries takes
            from agent.serve import service

            threads = limits.threads(limits.processors(), limits.usable_processors())
            service.run(config.serve_config(os.environ, threads), stop)
    except config.ConfigError as error:
        termination.write(termination_path, "InvalidConfiguration", str(error))
        return 1
    except termination.Refused as refusal:
        termination.write(termination_path, refusal.reason, refusal.message)
        return 1
    return 0
