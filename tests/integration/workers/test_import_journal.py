"""Books of hledger, ledger and CSV become history with the same balances, and wrong books change nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from tests.integration.workers.running import daybook, environment, held_at, started, wait_until_held
from tests.support.ledger import assert_sound
from tests.support.postgres import Database
from tests.support.text_accounting import TOOLS
from workers.importers.journal.importing import SourceFormat, read
from workers.importers.journal.mapping import Mapped, read_mapping
from workers.importers.journal.planning import Plan, plan
from workers.importers.journal.source import JournalError

JOURNAL = """\
; the books of a small shop
commodity 1,000.00 EUR

2024-01-01 * opening balances
    assets:bank           1,000.00 EUR
    assets:cash             $50.00
    liabilities:loan       -300.00 EUR
    equity:opening

2024-01-05 * (INV-1) Ada Lovelace | rent
    expenses:rent           400.00 EUR
    assets:bank

2024-01-05 (two words) cash sale
    assets:cash             $10.00
    income:sales

2024-01-06 change money
    assets:cash             $10.00 @ 0.90 EUR
    assets:bank              -9.00 EUR

2024-02-01 nothing
    assets:bank               0.00 EUR
    assets:cash              $0.00

2024-01-31 * loan
    liabilities:loan        100.00 EUR
    assets:bank            -100.00 EUR = 491.00 EUR
