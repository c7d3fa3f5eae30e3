"""`verify` against forgeries: each kind of damage, done as the superuser, is found by the checks it concerns."""

from __future__ import annotations

from typing import Any

import orjson
import psycopg
import pytest

from bench.harness.tables import begin_read_tables, make_read_tables
from eventstore.connect import connect
from projections.engine import Runner
from projections.rooms import ROOMS
from projections.verify import CheckpointFinding
from tests.integration.library.support import application, events, log_name
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import codec_of, deposit, ledger_on, snapshots_on, transfer, withdrawal
from tests.support.postgres import Database
from workers.verify import SNAPSHOTS_HOLD, VerifyReport, verify

DENSE, VERSIONS, UNITS, TIME = "positions are dense", "versions are contiguous", "units are whole", "time never falls"
SUMS, SHARES = "transactions sum to zero per currency", "entries and shares match one to one"
ANSWERS, CHECKPOINTS, TABLES = "answers have their events", "checkpoints", "tables"
READABLE, ANSWERED = "events are readable", "events have their answer"

SHARE = "type = 'account.credited.v1'"
FIRST_SHARE = f"position = (SELECT min(position) FROM log.events WHERE {SHARE})"
FIRST_TRANSACTION = "position = (SELECT min(position) FROM log.events WHERE type = 'transaction.posted.v1')"
BEFORE_THE_LAST_UNIT = "position < (SELECT max(position) - 2 FROM log.events)"


def with_payload(set_to: str, where: str) -> str:
    """Changes a payload as JSON: `p` is what it was."""
    return (
        f"UPDATE log.events e SET payload = convert_to(({set_to})::text, 'UTF8')"
        f"  FROM (SELECT log, position, convert_from(payload, 'UTF8')::jsonb AS p FROM log.events) j"
        f" WHERE j.log = e.log AND j.position = e.position AND e.{where}"
    )


FORGERIES: dict[str, tuple[str, set[str]]] = {
    "a transaction deleted": (
        f"DELETE FROM log.events WHERE {FIRST_TRANSACTION}",
        {DENSE, SHARES, TABLES, ANSWERS, ANSWERED},
    ),
    "an event within a unit deleted": (
        "DELETE FROM log.events WHERE position ="
        " (SELECT max(position) FROM log.events WHERE type = 'account.debited.v1' AND position < unit_end)",
        {DENSE, UNITS, SHARES},
    ),
    "a share deleted": (f"DELETE FROM log.events WHERE {FIRST_SHARE}", {DENSE, VERSIONS, UNITS, SHARES, ANSWERS}),
    "the last event deleted": (
        "DELETE FROM log.events WHERE position = (SELECT max(position) FROM log.events)",
        {DENSE, UNITS, SHARES, ANSWERS, CHECKPOINTS},
    ),
    "the head moved on": ("UPDATE log.logs SET position = position + 1", {DENSE}),
    "an amount of a share changed": (with_payload("p || '{\"amount\": 1}'", FIRST_SHARE), {SHARES}),
    "a value date of a share changed": (with_payload('p || \'{"value_date": "2021-01-01"}\'', FIRST_SHARE), {SHARES}),
    "a share on another entry": (with_payload("p || '{\"entry\": 7}'", FIRST_SHARE), {SHARES}),
    "an amount of a transaction changed": (
        with_payload("jsonb_set(p, '{entries,0,amount}', '1')", FIRST_TRANSACTION),
        {SUMS, SHARES, TABLES},
    ),
    "both amounts of a transaction changed": (
        with_payload(
            "jsonb_set(jsonb_set(p, '{entries,0,amount}', '1'), '{entries,1,amount}', '1')", FIRST_TRANSACTION
        ),
        {SHARES, TABLES},
    ),
    "a transaction cut off its unit": (
        f"UPDATE log.events SET unit_end = position WHERE {FIRST_TRANSACTION}",
        {SHARES, ANSWERS, ANSWERED},
    ),
    "a unit that ends beyond its last event": (
        "UPDATE log.events SET unit_end = unit_end + 1 WHERE unit_end = (SELECT min(unit_end) FROM log.events)",
        {UNITS, ANSWERS, ANSWERED},
    ),
    "a version left out": (
        "UPDATE log.events SET version = version + 1 WHERE position ="
        f" (SELECT max(position) FROM log.events WHERE type = 'account.debited.v1' AND {BEFORE_THE_LAST_UNIT})",
        {VERSIONS},
    ),
    "time turned back": (
        "UPDATE log.events SET recorded_at = recorded_at - interval '1 day' WHERE unit_end ="
        f" (SELECT unit_end FROM log.events WHERE {FIRST_TRANSACTION})",
        {TIME, TABLES},
    ),
    "an answer that names another position": (
        "UPDATE log.commands SET first_position = first_position + 1, last_position = last_position + 1"
        " WHERE last_position = (SELECT max(last_position) - 3 FROM log.commands)",
        {ANSWERS, ANSWERED},
    ),
    "an answer beyond the head": (
        "UPDATE log.commands SET decided_position = 1000000 WHERE key = 'open-cash'",
        {ANSWERS},
    ),
    "an answer deleted": (
        "DELETE FROM log.commands WHERE last_position = (SELECT max(position) FROM log.events)",
        {ANSWERED},
    ),
    "an accepted command turned into a refused one": (
        "UPDATE log.commands SET outcome = 2, rule = 'x', first_position = NULL, last_position = NULL"
        " WHERE last_position = (SELECT max(position) FROM log.events)",
        {ANSWERED},
    ),
    "an answer that begins within its unit": (
        "UPDATE log.commands SET first_position = first_position + 1"
        " WHERE last_position = (SELECT max(position) FROM log.events)",
        {ANSWERED},
    ),
    "an answer given twice": (
        "INSERT INTO log.commands SELECT log, actor, key || '-2', request_hash, outcome, status, rule, result,"
        " decided_position, first_position, last_position, recorded_at, origin FROM log.commands"
        " WHERE last_position = (SELECT max(position) FROM log.events)",
        {ANSWERED},
    ),
    "a checkpoint within a unit": (
        "UPDATE read.checkpoints SET position = position - 1 WHERE projection = 'entries'",
        {CHECKPOINTS},
    ),
    "a checkpoint ahead of the head": (
        "UPDATE read.checkpoints SET position = position + 5 WHERE projection = 'entries'",
        {CHECKPOINTS},
    ),
    "a checkpoint's digest": (
        "UPDATE read.checkpoints SET digest = sha256('x') WHERE projection = 'entries'",
        {CHECKPOINTS},
    ),
    "a row of a read table changed": ("UPDATE read.accounts SET balance = balance + 1", {TABLES}),
    "a row of a read table deleted": (
        "DELETE FROM read.entries WHERE ctid = (SELECT min(ctid) FROM read.entries)",
        {TABLES},
    ),
}


