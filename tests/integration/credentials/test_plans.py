"""Every statement of the stores finds its rows by an index, in tables with many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.attempts import Attempts, Subject
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.credentials.passwords import Passwords
from eventstore.credentials.scopes import Scope
from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.sessions import Sessions
from eventstore.credentials.sweeper import PersonRecord, Sweeper
from eventstore.keys.sealing import Sealer
from tests.support.credentials import SMALL, MovedClock
from tests.support.keys import Keys
from tests.support.plans import Explained, probed_index
from tests.support.postgres import Server

ADA, LOG, MANY = "prsn_ada", 1, 5_000

_FILL = f"""
INSERT INTO credentials.passwords SELECT 1, 'prsn_' || n, 1, '$argon2id$x', now() FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.sessions SELECT 1, 'sess_' || n, 'prsn_' || n, 1, now(), now() + interval '1 year'
  FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.refresh_tokens
SELECT 1, sha256(n::text::bytea), 'sess_' || n, now(), now() + interval '1 year' FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.mail_tokens
SELECT 1, 'prsn_' || n, 'reset', 1, sha256(n::text::bytea), now(), now() + interval '1 year'
  FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.totp SELECT 1, 'prsn_' || n, 1, '2.x', now(), 0 FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.recovery_codes SELECT 1, 'prsn_' || n, 1, 1, sha256(n::text::bytea), now()
  FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.api_keys
SELECT 1, 'akey_' || n, 'prsn_' || n, 1, 'x', sha256(n::text::bytea), 'dbk_', '{{}}', 1, now()
  FROM generate_series(1, {MANY}) n;
INSERT INTO credentials.attempts SELECT 1, 'person', 'prsn_' || n, 1, now() FROM generate_series(1, {MANY}) n;
"""


class OnePool:
    """A pool of one connection, whose plans are recorded."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        yield self._connection


@pytest.fixture(scope="module")
def explained(server: Server) -> Iterator[Explained]:
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(_FILL)
        connection.execute("VACUUM ANALYZE")
        yield Explained(connection)


def used(explained: Explained, run: Callable[[], object]) -> None:
    """Run it, and hold every scan to an index."""
    for statement in explained.statements(run):
        whole = [scan for scan in statement.scans if scan["Node Type"] != "Tid Scan" and probed_index(scan) is None]
        assert whole == [], statement.text


def test_each_statement_finds_its_rows_by_an_index(explained: Explained, clock: MovedClock) -> None:
    pool = cast("ConnectionPool[Connection[Any]]", OnePool(explained.connection))
    passwords = Passwords(pool, LOG, Argon2(SMALL), clock)
    sessions, mails = Sessions(pool, LOG, clock), MailTokens(pool, LOG, clock)
    factor, keys = SecondFactor(pool, LOG, Sealer(Keys(), bytes(32)), clock), ApiKeys(pool, LOG, clock)
    attempts = Attempts(pool, LOG, bytes(32), clock)
    subjects = [Subject("person", "prsn_7"), Subject("address", "192.0.2.1")]
    token, key = (
        sessions.open("sess_ada", ADA, 1),
        keys.create("akey_ada", ADA, 1, name="x", scope=Scope(frozenset({"posts"})), per_minute=1),
    )
    assert token is not None
    assert key is not None
    mail = mails.issue(ADA, "reset", 1)
    assert mail is not None
    for run in (
        lambda: passwords.check("prsn_7", "x"),
        lambda: passwords.write("prsn_7", 2, passwords.hash("x")),
        lambda: sessions.refresh(token.token.reveal()),
        lambda: sessions.end_all(ADA, 2),
        lambda: sessions.of(ADA),
        lambda: mails.use(mail.reveal(), "reset", "key"),
        lambda: factor.begin(ADA, "ada", "Daybook"),
        lambda: factor.in_force("prsn_7"),
        lambda: factor.make_codes("prsn_7", 2),
        lambda: factor.use_recovery_code("prsn_7", "AAAA-AAAA-AAAA-AAAA"),
        lambda: factor.remove("prsn_7", 1),
        lambda: keys.find(key.reveal()),
        lambda: keys.rotate("akey_ada", "akey_new", 2, overlap=timedelta(days=1)),
        lambda: keys.of(ADA),
        lambda: keys.end_all(ADA, 2),
        lambda: attempts.begin(subjects),
        lambda: attempts.succeeded(subjects),
        lambda: attempts.not_made(subjects),
    ):
        used(explained, run)


def test_a_sweep_reads_no_whole_table(explained: Explained, clock: MovedClock) -> None:
    pool = cast("ConnectionPool[Connection[Any]]", OnePool(explained.connection))
    sweeper = Sweeper(pool, LOG, clock, batch=5, most_batches=2)
    used(explained, lambda: sweeper.sweep(lambda persons: dict.fromkeys(persons, PersonRecord(1))))
    used(explained, lambda: sweeper.forget("prsn_7"))


def test_a_whole_table_that_is_read_is_found(explained: Explained) -> None:
    """Else the tests above would prove nothing."""
    with pytest.raises(AssertionError, match="SELECT count"):
        used(explained, lambda: explained.connection.execute("SELECT count(*) FROM credentials.totp"))
