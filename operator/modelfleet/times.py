"""Times in UTC: as Kubernetes reads and writes them, and as messages say them. Pure."""

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    """A time of Kubernetes' or of ours ("2026-11-20T10:00:00Z"); one without a time zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parse_optional_time(text: str | None) -> datetime | None:
    """The same where there may be none: None, or "". Raises ValueError."""
    return parse_time(text) if text else None


def wire_time(moment: datetime, timespec: str = "seconds") -> str:
    """As Kubernetes writes it: "2026-11-20T10:00:00Z". Finer parts than `timespec` are cut off."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def to_minute(moment: datetime) -> str:
    """`2026-11-20 14:05 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def to_second(moment: datetime) -> str:
    """`2026-11-20 14:05:30 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(moment: datetime) -> str:
    """`14:05:30 UTC`."""
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"
