"""A process manager of three steps, for tests: it pays money into an account, asks for the balance, and pays it out.

A process begins when an account of the owner `relay` is opened. It deposits 3.00, asks for the balance, waits for an
hour, and pays out a third of the balance twice. So an account whose process is done has a balance of 1.00 and three
transactions, whatever happened on the way. A payment that is refused is tried again, and then an operator has to look.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace
from psycopg import Connection

from domain.accounts.account.events import AccountOpened
from domain.accounts.transaction import Deposit, Withdraw
from domain.kernel import Value
from domain.process_manager import (
    NOTHING,
    Answered,
    Due,
    Happened,
    ProcessManager,
    Question,
    Reaction,
    Retried,
    Trigger,
    again,
)
from projections.accounts.accounts.queries import account as read_account
from tests.support.ledger import TODAY
from workers.processes.worker import Query

OWNER = "relay"
PAUSE = timedelta(hours=1)
PAID_IN, PAID_OUT = 300, 100


class Relay(Value, frozen=True):
    """How far the process of an account is."""

    step: str
    account: str
    amount: int = 0  # of each payment
    paid: tuple[str, ...] = ()  # ids of transactions
    failed: tuple[str, ...] = ()  # those of the last round that were refused
    refused: int = 0
    next_at: datetime | None = None


def evolve(state: Relay | None, trigger: Trigger) -> Relay:
    match trigger:
        case Happened(event=AccountOpened(originator_id=account)):
            return Relay("funding", account)
        case Answered(intent=Deposit(), outcome="accepted"):
            return replace(_begun(state), step="asking")
        case Answered(intent=Question(), figures=figures, at=at):
            return replace(_begun(state), step="waiting", amount=int(figures["balance"] or 0) // 3, next_at=at + PAUSE)
        case Due() | Retried():
            return replace(_begun(state), step="paying", failed=(), next_at=None)
        case Answered(intent=Withdraw(transaction=transaction)):
            return _paid(_begun(state), trigger, transaction)
    return _begun(state)


def _begun(state: Relay | None) -> Relay:
    assert state is not None
    return state


def _paid(state: Relay, answer: Answered, transaction: str) -> Relay:
    if answer.outcome == "accepted":
        paid = (*state.paid, transaction)
        state = replace(state, paid=paid)
    else:
        state = replace(state, failed=(*state.failed, transaction))
    missing = 2 - len(state.paid)
    if missing == 0:
        return replace(state, step="paid")
    if len(state.failed) < missing:
        return state  # the other payment has no answer yet
    next_at = again(state.refused + 1, answer.at)
    step = "blocked" if next_at is None else "paying"
    return replace(state, step=step, refused=state.refused + 1, next_at=next_at)


def react(state: Relay, trigger: Trigger) -> Reaction:
    account = state.account
    match trigger:
        case Happened():
            return Reaction((Deposit(trigger.id("txn"), account, PAID_IN, "EUR", TODAY),))
        case Answered(intent=Deposit()):
            return Reaction((Question("balance", {"account": account}),))
        case Due() | Retried():
            numbers = range(1, 3 - len(state.paid))
            return Reaction(tuple(Withdraw(trigger.id("txn", n), account, state.amount, "EUR", TODAY) for n in numbers))
        case Answered(rule=rule) if state.step == "blocked":
            return Reaction(attention=rule)
    return NOTHING


def _of_a_relay(event: AccountOpened) -> tuple[str, ...] | None:
    return (event.originator_id,) if event.owner == OWNER else None


RELAY = ProcessManager(
    name="relay",
    state=Relay,
    begins={AccountOpened: _of_a_relay},
    concerns={},
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"paid"}),
    sends=(Deposit, Withdraw),
    asks=("balance",),
)


def _generous(state: Relay, trigger: Trigger) -> Reaction:
    """Another version: it would pay out twice as much, under other ids."""
    reaction = react(state, trigger)
    return Reaction(
        tuple(
            replace(intent, transaction=trigger.id("txn", 100 + n), amount=2 * intent.amount)
            if isinstance(intent, Withdraw)
            else intent
            for n, intent in enumerate(reaction.intents)
        ),
        reaction.attention,
    )


GENEROUS: ProcessManager = replace(RELAY, react=_generous)


def _balance(connection: Connection[Any], arguments: Any) -> dict[str, Any]:
    found = read_account(connection, arguments["account"])
    return {"balance": None if found is None else found.balance}


QUERIES = {"balance": Query(("accounts",), _balance)}
