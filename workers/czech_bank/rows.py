"""The files as rows: read line by line, checked, amounts in minor units. No other column is looked at than named here.

Of ``client.asc``, which holds birth numbers, not even the file is opened: the owner's id stands in ``disp.asc``.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from domain.accounts.events import InternalRole, TransactionKind
from domain.ids import ACCOUNT, TRANSACTION, named_id
from domain.money import MoneyError, parse, parse_positive
from workers.czech_bank import ACTOR, CURRENCY

T = TypeVar("T")

_BY_SYMBOL: dict[str, tuple[InternalRole, TransactionKind]] = {
    "UROK": ("interest", "interest"),
    "SLUZBY": ("fees", "fee"),
    "SANKC. UROK": ("penalties", "penalty"),
}
_BY_OPERATION: dict[str, tuple[InternalRole, TransactionKind]] = {
    "VKLAD": ("cash", "deposit"),
    "VYBER": ("cash", "withdrawal"),
    "VYBER KARTOU": ("cash", "withdrawal"),
    "PREVOD Z UCTU": ("banks", "transfer"),
    "PREVOD NA UCET": ("banks", "transfer"),
}
_CREDITS = {"PRIJEM": True, "VYDAJ": False, "VYBER": False}


class SourceError(ValueError):
    """The files are not what they should be; the message names file and line."""


@dataclass(frozen=True, slots=True)
class BankAccount:
    """A line of ``account.asc``, with its owner."""

    source: str  # the bank's id
    owner: str
    opened_on: date
    digest: bytes

    @property
    def id(self) -> str:
        """The account's id in the ledger: always the same for the same source."""
        return named_id(ACCOUNT, ACTOR, self.source)

    @property
    def key(self) -> str:
        """The idempotency key."""
        return f"czech-bank:account:{self.source}"


@dataclass(frozen=True, slots=True)
class BankTransaction:
    """A line of a ``trans-*.asc``."""

    source: str
    account: str  # the bank's id
    day: date
    credit: bool
    role: InternalRole  # the contra account
    kind: TransactionKind
    amount: int  # minor units, positive
    balance: int  # the bank's own, after the transaction
    digest: bytes

    @property
    def id(self) -> str:
        """The transaction's id in the ledger."""
        return named_id(TRANSACTION, ACTOR, self.source)

    @property
    def key(self) -> str:
        """The idempotency key."""
        return f"czech-bank:trans:{self.source}"

    @property
    def signed(self) -> int:
        """The amount as it changes the balance."""
        return self.amount if self.credit else -self.amount


def transaction_files(folder: Path) -> list[Path]:
    """Every ``trans-*.asc`` of the folder. Raises `SourceError` where there is none."""
    files = sorted(folder.glob("trans-*.asc"))
    if not files:
        raise SourceError(f"{folder} holds no trans-*.asc: name the folder of the Czech bank's data")
    return files


def read_accounts(folder: Path) -> Iterator[BankAccount]:
    """The accounts, in the file's order."""
    owners: dict[str, str] = {}
    for _, _, (client, account, type) in _records(folder / "disp.asc", ("client_id", "account_id", "type")):
        if type == "OWNER":
            owners[account] = client
    file = folder / "account.asc"
    for number, line, (account, day) in _records(file, ("account_id", "date")):
        if account not in owners:
            raise SourceError(f"{file}:{number}: account {account} has no OWNER in disp.asc")
        owner = f"client:{owners[account]}"
        digest = hashlib.sha256(f"{line}\x1f{owner}".encode()).digest()
        yield BankAccount(account, owner, _date(day, file, number), digest)


def read_transactions(folder: Path) -> Iterator[BankTransaction]:
    """The transactions of all files in date order, merged without holding them in memory."""
    return heapq.merge(*(_in_order(file) for file in transaction_files(folder)), key=lambda row: row.day)


def count_lines(files: list[Path]) -> int:
    """Rows of these files, without their headings."""
    total = 0
    for file in files:
        with file.open("rb") as lines:
            total += sum(1 for _ in lines) - 1
    return total


_COLUMNS = ("trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol")


def _in_order(file: Path) -> Iterator[BankTransaction]:
    last = date.min
    for number, line, fields in _records(file, _COLUMNS):
        row = _transaction(fields, line, file, number)
        if row.day < last:
            raise SourceError(f"{file}:{number}: {row.day} comes after {last}; the file must be in date order")
        last = row.day
        yield row


def _transaction(fields: list[str], line: str, file: Path, number: int) -> BankTransaction:
    source, account, day, type, operation, amount, balance, symbol = fields
    contra = _BY_SYMBOL.get(symbol) or _BY_OPERATION.get(operation)
    if contra is None or type not in _CREDITS:
        raise SourceError(f"{file}:{number}: nothing is known of type {type!r}, operation {operation!r}")
    try:
        minor, after = parse_positive(amount, CURRENCY), parse(balance, CURRENCY)
    except MoneyError as error:
        raise SourceError(f"{file}:{number}: {error}") from None
    digest = hashlib.sha256(line.encode()).digest()
    return BankTransaction(source, account, _date(day, file, number), _CREDITS[type], *contra, minor, after, digest)


def _records(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, str, list[str]]]:
    """(line number, line, the columns asked for) of a semicolon-separated file; no field holds a semicolon."""
    try:
        with file.open(encoding="ascii") as lines:
            heading = [name.strip('"') for name in next(lines, "").rstrip("\r\n").split(";")]
            missing = [name for name in columns if name not in heading]
            if missing:
                raise SourceError(f"{file} has no column {', '.join(missing)}")
            wanted = [heading.index(name) for name in columns]
            for number, line in enumerate(lines, 2):
                line = line.rstrip("\r\n")
                fields = line.split(";")
                if len(fields) != len(heading):
                    raise SourceError(f"{file}:{number}: {len(fields)} fields, and the heading has {len(heading)}")
                yield number, line, [fields[index].strip('"').strip() for index in wanted]
    except FileNotFoundError:
        raise SourceError(f"{file} is missing: name the folder of the Czech bank's data") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{file} is not ASCII: {error.reason} at byte {error.start}") from None


def _date(text: str, file: Path, number: int) -> date:
    """YYMMDD, all of the 20th century."""
    try:
        if len(text) != 6:
            raise ValueError
        return date(1900 + int(text[:2]), int(text[2:4]), int(text[4:]))
    except ValueError:
        raise SourceError(f"{file}:{number}: {text!r} is no date such as 930131") from None
