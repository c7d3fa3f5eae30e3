"""How long to wait after a failed turn: twice as long each time, up to a bound, and a little by chance.

Chance keeps webhooks apart that failed at the same time, because the same receiver was away.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

FIRST_PAUSE: Final = timedelta(seconds=5)
LONGEST_PAUSE: Final = timedelta(hours=1)
DOUBLINGS: Final = 10
"""After so many doublings the bound is reached."""
SPREAD: Final = 0.2
"""A pause is longer or shorter by this part, at most."""


def pause_after(failures: int, chance: float) -> timedelta:
    """Return the pause after so many failed turns in a row, at least one. `chance` is from 0 to 1."""
    usual = min(FIRST_PAUSE * (1 << min(failures - 1, DOUBLINGS)), LONGEST_PAUSE)
    return usual * (1 - SPREAD + 2 * SPREAD * chance)
