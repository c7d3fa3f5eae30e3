"""Types of accounts, and account numbers: a prefix by type, ten digits from a sequence, two check digits.

The check digits are ISO 7064 MOD 97-10, as in an IBAN: letters count as 10 to 35, and the whole number with its check
digits is 1 modulo 97. The shape is fixed (letters, then digits), so every single wrong character and every swap of two
neighbours is found.
"""

from __future__ import annotations

import re
from typing import Literal

from domain.claims import claim_stream

CustomerType = Literal["checking", "savings", "credit", "merchant", "escrow"]
InternalRole = Literal["cash", "banks", "fees", "interest", "penalties", "revenue"]
AccountType = CustomerType | InternalRole

PREFIXES: dict[AccountType, str] = {
    "checking": "CHK",
    "savings": "SAV",
    "credit": "CRD",
    "merchant": "MER",
    "escrow": "ESC",
    "cash": "SYS",
    "banks": "SYS",
    "fees": "SYS",
    "interest": "SYS",
    "penalties": "SYS",
    "revenue": "SYS",
}

_DIGITS = 10
_SHAPE = re.compile(r"[A-Z]{3}[0-9]{12}")


def account_number(type: AccountType, sequence: int) -> str:
    """The number of an account: ``account_number("checking", 42) == "CHK000000004243"``; 15 characters.

    Raises ValueError for a sequence value of more than ten digits.
    """
    if not 0 < sequence < 10**_DIGITS:
        raise ValueError(f"sequence {sequence} is not between 1 and {10**_DIGITS - 1}")
    body = f"{PREFIXES[type]}{sequence:0{_DIGITS}d}"
    return f"{body}{98 - _as_integer(body) * 100 % 97:02d}"


def is_account_number(text: str) -> bool:
    """Whether it has the shape of a number and its check digits agree."""
    return _SHAPE.fullmatch(text) is not None and _as_integer(text) % 97 == 1


def number_claim(number: str) -> str:
    """The stream that makes the number unique."""
    return claim_stream("account-number", number)


def _as_integer(text: str) -> int:
    return int("".join(str(int(c, 36)) for c in text))
