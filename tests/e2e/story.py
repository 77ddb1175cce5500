"""How the demo talks: chapters with expected times, lines on progress, and a record of how long each took.

On a terminal the state of the fleet is drawn in place; elsewhere (CI, a pipe) a line is printed when something changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import indent
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape

T = TypeVar("T")
POLL = 2.0  # seconds between two looks at the cluster


class StoryFailed(AssertionError):
    """Something the story needs did not happen. The message says what, and what was seen in its place."""


@dataclass(frozen=True)
class Took:
    """One finished step: its title, seconds, and whether it happened."""

    title: str
    seconds: float
    happened: bool


@dataclass
class Story:
    """Narrates steps to `console` and remembers what each of them took."""

    console: Console
    took: list[Took] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.console.print(indent(escape(text), "  "), highlight=False)

    @contextmanager
    def step(self, title: str, expected: str) -> Iterator[None]:
        """Announce a step with its expected time and record the real one, also when it fails."""
        self.console.rule(f"[bold]{escape(title)}[/] [dim](expect {escape(expected)})[/]", align="left")
        start = time.monotonic()
        try:
            yield
        except BaseException:
            self._finish(title, time.monotonic() - start, happened=False)
            raise
        self._finish(title, time.monotonic() - start, happened=True)

    def _finish(self, title: str, seconds: float, *, happened: bool) -> None:
        self.took.append(Took(title, seconds, happened))
        mark = "[green]done[/]" if happened else "[red]did not happen[/]"
        self.console.print(f"  {mark} after {duration(seconds)}")

    def wait(
        self,
        what: str,
        look: Callable[[], tuple[T | None, RenderableType, str]],
        *,
        timeout: float,
    ) -> T:
        """Look every POLL seconds until `look` gives a value; show what it sees meanwhile.

        `look` returns (value or None, a picture for terminals, one line for logs). It may raise StoryFailed when what
        is waited for can't happen any more. Raises StoryFailed with the last line after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        last = ""
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while True:
                value, picture, line = look()
                if self.console.is_terminal:
                    live.update(picture, refresh=True)
                elif line != last:
                    self.say(line)
                last = line
                if value is not None:
                    return value
                if time.monotonic() > deadline:
                    raise StoryFailed(f"{what} did not happen within {duration(timeout)}; last seen: {line}")
                time.sleep(POLL)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
