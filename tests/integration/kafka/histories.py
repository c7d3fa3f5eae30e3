"""Histories for tests of Kafka."""

from __future__ import annotations

from tests.support.ledger import Ledger, deposit, transfer


def some_history(ledger: Ledger, transfers: int = 20) -> None:
    """Two accounts, money on one of them, and transfers."""
    first, second = ledger.account(), ledger.account()
    ledger.accepted(deposit(first, 100_000))
    for _ in range(transfers):
        ledger.accepted(transfer(first, second, 1))