@pytest.fixture
def filled(database18: Database) -> Database:
    """A sound log of accounts and movements, folded up to its head."""
    with ledger_on(database18) as ledger:
        one, two = ledger.account(10_000), ledger.account(5_000)
        for amount in (100, 250, 375):
            ledger.accepted(transfer(one, two, amount))
        ledger.accepted(withdrawal(two, 75))
        ledger.execute(withdrawal(two, 10**9))
        ledger.accepted(deposit(one, 42))
    begin_read_tables(database18)
    with connect(database18.projector_url, application_name="fold") as connection:
        Runner(connection, "main", codec_of(connection, 1), ROOMS).run_to_head()
    return database18


def verified(database: Database) -> VerifyReport:
    """The report, made with the auditor's rights."""
    with (
        connect(database.audit_url, application_name="verify") as connection,
        connect(database.audit_url, application_name="keys") as keys,
    ):
        return verify(connection, "main", codec_of(keys, 1))


def found(report: VerifyReport) -> set[str]:
    """The checks that found something."""
    names = {check.name for check in report.checks if not check.ok}
    return names | {
        CHECKPOINTS if isinstance(finding, CheckpointFinding) else TABLES for finding in report.tables.findings
    }


def forge(database: Database, statement: str) -> None:
    with psycopg.connect(database.url) as connection:
        done: Any = connection.execute(statement.encode())
        assert done.rowcount > 0, "the forgery touched nothing"


def test_a_sound_log_is_found_sound(filled: Database) -> None:
    report = verified(filled)
    assert found(report) == set()
    assert report.ok
    assert report.head > 20
    assert set(report.tables.tables) == {table for room in ROOMS for table in room.tables}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_found_by_the_checks_it_concerns(filled: Database, name: str) -> None:
    statement, concerned = FORGERIES[name]
    forge(filled, statement)
    report = verified(filled)
    assert found(report) == concerned
    assert not report.ok


