"""The largest state of each aggregate with snapshots fits a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import HoldPlaced
from domain.accounts.account.holds import MOST_HOLDS
from domain.accounts.account.owners import MOST_MANDATES, MOST_OWNERS
from domain.accounts.account.state import ACCOUNT, HOLD, Account, Mandate, Profile, evolve
from domain.accounts.allocation import MILLIONTHS
from domain.accounts.chart.node_accounts import NodeAccounts
from domain.accounts.chart.nodes import MOST_NODE_CODE
from domain.accounts.currencies.rates import MOST_RATE, MOST_RATES, MOST_SPREAD, Rate, Rates
from domain.accounts.numbers import PREFIXES, account_number
from domain.accounts.settlement.agreement import SettlementAgreement
from domain.codes import MOST_CODE, MOST_METADATA_KEY, MOST_PAIRS
from domain.ids import typeid
from domain.kernel import Value
from domain.long_batch import LONG_BATCH, MOST_ITEMS, LongBatch
from domain.money import EXPONENTS, MAX_AMOUNT
from domain.registry import SNAPSHOTS
from eventstore.executor.snapshots import MOST_STATE_BYTES, JsonStates

LAST = UUID(int=2**128 - 1)
MOST_BALANCE = 10**30
"""More than any balance: a quintillion of the largest amounts."""
LATEST = datetime.max.replace(tzinfo=UTC)


def largest_account(
    holds: int = MOST_HOLDS, expires_at: datetime | None = LATEST, mandates: int = MOST_MANDATES
) -> Account:
    """An account with the longest value of each field, and so many holds and mandates."""
    profile = Profile(
        id=typeid(ACCOUNT, LAST),
        number=account_number("checking", 10**10 - 1),
        type=max(PREFIXES, key=len),
        currency=max(EXPONENTS, key=len),
        owner="x" * MOST_CODE,
        minimum=-MAX_AMOUNT,
        maximum=MAX_AMOUNT,
        opened_on=date.max,
        owners=("x" * MOST_CODE,) * MOST_OWNERS,
        mandates=(Mandate("x" * MOST_CODE, False, MAX_AMOUNT, LATEST),) * mandates,
        metadata_keys=("x" * MOST_METADATA_KEY,) * MOST_PAIRS,
        node="x" * MOST_NODE_CODE,
    )
    account = Account(2**63 - 1 - holds, profile, -MOST_BALANCE, 0, "frozen")
    for number in range(holds):
        hold = typeid(HOLD, UUID(int=LAST.int - number))
        event = HoldPlaced(profile.id, account.version + 1, hold, MAX_AMOUNT, profile.currency, None, {}, expires_at)
        account = evolve(account, event)
    return account


def largest_rates() -> Rates:
    """A pair with as many rates as it can have, with the longest value of each field."""
    rate = Rate(2**63 - 1, MOST_RATE, MOST_SPREAD, "x" * MOST_CODE, LATEST, LATEST)
    return Rates(2**63 - 1, "EUR", "USD", LATEST, (rate,) * MOST_RATES)


def largest_long_batch() -> LongBatch:
    """A long batch with the longest value of each field."""
    batch = LongBatch(2**63 - 1, typeid(LONG_BATCH, LAST), "x" * MOST_CODE, MOST_ITEMS, LATEST)
    counts = (field for field in batch.__struct_fields__ if getattr(batch, field) == 0)
    return replace(batch, **dict.fromkeys(counts, MOST_ITEMS))


LARGEST: dict[type[Value], Callable[[], Any]] = {
    Account: largest_account,
    Rates: largest_rates,
    LongBatch: largest_long_batch,
    NodeAccounts: lambda: NodeAccounts(2**63 - 1, 2**63 - 1),
    SettlementAgreement: lambda: SettlementAgreement(
        version=2**63 - 1,
        account=typeid(ACCOUNT, LAST),
        currency=max(EXPONENTS, key=len),
        payout=typeid(ACCOUNT, LAST),
        fee_rate=MILLIONTHS,
        starts_on=date.max,
        next_day=date.max,
        paused=True,
        last_day=date.max,
        until=2**63 - 1,
        gross=-MOST_BALANCE,
        fee=MOST_BALANCE,
    ),
}


"""Makes the largest state of each class that has snapshots, from the bounds of the domain."""


def size(state: Any) -> int:
    """The bytes of the state in a snapshot."""
    return len(JsonStates(SNAPSHOTS).encode(state))


@pytest.mark.parametrize("kind", [kind for kind, _ in SNAPSHOTS.values()], ids=lambda kind: kind.__name__)
def test_the_largest_state_fits_a_snapshot(kind: type[Value]) -> None:
    state = LARGEST[kind]()
    assert all(getattr(state, name) not in (None, (), "") for name in state.__struct_fields__), "a field is empty"
    assert size(state) <= MOST_STATE_BYTES


def test_a_thousand_holds_fit_only_while_none_of_them_expires() -> None:
    """An account could have a thousand when holds did not expire, and nobody had a mandate."""
    assert size(largest_account(1_000, None, 0)) <= MOST_STATE_BYTES < size(largest_account(1_000))
