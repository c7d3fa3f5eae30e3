"""The bank's balance at the end of a day, found soundly: within a day the file's order is not the bank's.

Each row carries the balance after it. A possible order is one in which every balance is the balance before plus the
row's amount, beginning with the closing balance of the account's last day; the last balance of that order closes the
day. Exact orders are tried first, then those in which each step may miss by the rounding that the bank published its
amounts with. Only if all possible orders end in one and the same balance is it taken: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ROUNDING = 10
"""Minor units a published amount may be away from the true one: 0.10."""

MOST_ROWS = 16
"""Rows of one account and day whose orders are searched: 2 to this power, at the worst."""


class Row(NamedTuple):
    """A transaction of the day: what it changes, and the bank's balance after it."""

    signed: int
    balance: int


def closing_balance(opening: int | None, rows: Sequence[Row]) -> int | None:
    """The balance that closes the day, None where the rows do not determine it. `opening` is None where unknown."""
    if len(rows) == 1:
        return rows[0].balance
    if len(rows) > MOST_ROWS:
        return None
    for tolerance in (0, ROUNDING):
        for before in (None,) if opening is None else (opening, None):
            ends = _ends(before, rows, tolerance)
            if ends:
                return ends.pop() if len(ends) == 1 else None
    return None


def _ends(opening: int | None, rows: Sequence[Row], tolerance: int) -> set[int]:
    """The last balances of all orders of the rows that chain within the tolerance."""
    everything = (1 << len(rows)) - 1
    ends: set[int] = set()
    seen: set[tuple[int, int]] = set()
    ways: list[tuple[int, int | None]] = [(0, opening)]  # (rows used, as bits; balance after them)
    while ways:
        used, balance = ways.pop()
        if used == everything:
            assert balance is not None, "there is at least one row"
            ends.add(balance)
            continue
        for number, row in enumerate(rows):
            bit = 1 << number
            if used & bit or (balance is not None and abs(balance + row.signed - row.balance) > tolerance):
                continue
            way = (used | bit, row.balance)
            if way not in seen:
                seen.add(way)
                ways.append(way)
    return ends
