"""A small bank in memory for unit tests: accounts of two persons, the ledger's own accounts, and a clock to set."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.events import AccountCredited, AccountDebited, AccountOpened
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.transaction import PendTransfer, ReverseTransaction, Transfer, Withdraw
from domain.kernel import Decision, Event, Principal, Role, Unknown
from tests.support.memory_ledger import OPENED, TODAY, By, MemoryLedger

A, B, FOREIGN = "acct_a", "acct_b", "acct_foreign"
CASH, FEES, REVENUE = (internal_account("main", role, "EUR") for role in ("cash", "fees", "revenue"))
ADA, BOB, EVE = "prsn_ada", "prsn_bob", "prsn_eve"
MOMENT = timedelta(microseconds=1)


def opened(id: str, owner: str, minimum: int | None = 0, type: str = "checking") -> AccountOpened:
    return AccountOpened(id, 1, f"number of {id}", type, "EUR", owner, "A name", minimum, None, OPENED)  # type: ignore[arg-type]


FUNDED = 1_000
"""A has 10.00 at first."""
_ENTRIES = (Entry(CASH, "debit", FUNDED, "EUR"), Entry(A, "credit", FUNDED, "EUR"))
WORLD: tuple[Event, ...] = (
    opened(A, ADA),
    opened(B, ADA),
    opened(FOREIGN, EVE),
    *(opened(id, "main", None, type) for id, type in ((CASH, "cash"), (FEES, "fees"), (REVENUE, "revenue"))),
    TransactionPosted("txn_0", 1, "deposit", TODAY, _ENTRIES, None, None, None),
    AccountDebited(CASH, 2, "txn_0", 1, FUNDED, "EUR", TODAY),
    AccountCredited(A, 2, "txn_0", 2, FUNDED, "EUR", TODAY),
)
"""Ada owns A and B, and Eve owns the foreign account."""


def operator(person: str | None = None, id: str = "the-operator") -> Principal:
    return Principal(id, ("operator",), person=person)


def customer(person: str, role: Role = "customer") -> Principal:
    return Principal("app", (role,), person=person)


def bank(*more: Event) -> MemoryLedger:
    """The bank after these events too."""
    ledger = MemoryLedger()
    ledger.record((*WORLD, *more))
    return ledger


def set_clock(ledger: MemoryLedger, now: datetime) -> None:
    ledger.context = replace(ledger.context, decided_at=now)


def at(now: datetime, command: Any, principal: Principal | None = None) -> By:
    """The command at this time."""
    return By(principal or operator(), command, now)


def by(principal: Principal, command: Any, now: datetime | None = None) -> By:
    return By(principal, command, now)


def pend(amount: int = 300, id: str = "txn_1", source: str = A, target: str = B, **more: Any) -> PendTransfer:
    return PendTransfer(id, source, target, amount, "EUR", TODAY, **more)


def transfer(amount: int, id: str = "txn_1", source: str = A, target: str = B) -> Transfer:
    return Transfer(id, source, target, amount, "EUR", TODAY)


def withdraw(amount: int, id: str, account: str = A) -> Withdraw:
    return Withdraw(id, account, amount, "EUR", TODAY)


def reverse(id: str = "txn_2", original: str = "txn_1", amount: int | None = None, **more: Any) -> ReverseTransaction:
    values: dict[str, Any] = {"value_date": TODAY, "reason": "twice", **more}
    currency = None if amount is None else "EUR"
    return ReverseTransaction(transaction=id, original=original, amount=amount, currency=currency, **values)


def limited(account: str = A, *, minimum: int | None = 0, maximum: int | None = None, **limits: Any) -> ChangeLimits:
    """All limits of an account: these and no others."""
    return ChangeLimits(account, "EUR", Limits(minimum, maximum, **limits), "a contract")


def unknown(decision: Decision) -> tuple[str, str]:
    """What a decision does not know."""
    assert isinstance(decision, Unknown), decision
    return decision.kind, decision.id


def figures(ledger: MemoryLedger, account: str = A) -> tuple[int, int]:
    """The balance, and what is reserved of it."""
    state = ledger[account]
    return state.balance, state.reserved
