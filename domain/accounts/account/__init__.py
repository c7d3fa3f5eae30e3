"""The aggregate account.

Read its modules in this order: `events`, then `state` with the fold, then the commands and decisions in `lifecycle`
and `holds`, then `check`. The declaration is below.
"""

from __future__ import annotations

from domain.accounts.account import check, events, holds, lifecycle, state
from domain.aggregate import Aggregate, EventType

AGGREGATE = Aggregate(
    name="account",
    prefix=f"{state.ACCOUNT}_",
    events=(
        EventType(name="account.opened.v1", event=events.AccountOpened, subject="owner", personal=("name",)),
        EventType("account.debited.v1", events.AccountDebited),
        EventType("account.credited.v1", events.AccountCredited),
        EventType(name="account.frozen.v1", event=events.AccountFrozen, subject="owner", personal=("reason",)),
        EventType(name="account.unfrozen.v1", event=events.AccountUnfrozen, subject="owner", personal=("reason",)),
        EventType(name="account.closed.v1", event=events.AccountClosed, subject="owner", personal=("reason",)),
        EventType("account.hold_placed.v1", events.HoldPlaced),
        EventType("account.hold_released.v1", events.HoldReleased),
        EventType("account.hold_captured.v1", events.HoldCaptured),
    ),
    evolve=state.evolve,
    decisions={**lifecycle.DECISIONS, **holds.DECISIONS},
    rules={**state.RULES, **lifecycle.RULES, **holds.RULES},
    # On an account without limits, entries fold to the same state in any order.
    commuting=("account.debited.v1", "account.credited.v1"),
    snapshot=(state.Account, 1),
    amounts=frozenset({"amount", "balance", "maximum", "minimum", "reserved"}),
    pairs={"holds": ("hold", "amount")},
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
