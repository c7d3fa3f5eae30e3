"""Damaged files of the bank give rows or one message, and nothing is imported partly."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from eventstore.postgres.connect import connect
from tests.integration.workers.running import CZECH_BANK, daybook, environment, settings_of
from tests.support.ledger import assert_sound
from tests.support.postgres import Database, Server
from workers.clock_and_ids import now
from workers.composition import WriteSide, write_side
from workers.importers import executing
from workers.importers.czech_bank import importing
from workers.importers.czech_bank.importing import import_folder
from workers.importers.czech_bank.reconciling import reconcile
from workers.importers.czech_bank.source import (
    CURRENCY,
    SourceAccount,
    SourceError,
    SourceTransaction,
    read_accounts,
    read_transactions,
)
from workers.importers.executing import Imported, ImportFailedError
from workers.internal_accounts import open_internal_accounts

GROUP = 4
"""Rows in a group: fewer than in a file, so that an error comes after imported groups."""
ACCOUNTS, DISPOSITIONS, TRANSACTIONS = "account.asc", "disp.asc", "trans-1993.asc"
_banks = count(1)


def sound(bank: int) -> dict[str, bytes]:
    """The files of a small bank with separate ids."""
    first = bank * 1_000
    accounts = [f'{first + n};1;"POPLATEK MESICNE";93010{n}' for n in range(1, 4)]
    dispositions = [f'{first + n};{first + n};{first + n};"OWNER"' for n in range(1, 4)]
    transactions = [
        f'{first + n};{first + 1 + n % 3};9302{n:02};"{kind}";"{operation}";{100 + n}.00;1000.00;"";;'
        for n in range(1, 12)
        for kind, operation in [("PRIJEM", "VKLAD") if n % 2 else ("VYDAJ", "VYBER")]
    ]
    lines = {
        ACCOUNTS: ['"account_id";"district_id";"frequency";"date"', *accounts],
        DISPOSITIONS: ['"disp_id";"client_id";"account_id";"type"', *dispositions],
        TRANSACTIONS: [
            '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"',
            *transactions,
        ],
    }
    return {name: "".join(f"{line}\r\n" for line in of_file).encode() for name, of_file in lines.items()}


# ---------------------------------------------------------------------- damage to a file

VALUES = st.one_of(
    st.sampled_from(["", "0", "1", "-1.00", "1e9", "NaN", "7" * 19, "7" * 5_000, "930230", "991231", "GIFT", "VYDAJ"]),
    st.sampled_from(['"', '""', '"a', "\x00", "\r", "\n", ";", "x" * 140_000, "\u0661", "\ufeff"]),
    st.text(max_size=12),
)
BYTES = st.sampled_from([b"\xff", b"\xc3", b"\0", b"\r", b"\n", b"\r\n", b'"', b";", b"\xef\xbb\xbf", b"\x1a", b"9"])
MANGLES = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, 11), st.none()),
    st.tuples(st.just("double"), st.integers(0, 11), st.none()),
    st.tuples(st.just("first"), st.integers(0, 11), st.none()),
    st.tuples(st.just("field"), st.integers(0, 11), st.tuples(st.integers(0, 9), VALUES)),
    st.tuples(st.just("field"), st.integers(1, 11), st.tuples(st.sampled_from([0, 1, 2, 5, 6]), VALUES)),
    st.tuples(st.just("put in"), st.integers(0, 900), BYTES | st.binary(max_size=20)),
    st.tuples(st.just("cut"), st.integers(0, 900), st.none()),
)
"""The kind of damage, its place (a line or a byte), and its content."""
Mangle = tuple[str, int, Any]


def mangled(content: bytes, mangle: Mangle) -> bytes:
    how, where, what = mangle
    if how == "put in":
        return content[:where] + bytes(what) + content[where:]
    if how == "cut":
        return content[:where]
    lines = content.splitlines(keepends=True)
    number = where % len(lines)
    if how == "drop":
        del lines[number]
    elif how == "double":
        lines.insert(number, lines[number])
    elif how == "first":
        lines.insert(0, lines.pop(number))
    else:
        column, value = what
        fields = lines[number].decode().removesuffix("\r\n").split(";")
        fields[column % len(fields)] = value
        lines[number] = ";".join(fields).encode("utf-8", "surrogatepass") + b"\r\n"
    return b"".join(lines)


# ---------------------------------------------------------------------- a log to import into


@dataclass
class Ledger:
    """A log with open internal accounts."""

    database: Database
    side: WriteSide
    connection: Connection[Any]

    def imported(self, folder: Path) -> Imported:
        """Import as `daybook import` does."""
        report = import_folder(self.side, self.connection, folder, now(), lambda *_: None)
        reconcile(self.connection, self.side.log, self.side.log_number, folder)
        return report

    def records(self) -> dict[str, int]:
        """The recorded keys of the importer, each with the number of its events."""
        with psycopg.connect(self.database.url) as connection:
            rows = connection.execute(
                "SELECT key, coalesce(last_position - first_position + 1, 0) FROM log.commands WHERE actor = %s",
                (importing.ACTOR,),
            ).fetchall()
        return dict(rows)

    def events(self) -> int:
        """The number of events."""
        with psycopg.connect(self.database.url) as connection:
            row = connection.execute("SELECT count(*) FROM log.events").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def ledger(postgres18: Server) -> Iterator[Ledger]:
    with postgres18.database() as database, pytest.MonkeyPatch.context() as patched:
        patched.setattr(executing, "GROUP", GROUP)
        settings = settings_of(database)
        with connect(settings.api_url(), application_name="test") as connection:
            connection.execute("SELECT log.create_log('main')")
            with write_side(settings, "test") as side:
                open_internal_accounts(settings, side, (CURRENCY,))
                yield Ledger(database, side, connection)
        assert_sound(database)


@dataclass
class Read:
    """The content of the files up to the wrong line."""

    accounts: list[SourceAccount] = field(default_factory=list)
    transactions: list[SourceTransaction] = field(default_factory=list)
    wrong: bool = True

    @property
    def keys(self) -> list[str]:
        """The keys of the rows that must be imported: all accounts, and the transactions in complete groups."""
        whole = len(self.transactions) // GROUP * GROUP if self.wrong else len(self.transactions)
        return [f"czech-bank:account:{a.id}" for a in self.accounts] + [
            f"czech-bank:trans:{t.id}" for t in self.transactions[:whole]
        ]


def read(folder: Path) -> Read:
    found = Read()
    try:
        found.accounts = read_accounts(folder)
        for row in read_transactions(folder / TRANSACTIONS):
            if row.amount:  # the amount zero is not posted
                found.transactions.append(row)
    except SourceError:
        return found
    found.wrong = False
    return found


@given(name=st.sampled_from([ACCOUNTS, DISPOSITIONS, TRANSACTIONS, TRANSACTIONS]), mangle=MANGLES)
@example(name=TRANSACTIONS, mangle=("field", 7, (5, "much")))
@example(name=TRANSACTIONS, mangle=("field", 7, (5, "0")))
@example(name=TRANSACTIONS, mangle=("field", 7, (2, "991231")))
@example(name=TRANSACTIONS, mangle=("put in", 700, b"\xff"))
@example(name=TRANSACTIONS, mangle=("double", 6, None))
@example(name=ACCOUNTS, mangle=("field", 3, (3, "931301")))
@example(name=DISPOSITIONS, mangle=("drop", 2, None))
@settings(max_examples=60)
def test_a_damaged_file_gives_rows_or_a_message_and_no_partial_import(
    ledger: Ledger, name: str, mangle: Mangle
) -> None:
    files = sound(next(_banks))
    folder = Path(tempfile.mkdtemp())
    try:
        for each, content in files.items():
            (folder / each).write_bytes(content)
        intended = read(folder)
        (folder / name).write_bytes(mangled(files[name], mangle))
        found = read(folder)
        before, events_before = ledger.records(), ledger.events()
        refused: set[str] = set()
        message = ""
        try:
            refused = {key for keys in ledger.imported(folder).refused.values() for key in keys}
            assert not found.wrong
        except SourceError as error:
            message = str(error)
            assert found.wrong
            assert re.match(r"[a-z-]+[0-9]*\.asc:(\d+:| no column) \S", message), message[:200]
        except ImportFailedError as error:
            message = str(error)
            assert re.fullmatch(r"czech-bank:(account|trans):\d+ was imported before with other content", message)
        assert len(message) < 500, "the message is short and not the file"

        after = ledger.records()
        new = after.keys() - before.keys()
        assert ledger.events() - events_before == sum(after[key] for key in new), "each event belongs to a row"
        assert new <= set(found.keys), "nothing from the wrong line on"
        there = {account.id for account in found.accounts}
        unknown = {f"czech-bank:trans:{row.id}" for row in found.transactions if row.account not in there}
        if "other content" not in message:
            assert set(found.keys) - unknown <= after.keys(), "all rows before it"
        if not message:
            assert {key for key in found.keys if after.get(key, 0) == 0} <= refused, (
                "rows that were not imported are reported"
            )

        if found.wrong and found.transactions == intended.transactions[: len(found.transactions)]:
            for each, content in files.items():
                (folder / each).write_bytes(content)
            assert ledger.imported(folder).ok, "the import continues after the file is repaired"
            assert set(intended.keys) <= ledger.records().keys()
    finally:
        shutil.rmtree(folder)


def test_the_command_names_file_and_line_and_continues_after_the_repair(database18: Database, tmp_path: Path) -> None:
    shutil.copytree(CZECH_BANK, tmp_path, dirs_exist_ok=True)
    file = tmp_path / TRANSACTIONS
    content = file.read_bytes()
    file.write_bytes(mangled(content, ("field", 600, (2, "930231"))))
    wrong = daybook("import", "czech-bank", str(tmp_path), env=environment(database18))
    assert wrong.returncode == 3
    assert f"{TRANSACTIONS}:601: '930231' is not a date" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert_sound(database18)
    file.write_bytes(content)
    assert daybook("import", "czech-bank", str(tmp_path), env=environment(database18)).returncode in (0, 1)
    assert_sound(database18)


def test_an_account_id_without_a_number(ledger: Ledger, tmp_path: Path) -> None:
    for name, content in sound(next(_banks)).items():
        (tmp_path / name).write_bytes(content)
    for name, line in ((ACCOUNTS, '9000000001;1;"";930101'), (DISPOSITIONS, '1;1;9000000001;"OWNER"')):
        with (tmp_path / name).open("a") as file:
            file.write(f"{line}\r\n")
    with pytest.raises(SourceError, match=r"account\.asc:5: "):
        ledger.imported(tmp_path)
