"""Numbers in the headers of records. Whoever may write to a topic may write anything there."""

from __future__ import annotations

from typing import Final

_MOST_DIGITS: Final = 18
"""No position and no number of pieces has more. Python refuses to read a number of thousands of digits."""


def number_in(header: bytes | None) -> int | None:
    """The number that a header has; None if it has none."""
    return int(header) if header and header.isdigit() and len(header) <= _MOST_DIGITS else None
