"""The command line: reads the settings, sets up logging, runs the operator, and turns its end into an exit status.

0: stopped by SIGTERM or SIGINT. 1: a part failed; start it again. 2: the settings or the command line are wrong.
"""

import argparse
import asyncio
import dataclasses
import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from modelfleet import datasets, rollout, telemetry, training, versions
from modelfleet import settings as settings_module
from modelfleet.kube import ApiError
from modelfleet.runtime import Capability, Operator

log = logging.getLogger(__name__)

CAPABILITIES: tuple[Capability, ...] = (versions, training, rollout, datasets)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `modelfleet`. Ends the process."""
    options = _parser().parse_args(arguments)
    form: Literal["json", "text"] = options.log_format or ("text" if sys.stderr.isatty() else "json")
    telemetry.set_up_logging(form, logging.DEBUG if options.verbose else logging.INFO)
    try:
        settings = settings_module.load(options.config)
        if options.namespace:
            settings = dataclasses.replace(settings, namespaces=tuple(options.namespace))
    except settings_module.SettingsError as error:
        log.error("%s", error)
        sys.exit(2)
    sys.exit(asyncio.run(_run(settings, options.kubeconfig)))


async def _run(settings: settings_module.Settings, kubeconfig: Path | None) -> int:
    try:
        await Operator(settings, kubeconfig, version(), CAPABILITIES).run()
    except ApiError as error:
        log.error("%s", error.message)
        return 1
    except OSError as error:
        log.error("could not serve on port %d: %s", settings.server.port, error)
        return 1
    except Exception as error:
        log.error("the operator failed and ends: %s", error, exc_info=error)
        return 1
    return 0


def version() -> str:
    """The installed version; "0+source" when run from a source tree."""
    try:
        return importlib.metadata.version("modelfleet")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelfleet", description="The modelfleet operator.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the settings, a YAML file")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="how to reach the API server; default: the pod's service account",
    )
    parser.add_argument(
        "--namespace", action="append", metavar="NAME", help="serve this namespace only; may be repeated"
    )
    parser.add_argument("--log-format", choices=("json", "text"), help="default: text on a terminal, else json")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"modelfleet {version()}")
    return parser