def test_a_finding_says_where_and_what(filled: Database) -> None:
    forge(filled, FORGERIES["an amount of a share changed"][0])
    check = next(check for check in verified(filled).checks if check.name == SHARES)
    assert check.offences == 2, "an entry without its share, and a share without its entry"
    assert {finding.position for finding in check.findings} <= set(range(1, verified(filled).head + 1))
    assert {finding.what.split(": ")[-1] for finding in check.findings} == {
        "no share on the account matches it",
        "a share without it",
    }


def in_state(old: str, new: str) -> str:
    """Changes the bytes of a kept state."""
    return f"state = convert_to(replace(convert_from(state, 'UTF8'), '{old}', '{new}'), 'UTF8')"


@pytest.mark.parametrize(
    "forgery",
    [
        in_state('"balance":300', '"balance":301'),
        "version = 3, " + in_state('"version":4', '"version":3'),
        "version = 9, " + in_state('"version":4', '"version":9'),
        "state = 'nonsense'",
    ],
)
def test_a_forged_snapshot_is_found_and_dropping_it_is_all_it_takes(database: Database, forgery: str) -> None:
    with snapshots_on(database, 1) as snapshots, ledger_on(database, snapshots=snapshots) as ledger:
        account = ledger.account(100)
        for _ in range(2):
            ledger.accepted(deposit(account, 100))
        snapshots.settle()
    begin_read_tables(database)
    with psycopg.connect(database.url, autocommit=True) as owner:
        assert verified(database).checks[-1].ok
        changed = owner.execute(f"UPDATE log.snapshots SET {forgery} WHERE stream = %s".encode(), (account,))
        assert changed.rowcount == 1
        check = verified(database).checks[-1]
        assert (check.name, check.offences) == (SNAPSHOTS_HOLD, 1)
        assert account in check.findings[0].what
        done = daybook("drop-snapshots", "--json", env=environment(database))
        assert orjson.loads(done.stdout) == {"dropped": 2}, done.stderr
        assert verified(database).checks[-1].ok


def test_snapshots_of_long_streams_are_folded_together_and_each_judged_for_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with snapshots_on(database, 8) as snapshots, ledger_on(database, snapshots=snapshots) as ledger:
        broken, *others = (ledger.account(100) for _ in range(3))
        for account in (broken, *others):
            for _ in range(9):  # the snapshot is of the eighth event, and there is more behind it
                ledger.accepted(deposit(account, 100))
        snapshots.settle()
    begin_read_tables(database)
    for module in ("eventstore.read", "workers.verify"):
        monkeypatch.setattr(f"{module}.STREAM_PAGE", 3)
    assert verified(database).checks[-1].ok
    forge(database, f"UPDATE log.events SET payload = '{{}}' WHERE stream = '{broken}' AND version = 2")
    check = verified(database).checks[-1]
    assert (check.name, check.offences) == (SNAPSHOTS_HOLD, 1)
    assert f"version 2 of {broken}" in check.findings[0].what


