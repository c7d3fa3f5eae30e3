"""How long the next attempt has to wait after failures. The wait doubles, up to a bound."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

FORGOTTEN_AFTER: Final = timedelta(days=1)
"""A counter without a new failure for so long begins again."""
LOCKOUT_FAILURES: Final = 10
"""Failures in a row after which the caller records a lockout; and again after each further ten."""
_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Waits:
    """A schedule: `free` failures cost nothing, the next ones `first` seconds, twice that and so on, at most `most`."""

    free: int
    first: float
    most: float

    def seconds(self, failures: int) -> float:
        """The wait after so many failures."""
        if failures <= self.free:
            return 0.0
        return min(self.most, self.first * 2.0 ** min(failures - self.free - 1, _MOST_DOUBLINGS))


PERSON: Final = Waits(free=3, first=1.0, most=900.0)
"""Passwords for one name. Somebody else may cause these waits, so they end after a quarter of an hour."""
ADDRESS: Final = Waits(free=20, first=1.0, most=300.0)
"""Passwords from one address, which an office may share."""
CODE: Final = Waits(free=3, first=2.0, most=900.0)
"""Codes of the second factor of one person, who has given the right password before."""


class Failures(NamedTuple):
    """A counter: the failures in a row, and when the last one was counted."""

    number: int
    at: datetime


def current(failures: Failures | None, now: datetime) -> Failures | None:
    """The counter as it counts now: forgotten after a day, and never later than now.

    After a clock stepped back, the last failure would be in the future, and the wait as long as the step. It is taken
    as a failure of this moment instead.
    """
    if failures is None or now - failures.at >= FORGOTTEN_AFTER:
        return None
    return Failures(failures.number, min(failures.at, now))


def remaining(waits: Waits, failures: Failures | None, now: datetime) -> float:
    """The seconds until the next attempt is allowed; 0 if it is."""
    known = current(failures, now)
    if known is None:
        return 0.0
    return max(0.0, waits.seconds(known.number) - (now - known.at).total_seconds())


def locks_out(failures: int) -> bool:
    """Whether the caller records a lockout if this attempt fails too."""
    return failures > 0 and failures % LOCKOUT_FAILURES == 0
