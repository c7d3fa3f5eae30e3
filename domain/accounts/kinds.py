"""The kinds of transactions."""

from __future__ import annotations

from typing import Literal

TransactionKind = Literal[
    "deposit",
    "withdrawal",
    "transfer",
    "fee",
    "interest",
    "penalty",
    "payment",
    "capture",
    "journal",
    "sweep",
    "conversion",
    "reversal",
    "refund",
    "chargeback",
    "adjustment",
    "year_end",
    "settlement",
]
