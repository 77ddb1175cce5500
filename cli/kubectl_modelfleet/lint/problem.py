"""What lint finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing to put right: where, and what to do. `line` counts from 1; 0 where it is not known."""

    file: str
    document: str
    field: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.document, self.field, self.message) if part)


Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """`spec.groups[0].gate.soak`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text
