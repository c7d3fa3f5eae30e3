"""The types of accounts, and account numbers: a prefix for the type, ten digits from a sequence, two check digits.

The check digits are those of an IBAN (ISO 7064 MOD 97-10). Letters count as 10 to 35, and the whole number is 1 modulo
97. The form is fixed: letters, then digits. So the check finds each single wrong character and each swap of two
neighbours.
"""

from __future__ import annotations

import re
from typing import Literal

from domain.claims import claim_stream

CustomerType = Literal["checking", "savings", "credit", "merchant", "escrow"]
InternalRole = Literal["cash", "banks", "fees", "interest", "penalties", "revenue", "rounding", "equity"]
PairRole = Literal["liquidity"]
"""The roles of internal accounts that a pair of currencies has: one in each of the two."""
AccountType = CustomerType | InternalRole | PairRole

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
    "rounding": "SYS",
    "equity": "SYS",
    "liquidity": "SYS",
}

_DIGITS = 10
_SHAPE = re.compile(r"[A-Z]{3}[0-9]{12}")


def account_number(type: AccountType, sequence: int) -> str:
    """Return the number of an account, 15 characters: ``account_number("checking", 42) == "CHK000000004243"``.

    Raises ValueError if the value of the sequence is not positive or has more than ten digits.
    """
    if not 0 < sequence < 10**_DIGITS:
        raise ValueError(f"sequence {sequence} is not between 1 and {10**_DIGITS - 1}")
    body = f"{PREFIXES[type]}{sequence:0{_DIGITS}d}"
    return f"{body}{98 - _as_integer(body) * 100 % 97:02d}"


def is_account_number(text: str) -> bool:
    """Return whether the text has the form of an account number and correct check digits."""
    return _SHAPE.fullmatch(text) is not None and _as_integer(text) % 97 == 1


def number_claim(number: str) -> str:
    """Return the name of the stream that makes the number unique."""
    return claim_stream("account-number", number)


def _as_integer(text: str) -> int:
    return int("".join(str(int(c, 36)) for c in text))
