"""Transactions: the commands that move money, and their decisions.

`domain.accounts.posting` turns a transaction into entries.
"""

from __future__ import annotations

from domain.accounts.posting import RULES as POSTING_RULES
from domain.accounts.posting import TransactionPosted
from domain.accounts.transaction import capture, check, closing, movements
from domain.accounts.transaction.capture import CaptureHold
from domain.accounts.transaction.movements import ChargeFee, Deposit, PostTransaction, Transfer, Withdraw
from domain.accounts.transaction.state import TRANSACTION, PostedTransaction, evolve_posted
from domain.aggregate import Aggregate, EventType
from domain.codes import RULES as CODE_RULES

__all__ = [
    "TRANSACTION",
    "CaptureHold",
    "ChargeFee",
    "Deposit",
    "PostTransaction",
    "PostedTransaction",
    "Transfer",
    "Withdraw",
]

AGGREGATE = Aggregate(
    name="transaction",
    prefix=f"{TRANSACTION}_",
    events=(
        EventType(
            name="transaction.posted.v1",
            event=TransactionPosted,
            subject="subject",
            personal=("description",),
            codes=("reference",),
        ),
    ),
    evolve=evolve_posted,
    decisions={**movements.DECISIONS, **capture.DECISIONS, **closing.DECISIONS},
    rules={**POSTING_RULES, **movements.RULES, **capture.RULES, **closing.RULES, **CODE_RULES},
    written_once=True,
    may={**movements.MAY, **closing.MAY},
    amounts=frozenset({"amount"}),
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
