"""Notifications and endpoints for tests."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from modelfleet.notifications.notification import Notification

NOW = datetime(2026, 11, 29, 10, 0, 0, 250_000, tzinfo=UTC)

PROMOTED = Notification(
    id="0" * 32,
    topic="rollout.promoted",
    reason="Promoted",
    severity="Normal",
    time=NOW,
    cluster="plant-3",
    kind="Rollout",
    namespace="factory",
    name="line",
    uid="u-1",
    labels={"team": "vision"},
    version="v2",
    message="v2 went through all groups & is <stable> now",
)
ROLLED_BACK = replace(
    PROMOTED, id="1" * 32, topic="rollout.rolled-back", reason="RolledBack", severity="Warning", message="v2 failed"
)


def numbered(number: int, **other: Any) -> Notification:
    """One of many."""
    return replace(PROMOTED, id=f"{number:032}", message=f"number {number}", **other)


async def until(holds: Callable[[], object]) -> None:
    """Wait for it, five seconds at most."""
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not come to be so")
