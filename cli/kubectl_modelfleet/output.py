"""Standard output as what it may be: a pipe whose reader has enough, a full disk, or closed.

What a command finds does not depend on who reads it, so that its exit code is the same behind `| head`.

What is printed are words of others, too: a class is called as a dataset has it, a message has what a pod said. To a
terminal a control character in them would be a command: they are printed as `\\u001b`, which JSON has for them, too.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final, TextIO

import click
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from kubectl_modelfleet.failures import Failure

_COMMANDS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, but for tabs and ends of lines; and those that turn the order of others round."""


def harmless(text: str) -> str:
    """The text without anything that a terminal would act on."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Harmless:
    """What rich draws, and nothing in it that a terminal would act on but rich's own."""

    def __init__(self, what: RenderableType) -> None:
        self._what = what

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for each in console.render(self._what, options):
            yield each if each.control else Segment(harmless(each.text), each.style)


def tell(text: str) -> None:
    """Say something beside what was asked for: on standard error. Where that can't be written, nothing else changes."""
    try:
        click.echo(harmless(text), err=True)
    except OSError:  # a pipe that nobody reads (2>&1 | head), a full disk
        discard(sys.stderr)


def put(text: str) -> bool:
    """Print a text, with a line's end; whether somebody still reads. Raises Failure where it can't be written."""
    try:
        click.echo(harmless(text))
    except BrokenPipeError:  # head, less: whoever reads has enough
        discard(sys.stdout)
        return False
    except OSError as error:
        discard(sys.stdout)
        raise Failure(f"standard output can't be written: {error.strerror}: is the disk full?") from error
    return True


def open_closed() -> None:
    """Where standard output or standard error is closed (`>&-`), what is written there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end


def discard(stream: TextIO) -> None:
    """Write nowhere from now on: what is left in the buffer is not tried again at the interpreter's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