"""
MAPPING = '[commodities]\n"$" = "USD"\n'
CSV = """\
Statement of account,,
Date;Text;Amount;Balance;Category
03.01.2024;Salary;"1.234,50";1.334,50;
02.01.2024;Ünal & Söhne;-12,30;100,00;Food
"""
CSV_MAPPING = """\
name = "bank/2024"
[types]
"assets:bank" = "banks"
[csv]
date = "Date"
date_format = "%d.%m.%Y"
amount = "Amount"
decimal_mark = ","
delimiter = ";"
skip_lines = 1
currency = "EUR"
account = "assets:bank"
contra_column = "Category"
contra = "income:salary"
description = "Text"
balance = "Balance"
opening = "112,30"
"""


def imported(database: Database, file: Path, *options: str, found: int = 0) -> dict[str, Any]:
    """The report of an import."""
    done = daybook("import", "journal", str(file), "--json", *options, env=environment(database))
    assert done.returncode == found, done.stdout + done.stderr
    report: dict[str, Any] = orjson.loads(done.stdout)
    return report


def refused(database: Database, file: Path, *options: str) -> str:
    """The message of an import that is refused."""
    done = daybook("import", "journal", str(file), *options, env=environment(database))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def with_mapping(folder: Path, text: str = MAPPING) -> tuple[str, ...]:
    """The option with a mapping file."""
    file = folder / "mapping.toml"
    file.write_text(text)
    return "--mapping", str(file)


def balances(database: Database) -> dict[tuple[str, str], Decimal]:
    """The balances in the log by type of account and currency, debits positive, without zeros."""
    with psycopg.connect(database.url) as connection:
        rows = connection.execute(
            """
            SELECT o.payload->>'type', e.payload->>'currency',
                   sum((e.payload->>'amount')::numeric * CASE e.type WHEN 'account.debited.v1' THEN 1 ELSE -1 END) / 100
              FROM log.events_as_json e
              JOIN log.events_as_json o ON o.stream = e.stream AND o.type = 'account.opened.v1'
             WHERE e.type IN ('account.debited.v1', 'account.credited.v1') GROUP BY 1, 2"""
        ).fetchall()
    return {(type, currency): Decimal(amount) for type, currency, amount in rows if amount}


def head(database: Database) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT coalesce(max(position), 0) FROM log.logs WHERE name = 'main'").fetchone()
    assert row is not None
    return int(row[0])


EXPECTED = {
    ("banks", "EUR"): Decimal("491.00"),
    ("banks", "USD"): Decimal("70.00"),
    ("credit", "EUR"): Decimal("-200.00"),
    ("equity", "EUR"): Decimal("-691.00"),  # opening -700, conversion 9
    ("equity", "USD"): Decimal("-60.00"),  # opening -50, conversion -10
    ("fees", "EUR"): Decimal("400.00"),
    ("revenue", "USD"): Decimal("-10.00"),
}


@pytest.mark.parametrize("format", ["hledger", "ledger"])
def test_the_balances_are_those_of_the_books(database18: Database, format: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.journal"
    text = JOURNAL.replace("commodity 1,000.00 EUR\n", "") if format == "ledger" else JOURNAL
    file.write_text(text)
    options = ("--format", format, *with_mapping(tmp_path))
    report = imported(database18, file, *options)
    assert report["imported"]["refused"] == {}
    assert (report["imported"]["accounts"], report["imported"]["transactions"]) == (9, 5)
    assert report["imported"]["without_amount"] == ["journal:shop:5"]
    assert report["reconciliation"]["ok"] is True
    assert report["reconciliation"]["account_days"] == report["reconciliation"]["exact"] == 15
    assert balances(database18) == EXPECTED
    with psycopg.connect(database18.url) as connection:
        posted = connection.execute(
            "SELECT payload->>'value_date', payload->>'reference', payload->>'kind', payload->>'description' IS NULL"
            " FROM log.events_as_json WHERE type = 'transaction.posted.v1' ORDER BY position"
        ).fetchall()
        opened = connection.execute(
            "SELECT DISTINCT payload->>'owner' FROM log.events_as_json"
            " WHERE type = 'account.opened.v1' AND payload->>'type' = 'credit'"
        ).fetchall()
    assert posted == [
        ("2024-01-01", None, "journal", False),
        ("2024-01-05", "INV-1", "journal", False),
        ("2024-01-05", None, "journal", False),
        ("2024-01-06", None, "journal", False),
        ("2024-01-31", None, "journal", False),
    ]
    assert opened == [("journal",)]
    assert_sound(database18)

    before = head(database18)
    again = imported(database18, file, *options)
    assert again["imported"]["already"] == 9 + 5
    assert again["reconciliation"] == report["reconciliation"]
    assert head(database18) == before

    file.write_text(f"{text}\n2023-12-31 later written, earlier in time\n  liabilities:loan  1 EUR\n  equity:opening\n")
    assert "before account" in refused(database18, file, *options), "accounts were opened with the first transaction"
    file.write_text(f"{text}\n2024-03-01 more\n  assets:bank  1 EUR\n  equity:opening\n")
    more = imported(database18, file, *options)
    assert more["imported"]["already"] == 9 + 5
    assert balances(database18)["banks", "EUR"] == Decimal("492.00")
    back = tmp_path / "back"
    done = daybook("export", "journal", "--format", format, "--output", str(back), env=environment(database18))
    assert done.returncode == 0, done.stderr
    sums: dict[str, Decimal] = {}
    for (account, currency), amount in TOOLS[format](back).items():
        if account.startswith("Assets:Banks:") and currency == "EUR":
            sums[currency] = amount
    assert sums == {"EUR": Decimal("492.00")}


ROWS = 300


def test_an_import_that_was_killed_goes_on(database18: Database, tmp_path: Path) -> None:
    file = tmp_path / "long.journal"
    rows = (f"2024-01-01 row {n}\n  assets:bank  {n}.00 EUR\n  income:x\n\n" for n in range(1, ROWS + 1))
    file.write_text("".join(rows))
    slowly = environment(database18, DAYBOOK_GROUP_LIMIT="8")
    with held_at(database18, ROWS) as is_held, started("import", "journal", str(file), env=slowly) as process:
        wait_until_held(process, is_held)
        process.kill()
        process.wait()
    assert ROWS // 2 < head(database18) < 3 * ROWS
    report = imported(database18, file)
    assert report["imported"]["already"] > ROWS // 4
    assert report["reconciliation"]["ok"] is True
    assert balances(database18) == {
        ("banks", "EUR"): Decimal(sum(range(ROWS + 1))),
        ("revenue", "EUR"): -Decimal(sum(range(ROWS + 1))),
    }
    assert_sound(database18)


WRONG = {
    "does not balance": ("2024-01-01 x\n  assets:a  1.00 EUR\n  assets:b  -2.00 EUR\n", "could not balance"),
    "no price": (
        "\n2024-01-01 x\n  assets:a  1.00 EUR\n  assets:b  -2.00 USD\n",
        "books.journal:2: the postings sum to 1.00 EUR and -2.00 USD, and none has a price",
    ),
    "unknown commodity": (
        "2024-01-01 x\n  assets:a  1 AAPL\n  assets:b\n\n2024-01-02 y\n  assets:a  1.00 XYZ\n  assets:b\n",
        "books.journal:1: the commodity 'AAPL' is no currency: name its ISO 4217 code in [commodities] "
        "books.journal:5: the commodity 'XYZ' is no currency",
    ),
    "decimals": (
        "2024-01-01 x\n  assets:a  1.5 JPY\n  assets:b\n",
        "books.journal:1: 1.5 JPY has more decimals than the currency, 0",
    ),
    "too large": ("2024-01-01 x\n  assets:a  10000000000000.00 EUR\n  assets:b\n", "is over the largest amount"),
    "unknown root": (
        "2024-01-01 x\n  wallet  1.00 EUR\n  assets:b\n",
        "books.journal:1: nothing says what wallet is: name its type, or its account, in the mapping",
    ),
    "virtual": (
        "2024-01-01 x\n  assets:a  1.00 EUR\n  assets:b\n  (budget)  3 EUR\n",
        "books.journal:1: the posting to budget is virtual, and a ledger has none: leave them out with --real",
    ),
    "date": ("2024-13-01 x\n  assets:a  1.00 EUR\n  assets:b\n", "invalid date"),
    "own date": (
        "2024-01-01 x\n  assets:a  1.00 EUR  ; date:2024-01-02\n  assets:b\n",
        "books.journal:1: the posting to assets:a has a date of its own",
    ),
    "assertion": ("2024-01-01 x\n  assets:a  1.00 EUR = 3.00 EUR\n  assets:b\n", "balance assertion"),
    "long text": (f"2024-01-01 {'x' * 501}\n  assets:a  1.00 EUR\n  assets:b\n", "has 501 characters; the most is 500"),
}


@pytest.fixture(scope="module")
def untouched(postgres18: Any) -> Any:
    """A migrated database into which nothing is ever imported."""
    with postgres18.database() as database:
        assert daybook("migrate", env=environment(database)).returncode == 0
        yield database


def test_files_that_continue_share_their_accounts(database18: Database, tmp_path: Path) -> None:
    file, later = tmp_path / "bank.csv", tmp_path / "later.csv"
    file.write_text(CSV, encoding="utf-8")
    types = 'books = "company"\n' + CSV_MAPPING.replace("[types]", '[types]\n"Food" = "fees"')
    imported(database18, file, "--format", "csv", *with_mapping(tmp_path, types))
    rows = '04.01.2024;More food;-1,00;"1.333,50";Food\n'
    later.write_text("\n".join(CSV.splitlines()[:2]) + "\n" + rows, encoding="utf-8")
    text = types.replace('opening = "112,30"\n', "")
    unclear = refused(database18, later, "--format", "csv", *with_mapping(tmp_path, text), "--name", "later")
    assert "set csv.opening, or `continues` if earlier files were imported" in unclear
    mapping = with_mapping(tmp_path, f"continues = true\n{text}")
    report = imported(database18, later, "--format", "csv", *mapping, "--name", "later")
    assert report["imported"]["already"] == 2, "both accounts were there"
    assert report["reconciliation"]["ok"] is True
    assert balances(database18)["banks", "EUR"] == Decimal("1333.50")
    later.write_text(later.read_text(encoding="utf-8").replace("1.333,50", "1.334,50"), encoding="utf-8")
    report = imported(database18, later, "--format", "csv", *mapping, "--name", "later", found=1)
    assert [(d["ours"], d["books"]) for d in report["reconciliation"]["differences"]] == [("1333.50", "1334.50")]


def planned(file: Path, format: SourceFormat, mapped: Mapped) -> Plan:
    """The plan of an import into a log without accounts."""
    return plan("main", "books", mapped, {}, read(file, format, mapped, real=False))


@pytest.mark.parametrize("case", WRONG)
def test_wrong_books_are_named_with_their_lines(case: str, tmp_path: Path) -> None:
    text, sentence = WRONG[case]
    file = tmp_path / "books.journal"
    file.write_text(f"{text}\n2023-01-01 good\n  assets:a  1.00 EUR\n  assets:b\n")
    with pytest.raises(JournalError) as wrong:
        planned(file, "hledger", Mapped())
    assert sentence in " ".join(str(wrong.value).split())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        WRONG["does not balance"],
        WRONG["unknown commodity"],
        (
            "9999-01-01 x\n  assets:a  1.00 EUR\n  assets:b\n",
            "books.journal:1: The value date 9999-01-01 is after today",
        ),
    ],
)
def test_wrong_books_change_nothing(untouched: Database, text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "books.journal"
    file.write_text(f"{text}\n2023-01-01 good\n  assets:a  1.00 EUR\n  assets:b\n")
    before = head(untouched)
    assert sentence in refused(untouched, file)
    assert head(untouched) == before


def test_what_a_rule_refuses_is_found_before_anything_is_posted(database18: Database, tmp_path: Path) -> None:
    file = tmp_path / "books.journal"
    good = "2024-01-01 good\n  liabilities:a  1.00 EUR\n  assets:b\n\n"
    file.write_text(good)
    imported(database18, file)
    with psycopg.connect(database18.url) as connection:
        rows = connection.execute("SELECT stream FROM log.events WHERE type = 'account.opened.v1' ORDER BY position")
        account = rows.fetchall()[0][0]
    mapping = with_mapping(tmp_path, f'[accounts]\n"liabilities:old" = "{account}"\n')
    other = tmp_path / "other.journal"
    other.write_text(good + "2023-01-01 too early\n  liabilities:old  1.00 EUR\n  assets:b\n")
    before = head(database18)
    message = refused(database18, other, *mapping)
    assert f"other.journal:5: The value date 2023-01-01 is before account {account} was opened" in message
    assert head(database18) == before
    missing = with_mapping(tmp_path, '[accounts]\n"liabilities:old" = "acct_none"\n')
    assert "accounts.'liabilities:old': there is no account acct_none" in refused(database18, other, *missing)
    changed = good.replace("1.00", "2.00")
    file.write_text(changed)
    assert "journal:books:1 was imported before with other content" in refused(database18, file)
    assert head(database18) == before
    file.write_text("2024-01-01 in a node\n  assets:n  1.00 EUR\n  assets:b\n")
    nodes = with_mapping(tmp_path, '[nodes]\nassets = "1000"\n')
    assert "account assets:n EUR: there is no node 1000" in refused(database18, file, "--name", "n", *nodes)
    assert head(database18) == before


def test_entries_that_the_file_does_not_have_are_reported(database18: Database, tmp_path: Path) -> None:
    first, second = tmp_path / "first.journal", tmp_path / "second.journal"
    first.write_text("2024-01-02 a\n  assets:a  1.00 EUR\n  assets:b\n")
    imported(database18, first)
    with psycopg.connect(database18.url) as connection:
        rows = connection.execute("SELECT stream FROM log.events WHERE type = 'account.opened.v1' ORDER BY position")
        a, b = (stream for (stream,) in rows)
    mapping = with_mapping(tmp_path, f'[accounts]\n"assets:a" = "{a}"\n"assets:b" = ["{b}"]\n')
    second.write_text("2024-01-03 a\n  assets:a  5.00 EUR\n  assets:b\n")
    report = imported(database18, second, *mapping, found=1)["reconciliation"]
    assert (report["ok"], report["exact"], report["otherwise"]) == (False, 0, 2)
    assert [(d["account"], d["ours"], d["books"]) for d in report["differences"]] == [
        ("assets:a", "6.00", "5.00"),
        ("assets:b", "-6.00", "-5.00"),
    ]
    again = imported(database18, first, found=1)["reconciliation"]
    assert [(left["account"], left["amount"]) for left in again["leftovers"]] == [
        ("assets:a", "5.00"),
        ("assets:b", "-5.00"),
    ]


def test_a_csv_file_with_balances_and_an_opening(database18: Database, tmp_path: Path) -> None:
    file = tmp_path / "bank.csv"
    file.write_text(CSV, encoding="utf-8")
    mapping = with_mapping(tmp_path, CSV_MAPPING + '[owners]\n"Food" = "x"\n[types2]\n')
    assert "mapping.toml: the file: Object contains unknown field `types2`" in refused(
        database18, file, "--format", "csv", *mapping
    )
    mapping = with_mapping(tmp_path, CSV_MAPPING.replace("[types]", '[types]\n"Food" = "fees"'))
    assert daybook("migrate", env=environment(database18)).returncode == 0
    before = head(database18)
    checked = imported(database18, file, "--format", "csv", "--check", *mapping)
    assert (checked["name"], checked["transactions"], head(database18)) == ("bank/2024", 3, before)
    report = imported(database18, file, "--format", "csv", *mapping)
    assert report["reconciliation"]["ok"] is True
    assert balances(database18) == {
        ("banks", "EUR"): Decimal("1334.50"),
        ("equity", "EUR"): Decimal("-112.30"),
        ("fees", "EUR"): Decimal("12.30"),
        ("revenue", "EUR"): Decimal("-1234.50"),
    }
    newer = CSV.replace("03.01.2024;Sal", '04.01.2024;More;1,00;"1.335,50";\n03.01.2024;Sal')
    file.write_text(newer, encoding="utf-8")
    assert imported(database18, file, "--format", "csv", *mapping)["imported"]["already"] == 4 + 3
    assert balances(database18)["banks", "EUR"] == Decimal("1335.50")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("02.01.2024", "2024-01-02", "bank.csv:4: Date is '2024-01-02', not a date as %d.%m.%Y"),
        ("-12,30;", "-12.30;", "bank.csv:4: Amount is '-12.30', and the decimal mark is ','"),
        ("-12,30;", "twelve;", "bank.csv:4: Amount is 'twelve', not an amount with the decimal mark ','"),
        (
            "-12,30;",
            "-12,31;",
            "the balance before it is 112.31, and that of the mapping is 112.30: set csv.opening",
        ),
        ("100,00;Food", "100,00;Food;", "bank.csv:4: 6 columns, and the header has 5"),
        ("Balance;", "Saldo;", "bank.csv:2: no column Balance"),
        (";Category", ";Amount", "bank.csv:2: no column Category"),
        ('"1.234,50"', "1,00", "bank.csv:3: the balance 1334.50 does not follow from 100.00 and the amount 1.00"),
    ],
)
def test_wrong_rows_of_a_csv_file(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "bank.csv"
    assert old in CSV
    file.write_text(CSV.replace(old, new), encoding="utf-8")
    _, mapping = with_mapping(tmp_path, CSV_MAPPING.replace("[types]", '[types]\n"Food" = "fees"'))
    with pytest.raises(JournalError) as wrong:
        planned(file, "csv", read_mapping(Path(mapping)))
    assert sentence in str(wrong.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"banks"', '"bonks"', "mapping.toml: types[...]: Invalid enum value 'bonks'"),
        ('amount = "Amount"', "", "mapping.toml: csv.amount: name the column of the amount"),
        ('currency = "EUR"', "", "mapping.toml: csv.currency: give it, or name its column as `currency_column`"),
        ('delimiter = ";"', 'delimiter = ";;"', "csv.delimiter: ';;' is not one character"),
        ("skip_lines = 1", 'skip_lines = "1"', "csv.skip_lines: Expected `int`, got `str`"),
        ("[types]", "[types", "mapping.toml is no TOML file"),
        ("[types]", 'owner = "two words"\n[types]', "mapping.toml: owner: 'two words' is not a code"),
    ],
)
def test_a_wrong_mapping_names_the_field(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    assert old in CSV_MAPPING
    _, mapping = with_mapping(tmp_path, CSV_MAPPING.replace(old, new))
    with pytest.raises(JournalError) as wrong:
        read_mapping(Path(mapping))
    assert sentence in str(wrong.value)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "books.journal"
    file.touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    tools: tuple[SourceFormat, ...] = ("hledger", "ledger")
    for tool in tools:
        with pytest.raises(JournalError, match=rf"{tool} is not installed.*apt-get install {tool}"):
            planned(file, tool, Mapped())
