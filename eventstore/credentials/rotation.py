"""What a refresh token that is presented leads to. Pure: the row and the time go in, the decision comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from eventstore.credentials.clock import not_before

Reason: TypeAlias = Literal["unknown", "reused", "expired", "ended"]


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives unused, and how long at most."""

    idle: timedelta = timedelta(days=7)
    absolute: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        if not timedelta(0) < self.idle <= self.absolute:
            raise ValueError(f"the idle limit {self.idle} has to be positive, and at most the absolute {self.absolute}")


LIFETIMES: Final = Lifetimes()


class Presented(NamedTuple):
    """A refresh token and its session, as they are stored."""

    session: str
    person: str
    version: int
    ends_at: datetime
    ended_at: datetime | None
    issued_at: datetime
    idle_end: datetime
    used_at: datetime | None
    ended_why: str | None = None


@dataclass(frozen=True, slots=True)
class Rotate:
    """The token is good. It is used at this time, and the next one has this idle end."""

    at: datetime
    idle_end: datetime


@dataclass(frozen=True, slots=True)
class Refuse:
    """The token is not good. Unless the session has ended already, it ends now."""

    reason: Reason


def decide(row: Presented, now: datetime, idle: timedelta) -> Rotate | Refuse:
    """Whether the token is replaced. `ended` comes first: nothing that happens to an ended session changes it.

    A used token is a reuse however late it comes. A clock behind the time of issue is read as that time, so a session
    that was just opened is not refused after a step back. Whoever finds an expired token ends its session, so the
    clock cannot go back to a time at which it was valid.
    """
    at = not_before(now, row.issued_at)
    if row.ended_at is not None:
        return Refuse("ended")
    if row.used_at is not None:
        return Refuse("reused")
    if at >= row.idle_end or at >= row.ends_at:
        return Refuse("expired")
    return Rotate(at, min(at + idle, row.ends_at))
