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
CAPTURED: frozenset[TransactionKind] = frozenset({"capture"})
"""The kind of a transaction that takes its amount from a hold."""
ORDERED: frozenset[TransactionKind] = CAPTURED | {"conversion", "fee"}
"""The kinds of the transactions that take their amounts from the hold of a transfer order."""