NOT_JSON = "invalid input syntax for type json"
TOO_DEEP = """payload = ('{"x": ' || repeat('[', 100000))::bytea"""
UNREADABLE: dict[str, tuple[str, str, str]] = {
    "a share that is not UTF-8": ("payload = '\\xff'", FIRST_SHARE, "invalid byte sequence"),
    "a share that is not JSON": ("payload = 'nonsense'", FIRST_SHARE, NOT_JSON),
    "a share without an end": ("""payload = '{"amount": 1'""", FIRST_SHARE, NOT_JSON),
    "a share nested too deeply": (TOO_DEEP, FIRST_SHARE, "stack depth limit exceeded"),
    "a share with a NUL": (r"""payload = '{"amount": 1, "x": "\\u0000"}'""", FIRST_SHARE, "unsupported Unicode"),
    "a share of much": (r"""payload = '{"amount": "much"}'""", FIRST_SHARE, "type numeric"),
    "a share on an entry beyond all": (r"""payload = '{"entry": 99999999999}'""", FIRST_SHARE, "out of range"),
    "a transaction that is not JSON": ("payload = 'nonsense'", FIRST_TRANSACTION, NOT_JSON),
    "a transaction nested too deeply": (TOO_DEEP, FIRST_TRANSACTION, "stack depth limit exceeded"),
    "a transaction of one entry": (r"""payload = '{"entries": 7}'""", FIRST_TRANSACTION, "extract elements"),
    "metadata that is not JSON": ("metadata = 'nonsense'", FIRST_SHARE, NOT_JSON),
    "an opening that is not JSON": ("payload = 'nonsense'", "position = 1", NOT_JSON),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_event_that_cannot_be_read_is_a_finding_and_the_other_checks_go_on(filled: Database, name: str) -> None:
    change, where, why = UNREADABLE[name]
    forge(filled, f"UPDATE log.events SET {change} WHERE {where}")
    forge(filled, FORGERIES["the head moved on"][0])
    with psycopg.connect(filled.url) as connection:
        row = connection.execute(f"SELECT position, stream, version FROM log.events WHERE {where}".encode()).fetchone()
    assert row is not None
    position, stream, version = row
    report = verified(filled)
    assert {READABLE, DENSE} <= found(report)
    check = next(check for check in report.checks if check.name == READABLE)
    assert (check.offences, [finding.position for finding in check.findings]) == (1, [position])
    assert check.findings[0].what.startswith(f"version {version} of {stream}: ")
    assert why in check.findings[0].what


def test_the_command_reports_an_event_that_cannot_be_read(database: Database) -> None:
    make_read_tables(database)
    with ledger_on(database) as ledger:
        ledger.accepted(deposit(ledger.account(100), 100))
    forge(database, f"UPDATE log.events SET payload = '\\xff' WHERE {SHARE}")
    done = daybook("verify", "--json", env=environment(database))
    assert done.returncode == 1, done.stderr
    report = orjson.loads(done.stdout)
    assert {check["name"] for check in report["checks"] if not check["ok"]} == {READABLE, SHARES}
    spoken = daybook("verify", env=environment(database))
    assert (spoken.returncode, spoken.stderr) == (1, "")
    assert "invalid byte sequence" in spoken.stdout


def test_what_the_database_refuses_is_one_sentence(empty_database: Database) -> None:
    done = daybook("verify", env=environment(empty_database))
    assert done.returncode == 3
    assert 'relation "log.logs" does not exist' in done.stderr
    assert "Traceback" not in done.stderr


def test_other_logs_are_none_of_its_business(filled: Database) -> None:
    forge(
        filled,
        "WITH l AS (INSERT INTO log.logs (name) VALUES ('other') RETURNING log)"
        " INSERT INTO log.events SELECT log, 7, 9, 's', 5, 't', now(), 1, 'x', 'y' FROM l",
    )
    assert verified(filled).ok


def test_what_the_library_appends_has_no_answers_and_needs_none(database: Database) -> None:
    environment = {"DATABASE_URL": database.url, "EVENTSTORE_NAMESPACE": "dogs"}
    recorder = application(environment)
    for _ in range(2):
        recorder.insert_events(events(3))
    recorder.store.pool.close()
    name = log_name(environment)
    begin_read_tables(database, name)
    with connect(database.audit_url, application_name="verify") as connection:
        report = verify(connection, name, codec_of(connection, 1))
    assert (report.head, found(report)) == (6, set())


def test_the_command_tells_by_its_exit_code_and_its_report(filled: Database) -> None:
    sound = daybook("verify", "--json", env=environment(filled))
    assert sound.returncode == 0, sound.stderr
    assert orjson.loads(sound.stdout)["ok"] is True
    forge(filled, FORGERIES["an amount of a transaction changed"][0])
    broken = daybook("verify", "--json", env=environment(filled))
    assert broken.returncode == 1, broken.stderr
    report = orjson.loads(broken.stdout)
    assert report["ok"] is False
    assert {check["name"] for check in report["checks"] if not check["ok"]} == {SUMS, SHARES}
    spoken = daybook("verify", env=environment(filled))
    assert spoken.returncode == 1
    assert "Traceback" not in spoken.stderr


def append_meanwhile(database: Database) -> None:
    """One more transaction, as another process would post it."""
    with ledger_on(database) as ledger:
        ledger.account(1)


def test_commands_that_come_in_meanwhile_are_no_findings(filled: Database) -> None:
    with (
        connect(filled.audit_url, application_name="verify") as connection,
        connect(filled.audit_url, application_name="keys") as keys,
    ):
        report = verify(connection, "main", codec_of(keys, 1), _Once(lambda: append_meanwhile(filled)))
    assert found(report) == set()


class _Once:
    """Does something when the first check begins: after the head was read."""

    def __init__(self, act: Any) -> None:
        self._act = act

    def __call__(self, _: str) -> None:
        act, self._act = self._act, lambda: None
        act()
