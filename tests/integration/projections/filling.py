"""Logs for the tests of the read models: units of domain events that the owner writes directly into the log.

A `Filler` has the version of every stream, so that its log looks like one of commands: dense positions, a transaction
followed by its shares, and one unit for each command.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from threading import Event
from typing import Any

import psycopg
from msgspec.structs import replace
from psycopg import Connection

from bench.harness.tables import begin_read_tables, empty_read_tables, read_owner
from domain.accounts.account.events import (
    AccountCredited,
    AccountDebited,
    AccountOpened,
)
from domain.accounts.account.state import INTERNAL_ROLES
from domain.accounts.numbers import AccountType
from domain.accounts.posting import Entry, TransactionKind, TransactionPosted
from domain.kernel import ERASED, UNREADABLE, Personal
from domain.kernel import Event as DomainEvent
from domain.registry import CATALOGUE
from domain.subjects import SubjectErased, subject_stream
from eventstore.keys.sealing import Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.codec import Codec
from eventstore.postgres.connect import _Bounded, connect
from projections.engine.follow import follow
from projections.engine.projection import Projection
from projections.engine.rebuild import Rebuilt, rebuild
from projections.engine.runner import Runner
from projections.engine.verify import TablesReport, verify_tables
from projections.registry import PROJECTIONS
from tests.samples.registry import history
from tests.support.memory_ledger import MemoryLedger
from tests.support.postgres import Database

LOG = "main"
MASTER_KEY = b"k" * 32
START = datetime(2024, 1, 1, tzinfo=UTC)


class Filler:
    """Writes events into a log. `codec` reads them again."""

    def __init__(self, database: Database, log: str = LOG) -> None:
        self.database = database
        url = database.url
        self.connection: Connection[Any] = psycopg.connect(url, autocommit=True)
        row = self.connection.execute("SELECT log.create_log(%s)", (log,)).fetchone()
        assert row is not None
        self.log: int = row[0]
        self._keys = self._connect_keys()
        self.sealer = Sealer(SubjectKeys(self._keys, self.log, self._connect_keys), MASTER_KEY)
        self.codec = Codec(CATALOGUE, self.sealer, ERASED, UNREADABLE)
        self.position = 0
        self.versions: dict[str, int] = {}
        self.ledger = MemoryLedger(new_id=self.id)
        self._numbers = 0

    def _connect_keys(self) -> Connection[Any]:
        self._keys = psycopg.connect(self.database.url, autocommit=True)
        return self._keys

    def close(self) -> None:
        self.connection.close()
        self._keys.close()

    def begin(self, projections: Sequence[Projection] = PROJECTIONS) -> None:
        """Make the missing read tables, with checkpoints at 0."""
        begin_read_tables(self.database, LOG, projections)

    def empty(self, projections: Sequence[Projection] = PROJECTIONS) -> None:
        """Empty the read tables."""
        empty_read_tables(self.database, LOG, projections)

    def rebuild(
        self, connection: Connection[Any], projections: Sequence[Projection] = PROJECTIONS, **more: Any
    ) -> Rebuilt:
        """Rebuild the read tables. The connection is that of the projector."""
        with read_owner(self.database) as owner:
            return rebuild(connection, LOG, self.codec, projections, owner=owner, **more)

    def verify(self, projections: Sequence[Projection] = PROJECTIONS, **more: Any) -> TablesReport:
        """Compare the read tables with a fresh fold, as an auditor."""
        with connect(self.database.audit_url, application_name="verify") as auditor:
            return verify_tables(auditor, LOG, self.codec, projections, others=PROJECTIONS, **more)

    def erase(self, subject: str) -> None:
        """Erase a person."""
        self.write([SubjectErased(subject_stream(subject), 1, subject)])

    def destroy_key(self, subject: str) -> None:
        """Destroy the key of a person without the event."""
        self.connection.execute("SELECT log.destroy_subject_key(%s, %s)", (self.log, subject))
        self.sealer.forget()

    def write(self, *units: Sequence[DomainEvent], at: datetime | None = None) -> int:
        """Append these units with the next versions and positions. Return the head.

        The keys of those who are erased are destroyed afterwards.
        """
        rows = []
        units = tuple([self._with_version(event) for event in unit] for unit in units)
        names, payloads = self.codec.encode_all(event for unit in units for event in unit)
        encoded = zip(names, payloads, strict=True)
        for unit in units:
            end = self.position + len(unit)
            recorded_at = at or START + timedelta(milliseconds=end)
            for event in unit:
                stream, version = event.originator_id, event.originator_version
                name, payload = next(encoded)
                self.position += 1
                rows.append((self.log, self.position, end, stream, version, name, recorded_at, 0, payload, b"{}"))
        with self.connection.transaction(), self.connection.cursor() as cursor:
            with cursor.copy(
                "COPY log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload,"
                " metadata) FROM STDIN"
            ) as copy:
                for row in rows:
                    copy.write_row(row)
            cursor.execute(
                "UPDATE log.logs SET position = %s, recorded_at = greatest(recorded_at, %s) WHERE log = %s",
                (self.position, rows[-1][6], self.log),
            )
        for event in (event for unit in units for event in unit):
            if isinstance(event, SubjectErased):
                self.destroy_key(event.subject)
        return self.position

    def _with_version(self, event: DomainEvent) -> DomainEvent:
        version = self.versions[event.originator_id] = self.versions.get(event.originator_id, 0) + 1
        return replace(event, originator_version=version)

    def id(self, prefix: str) -> str:
        """The next id with this prefix, in order."""
        self._numbers += 1
        return f"{prefix}_{self._numbers:026d}"

    def opening(
        self,
        account: str | None = None,
        *,
        type: AccountType = "checking",
        currency: str = "EUR",
        owner: str = "owner_1",
        name: Personal = "Ada",
    ) -> AccountOpened:
        """The opening of an account. The owner of an internal account is the log."""
        owner = LOG if type in INTERNAL_ROLES else owner
        account = account or self.id("acct")
        number = f"NUM{account[-12:]}"
        return AccountOpened(account, 1, number, type, currency, owner, name, None, None, date(2024, 1, 1))


def posting(
    transaction: str,
    *entries: Entry,
    kind: TransactionKind = "transfer",
    value_date: date = date(2024, 1, 2),
    reference: str | None = None,
    subject: str | None = None,
    description: Personal | None = None,
) -> list[DomainEvent]:
    """A transaction and its shares, as one unit."""
    events: list[DomainEvent] = [
        TransactionPosted(transaction, 1, kind, value_date, entries, reference, subject, description)
    ]
    for number, entry in enumerate(entries, 1):
        share = AccountCredited if entry.side == "credit" else AccountDebited
        events.append(share(entry.account, 0, transaction, number, entry.amount, entry.currency, value_date))
    return events


def transfer(
    transaction: str, source: str, target: str, amount: int, currency: str = "EUR", **more: Any
) -> list[DomainEvent]:
    """A transfer, as one unit."""
    entries = Entry(source, "debit", amount, currency), Entry(target, "credit", amount, currency)
    return posting(transaction, *entries, **more)


def a_life(filler: Filler, seed: int, units: int) -> list[list[DomainEvent]]:
    """Units of a random history of every aggregate, given by its seed. They are not written. A second call goes on."""
    return [list(unit) for unit in history(filler.ledger, random.Random(seed), units)]


MOST_LIVES = 8
"""Random histories, one after the other in one log. What needs more until it happens is too rare to be tried."""


def a_life_with(filler: Filler, seed: int, units: int, *kinds: type[DomainEvent]) -> list[list[DomainEvent]]:
    """So many units of a random history, and as many again until each kind of event is among them."""
    lived: list[list[DomainEvent]] = []
    for life in range(MOST_LIVES):
        lived += a_life(filler, seed * MOST_LIVES + life, units)
        if set(kinds) <= {type(event) for unit in lived for event in unit}:
            return lived
    raise AssertionError(f"{len(lived)} units of random histories lack some of {kinds}")


def projector(database: Database, **settings: Any) -> Connection[Any]:
    """A connection as the projector."""
    return connect(database.projector_url, application_name="test", **settings)


def codec_of(connection: Connection[Any], log_number: int) -> Codec:
    """The codec of a filler's log, for another process."""
    return Codec(CATALOGUE, Sealer(SubjectKeys(connection, log_number), MASTER_KEY), ERASED, UNREADABLE)


def follow_for_ever(url: str) -> None:
    """Follow the log as the process of a worker, in many small transactions. Tests stop and kill it."""
    follow(
        lambda: connect(url, application_name="worker"), codec_of, LOG, PROJECTIONS, Event(), page=10, paused_seconds=1
    )


MOST_WAITS = 300
"""A page needs more than three waits, so a worker with 600 units to fold is still running after this many."""


def follow_and_die(url: str, waits: int) -> None:
    """Follow the log, and kill the process after this many waits for the server since its first page."""
    step, wait = Runner.step, _Bounded.wait
    left: list[int] = []  # empty until the first page is committed

    def counted_step(runner: Runner, *args: Any) -> int:
        found = step(runner, *args)
        if found and not left:
            left.append(waits)
        return found

    def counted_wait(connection: Any, *args: Any, **more: Any) -> Any:
        if left:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return wait(connection, *args, **more)

    Runner.step = counted_step  # type: ignore[method-assign, assignment]
    _Bounded.wait = counted_wait  # type: ignore[method-assign, assignment]
    follow_for_ever(url)
