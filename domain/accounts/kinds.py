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
WITHOUT_APPROVAL: frozenset[TransactionKind] = frozenset({"reversal", "refund", "chargeback", "year_end", "settlement"})
"""The kinds of transactions that one person decides about, whatever the amount: they undo or move what was approved."""
