"""Imports the bank's history as commands, through the executor and the decisions of every other command.

The id in the source is the idempotency key, and every id is made from it. An import that was killed at any moment and
is started again sends the same commands, so nothing is imported twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import account_number
from domain.accounts.posting import entries_between, internal_account
from domain.accounts.transaction import TRANSACTION, PostTransaction
from domain.ids import named_id
from eventstore.executor.decided_commands import Submission
from workers.composition import WriteSide, system_principal, system_submission
from workers.importers.czech_bank.source import (
    CURRENCY,
    SourceAccount,
    SourceTransaction,
    read_accounts,
    read_transactions,
    transaction_files,
)
from workers.importers.executing import Imported, execute_groups

ACTOR = "system:czech-bank"
PRINCIPAL = system_principal(ACTOR)
NUMBERS_FROM = 10**9
"""The bank's account ids become numbers of ten digits. The sequence reaches them after a billion accounts."""


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
    for count in execute_groups(side, connection, (_opening(side, a, at) for a in read_accounts(folder)), done):
        done.accounts += count
        progress("accounts", done.accounts)
    for file in transaction_files(folder):
        for count in execute_groups(side, connection, _postings(side, file, at, done), done):
            done.transactions += count
            progress("transactions", done.transactions)
    return done


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
