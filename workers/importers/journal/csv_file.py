"""Reads a CSV file by the mapping: each row is a transaction between its account and the other one.

A column of balances is checked before anything is imported: each balance follows from the one before and the amount, in
the order of the file or, where the newest row is first, against it.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.accounts.csv_cells import WrongCellError, cell_day, cell_decimal, cells_in_less_out
from workers.importers.journal.mapping import Csv
from workers.importers.journal.source import (
    MOST_BYTES,
    MOST_TRANSACTIONS,
    JournalError,
    Source,
    SourcePosting,
    SourceTransaction,
)


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    day: date
    amount: Decimal  # positive: it comes to the account
    currency: str
    account: str
    contra: str
    description: str
    reference: str
    balance: Decimal | None


def read_csv(file: Path, columns: Csv, *, continues: bool) -> Source:
    """The transactions of the file, oldest first. Raises `JournalError` with every wrong line.

    A file that continues states by its balances where it begins. Another one begins at its opening balance, or at zero.
    """
    if file.stat().st_size > MOST_BYTES:
        raise JournalError(f"{file.name} has more than {MOST_BYTES:,} bytes: import it in parts")
    problems: list[str] = []
    try:
        with file.open(encoding=_encoding(columns), newline="") as opened:
            for _ in range(columns.skip_lines):
                opened.readline()
            reader = csv.reader(opened, delimiter=columns.delimiter, strict=True)
            rows = list(_rows(file.name, reader, columns, problems))
    except UnicodeDecodeError as error:
        raise JournalError(f"{file.name}: it is not in the encoding {columns.encoding}: {error.reason}") from None
    if problems:
        raise JournalError.of(problems)
    rows = _in_order(rows, columns)
    starts = {}
    if rows and columns.balance is not None:
        before = _before(rows[0])
        if continues:
            starts[rows[0].account, rows[0].currency] = before
        else:
            _check_opening(rows[0], before, columns)
    found = [] if columns.opening is None else [_opening(file.name, rows, columns)]
    for number, row in enumerate(rows, 1 + len(found)):
        postings = (
            SourcePosting(row.account, row.amount, row.currency),
            SourcePosting(row.contra, -row.amount, row.currency),
        )
        found.append(SourceTransaction(number, row.where, row.day, row.reference, row.description, postings))
    return Source(found, starts)


def _encoding(columns: Csv) -> str:
    """The encoding of the file. The mark with which Excel begins a file in UTF-8 is no part of the first column."""
    return "utf-8-sig" if codecs.lookup(columns.encoding).name == "utf-8" else columns.encoding


def _rows(name: str, reader: Any, columns: Csv, problems: list[str]) -> Iterator[_Row]:
    """The rows that are right; what is wrong with the others is added to `problems`."""
    try:
        header: list[str] = next(reader, [])
        fields = ("date", "amount", "incoming", "outgoing", "description", "reference", "balance")
        named = [getattr(columns, field) for field in fields]
        named += [columns.currency_column, columns.account_column, columns.contra_column]
        missing = sorted({column for column in named if column is not None and column not in header})
        if missing:
            raise JournalError(f"{name}:{columns.skip_lines + reader.line_num}: no column {', '.join(missing)}")
        if doubled := sorted({column for column in named if column is not None and header.count(column) > 1}):
            raise JournalError(f"{name}:{columns.skip_lines + reader.line_num}: two columns {', '.join(doubled)}")
        count = 0
        for cells in reader:
            where = f"{name}:{columns.skip_lines + reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > MOST_TRANSACTIONS:
                raise JournalError(f"{where}: more than {MOST_TRANSACTIONS:,} rows: import the file in parts")
            if len(cells) != len(header):
                problems.append(f"{where}: {len(cells)} columns, and the header has {len(header)}")
                continue
            try:
                yield _row(where, dict(zip(header, (cell.strip() for cell in cells), strict=True)), columns)
            except WrongCellError as error:
                problems.append(f"{where}: {error}")
    except csv.Error as error:
        raise JournalError(f"{name}:{columns.skip_lines + reader.line_num}: {error}") from None


def _row(where: str, row: dict[str, str], columns: Csv) -> _Row:
    def text(column: str | None, usual: str | None = None) -> str:
        found = "" if column is None else row[column]
        return found or usual or ""

    account, contra = text(columns.account_column, columns.account), text(columns.contra_column, columns.contra)
    currency = text(columns.currency_column, columns.currency)
    for value, column in (
        (account, columns.account_column),
        (contra, columns.contra_column),
        (currency, columns.currency_column),
    ):
        if not value:
            raise WrongCellError(f"{column} is empty")
    return _Row(
        where=where,
        day=_day(row[columns.date], columns),
        amount=_amount(row, columns),
        currency=currency,
        account=account,
        contra=contra,
        description=text(columns.description),
        reference=text(columns.reference),
        balance=None if columns.balance is None else _decimal(row[columns.balance], columns.balance, columns),
    )


def _day(text: str, columns: Csv) -> date:
    return cell_day(text, columns.date, columns.date_format)


def _amount(row: dict[str, str], columns: Csv) -> Decimal:
    if columns.amount is not None:
        amount = _decimal(row[columns.amount], columns.amount, columns)
        return amount if columns.sign == "in" else -amount
    return cells_in_less_out(row, columns.incoming, columns.outgoing, columns.decimal_mark, columns.minus, "csv.minus")


def _decimal(text: str, column: str, columns: Csv) -> Decimal:
    return cell_decimal(text, column, columns.decimal_mark)


def _in_order(rows: list[_Row], columns: Csv) -> list[_Row]:
    """The rows, oldest first. Raises `JournalError` where a balance does not follow."""
    if not rows:
        return rows
    # New rows come to the end then, so the numbers of the others stay.
    rows = rows[::-1] if _newest_first(rows, columns) else rows
    if columns.balance is None:
        return rows
    wrong, forward = _first_wrong(rows), rows
    unclear = columns.newest_first is None and rows[0].day == rows[-1].day
    if wrong is not None and unclear and _first_wrong(rows[::-1]) is None:
        forward, wrong = rows[::-1], None
    if wrong is not None:
        before, row = forward[wrong - 1], forward[wrong]
        raise JournalError(
            f"{row.where}: the balance {row.balance} does not follow from {before.balance} and the amount {row.amount}"
        )
    return forward


def _newest_first(rows: list[_Row], columns: Csv) -> bool:
    """Whether the newest row is the first one, as the mapping or the days say."""
    return rows[0].day > rows[-1].day if columns.newest_first is None else columns.newest_first


def _before(row: _Row) -> Decimal:
    """The balance before a row."""
    assert row.balance is not None, "the column has a balance in each row"
    return row.balance - row.amount


def _check_opening(first: _Row, before: Decimal, columns: Csv) -> None:
    """Raises `JournalError` unless the opening balance of the mapping is that before the first row."""
    opening = Decimal(0) if columns.opening is None else _opening_amount(columns)
    if before != opening:
        raise JournalError(
            f"{first.where}: the balance before it is {before}, and that of the mapping is {opening}: set csv.opening, "
            "or `continues` if earlier files were imported"
        )


def _first_wrong(rows: list[_Row]) -> int | None:
    """The index of the first row whose balance does not follow from that of the row before it."""
    for index in range(1, len(rows)):
        before, row = rows[index - 1].balance, rows[index].balance
        assert before is not None
        assert row is not None
        if before + rows[index].amount != row:
            return index
    return None


def _opening_amount(columns: Csv) -> Decimal:
    try:
        return _decimal(columns.opening or "", "csv.opening", columns)
    except WrongCellError as error:
        raise JournalError(f"the mapping: {error}") from None


def _opening(name: str, rows: list[_Row], columns: Csv) -> SourceTransaction:
    """The opening balance as a transaction."""
    amount = _opening_amount(columns)
    day = columns.opening_on or min((row.day for row in rows), default=None)
    if day is None:
        raise JournalError(f"{name} has no rows, so csv.opening_on has to say when the opening balance was")
    assert columns.account is not None, "the mapping was checked"
    assert columns.currency is not None, "the mapping was checked"
    postings = (
        SourcePosting(columns.account, amount, columns.currency),
        SourcePosting(columns.opening_contra, -amount, columns.currency),
    )
    return SourceTransaction(1, f"{name}: csv.opening", day, "", "opening balance", postings)
