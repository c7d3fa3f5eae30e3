"""A whole write side on a test database, and what its log must always be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import psycopg
from psycopg import Connection

from api.commands.answer_codes import answer_codes
from bench.harness.tables import begin_read_tables
from domain import refusals, registry
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import AccountType, account_number
from domain.accounts.posting import internal_account
from domain.accounts.transaction import TRANSACTION, Deposit, Transfer, Withdraw
from domain.kernel import ERASED, RULES_VERSION, UNREADABLE, Context, Principal
from domain.registry import CATALOGUE, COMMUTING, SNAPSHOTS
from eventstore.executor.decided_commands import Submission
from eventstore.executor.executor import Executor
from eventstore.executor.snapshots import JsonStates, Snapshots
from eventstore.executor.stream_states import Fold
from eventstore.keys.master_keys import KEY_BYTES
from eventstore.keys.sealing import WRITER_ERASURE_SECONDS, Sealer
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.log.answers import Answer, Outcome
from eventstore.log.codec import Codec
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.postgres.connect import connect
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.support.memory_ledger import By
from tests.support.postgres import Database
from workers.clock_and_ids import new_id as fresh_id
from workers.composition import system_submission

MASTER_KEY = bytes(range(KEY_BYTES))
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOW.date()
OPENED = date(2020, 1, 1)
PRINCIPAL = Principal("tester", ("operator",))
CONTEXT = Context(NOW, "main", PRINCIPAL)
CASH = internal_account("main", "cash", "EUR")

_keys = count(1)
_numbers = count(1)


def new_id(prefix: str) -> str:
    """A fresh public id."""
    return fresh_id(prefix)


CODES = answer_codes(201, if_match=False)


def submission(
    command: Any,
    *,
    key: str | None = None,
    actor: str = "tester",
    body: str = "",
    correlation: str | None = None,
    **more: Any,
) -> Submission:
    """The command on its way; `body` stands for the request it came with, `correlation` for the batch it is in."""
    request = hashlib.sha256((type(command).__name__ + body).encode()).digest()
    key = key or f"key-{next(_keys)}"
    principal = Principal(actor, ("operator",))
    name = registry.name_of(command)
    recorded = metadata(encoded_actor(principal.recorded), name, NOW, RULES_VERSION, key, correlation)
    return Submission(
        command=command,
        actor=actor,
        key=key,
        request_hash=request,
        metadata=recorded,
        context=Context(NOW, "main", principal),
        **({"codes": CODES} | more),
    )


def opening(
    type: AccountType = "checking",
    *,
    account: str | None = None,
    owner: str = "owner-1",
    name: str = "Ada Lovelace",
    minimum: int | None = 0,
    maximum: int | None = None,
    currency: str = "EUR",
) -> OpenAccount:
    """A command that opens an account."""
    number = account_number(type, next(_numbers))
    id = account or new_id(ACCOUNT)
    return OpenAccount(id, number, type, currency, owner, name, minimum, maximum, OPENED)


def deposit(account: str, amount: int) -> Deposit:
    return Deposit(new_id(TRANSACTION), account, amount, "EUR", TODAY)


def withdrawal(account: str, amount: int) -> Withdraw:
    return Withdraw(new_id(TRANSACTION), account, amount, "EUR", TODAY)


def transfer(source: str, target: str, amount: int) -> Transfer:
    return Transfer(new_id(TRANSACTION), source, target, amount, "EUR", TODAY)


def executed(executor: Executor, command: By) -> Answer:
    """The answer to a command that its principal sends."""
    key = f"key-{next(_keys)}"
    submitted = system_submission(command.principal, key, command.command, key, "main", command.at or NOW)
    [answer] = executor.execute([submitted])
    return answer


@dataclass
class Ledger:
    """An executor on a log, with the cash account open."""

    database: Database
    executor: Executor
    codec: Codec
    log_number: int

    def execute(self, command: Any, *, key: str | None = None, expected: Mapping[str, int] | None = None) -> Answer:
        """The answer to one command."""
        return self.executor.execute([submission(command, key=key, expected=expected or {})])[0]

    def accepted(self, command: Any) -> Answer:
        """The answer to a command that must be accepted."""
        answer = self.execute(command)
        assert answer.outcome is Outcome.ACCEPTED, answer
        return answer

    def account(self, balance: int = 0, **more: Any) -> str:
        """A fresh account with so much on it."""
        command = opening(**more)
        self.accepted(command)
        if balance:
            self.accepted(deposit(command.account, balance))
        return command.account

    def connect(self) -> Connection[Any]:
        """A connection with the rights of the API; the caller closes it."""
        return connect(self.database.api_url, application_name="test")


def codec_of(connection: Connection[Any], log_number: int, *, erasure_seconds: float = 0.0) -> Codec:
    """A codec over the domain's catalogue with the keys of this log."""
    sealer = Sealer(SubjectKeys(connection, log_number), MASTER_KEY, erasure_seconds=erasure_seconds)
    sealer.master_keys.check()
    return Codec(CATALOGUE, sealer, ERASED, UNREADABLE)


