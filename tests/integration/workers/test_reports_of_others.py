"""What users of hledger, ledger, beancount and Firefly III reported of imports and exports. Each test names its report.

The numbers are of issues and pull requests of these projects on GitHub.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.projections.filling import Filler, a_life, transfer
from tests.integration.workers.running import daybook, environment
from tests.integration.workers.test_import_journal import balances, head, imported, refused, with_mapping
from tests.support.ledger import TODAY, ledger_on
from tests.support.postgres import Database, Server
from tests.support.text_accounting import TOOLS, program, run
from workers.importers.journal.csv_file import read_csv
from workers.importers.journal.mapping import Csv, Mapped, read_mapping
from workers.importers.journal.planning import Planned, plan
from workers.importers.journal.reconciling import compare
from workers.importers.journal.source import JournalError, Source
from workers.importers.journal.tools import read_hledger, read_ledger

BANK = "assets:bank"
MAPPING = f"""\
name = "bank"
books = "company"
[csv]
date = "Date"
amount = "Amount"
currency = "EUR"
account = "{BANK}"
contra = "income:unknown"
"""


def rows(folder: Path, text: str | bytes, **columns: Any) -> list[tuple[str, str]]:
    """Day and amount of each row of a CSV file, in the order of the import."""
    file = folder / "bank.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    given = {"date": "Date", "currency": "EUR", "account": BANK, "contra": "income:unknown", **columns}
    found = read_csv(file, Csv(**given), continues=False).transactions
    return [(str(one.day), str(one.postings[0].amount)) for one in found]


# What a bank writes


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig"])
def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_its_first_column(encoding: str, tmp_path: Path) -> None:
    """hledger, issue 2189: a byte order mark was read as a part of the first field.

    Here it made the first column unknown: "no column Date".
    """
    text = "\ufeffDate,Amount\n2024-01-02,1.00\n".encode()
    assert rows(tmp_path, text, amount="Amount", encoding=encoding) == [("2024-01-02", "1.00")]


TWO_COLUMNS = "Date,In,Out\n2024-01-02,,{}\n2024-01-03,20.00,\n2024-01-04,,{}\n"


def test_an_amount_in_the_column_of_the_other_sign_is_not_turned_around(tmp_path: Path) -> None:
    """ledger, pull request 2853 (issue 2295): a debit with a minus was negated again, and became a credit.

    hledger, issue 123: the bank's outgoing amounts have a minus. Firefly III, issue 1650: a refund with a minus in the
    column of debits was one more debit. Here it was too, because the sign was dropped. Issue 1474: an amount with two
    minus signs was 0.00.
    """
    columns = {"incoming": "In", "outgoing": "Out"}

    def amounts(first: str, second: str, **more: Any) -> list[str]:
        return [amount for _, amount in rows(tmp_path, TWO_COLUMNS.format(first, second), **columns, **more)]

    assert amounts("5.00", "5.00") == ["-5.00", "20.00", "-5.00"]
    assert amounts("-5.00", "-5.00", minus="outgoing") == ["-5.00", "20.00", "-5.00"]
    assert amounts("5.00", "-5.00", minus="return") == ["-5.00", "20.00", "5.00"]
    assert amounts("-5.00", "5.00", minus="outgoing") == ["-5.00", "20.00", "5.00"]
    with pytest.raises(JournalError, match=r"bank.csv:4: Out is '-5.00': set csv.minus to 'outgoing'"):
        amounts("5.00", "-5.00")
    with pytest.raises(JournalError, match=r"bank.csv:3: In is '-20.00'"):
        rows(tmp_path, TWO_COLUMNS.replace("20.00", "-20.00").format("1.00", "1.00"), **columns)
    with pytest.raises(JournalError, match=r"bank.csv:2: Amount is '--21.78', not an amount"):
        rows(tmp_path, "Date,Amount\n2017-10-12,--21.78\n", amount="Amount")
    _, mapping = with_mapping(tmp_path, MAPPING + 'minus = "return"\n')
    with pytest.raises(JournalError, match=r"csv.minus: it is about `incoming` and `outgoing`"):
        read_mapping(Path(mapping))


def test_the_rows_of_one_day_are_in_their_order_where_the_newest_is_first(tmp_path: Path) -> None:
    """beancount, issue 571: transactions of one day were in the wrong order, because the newest row was the first.

    A file of one day says nothing about its order unless it has balances. Then the mapping can say it.
    """
    one_day = "Date,Amount\n2020-09-30,5.00\n2020-09-30,-5.00\n"
    two_days = one_day.replace("\n", "\n2020-10-19,1.00\n", 1)
    earlier = [("2020-09-30", "-5.00"), ("2020-09-30", "5.00")]
    assert rows(tmp_path, two_days, amount="Amount") == [*earlier, ("2020-10-19", "1.00")]
    assert rows(tmp_path, one_day, amount="Amount") == earlier[::-1]
    assert rows(tmp_path, one_day, amount="Amount", newest_first=True) == earlier
    with_balances = "Date,Amount,Balance\n2020-09-30,5.00,1.00\n2020-09-30,-4.00,-4.00\n"
    columns = {"amount": "Amount", "balance": "Balance"}
    for newest_first in (None, True):
        in_order = rows(tmp_path, with_balances, **columns, newest_first=newest_first)
        assert in_order == [("2020-09-30", "-4.00"), ("2020-09-30", "5.00")]
    with pytest.raises(JournalError, match=r"the balance -4.00 does not follow from 1.00"):
        rows(tmp_path, with_balances, **columns, newest_first=False)


# What was imported before


def test_rows_that_are_equal_are_each_imported_once(database18: Database, tmp_path: Path) -> None:
    """Firefly III, issues 1556, 2611 and 2952: the second of two equal rows was left out as a duplicate.

    Issue 3235: and the same file could be imported twice.
    """
    file, mapping = tmp_path / "bank.csv", with_mapping(tmp_path, MAPPING)
    file.write_text("Date,Amount\n2019-01-01,-10.00\n2019-01-01,-10.00\n")
    for already in (0, 2 + 2):  # both accounts and both rows
        report = imported(database18, file, "--format", "csv", *mapping)
        assert (report["imported"]["transactions"], report["imported"]["already"]) == (2, already)
        assert balances(database18)["banks", "EUR"] == Decimal("-20.00")


def test_a_file_that_begins_with_rows_of_an_earlier_one_is_refused(database18: Database, tmp_path: Path) -> None:
    """Firefly III, issue 2358: a file that overlapped the one before was imported, and some of its rows doubled.

    Here it was posted too, and only the comparison at the end told that it should not have been.
    """
    first, second = tmp_path / "january.csv", tmp_path / "february.csv"
    text = MAPPING + 'balance = "Balance"\n'
    head_row, *lines = (
        "Date,Amount,Balance",
        "2024-01-30,10.00,10.00",
        "2024-01-31,5.00,15.00",
        "2024-01-31,1.00,16.00",
        "2024-02-01,-6.00,10.00",
    )
    first.write_text("\n".join([head_row, *lines[:2]]) + "\n")
    imported(database18, first, "--format", "csv", *with_mapping(tmp_path, text))
    options = ("--format", "csv", "--name", "february", *with_mapping(tmp_path, "continues = true\n" + text))
    before = head(database18)
    for wrong, states, ours in ((lines[1:], "10.00", "15.00"), (lines[3:], "16.00", "15.00")):
        second.write_text("\n".join([head_row, *wrong]) + "\n")
        for check in ((), ("--check",)):
            said = refused(database18, second, *options, *check)
            assert f"{BANK}: the file begins at {states} EUR on" in said
            assert f"and the ledger is at {ours}" in said
    assert head(database18) == before
    second.write_text("\n".join([head_row, *lines[2:3]]) + "\n")  # it goes on within the day
    assert imported(database18, second, *options)["reconciliation"]["ok"] is True
    second.write_text("\n".join([head_row, *lines[2:]]) + "\n")  # the same file, with a row more
    report = imported(database18, second, *options)
    assert (report["imported"]["already"], report["reconciliation"]["ok"]) == (2 + 1, True)
    assert balances(database18)["banks", "EUR"] == Decimal("10.00")


def test_what_an_earlier_file_has_of_the_same_day_is_no_difference() -> None:
    """Firefly III, issues 9285 and 11296: what had been reconciled of a day counted as a difference of the next time.

    Here it did on the other side of the account: only the account itself has a column of balances.
    """
    day, next_day = date(2024, 3, 31), date(2024, 4, 1)
    bank = Planned("acct_bank", BANK, "EUR", day, None, None, None, start=-250, days={day: -2_000, next_day: -1})
    other = Planned("acct_other", "income:x", "EUR", day, None, None, None, days={day: 2_000, next_day: 1})
    moved = {"acct_bank": {day: -2_250, next_day: -1}, "acct_other": {day: 2_250, next_day: 1}}
    report = compare([bank, other], moved, continues=True)
    assert (report.ok, report.account_days, report.exact) == (True, 4, 4)
    moved["acct_other"][next_day] += 5
    assert [(one.account, one.day) for one in compare([bank, other], moved, continues=True).differences] == [
        ("income:x", next_day)
    ]
    moved["acct_bank"][day] += 5
    assert compare([bank, other], moved, continues=True).otherwise == 3, "its balance is stated"
    assert compare([other], {"acct_other": {day: 2_250}}).otherwise == 2, "a file that does not continue has all"


def test_a_row_that_was_inserted_before_others_doubles_none(database18: Database, tmp_path: Path) -> None:
    """hledger, issue 1960: the bank inserted a row before older ones, and the import took one twice and one not at all.

    Issue 1837: rows of the last day were left out.
    """
    file, mapping = tmp_path / "bank.csv", with_mapping(tmp_path, MAPPING)
    old = ["2022-12-01,-25.24", "2022-11-30,-12.07", "2022-11-30,-17.76"]
    file.write_text("\n".join(["Date,Amount", *old]) + "\n")
    imported(database18, file, "--format", "csv", *mapping)
    before = head(database18)
    new = ["2022-12-03,-50.58", old[0], "2022-12-01,-36.00", *old[1:]]
    file.write_text("\n".join(["Date,Amount", *new]) + "\n")
    said = refused(database18, file, "--format", "csv", *mapping)
    assert "journal:bank:3 was imported before with other content" in said
    assert head(database18) == before
    file.write_text(
        "\n".join(["Date,Amount", new[0], "2022-12-01,-36.00", *old]) + "\n"
    )  # the new rows moved to the top
    assert imported(database18, file, "--format", "csv", *mapping)["reconciliation"]["ok"] is True
    assert balances(database18)["banks", "EUR"] == Decimal("-141.65")


# What the tools infer


def test_an_inferred_amount_with_more_decimals_than_the_currency_is_named(tmp_path: Path) -> None:
    """hledger, issue 737: an amount that was left out got seven decimals from a price, against the declared format."""
    file = tmp_path / "books.journal"
    text = "2017-05-16 fund\n    assets:usd    57.07 USD @ 80.5898850 BRL\n    assets:bank{}\n"
    file.write_text("commodity 1000.00 BRL\n\n" + text.format(""))
    with pytest.raises(JournalError, match="more decimals") as wrong:
        plan("main", "books", Mapped(), {}, _hledger(file))
    assert str(wrong.value) == "books.journal:3: -4599.26473695 BRL has more decimals than the currency, 2"
    file.write_text("commodity 1000.00 BRL\n\n" + text.format("    -4599.26 BRL"))
    [(_, command)] = plan("main", "books", Mapped(), {}, _hledger(file)).transactions
    assert [(entry.side, entry.amount, entry.currency) for entry in command.entries] == [
        ("debit", 5707, "USD"),
        ("credit", 459926, "BRL"),
        ("credit", 5707, "USD"),
        ("debit", 459926, "BRL"),
    ]


@pytest.mark.parametrize("read", [read_hledger, read_ledger])
def test_a_price_is_only_what_stands_behind_an_amount(read: Any, tmp_path: Path) -> None:
    """hledger, issue 758 and pull request 1544: a wrong currency was taken for a conversion, with an inferred price.

    Here an account with `@` in its name was taken for a price. An end of a line that only some programs know moved the
    lines that were looked at, and a journal of ledger could not be read at all.
    """
    file = tmp_path / "books.journal"

    def entries(header: str, first: str) -> int:
        text = (
            f"; a\u2028b\n; c\u0085d\n2024-01-01 {header}\n    {first}\n    assets:bank  -9.00 EUR\n\n; x @ y {{z}}\n"
        )
        file.write_text(text)
        [(_, command)] = plan("main", "books", Mapped(), {}, Source(read(file, real=False))).transactions
        return len(command.entries)

    for priced in ("assets:usd  10 USD @ 0.90 EUR", "assets:joe@x  10 USD @@ 9 EUR", "assets:usd  10 USD {0.90 EUR}"):
        assert entries("dollars", priced) == 4
    for header, unpriced in (
        ("joe", "assets:joe@x  10 USD"),
        ("joe", "assets:joe {a}  10 USD"),
        ("joe@x {y}", "assets:usd  10 USD"),
        ("joe\u2028  @", "assets:usd  10 USD"),
        ("joe", "assets:usd  10 USD  ; @ 0.90 EUR"),
    ):
        with pytest.raises(JournalError, match=r"books.journal:3: the postings sum to -9.00 EUR and 10.00 USD"):
            entries(header, unpriced)


def _hledger(file: Path) -> Source:
    return Source(read_hledger(file, real=False))


# What an export says


def test_the_name_of_an_account_does_not_change_what_the_account_is(database18: Database, tmp_path: Path) -> None:
    """hledger, pull request 948: tags in comments are types of accounts. hledger_site, issue 20: a wrong one fails.

    Here the name of a customer's account was such a comment. One was enough to make the whole journal unreadable, or to
    make a liability an asset.
    """
    names = ("Lovelace, type:Expenses", "Ada, type:A; x", "a:b,c:d")
    with ledger_on(database18) as ledger:
        for name in names:
            ledger.account(10_000, name=name)
    for tool, computed in TOOLS.items():
        file = tmp_path / tool
        options = ("--format", tool, "--output", str(file), "--personal")
        done = daybook("export", "journal", *options, env=environment(database18))
        assert done.returncode == 0, done.stderr
        found = computed(file)
        assert sum(amount for (account, _), amount in found.items() if account.startswith("Liabilities")) == -300
    journal = tmp_path / "hledger"
    sheet = run(program("hledger"), "-f", journal, "balancesheet", "-O", "csv", "--layout=bare")
    assert sheet.returncode == 0, sheet.stderr
    assets, _, liabilities = sheet.stdout.partition("Liabilities")
    assert "CHK" not in assets
    assert liabilities.count("CHK") == 3, sheet.stdout
    tags = run(program("hledger"), "-f", journal, "tags")
    assert set(tags.stdout.split()) <= {"name", "transaction", "position", "kind"}
    assert "; name: Lovelace; type-Expenses" in journal.read_text()


@pytest.mark.parametrize("tool", ["hledger", "ledger"])
def test_an_exported_journal_can_be_imported(postgres18: Server, tool: str, tmp_path: Path) -> None:
    """hledger, issue 1147, and ledger, issue 530: journals that another program had exported were refused.

    The first one had amounts with more decimals than their currency, and seemed not to balance.
    """
    file, again = tmp_path / "books.journal", tmp_path / "again.journal"
    with postgres18.database() as database:
        filler = Filler(database)
        filler.write(*a_life(filler, seed=7, units=200))
        for currency in ("JPY", "KWD"):
            one, two = (filler.opening(currency=currency) for _ in range(2))
            filler.write([one], [two])
            filler.write(
                transfer(filler.id("txn"), one.originator_id, two.originator_id, 1_001, currency, value_date=TODAY)
            )
        filler.close()
        exported(database, file, tool)
    before = TOOLS[tool](file)
    assert {"EUR", "JPY", "KWD"} <= {currency for _, currency in before}
    with postgres18.database() as other:
        report = imported(other, file, "--format", tool)
        assert report["reconciliation"]["ok"] is True
        assert report["imported"]["refused"] == {}
        exported(other, again, tool)
        after = TOOLS[tool](again)
    for currency in ("EUR", "JPY", "KWD"):
        amounts = [sorted(amount for (_, of), amount in one.items() if of == currency) for one in (before, after)]
        assert amounts[0] == amounts[1] != []


def exported(database: Database, file: Path, tool: str) -> None:
    """Export the journal into the file."""
    options = ("--format", tool, "--output", str(file))
    done = daybook("export", "journal", *options, env=environment(database))
    assert done.returncode == 0, done.stderr
