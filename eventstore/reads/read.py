"""A read of personal data, as it is recorded."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

MOST_ABOUT = 10
"""Most ids of one request that are recorded. A route has fewer parameters that name something."""


class Read(NamedTuple):
    """A read that was answered. `about` are the ids that the request names; empty for a list of everybody's.

    `person` is the one behind the principal; None for a program. `items` is None where the answer has no end.
    """

    at: datetime  # aware, UTC
    principal: str
    person: str | None
    route: str
    about: tuple[str, ...]
    items: int | None
