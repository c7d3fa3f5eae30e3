"""The mapping file: which account of the ledger an account of the books becomes, and what the columns of a CSV mean."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from domain.accounts.numbers import AccountType
from domain.codes import CODE
from workers.importers.journal.source import JournalError

MOST_NAME: Final = 40
"""Characters of the name of an import."""
MOST_MAPPING_BYTES: Final = 1 << 20

TYPES: Final[Mapping[str, AccountType]] = {
    "assets": "banks",
    "asset": "banks",
    "liabilities": "credit",
    "liability": "credit",
    "equity": "equity",
    "income": "revenue",
    "revenue": "revenue",
    "revenues": "revenue",
    "expenses": "fees",
    "expense": "fees",
}
"""The type of an account by the first part of its name, unless the mapping names another one."""

V = TypeVar("V")


class Csv(Struct, forbid_unknown_fields=True, frozen=True):
    """What the columns of a CSV file mean. A row is one transaction between two accounts."""

    date: str  # the column
    amount: str | None = None  # the column; without it `incoming` and `outgoing`
    incoming: str | None = None
    outgoing: str | None = None
    minus: Literal["outgoing", "return"] | None = None  # in `incoming` and `outgoing`; None: no amount has one
    sign: Literal["in", "out"] = "in"  # whether a positive amount comes to the account or leaves it
    date_format: str = "%Y-%m-%d"
    decimal_mark: Literal[".", ","] = "."
    delimiter: str = ","
    encoding: str = "utf-8"
    skip_lines: int = 0  # before the line with the names of the columns
    currency: str | None = None  # of every row
    currency_column: str | None = None
    account: str | None = None  # of every row
    account_column: str | None = None
    contra: str | None = None  # the other account of every row, or of rows whose column is empty
    contra_column: str | None = None
    description: str | None = None  # the column
    reference: str | None = None  # the column
    balance: str | None = None  # the column with the balance after the row
    newest_first: bool | None = None  # the order of the rows; None: as their days say, and if they do not, oldest first
    opening: str | None = None  # the balance before the first row, as in the file
    opening_on: datetime.date | None = None  # its value date; None: that of the first row
    opening_contra: str = "equity:opening"


class Mapped(Struct, forbid_unknown_fields=True, frozen=True):
    """The mapping file. Each table is by name of an account of the books, or by the beginning of names."""

    name: str | None = None  # of the import, in its keys; None: that of the file
    books: str | None = None  # several files with the same one share their accounts; None: the name of the import
    continues: bool = False  # the file begins where the ledger's balances are, and not with opening balances of its own
    owner: str = "journal"  # of new accounts of customers' types, unless `owners` says another one
    types: Mapping[str, AccountType] = {}
    owners: Mapping[str, str] = {}
    accounts: Mapping[str, str | list[str]] = {}  # ids of accounts that are there, one a currency
    nodes: Mapping[str, str] = {}  # of the chart of accounts, to which new accounts are attached
    commodities: Mapping[str, str] = {}  # names of commodities to ISO 4217 codes
    conversion: str = "equity:conversion"  # the account between two currencies of a transaction with a price
    csv: Csv | None = None


def read_mapping(file: Path | None) -> Mapped:
    """The mapping; without a file, the usual one. Raises `JournalError`, which names the field."""
    if file is None:
        return Mapped()
    try:
        if file.stat().st_size > MOST_MAPPING_BYTES:
            raise JournalError(f"{file.name} has more than {MOST_MAPPING_BYTES:,} bytes")
        mapped = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Mapped)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise JournalError(f"{file.name} is no TOML file: {error}") from None
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".") or "the file"
        raise JournalError(f"{file.name}: {field}: {sentence}") from None
    problems = []
    books = {} if mapped.books is None else {"": mapped.books}
    fields = {"books": books, "owner": {"": mapped.owner}, "owners": mapped.owners, "nodes": mapped.nodes}
    for field, codes in fields.items():
        for key, code in codes.items():
            if re.fullmatch(CODE, code) is None:
                problems.append(f"{file.name}: {field}{f'.{key!r}' if key else ''}: {code[:40]!r} is not a code")
    if mapped.continues and mapped.csv is not None and mapped.csv.opening is not None:
        problems.append(f"{file.name}: csv.opening: a file that continues has no opening balance of its own")
    if mapped.csv is not None:
        problems += [f"{file.name}: csv.{problem}" for problem in _problems_of_csv(mapped.csv)]
    if problems:
        raise JournalError.of(problems)
    return mapped


def name_of(mapped: Mapped, given: str | None, file: Path) -> str:
    """The name of the import, which is in its keys. Raises `JournalError` for one that is not a code."""
    name = given or mapped.name or file.stem
    if re.fullmatch(CODE, name) is None or len(name) > MOST_NAME:
        raise JournalError(
            f"the import needs a name of letters, digits and . _ : / # + - with {MOST_NAME} characters at most, and "
            f"{name[:60]!r} is none: give one with --name"
        )
    return name


def longest(table: Mapping[str, V], account: str) -> V | None:
    """The entry of a table for an account: that with its name, or with the longest name of an account above it."""
    parts = account.split(":")
    for count in range(len(parts), 0, -1):
        found = table.get(":".join(parts[:count]))
        if found is not None:
            return found
    return None


def _problems_of_csv(csv: Csv) -> list[str]:
    problems = []
    if (csv.amount is None) == (csv.incoming is None and csv.outgoing is None):
        problems.append("amount: name the column of the amount, or those of `incoming` and `outgoing`")
    if csv.minus is not None and csv.amount is not None:
        problems.append("minus: it is about `incoming` and `outgoing`; `sign` is about the column of the amount")
    for field in ("currency", "account", "contra"):
        if getattr(csv, field) is None and getattr(csv, f"{field}_column") is None:
            problems.append(f"{field}: give it, or name its column as `{field}_column`")
    if csv.currency is not None and csv.currency_column is not None:
        problems.append("currency: give it, or name its column, not both")
    if csv.account is not None and csv.account_column is not None:
        problems.append("account: give it, or name its column, not both")
    if csv.account is None and (csv.opening is not None or csv.balance is not None):
        problems.append("account: an opening balance and a column of balances are those of one account")
    if csv.currency is None and (csv.opening is not None or csv.balance is not None):
        problems.append("currency: an opening balance and a column of balances are in one currency")
    if len(csv.delimiter) != 1:
        problems.append(f"delimiter: {csv.delimiter[:10]!r} is not one character")
    if csv.skip_lines < 0:
        problems.append(f"skip_lines: {csv.skip_lines} is less than 0")
    try:
        "".encode(csv.encoding)
    except LookupError:
        problems.append(f"encoding: {csv.encoding[:40]!r} is not known")
    return problems
