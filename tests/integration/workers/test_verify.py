"""The reports of `verify`. `tests/tampering/` has every kind of damage and the check that finds it."""

from __future__ import annotations

from typing import Any

import orjson
import psycopg
import pytest

from bench.harness.tables import begin_read_tables, make_read_tables
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.engine.runner import Runner
from projections.engine.verify import CheckpointFinding, StatusFinding, TableFinding
from projections.registry import PROJECTIONS
from tests.integration.library.support import application, events, log_name
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import codec_of, deposit, fold, ledger_on, snapshots_on, transfer, withdrawal
from tests.support.plans import Explained, nodes
from tests.support.postgres import Database, Server
from workers.verify import verify
from workers.verify.log import NAMED, QUESTIONS, READABLE, ask, open_log
from workers.verify.report import VerifyReport
from workers.verify.snapshots import SNAPSHOTS_HOLD
from workers.verify.streams import STREAMS_KEEP_RULES

DENSE, SUMS = "positions are dense", "transactions sum to zero per currency"
SHARES = "entries and shares match one to one"
CHECKPOINTS, TABLES, BEHIND = "checkpoints", "tables", "behind"

SHARE = "type = 'account.credited.v1'"
FIRST_SHARE = f"position = (SELECT min(position) FROM log.events WHERE {SHARE})"
FIRST_TRANSACTION = "position = (SELECT min(position) FROM log.events WHERE type = 'transaction.posted.v1')"


def with_payload(set_to: str, where: str) -> str:
    """SQL that changes a payload as JSON; `p` is the old payload."""
    return (
        f"UPDATE log.events e SET payload = convert_to(({set_to})::text, 'UTF8')"
        f"  FROM (SELECT log, position, convert_from(payload, 'UTF8')::jsonb AS p FROM log.events) j"
        f" WHERE j.log = e.log AND j.position = e.position AND e.{where}"
    )


ANOTHER_AMOUNT = with_payload("p || '{\"amount\": 1}'", FIRST_SHARE)


@pytest.fixture
def filled(database18: Database) -> Database:
    """A sound log of accounts and movements, folded to its head."""
    with ledger_on(database18) as ledger:
        one, two = ledger.account(10_000), ledger.account(5_000)
        for amount in (100, 250, 375):
            ledger.accepted(transfer(one, two, amount))
        ledger.accepted(withdrawal(two, 75))
        ledger.execute(withdrawal(two, 10**9))
        ledger.accepted(deposit(one, 42))
    fold(database18)
    return database18


def verified(database: Database, *, patience_seconds: float = 0) -> VerifyReport:
    """The report of `verify` with the rights of an auditor."""
    with (
        connect(database.audit_url, application_name="verify") as connection,
        connect(database.audit_url, application_name="keys") as keys,
    ):
        return verify(connection, "main", codec_of(keys, 1), patience_seconds=patience_seconds)


def found(report: VerifyReport) -> set[str]:
    """The names of the checks with findings."""
    names = {check.name for check in report.checks if not check.ok}
    kinds = {TableFinding: TABLES, CheckpointFinding: CHECKPOINTS, StatusFinding: BEHIND}
    return names | {kinds[type(finding)] for finding in report.tables.findings}


def forge(database: Database, statement: str) -> None:
    with psycopg.connect(database.url) as connection:
        done: Any = connection.execute(statement.encode())
        assert done.rowcount > 0, "the statement changed nothing"


def test_a_sound_log_has_no_findings(filled: Database) -> None:
    report = verified(filled)
    assert found(report) == set()
    assert report.ok
    assert report.head > 20
    assert set(report.tables.tables) == {table for projection in PROJECTIONS for table in projection.tables}


def test_a_finding_has_place_and_reason(filled: Database) -> None:
    forge(filled, ANOTHER_AMOUNT)
    check = next(check for check in verified(filled).checks if check.name == SHARES)
    assert check.offences == 2, "an entry without its share, and a share without its entry"
    assert {finding.position for finding in check.findings} <= set(range(1, verified(filled).head + 1))
    assert {finding.what.split(": ")[-1] for finding in check.findings} == {
        "no share on the account matches it",
        "a share without it",
    }


