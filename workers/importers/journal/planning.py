"""Turns transactions of a file into commands, after it has checked every one of them. It reads and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import AccountType
from domain.accounts.posting import LEAST_ENTRIES, MOST_ENTRIES, Entry
from domain.accounts.transaction import TRANSACTION, PostTransaction
from domain.codes import CODE
from domain.ids import named_id
from domain.money import EXPONENTS, MAX_AMOUNT, show
from workers.importers.journal.mapping import TYPES, Mapped, longest
from workers.importers.journal.source import JournalError, Source, SourceTransaction

MOST_ACCOUNT_NAME, MOST_DESCRIPTION = 100, 500
"""Characters, as for whoever sends the commands by HTTP (`api.commands.bodies`)."""


@dataclass(frozen=True, slots=True)
class Existing:
    """An account that is there, to which the mapping leads."""

    id: str
    currency: str


@dataclass(slots=True)
class Planned:
    """An account of the books in one currency, and the account that it becomes."""

    id: str
    name: str
    currency: str
    opened_on: date
    type: AccountType | None  # None: it is there
    owner: str | None  # None: the log, for one of the ledger's own types
    node: str | None
    start: int | None = None  # the balance that the file states to be there before it begins
    days: dict[date, int] = field(default_factory=dict)  # the change of the balance by value date: credits less debits


@dataclass(slots=True)
class Plan:
    """What is imported, in order."""

    name: str
    books: str  # its accounts are shared by every import of these books
    continues: bool  # whether the file begins where the ledger's balances are
    accounts: dict[tuple[str, str], Planned] = field(default_factory=dict)  # by name and currency
    transactions: list[tuple[SourceTransaction, PostTransaction]] = field(default_factory=list)
    without_amount: list[str] = field(default_factory=list)

    def key(self, transaction: SourceTransaction) -> str:
        """The idempotency key of a transaction."""
        return f"journal:{self.name}:{transaction.number}"


def plan(
    log: str,
    name: str,
    mapped: Mapped,
    existing: Mapping[str, Sequence[Existing]],
    source: Source,
) -> Plan:
    """Plan the import. `existing` are the accounts of the mapping by name. Raises `JournalError` with every problem."""
    made = Plan(name, mapped.books or name, mapped.continues)
    planner = _Planner(log, made.books, name, mapped, existing)
    for transaction in sorted(source.transactions, key=lambda one: (one.day, one.number)):
        planner.add(transaction, made)
    for (account, commodity), start in source.starts.items():
        currency = mapped.commodities.get(commodity, commodity)
        if (account, currency) in made.accounts:
            minor = _minor(start, EXPONENTS[currency])
            made.accounts[account, currency].start = None if minor is None else -minor
    if planner.problems:
        raise JournalError.of(list(dict.fromkeys(planner.problems)))
    return made


@dataclass(slots=True)
class _Planner:
    log: str
    books: str
    name: str
    mapped: Mapped
    existing: Mapping[str, Sequence[Existing]]
    problems: list[str] = field(default_factory=list)

    def add(self, transaction: SourceTransaction, to: Plan) -> None:
        """Add a transaction to the plan, or what is wrong with it to the problems."""
        before = len(self.problems)
        moved = [*self.postings(transaction)]
        if len(self.problems) == before:  # else a posting is missing, and the others do not sum to zero
            moved += self.conversion(transaction, moved)
        if len(self.problems) > before:
            return
        moved = [(account, currency, amount) for account, currency, amount in moved if amount]
        if not moved:
            to.without_amount.append(to.key(transaction))
            return
        if not LEAST_ENTRIES <= len(moved) <= MOST_ENTRIES:
            self.wrong(transaction, f"{len(moved)} postings; a transaction has {LEAST_ENTRIES} to {MOST_ENTRIES}")
            return
        entries = []
        for name, currency, amount in moved:
            account = self.account(transaction, name, currency, to)
            if account is None:
                return
            entries.append(Entry(account.id, "debit" if amount > 0 else "credit", abs(amount), currency))
            account.days[transaction.day] = account.days.get(transaction.day, 0) - amount
        reference, description = _texts(transaction)
        length = len(description or "")
        if length > MOST_DESCRIPTION:
            self.wrong(transaction, f"the description has {length} characters; the most is {MOST_DESCRIPTION}")
        command = PostTransaction(
            transaction=named_id(TRANSACTION, self.log, "journal", self.name, str(transaction.number)),
            kind="journal",
            entries=tuple(entries),
            value_date=transaction.day,
            reference=reference,
            description=description,
        )
        to.transactions.append((transaction, command))

    def wrong(self, transaction: SourceTransaction, sentence: str) -> None:
        self.problems.append(f"{transaction.where}: {sentence}")

    def postings(self, transaction: SourceTransaction) -> Iterator[tuple[str, str, int]]:
        """Account, currency and minor units of each posting, positive for a debit."""
        for posting in transaction.postings:
            currency = self.mapped.commodities.get(posting.commodity, posting.commodity)
            if currency not in EXPONENTS:
                self.wrong(
                    transaction,
                    f"the commodity {posting.commodity[:40]!r} is no currency: name its ISO 4217 code in [commodities]",
                )
                continue
            amount = _minor(posting.amount, EXPONENTS[currency])
            if amount is None:
                decimals = EXPONENTS[currency]
                self.wrong(transaction, f"{posting.amount} {currency} has more decimals than the currency, {decimals}")
            elif abs(amount) > MAX_AMOUNT:
                most = show(MAX_AMOUNT, currency)
                self.wrong(transaction, f"{posting.amount} {currency} is over the largest amount, {most}")
            else:
                yield posting.account, currency, amount

    def conversion(
        self, transaction: SourceTransaction, moved: Sequence[tuple[str, str, int]]
    ) -> list[tuple[str, str, int]]:
        """The postings that balance each currency of a transaction with a price, on the account for conversions."""
        sums: dict[str, int] = {}
        for _, currency, amount in moved:
            sums[currency] = sums.get(currency, 0) + amount
        left = {currency: total for currency, total in sums.items() if total}
        if not left:
            return []
        shown = " and ".join(f"{show(total, currency)} {currency}" for currency, total in sorted(left.items()))
        if len(left) == 1:
            self.wrong(transaction, f"the postings sum to {shown}, and not to zero")
        elif not transaction.priced:
            self.wrong(transaction, f"the postings sum to {shown}, and none has a price, such as 10 USD @ 0.90 EUR")
        return [(self.mapped.conversion, currency, -total) for currency, total in left.items()]

    def account(self, transaction: SourceTransaction, name: str, currency: str, to: Plan) -> Planned | None:
        """The account of a posting, planned when it is met first. None if it cannot be."""
        known = to.accounts.get((name, currency))
        if known is not None:
            return known
        there = self.existing.get(name)
        if there is not None:
            found = next((one for one in there if one.currency == currency), None)
            if found is None:
                currencies = ", ".join(one.currency for one in there)
                self.wrong(transaction, f"{name} is mapped to accounts in {currencies}; the posting is in {currency}")
                return None
            planned = Planned(found.id, name, currency, transaction.day, None, None, None)
        else:
            type = longest(self.mapped.types, name) or TYPES.get(name.split(":")[0].lower())
            if type is None:
                self.wrong(transaction, f"nothing says what {name} is: name its type, or its account, in the mapping")
                return None
            if len(name) > MOST_ACCOUNT_NAME:
                self.wrong(transaction, f"the account name has {len(name)} characters; the most is {MOST_ACCOUNT_NAME}")
                return None
            planned = Planned(
                id=named_id(ACCOUNT, self.log, "journal", self.books, name, currency),
                name=name,
                currency=currency,
                opened_on=transaction.day,  # the transactions come in the order of days
                type=type,
                owner=longest(self.mapped.owners, name) or self.mapped.owner,
                node=longest(self.mapped.nodes, name),
            )
        to.accounts[name, currency] = planned
        return planned


def _minor(amount: Decimal, exponent: int) -> int | None:
    """The minor units of an amount, exactly; None if it has more decimals than the currency."""
    sign, digits, shift = amount.as_tuple()
    assert isinstance(shift, int), "it is a finite number"
    whole = int("".join(map(str, digits)) or "0")
    shift += exponent
    if shift >= 0:
        minor: int = whole * 10**shift
    else:
        minor, rest = divmod(whole, 10**-shift)
        if rest:
            return None
    return -minor if sign else minor


_CODE: Final = re.compile(CODE)


def _texts(transaction: SourceTransaction) -> tuple[str | None, str | None]:
    """Reference and description. A code that is no code of ours is free text, and stands before the description."""
    code, description = transaction.code.strip(), transaction.description.strip()
    if not code or _CODE.fullmatch(code) is not None:
        return code or None, description or None
    return None, f"({code}) {description}".strip()
