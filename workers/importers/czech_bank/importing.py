"""Imports the bank's history as commands, through the executor and the decisions of every other command.

The id in the source is the idempotency key, and every id is made from it. An import that was killed at any moment and
is started again sends the same commands, so nothing is imported twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import account_number
from domain.accounts.posting import entries_between, internal_account
from domain.accounts.recurring import RECURRING, CreateRecurringPayment, PauseRecurringPayment, Schedule
from domain.accounts.recurring.schedule import MONTHS_OF_YEAR
from domain.accounts.transaction import TRANSACTION, PostTransaction
from domain.ids import named_id
from domain.together import Together
from eventstore.executor.decided_commands import Submission
from eventstore.log.answers import ACCEPTED, Answer, find_answers
from workers.composition import WriteSide, system_principal, system_submission
from workers.importers.czech_bank.source import (
    CURRENCY,
    SourceAccount,
    SourceOrder,
    SourceTransaction,
    read_accounts,
    read_orders,
    read_transactions,
    transaction_files,
)

ACTOR = "system:czech-bank"
PRINCIPAL = system_principal(ACTOR)
GROUP = 1_000
NUMBERS_FROM = 10**9
"""The bank's account ids become numbers of ten digits. The sequence reaches them after a billion accounts."""


class ImportFailedError(RuntimeError):
    """A row with this id was imported before with other content: the file has changed."""


@dataclass
class Imported:
    """The result of an import."""

    accounts: int = 0
    transactions: int = 0
    orders: int = 0  # standing orders
    already: int = 0  # imported by an earlier run
    without_amount: list[str] = field(
        default_factory=list
    )  # keys of rows with the amount 0.00, which move nothing and are not in the log
    refused: dict[str, list[str]] = field(default_factory=dict)  # keys by rule

    @property
    def ok(self) -> bool:
        """Whether every row of the source that moves money is in the log."""
        return not self.refused


def account_id(log: str, id: int) -> str:
    """The id in the ledger of an account of the bank."""
    return named_id(ACCOUNT, log, "czech-bank", str(id))


def import_folder(
    side: WriteSide, connection: Connection[Any], folder: Path, at: datetime, progress: Callable[[str, int], None]
) -> Imported:
    """Import everything in the folder. `progress` gets the step and the number of its rows that are done.

    Raises `SourceError` if a file is wrong (earlier groups are imported), `ImportFailedError`, `ExecutorError`.
    """
    done = Imported()
    for count in _execute(side, connection, (_opening(side, a, at) for a in read_accounts(folder)), done):
        done.accounts += count
        progress("accounts", done.accounts)
    for file in transaction_files(folder):
        for count in _execute(side, connection, _postings(side, file, at, done), done):
            done.transactions += count
            progress("transactions", done.transactions)
    for count in _execute(side, connection, _orders(side, folder, at, done), done):
        done.orders += count
        progress("standing orders", done.orders)
    return done


def _execute(
    side: WriteSide, connection: Connection[Any], submissions: Iterable[Submission], done: Imported
) -> Iterator[int]:
    """Execute in groups of bounded size. What an earlier run imported is looked up and not executed again."""
    rows = iter(submissions)
    while group := list(islice(rows, GROUP)):
        found = find_answers(connection, side.log_number, [(s.actor, s.key) for s in group])
        for submission in group:
            earlier = found.get((submission.actor, submission.key))
            if earlier is not None and earlier.request_hash != submission.request_hash:
                raise ImportFailedError(f"{submission.key} was imported before with other content")
        new = [s for s in group if (s.actor, s.key) not in found]
        done.already += len(found)
        answers = [*side.executor.execute(new), *(earlier.answer for earlier in found.values())]
        for key, answer in zip([*(s.key for s in new), *(key for _, key in found)], answers, strict=True):
            _note(done, key, answer)
        yield len(group)


def _note(done: Imported, key: str, answer: Answer) -> None:
    if answer.outcome is not ACCEPTED:
        done.refused.setdefault(answer.rule or answer.outcome.name.lower(), []).append(key)


def _opening(side: WriteSide, account: SourceAccount, at: datetime) -> Submission:
    command = OpenAccount(
        account=account_id(side.log, account.id),
        number=account_number("checking", NUMBERS_FROM + account.id),
        type="checking",
        currency=CURRENCY,
        owner=f"client:{account.owner}",
        name=f"Account {account.id}",
        minimum=None,
        maximum=None,
        opened_on=account.opened_on,
    )
    return system_submission(PRINCIPAL, f"czech-bank:account:{account.id}", command, repr(account), side.log, at)


def _postings(side: WriteSide, file: Path, at: datetime, done: Imported) -> Iterator[Submission]:
    """A command for each row that moves money. A row with the amount zero is noted: the ledger posts no such entry."""
    for row in read_transactions(file):
        if row.amount:
            yield _posting(side, row, at)
        else:
            done.without_amount.append(_key(row))


def _orders(side: WriteSide, folder: Path, at: datetime, done: Imported) -> Iterator[Submission]:
    """A command for each standing order that moves money."""
    for order in read_orders(folder):
        key = f"czech-bank:order:{order.id}"
        if order.amount:
            yield _ordering(side, key, order, at)
        else:
            done.without_amount.append(key)


def _ordering(side: WriteSide, key: str, order: SourceOrder, at: datetime) -> Submission:
    """A recurring payment that is paused: the source is history, and its import must not begin to pay."""
    payment = named_id(RECURRING, side.log, "czech-bank", str(order.id))
    created = CreateRecurringPayment(
        payment=payment,
        payer=account_id(side.log, order.account),
        payee=internal_account(side.log, "banks", CURRENCY),
        amount=order.amount,
        currency=CURRENCY,
        schedule=Schedule("months", 1, _next_month(at.date())),
        reference=str(order.id),
        metadata={"k_symbol": order.symbol} if order.symbol else {},
    )
    command = Together((created, PauseRecurringPayment(payment)))
    return system_submission(PRINCIPAL, key, command, repr(order), side.log, at)


def _next_month(day: date) -> date:
    """The first day of the next month. The source says neither when an order began nor on which day it is due."""
    return date(day.year + day.month // MONTHS_OF_YEAR, day.month % MONTHS_OF_YEAR + 1, 1)


def _key(row: SourceTransaction) -> str:
    return f"czech-bank:trans:{row.id}"


def _posting(side: WriteSide, row: SourceTransaction, at: datetime) -> Submission:
    account, internal = account_id(side.log, row.account), internal_account(side.log, row.role, CURRENCY)
    debited, credited = (internal, account) if row.credit else (account, internal)
    command = PostTransaction(
        transaction=named_id(TRANSACTION, side.log, "czech-bank", str(row.id)),
        kind=row.kind,
        entries=entries_between(debited, credited, row.amount, CURRENCY),
        value_date=row.day,
        reference=str(row.id),
    )
    return system_submission(PRINCIPAL, _key(row), command, repr(row), side.log, at)
