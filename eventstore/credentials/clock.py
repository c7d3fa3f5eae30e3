"""The time of credentials: aware UTC, from outside, and never earlier than what a row already knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]


def system_clock() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def not_before(now: datetime, *known: datetime | None) -> datetime:
    """The latest of these times: a clock that stepped back is read as if it had stopped."""
    return max([now, *(time for time in known if time is not None)])
