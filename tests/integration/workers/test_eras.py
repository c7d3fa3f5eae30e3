"""A log from before events named their keys: the migration records where the new form begins."""

from __future__ import annotations

import psycopg

from eventstore.postgres.connect import connect
from migrations import runner
from tests.integration.workers.running import daybook, environment
from tests.support.before import as_it_was
from tests.support.ledger import codec_of, executor_on, submission, transfer
from tests.support.postgres import Database
from tests.tampering.books import BATCH
from workers.verify import verify
from workers.verify.log import NAMED, OLD_BATCHES
from workers.verify.report import Check

BATCH_ITEMS = 3
"""The number of items of the batch in the dump."""
WITHOUT_KEY = (
    'UPDATE log.events SET metadata = convert_to(regexp_replace(convert_from(metadata, \'UTF8\'), \',"key":"[^"]*"\','
    " ''), 'UTF8') WHERE position > %s"
)


def named(database: Database) -> Check:
    """The check that events name their command."""
    with connect(database.audit_url, application_name="verify") as connection:
        return verify(connection, "main", codec_of(connection, 1)).check(NAMED)


def test_earlier_units_are_not_covered_and_later_units_must_name_their_key(empty_database: Database) -> None:
    as_it_was(empty_database)
    runner.upgrade(empty_database.url)
    with psycopg.connect(empty_database.url, autocommit=True) as superuser:
        (before,) = superuser.execute("SELECT position FROM log.logs").fetchall()[0]
        eras = superuser.execute("SELECT position FROM log.eras WHERE name = 'metadata.key'").fetchall()
        assert eras == [(before,)]
        (one,), (two,) = superuser.execute(
            "SELECT account FROM read.accounts WHERE status = 'open' AND type = 'checking'"
        ).fetchall()
        with executor_on(empty_database) as executor:
            executor.execute([submission(transfer(one, two, 2), key="after", correlation=BATCH)])
        assert daybook("rebuild", env=environment(empty_database)).returncode == 0
        check = named(empty_database)
        assert (check.ok, check.not_covered) == (True, {OLD_BATCHES: BATCH_ITEMS})
        superuser.execute(WITHOUT_KEY, (before,))
    check = named(empty_database)
    assert (check.offences, check.not_covered) == (1, {OLD_BATCHES: BATCH_ITEMS})
    assert f"names no key, though it should after position {before}" in check.findings[0].what
