"""The text of a journal for each tool. Nothing here reads the log.

The tools count debits as positive, so a customer's account with 12.30 EUR is a liability of -12.30 EUR. Each currency
of a transaction sums to zero by itself, so no amount has a price.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from domain.money import EXPONENTS, show

FormatName = Literal["hledger", "ledger", "beancount"]

FIRST_DAY: Final = date(1000, 1, 1)
"""A day before all others: beancount wants a date of what was always there."""


FACTS: Final = ("transaction", "position", "kind")
"""The facts that a transaction can have, as metadata."""


@dataclass(frozen=True, slots=True)
class Line:
    """One posting. `amount` is in minor units: positive for a debit."""

    account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Written:
    """One transaction as it is written."""

    day: date
    kind: str
    code: str | None  # the client's reference
    description: str | None  # personal; None: it is left out
    lines: tuple[Line, ...]
    facts: Mapping[str, str]  # by names of `FACTS`


class Format(ABC):
    """Writes the parts of a journal. Each method returns whole lines."""

    def head(self, facts: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The comment on top."""
        for name, value in facts:
            yield f"; {name}: {value}\n"
        yield "\n"

    def currencies(self) -> Iterator[str]:
        """How each currency is written. All are declared, so that a later part of a journal needs no other one."""
        for currency in sorted(EXPONENTS):
            yield from self.currency(currency)
        yield "\n"

    @abstractmethod
    def currency(self, currency: str) -> Iterator[str]:
        """The declaration of a currency."""

    @abstractmethod
    def account(self, name: str, opened_on: date, currency: str | None, title: str | None) -> Iterator[str]:
        """The declaration of an account. `title` is its name for people, which is personal."""

    @abstractmethod
    def transaction(self, written: Written) -> Iterator[str]:
        """A transaction."""

    @abstractmethod
    def balance(self, line: Line, day: date) -> Iterator[str]:
        """The assertion that an account has this balance at the end of the day, to the last digit."""


class Hledger(Format):
    """The format of hledger."""

    def currency(self, currency: str) -> Iterator[str]:
        yield f"commodity {_sample(currency)} {currency}\n"

    def account(self, name: str, opened_on: date, currency: str | None, title: str | None) -> Iterator[str]:
        yield f"account {name}\n"
        if title is not None:
            yield f"    ; name: {_tag_value(title)}\n"

    def transaction(self, written: Written) -> Iterator[str]:
        code = "" if written.code is None else f"({written.code}) "
        what = written.kind if written.description is None else _plain(written.description)
        yield f"{written.day} * {code}{what}\n"
        for name, value in written.facts.items():
            yield f"    ; {name}: {value}\n"
        for line in written.lines:
            yield f"    {line.account}  {_amount(line)}\n"
        yield "\n"

    def balance(self, line: Line, day: date) -> Iterator[str]:
        yield f"{day} * balance\n"
        yield f"    {line.account}  {show(0, line.currency)} {line.currency} = {_amount(line)}\n\n"


class Ledger(Hledger):
    """The format of ledger: that of hledger with other declarations."""

    def currencies(self) -> Iterator[str]:
        for fact in FACTS:
            yield f"tag {fact}\n"
        yield from super().currencies()

    def currency(self, currency: str) -> Iterator[str]:
        yield f"commodity {currency}\n    format {_sample(currency).rstrip('.')} {currency}\n"


class Beancount(Format):
    """The format of beancount."""

    def currency(self, currency: str) -> Iterator[str]:
        yield f"{FIRST_DAY} commodity {currency}\n"

    def account(self, name: str, opened_on: date, currency: str | None, title: str | None) -> Iterator[str]:
        yield f"{opened_on} open {name}{'' if currency is None else f' {currency}'}\n"
        if title is not None:
            yield f"  name: {_quoted(title)}\n"

    def transaction(self, written: Written) -> Iterator[str]:
        texts = [written.kind] if written.description is None else [written.kind, written.description]
        yield f"{written.day} * {' '.join(map(_quoted, texts))}\n"
        if written.code is not None:
            yield f"  reference: {_quoted(written.code)}\n"
        for name, value in written.facts.items():
            yield f"  {name}: {_quoted(value)}\n"
        for line in written.lines:
            yield f"  {line.account}  {_amount(line)}\n"
        yield "\n"

    def balance(self, line: Line, day: date) -> Iterator[str]:
        # An assertion is about the beginning of its day. Without `~ 0` it would tolerate a cent.
        amount = show(line.amount, line.currency)
        yield f"{day + timedelta(days=1)} balance {line.account}  {amount} ~ 0 {line.currency}\n"


FORMATS: Final[Mapping[FormatName, Format]] = {"hledger": Hledger(), "ledger": Ledger(), "beancount": Beancount()}


def _sample(currency: str) -> str:
    """An amount that shows how many decimals the currency has. hledger wants a decimal mark in any case."""
    return f"1000.{'0' * EXPONENTS[currency]}"


def _amount(line: Line) -> str:
    return f"{show(line.amount, line.currency)} {line.currency}"


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SIGNS = str.maketrans({";": ",", "|": "/"})


def _plain(text: str) -> str:
    """A text that stays on its line. A semicolon would begin a comment, and `|` parts the payee from the note."""
    plain = " ".join(_CONTROL.sub(" ", text).translate(_SIGNS).split())
    # At the start these would be read as a status, a code, or another kind of line.
    return plain.lstrip("*!(= ") or "-"


_TAG_SIGNS = str.maketrans({",": ";", ":": "-"})


def _tag_value(text: str) -> str:
    """A text that is one value of a tag. A comma would end it, and hledger reads `type:` as the type of an account."""
    return _plain(text).translate(_TAG_SIGNS)


def _quoted(text: str) -> str:
    escaped = _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
