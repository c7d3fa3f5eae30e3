"""The domain without a database: streams in memory, every event folded, and every unit checked.

`MemoryLedger.execute` checks each unit: versions are contiguous, entries sum to zero and match the shares of accounts
one to one, no limit is crossed, and `verify` would find nothing. `MemoryLedger.check` checks the whole history again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from operator import itemgetter
from typing import Any, TypeVar, cast, get_args
from uuid import UUID

from msgspec.structs import replace

from domain import registry
from domain.accounts.account.events import AccountCredited, AccountDebited
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT, Account
from domain.accounts.numbers import AccountType, InternalRole, account_number
from domain.accounts.posting import Entry, Side, TransactionPosted, internal_account
from domain.accounts.transaction import Deposit, Transfer
from domain.aggregate import Decided
from domain.ids import typeid
from domain.kernel import Accepted, Context, Decision, Event, Forbidden, NeedsStreams, Principal, Refused, Role, State
from domain.refusals import CommandRefused, recorder
from domain.registry import CATALOGUE, explain
from domain.subjects import SubjectErased, subject_stream
from tests.support.checking import broken

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOW.date()
OPENED = date(2020, 1, 1)
PRINCIPAL = Principal("tester", ("operator",))
MOST_ROUNDS = 3
SUBJECTS = {entry.event: entry for entry in CATALOGUE if entry.event is not None and entry.subject is not None}

S = TypeVar("S")

_ids = count(1)


def new_id(prefix: str) -> str:
    """An id like those of a running service."""
    return typeid(prefix, UUID(int=next(_ids)))


FIRST_OF_A_LEDGER = 2**64
"""Beyond the numbers of the ids of `new_id` and of the samples."""


def own_ids() -> Callable[[str], str]:
    """Makes the ids of one ledger, always the same ones.

    Some rules compare ids, so a random history depends on them. Ids of `new_id` depend on the tests that ran before.
    """
    numbers = count(FIRST_OF_A_LEDGER)
    return lambda prefix: typeid(prefix, UUID(int=next(numbers)))


@dataclass(frozen=True)
class By:
    """A command that another principal sends than the operator of the tests."""

    principal: Principal
    command: Any
    at: datetime | None = None  # None: when the ledger's clock says


def by_person(person: str, *roles: Role) -> Principal:
    """A person who has signed in."""
    return Principal(person, ("person", *roles), "session", person)


VISITOR = Principal("visitor", ("visitor",), "none")
"""Somebody whom nobody knows."""
MACHINE = Principal("system:first-administrator", ("operator",), "system")
APPROVER, APPROVER_TOKEN = Principal("the-approver", ("operator",), person="prsn_approver"), "secret-of-an-approver"
"""An operator who is a person, and their token in the file of a service."""
ADMINISTRATOR = by_person("prsn_admin", "administrator")


@dataclass
class MemoryLedger:
    """Executes commands as an executor does, without a log."""

    context: Context = field(default_factory=lambda: Context(NOW, "main", PRINCIPAL))
    log: list[Event] = field(default_factory=list)
    states: dict[str, State] = field(default_factory=dict)
    new_id: Callable[[str], str] = field(default_factory=own_ids)
    erased: set[str] = field(default_factory=set)
    _policies: dict[str, State | None] = field(default_factory=dict)
    _streams: dict[type, list[str]] = field(default_factory=lambda: defaultdict(list))

    def of(self, kind: type[S]) -> list[S]:
        """Every stream of this kind, oldest first."""
        return [cast(S, self.states[stream]) for stream in self._streams[kind]]

    @property
    def decided(self) -> Decided:
        """What a check knows of a decision on this ledger."""
        return Decided(self.context.decided_at, self.context.rules, self.context.log, self._policies)

    def decide(self, command: Any) -> Decision:
        """The decision on the current states, without effects."""
        streams = dict.fromkeys(command.streams)
        for _ in range(1 + MOST_ROUNDS):
            decision = registry.decide(command, {s: self.states.get(s) for s in streams}, self.context)
            if not isinstance(decision, NeedsStreams):
                return decision
            streams.update(dict.fromkeys(decision.streams))
        raise AssertionError(f"{command} kept asking for streams")

    def execute_by(self, command: Any) -> Decision:
        """Execute a command by its principal, if it is given with one."""
        if not isinstance(command, By):
            return self.execute(command)
        usual, self.context = (
            self.context,
            replace(self.context, principal=command.principal, decided_at=command.at or self.context.decided_at),
        )
        try:
            return self.execute(command.command)
        finally:
            self.context = usual

    def execute(self, command: Any) -> Decision:
        """Decide a command. Apply its events if it is accepted; check the explanation if it is refused."""
        decision = self.decide(command)
        if isinstance(decision, Accepted | Refused) and not self.erased.isdisjoint(map(person_of, decision.events)):
            return Forbidden("nothing can be written about an erased person")  # nothing is recorded
        if isinstance(decision, Accepted):
            before = {event.originator_id: self.states.get(event.originator_id) for event in decision.events}
            self._policies = {stream: self.states.get(stream) for stream in registry.READ_MOSTLY}
            self.record(decision.events)
            assert_double_entry(decision.events)
            for stream, state in before.items():
                assert_within_limits(state, self.states[stream], self.context.today)
            assert broken(before, decision.events, self.decided) == []
        elif isinstance(decision, Refused):
            assert explain(decision.rule, decision.figures)
            key = f"key-{len(self.log)}"
            refuse = recorder(self.new_id, registry.name_of)
            refused = refuse(self.context.principal.id, key, command, decision.rule, decision.figures)
            unit = (*decision.events, refused)
            before = {event.originator_id: self.states.get(event.originator_id) for event in unit}
            self._policies = {stream: self.states.get(stream) for stream in registry.READ_MOSTLY}
            self.record(unit)
            assert broken(before, unit, self.decided) == []
        return decision

    def erase(self, subject: str) -> None:
        """Erase a person, as the owner's function does."""
        event = SubjectErased(subject_stream(subject), 1, subject)
        assert broken({event.originator_id: self.states.get(event.originator_id)}, (event,), self.decided) == []
        self.record([event])
        self.erased.add(subject)

    def record(self, events: Iterable[Event]) -> None:
        """Apply events."""
        for event in events:
            stream = event.originator_id
            before = self.states.get(stream)
            self.states[stream] = after = _evolved(before, event)
            if before is None:
                self._streams[type(after)].append(stream)
            self.log.append(event)

    def accepted(self, command: Any) -> Accepted:
        """Execute a command that must be accepted."""
        decision = self.execute_by(command)
        assert isinstance(decision, Accepted), decision
        return decision

    def refused(self, command: Any) -> Refused:
        """Execute a command that must be refused and leave nothing but the facts of the decision and its refusal."""
        before = len(self.log)
        decision = self.execute_by(command)
        assert isinstance(decision, Refused), decision
        assert [type(event) for event in self.log[before:]] == [*map(type, decision.events), CommandRefused]
        return decision

    def open_internal(self, currency: str = "EUR") -> None:
        """Open the internal accounts in a currency."""
        roles: tuple[InternalRole, ...] = get_args(InternalRole)
        for role in roles:
            id = internal_account("main", role, currency)
            self.accepted(opening(role, account=id, currency=currency, minimum=None))

    def account(self, balance: int = 0, **more: Any) -> str:
        """A new account with this balance."""
        command = opening(**more)
        self.accepted(command)
        if balance:
            self.accepted(Deposit(new_id("txn"), command.account, balance, command.currency, TODAY))
        return command.account

    def __getitem__(self, id: str) -> Any:
        return self.states[id]

    def check(self) -> None:
        """Check what is true of every history: the books balance, and another fold gives the same states."""
        assert_double_entry(self.log)
        folded: dict[str, State] = {}
        balances: dict[str, int] = defaultdict(int)
        for event in self.log:
            folded[event.originator_id] = _evolved(folded.get(event.originator_id), event)
            if isinstance(event, TransactionPosted):
                for entry in event.entries:
                    balances[entry.account] += entry.signed
        assert folded == self.states
        trial_balance: dict[str, int] = defaultdict(int)
        for state in self.states.values():
            if isinstance(state, Account):
                trial_balance[state.profile.currency] += state.balance
                assert state.balance == balances[state.profile.id]
                assert state.reserved == sum(amount for _, amount, _ in state.holds) >= 0
        assert not any(trial_balance.values()), trial_balance


