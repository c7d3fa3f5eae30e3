"""Reads a statement of a CSV file by a mapping that says what its columns are.

A CSV file says neither whose statement it is nor, often, its balances; whoever brings it says so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.accounts.csv_cells import Minus, WrongCellError, cell_day, cell_decimal, cells_in_less_out
from api.accounts.outside_statements.parsed import (
    MOST_COUNTERPARTY,
    MOST_TEXT,
    ParsedStatement,
    StatementFileError,
    code_of,
    cut,
    is_code,
    minor_units,
    normalised,
    references_of,
)
from domain.accounts.reconciliation.statement import MOST_LINES, Statement, StatementLine

_Column = Annotated[str, Field(min_length=1, max_length=100)]


class CsvColumns(BaseModel):
    """What the columns of a CSV file mean. A row is a line of the statement."""

    model_config = ConfigDict(extra="forbid", strict=True)

    booked_on: Annotated[_Column, Field(description="The column with the day of booking")]
    value_date: Annotated[_Column | None, Field(description="Without it the day of booking")] = None
    amount: Annotated[_Column | None, Field(description="Without it `incoming` and `outgoing`")] = None
    incoming: _Column | None = None
    outgoing: _Column | None = None
    minus: Annotated[
        Minus | None,
        Field(description="What a minus says in `incoming` and `outgoing`: it went out, or it came back; null: none"),
    ] = None
    sign: Annotated[Literal["in", "out"], Field(description="Whether a positive amount is a credit or a debit")] = "in"
    date_format: Annotated[str, Field(min_length=1, max_length=40, description="As in `strptime`")] = "%Y-%m-%d"
    decimal_mark: Literal[".", ","] = "."
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    skip_lines: Annotated[int, Field(ge=0, le=100, description="Before the line with the names of the columns")] = 0
    balance: Annotated[_Column | None, Field(description="The balance after the row")] = None
    references: Annotated[list[_Column], Field(max_length=4, description="What we match by")] = []
    bank_reference: _Column | None = None
    counterparty: _Column | None = None
    text: _Column | None = None

    @model_validator(mode="after")
    def _has_an_amount(self) -> CsvColumns:
        if (self.amount is None) == (self.incoming is None and self.outgoing is None):
            raise ValueError("amount: name the column of the amount, or those of `incoming` and `outgoing`")
        return self

    @property
    def named(self) -> list[str]:
        """The names of the columns that must be there."""
        one = (self.booked_on, self.value_date, self.amount, self.incoming, self.outgoing, self.balance)
        others = (self.bank_reference, self.counterparty, self.text, *self.references)
        return [column for column in (*one, *others) if column is not None]


@dataclass(frozen=True, slots=True)
class CsvStatement:
    """What whoever brings a CSV file says of it. None: as its rows say."""

    statement: str
    account: str
    currency: str
    since: date | None = None
    until: date | None = None
    opening: int | None = None
    closing: int | None = None


def read_csv_statement(file: str, columns: CsvColumns, said: CsvStatement) -> ParsedStatement:
    """The statement of a file. Raises `StatementFileError`, which names the line and column."""
    rows = list(_rows(file, columns, said.currency))
    lines = [line for _, line, _ in rows]
    newest_first = bool(lines) and lines[0].booked_on > lines[-1].booked_on
    if newest_first:
        rows, lines = rows[::-1], lines[::-1]
    opening, closing = _balances(rows, columns, said)
    days = [line.booked_on for line in lines]
    since, until = said.since or min(days, default=None), said.until or max(days, default=None)
    if since is None or until is None:
        raise StatementFileError("since: the file has no rows, so say which period it is of")
    statement = Statement(
        code_of(said.statement), said.currency, since, until, opening, closing, tuple(lines), skipped=0
    )
    return ParsedStatement(statement, (normalised(said.account),))


_Row = tuple[int, StatementLine, int | None]
"""The line of the file, the line of the statement, and the balance after it."""


def _balances(rows: list[_Row], columns: CsvColumns, said: CsvStatement) -> tuple[int, int]:
    """The balances before the first row and after the last one. Each row's balance follows from the one before."""
    opening, closing = said.opening, said.closing
    if columns.balance is not None and rows:
        for (_, _, before), (number, line, after) in pairwise(rows):
            if before is not None and after is not None and before + line.amount != after:
                raise StatementFileError(
                    f"line {number}: {columns.balance}: the balance does not follow from the one before and the amount"
                )
        (_, first, after_first), (_, _, after_last) = rows[0], rows[-1]
        opening = opening if after_first is None or opening is not None else after_first - first.amount
        closing = after_last if closing is None else closing
    for name, balance in (("opening", opening), ("closing", closing)):
        if balance is None:
            raise StatementFileError(f"{name}: name the column of balances, or say the {name} balance")
    assert opening is not None
    assert closing is not None
    return opening, closing


