"""The data of the Czech bank: every row is imported once, also after kills, and compared with the bank's balances."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from bench.harness.tables import begin_read_tables
from domain.accounts.posting import internal_account
from tests.integration.workers.running import CZECH_BANK, daybook, environment, held_at, started, wait_until_held
from tests.support.ledger import assert_sound
from tests.support.postgres import Database, Server
from workers.importers.czech_bank.importing import account_id
from workers.importers.czech_bank.source import read_accounts, read_transactions, transaction_files

ACCOUNTS = len(read_accounts(CZECH_BANK))
TRANSACTIONS = [row for file in transaction_files(CZECH_BANK) for row in read_transactions(file)]


@dataclass(frozen=True)
class Whole:
    """A database with all rows imported in one run, and the report of that run. Tests only read it."""

    database: Database
    report: dict[str, Any]


@pytest.fixture(scope="module")
def whole(postgres18: Server) -> Iterator[Whole]:
    with postgres18.database() as fresh:
        yield Whole(fresh, imported(fresh))


@pytest.fixture
def database_with_all(postgres18: Server, whole: Whole) -> Iterator[Database]:
    """A copy of the whole import that a test may change."""
    with postgres18.database(like=whole.database) as copy:
        yield copy


def imported(database: Database, folder: Path = CZECH_BANK) -> dict[str, Any]:
    """The report of an import that runs to its end, with or without differences."""
    done = daybook("import", "czech-bank", str(folder), "--json", env=environment(database))
    assert done.returncode in (0, 1), done.stderr
    report = orjson.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def history(database: Database) -> dict[tuple[str, int], tuple[str, Any]]:
    """The events of each stream, without the parts that differ between runs: sealed names and account numbers."""
    with psycopg.connect(database.url) as connection:
        rows = connection.execute(
            "SELECT stream, version, type, payload - 'name' - 'number' - 'opened_on' FROM log.events_as_json"
            " WHERE stream NOT LIKE 'claim:%'"
        ).fetchall()
    return {(stream, version): (type, payload) for stream, version, type, payload in rows}


def counts(database: Database) -> dict[str, int]:
    """The number of events of each type."""
    with psycopg.connect(database.url) as connection:
        return dict(connection.execute("SELECT type, count(*) FROM log.events GROUP BY type").fetchall())


def test_every_row_becomes_history(whole: Whole) -> None:
    report, database = whole.report, whole.database
    assert report["imported"]["refused"] == {}
    assert report["imported"]["accounts"] == ACCOUNTS
    assert report["imported"]["transactions"] == len(TRANSACTIONS)
    found = counts(database)
    assert found["transaction.posted.v1"] == len(TRANSACTIONS)
    assert found["account.debited.v1"] == found["account.credited.v1"] == len(TRANSACTIONS)
    assert_sound(database)


def test_value_dates_internal_accounts_and_references_are_those_of_the_source(whole: Whole) -> None:
    with psycopg.connect(whole.database.url) as connection:
        rows = connection.execute(
            """
            SELECT (t.payload->>'reference')::int, t.payload->>'value_date', t.payload->>'kind', a.payload->>'type',
                   x->>'side', (x->>'amount')::bigint
              FROM log.events_as_json t, jsonb_array_elements(t.payload->'entries') x
              JOIN log.events_as_json a ON a.stream = x->>'account' AND a.type = 'account.opened.v1'
             WHERE t.type = 'transaction.posted.v1' AND a.payload->>'type' <> 'checking'"""
        ).fetchall()
    assert sorted(rows) == sorted(
        (row.id, str(row.day), row.kind, row.role, "debit" if row.credit else "credit", row.amount)
        for row in TRANSACTIONS
    )


def test_owners_are_client_ids_and_there_is_no_minimum(whole: Whole) -> None:
    with psycopg.connect(whole.database.url) as connection:
        rows = connection.execute(
            "SELECT payload->>'owner', payload->>'opened_on', payload->'minimum' FROM log.events_as_json"
            " WHERE type = 'account.opened.v1' AND payload->>'type' = 'checking'"
        ).fetchall()
    assert sorted(rows) == sorted((f"client:{a.owner}", str(a.opened_on), None) for a in read_accounts(CZECH_BANK))


def test_a_second_import_finds_everything_imported(whole: Whole, database_with_all: Database) -> None:
    report = imported(database_with_all)
    assert report["imported"]["already"] == ACCOUNTS + len(TRANSACTIONS)
    assert history(database_with_all) == history(whole.database)


def test_an_import_that_was_killed_and_restarted_equals_an_uninterrupted_one(
    database18: Database, whole: Whole
) -> None:
    midway = 3 * ACCOUNTS + len(TRANSACTIONS)  # about a third of the events
    slowly = environment(database18, DAYBOOK_GROUP_LIMIT="8")
    with (
        held_at(database18, midway) as is_held,  # so the process is killed during an append
        started("import", "czech-bank", str(CZECH_BANK), env=slowly) as process,
    ):
        wait_until_held(process, is_held)
        process.kill()
        process.wait()
    killed = counts(database18)
    assert 0 < killed["transaction.posted.v1"] < len(TRANSACTIONS)
    assert_sound(database18)

    report = imported(database18)
    assert report["imported"]["already"] >= killed["transaction.posted.v1"]
    assert history(database18) == history(whole.database)
    assert_sound(database18)


def test_a_later_run_with_more_files_continues(database18: Database, whole: Whole, tmp_path: Path) -> None:
    for name in ("account.asc", "disp.asc"):
        shutil.copy(CZECH_BANK / name, tmp_path / name)
    heading, *rows = (CZECH_BANK / "trans-1993.asc").read_bytes().splitlines(keepends=True)
    half = len(rows) // 2
    (tmp_path / "trans-1993-1.asc").write_bytes(b"".join([heading, *rows[:half]]))
    assert imported(database18, tmp_path)["imported"]["transactions"] == half
    (tmp_path / "trans-1993-2.asc").write_bytes(b"".join([heading, *rows[half:]]))
    report = imported(database18, tmp_path)
    assert report["imported"]["already"] == ACCOUNTS + half
    assert history(database18) == history(whole.database)


def test_rows_with_the_amount_zero_are_left_out_and_reported(
    database18: Database, whole: Whole, tmp_path: Path
) -> None:
    """Every balance of the bank is still compared."""
    for name in ("account.asc", "disp.asc"):
        shutil.copy(CZECH_BANK / name, tmp_path / name)
    heading, first, *rest = (CZECH_BANK / "trans-1993.asc").read_text().splitlines()
    nothing = first.split(";")
    nothing[0], nothing[5] = "99999999", "0.00"
    file = tmp_path / "trans.asc"
    file.write_text("\r\n".join([heading, first, ";".join(nothing), *rest]) + "\r\n")
    report = imported(database18, tmp_path)
    assert report["imported"]["without_amount"] == ["czech-bank:trans:99999999"]
    assert report["imported"]["transactions"] == len(TRANSACTIONS)
    assert report["imported"]["refused"] == {}
    assert report["reconciliation"] == whole.report["reconciliation"]
    assert history(database18) == history(whole.database)
    shown = daybook("import", "czech-bank", str(tmp_path), env=environment(database18))
    assert "Left out, since their amount is 0.00: 1 rows, first czech-bank:trans:99999999" in shown.stdout


def test_a_row_with_a_known_id_and_other_content_is_refused_with_one_message(
    whole: Whole, database_with_all: Database, tmp_path: Path
) -> None:
    shutil.copytree(CZECH_BANK, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "trans-1993.asc"
    heading, first, *rows = file.read_text().splitlines()
    fields = first.split(";")
    fields[5] = "1.00"
    file.write_text("\r\n".join([heading, ";".join(fields), *rows]) + "\r\n")
    done = daybook("import", "czech-bank", str(tmp_path), env=environment(database_with_all))
    assert done.returncode == 3
    assert f"czech-bank:trans:{fields[0]} was imported before with other content" in done.stderr
    assert "Traceback" not in done.stderr
    assert history(database_with_all) == history(whole.database)


def test_the_reconciliation_reports_the_differences(whole: Whole) -> None:
    report = whole.report["reconciliation"]
    days = {(row.account, row.day) for row in TRANSACTIONS}
    assert report["account_days"] == len(days)
    assert report["exact"] + report["rounding"] + report["otherwise"] == len(days)
    assert report["ok"] == (report["otherwise"] == 0)
    assert bool(report["accounts_off"]) == (report["otherwise"] > 0)
    penalised = {row.account for row in TRANSACTIONS if row.role == "penalties"}
    assert penalised & set(report["accounts_below_zero"]), "penalty interest takes a balance below zero"


def test_files_that_are_imported_separately_are_reconciled_with_the_whole_log(
    database18: Database, tmp_path: Path
) -> None:
    heading, *rows = (CZECH_BANK / "trans-1993.asc").read_bytes().splitlines(keepends=True)
    middle = TRANSACTIONS[len(rows) // 2].day
    halves: list[list[bytes]] = [[], []]
    for row, transaction in zip(rows, TRANSACTIONS, strict=True):
        halves[transaction.day >= middle].append(row)
    folders = [tmp_path / "earlier", tmp_path / "later"]
    for folder, half in zip(folders, halves, strict=True):
        folder.mkdir()
        for name in ("account.asc", "disp.asc"):
            shutil.copy(CZECH_BANK / name, folder / name)
        (folder / "trans-1993.asc").write_bytes(b"".join([heading, *half]))
    apart = [imported(database18, folder)["reconciliation"] for folder in folders]
    whole = imported(database18)["reconciliation"]
    for name in ("account_days", "exact", "below_zero"):
        assert sum(report[name] for report in apart) == whole[name]
    assert [report["leftovers"] for report in (*apart, whole)] == [[], [], []]

    again = imported(database18, folders[0])["reconciliation"]
    assert {leftover["account"] for leftover in again["leftovers"]} == {
        row.account for row in TRANSACTIONS if row.day >= middle
    }
    assert again["ok"] is False
    answered = daybook("import", "czech-bank", str(folders[0]), env=environment(database18))
    assert answered.returncode == 1
    assert f"Left over, with no row of the bank's: {len(again['leftovers'])} accounts" in answered.stdout


def test_the_tables_match_the_log(database_with_all: Database) -> None:
    begin_read_tables(database_with_all)
    assert daybook("rebuild", "--json", env=environment(database_with_all)).returncode == 0
    done = daybook("verify", "--json", env=environment(database_with_all))
    assert done.returncode == 0, done.stdout
    assert orjson.loads(done.stdout)["ok"] is True


def test_the_decision_has_the_present_time_and_the_value_date_of_the_source(database18: Database) -> None:
    before = datetime.now(UTC)
    imported(database18)
    with psycopg.connect(database18.url) as connection:
        row = connection.execute(
            "SELECT min((metadata->>'decided_at')::timestamptz), max(payload->>'value_date'),"
            " array_agg(DISTINCT metadata->'actor'->>'id') FROM log.events_as_json"
            " WHERE type = 'transaction.posted.v1'"
        ).fetchone()
    assert row is not None
    assert row[0] >= before
    assert row[1] == str(max(transaction.day for transaction in TRANSACTIONS))
    assert row[2] == ["system:czech-bank"]


def test_standing_orders_become_recurring_payments_that_are_paused(
    database18: Database, whole: Whole, tmp_path: Path
) -> None:
    """The history and its reconciliation stay what they are without them."""
    shutil.copytree(CZECH_BANK, tmp_path, dirs_exist_ok=True)
    one, two, *_ = (account.id for account in read_accounts(CZECH_BANK))
    heading = '"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"'
    lines = [heading, f'1;{one};"YZ";"8";2452.00;"SIPO"', f'2;{two};"ST";"9";0.70;" "', f'3;{two};"ST";"9";0.00;"UVER"']
    (tmp_path / "order.asc").write_text("\r\n".join(lines) + "\r\n")
    report = imported(database18, tmp_path)
    assert (report["imported"]["orders"], report["imported"]["refused"]) == (2, {})
    assert report["imported"]["without_amount"] == ["czech-bank:order:3"]
    assert report["reconciliation"] == whole.report["reconciliation"]
    with psycopg.connect(database18.url) as connection:
        stored = connection.execute(
            "SELECT version, type, payload FROM log.events_as_json WHERE stream LIKE 'recur_%' ORDER BY position"
        ).fetchall()
    assert [(version, type) for version, type, _ in stored] == 2 * [
        (1, "recurring_payment.created.v1"),
        (2, "recurring_payment.paused.v1"),
    ]
    first, second = (payload for _, type, payload in stored if type == "recurring_payment.created.v1")
    log = "main"
    banks = internal_account(log, "banks", "CZK")
    assert (first["payer"], first["payee"], second["payer"]) == (account_id(log, one), banks, account_id(log, two))
    assert (first["amount"], first["currency"], first["reference"]) == (245_200, "CZK", "1")
    assert (first["metadata"], second["metadata"]) == ({"k_symbol": "SIPO"}, {})
    schedule = first["schedule"]
    assert (schedule["every"], schedule["unit"], schedule["first_on"][8:]) == (1, "months", "01")
    again = imported(database18, tmp_path)
    assert again["imported"]["already"] == ACCOUNTS + len(TRANSACTIONS) + 2
    assert_sound(database18)
