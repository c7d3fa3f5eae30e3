"""The aggregate transfer order: hold, convert, transfer, fee, notify, when the time for it has come.

Read its modules in this order: `events`, `state`, `terms` (amounts, bounds, times), `commands`, `executing`, `check`,
and `process`, which executes it in time and tells the owners.
"""

from __future__ import annotations

from domain.accounts.transfer_order import check, commands, events, executing, state, terms
from domain.accounts.transfer_order.commands import CancelTransferOrder, SubmitTransferOrder
from domain.accounts.transfer_order.events import Sum
from domain.accounts.transfer_order.executing import ExecuteTransferOrder
from domain.accounts.transfer_order.state import TRANSFER_ORDER, TransferOrder
from domain.aggregate import Aggregate, EventType

__all__ = [
    "TRANSFER_ORDER",
    "CancelTransferOrder",
    "ExecuteTransferOrder",
    "SubmitTransferOrder",
    "Sum",
    "TransferOrder",
]

AGGREGATE = Aggregate(
    name="transfer_order",
    prefix=f"{TRANSFER_ORDER}_",
    events=(
        EventType(
            name="transfer_order.submitted.v1",
            event=events.TransferOrderSubmitted,
            subject="subject",
            personal=("description",),
            codes=("reference", "metadata"),
        ),
        EventType("transfer_order.delayed.v1", events.TransferOrderDelayed),
        EventType("transfer_order.executed.v1", events.TransferOrderExecuted),
        EventType("transfer_order.failed.v1", events.TransferOrderFailed),
        EventType("transfer_order.expired.v1", events.TransferOrderExpired),
        EventType("transfer_order.cancelled.v1", events.TransferOrderCancelled),
    ),
    evolve=state.evolve,
    decisions={**commands.DECISIONS, **executing.DECISIONS},
    rules={**commands.RULES, **terms.RULES, **executing.RULES},
    may={**commands.MAY, **executing.MAY},
    amounts=frozenset({"amount", "held", "released"}),
    personal_state=True,
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
