"""Merchants in memory: the figures of a settlement summed from the events of a log, by the definition in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from domain.accounts.details import TransactionDetailed
from domain.accounts.posting import TransactionPosted
from domain.accounts.settlement.running import PAYMENT_KINDS, REFUND_KINDS
from domain.kernel import Event
from domain.process_manager import Fact


class Booked(NamedTuple):
    """An entry of an account, and whether it is a payment to a merchant, or gives all or part of one back."""

    position: int  # of its transaction
    value_date: date
    signed: int
    counts: bool


@dataclass
class Merchants:
    """The entries of every account of a log, where the first event has position 1."""

    log: Sequence[Event]
    entries: dict[str, list[Booked]] = field(default_factory=lambda: defaultdict(list))
    _payments: set[str] = field(default_factory=set)
    _read: int = 0

    def read(self) -> None:
        """Read what is new on the log."""
        new = self.log[self._read :]
        parents = {one.originator_id: one.parent for one in new if isinstance(one, TransactionDetailed)}
        for position, event in enumerate(new, self._read + 1):
            if isinstance(event, TransactionPosted):
                if event.kind in PAYMENT_KINDS:
                    self._payments.add(event.originator_id)
                undoes = event.kind in REFUND_KINDS and parents[event.originator_id] in self._payments
                for entry in event.entries:
                    counts = event.kind in PAYMENT_KINDS if entry.side == "credit" else undoes
                    self.entries[entry.account].append(Booked(position, event.value_date, entry.signed, counts))
        self._read = len(self.log)

    def figures(self, arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
        """The answer to the question of a settlement."""
        self.read()
        day, starts_on = date.fromisoformat(str(arguments["day"])), date.fromisoformat(str(arguments["starts_on"]))
        new = [one for one in self.entries[str(arguments["account"])] if one.position > int(arguments["after"])]
        until = min((one.position - 1 for one in new if one.value_date > day), default=len(self.log))
        amounts = [
            one.signed for one in new if one.position <= until and one.counts and starts_on <= one.value_date <= day
        ]
        payments, refunds = sum(one for one in amounts if one > 0), -sum(one for one in amounts if one < 0)
        return {"until": until, "entries": len(amounts), "payments": payments, "refunds": refunds}
