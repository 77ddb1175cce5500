"""Why the two sides can't be compared, by whichever method. Pure."""

from dataclasses import dataclass

from modelfleet.api.gatespec import Verdict
from modelfleet.gate.cause import Cause
from modelfleet.wording import counted


@dataclass(frozen=True)
class Problem:
    """A precondition that does not hold.

    message  what is missing, in words; a clause without a full stop
    missing  there is nothing to judge by; else there is just not enough yet
    aside    (node, reason) of those that are not used, as in Inference
    """

    reason: Cause
    message: str
    missing: bool = False
    aside: tuple[tuple[str, str], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Always Inconclusive: nothing can be said."""
        return Verdict.INCONCLUSIVE


def too_few(side: str, usable: int, required: int) -> str:
    """`1 usable canary node, 3 required`; `side` is canary or control."""
    return f"{counted(usable, f'usable {side} node')}, {required} required"