def person_of(event: Event) -> str | None:
    """The person whose key seals values of the event; None if it has none."""
    entry = SUBJECTS.get(type(event))
    if entry is None or entry.subject is None or all(getattr(event, name) is None for name in entry.personal):
        return None
    return cast(str | None, getattr(event, entry.subject))


def assert_double_entry(events: Iterable[Event]) -> None:
    """Every transaction among the events sums to zero in each currency and matches its shares one to one."""
    shares: dict[str, list[tuple[int, Entry, date]]] = defaultdict(list)
    entries: dict[str, list[tuple[int, Entry, date]]] = {}
    for event in events:
        if isinstance(event, AccountCredited | AccountDebited):
            side: Side = "credit" if isinstance(event, AccountCredited) else "debit"
            entry = Entry(event.originator_id, side, event.amount, event.currency)
            shares[event.transaction].append((event.entry, entry, event.value_date))
        elif isinstance(event, TransactionPosted):
            entries[event.originator_id] = [(n, entry, event.value_date) for n, entry in enumerate(event.entries, 1)]
            sums: dict[str, int] = defaultdict(int)
            for entry in event.entries:
                sums[entry.currency] += entry.signed
            assert not any(sums.values()), event
    assert {id: sorted(found, key=itemgetter(0)) for id, found in shares.items()} == entries


def assert_within_limits(before: State | None, after: State, today: date) -> None:
    """A unit that takes money leaves at least the minimum; one that adds money leaves at most the maximum.

    One that closes the account leaves nothing.
    """
    if isinstance(after, Account) and after.status == "closed":
        assert (after.balance, after.holds) == (0, ()), after
    elif isinstance(before, Account) and isinstance(after, Account):
        minimum, maximum = after.floor(today), after.profile.maximum
        assert minimum is None or after.available >= min(minimum, before.available), after
        assert maximum is None or after.balance <= max(maximum, before.balance), after


def _evolved(state: State | None, event: Event) -> State:
    assert event.originator_version == (state.version if state else 0) + 1, event
    return registry.evolve(state, event)


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
