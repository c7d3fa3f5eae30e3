"""The aggregate account.

Read its modules in this order: `events`, then `state` with the fold, then the commands and decisions in `lifecycle`
and `holds`. The declaration is below.
"""

from __future__ import annotations

from domain.accounts.account import events, holds, lifecycle, state
from domain.aggregate import Aggregate, EventType

AGGREGATE = Aggregate(
    name="account",
    prefix=f"{state.ACCOUNT}_",
    events=(
        EventType("account.opened.v1", events.AccountOpened, "owner", ("name",)),
        EventType("account.debited.v1", events.AccountDebited),
        EventType("account.credited.v1", events.AccountCredited),
        EventType("account.frozen.v1", events.AccountFrozen, "owner", ("reason",)),
        EventType("account.unfrozen.v1", events.AccountUnfrozen, "owner", ("reason",)),
        EventType("account.closed.v1", events.AccountClosed, "owner", ("reason",)),
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
)
