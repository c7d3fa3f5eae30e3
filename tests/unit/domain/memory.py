"""The domain on its own: streams in memory, every event folded, every invariant asked after each command."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any, get_args
from uuid import UUID

from domain import decider
from domain.accounts.account import Account
from domain.accounts.commands import Deposit, OpenAccount, Transfer
from domain.accounts.events import AccountCredited, AccountDebited, AccountType, InternalRole, TransactionPosted
from domain.accounts.numbers import account_number
from domain.accounts.posting import internal_account
from domain.ids import ACCOUNT, typeid
from domain.kernel import Accepted, Context, Decision, Event, NeedsStreams, Refused, State

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOW.date()
OPENED = date(2020, 1, 1)
MOST_ROUNDS = 3

_ids = count(1)


def new_id(prefix: str) -> str:
    """An id like those drawn outside."""
    return typeid(prefix, UUID(int=next(_ids)))


@dataclass
class MemoryLedger:
    """Executes commands purely: what an executor does, without the log."""

    context: Context = field(default_factory=lambda: Context(NOW, "main"))
    log: list[Event] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)

    def decide(self, command: Any) -> Decision:
        """The decision on the current states; nothing changes."""
        streams = dict.fromkeys(command.streams)
        for _ in range(1 + MOST_ROUNDS):
            decision = decider.decide(command, {s: self.states.get(s) for s in streams}, self.context)
            if not isinstance(decision, NeedsStreams):
                return decision
            streams.update(dict.fromkeys(decision.streams))
        raise AssertionError(f"{command} kept asking for streams")

    def execute(self, command: Any) -> Decision:
        """Decide, and if it is accepted let it happen."""
        decision = self.decide(command)
        if isinstance(decision, Accepted):
            for event in decision.events:
                before = self.states.get(event.originator_id)
                assert event.originator_version == (before.version if before else 0) + 1, event
                self.log.append(event)
                self.states[event.originator_id] = decider.evolve(before, event)
        return decision

    def accepted(self, command: Any) -> Accepted:
        """Execute what must be accepted."""
        decision = self.execute(command)
        assert isinstance(decision, Accepted), decision
        return decision

    def refused(self, command: Any) -> Refused:
        """Execute what must be refused; it changes nothing."""
        before = len(self.log)
        decision = self.execute(command)
        assert isinstance(decision, Refused), decision
        assert len(self.log) == before
        return decision

    def open_internal(self, currency: str = "EUR") -> None:
        """Open the ledger's own accounts in a currency."""
        roles: tuple[InternalRole, ...] = get_args(InternalRole)
        for role in roles:
            id = internal_account("main", role, currency)
            self.accepted(opening(role, account=id, currency=currency, minimum=None))

    def account(self, balance: int = 0, **more: Any) -> str:
        """A fresh account with so much on it."""
        command = opening(**more)
        self.accepted(command)
        if balance:
            self.accepted(Deposit(new_id("txn"), command.account, balance, command.currency, TODAY))
        return command.account

    def __getitem__(self, id: str) -> Any:
        return self.states[id]

    def check(self) -> None:
        """What is true of every history."""
        sums: dict[str, int] = defaultdict(int)
        shares: dict[str, list[tuple[int, str, str, int, str]]] = defaultdict(list)
        entries: dict[str, list[tuple[int, str, str, int, str]]] = {}
        folded: dict[str, State] = {}
        for event in self.log:
            folded[event.originator_id] = decider.evolve(folded.get(event.originator_id), event)
            if isinstance(event, AccountCredited | AccountDebited):
                side = "credit" if isinstance(event, AccountCredited) else "debit"
                sums[event.currency] += event.amount if side == "credit" else -event.amount
                shares[event.transaction].append((event.entry, event.originator_id, side, event.amount, event.currency))
            elif isinstance(event, TransactionPosted):
                entries[event.originator_id] = [
                    (n, e.account, e.side, e.amount, e.currency) for n, e in enumerate(event.entries, 1)
                ]
        assert folded == self.states
        assert all(total == 0 for total in sums.values()), sums
        assert {id: sorted(found) for id, found in shares.items()} == entries
        for state in self.states.values():
            if isinstance(state, Account):
                assert state.reserved == sum(amount for _, amount in state.holds) >= 0
                if state.profile.minimum is not None:
                    assert state.available >= min(state.profile.minimum, 0)  # a new account is below a positive one
                if state.profile.maximum is not None:
                    assert state.balance <= state.profile.maximum


def opening(
    type: AccountType = "checking",
    *,
    account: str | None = None,
    currency: str = "EUR",
    minimum: int | None = 0,
    maximum: int | None = None,
    opened_on: date = OPENED,
    number: str | None = None,
) -> OpenAccount:
    """A command that opens an account."""
    return OpenAccount(
        account or new_id(ACCOUNT),
        number or account_number(type, next(_ids)),
        type,
        currency,
        "owner-1",
        "Ada Lovelace",
        minimum,
        maximum,
        opened_on,
    )


def transfer(source: str, target: str, amount: int, currency: str = "EUR", value_date: date = TODAY) -> Transfer:
    """A command that moves money."""
    return Transfer(new_id("txn"), source, target, amount, currency, value_date)
