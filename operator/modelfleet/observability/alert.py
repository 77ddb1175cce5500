"""What an alert is."""

from dataclasses import dataclass
from typing import Literal

from modelfleet.api.reasons import Reason

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert, and its page.

    expr         PromQL; each series of its result is an alert
    lasts        for how long it must hold
    severity     critical: now, at night; warning: today; info: when there is time
    summary      one line, with the labels' values
    description  what has happened and what to do first, with the labels' values
    means        what it means, for the page
    look         where to look, in order: sentences, with commands
    do           what to do, in order
    silent       when it stays silent although something may be wrong: what it can't see
    reasons      whose entries of docs/reasons.md belong on the page
    """

    name: str
    severity: Severity
    expr: str
    lasts: str
    summary: str
    description: str
    means: str
    look: tuple[str, ...]
    do: tuple[str, ...]
    silent: str
    reasons: tuple[Reason, ...] = ()

    @property
    def runbook(self) -> str:
        """Where its page is in the repository; the chart makes an address of it."""
        return f"docs/runbooks/{self.name}.md"
