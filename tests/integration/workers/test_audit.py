"""Commands of auditors and operators beside `verify`: replay, rebuild, and the deletion of origins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from tests.integration.workers.running import daybook, environment
from tests.support.ledger import fold, ledger_on, transfer
from tests.support.postgres import Database, Server
from workers.verify.schema import SCHEMA


@dataclass(frozen=True)
class Written:
    """A small ledger, with the commands to read it."""

    database: Database
    account: str
    head: int

    def ask(self, *arguments: str) -> Any:
        """The JSON output of a command, which must succeed."""
        done = daybook(*arguments, env=environment(self.database))
        assert done.returncode == 0, done.stdout + done.stderr
        return orjson.loads(done.stdout)


@pytest.fixture
def written(postgres18: Server) -> Iterator[Written]:
    """Two accounts, a deposit and three transfers."""
    with postgres18.database() as database, ledger_on(database) as ledger:
        one, two = ledger.account(100), ledger.account()
        last = [ledger.accepted(transfer(one, two, 10)).last_position for _ in range(3)][-1]
        assert last is not None
        yield Written(database, one, last)


def test_the_replay_of_a_log_without_its_end_ends(written: Written) -> None:
    with psycopg.connect(written.database.url) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("DELETE FROM log.events WHERE position > %s", (written.head - 3,))
    done = daybook("replay", "--json", env=environment(written.database))
    assert done.returncode == 3
    message = done.stderr.replace("\n", " ")
    assert f"nothing can be read after position {written.head - 3} of {written.head}" in message
    assert "daybook verify" in message


def test_a_stream_is_what_its_events_fold_to(written: Written) -> None:
    now = written.ask("replay", written.account)
    assert (now["version"], now["balance"], now["profile"]["minimum"]) == (5, "0.70", "0.00")
    then = written.ask("replay", written.account, "--version", "3")
    assert (then["version"], then["balance"]) == (3, "0.90")


def test_a_stream_is_printed_as_text_and_as_json(written: Written) -> None:
    events = written.ask("events", written.account, "--json")
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5]
    assert events[1]["data"]["amount"] == 100, "minor units, as in the log"
    answered = daybook("events", written.account, env=environment(written.database)).stdout.splitlines()
    assert [line.split() for line in answered[::3]] == [[str(event["version"]), event["type"]] for event in events]
    assert f"transaction {events[1]['data']['transaction']}, entry 2, amount 1.00 EUR" in answered[5]


def test_the_whole_log_at_any_unit_is_balanced_and_has_one_digest(written: Written) -> None:
    whole = written.ask("replay", "--json")
    assert (whole["ok"], whole["position"], whole["events"]) == (True, written.head, written.head)
    assert whole["sums"] == {"EUR": "0.00"}
    assert written.ask("replay", "--json") == whole
    before = written.ask("replay", "--upto", str(written.head - 1))
    assert before["position"] == written.head - 3, "a unit is complete or missing"
    assert before["digest"] != whole["digest"]
    assert whole["digest_version"] == "leaf.v1"
    proven = written.ask("replay", "--json")
    assert daybook_report(written)["digest"] == proven["digest"], "verify prints the same digest"


def daybook_report(written: Written) -> Any:
    """The report of verify, with or without findings."""
    return orjson.loads(daybook("verify", "--json", env=environment(written.database)).stdout)


def test_a_changed_event_changes_the_digest_and_invented_money_is_found(written: Written) -> None:
    whole = written.ask("replay", "--json")
    with psycopg.connect(written.database.url) as superuser:
        superuser.execute(
            "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), '\"amount\":10,',"
            " '\"amount\":11,'), 'UTF8') WHERE position ="
            " (SELECT max(position) FROM log.events WHERE type = 'account.credited.v1')"
        )
    done = daybook("replay", "--json", env=environment(written.database))
    found = orjson.loads(done.stdout)
    assert (done.returncode, found["ok"], found["sums"]) == (1, False, {"EUR": "0.01"})
    assert found["digest"] != whole["digest"]


def test_a_stream_that_does_not_exist_is_reported(written: Written) -> None:
    done = daybook("replay", "acct_00000000000000000000000000", env=environment(written.database))
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no stream acct_0000" in done.stderr


def test_rebuild_repairs_a_table_that_was_tampered_with(written: Written) -> None:
    database = written.database
    fold(database)
    with psycopg.connect(database.url) as superuser:
        superuser.execute("UPDATE read.accounts SET balance = balance + 1")
    assert daybook("verify", env=environment(database)).returncode == 1
    rebuilt = written.ask("rebuild", "accounts", "--json")
    assert (rebuilt["ok"], rebuilt["position"], rebuilt["head"]) == (True, written.head, written.head)
    assert daybook("verify", env=environment(database)).returncode == 0
    unknown = daybook("rebuild", "dreams", env=environment(database))
    assert unknown.returncode == 3
    assert "dreams" in unknown.stderr


def made_by_another_version(database: Database, *projections: str) -> None:
    """Mark the tables of these projections as made by an older Daybook."""
    with psycopg.connect(database.url) as superuser:
        for name in projections:
            superuser.execute(f"ALTER TABLE read.{name} RENAME COLUMN status TO state".encode())
        done = superuser.execute(
            "UPDATE read.projections SET shape = 'older' WHERE projection = ANY (%s)", (list(projections),)
        )
        assert done.rowcount == len(projections)


def test_rebuild_replaces_tables_of_another_shape(written: Written) -> None:
    database = written.database
    fold(database)
    made_by_another_version(database, "posts", "orders")
    refused = daybook("work", env=environment(database))
    assert refused.returncode == 3
    assert "daybook rebuild orders posts" in refused.stderr
    assert written.ask("rebuild", "posts", "--json")["ok"] is True
    with psycopg.connect(database.url) as superuser:
        rows = superuser.execute("SELECT projection FROM read.projections WHERE shape = 'older'").fetchall()
    assert rows == [("orders",)], "a projection that was not named is unchanged"
    assert written.ask("rebuild", "--json")["ok"] is True
    assert written.ask("verify", "--json")["ok"] is True


def test_the_log_is_read_with_any_shape_of_the_read_tables(written: Written) -> None:
    fold(written.database)
    made_by_another_version(written.database, "posts", "orders")
    assert len(written.ask("events", written.account, "--json")) == 5
    assert written.ask("replay", written.account)["version"] == 5
    assert written.ask("replay", "--json")["ok"] is True
    done = daybook("verify", "--json", env=environment(written.database))
    assert done.returncode == 1, done.stderr
    report = orjson.loads(done.stdout)
    assert {check["name"] for check in report["checks"] if not check["ok"]} == {SCHEMA}
    assert {finding["projection"]: finding["message"] for finding in report["tables"]["findings"]} == {
        name: f"the tables of {name} were made by another version of Daybook: rebuild them (daybook rebuild {name})"
        for name in ("orders", "posts")
    }
    assert "accounts" in report["tables"]["tables"], "the others are compared"


def test_an_auditor_makes_no_tables_to_read_the_log(written: Written) -> None:
    written.ask("events", written.account, "--json")
    written.ask("replay", "--json")
    with psycopg.connect(written.database.url) as superuser:
        assert superuser.execute("SELECT to_regclass('read.accounts')").fetchone() == (None,)


@contextmanager
def aged(database: Database, days: int) -> Iterator[None]:
    """Make all records older by this many days."""
    with psycopg.connect(database.url) as superuser:
        superuser.execute("UPDATE log.commands SET recorded_at = recorded_at - make_interval(days => %s)", (days,))
    yield


def origins(database: Database) -> list[str | None]:
    with psycopg.connect(database.url) as superuser:
        return [row[0] for row in superuser.execute("SELECT origin FROM log.commands ORDER BY decided_position")]


def test_reads_are_forgotten_when_their_time_has_passed(written: Written) -> None:
    database = written.database
    with psycopg.connect(database.url) as superuser:
        superuser.execute(
            "INSERT INTO access.reads (log, recorder, number, place, at, principal, route)"
            " SELECT 1, 'r', n, 1, now() - make_interval(days => n), 'bi', '/v1/accounts'"
            " FROM unnest('{364,366}'::int[]) n"
        )
    assert written.ask("forget-reads", "--days", "367", "--json")["forgotten"] == 0
    assert written.ask("forget-reads", "--json")["forgotten"] == 1
    assert written.ask("forget-reads", "--days", "363", "--json")["forgotten"] == 1


def test_origins_are_forgotten_when_their_time_has_passed(written: Written) -> None:
    database = written.database
    with psycopg.connect(database.url) as superuser:
        superuser.execute("UPDATE log.commands SET origin = '127.0.0.1 curl'")
    before = len(origins(database))
    assert written.ask("forget-origins", "--json")["forgotten"] == 0
    with aged(database, 91):
        assert written.ask("forget-origins", "--days", "92", "--json")["forgotten"] == 0
        assert written.ask("forget-origins", "--json")["forgotten"] == before
    assert set(origins(database)) == {None}


def test_a_statement_is_written_in_each_form(written: Written, tmp_path: Path) -> None:
    fold(written.database)
    period = ("--from", "2020-01-01", "--to", "2099-12-31")
    read = written.ask("statement", written.account, *period)
    assert (read["opening"], read["closing"], read["entries"]) == ("0.00", "0.70", 4)
    assert [line["balance"] for line in read["items"]] == ["1.00", "0.90", "0.80", "0.70"]
    assert written.ask("statement", written.account, *period, "--as-of", read["as_of"]) == read
    assert written.ask("statement", written.account, *period, "--as-of", str(written.head - 3))["closing"] == "0.80"
    begins = {"csv": b"row,number,", "pdf": b"%PDF-", "camt053": b"<?xml"}
    for form, beginning in begins.items():
        file = tmp_path / form
        asked = (*period, "--format", form, "--output", str(file))
        done = daybook("statement", written.account, *asked, env=environment(written.database))
        assert done.returncode == 0, done.stdout + done.stderr
        assert file.read_bytes().startswith(beginning)
    refused = {
        "before it begins": (written.account, "--from", "2026-02-01", "--to", "2026-01-31"),
        "there is no account acct_none": ("acct_none", *period),
        "is not a position": (written.account, *period, "--as-of", "yesterday"),
        "is by booking": (written.account, *period, "--by", "value", "--format", "camt053"),
    }
    for sentence, arguments in refused.items():
        done = daybook("statement", *arguments, env=environment(written.database))
        assert done.returncode == 3, done.stdout + done.stderr
        assert sentence in done.stderr.replace("\n", " ")
