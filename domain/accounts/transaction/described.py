"""The transaction of a command: what the client said about it, sealed by the right person's key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from domain.accounts.account.state import Account
from domain.accounts.details import details_of
from domain.accounts.posting import Entry, Transaction, TransactionKind
from domain.codes import Metadata
from domain.kernel import Personal, States, found


class Described(Protocol):
    """A command that posts one transaction."""

    @property
    def transaction(self) -> str: ...
    @property
    def value_date(self) -> date: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def description(self) -> Personal | None: ...
    @property
    def metadata(self) -> Metadata: ...


def transaction_of(
    command: Described,
    kind: TransactionKind,
    entries: tuple[Entry, ...],
    described_by: str | None,
    states: States,
) -> Transaction:
    """Return the transaction of the command. The key of the owner of account `described_by` seals the description."""
    subject = None
    description: Personal | None = command.description
    if description is not None:
        account = found(states, described_by, Account) if described_by is not None else None
        subject = account.profile.owner if account else None
        description = description if subject else None
    return Transaction(
        id=command.transaction,
        kind=kind,
        entries=entries,
        value_date=command.value_date,
        reference=command.reference,
        description=description,
        subject=subject,
        details=details_of(command.metadata),
    )


def owner_of(entries: Sequence[Entry], states: States) -> str | None:
    """Return the owner of the first account of a customer, whose key seals what is written about the transaction."""
    accounts = (found(states, entry.account, Account) for entry in entries)
    return next((one.profile.owner for one in accounts if one is not None and not one.profile.internal), None)