def in_state(old: str, new: str) -> str:
    """Change the bytes of a stored state."""
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
def test_a_forged_snapshot_is_found_and_deleting_it_is_the_repair(database: Database, forgery: str) -> None:
    with snapshots_on(database, 1) as snapshots, ledger_on(database, snapshots=snapshots) as ledger:
        account = ledger.account(100)
        for _ in range(2):
            ledger.accepted(deposit(account, 100))
        snapshots.settle()
    begin_read_tables(database)
    with psycopg.connect(database.url, autocommit=True) as owner:
        assert verified(database).check(SNAPSHOTS_HOLD).ok
        changed = owner.execute(f"UPDATE log.snapshots SET {forgery} WHERE stream = %s".encode(), (account,))
        assert changed.rowcount == 1
        check = verified(database).check(SNAPSHOTS_HOLD)
        assert (check.name, check.offences) == (SNAPSHOTS_HOLD, 1)
        assert account in check.findings[0].what
        done = daybook("drop-snapshots", "--json", env=environment(database))
        assert orjson.loads(done.stdout) == {"dropped": 2}, done.stderr
        assert verified(database).check(SNAPSHOTS_HOLD).ok


def test_snapshots_of_long_streams_are_folded_together_and_checked_separately(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with snapshots_on(database, 8) as snapshots, ledger_on(database, snapshots=snapshots) as ledger:
        broken, *others = (ledger.account(100) for _ in range(3))
        for account in (broken, *others):
            for _ in range(9):  # the snapshot is at the eighth event, and more events follow
                ledger.accepted(deposit(account, 100))
        snapshots.settle()
    begin_read_tables(database)
    for module in ("eventstore.log.read", "workers.verify.snapshots"):
        monkeypatch.setattr(f"{module}.STREAM_PAGE", 3)
    assert verified(database).check(SNAPSHOTS_HOLD).ok
    forge(database, f"UPDATE log.events SET payload = '{{}}' WHERE stream = '{broken}' AND version = 2")
    check = verified(database).check(SNAPSHOTS_HOLD)
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
    forge(filled, "UPDATE log.logs SET position = position + 1")
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
    fold(database)
    forge(database, f"UPDATE log.events SET payload = '\\xff' WHERE {SHARE}")
    done = daybook("verify", "--json", env=environment(database))
    assert done.returncode == 1, done.stderr
    report = orjson.loads(done.stdout)
    assert {check["name"] for check in report["checks"] if not check["ok"]} == {READABLE, SHARES}
    spoken = daybook("verify", env=environment(database))
    assert (spoken.returncode, spoken.stderr) == (1, "")
    assert "invalid byte sequence" in spoken.stdout


def test_a_refusal_by_the_database_is_one_message(server: Server) -> None:
    """The server has the roles, since another database of it was migrated, and this one was not."""
    with server.database(), server.database(migrated=False) as empty:
        _is_refused_with_one_message(empty)


def _is_refused_with_one_message(empty_database: Database) -> None:
    done = daybook("verify", env=environment(empty_database))
    assert done.returncode == 3
    assert 'relation "log.logs" does not exist' in done.stderr
    assert "Traceback" not in done.stderr


def test_other_logs_are_not_checked(filled: Database) -> None:
    forge(
        filled,
        "WITH l AS (INSERT INTO log.logs (name) VALUES ('other') RETURNING log)"
        " INSERT INTO log.events SELECT log, 7, 9, 's', 5, 't', now(), 1, 'x', 'y' FROM l",
    )
    assert verified(filled).ok


def test_events_of_the_library_need_no_answers(database: Database) -> None:
    environment = {"DATABASE_URL": database.url, "EVENTSTORE_NAMESPACE": "dogs"}
    recorder = application(environment)
    for _ in range(2):
        recorder.insert_events(events(3))
    recorder.store.pool.close()
    name = log_name(environment)
    begin_read_tables(database, name)
    with connect(database.projector_url, application_name="fold") as connection:
        Runner(connection, name, codec_of(connection, 1), PROJECTIONS).run_to_head()
    with connect(database.audit_url, application_name="verify") as connection:
        report = verify(connection, name, codec_of(connection, 1))
    assert (report.head, found(report)) == (6, set())


def test_the_command_reports_by_exit_code_and_report(filled: Database) -> None:
    sound = daybook("verify", "--json", env=environment(filled))
    assert sound.returncode == 0, sound.stderr
    assert orjson.loads(sound.stdout)["ok"] is True
    forge(filled, with_payload("jsonb_set(p, '{entries,0,amount}', '1')", FIRST_TRANSACTION))
    broken = daybook("verify", "--json", env=environment(filled))
    assert broken.returncode == 1, broken.stderr
    report = orjson.loads(broken.stdout)
    assert report["ok"] is False
    assert {check["name"] for check in report["checks"] if not check["ok"]} == {SUMS, SHARES, STREAMS_KEEP_RULES}
    spoken = daybook("verify", env=environment(filled))
    assert spoken.returncode == 1
    assert "Traceback" not in spoken.stderr


def append_meanwhile(database: Database) -> None:
    """Post another transaction, as another process does."""
    with ledger_on(database) as ledger:
        ledger.account(1)


def test_commands_that_are_appended_meanwhile_are_not_findings(filled: Database) -> None:
    with (
        connect(filled.audit_url, application_name="verify") as connection,
        connect(filled.audit_url, application_name="keys") as keys,
    ):
        report = verify(connection, "main", codec_of(keys, 1), _Once(lambda: append_meanwhile(filled)))
    assert found(report) == set()


def test_verify_waits_for_projections_that_are_briefly_behind(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_meanwhile(filled)
    pauses = iter((lambda: None, lambda: fold(filled)))  # the projector reaches the head during the wait
    monkeypatch.setattr("projections.engine.verify.time.sleep", lambda seconds: next(pauses)())
    report = verified(filled, patience_seconds=60)
    assert (found(report), list(pauses)) == (set(), [])


def test_projections_that_stay_behind_are_findings(filled: Database) -> None:
    append_meanwhile(filled)
    report = verified(filled)
    assert found(report) == {BEHIND}
    assert str(report.tables.findings[0]) == (
        f"accounts stands at {report.head - 5} of {report.head}: 5 events are not folded; start daybook work, or run "
        "daybook rebuild accounts"
    )


class _Once:
    """Calls a function when the first check begins, after the head was read."""

    def __init__(self, act: Any) -> None:
        self._act = act

    def __call__(self, _: str) -> None:
        act, self._act = self._act, lambda: None
        act()


@pytest.mark.parametrize("name", ["events have their answer", NAMED])
def test_commands_are_joined_to_units_in_one_pass_with_any_statistics(database: Database, name: str) -> None:
    """One index look-up for each command took more than a minute for 60,000 events."""
    question = next(question for question in QUESTIONS if question.name == name)
    with psycopg.connect(database.url) as connection:  # no table is analysed
        connection.execute("SELECT log.create_log('main')")
        connection.execute(
            "INSERT INTO log.events SELECT 1, n, n, 's' || n, 1, 't', now(), 0, '{}', '{\"actor\": {\"id\": \"a\"},"
            ' "key": "k"}\' FROM generate_series(1, 20000) n'
        )
        connection.execute(
            "INSERT INTO log.commands SELECT 1, 'a', 'k' || n, sha256('x'), 1, 201, NULL, '{}', n - 1, n, n, now()"
            " FROM generate_series(1, 20000) n"
        )
        log = open_log(connection, read_head(connection, "main"))
        # Within a transaction the plan of a statement is reported when the next one begins.
        statements = Explained(connection).statements(lambda: (ask(log, question), connection.execute("SELECT 1")))
        joins = {node["Node Type"] for statement in statements for node in nodes(statement.plan)}
        assert joins & {"Hash Join", "Merge Join"}
        assert "Nested Loop" not in joins


def test_entries_are_matched_without_the_payloads_that_have_them(database18: Database) -> None:
    """The server reads a payload once. If it read or kept it for each entry, the time would be quadratic."""
    transactions, entries = 30, 500
    with psycopg.connect(database18.url) as connection:
        connection.execute("SELECT log.create_log('main')")
        connection.execute(
            "INSERT INTO log.events SELECT 1, n, n, 't' || n, 1, 'transaction.posted.v1', now(), 0, convert_to("
            " json_build_object('value_date', '2026-11-21', 'entries', (SELECT json_agg(json_build_object("
            "  'account', 'a' || i, 'side', 'debit', 'amount', i, 'currency', 'EUR')) FROM generate_series(1, %s) i)"
            " )::text, 'UTF8'), '{}' FROM generate_series(1, %s) n",
            (entries, transactions),
        )
        connection.execute("UPDATE log.logs SET position = %s WHERE log = 1", (transactions,))
        log = open_log(connection, read_head(connection, "main"))
        [query] = next(question.queries for question in QUESTIONS if question.name == SHARES)
        explain = f"EXPLAIN (ANALYZE, BUFFERS, VERBOSE, FORMAT JSON) {query}"
        row = connection.execute(explain.encode(), log.parameters()).fetchone()
    assert row is not None
    plan = list(nodes(row[0][0]["Plan"]))
    [join] = [node for node in plan if node["Node Type"] in ("Hash Join", "Merge Join")]
    assert join["Actual Rows"] == transactions * entries
    for node in plan:
        if node["Actual Rows"] >= join["Actual Rows"]:
            # `->>` takes one text out of a payload.
            assert not [one for one in node["Output"] if "convert_from(e.payload" in one and "->>" not in one], node
            assert "convert_from(e.payload" not in str(node.get("Hash Cond", node.get("Merge Cond"))), node
