"""Reads the bank's files: semicolons, quotes, CRLF, dates as YYMMDD. It never reads `birth_number`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from domain.accounts.numbers import InternalRole
from domain.accounts.posting import TransactionKind
from domain.codes import refuse_other_than_code
from domain.money import MoneyError, parse

CURRENCY = "CZK"
MOST_DIGITS = 18
"""Most digits of an id."""
MOST_ACCOUNT_ID = 9 * 10**9 - 1
"""Account numbers have ten digits, and those of the bank's accounts begin at 10**9 (`importing.NUMBERS_FROM`)."""
ACCOUNTS, DISPOSITIONS, ORDERS = "account.asc", "disp.asc", "order.asc"
TRANSACTIONS, TRANSACTIONS_IN_PARTS = "trans.asc", "trans-*.asc"
"""The file as it was published, or parts of it, whose order by name is the order of time."""


class _Reader(Protocol):
    """The type of `csv.reader`."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class SourceError(ValueError):
    """A file is missing or a line is wrong. The message names the file and the line."""


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """An account of the bank."""

    id: int
    owner: int  # client id
    opened_on: date


@dataclass(frozen=True, slots=True)
class SourceTransaction:
    """A transaction of the bank. Amounts are in haléře; `balance` is the bank's balance after it."""

    id: int
    account: int
    day: date
    credit: bool
    amount: int
    balance: int
    role: InternalRole  # the internal account of the other entry
    kind: TransactionKind

    @property
    def signed(self) -> int:
        """The amount as it changes the balance."""
        return self.amount if self.credit else -self.amount


@dataclass(frozen=True, slots=True)
class SourceOrder:
    """A standing order of the bank, which pays every month to an account of another bank. The amount is in haléře."""

    id: int
    account: int
    amount: int
    symbol: str  # what it is for, such as SIPO; empty: not known


def read_accounts(folder: Path) -> list[SourceAccount]:
    """All accounts with their owners, in order of opening. Raises `SourceError`."""
    owners = {
        int(row["account_id"]): int(row["client_id"])
        for _, row in _rows(folder / DISPOSITIONS, ("client_id", "account_id", "type"))
        if row["type"] == "OWNER"
    }
    accounts = []
    for where, row in _rows(folder / ACCOUNTS, ("account_id", "date")):
        id = int(row["account_id"])
        if id > MOST_ACCOUNT_ID:
            raise SourceError(f"{where}: account {id} is over {MOST_ACCOUNT_ID}, the last that has an account number")
        if id not in owners:
            raise SourceError(f"{where}: account {id} has no owner in {DISPOSITIONS}")
        accounts.append(SourceAccount(id, owners[id], _day(row["date"], where)))
    return sorted(accounts, key=lambda account: (account.opened_on, account.id))


def read_orders(folder: Path) -> Iterator[SourceOrder]:
    """The standing orders, one at a time; none if the file is not there. Raises `SourceError`."""
    file = folder / ORDERS
    if not file.exists():
        return
    for where, row in _rows(file, ("order_id", "account_id", "amount", "k_symbol")):
        try:
            amount = parse(_plain(row["amount"]), CURRENCY)
            if amount < 0:
                raise MoneyError(f"{row['amount']!r} is less than zero.")
        except MoneyError as error:
            raise SourceError(f"{where}: {error}") from None
        symbol = row["k_symbol"].strip()
        if symbol and refuse_other_than_code("k_symbol", symbol) is not None:
            raise SourceError(f"{where}: k_symbol {symbol[:40]!r} is not a code")
        yield SourceOrder(int(row["order_id"]), int(row["account_id"]), amount, symbol)


def transaction_files(folder: Path) -> list[Path]:
    """The files of transactions, in order of time. Raises `SourceError` if there are none, or a file and its parts."""
    whole, parts = sorted(folder.glob(TRANSACTIONS)), sorted(folder.glob(TRANSACTIONS_IN_PARTS))
    if whole and parts:
        raise SourceError(
            f"{folder} has both {TRANSACTIONS} and {parts[0].name}: keep either the whole file or its parts there"
        )
    if not whole and not parts:
        raise SourceError(f"there is neither {TRANSACTIONS} nor {TRANSACTIONS_IN_PARTS} in {folder}")
    return whole or parts


