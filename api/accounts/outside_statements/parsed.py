"""What is read of a file: statements, and the error that says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final

from domain.accounts.reconciliation.statement import MOST_REFERENCES, Statement
from domain.codes import CODE
from domain.money import MoneyError, parse

MOST_FILE_BYTES: Final = 16 << 20
"""Bytes of a file that is read on the machine. A request has its own bound."""
MOST_COUNTERPARTY, MOST_TEXT = 140, 500
"""Characters that are kept of the texts of a line."""
_CODE: Final = re.compile(CODE)
_BLANKS: Final = re.compile(r"\s+")
_ID_DIGITS: Final = 32


class StatementFileError(ValueError):
    """A file is no statement that can be reconciled. The message is a sentence with the line or the field."""


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement of a file."""

    statement: Statement
    accounts: tuple[str, ...]  # the numbers under which it names its account, without blanks


def normalised(account: str) -> str:
    """The number of an account without blanks, in capitals."""
    return _BLANKS.sub("", account).upper()


def is_code(text: str) -> bool:
    """Whether a text can be kept in clear as a reference (ADR 26)."""
    return _CODE.fullmatch(text) is not None


def code_of(id: str) -> str:
    """The id of a statement as a code: a digest, where it is none."""
    return id if is_code(id) else f"digest:{sha256(id.encode()).hexdigest()[:_ID_DIGITS]}"


def references_of(found: Iterable[str | None]) -> tuple[str, ...]:
    """The first different references that are codes. What is no code may be about a person, and is no reference."""
    codes = dict.fromkeys(text for text in found if text is not None and is_code(text))
    return tuple(codes)[:MOST_REFERENCES]


def cut(text: str, most: int) -> str:
    """A text in one line, with so many characters at most."""
    plain = _BLANKS.sub(" ", text).strip()
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def minor_units(text: str, currency: str, where: str) -> int:
    """The minor units of a decimal string. Raises `StatementFileError`, which begins with `where`."""
    try:
        return parse(_significant(text.strip()), currency)
    except MoneyError as error:
        raise StatementFileError(f"{where}: {error}") from None


def _significant(text: str) -> str:
    """An amount without needless zeros after the point: ISO 20022 allows five digits for any currency."""
    whole, point, decimals = text.partition(".")
    kept = decimals.rstrip("0")
    return f"{whole or '0'}{point}{kept}" if kept else whole


def day_of(text: str, where: str) -> date:
    """The day of a date or a time of ISO 8601. Raises `StatementFileError`."""
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        raise StatementFileError(f"{where}: {text.strip()[:40]!r} is not a date") from None


def chosen(found: Sequence[ParsedStatement], outside_account: str, id: str | None = None) -> ParsedStatement:
    """The statement of this account, with this id if one is given.

    Raises `StatementFileError` if there is none, or more than one.
    """
    of_account = of_this_account(found, outside_account)
    if id is not None:
        of_account = [one for one in of_account if one.statement.statement == code_of(id)]
        if not of_account:
            raise StatementFileError(f"statement: the file has no statement {id[:40]!r} of this account")
    if len(of_account) > 1:
        ids = ", ".join(one.statement.statement for one in of_account[:10])
        raise StatementFileError(
            f"statement: the file has {len(of_account)} statements of this account; name one: {ids}"
        )
    return of_account[0]


def of_this_account(found: Sequence[ParsedStatement], outside_account: str) -> list[ParsedStatement]:
    """The statements of this account. Raises `StatementFileError` if there is none."""
    wanted = normalised(outside_account)
    of_account = [one for one in found if wanted in one.accounts]
    if not of_account:
        others = ", ".join(sorted({hidden(account) for one in found for account in one.accounts})[:10])
        raise StatementFileError(
            f"outside_account: the file is a statement of {others or 'an account without a number'}, not of "
            f"{hidden(wanted)}"
        )
    return of_account


def hidden(account: str) -> str:
    """The end of the number of an account, which tells two apart and names neither."""
    return f"…{account[-4:]}"
