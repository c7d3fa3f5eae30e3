"""Imports books of hledger, ledger or a CSV file as commands, through the executor and the decisions of all others.

First everything is read, checked and rehearsed; then it is posted. The key of each command is made of the name of the
import and the number of the transaction in the file, and so are the ids. An import that was killed and is started again
sends the same commands, so nothing is imported twice; a file to which transactions were added goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from psycopg import Connection

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.events import AccountOpened
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import INTERNAL_ROLES
from domain.accounts.numbers import account_number
from domain.kernel import Context
from eventstore.executor.decided_commands import Submission
from eventstore.log.answers import ACCEPTED, find_answers
from eventstore.log.numbers import Numbers
from workers.composition import WriteSide, system_principal, system_submission
from workers.importers.executing import GROUP, Imported, ImportFailedError, execute_groups
from workers.importers.journal.csv_file import read_csv
from workers.importers.journal.mapping import Mapped
from workers.importers.journal.planning import Existing, Plan, plan
from workers.importers.journal.rehearsal import Rehearsal
from workers.importers.journal.source import JournalError, Source
from workers.importers.journal.tools import read_hledger, read_ledger

SourceFormat = Literal["hledger", "ledger", "csv"]
PRINCIPAL: Final = system_principal("system:journal")
MOST_ACCOUNTS: Final = 100_000
"""Accounts of one import."""

Progress = Callable[[str, int], None]
"""Gets a step and how much of it is done."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A command of the import. `where` names the place in the file."""

    submission: Submission
    where: str


def read(file: Path, format: SourceFormat, mapped: Mapped, *, real: bool) -> Source:
    """What a file has. Raises `JournalError`."""
    if format == "hledger":
        return Source(read_hledger(file, real=real))
    if format == "ledger":
        return Source(read_ledger(file, real=real))
    if mapped.csv is None:
        raise JournalError("a CSV file needs a mapping with a table [csv], which says what its columns are")
    return read_csv(file, mapped.csv, continues=mapped.continues)


def planned(connection: Connection[Any], side: WriteSide, name: str, mapped: Mapped, source: Source) -> Plan:
    """The plan of the import. Raises `JournalError`."""
    made = plan(side.log, name, mapped, _existing(connection, side, mapped), source)
    if len(made.accounts) > MOST_ACCOUNTS:
        raise JournalError(f"the books have {len(made.accounts):,} accounts; the most is {MOST_ACCOUNTS:,}")
    return made


def rehearse(
    connection: Connection[Any], side: WriteSide, made: Plan, at: datetime, progress: Progress
) -> frozenset[str]:
    """Find what would be refused, and return the keys that were accepted before.

    Raises `JournalError` with all of it, and `ImportFailedError` for a changed file.
    """
    rehearsal = Rehearsal(connection, side.log_number, side.codec, Context(at, side.log, PRINCIPAL))
    rehearsal.load(account.id for account in made.accounts.values())
    problems: list[str] = []
    accepted: set[str] = set()
    done = 0
    # The numbers are not those that accounts get, and none is used up.
    steps = _steps(side, made, at, lambda: 10**10 - 1)
    for group in _grouped(steps):
        found = find_answers(connection, side.log_number, [(s.submission.actor, s.submission.key) for s in group])
        for step in group:
            earlier = found.get((step.submission.actor, step.submission.key))
            if earlier is None:
                refusal = rehearsal.refusal(step.submission.command)
                if refusal is not None:
                    problems.append(f"{step.where}: {refusal}")
            elif earlier.request_hash != step.submission.request_hash:
                raise ImportFailedError(
                    f"{step.where}: {step.submission.key} was imported before with other content: the file or the "
                    "mapping has changed, or it is another file, which needs another --name"
                )
            elif earlier.answer.outcome is ACCEPTED:
                accepted.add(step.submission.key)
        done += len(group)
        progress("checked", done)
    if problems:
        raise JournalError.of(problems)
    return frozenset(accepted)


