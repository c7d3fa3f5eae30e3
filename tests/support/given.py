"""`given(events).when(command).then(events or a refusal)`: a test of a decision that reads like its rule.

given(placed, confirmed).when(CancelOrder("ord_1", "why")).then(OrderCancelled("ord_1", 3, "customer-1", "why"))
given(placed).when(PayOrder(...)).then(refusal("order_status", status="placed"))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.kernel import Accepted, Decision, Event, Refused, Unknown
from tests.support.memory_ledger import MemoryLedger


@dataclass(frozen=True)
class Refusal:
    """A refusal by this rule. It has at least these figures."""

    rule: str
    figures: Mapping[str, Any]


def refusal(rule: str, **figures: Any) -> Refusal:
    """A refusal to expect."""
    return Refusal(rule, figures)


@dataclass(frozen=True)
class Given:
    """What has happened."""

    ledger: MemoryLedger

    def when(self, *commands: Any) -> When:
        """These are asked for, one after the other; all but the last must be accepted."""
        *before, last = commands
        for command in before:
            self.ledger.accepted(command)
        return When(self.ledger, self.ledger.execute(last))


@dataclass(frozen=True)
class When:
    """What has been decided."""

    ledger: MemoryLedger
    decision: Decision

    def then(self, *expected: Event | Refusal | Unknown) -> MemoryLedger:
        """Exactly these events happen, in this order, or the command is refused like this. Returns the ledger after."""
        decision = self.decision
        if isinstance(decision, Refused):
            (wanted,) = expected
            assert isinstance(wanted, Refusal), decision
            assert decision.rule == wanted.rule
            assert wanted.figures.items() <= decision.figures.items(), decision
        else:
            found = decision.events if isinstance(decision, Accepted) else (decision,)
            assert found == expected
        return self.ledger


def given(*events: Event) -> Given:
    """A ledger in which these events happened, each at the next version of its stream."""
    ledger = MemoryLedger()
    ledger.record(events)
    return Given(ledger)
