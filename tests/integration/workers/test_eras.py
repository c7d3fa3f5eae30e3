"""A log from before events named their keys: the migration records where the new form begins."""

from __future__ import annotations

from typing import Any

import psycopg
from alembic import command
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from eventstore.connect import connect
from migrations import runner
from projections.engine import Runner
from projections.rooms import ROOMS
from projections.tables import prepare
from tests.support.ledger import codec_of, deposit, ledger_on, submission
from tests.support.postgres import Database
from tests.tampering.books import BATCH
from workers.verify import verify
from workers.verify.log import NAMED, OLD_BATCHES
from workers.verify.report import Check

WITHOUT_KEY = (
    'UPDATE log.events SET metadata = convert_to(regexp_replace(convert_from(metadata, \'UTF8\'), \',"key":"[^"]*"\','
    " ''), 'UTF8') WHERE position > %s"
)


def upgrade_to(database: Database, revision: str) -> None:
    """As far as an older Daybook would."""
    engine = create_engine(make_url(database.url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        config = runner._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def head(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT position FROM log.logs").fetchone()
    assert row is not None
    position: int = row[0]
    return position


def named(database: Database) -> Check:
    """The check that events name their command, once everything is folded."""
    with connect(database.projector_url, application_name="verify") as connection:
        prepare(connection, "main", ROOMS)
        codec = codec_of(connection, 1)
        Runner(connection, "main", codec, ROOMS).run_to_head()
        return verify(connection, "main", codec).check(NAMED)


def test_units_of_before_are_not_covered_and_units_after_it_must_name_their_key(empty_database: Database) -> None:
    upgrade_to(empty_database, "0005")
    with ledger_on(empty_database) as ledger:
        account = ledger.account()
        ledger.executor.execute([submission(deposit(account, 1), correlation=BATCH)])
    with psycopg.connect(empty_database.url, autocommit=True) as superuser:
        superuser.execute(WITHOUT_KEY, (0,))
        before = head(superuser)
    runner.upgrade(empty_database.url)
    with psycopg.connect(empty_database.url, autocommit=True) as superuser:
        eras = superuser.execute("SELECT position FROM log.eras WHERE name = 'metadata.key'").fetchall()
        assert eras == [(before,)]
        with ledger_on(empty_database) as ledger:
            ledger.executor.execute([submission(deposit(account, 2), key="after", correlation=BATCH)])
        check = named(empty_database)
        assert (check.ok, check.not_covered) == (True, {OLD_BATCHES: 1})
        superuser.execute(WITHOUT_KEY, (before,))
    check = named(empty_database)
    assert (check.offences, check.not_covered) == (1, {OLD_BATCHES: 1})
    assert f"names no key, though it should after position {before}" in check.findings[0].what