def read_transactions(file: Path) -> Iterator[SourceTransaction]:
    """The transactions of one file, in its order, one at a time. Raises `SourceError`.

    An amount may be zero: the bank rounded amounts for publication, so a small interest may be 0.00.
    """
    wanted = ("trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol")
    before = date.min
    for where, row in _rows(file, wanted):
        day = _day(row["date"], where)
        if day < before:
            raise SourceError(f"{where}: {day} after {before}: the file is not in date order")
        before = day
        if row["type"] not in ("PRIJEM", "VYDAJ", "VYBER"):
            raise SourceError(f"{where}: type {row['type'][:40]!r} is neither PRIJEM, VYDAJ nor VYBER")
        credit = row["type"] == "PRIJEM"
        try:
            amount = parse(_plain(row["amount"]), CURRENCY)
            if amount < 0:
                raise MoneyError(f"{row['amount']!r} is less than zero.")
            balance = parse(_plain(row["balance"]), CURRENCY)
        except MoneyError as error:
            raise SourceError(f"{where}: {error}") from None
        role, kind = _classified(row["operation"], row["k_symbol"], credit, where)
        yield SourceTransaction(
            id=int(row["trans_id"]),
            account=int(row["account_id"]),
            day=day,
            credit=credit,
            amount=amount,
            balance=balance,
            role=role,
            kind=kind,
        )


def _classified(operation: str, symbol: str, credit: bool, where: str) -> tuple[InternalRole, TransactionKind]:
    """The internal account: the symbol means interest, penalties or fees; else the operation means cash or banks."""
    if symbol == "UROK":
        return "interest", "interest"
    if symbol == "SANKC. UROK":
        return "penalties", "penalty"
    if symbol == "SLUZBY":
        return "fees", "fee"
    if operation in ("VKLAD", "VYBER", "VYBER KARTOU"):
        return "cash", "deposit" if credit else "withdrawal"
    if operation in ("PREVOD Z UCTU", "PREVOD NA UCET"):
        return "banks", "transfer"
    raise SourceError(f"{where}: operation {operation[:40]!r} with symbol {symbol[:40]!r} is not one we know")


def _rows(file: Path, wanted: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, wanted columns) of each line. Other columns are not returned."""
    try:
        # Bytes that are not ASCII are decoded and refused with their line. The decoder would name a byte in a buffer.
        with file.open(encoding="ascii", errors="surrogateescape", newline="") as opened:
            yield from _checked(file.name, csv.reader(opened, delimiter=";"), wanted)
    except FileNotFoundError:
        raise SourceError(f"{file} is missing") from None


def _checked(name: str, reader: _Reader, wanted: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        header = next(reader, [])
        missing = [column for column in wanted if column not in header]
        if missing:
            raise SourceError(f"{name}: no column {', '.join(missing)}")
        places = [(column, header.index(column)) for column in wanted]
        numbers = [column for column in wanted if column.endswith("_id")]
        for row in reader:
            where = f"{name}:{reader.line_num}"
            if len(row) != len(header):
                raise SourceError(f"{where}: {len(row)} columns, the header has {len(header)}")
            if not "".join(row).isascii():
                raise SourceError(f"{where}: a character that is not ASCII")
            values = {column: row[place] for column, place in places}
            for column in numbers:
                if not values[column].isdigit() or len(values[column]) > MOST_DIGITS:
                    raise SourceError(f"{where}: {column} is {values[column][:40]!r}, not a number")
            yield where, values
    except csv.Error as error:
        raise SourceError(f"{name}:{reader.line_num}: {error}") from None


def _plain(amount: str) -> str:
    return amount.strip()


def _day(text: str, where: str) -> date:
    try:
        if len(text) != 6 or not text.isdigit():
            raise ValueError
        return date(1900 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        raise SourceError(f"{where}: {text[:20]!r} is not a date as YYMMDD") from None
