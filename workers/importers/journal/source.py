"""What is imported: transactions of postings, as a file has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

MOST_TRANSACTIONS: Final = 1_000_000
"""Transactions of one import. They are in memory, with about 1 KB each."""
MOST_BYTES: Final = 1 << 30
"""Bytes that are read of a file, or of what a tool prints about one."""
MOST_PROBLEMS: Final = 20
"""Problems that are named. The others are counted."""


class JournalError(ValueError):
    """The books cannot be imported. The message has a sentence for each problem, with file and line or field."""

    @classmethod
    def of(cls, problems: Sequence[str]) -> JournalError:
        """The error of these problems."""
        named = [*problems[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            named.append(f"and {len(problems) - MOST_PROBLEMS} more")
        return cls("\n".join(named))


@dataclass(frozen=True, slots=True)
class SourcePosting:
    """One posting. `amount` is exact, and positive for a debit: money that comes to an asset."""

    account: str
    amount: Decimal
    commodity: str


@dataclass(frozen=True, slots=True)
class SourceTransaction:
    """One transaction of the file."""

    number: int  # within the import, from 1, in the order of the file
    where: str  # file and line
    day: date
    code: str  # empty if there is none
    description: str
    postings: tuple[SourcePosting, ...]
    priced: bool = False  # the file gives a price, so two commodities need not sum to zero each


@dataclass(frozen=True, slots=True)
class Source:
    """What a file has."""

    transactions: list[SourceTransaction]
    starts: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)
    """By account and commodity: the balance that the file states to be there before it begins."""


def bounded(transactions: Iterable[SourceTransaction]) -> list[SourceTransaction]:
    """The transactions as a list. Raises `JournalError` if there are too many."""
    found: list[SourceTransaction] = []
    for transaction in transactions:
        if len(found) == MOST_TRANSACTIONS:
            raise JournalError(f"{transaction.where}: more than {MOST_TRANSACTIONS:,} transactions; import it in parts")
        found.append(transaction)
    return found
