"""Standard output as what it may be: a pipe whose reader has enough, a full disk, or closed.

What a command finds does not depend on who reads it, so that its exit code is the same behind `| head`.
"""

import os
import sys
from pathlib import Path

import click

from kubectl_modelfleet.failures import Failure


def put(text: str) -> bool:
    """Print a text, with a line's end; whether somebody still reads. Raises Failure where it can't be written."""
    try:
        click.echo(text)
    except BrokenPipeError:  # head, less: whoever reads has enough
        discard()
        return False
    except OSError as error:
        discard()
        raise Failure(f"standard output can't be written: {error.strerror}: is the disk full?") from error
    return True


def open_closed() -> None:
    """Where standard output or standard error is closed (`>&-`), what is written there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end


def discard() -> None:
    """Write nowhere from now on: what is left in the buffer is not tried again at the interpreter's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
