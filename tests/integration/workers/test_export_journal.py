"""Journals of a random history: hledger, ledger and beancount accept them and compute the ledger's balances."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import orjson
import psycopg
import pytest

from domain.accounts.account.events import AccountAttached
from domain.accounts.chart.events import NodeAdded
from domain.accounts.numbers import AccountType, CustomerType, InternalRole, PairRole, account_number
from domain.accounts.posting import Entry
from domain.accounts.transaction import Transfer
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, a_life, posting, projector, transfer
from tests.integration.workers.running import daybook, environment
from tests.support.ledger import TODAY, ledger_on, new_id
from tests.support.postgres import Database, Server
from tests.support.text_accounting import TOOLS, Balances, program, run
from workers.exporters.journal.names import TYPE_OF, by_type

DAYS = tuple(date(2024, 3, day) for day in (1, 15, 31))


@dataclass(frozen=True)
class Books:
    """A database with a history, in which tests read only, and a position in the middle of it."""

    database: Database
    middle: int
    head: int
    dinars: tuple[str, str]  # two accounts in a currency with three decimals, the second one at node 2110

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.url) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()


@pytest.fixture(scope="module")
def books(postgres18: Server) -> Iterator[Books]:
    with postgres18.database() as database:
        filler = Filler(database)
        filler.write(*a_life(filler, seed=3, units=500))
        types: tuple[AccountType, ...] = ("banks", "savings")
        dinars = [filler.opening(type=type, currency="KWD") for type in types]
        filler.write(*([one] for one in dinars))
        bank, savings = (one.originator_id for one in dinars)
        nodes = (("2000", None), ("cust.omers", "2000"), ("2110", "cust.omers"))
        added = [NodeAdded("chart", 1, code, code, "liability", "credit", parent, None) for code, parent in nodes]
        filler.write(*([node] for node in added), [AccountAttached(savings, 1, "2110", None)])
        for number, day in enumerate(DAYS):
            filler.write(transfer(filler.id("txn"), bank, savings, 10_001 * (number + 1), "KWD", value_date=day))
        cash = filler.opening(type="cash", currency="KWD")
        early = transfer(filler.id("txn"), bank, cash.originator_id, 3, "KWD", value_date=date(1999, 12, 31))
        filler.write([cash], early)  # before the accounts were opened: the ledger's own take that
        middle = filler.position
        filler.write(*a_life(filler, seed=4, units=300))
        yen = [filler.opening(currency="JPY") for _ in range(2)]
        filler.write(*([one] for one in yen))
        entries = [
            Entry(yen[0].originator_id, "debit", 999, "JPY"),
            Entry(yen[1].originator_id, "credit", 1_000, "JPY"),
            Entry(yen[0].originator_id, "debit", 1, "JPY"),
            Entry(savings, "debit", 7, "KWD"),
            Entry(bank, "credit", 7, "KWD"),
        ]
        # Its value date is before others of the part above.
        filler.write(posting(filler.id("txn"), *entries, reference="both/1", value_date=DAYS[0]))
        filler.begin()
        with projector(database) as connection:
            Runner(connection, LOG, filler.codec, PROJECTIONS).run_to_head()
        filler.close()
        yield Books(database, middle, filler.position, (bank, savings))


def exported(books: Books, file: Path, *options: str) -> dict[str, Any]:
    """Export into the file. Returns the report."""
    done = daybook("export", "journal", "--output", str(file), "--json", *options, env=environment(books.database))
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = orjson.loads(done.stdout)
    return report


def balances(books: Books, where: str = "true", *parameters: Any) -> Balances:
    """The balances of the read tables, by the names of the journal."""
    rows = books.rows(
        "SELECT a.type, a.number, a.currency,"
        " sum(CASE e.side WHEN 'debit' THEN e.amount ELSE -e.amount END)"
        f" FROM reporting.entries e JOIN reporting.accounts a USING (account) WHERE {where} GROUP BY 1, 2, 3",
        *parameters,
    )
    return {(by_type(type, number), currency): amount for type, number, currency, amount in rows if amount}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_computes_the_balances_of_the_ledger(books: Books, tool: str, tmp_path: Path) -> None:
    file = tmp_path / "books"
    report = exported(books, file, "--format", tool)
    found = TOOLS[tool](file)
    assert found == balances(books)
    by_type_and_currency: dict[tuple[str, str], Decimal] = {}
    for (name, currency), amount in found.items():
        key = name.split(":")[1].lower(), currency
        by_type_and_currency[key] = by_type_and_currency.get(key, Decimal(0)) + amount
    trial_balance = books.rows("SELECT type, currency, debits - credits FROM reporting.trial_balance")
    assert by_type_and_currency == {(type, currency): sum for type, currency, sum in trial_balance if sum}
    assert {"EUR", "JPY", "KWD"} <= {currency for _, currency in found}
    assert report["position"] == books.head
    assert report["transactions"] == books.rows("SELECT count(DISTINCT transaction) FROM reporting.entries")[0][0] > 100
    assert report["postings"] == books.rows("SELECT count(*) FROM reporting.entries")[0][0]
    assert report["balances"] == books.rows("SELECT count(DISTINCT account) FROM reporting.entries")[0][0]


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_finds_a_minor_unit_that_is_missing(books: Books, tool: str, tmp_path: Path) -> None:
    """So the balances at the end of a journal are checked, to the last digit."""
    file = tmp_path / "books"
    exported(books, file, "--format", tool)
    text = file.read_text()
    changed = text.replace("-999 JPY", "-998 JPY").replace("999 JPY", "998 JPY").replace("-1000 JPY", "-999 JPY")
    assert changed != text
    dinar = text.replace("20.002 KWD", "20.003 KWD")
    assert dinar.count("20.003 KWD") == 2
    for wrong in (changed, dinar):
        file.write_text(wrong)
        checks = {
            "hledger": ("hledger", "-f", str(file), "check"),
            "ledger": ("ledger", "-f", str(file), "balance"),
            "beancount": ("bean-check", str(file)),
        }
        command, *arguments = checks[tool]
        assert run(program(command), *arguments).returncode != 0


@pytest.mark.parametrize("tool", TOOLS)
def test_parts_that_go_on_make_the_whole(books: Books, tool: str, tmp_path: Path) -> None:
    first, second, both = (tmp_path / name for name in ("first", "second", "both"))
    exported(books, first, "--format", tool, "--upto", str(books.middle), "--no-balances")
    report = exported(books, second, "--format", tool, "--after", str(books.middle))
    assert (report["after"], report["balances"]) == (books.middle, 0)
    both.write_text(first.read_text() + second.read_text())
    assert TOOLS[tool](both) == balances(books)
    report = exported(books, second, "--format", tool, "--after", str(books.middle), "--balances")
    assert report["balances"] > 0
    both.write_text(first.read_text() + second.read_text())
    assert TOOLS[tool](both) == balances(books)


@pytest.mark.parametrize("tool", TOOLS)
def test_value_dates_become_opening_balances_and_an_end(books: Books, tool: str, tmp_path: Path) -> None:
    file = tmp_path / "march"
    report = exported(books, file, "--format", tool, "--from", str(DAYS[1]), "--to", str(DAYS[1]))
    assert TOOLS[tool](file) == balances(books, "e.value_date <= %s", DAYS[1])
    assert report["opening_balances"] > 0
    assert {*re.findall(r"^(\d{4}-\d{2}-\d{2}) \*", file.read_text(), re.MULTILINE)} == {str(DAYS[1])}


@pytest.mark.parametrize("tool", TOOLS)
def test_transactions_of_one_account_or_node(books: Books, tool: str, tmp_path: Path) -> None:
    file = tmp_path / "some"
    _, savings = books.dinars
    number = books.rows("SELECT number FROM reporting.accounts WHERE account = %s", savings)[0][0]
    name = by_type("savings", number)
    expected = balances(books)[name, "KWD"]
    for option in (("--account", savings), ("--node", "2000"), ("--node", "2110")):
        report = exported(books, file, "--format", tool, *option)
        assert report["transactions"] == len(DAYS) + 1
        assert report["balances"] == 1
        found = TOOLS[tool](file)
        assert found[name, "KWD"] == expected
        assert len({account for account, _ in found}) == 4, "the other accounts of its transactions"
    exported(books, file, "--format", tool, "--names-by-chart")
    assert TOOLS[tool](file)[f"Liabilities:2000:Cust-omers:2110:{number}", "KWD"] == expected


def test_the_file_states_what_it_is_and_is_for_its_owner_only(books: Books, tmp_path: Path) -> None:
    file = tmp_path / "books"
    exported(books, file)
    uuid = books.rows("SELECT uuid FROM log.logs WHERE name = 'main'")[0][0]
    lines = file.read_text().splitlines()
    assert lines[:3] == [f"; Daybook: log main, {uuid}", "; epoch: 1", f"; position: {books.head}"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["books"]
    printed = daybook("export", "journal", env=environment(books.database))
    assert printed.stdout == file.read_text()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--account", "acct_none"), "there is no account acct_none"),
        (("--node", "9999"), "the chart of accounts has no node 9999 at position"),
        (("--upto", "99999999"), "is after the head of the log"),
        (("--after", "1", "--from", "2024-01-01"), "a part goes on after a position, or it begins at a value date"),
        (("--after", "{head}", "--upto", "{middle}"), "the part would begin after position"),
        (("--upto", "{within}"), "is within what was written at once"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence_and_no_file(
    books: Books, options: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    given = {"head": books.head, "middle": books.middle, "within": books.head - 1}
    file = tmp_path / "books"
    arguments = [option.format(**given) for option in options]
    done = daybook("export", "journal", "--output", str(file), *arguments, env=environment(books.database))
    assert done.returncode == 3
    assert sentence in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_texts_of_people_are_written_only_if_they_are_asked_for(database18: Database, tmp_path: Path) -> None:
    with ledger_on(database18) as ledger:
        ada = ledger.account(10_000, name='Ada "Countess" Lovelace; \\ née Byron')
        bob = ledger.account(name="Bob")
        text = '* (x) For "Bob";\n  not\t| a\\comment'
        ledger.accepted(Transfer(new_id("txn"), ada, bob, 250, "EUR", TODAY, "ref-1", text))
    files = {}
    for tool in TOOLS:
        file = tmp_path / tool
        plain = daybook("export", "journal", "--format", tool, "--output", str(file), env=environment(database18))
        assert plain.returncode == 0, plain.stderr
        assert not re.search("Ada|Bob|comment", file.read_text())
        done = daybook(
            "export", "journal", "--format", tool, "--output", str(file), "--personal", env=environment(database18)
        )
        assert done.returncode == 0, done.stderr
        assert "export journal --personal" in done.stderr
        assert all(word in file.read_text() for word in ("Countess", "Bob", "comment"))
        files[tool] = TOOLS[tool](file)
    assert files["hledger"] == files["ledger"] == files["beancount"]


def test_each_type_of_account_has_a_root() -> None:
    assert set(TYPE_OF) == {*get_args(CustomerType), *get_args(InternalRole), *get_args(PairRole)}
    assert by_type("checking", account_number("checking", 42)) == "Liabilities:Checking:CHK000000004243"