@contextmanager
def executor_on(database: Database, *, snapshots: Snapshots | None = None, **limits: int) -> Iterator[Executor]:
    """A running executor with its own connections."""
    with connect(database.api_url, application_name="keys") as keys:
        log = keys.execute("SELECT log.create_log('main')").fetchone()
        assert log is not None
        codec = codec_of(keys, log[0], erasure_seconds=WRITER_ERASURE_SECONDS)
        executor = Executor(
            lambda: connect(database.api_url, application_name="executor"),
            "main",
            codec,
            registry.decide,
            registry.evolve,
            refusals.recorder(new_id, registry.name_of),
            commuting_types=COMMUTING,
            transient_prefixes=registry.WRITTEN_ONCE,
            read_mostly=registry.READ_MOSTLY,
            snapshots=snapshots,
            erasures=codec.erasures,
            personal_prefixes=registry.PERSONAL_STATES,
            **limits,
        )
        with executor:
            yield executor


def snapshots_on(database: Database, every: int, fold: Fold | None = None, **limits: int) -> Snapshots:
    """Snapshots of the accounts of log `main`, the first of a database; to be started."""
    return Snapshots(
        lambda: connect(database.api_url, application_name="snapshots"),
        1,
        JsonStates(SNAPSHOTS),
        fold=fold,
        every=every,
        **limits,
    )


@contextmanager
def ledger_on(database: Database, *, snapshots: Snapshots | None = None, **limits: int) -> Iterator[Ledger]:
    """A ledger on a database: log `main`, cash in EUR open."""
    with (
        executor_on(database, snapshots=snapshots, **limits) as executor,
        connect(database.api_url, application_name="ledger") as reading,
    ):
        row = reading.execute("SELECT log FROM log.logs WHERE name = 'main'").fetchone()
        assert row is not None
        ledger = Ledger(database, executor, codec_of(reading, row[0]), row[0])
        answer = ledger.execute(opening("cash", account=CASH, owner="main", minimum=None), key="open-cash")
        assert answer.outcome is Outcome.ACCEPTED
        yield ledger


def fold(database: Database) -> None:
    """Make the read tables, and fold the log `main` into them up to its head."""
    begin_read_tables(database)
    with (
        connect(database.projector_url, application_name="fold") as connection,
        connect(database.projector_url, application_name="fold-keys") as keys,
    ):
        runner = Runner(connection, "main", codec_of(keys, 1), PROJECTIONS)
        runner.run_to_head()
        assert not runner.stopped, runner.stopped