def _rows(file: str, columns: CsvColumns, currency: str) -> Iterator[_Row]:
    opened = io.StringIO(file.removeprefix("\ufeff"), newline="")
    for _ in range(columns.skip_lines):
        opened.readline()
    reader = csv.reader(opened, delimiter=columns.delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        where = f"line {columns.skip_lines + reader.line_num}"
        if missing := sorted({column for column in columns.named if column not in header}):
            raise StatementFileError(f"{where}: no column {', '.join(missing)}")
        if doubled := sorted({column for column in columns.named if header.count(column) > 1}):
            raise StatementFileError(f"{where}: two columns {', '.join(doubled)}")
        count = 0
        for cells in reader:
            number = columns.skip_lines + reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > MOST_LINES:
                raise StatementFileError(f"line {number}: the statement has more than {MOST_LINES:,} lines")
            if len(cells) != len(header):
                raise StatementFileError(f"line {number}: {len(cells)} columns, and the header has {len(header)}")
            row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
            try:
                yield number, _line(row, columns, currency), _balance(row, columns, currency)
            except (WrongCellError, StatementFileError) as error:
                raise StatementFileError(f"line {number}: {error}") from None
    except csv.Error as error:
        raise StatementFileError(f"line {columns.skip_lines + reader.line_num}: {error}") from None


def _line(row: dict[str, str], columns: CsvColumns, currency: str) -> StatementLine:
    booked_on = cell_day(row[columns.booked_on], columns.booked_on, columns.date_format)
    value_date = booked_on
    if columns.value_date is not None and row[columns.value_date]:
        value_date = cell_day(row[columns.value_date], columns.value_date, columns.date_format)
    bank_reference = None if columns.bank_reference is None else row[columns.bank_reference]
    return StatementLine(
        booked_on=booked_on,
        value_date=value_date,
        amount=_amount(row, columns, currency),
        references=references_of(row[column] for column in columns.references),
        bank_reference=bank_reference if bank_reference is not None and is_code(bank_reference) else None,
        counterparty="" if columns.counterparty is None else cut(row[columns.counterparty], MOST_COUNTERPARTY),
        text="" if columns.text is None else cut(row[columns.text], MOST_TEXT),
    )


def _balance(row: dict[str, str], columns: CsvColumns, currency: str) -> int | None:
    if columns.balance is None or not row[columns.balance]:
        return None
    return _minor(row, columns.balance, columns, currency)


def _amount(row: dict[str, str], columns: CsvColumns, currency: str) -> int:
    if columns.amount is not None:
        amount = _minor(row, columns.amount, columns, currency)
        return amount if columns.sign == "in" else -amount
    total = cells_in_less_out(row, columns.incoming, columns.outgoing, columns.decimal_mark, columns.minus)
    return minor_units(f"{total:f}", currency, str(columns.incoming or columns.outgoing))


def _minor(row: dict[str, str], column: str, columns: CsvColumns, currency: str) -> int:
    decimal = cell_decimal(row[column], column, columns.decimal_mark)
    return minor_units(f"{decimal:f}", currency, column)
