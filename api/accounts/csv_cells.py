"""Reads the cells of CSV files that people export: dates by a format, and amounts by a decimal mark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

MOST_DIGITS: Final = 30
_GROUP: Final = re.compile(r"[\s'\u00a0\u202f]")
_PLAIN: Final = re.compile(rf"[+-]?\d{{1,{MOST_DIGITS}}}(\.\d{{1,{MOST_DIGITS}}})?", re.ASCII)


Minus = Literal["outgoing", "return"]
"""What a minus says in columns for what comes in and what goes out: it goes out, or it came back."""


class WrongCellError(ValueError):
    """A cell is wrong. The message names the column."""


def cell_day(text: str, column: str, date_format: str) -> date:
    """The date of a cell, by a format of `strptime`. Raises `WrongCellError`."""
    try:
        return datetime.strptime(text, date_format).date()  # noqa: DTZ007 - a calendar date has no zone
    except ValueError:
        raise WrongCellError(f"{column} is {text[:40]!r}, not a date as {date_format}") from None


def cell_decimal(text: str, column: str, decimal_mark: Literal[".", ","]) -> Decimal:
    """The amount of a cell, whose thousands may be grouped. Raises `WrongCellError`."""
    group = "," if decimal_mark == "." else "."
    plain = _GROUP.sub("", text)
    whole, _, decimals = plain.partition(decimal_mark)
    if group in whole and not re.fullmatch(rf"[+-]?\d{{1,3}}(\{group}\d{{3}})+", whole):
        raise WrongCellError(f"{column} is {text[:40]!r}, and the decimal mark is {decimal_mark!r}")
    plain = f"{whole.replace(group, '')}.{decimals}" if decimals else whole.replace(group, "")
    if _PLAIN.fullmatch(plain) is None:
        raise WrongCellError(f"{column} is {text[:40]!r}, not an amount with the decimal mark {decimal_mark!r}")
    return Decimal(plain)


def cells_in_less_out(
    row: Mapping[str, str],
    incoming: str | None,
    outgoing: str | None,
    decimal_mark: Literal[".", ","],
    minus: Minus | None,
    setting: str = "minus",
) -> Decimal:
    """What came in less what went out, of a row with a column for each. Raises `WrongCellError`.

    Programs write the second column with a minus or without one, so an amount with a minus needs to be explained.
    `setting` is the name under which `minus` is set.
    """
    both: list[Decimal] = []
    for column in (incoming, outgoing):
        text = "" if column is None else row[column]
        amount = cell_decimal(text, str(column), decimal_mark) if text else Decimal(0)
        if amount < 0 and minus is None:
            raise WrongCellError(
                f"{column} is {text[:40]!r}: set {setting} to 'outgoing' if what leaves the account has a minus, or to "
                "'return' if a minus says that an amount came back"
            )
        both.append(amount)
    if all(both):
        raise WrongCellError(f"both {incoming} and {outgoing} have an amount")
    came, went = both
    return came + went if minus == "outgoing" else came - went
