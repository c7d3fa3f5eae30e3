"""The transfers of the load."""

from __future__ import annotations

from collections import Counter
from math import inf
from random import Random

import pytest

from bench.harness.ledger import transfers
from domain.accounts.transaction import Transfer

ACCOUNTS = [f"acct_{number}" for number in range(10)]


def shares(zipf: float) -> list[float]:
    """For each account its share of the transfers."""
    made = transfers(ACCOUNTS, 4_000, Random(1), zipf=zipf)
    commands = [one.command for one in made]
    assert all(isinstance(command, Transfer) and command.source != command.target for command in commands)
    touched = Counter(account for command in commands for account in (command.source, command.target))
    return [touched[account] / len(commands) for account in ACCOUNTS]


def test_at_exponent_zero_all_accounts_are_equally_frequent() -> None:
    assert shares(0.0) == pytest.approx([0.2] * 10, abs=0.05)


def test_at_an_infinite_exponent_one_account_is_in_every_transfer() -> None:
    first, *others = shares(inf)
    assert first == 1
    assert others == pytest.approx([1 / 9] * 9, abs=0.05)


def test_between_these_exponents_the_first_rank_is_drawn_most() -> None:
    # It is drawn with 1 / (1 + 1/2 + … + 1/10), or is the other side of a transfer of another account.
    drawn = 1 / sum(1 / rank for rank in range(1, 11))
    assert shares(1.0)[0] == pytest.approx(drawn + (1 - drawn) / 9, abs=0.05)