def assert_sound(database: Database) -> None:
    """What must hold of a log after anything: dense, contiguous, whole, and no money made or lost."""
    with psycopg.connect(database.url) as connection:
        for question, broken in _MUST_BE_EMPTY.items():
            found = connection.execute(broken.encode()).fetchall()
            assert found == [], f"{question}: {found[:5]}"


_MUST_BE_EMPTY = {
    "positions are dense up to the head": """
        SELECT l.log, l.position, count(e.position), max(e.position) FROM log.logs l LEFT JOIN log.events e USING (log)
        GROUP BY l.log HAVING count(e.position) <> l.position OR coalesce(max(e.position), 0) <> l.position""",
    "versions are contiguous from 1": """
        SELECT log, stream FROM log.events WHERE encoding = 0
        GROUP BY log, stream HAVING min(version) <> 1 OR max(version) <> count(*)""",
    "units are whole": """
        SELECT log, unit_end FROM log.events GROUP BY log, unit_end
        HAVING max(position) <> unit_end OR max(position) - min(position) + 1 <> count(*)""",
    "time never falls": """
        SELECT position FROM (SELECT position, recorded_at, lag(recorded_at) OVER (PARTITION BY log ORDER BY position)
        AS before FROM log.events) e WHERE recorded_at < before""",
    "every transaction sums to zero": """
        SELECT e.stream, x->>'currency' FROM log.events_as_json e, jsonb_array_elements(e.payload->'entries') x
        WHERE type = 'transaction.posted.v1' GROUP BY 1, 2
        HAVING sum((x->>'amount')::numeric * CASE x->>'side' WHEN 'credit' THEN 1 ELSE -1 END) <> 0""",
    "entries and shares match one to one": """
        (SELECT e.stream, n::int, x->>'account', x->>'side', (x->>'amount')::numeric FROM log.events_as_json e,
                jsonb_array_elements(e.payload->'entries') WITH ORDINALITY AS i(x, n)
          WHERE type = 'transaction.posted.v1'
         EXCEPT ALL
         SELECT payload->>'transaction', (payload->>'entry')::int, stream,
                CASE type WHEN 'account.credited.v1' THEN 'credit' ELSE 'debit' END, (payload->>'amount')::numeric
           FROM log.events_as_json WHERE type IN ('account.credited.v1', 'account.debited.v1'))""",
    "no share without its entry": """
        SELECT s.payload->>'transaction' FROM log.events_as_json s
         WHERE type IN ('account.credited.v1', 'account.debited.v1')
           AND NOT EXISTS (SELECT FROM log.events t WHERE t.stream = s.payload->>'transaction')""",
    "accepted commands have their events": """
        SELECT c.key FROM log.commands c WHERE outcome = 1
        AND NOT EXISTS (SELECT FROM log.events e WHERE e.log = c.log AND e.position = c.last_position
                        AND e.unit_end = c.last_position)""",
    "refused commands end with their refusal": """
        SELECT c.key FROM log.commands c WHERE outcome <> 1
        AND NOT EXISTS (SELECT FROM log.events e WHERE e.log = c.log AND e.position = c.last_position
                        AND e.unit_end = c.last_position AND e.type = 'command.refused.v1')""",
    "each refusal has its command": """
        SELECT e.stream FROM log.events e WHERE type = 'command.refused.v1'
        AND NOT EXISTS (SELECT FROM log.commands c WHERE c.log = e.log AND c.last_position = e.position
                        AND c.outcome <> 1)""",
}


def balances(database: Database) -> dict[str, int]:
    """The booked balance of every account, folded by SQL from the shares alone."""
    with psycopg.connect(database.url) as connection:
        rows = connection.execute(
            "SELECT stream, sum((payload->>'amount')::numeric"
            " * CASE type WHEN 'account.credited.v1' THEN 1 ELSE -1 END)"
            " FROM log.events_as_json WHERE type IN ('account.credited.v1', 'account.debited.v1') GROUP BY stream"
        ).fetchall()
    return {stream: int(total) for stream, total in rows}
