"""Histories for tests of Kafka."""

from __future__ import annotations

from random import Random

from tests.support.ledger import Ledger, deposit, transfer, withdrawal


def some_history(ledger: Ledger, transfers: int = 20) -> None:
    """Two accounts, money on one of them, and transfers."""
    first, second = ledger.account(), ledger.account()
    ledger.accepted(deposit(first, 100_000))
    for _ in range(transfers):
        ledger.accepted(transfer(first, second, 1))


def random_history(ledger: Ledger, chance: Random, commands: int = 300) -> list[str]:
    """Money that moves between accounts, some of it refused. Returns the accounts."""
    accounts = [ledger.account() for _ in range(12)]
    for _ in range(commands):
        source, target = chance.sample(accounts, 2)
        amount = chance.randint(1, 500)
        ledger.execute(
            chance.choice((deposit(source, amount), withdrawal(source, amount), transfer(source, target, amount)))
        )
    return accounts
