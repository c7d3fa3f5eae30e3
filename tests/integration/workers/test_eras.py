"""A log from before a rule of the log: the migration records where the rule begins."""

from __future__ import annotations

import psycopg
from msgspec.structs import replace

from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from migrations import runner
from tests.integration.workers.running import daybook, environment
from tests.support.before import as_it_was
from tests.support.ledger import codec_of, executor_on, submission, transfer
from tests.support.postgres import Database
from tests.tampering.books import BATCH
from workers.verify import verify
from workers.verify.codes import OLD_TEXTS, check_codes
from workers.verify.log import NAMED, OLD_BATCHES, open_log
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


SENTENCE = """
UPDATE log.events
   SET payload = convert_to(replace(convert_from(payload, 'UTF8'), %s, '"reference":"for Ada"'), 'UTF8')
 WHERE type = 'transaction.posted.v1' AND convert_from(payload, 'UTF8') LIKE '%%' || %s || '%%'
"""


def test_earlier_texts_are_not_covered_and_later_ones_must_be_codes(empty_database: Database) -> None:
    as_it_was(empty_database, "d399098")
    with psycopg.connect(empty_database.url, autocommit=True) as superuser:
        old = '"reference":"inv-1"'
        assert superuser.execute(SENTENCE, (old, old)).rowcount == 1
        (before,) = superuser.execute("SELECT position FROM log.logs").fetchall()[0]
        runner.upgrade(empty_database.url)  # it appends an event for the person who was erased before
        assert superuser.execute("SELECT position FROM log.eras WHERE name = 'codes'").fetchall() == [(before,)]
        (one,), (two,) = superuser.execute(
            "SELECT stream FROM log.events WHERE type = 'account.opened.v1'"
            " AND convert_from(payload, 'UTF8')::jsonb ->> 'owner' IN ('ada', 'bob')"
        ).fetchall()
        with executor_on(empty_database) as executor:
            executor.execute([submission(replace(transfer(one, two, 2), reference="inv-9"), key="after")])
        check = codes(empty_database)
        assert (check.ok, check.not_covered) == (True, {OLD_TEXTS: 1})
        new = '"reference":"inv-9"'
        assert superuser.execute(SENTENCE, (new, new)).rowcount == 1
    check = codes(empty_database)
    assert (check.offences, check.not_covered) == (1, {OLD_TEXTS: 1})
    assert (
        check.findings[0].what
        == f"the reference of transaction.posted.v1 is not a code, and all after position {before} are"
    )


def codes(database: Database) -> Check:
    """The check of codes."""
    with connect(database.audit_url, application_name="verify") as connection:
        return check_codes(open_log(connection, read_head(connection, "main")))