def post(connection: Connection[Any], side: WriteSide, made: Plan, at: datetime, progress: Progress) -> Imported:
    """Open the accounts and post the transactions. Raises `ImportFailedError`, `ExecutorError`."""
    numbers = Numbers(lambda: _kept_open(connection))
    done = Imported(without_amount=made.without_amount)
    openings = (step.submission for step in _openings(side, made, at, numbers.next))
    for _ in execute_groups(side, connection, openings, done):
        pass
    done.accounts = sum(account.type is not None for account in made.accounts.values())
    progress("accounts", done.accounts)
    for count in execute_groups(side, connection, (step.submission for step in _postings(side, made, at)), done):
        done.transactions += count
        progress("transactions", done.transactions)
    return done


def _existing(connection: Connection[Any], side: WriteSide, mapped: Mapped) -> dict[str, list[Existing]]:
    """The accounts of the mapping that are there. Raises `JournalError` for one that is not."""
    ids = {name: [value] if isinstance(value, str) else value for name, value in mapped.accounts.items()}
    wanted = {id: 0 for of in ids.values() for id in of}
    if len(wanted) > MOST_ACCOUNTS:
        raise JournalError(f"the mapping names {len(wanted):,} accounts; the most is {MOST_ACCOUNTS:,}")
    currencies: dict[str, str] = {}
    rows = connection.execute(
        "SELECT type, payload, stream, version FROM log.events WHERE log = %s AND stream = ANY (%s) AND version = 1",
        (side.log_number, list(wanted)),
    ).fetchall()
    for event in side.codec.decode_many((t, bytes(payload), s, v) for t, payload, s, v in rows):
        if isinstance(event, AccountOpened):
            currencies[event.originator_id] = event.currency
    missing = [(name, id) for name, of in ids.items() for id in of if id not in currencies]
    if missing:
        raise JournalError.of([f"the mapping: accounts.{name!r}: there is no account {id}" for name, id in missing])
    return {name: [Existing(id, currencies[id]) for id in of] for name, of in ids.items()}


def _steps(side: WriteSide, made: Plan, at: datetime, number: Callable[[], int]) -> Iterator[_Step]:
    yield from _openings(side, made, at, number)
    yield from _postings(side, made, at)


def _openings(side: WriteSide, made: Plan, at: datetime, number: Callable[[], int]) -> Iterator[_Step]:
    """The commands that open accounts and attach them to nodes. The keys have ids, since a name may be a person's."""
    for account in made.accounts.values():
        if account.type is None:
            continue
        owner = side.log if account.type in INTERNAL_ROLES else account.owner or ""
        command = OpenAccount(
            account=account.id,
            number=account_number(account.type, number()),
            type=account.type,
            currency=account.currency,
            owner=owner,
            name=account.name,
            minimum=None,
            maximum=None,
            opened_on=account.opened_on,
        )
        where = f"account {account.name} {account.currency}"
        # The date is not part of the request: a file may get earlier transactions later.
        request = f"{account.name} {account.currency} {account.type} {owner}"
        yield _Step(_submission(side, f"journal:{made.books}:{account.id}", command, request, at), where)
        if account.node is not None:
            attach = AttachAccount(account.id, account.node)
            key = f"journal:{made.books}:{account.id}:node"
            yield _Step(_submission(side, key, attach, f"{account.id} {account.node}", at), where)


def _postings(side: WriteSide, made: Plan, at: datetime) -> Iterator[_Step]:
    for transaction, command in made.transactions:
        yield _Step(_submission(side, made.key(transaction), command, repr(command), at), transaction.where)


def _submission(side: WriteSide, key: str, command: Any, request: str, at: datetime) -> Submission:
    return system_submission(PRINCIPAL, key, command, request, side.log, at)


def _grouped(steps: Iterator[_Step]) -> Iterator[list[_Step]]:
    while group := list(islice(steps, GROUP)):
        yield group


@contextmanager
def _kept_open(connection: Connection[Any]) -> Iterator[Connection[Any]]:
    yield connection
